package console_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/console/scene"
)

func TestAStepIsHandedOn(t *testing.T) {
	named := func(fields ...string) []string {
		return append([]string{"device", "edge1", "pool", "shop", "member", "app2"}, fields...)
	}
	app2 := edge.Member{Device: "edge1", Pool: "shop", Name: "app2"}
	for _, c := range []struct {
		name   string
		fields []string
		want   remediator.PersonOrder
	}{
		{"drain", named("do", "drain", "reason", " a new disk "), remediator.PersonOrder{Member: app2, To: edge.Drain, Reason: "a new disk", Actor: "192.0.2.1"}},
		{"maint", named("do", "maint", "reason", "x"), remediator.PersonOrder{Member: app2, To: edge.Maint, Reason: "x", Actor: "192.0.2.1"}},
		{"ready", named("do", "ready", "reason", "x"), remediator.PersonOrder{Member: app2, To: edge.Ready, Reason: "x", Actor: "192.0.2.1"}},
		{"weight", named("do", "weight", "weight", " 50 ", "reason", "x"), remediator.PersonOrder{Member: app2, Share: 50, Reason: "x", Actor: "192.0.2.1"}},
		{"over a guard", named("do", "drain", "reason", "x", "override", "min_serving", "override", "load"), remediator.PersonOrder{Member: app2, To: edge.Drain, Override: []string{"min_serving", "load"}, Reason: "x", Actor: "192.0.2.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := scene.Night()
			d := open(t, w)
			s := d.post("/member", c.fields...)
			if s.StatusCode != http.StatusSeeOther || s.Header.Get("Location") != "/console/member?device=edge1&done=applied&member=app2&pool=shop" {
				t.Fatalf("got %d to %q: %s", s.StatusCode, s.Header.Get("Location"), s.words())
			}
			if diff := cmp.Diff([]remediator.PersonOrder{c.want}, w.Orders); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			s = d.get(strings.TrimPrefix(s.Header.Get("Location"), "/console"))
			if !strings.Contains(s.words(), "Done Done, and read back from the device.") {
				t.Errorf("it isn't told: %s", s.words())
			}
		})
	}
}

func TestAStepThatIsWrongIsNotHandedOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		text   string
	}{
		{"without a reason", []string{"do", "drain"}, "reason is missing"},
		{"with blanks for a reason", []string{"do", "drain", "reason", "  "}, "reason is missing"},
		{"with two lines", []string{"do", "drain", "reason", "a\nb"}, "one line of printable text"},
		{"with a long reason", []string{"do", "drain", "reason", strings.Repeat("x", 301)}, "at most 300 characters"},
		{"with no such action", []string{"do", "explode", "reason", "x"}, "no such action"},
		{"with no weight", []string{"do", "weight", "reason", "x", "weight", "0"}, "want a number from 1 on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := scene.Night()
			s := open(t, w).post("/member", append(c.fields, "device", "edge1", "pool", "shop", "member", "app2")...)
			if s.StatusCode != http.StatusBadRequest || !strings.Contains(s.words(), c.text) || len(w.Orders) > 0 {
				t.Errorf("got %d, orders %v: %s", s.StatusCode, w.Orders, s.words())
			}
		})
	}
}

func TestASoftGuardsNoIsOfferedByName(t *testing.T) {
	load := guard.Finding{Guard: "load", Reason: "overload", Detail: "the others would be at 130%"}
	hard := guard.Finding{Guard: "agent", Reason: "agent_check", Detail: "an agent steers it"}
	for _, c := range []struct {
		name string
		no   []guard.Finding
		want []string // offered
	}{
		{"one", []guard.Finding{scene.TooFew}, []string{"min_serving"}},
		{"two", []guard.Finding{scene.TooFew, load}, []string{"min_serving", "load"}},
		{"a hard one too", []guard.Finding{hard, scene.TooFew}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := scene.Night()
			w.Refuse = scene.Decision(c.no...)
			d := open(t, w)
			s := d.post("/member", "device", "edge1", "pool", "shop", "member", "app2", "do", "drain", "reason", `a "new" disk`)
			if s.StatusCode != http.StatusConflict {
				t.Errorf("got %d", s.StatusCode)
			}
			var got []string
			reason := ""
			for _, n := range s.all("input", "") {
				if attr(n, "name") == "override" {
					got = append(got, attr(n, "value"))
				}
				if attr(n, "id") == "reason2" {
					reason = attr(n, "value")
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("offered (-want +got):\n%s", diff)
			}
			if c.want != nil && reason != `a "new" disk` {
				t.Errorf("the reason is %q", reason)
			}
			for _, f := range c.no {
				if !strings.Contains(s.words(), f.Guard+" "+f.Detail) {
					t.Errorf("it isn't told what %s said: %s", f.Guard, s.words())
				}
			}
		})
	}
}

// What was typed isn't lost by an order that couldn't be taken.
func TestAReasonThatWasGivenIsKept(t *testing.T) {
	for what, change := range map[string]func(*scene.World){
		"a guard's no that nobody can override": func(w *scene.World) {
			w.Refuse = scene.Decision(guard.Finding{Guard: "agent", Reason: "agent_check", Detail: "an agent steers it"})
		},
		"a device that is busy": func(w *scene.World) { w.OrderErr = remediator.ErrBusy },
	} {
		w := scene.Night()
		d := open(t, w)
		change(w)
		s := d.post("/member", "device", "edge1", "pool", "shop", "member", "app2", "do", "drain", "reason", "a new disk")
		kept := false
		for _, n := range s.all("input", "") {
			kept = kept || attr(n, "id") == "reason" && attr(n, "value") == "a new disk"
		}
		if !kept {
			t.Errorf("%s: got %d: %s", what, s.StatusCode, s.words())
		}
	}
}

func TestOutcomesAreTold(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"no device", fmt.Errorf("x: %w", remediator.ErrNoDevice), http.StatusNotFound, "no such device"},
		{"no weight", fmt.Errorf("300: %w", remediator.ErrWeight), http.StatusBadRequest, "300: no such weight"},
		{"busy", remediator.ErrBusy, http.StatusServiceUnavailable, "the device is busy"},
	} {
		w := scene.Night()
		d := open(t, w)
		w.OrderErr = c.err
		s := d.post("/member", "device", "edge1", "pool", "shop", "member", "app2", "do", "drain", "reason", "x")
		if s.StatusCode != c.code || !strings.Contains(s.words(), c.text) {
			t.Errorf("%s: got %d: %s", c.name, s.StatusCode, s.words())
		}
	}
}

func TestHoldsAreGivenBack(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	s := d.post("/holds", "device", "edge1", "pool", "shop", "member", "app1", "reason", "it is well", "back", "/holds")
	if s.StatusCode != http.StatusSeeOther || s.Header.Get("Location") != "/console/holds?done=release" {
		t.Errorf("got %d to %q", s.StatusCode, s.Header.Get("Location"))
	}
	if w.Woken != 1 {
		t.Errorf("the engine was woken %d times: what a person wants is done at once", w.Woken)
	}
	s = d.post("/holds", "device", "edge1", "pool", "shop", "member", "app9", "reason", "it is well")
	if s.StatusCode != http.StatusNotFound || !strings.Contains(s.words(), "no hold on edge1/shop/app9") {
		t.Errorf("got %d: %s", s.StatusCode, s.words())
	}
	if diff := cmp.Diff([]string{"release edge1/shop/app1 by 192.0.2.1: it is well", "release edge1/shop/app9 by 192.0.2.1: it is well"}, w.Asked); diff != "" {
		t.Error(diff)
	}
}

func TestApprovalsAreAnswered(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	s := d.get("/approvals")
	if text := s.words(); !strings.Contains(text, "edge1/api/api3") || !strings.Contains(text, "a claim is seen, and probe:api finds it bad: timeout after 1s") {
		t.Errorf("got %s", text)
	}
	for _, c := range []struct {
		fields []string
		code   int
		asked  int
	}{
		{[]string{"do", "approve"}, http.StatusSeeOther, 1},
		{[]string{"do", "approve", "reason", "go"}, http.StatusSeeOther, 2},
		{[]string{"do", "approve", "reason", "a\x07b"}, http.StatusBadRequest, 2},
		{[]string{"do", "reject"}, http.StatusBadRequest, 2},
		{[]string{"do", "reject", "reason", "not now"}, http.StatusSeeOther, 3},
		{[]string{"do", "perhaps", "reason", "x"}, http.StatusBadRequest, 3},
	} {
		s := d.post("/approvals", append(c.fields, "device", "edge1", "pool", "api", "member", "api3")...)
		if s.StatusCode != c.code || len(w.Asked) != c.asked {
			t.Errorf("%v: got %d, asked %v", c.fields, s.StatusCode, w.Asked)
		}
	}
}

func TestAFreezeIsSetAndLifted(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	for _, c := range []struct {
		fields []string
		code   int
		text   string
	}{
		{[]string{"do", "freeze"}, http.StatusBadRequest, "reason is missing"},
		{[]string{"do", "freeze", "reason", "deploy", "for", "soon"}, http.StatusBadRequest, "want 30m, 2h or 1d"},
		{[]string{"do", "melt", "reason", "deploy"}, http.StatusBadRequest, "no such action"},
	} {
		if s := d.post("/freeze", c.fields...); s.StatusCode != c.code || !strings.Contains(s.words(), c.text) || w.Frozen != nil {
			t.Errorf("%v: got %d: %s", c.fields, s.StatusCode, s.words())
		}
	}
	if s := d.post("/freeze", "do", "freeze", "reason", "deploy", "for", "2h"); s.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d: %s", s.StatusCode, s.words())
	}
	if f := w.Frozen; f == nil || f.Reason != "deploy" || f.Actor != "192.0.2.1" || f.Until.Sub(f.At) != 2*time.Hour {
		t.Errorf("got %+v", f)
	}
	for _, path := range []string{"/", "/holds", app1Page} {
		if s := d.get(path); !strings.Contains(s.words(), "Frozen deploy by 192.0.2.1") {
			t.Errorf("%s doesn't tell of the freeze: %s", path, s.words())
		}
	}
	if s := d.post("/freeze", "do", "thaw"); s.StatusCode != http.StatusSeeOther || w.Frozen != nil {
		t.Errorf("got %d, and %+v", s.StatusCode, w.Frozen)
	}
}

func TestOnePoolIsFrozenByItself(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	var values []string
	for _, n := range d.get("/freeze?device=edge1&pool=shop").all("option", "") {
		values = append(values, attr(n, "value"))
		if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "selected" }) && words(n) != "edge1 / shop" {
			t.Errorf("%s is chosen", words(n))
		}
	}
	want := []string{"", "device=edge1&pool=", "device=edge1&pool=shop", "device=edge1&pool=search", "device=edge2&pool=", "device=edge2&pool=shop", "device=edge3&pool=", "device=waf1&pool="}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Fatalf("offered (-want +got):\n%s", diff)
	}
	if s := d.post("/freeze", "do", "freeze", "reason", "deploy", "scope", values[2]); s.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %d: %s", s.StatusCode, s.words())
	}
	if len(w.Scopes) != 1 || w.Scopes[0].Scope() != (edge.Pool{Device: "edge1", Name: "shop"}) || w.Frozen != nil {
		t.Errorf("got %+v", w.Scopes)
	}
	if s := d.get("/"); !strings.Contains(s.words(), "Frozen edge1/shop deploy by 192.0.2.1") {
		t.Errorf("it isn't told: %s", s.words())
	}
	for _, scope := range []string{"device=nothing", "pool=shop", "%zz"} {
		if s := d.post("/freeze", "do", "freeze", "reason", "deploy", "scope", scope); s.StatusCode < 400 || len(w.Scopes) != 1 {
			t.Errorf("%s: got %d", scope, s.StatusCode)
		}
	}
	if s := d.post("/freeze", "do", "thaw", "scope", values[2]); s.StatusCode != http.StatusSeeOther || len(w.Scopes) != 0 {
		t.Errorf("got %d, %v", s.StatusCode, w.Scopes)
	}
}

func TestAMemberIsClaimedAndReleased(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	send := func(fields ...string) sheet {
		return d.post("/member", append(fields, "device", "edge1", "pool", "shop", "member", "app2")...)
	}
	if s := send("do", "unclaim", "reason", "x"); s.StatusCode != http.StatusNotFound {
		t.Errorf("got %d: %s", s.StatusCode, s.words())
	}
	if s := send("do", "claim"); s.StatusCode != http.StatusBadRequest || len(w.Claimed) > 1 {
		t.Errorf("got %d: %s", s.StatusCode, s.words())
	}
	if s := send("do", "claim", "reason", "I look at it", "for", "1h"); s.StatusCode != http.StatusSeeOther || len(w.Claimed) != 2 {
		t.Fatalf("got %d: %s", s.StatusCode, s.words())
	}
	if c := w.Claimed[1]; c.Actor != "192.0.2.1" || c.Reason != "I look at it" || c.Until.Sub(c.At) != time.Hour {
		t.Errorf("got %+v", c)
	}
	for _, path := range []string{"/", "/member?device=edge1&pool=shop&member=app2"} {
		if s := d.get(path); !strings.Contains(s.words(), "claimed by 192.0.2.1") {
			t.Errorf("%s doesn't tell: %s", path, s.words())
		}
	}
	if s := send("do", "unclaim", "reason", "done"); s.StatusCode != http.StatusSeeOther || len(w.Claimed) != 1 {
		t.Errorf("got %d: %s", s.StatusCode, s.words())
	}
}

func TestMaintenanceWindowsBeginAndEnd(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	if got, want := d.get("/maintenance").row(t, "disks"), "disks ann in force for another 2 h 59 m edge1/search"; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := d.get("/maintenance").row(t, "sunday"), "sunday configuration not now begins in 12 h 59 m everything sun 03:00 – 05:00 Europe/Berlin backups of the databases"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, c := range []struct {
		fields []string
		code   int
	}{
		{[]string{"do", "begin", "reason", "x", "for", "1h"}, http.StatusBadRequest},
		{[]string{"do", "begin", "name", "a\u202eb", "reason", "x", "for", "1h"}, http.StatusBadRequest},
		{[]string{"do", "begin", "name", "x", "for", "1h"}, http.StatusBadRequest},
		{[]string{"do", "begin", "name", "x", "reason", "x"}, http.StatusBadRequest},
		{[]string{"do", "begin", "name", "x", "reason", "x", "for", "1h", "scope", "pool=x"}, http.StatusBadRequest},
		{[]string{"do", "else", "name", "x", "reason", "x", "for", "1h"}, http.StatusBadRequest},
		{[]string{"do", "end", "name", "sunday"}, http.StatusNotFound}, // the configuration's
		{[]string{"do", "end", "name", "nothing"}, http.StatusNotFound},
	} {
		if s := d.post("/maintenance", c.fields...); s.StatusCode != c.code || len(w.Maintenance) != 2 {
			t.Errorf("%q: got %d: %s", c.fields, s.StatusCode, s.words())
		}
	}
	if s := d.post("/maintenance", "do", "begin", "name", "x", "reason", "y", "for", "1h", "scope", "device=edge.1&pool=shop"); s.StatusCode != http.StatusSeeOther || len(w.Maintenance) != 3 {
		t.Fatalf("got %d: %s", s.StatusCode, s.words())
	}
	if got := w.Maintenance[2]; got.Members != (control.Selector{Device: `edge\.1`, Pool: "shop"}) || got.Actor != "192.0.2.1" || got.From == "" || got.To <= got.From {
		t.Errorf("got %+v", got)
	}
	if s := d.post("/maintenance", "do", "end", "name", "x"); s.StatusCode != http.StatusSeeOther || len(w.Maintenance) != 2 {
		t.Errorf("got %d: %s", s.StatusCode, s.words())
	}
}

// Who may look at nothing hears nothing of how things stand, on no page.
func TestAWebhookSeesNoPage(t *testing.T) {
	who, err := access.Named("alertmanager", access.ViaToken, []string{access.Hook})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/service?pool=shop", "/member?device=edge1&pool=shop&member=app1", "/holds", "/approvals", "/refusals", "/freeze", "/maintenance"} {
		d := open(t, scene.Night())
		d.who = &who
		s := d.get(path)
		if s.StatusCode != http.StatusForbidden || !strings.Contains(s.words(), "the role viewer is missing") {
			t.Errorf("%s: %d %s", path, s.StatusCode, s.words())
		}
		for _, told := range []string{"edge1", "shop", "Frozen", "auto"} {
			if path != "/member?device=edge1&pool=shop&member=app1" && strings.Contains(s.words(), told) {
				t.Errorf("%s tells of %s: %s", path, told, s.words())
			}
		}
	}
}

// A team sees its own pool, on each page; the test of the whole process looks at each
// path.
func TestALimitedRoleSeesNoOtherPoolOnAnyPage(t *testing.T) {
	who, err := access.Named("search-team", access.ViaToken, []string{"search-team"}, access.Role{Name: "search-team", Like: access.Operator, Pools: []string{"search"}})
	if err != nil {
		t.Fatal(err)
	}
	see := func(as *access.Identity, path string) (int, string) {
		d := open(t, scene.Night())
		d.who = as
		s := d.get(path)
		return s.StatusCode, s.text
	}
	for _, path := range []string{"/", "/service?pool=search", "/holds", "/approvals", "/refusals", "/freeze", "/maintenance", "/member?device=edge1&pool=search&member=node1"} {
		code, text := see(&who, path)
		for _, other := range []string{"shop", "api3", "app1", "app2", `<span class="count`, "edge3", "waf1"} {
			if code != http.StatusOK || strings.Contains(text, other) {
				t.Errorf("%s: %d, with %s", path, code, other)
			}
		}
	}
	for path, other := range map[string]string{"/": `<span class="count`, "/holds": "app1", "/approvals": "api3", "/refusals": "shop", "/freeze": "shop"} {
		if code, text := see(nil, path); code != http.StatusOK || !strings.Contains(text, other) {
			t.Errorf("%s: %d: nobody sees %s, so the test sees nothing", path, code, other)
		}
	}
	if code, text := see(&who, "/member?device=edge1&pool=shop&member=app1"); code != http.StatusForbidden || strings.Contains(text, "192.0.2.10") {
		t.Errorf("another pool's member: %d", code)
	}
}

func TestRefusalsOfOthersHideNone(t *testing.T) {
	who, err := access.Named("search-team", access.ViaToken, []string{"search-team"}, access.Role{Name: "search-team", Like: access.Viewer, Devices: []string{"edge1"}, Pools: []string{"search"}})
	if err != nil {
		t.Fatal(err)
	}
	w := scene.Night()
	refusal := func(pool, detail string) {
		w.History = append(w.History, journal.Entry{
			Seq: uint64(1000 + len(w.History)), At: time.Now(), Event: "refusal", Guard: "min_serving", Reason: "too_few_left", Detail: detail,
			Member: &edge.Member{Device: "edge1", Pool: pool, Name: "node1"},
		})
	}
	refusal("search", "the only one of theirs")
	for range 150 {
		refusal("shop", "another's")
	}
	d := open(t, w)
	d.who = &who
	if s := d.get("/refusals"); !strings.Contains(s.text, "the only one of theirs") || strings.Contains(s.text, "another's") {
		t.Errorf("%d: %s", s.StatusCode, s.text)
	}
}

func TestALimitedRoleSeesNoOtherDevice(t *testing.T) {
	who, err := access.Named("edge1-team", access.ViaToken, []string{"edge1-team"}, access.Role{Name: "edge1-team", Like: access.Operator, Devices: []string{"edge1"}, Pools: []string{"shop"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/member?device=edge1&pool=shop&member=app1", "/service?pool=shop", "/maintenance", "/freeze", "/holds"} {
		d := open(t, scene.Night())
		d.who = &who
		s := d.get(path)
		for _, other := range []string{"edge2", "node1", "disks"} {
			if s.StatusCode != http.StatusOK || strings.Contains(s.text, other) {
				t.Errorf("%s: %d, with %s", path, s.StatusCode, other)
			}
		}
	}
}

func TestALimitedRoleEndsNoWindowOfOthers(t *testing.T) {
	w := scene.Night()
	for _, role := range []string{"shop", "search"} {
		want := map[string]int{"shop": http.StatusForbidden, "search": http.StatusSeeOther}[role]
		who, err := access.Named("ann", access.ViaToken, []string{role}, access.Role{Name: role, Like: access.Operator, Pools: []string{role}})
		if err != nil {
			t.Fatal(err)
		}
		d := open(t, w)
		d.who = &who
		if s := d.post("/maintenance", "do", "end", "name", "disks"); s.StatusCode != want {
			t.Errorf("who has %s: %d %s", role, s.StatusCode, s.words())
		}
	}
}
