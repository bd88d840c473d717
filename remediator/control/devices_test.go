package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

// shop is a roster with so many members in one pool, each second one drained.
func shop(n int) (out Roster) {
	out.Devices = []Device{{Device: "edge1", Kind: "haproxy", Up: true, Pools: 1, Members: n}}
	out.Pools = []Pool{{Device: "edge1", Pool: "shop", Members: n, Maintenance: []string{}}}
	for i := range n {
		st := edge.State{Member: edge.Member{Device: "edge1", Pool: "shop", Name: fmt.Sprintf("s%02d", i)}, Serving: i%2 == 0}
		if i%2 == 1 {
			st.Admin, st.Marks = edge.Drain, "FDRAIN"
		}
		out.Members = append(out.Members, Member{State: st})
	}
	return out
}

// names are the members of an answer, with the next cursor.
func names(t *testing.T, a answer) (out []string, next string) {
	t.Helper()
	var got Roster
	if err := json.Unmarshal(a.Data, &got); err != nil || got.Count != len(got.Members) {
		t.Fatalf("%s: %v", a.Data, err)
	}
	for _, m := range got.Members {
		out = append(out, m.Member.Name)
	}
	return out, got.Next
}

func TestMembersAreListed(t *testing.T) {
	a := newAPI(t)
	a.engine.roster = shop(5)
	for path, want := range map[string]string{
		"/api/v1/members":                                 "s00 s01 s02 s03 s04",
		"/api/v1/members?device=edge1&pool=shop":          "s00 s01 s02 s03 s04",
		"/api/v1/members?state=drain":                     "s01 s03",
		"/api/v1/members?state=ready":                     "s00 s02 s04",
		"/api/v1/members?state=maint":                     "",
		"/api/v1/members?state=serving&limit=2":           "s00 s02",
		"/api/v1/members?state=not_serving&member=s03":    "s03",
		"/api/v1/members?device=edge1&pool=shop&limit=10": "s00 s01 s02 s03 s04",
	} {
		if got, _ := names(t, a.do(t, "GET", path, ``)); strings.Join(got, " ") != want {
			t.Errorf("%s: got %s; want %s", path, got, want)
		}
	}
	a.engine.asked = nil
	a.do(t, "GET", "/api/v1/members?device=edge1&pool=shop", ``)
	a.do(t, "GET", "/api/v1/pools?device=edge2", ``)
	if diff := cmp.Diff([]string{"edge1/shop", "edge2/"}, a.engine.asked); diff != "" {
		t.Errorf("the engine is asked for more or less (-want +got):\n%s", diff)
	}
}

func TestPagesOfMembersHaveEachOnceWhileSomeComeAndGo(t *testing.T) {
	a := newAPI(t)
	a.engine.roster = shop(9)
	var got []string
	path := "/api/v1/members?pool=shop&limit=2"
	for next := ""; ; {
		page, n := names(t, a.do(t, "GET", path+next, ``))
		got = append(got, page...)
		if next = "&cursor=" + n; n == "" {
			break
		}
		if len(page) != 2 {
			t.Fatalf("a page of %d", len(page))
		}
		switch len(got) {
		case 4: // the row that the cursor names goes, and one comes before it
			m := a.engine.roster.Members
			added := m[0]
			added.Member.Name = "s000"
			a.engine.roster.Members = append([]Member{m[0], added, m[1], m[2]}, m[4:]...)
		case 6:
			a.engine.roster.Members = a.engine.roster.Members[:len(a.engine.roster.Members)-1]
		}
	}
	if diff := cmp.Diff(strings.Fields("s00 s01 s02 s03 s04 s05 s06 s07"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACursorIsOfOneListOnly(t *testing.T) {
	a := newAPI(t)
	a.engine.roster = shop(5)
	_, next := names(t, a.do(t, "GET", "/api/v1/members?pool=shop&limit=2", ``))
	for path, want := range map[string]string{
		"/api/v1/members?pool=shop&limit=3&cursor=" + next:                     "", // the length of a page may change
		"/api/v1/members?pool=other&cursor=" + next:                            "cursor: is of another list: ask with the filters and the order that it came from",
		"/api/v1/members?cursor=" + next:                                       "cursor: is of another list",
		"/api/v1/pools?pool=shop&cursor=" + next:                               "cursor: is of another list",
		"/api/v1/members?pool=shop&cursor=" + next[:9]:                         "cursor: is none of ours: take what next said, whole, or leave it out",
		"/api/v1/members?pool=shop&cursor=x" + next:                            "cursor: is none of ours",
		"/api/v1/members?pool=shop&cursor=" + strings.Repeat("A", maxCursor+1): "cursor: is none of ours",
	} {
		got := a.do(t, "GET", path, ``)
		if want == "" && !got.Success || want != "" && (got.StatusCode != http.StatusBadRequest || !strings.HasPrefix(got.Error, want)) {
			t.Errorf("%.80s: got %d %q; want %q", path, got.StatusCode, got.Error, want)
		}
	}
}
