package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

// windowNames are those of an answer's windows, each with where it stands.
func windowNames(t *testing.T, g answer) (out []string) {
	t.Helper()
	type windows struct{ Windows []Window }
	for _, w := range into[windows](t, g).Windows {
		out = append(out, w.Source+" "+w.Name)
	}
	return out
}

func TestWindowsAreMadeAndTakenAway(t *testing.T) {
	a := newAPI(t)
	w := into[Window](t, a.do(t, "POST", "/api/v1/maintenance", `{"name":" patch night ","cron":"30 2 * * sun","duration":"2h","members":{"device":"edge1"},"reason":"kernel"}`))
	want := Window{WindowSpec: WindowSpec{Name: "patch night", Cron: "30 2 * * sun", Duration: "2h", Members: Selector{Device: "edge1"}, Reason: "kernel"}, Source: FromAPI, Actor: "192.0.2.1"}
	if d := cmp.Diff(want, w); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"config backup", "api patch night"}, windowNames(t, a.do(t, "GET", "/api/v1/maintenance", ""))); d != "" {
		t.Error(d)
	}
	if got := string(a.do(t, "DELETE", "/api/v1/maintenance/patch%20night", "").Data); got != `{"name":"patch night","status":"dropped"}` {
		t.Errorf("got %s", got)
	}
	if d := cmp.Diff([]string{"config backup"}, windowNames(t, a.do(t, "GET", "/api/v1/maintenance", ""))); d != "" {
		t.Error(d)
	}
	if a.engine.woken != 2 {
		t.Errorf("woken %d times; want 2", a.engine.woken)
	}
}

func TestMistakesWithWindows(t *testing.T) { // I2, I21
	a := newAPI(t)
	for _, tt := range []struct {
		name, role, method, path, body string
		code                           int
		text                           string
	}{
		{"what the engine refuses", "admin", "POST", "/api/v1/maintenance", `{"name":"x"}`, 400, "cron is missing"},
		{"a key that is none", "admin", "POST", "/api/v1/maintenance", `{"name":"x","until":"noon"}`, 400, "unknown field"},
		{"no body", "admin", "POST", "/api/v1/maintenance", ``, 400, "body is empty"},
		{"a name of two lines", "admin", "POST", "/api/v1/maintenance", `{"name":"a\nb","cron":"x"}`, 400, "one line of printable text"},
		{"a long name", "admin", "POST", "/api/v1/maintenance", `{"name":"` + strings.Repeat("x", 101) + `","cron":"x"}`, 400, "at most 100 characters"},
		{"a long expression", "admin", "POST", "/api/v1/maintenance", `{"name":"x","cron":"x","members":{"pool":"` + strings.Repeat("x", maxWindow) + `"}}`, 400, "at most 4096 bytes"},
		{"many days", "admin", "POST", "/api/v1/maintenance", `{"name":"x","days":["mon"` + strings.Repeat(`,"mon"`, 2000) + `]}`, 400, "at most 4096 bytes"},
		{"a reason of two lines", "admin", "POST", "/api/v1/maintenance", `{"name":"x","cron":"x","reason":"a\nb"}`, 400, "one line of printable text"},
		{"one of the configuration", "admin", "DELETE", "/api/v1/maintenance/backup", ``, 409, "stands in the configuration"},
		{"one that isn't", "admin", "DELETE", "/api/v1/maintenance/other", ``, 404, `no maintenance window "other"`},
		{"one can't be got", "admin", "GET", "/api/v1/maintenance/backup", ``, 405, "use DELETE"},
		{"a viewer makes none", "viewer", "POST", "/api/v1/maintenance", `{"name":"x","cron":"x"}`, 403, "the role operator is missing"},
		{"a viewer looks", "viewer", "GET", "/api/v1/maintenance", ``, 200, ""},
		{"a webhook doesn't", "webhook", "GET", "/api/v1/maintenance", ``, 403, "missing"},
		{"a viewer takes none away", "viewer", "DELETE", "/api/v1/maintenance/x", ``, 403, "the role operator is missing"},
		{"who has one pool makes one there", "shop", "POST", "/api/v1/maintenance", `{"name":"theirs","cron":"x","members":{"device":"edge1","pool":"shop"}}`, 200, ""},
		{"but none for the device", "shop", "POST", "/api/v1/maintenance", `{"name":"y","cron":"x","members":{"device":"edge1"}}`, 403, "limited"},
		{"nor for all", "shop", "POST", "/api/v1/maintenance", `{"name":"y","cron":"x"}`, 403, "limited"},
		{"nor by an expression", "shop", "POST", "/api/v1/maintenance", `{"name":"y","cron":"x","members":{"device":"edge1","pool":"shop|api"}}`, 403, "limited"},
		{"who has another device takes theirs not away", "edge2", "DELETE", "/api/v1/maintenance/theirs", ``, 403, "limited"},
		{"they do", "shop", "DELETE", "/api/v1/maintenance/theirs", ``, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := a.do(t, tt.method, tt.path, tt.body, as(t, tt.role))
			if got.StatusCode != tt.code || !strings.Contains(got.Error, tt.text) {
				t.Errorf("got %d %q; want %d %q", got.StatusCode, got.Error, tt.code, tt.text)
			}
		})
	}
	if b, err := a.journal.Barriers(); err != nil || len(b.Windows) != 0 {
		t.Errorf("a mistake is in force: %+v, %v", b, err)
	}
}

func TestWhatASelectorIsAbout(t *testing.T) {
	for s, want := range map[Selector]edge.Pool{
		{}:                              {},
		{Device: "edge1", Pool: "shop"}: {Device: "edge1", Name: "shop"},
		{Device: "edge1", Pool: "shop", Member: "s1"}: {Device: "edge1", Name: "shop"},
		{Device: "edge1"}:                                      {Device: "edge1"},
		{Device: "edge1", Pool: ".*"}:                          {Device: "edge1"},
		{Device: "edge1.example.com", Pool: "shop"}:            {}, // an expression that has others, too
		{Device: "edge.", Pool: "shop"}:                        {},
		{Device: `edge1\.example\.com`, Pool: `shop\.v2\|b\\`}: {Device: "edge1.example.com", Name: `shop.v2|b\`}, // as the console writes it
		{Device: `edge\d`, Pool: "shop"}:                       {},
		{Device: `edge1\.`, Pool: `shop\..`}:                   {Device: "edge1."},
		{Pool: "shop"}:                                         {},
	} {
		if got := s.Scope(); got != want {
			t.Errorf("%s: got %s; want %s", fmt.Sprint(s), got, want)
		}
	}
}
