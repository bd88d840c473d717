package console_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/console"
	"github.com/sluice-project/sluice/remediator/control"
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

func TestEveryLinkStaysBelowTheExternalURL(t *testing.T) {
	w := scene.Night()
	w.FreezeFor("x", time.Hour)
	d := open(t, w)
	d.h = console.Handler(console.Options{Engine: w, Journal: w, Base: "/sluice"})
	for _, path := range []string{"/", "/?show=out&q=a", "/service?pool=shop", app1Page, "/holds", "/approvals", "/refusals", "/freeze", "/maintenance", "/nothing"} {
		for _, n := range d.get(path).all("", "") {
			for _, a := range n.Attr {
				if (a.Key == "href" || a.Key == "action" || a.Key == "src") && a.Val != "#main" && !strings.HasPrefix(a.Val, "/sluice/console/") {
					t.Errorf("%s: <%s %s=%q>", path, n.Data, a.Key, a.Val)
				}
			}
		}
	}
	if s := d.post("/preferences", "lang", "ru", "back", "/holds"); s.Header.Get("Location") != "/sluice/console/holds" || s.Cookies()[0].Path != "/sluice/console" {
		t.Errorf("it leads to %s with %v", s.Header.Get("Location"), s.Cookies())
	}
	for _, back := range []string{"//example.com/", "https://example.com/", `/\example.com`, "javascript:alert(1)", "", "%zz"} {
		if s := d.post("/preferences", "lang", "ru", "back", back); s.Header.Get("Location") != "/sluice/console/" {
			t.Errorf("%q leads to %s", back, s.Header.Get("Location"))
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

func TestOthersPagesChangeNothing(t *testing.T) { // I22
	w := scene.Night()
	d := open(t, w)
	for _, path := range []string{"/member", "/holds", "/approvals", "/freeze", "/maintenance", "/preferences"} {
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
