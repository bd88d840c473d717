package control

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator/access"
)

func TestWhoeverAsksIsToldWhoTheyAre(t *testing.T) {
	team := access.Role{Name: "shop-team", Like: access.Operator, Pools: []string{"shop"}}
	for _, c := range []struct {
		name string
		as   func(*http.Request)
		want string
	}{
		{
			"where nobody is asked, by the address", func(*http.Request) {},
			`{"name":"192.0.2.1","via":"open","roles":["admin"],"may":{"approve":true,"freeze":true,"order":true,"reload":true,"restore":true,"view":true}}`,
		},
		{
			"a viewer", ann(t, access.Viewer),
			`{"name":"ann","via":"token","roles":["viewer"],"may":{"approve":false,"freeze":false,"order":false,"reload":false,"restore":false,"view":true}}`,
		},
		{
			"a limited role, what it may somewhere", ann(t, "shop-team", team),
			`{"name":"ann","via":"token","roles":["shop-team"],"may":{"approve":true,"freeze":true,"order":true,"reload":false,"restore":false,"view":true}}`,
		},
		{
			"a webhook, though it may look at nothing", ann(t, access.Hook),
			`{"name":"ann","via":"token","roles":["webhook"],"may":{"approve":false,"freeze":false,"order":false,"reload":false,"restore":false,"view":false}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newAPI(t).do(t, "GET", "/api/v1/whoami", "", c.as)
			if diff := cmp.Diff(c.want, string(got.Data)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// ann makes a request one of ann's.
func ann(t *testing.T, role string, own ...access.Role) func(*http.Request) {
	t.Helper()
	i, err := access.Named("ann", access.ViaToken, []string{role}, own...)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { *r = *r.WithContext(access.With(r.Context(), i)) }
}
