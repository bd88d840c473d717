package ptafpro_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

// what answers /about/versions in a test; the simulator does when it is nil.
type aboutAnswer struct {
	status int
	body   string
}

func TestVersionsAreToldWhereTheDeviceTellsThem(t *testing.T) {
	for name, c := range map[string]struct {
		answer *aboutAnswer
		want   map[string]string
		calls  int // in twenty minutes of a question every half minute
	}{
		"as seen":               {nil, map[string]string{"infra": "4.3.0.100", "ptaf_deploy": "4.3.0.12165", "ptaf_rule_set": "4.3.0.77"}, 2},
		"no right":              {&aboutAnswer{403, `{}`}, nil, 2},
		"not there":             {&aboutAnswer{404, `{}`}, nil, 2},
		"it is ill":             {&aboutAnswer{500, `{}`}, nil, 20},
		"busy":                  {&aboutAnswer{429, `{}`}, nil, 20},
		"a page":                {&aboutAnswer{200, `<html>`}, nil, 2},
		"without data":          {&aboutAnswer{200, `{"infra": "4.3"}`}, nil, 2},
		"what is none left out": {&aboutAnswer{200, `{"data": {"a": "1", "b": 2, "c": null, "d e": "1", "f": "1\n2", "g": ""}}`}, map[string]string{"a": "1"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := ptafprotest.New(world())
				calls := 0
				client := dial(t, sim, func(o *ptafpro.Options) {
					looksOnly(o)
					o.HTTP = &http.Client{Transport: tap(func(r *http.Request) (*http.Response, error) {
						if !strings.HasSuffix(r.URL.Path, "/about/versions") {
							return wire{sim}.RoundTrip(r)
						}
						if calls++; c.answer == nil {
							return wire{sim}.RoundTrip(r)
						}
						w := httptest.NewRecorder()
						w.WriteHeader(c.answer.status)
						_, err := w.WriteString(c.answer.body)
						return w.Result(), err
					})}
				})
				for range 40 {
					if d := cmp.Diff(c.want, client.Versions(t.Context())); d != "" {
						t.Fatal(d)
					}
					time.Sleep(30 * time.Second)
				}
				if calls != c.calls {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

// What was known is told while the device gives no answer.
func TestVersionsOutliveASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := ptafprotest.New(world())
		client := dial(t, sim, looksOnly)
		want := client.Versions(t.Context())
		sim.Misbehave(ptafprotest.Hang, -1)
		time.Sleep(11 * time.Minute)
		if d := cmp.Diff(want, client.Versions(t.Context())); d != "" || len(want) == 0 {
			t.Error(d)
		}
	})
}
