package console_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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

const app1Page = "/member?device=edge1&pool=shop&member=app1"

func TestTheFirstScreenTellsWhatEachNodeSays(t *testing.T) {
	s := open(t, scene.Night()).get("/")
	for _, want := range []struct{ prefix, line string }{
		{"api edge1", "api edge1 3 /4 edge2 4 /4 nodes differ in 1"},
		{"api1", "api1 edge1 edge2 in service 41 h 0 m – 134 0 100"},
		{"api3", "api3 nodes differ"},
		{"api4", "api4 weights differ"},
		{"edge1 down", "edge1 down 3 m – 0 0 100"},
		{"edge2 in service 41 h 0 m – 67 0 25", "edge2 in service 41 h 0 m – 67 0 25 ≠"},
		{"search", "search edge1 2 /5 Maintenance ≥ 2"},
		{"node1", "node1 maint claimed by ann 1 h 35 m ann new disks, until noon 17 0 100"},
		{"node4", "node4 drain – somebody, not through Sluice 17 0 100"},
		{"spare", "spare standby 41 h 0 m – 0 0 100"},
		{"shop edge1", "shop edge1 2 /3 ≥ 50% edge2 2 /3 ≥ 50% nodes agree"},
		{"app1", "app1 edge1 edge2 drain held 7 m Sluice policy drain probe:shop finds it bad: status 503 32 0 100"},
		{"192.0.2.31", "192.0.2.31:443 in service – – 90 0 1"},
	} {
		if got := s.row(t, want.prefix); got != want.line {
			t.Errorf("got  %s\nwant %s", got, want.line)
		}
	}
	if sick := s.all("ul", "sick"); len(sick) != 1 || !strings.Contains(words(sick[0]), "Can't be read edge3 read edge3: connect /run/haproxy/admin.sock: connection refused") {
		t.Error("it isn't told on top which device can't be read")
	}
	if h1 := s.all("h1", ""); len(h1) != 1 {
		t.Error("want one heading")
	}
}

func TestFiltersShowWhatTheySay(t *testing.T) {
	d := open(t, scene.Night())
	for query, want := range map[string][]string{
		"?show=out":               {"node1", "node4", "app1"},
		"?show=down":              {"api3"},
		"?show=held":              {"app1"},
		"?show=differ":            {"api3"},
		"?q=NODE":                 {"node1", "node2", "node3", "node4"},
		"?q=waf1":                 {"192.0.2.31:443", "192.0.2.32:443", "192.0.2.33:443"},
		"?show=out&q=search":      {"node1", "node4"},
		"?q=nothing+is+like+that": nil,
	} {
		var got []string
		s := d.get("/" + query)
		for _, tr := range s.all("tr", "") {
			if key := attr(tr, "data-key"); key != "" && attr(tr, "class") != "node" {
				got = append(got, key)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
		if want == nil && !strings.Contains(s.words(), "No member is like that.") {
			t.Errorf("%s: it isn't told", query)
		}
	}
}

func TestAThousandMembersHaveRoom(t *testing.T) {
	d := open(t, scene.Many(1000))
	s := d.get("/")
	if len(s.text) > 400<<10 {
		t.Errorf("the page has %d bytes", len(s.text))
	}
	if down := strings.Count(s.text, `class="kind down"`); down < 10 {
		t.Errorf("only %d of the 20 that are down are shown", down)
	}
	if !strings.Contains(s.words(), "more members of this service") {
		t.Error("what isn't shown isn't counted")
	}
	seen := map[string]bool{}
	pages := 0
	for path := "/service?pool=pool0"; path != ""; pages++ {
		s = d.get(path)
		path = ""
		for _, a := range s.all("a", "") {
			if strings.HasPrefix(attr(a, "href"), "/console/member?") && strings.Contains(attr(a, "href"), "pool=pool0") {
				seen[attr(a, "href")] = true
			}
			if words(a) == "Next page" {
				path = strings.TrimPrefix(attr(a, "href"), "/console")
			}
		}
		if pages > 20 {
			t.Fatal("there is no last page")
		}
	}
	if len(seen) != 40 {
		t.Errorf("a service's own pages show %d of its 40 members", len(seen))
	}
}

func TestAServiceIsShownPageByPage(t *testing.T) {
	w := scene.Many(0)
	for i := range 450 {
		w.Roster.Members = append(w.Roster.Members, scene.Member("edge1", "wide", fmt.Sprintf("m%d", i)))
	}
	d := open(t, w)
	var got []string
	for path := "/service?pool=wide"; path != ""; {
		s := d.get(path)
		path = ""
		for _, tr := range s.all("tr", "") {
			if key := attr(tr, "data-key"); key != "" {
				got = append(got, key)
			}
		}
		for _, a := range s.all("a", "") {
			if words(a) == "Next page" {
				path = strings.TrimPrefix(attr(a, "href"), "/console")
			}
		}
		if len(got) > 1000 {
			t.Fatal("there is no last page")
		}
	}
	if len(got) != 450 || got[0] != "m0" || got[10] != "m10" || got[449] != "m449" {
		t.Errorf("got %d: %v", len(got), got)
	}
}

func TestWhatOthersSayIsText(t *testing.T) { // I21
	const hostile = `<script>alert(1)</script>"><a href="https://example.com">x</a>` + "\u202e\x00\x1b[31m"
	w := scene.Night()
	m := scene.Out(scene.Member(hostile, hostile, hostile), edge.Drain, control.SetBy{By: "person", Actor: hostile, Reason: hostile, Policy: hostile})
	m.Address, m.Marks = hostile, hostile
	w.Roster.Members = append(w.Roster.Members, m)
	w.Roster.Devices = append(w.Roster.Devices, control.Device{Device: hostile, Error: strings.Repeat(hostile, 100)})
	w.Frozen = &journal.Freeze{Reason: hostile, Actor: hostile, At: time.Now()}
	w.State.Standby, w.State.Brake = hostile, hostile
	h := journal.Hold{ID: "h99", Member: m.Member, Policy: hostile, Reason: hostile, Phase: journal.Superseded}
	w.Held = append(w.Held, h)
	w.Waits["h99"] = []remediator.Await{{Word: "superseded", Detail: hostile}}
	c := h
	c.ID, c.Phase, c.Answer = "h98", journal.AwaitingApproval, &journal.Answer{By: hostile, Note: hostile}
	w.Candidate = append(w.Candidate, c)
	w.History = append(w.History, journal.Entry{
		Event: "refusal", Member: &m.Member, Hold: "h98", Guard: hostile, Reason: hostile, Detail: hostile, Actor: hostile, Result: hostile,
	})
	d := open(t, w)
	var links string
	for _, path := range []string{"/", "/holds", "/approvals", "/refusals", "/freeze"} {
		s := d.get(path)
		for _, a := range s.all("a", "") {
			if strings.HasPrefix(attr(a, "href"), "/console/member?") && strings.Contains(attr(a, "href"), "script") {
				links = attr(a, "href")
			}
		}
		wantHarmless(t, path, s)
	}
	if links == "" {
		t.Fatal("its page isn't linked")
	}
	s := d.get(strings.TrimPrefix(links, "/console"))
	if s.StatusCode != http.StatusOK {
		t.Errorf("its page answers %d", s.StatusCode)
	}
	wantHarmless(t, "its page", s)
	wantHarmless(t, "no page", d.get("/service?pool="+"%3Cscript%3E"))
}

func wantHarmless(t *testing.T, path string, s sheet) {
	t.Helper()
	if n := len(s.all("script", "")); n != 1 {
		t.Errorf("%s has %d scripts", path, n)
	}
	for _, n := range s.all("", "") {
		for _, a := range n.Attr {
			outside := strings.Contains(a.Val, "example.com") && (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/console/")
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || outside {
				t.Errorf("%s: <%s %s=%q>", path, n.Data, a.Key, a.Val)
			}
		}
	}
	seen := s.words()
	for _, n := range s.all("", "") {
		seen += attr(n, "title") + attr(n, "aria-label") + attr(n, "placeholder")
	}
	if strings.ContainsAny(seen, "\u202e\x00\x1b") {
		t.Errorf("%s has characters that move others", path)
	}
	for _, n := range s.all("bdi", "") {
		if len([]rune(words(n))) > 420 {
			t.Errorf("%s: a text isn't cut: %d characters", path, len([]rune(words(n))))
		}
	}
}

func TestEveryAnswerIsStrict(t *testing.T) {
	d := open(t, scene.Night())
	for _, path := range []string{"/", "/holds", "/nothing", "/assets/console.js", "/assets/nothing"} {
		s := d.get(path)
		policy := s.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if s.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: types are guessed", path)
		}
	}
}

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

func TestOthersPagesChangeNothing(t *testing.T) { // I22
	w := scene.Night()
	d := open(t, w)
	for _, path := range []string{"/member", "/holds", "/approvals", "/freeze", "/claim", "/maintenance", "/preferences"} {
		r := httptest.NewRequest(http.MethodPost, "/console"+path, strings.NewReader("do=freeze&reason=x&theme=dark&device=edge1&pool=shop&member=app1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if s := d.do(r); s.StatusCode != http.StatusForbidden || len(s.Cookies()) > 0 {
			t.Errorf("%s: got %d", path, s.StatusCode)
		}
	}
	if len(w.Orders) > 0 || len(w.Asked) > 0 || w.Frozen != nil || len(w.Claimed) > 1 || len(w.Maintenance) != 2 {
		t.Error("something was done")
	}
}

func TestBadInputIsAnsweredClearly(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, method, path, kind, body string
		code                           int
	}{
		{"a method that isn't served", "DELETE", "/console/member", "", "", http.StatusMethodNotAllowed},
		{"a form for a page that has none", "POST", "/console/", form, "do=drain", http.StatusMethodNotAllowed},
		{"another method for all", "PUT", "/console/freeze", form, "do=thaw", http.StatusMethodNotAllowed},
		{"JSON", "POST", "/console/member", "application/json", `{"do":"drain"}`, http.StatusUnsupportedMediaType},
		{"no type", "POST", "/console/member", "", "do=drain", http.StatusUnsupportedMediaType},
		{"two megabytes", "POST", "/console/member", form, "do=drain&reason=" + strings.Repeat("x", 2<<20), http.StatusRequestEntityTooLarge},
		{"what can't be decoded", "POST", "/console/member", form, "do=%zz", http.StatusBadRequest},
		{"many fields", "POST", "/console/member", form, "device=edge1&pool=shop&member=app2&" + strings.Repeat("override=load&", 4000), http.StatusBadRequest},
		{"another folder", "GET", "/console/%2e%2e/x", "", "", http.StatusNotFound},
		{"a line's end", "GET", "/console/a%0ab", "", "", http.StatusNotFound},
		{"a semicolon", "GET", "/console/member;x", "", "", http.StatusNotFound},
		{"another asset", "GET", "/console/assets/..%2fconsole.go", "", "", http.StatusNotFound},
		{"nobody's member", "GET", "/console/member", "", "", http.StatusNotFound},
		{"an odd query", "GET", "/console/?show=%ff%00&q=%zz", "", "", http.StatusOK},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		s := d.do(r)
		if s.StatusCode != c.code {
			t.Errorf("%s: got %d: %s", c.name, s.StatusCode, s.words())
		}
		if c.code == http.StatusMethodNotAllowed && s.Header.Get("Allow") == "" {
			t.Errorf("%s: it isn't told what is allowed", c.name)
		}
	}
	if len(w.Orders) > 0 || w.Frozen != nil {
		t.Error("something was done")
	}
}

func FuzzConsole(f *testing.F) {
	f.Add("GET", "/", "show=out&q=x", "")
	f.Add("POST", "/member", "", "device=edge1&pool=shop&member=app2&do=drain&reason=x&override=min_serving")
	f.Add("POST", "/freeze", "", "do=freeze&reason=x&for=1h&scope=device%3Dedge1")
	f.Add("POST", "/preferences", "", "lang=ru&back=//example.com/x&theme=dark")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if method != http.MethodGet && method != http.MethodPost || !strings.HasPrefix(path, "/") {
			return
		}
		u := (&url.URL{Path: "/console" + path, RawQuery: query}).String()
		if _, err := url.ParseRequestURI(u); err != nil {
			return
		}
		r, err := http.NewRequest(method, u, strings.NewReader(body))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		s := open(t, scene.Night()).do(r)
		if s.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%s %s: %d: %s", method, u, s.StatusCode, s.words())
		}
		if to := s.Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/console/") || strings.HasPrefix(to, "//")) {
			t.Errorf("%s %s leads to %s", method, u, to)
		}
		if strings.Contains(s.Header.Get("Content-Type"), "text/html") {
			wantHarmless(t, u, s)
		}
	})
}

func TestWhoMayNotIsToldWhichRoleIsMissing(t *testing.T) {
	w := scene.Night()
	d := open(t, w)
	d.who = &access.Identity{Name: "ann", Via: access.ViaToken, Roles: []string{"webhook"}}
	for _, path := range []string{app1Page} {
		if s := d.get(path); s.StatusCode != http.StatusForbidden || !strings.Contains(s.words(), "the role viewer is missing") {
			t.Errorf("%s: got %d: %s", path, s.StatusCode, s.words())
		}
	}
	s := d.get("/")
	if n := len(s.all("tr", "node")) + len(s.all("tr", "service")); n > 0 || strings.Contains(s.words(), "edge3") {
		t.Errorf("somebody without a role sees members: %s", s.words())
	}
	for path, form := range map[string][]string{
		"/member":    {"do", "drain", "reason", "x"},
		"/holds":     {"reason", "x"},
		"/approvals": {"do", "approve"},
		"/freeze":    {"do", "freeze", "reason", "x"},
		"/claim":     {"do", "claim", "reason", "x"},

		"/maintenance": {"do", "begin", "reason", "x", "name", "x", "for", "1h"},
	} {
		s := d.post(path, append(form, "device", "edge1", "pool", "shop", "member", "app1")...)
		if s.StatusCode != http.StatusForbidden || !strings.Contains(s.words(), "the role operator is missing") {
			t.Errorf("%s: got %d: %s", path, s.StatusCode, s.words())
		}
	}
	if len(w.Orders) > 0 || len(w.Asked) > 0 || w.Frozen != nil || len(w.Claimed) > 1 || len(w.Maintenance) != 2 {
		t.Error("something was done")
	}
}

func TestHoldsSayWhatTheyWaitFor(t *testing.T) {
	s := open(t, scene.Night()).get("/holds")
	text := s.words()
	for _, want := range []string{
		"edge1/shop/app1", "good for 12 s ; wanted for another 47 s",
		`its claim ends; it was last seen 20 s ago {alertname="MemberFailing", device="edge2", member="app1", pool="shop"}`,
		"own probes find it good, 2 in a row",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q isn't told: %s", want, text)
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
		return d.post("/claim", append(fields, "device", "edge1", "pool", "shop", "member", "app2")...)
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

func TestTheJournalThatCantBeReadIsTold(t *testing.T) {
	w := scene.Night()
	w.Err = errors.New("journal:\nno space left")
	d := open(t, w)
	for _, path := range []string{"/", "/holds", "/approvals", "/refusals", app1Page, "/service?pool=shop"} {
		if s := d.get(path); s.StatusCode != http.StatusServiceUnavailable || !strings.Contains(s.words(), "journal: no space left") {
			t.Errorf("%s: got %d: %s", path, s.StatusCode, s.words())
		}
	}
}

func TestAMemberHasItsHistory(t *testing.T) {
	d := open(t, scene.Night())
	s := d.get(app1Page)
	rows := s.rows()
	if len(rows) != 6 || !strings.Contains(rows[1], "step drain applied Sluice read back as drain (FDRAIN)") || !strings.Contains(rows[5], "order drain ann kernel update") {
		t.Errorf("got %s", strings.Join(rows, "\n"))
	}
	if !strings.Contains(s.words(), "good for 12 s ; wanted for another") {
		t.Error("its hold isn't told of")
	}
	if s := d.get("/member?device=edge1&pool=shop&member=nobody"); s.StatusCode != http.StatusNotFound {
		t.Errorf("nobody's page answers %d", s.StatusCode)
	}
	if s := d.get("/member?device=edge3&pool=shop&member=app1"); s.StatusCode != http.StatusOK || !strings.Contains(s.words(), "The device can't be read now") {
		t.Errorf("got %d: %s", s.StatusCode, s.words())
	}
}
