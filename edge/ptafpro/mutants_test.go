package ptafpro_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

// astray answers for one object with another, as a cache in between might.
type astray struct {
	next     http.RoundTripper
	from, to *string
}

func (a astray) RoundTrip(r *http.Request) (*http.Response, error) {
	if *a.from != "" && r.Method == http.MethodGet {
		r.URL.Path = strings.Replace(r.URL.Path, *a.from, *a.to, 1)
	}
	return a.next.RoundTrip(r)
}

// I21
func TestAnAnswerAboutAnotherObjectIsNone(t *testing.T) {
	sim := ptafprotest.New(world())
	var from, to string
	c := dial(t, sim, func(o *ptafpro.Options) { o.HTTP.Transport = astray{wire{sim}, &from, &to} })
	r := read(t, c)
	before := len(sim.Writes())
	from, to = backendID(t, r, "public-443", two), backendID(t, r, "public-443", one)
	_, err := c.SetEnabled(t.Context(), from, false, ptafpro.Write{})
	wantErr(t, err, ptafpro.ErrAnswer)
	if n := len(sim.Writes()); n != before {
		t.Errorf("%d writes", n-before)
	}
}
