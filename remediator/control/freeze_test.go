package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// as makes a request one of somebody with roles.
func as(t *testing.T, roles ...string) func(*http.Request) {
	t.Helper()
	who, err := access.Named("ann", access.ViaToken, roles,
		access.Role{Name: "shop", Like: access.Operator, Devices: []string{"edge1"}, Pools: []string{"shop"}},
		access.Role{Name: "edge2", Like: access.Operator, Devices: []string{"edge2"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { *r = *r.WithContext(access.With(r.Context(), who)) }
}

func into[T any](t *testing.T, g answer) (out T) {
	t.Helper()
	if err := json.Unmarshal(g.Data, &out); err != nil {
		t.Fatalf("%s %s: %v", g.Error, g.Data, err)
	}
	return out
}

// scopes are the frozen ones of an answer.
func scopes(t *testing.T, g answer) (out []string) {
	t.Helper()
	type freezes struct {
		Frozen  bool
		Freezes []journal.Freeze
	}
	all := into[freezes](t, g)
	for _, f := range all.Freezes {
		out = append(out, f.String())
	}
	return append(out, fmt.Sprint(all.Frozen))
}

func TestScopesAreFrozenAndThawedByThemselves(t *testing.T) { // I19
	a := newAPI(t)
	a.do(t, "POST", "/api/v1/freeze", `{"reason":"racks","device":"edge1"}`)
	got := scopes(t, a.do(t, "POST", "/api/v1/freeze", `{"reason":"a release","device":"edge1","pool":"shop","until":"2099-01-02T15:04:05Z"}`))
	device, pool := "device edge1 is frozen: racks (by 192.0.2.1)", "pool edge1/shop is frozen: a release (by 192.0.2.1, until 2099-01-02T15:04:05Z)"
	if d := cmp.Diff([]string{device, pool, "false"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(got, scopes(t, a.do(t, "GET", "/api/v1/freeze", ""))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"all (by 192.0.2.1)", device, pool, "true"}, scopes(t, a.do(t, "POST", "/api/v1/freeze", `{"reason":"all"}`))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{device, pool, "false"}, scopes(t, a.do(t, "DELETE", "/api/v1/freeze", ""))); d != "" {
		t.Error(d)
	}
	for range 2 {
		if d := cmp.Diff([]string{pool, "false"}, scopes(t, a.do(t, "DELETE", "/api/v1/freeze?device=edge1", ""))); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff([]string{"false"}, scopes(t, a.do(t, "DELETE", "/api/v1/freeze?device=edge1&pool=shop", ""))); d != "" {
		t.Error(d)
	}
}

func TestAMemberIsClaimedAndReleased(t *testing.T) { // I7
	a := newAPI(t)
	type claims struct {
		Claimed []journal.Claimed
		Count   int
	}
	before := time.Now()
	c := into[journal.Claimed](t, a.do(t, "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"a new disk","for":"2h"}`))
	if c.Member != s1 || c.Reason != "a new disk" || c.Actor != "192.0.2.1" || c.Until.Before(before.Add(2*time.Hour)) {
		t.Errorf("got %+v", c)
	}
	if got := into[claims](t, a.do(t, "GET", "/api/v1/claimed", "")); got.Count != 1 || len(got.Claimed) != 1 || !got.Claimed[0].Until.Equal(c.Until) {
		t.Errorf("got %+v", got)
	}
	if b, err := a.journal.Barriers(); err != nil || b.Claims(s1) == nil {
		t.Errorf("the journal says %+v, %v: a claim must be durable when the answer goes out", b, err)
	}
	a.do(t, "POST", "/api/v1/members/edge1/shop/s1/release", "")
	if got := into[claims](t, a.do(t, "GET", "/api/v1/claimed", "")); got.Count != 0 || got.Claimed == nil {
		t.Errorf("got %+v", got)
	}
}

func TestWhoMayPutWhatInTheWay(t *testing.T) {
	a := newAPI(t)
	for _, tt := range []struct {
		name, role, method, path, body string
		code                           int
	}{
		{"an operator freezes everything", "operator", "POST", "/api/v1/freeze", `{"reason":"x"}`, 200},
		{"a viewer freezes nothing", "viewer", "POST", "/api/v1/freeze", `{"reason":"x"}`, 403},
		{"a viewer looks", "viewer", "GET", "/api/v1/freeze", "", 200},
		{"a webhook doesn't", "webhook", "GET", "/api/v1/freeze", "", 403},
		{"who has one pool freezes that", "shop", "POST", "/api/v1/freeze", `{"reason":"x","device":"edge1","pool":"shop"}`, 200},
		{"but not its device", "shop", "POST", "/api/v1/freeze", `{"reason":"x","device":"edge1"}`, 403},
		{"nor everything", "shop", "POST", "/api/v1/freeze", `{"reason":"x"}`, 403},
		{"nor thaws it", "shop", "DELETE", "/api/v1/freeze", "", 403},
		{"who has one pool thaws that", "shop", "DELETE", "/api/v1/freeze?device=edge1&pool=shop", "", 200},
		{"who has another device doesn't", "edge2", "DELETE", "/api/v1/freeze?device=edge1&pool=shop", "", 403},
		{"a viewer claims nothing", "viewer", "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x"}`, 403},
		{"who has the pool claims in it", "shop", "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x"}`, 200},
		{"who has another device doesn't", "edge2", "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x"}`, 403},
		{"nor releases", "edge2", "POST", "/api/v1/members/edge1/shop/s1/release", "", 403},
		{"a viewer sees what is claimed", "viewer", "GET", "/api/v1/claimed", "", 200},
		{"a webhook doesn't see that", "webhook", "GET", "/api/v1/claimed", "", 403},
		{"who has the pool releases", "shop", "POST", "/api/v1/members/edge1/shop/s1/release", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := a.do(t, tt.method, tt.path, tt.body, as(t, tt.role)); got.StatusCode != tt.code {
				t.Errorf("got %d %q; want %d", got.StatusCode, got.Error, tt.code)
			}
		})
	}
}

func TestListsAreCutToWhatTheCallerSees(t *testing.T) {
	a := newAPI(t)
	for _, f := range []journal.Freeze{{Reason: "all"}, {Device: "edge1", Reason: "x"}, {Device: "edge1", Pool: "shop", Reason: "x"}, {Device: "edge1", Pool: "api", Reason: "x"}, {Device: "edge3", Reason: "x"}} {
		f.Actor = "ann"
		if err := a.journal.SetFreeze(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []edge.Member{s1, {Device: "edge2", Pool: "shop", Name: "s1"}} {
		if err := a.journal.Claim(journal.Claimed{Member: m, Reason: "x", Actor: "ann"}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"all (by ann)", "device edge1 is frozen: x (by ann)", "pool edge1/shop is frozen: x (by ann)", "true"}
	if d := cmp.Diff(want, scopes(t, a.do(t, "GET", "/api/v1/freeze", "", as(t, "shop")))); d != "" {
		t.Error(d)
	}
	type claims struct{ Claimed []journal.Claimed }
	got := into[claims](t, a.do(t, "GET", "/api/v1/claimed", "", as(t, "shop"))).Claimed
	if len(got) != 1 || got[0].Member != s1 {
		t.Errorf("got %+v", got)
	}
}

func TestMistakesWithWhatIsPutInTheWay(t *testing.T) { // I2, I21
	a := newAPI(t)
	for _, tt := range []struct {
		name, method, path, body string
		code                     int
	}{
		{"a pool of no device", "POST", "/api/v1/freeze", `{"reason":"x","pool":"shop"}`, 400},
		{"a device that isn't", "POST", "/api/v1/freeze", `{"reason":"x","device":"edge9"}`, 404},
		{"a pool that isn't", "POST", "/api/v1/freeze", `{"reason":"x","device":"edge1","pool":"shpo"}`, 404},
		{"a name with NUL", "POST", "/api/v1/freeze", `{"reason":"x","device":"edge1\u0000"}`, 400},
		{"thaw a pool of no device", "DELETE", "/api/v1/freeze?pool=shop", "", 400},
		{"thaw by what isn't", "DELETE", "/api/v1/freeze?member=s1", "", 400},
		{"thaw two devices", "DELETE", "/api/v1/freeze?device=a&device=b", "", 400},
		{"thaw by what can't be read", "DELETE", "/api/v1/freeze?%zz", "", 400},
		{"a claim without a reason", "POST", "/api/v1/members/edge1/shop/s1/claim", `{}`, 400},
		{"a claim without a body", "POST", "/api/v1/members/edge1/shop/s1/claim", "", 400},
		{"a claim that is over", "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x","until":"2000-01-02T15:04:05Z"}`, 400},
		{"a claim with two ends", "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x","until":"2099-01-02T15:04:05Z","for":"1h"}`, 400},
		{"a claim for no time", "POST", "/api/v1/members/edge1/shop/s1/claim", `{"reason":"x","for":"0s"}`, 400},
		{"a claim on what isn't", "POST", "/api/v1/members/edge1/shop/s9/claim", `{"reason":"x"}`, 404},
		{"a claim can't be got", "GET", "/api/v1/members/edge1/shop/s1/claim", "", 405},
		{"a release of what nobody has", "POST", "/api/v1/members/edge1/shop/s1/release", "", 404},
		{"a release with a reason of two lines", "POST", "/api/v1/members/edge1/shop/s1/release", `{"reason":"a\nb"}`, 400},
		{"a release with a key that is none", "POST", "/api/v1/members/edge1/shop/s1/release", `{"until":"x"}`, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := a.do(t, tt.method, tt.path, tt.body); got.StatusCode != tt.code {
				t.Errorf("got %d %q; want %d", got.StatusCode, got.Error, tt.code)
			}
		})
	}
	if b, err := a.journal.Barriers(); err != nil || len(b.Freezes) != 0 || len(b.Claimed) != 0 {
		t.Errorf("a mistake is in force: %+v, %v", b, err)
	}
}

func TestTooManyScopesAre409(t *testing.T) {
	a := newAPI(t)
	for n := range 200 {
		if err := a.journal.SetFreeze(journal.Freeze{Device: fmt.Sprint("d", n), Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.do(t, "POST", "/api/v1/freeze", `{"reason":"x","device":"edge1"}`); got.StatusCode != http.StatusConflict {
		t.Errorf("got %+v", got)
	}
}
