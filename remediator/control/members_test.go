package control

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

func TestAStepIsHandedOn(t *testing.T) {
	named := func(r *http.Request) { r.SetBasicAuth("ann", "not-a-real-password") }
	odd := edge.Member{Device: "edge1", Pool: "shop", Name: "s1;\nshutdown/.."}
	for _, c := range []struct {
		name, path, body string
		want             Order
	}{
		{"without a body", "edge1/shop/s1/drain", ``, Order{Member: s1, To: edge.Drain, Reason: "by hand", Actor: "ann"}},
		{"with a reason", "edge1/shop/s1/maint", `{"reason":" a new disk "}`, Order{Member: s1, To: edge.Maint, Reason: "a new disk", Actor: "ann"}},
		{"back", "edge1/shop/s1/ready", `{}`, Order{Member: s1, To: edge.Ready, Reason: "by hand", Actor: "ann"}},
		{"over a guard", "edge1/shop/s1/drain", `{"reason":"x","override":["load"]}`, Order{Member: s1, To: edge.Drain, Override: []string{"load"}, Reason: "x", Actor: "ann"}},
		{"a weight", "edge1/shop/s1/weight", `{"weight":5}`, Order{Member: s1, Weight: 5, Reason: "by hand", Actor: "ann"}},
		{"a share of the configured weight", "edge1/shop/s1/weight", `{"percent":25,"reason":"half the memory"}`, Order{Member: s1, Percent: 25, Reason: "half the memory", Actor: "ann"}},
		{"I21: a name is one name", "edge1/shop/s1%3B%0Ashutdown%2F../drain", ``, Order{Member: odd, To: edge.Drain, Reason: "by hand", Actor: "ann"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t)
			if got := a.do(t, "POST", "/api/v1/members/"+c.path, c.body, named); !got.Success || string(got.Data) != `{"result":"applied"}` {
				t.Errorf("got %+v", got)
			}
			if diff := cmp.Diff([]Order{c.want}, a.engine.orders); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestARefusedStepTellsWhatGuardsSaid(t *testing.T) {
	a := newAPI(t)
	a.engine.err = Problem(http.StatusConflict, map[string]string{"result": "refused"}, errors.New("load: too much\nfor it"))
	got := a.do(t, "POST", "/api/v1/members/edge1/shop/s1/drain", ``)
	if got.StatusCode != http.StatusConflict || got.Error != "load: too much for it" || string(got.Data) != `{"result":"refused"}` {
		t.Errorf("got %+v", got)
	}
}

func TestAPageOfAnotherSiteCannotTakeAMemberOut(t *testing.T) { // I22
	a := newAPI(t)
	foreign := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	if got := a.do(t, "POST", "/api/v1/members/edge1/shop/s1/drain", ``, foreign); got.StatusCode != http.StatusForbidden || len(a.engine.orders) > 0 {
		t.Errorf("got %+v, and orders %v", got, a.engine.orders)
	}
}
