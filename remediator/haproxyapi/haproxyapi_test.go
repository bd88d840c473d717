package haproxyapi_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
	"github.com/sluice-project/sluice/test/openapi"
)

func TestWhatIsThereIsToldAsTheReplacedAPITellsIt(t *testing.T) {
	h := handler(newEngine())
	const web01 = `{"name":"web01","status":"UP","weight":"1","check_status":"L7OK","check_duration":"","last_chg":"","downtime":"","addr":"192.0.2.10:8080","cookie":"","admin":"ready","sessions":0,"queue":0,"limit":0}`
	const web02 = `{"name":"web02","status":"MAINT","weight":"1","check_status":"","check_duration":"","last_chg":"","downtime":"","addr":"","cookie":"","admin":"maint","sessions":0,"queue":0,"limit":0}`
	for path, want := range map[string]string{
		"/instances":                         `{"instances":[{"name":"first","socket_path":"/run/first.sock","available":true},{"name":"prod","socket_path":"ipv4@192.0.2.1:7777","available":true}],"count":2}`,
		"/backends":                          `{"instance":"first","backends":["api","myapp"],"count":2}`,
		"/backends/":                         `{"instance":"first","backends":["api","myapp"],"count":2}`,
		"/prod/backends":                     `{"instance":"prod","backends":["api","myapp"],"count":2}`,
		"/backends/api/servers":              `{"instance":"first","backend":"api","servers":[],"count":0}`,
		"/backends/myapp/servers":            `{"instance":"first","backend":"myapp","servers":[` + web01 + `,` + web02 + `],"count":2}`,
		"/pr%6Fd/%62ackends/m%79app/servers": `{"instance":"prod","backend":"myapp","servers":[` + web01 + `,` + web02 + `],"count":2}`,
	} {
		a := ask(t, h, get(haproxyapi.Root+path))
		if want := `{"success":true,"status_code":200,"data":` + want + "}\n"; a.code != 200 || a.body != want {
			t.Errorf("%s: %d, %s", path, a.code, cmp.Diff(want, a.body))
		}
		if head := ask(t, h, question{method: http.MethodHead, path: haproxyapi.Root + path}); head.code != 200 {
			t.Errorf("HEAD %s: %d", path, head.code)
		}
	}
	if a := ask(t, h, get("/ping")); a.body != `{"status":"ok"}`+"\n" {
		t.Errorf("ping: %d %s", a.code, a.body)
	}
}

func TestAnOrderGoesToTheEngineAsItWasGiven(t *testing.T) {
	for _, c := range []struct {
		name string
		question
		want    haproxyapi.Order
		message string
	}{
		{"drain", post(action, drain), haproxyapi.Order{Instance: "first", Server: "web01", To: edge.Drain}, `server web01 is in state \"drain\" now`},
		{"an instance", post("/api/v1/haproxy/prod/backends/myapp/servers/web01/action", `{"action":"maint"}`), haproxyapi.Order{Instance: "prod", Server: "web01", To: edge.Maint}, `server web01 is in state \"maint\" now`},
		{"the old path", post("/api/v1/control/haproxy/prod/backends/myapp/servers/web02/action", `{"action":"ready"}`), haproxyapi.Order{Instance: "prod", Server: "web02", To: edge.Ready}, `server web02 is in state \"ready\" now`},
		{"nothing to do", post("/api/v1/control/haproxy/backends/myapp/servers/web02/action", `{"action":"maint"}`), haproxyapi.Order{Instance: "first", Server: "web02", To: edge.Maint}, `server web02 was in state \"maint\" already`},
		{"in Russian", post(action, drain).with("Accept-Language", "ru-RU,ru;q=0.9,en;q=0.8"), haproxyapi.Order{Instance: "first", Server: "web01", To: edge.Drain}, `сервер web01 переведён в состояние \"drain\"`},
		{
			"an override with its reason", post(action, ` {"reason": " the pool moves ", "override": ["min_serving", "load"], "action": "drain"} `),
			haproxyapi.Order{Instance: "first", Server: "web01", To: edge.Drain, Override: []string{"min_serving", "load"}, Reason: "the pool moves"},
			`now`,
		},
		{"a name for the journal", post(action, drain).with("Authorization", "Basic YWxpY2U6bm90LWEtcmVhbC1wYXNzd29yZA=="), haproxyapi.Order{Instance: "first", Server: "web01", To: edge.Drain, Actor: "alice"}, `now`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine()
			a := ask(t, handler(e), c.question)
			c.want.Backend = "myapp"
			if c.want.Actor == "" {
				c.want.Actor = "192.0.2.1" // httptest's
			}
			if diff := cmp.Diff([]haproxyapi.Order{c.want}, e.ordered()); a.code != 200 || diff != "" {
				t.Errorf("%d %s: %s", a.code, a.body, diff)
			}
			if !strings.Contains(a.body, c.message) || !strings.Contains(a.body, `"status":"completed"`) {
				t.Errorf("it says %s, want %s", a.body, c.message)
			}
		})
	}
}

// Every way in which a request can end. Each answer is held against the document
// by ask; here the document is held against the answers.
func TestEveryDocumentedCodeIsGivenAndNoOther(t *testing.T) {
	given := map[string]map[string]bool{}
	saw := func(q question, a answered) {
		template := openapi.Template(q.path)
		methods := []string{q.method}
		if a.code == http.StatusMethodNotAllowed {
			methods = slices.Collect(maps.Keys(openapi.As(openapi.At(openapi.Document(), "paths", template))))
		}
		for _, m := range methods {
			op := strings.ToUpper(m) + " " + template
			if given[op] == nil {
				given[op] = map[string]bool{}
			}
			given[op][fmt.Sprint(a.code)] = true
		}
	}
	cause := errors.New("some cause")
	for op := range ours() {
		method, template, _ := strings.Cut(op, " ")
		path := strings.NewReplacer("{instance}", "prod", "{backend}", "myapp", "{server}", "web01").Replace(template)
		q := question{method: method, path: path}
		if method == http.MethodPost {
			q.body = drain
		}
		try := func(e *engine, q question, want int) {
			t.Helper()
			a := ask(t, behind(t, "", "not-a-real-token", handler(e)), q.with("Authorization", "Bearer not-a-real-token"))
			if saw(q, a); a.code != want {
				t.Errorf("%s %s: %d %s, want %d", q.method, q.path, a.code, a.body, want)
			}
		}
		fresh := newEngine()
		try(fresh, q, 200)
		try(fresh, question{method: http.MethodDelete, path: path}, 405)
		if path != haproxyapi.Ping {
			a := ask(t, behind(t, "", "not-a-real-token", handler(fresh)), q)
			if saw(q, a); a.code != 401 || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s without token: %d %s", op, a.code, a.body)
			}
		}
		if strings.HasPrefix(path, "/api/v1/") && path != haproxyapi.Document {
			a := ask(t, as(t, handler(fresh), access.Hook), q)
			if saw(q, a); a.code != 403 {
				t.Errorf("%s by who may not: %d %s", op, a.code, a.body)
			}
		}
		if !strings.Contains(template, "/backends") {
			continue
		}
		failing := func(set func(*engine)) *engine {
			e := newEngine()
			set(e)
			return e
		}
		try(failing(func(e *engine) { e.unread = cause }), q, 500)
		try(failing(func(e *engine) { e.unread = &haproxyapi.RefusedError{Instance: "prod", Err: cause} }), q, 502)
		try(failing(func(e *engine) { e.unread = &haproxyapi.UnreachableError{Instance: "prod", Err: cause} }), q, 503)
		try(failing(func(e *engine) { e.instances = nil }), q, 404)
		for _, bad := range []string{"prod", "myapp", "web01"} {
			if strings.Contains(path, bad) {
				try(fresh, question{method: method, path: strings.Replace(path, bad, "nope", 1), body: q.body}, 404)
				try(fresh, question{method: method, path: strings.Replace(path, bad, "a%3Bb", 1), body: q.body}, 400)
			}
		}
		if method != http.MethodPost {
			continue
		}
		refusing := func(err error) *engine { return failing(func(e *engine) { e.refuses = err }) }
		try(refusing(&haproxyapi.NotFoundError{Kind: "server", Name: "myapp/web01"}), q, 404)
		try(refusing(&haproxyapi.GuardError{Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left", Soft: true}), q, 409)
		try(refusing(&haproxyapi.GuardError{Guard: "inventory", Reason: "unknown", Detail: "no such member"}), q, 409)
		try(refusing(fmt.Errorf("order: %w", haproxyapi.ErrDryRun)), q, 409)
		try(refusing(&haproxyapi.OverrideError{Guard: "leader", Detail: "it is a hard one"}), q, 400)
		try(refusing(&haproxyapi.RefusedError{Instance: "prod", Err: cause}), q, 502)
		try(refusing(&haproxyapi.UnreachableError{Instance: "prod", Err: cause}), q, 503)
		try(refusing(&haproxyapi.OutcomeError{Instance: "prod", Err: &haproxyapi.UnreachableError{Instance: "prod", Err: cause}}), q, 503)
		try(refusing(&haproxyapi.UnavailableError{Err: cause}), q, 503)
		try(refusing(cause), q, 500)
		try(fresh, q.with("Origin", "https://evil.example").with("Sec-Fetch-Site", "cross-site"), 403)
		try(fresh, q.with("Content-Type", "text/plain"), 415)
		try(fresh, question{method: method, path: path, body: strings.Repeat(" ", 2<<20)}, 413)
		try(fresh, question{method: method, path: path, body: `{"action":"stop"}`}, 400)
	}
	got := map[string][]string{}
	for op, codes := range given {
		got[op] = slices.Sorted(maps.Keys(codes))
	}
	if diff := cmp.Diff(ours(), got); diff != "" {
		t.Errorf("what is documented (-) isn't what is answered (+):\n%s", diff)
	}
}

func TestAGuardsRefusalNamesTheGuard(t *testing.T) {
	e := newEngine()
	e.refuses = fmt.Errorf("order: %w", &haproxyapi.GuardError{Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left of 2", Soft: true})
	a := ask(t, handler(e), post(action, drain))
	const want = `{"success":false,"status_code":409,"error":"guard min_serving refuses: 1 would be left of 2: to pass it over, name it in \"override\" and say why in \"reason\"","guard":"min_serving","reason":"too_few_left","override":true}` + "\n"
	if a.code != 409 || a.body != want {
		t.Errorf("%d: %s", a.code, cmp.Diff(want, a.body))
	}
}

// behind puts the gate in front that the program puts there for AGENT_AUTH_TOKEN.
func behind(t *testing.T, prefix, token string, next http.Handler) http.Handler {
	t.Helper()
	g, err := access.New(access.Options{
		Config: access.ForToken(token), Prefix: prefix, Public: []string{"/-/healthy", "/-/ready", haproxyapi.Ping}, Deny: haproxyapi.Deny,
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.Handler(next)
}

func TestTheTokenLetsIn(t *testing.T) {
	inside := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	const token = "not-a-real-token"
	for _, c := range []struct {
		name, path, header, token string
		want                      int
		prefix                    string
	}{
		{"the token", "/metrics", "Bearer " + token, token, http.StatusTeapot, ""},
		{"the scheme in small letters", "/metrics", "bearer " + token, token, http.StatusTeapot, ""},
		{"none", "/metrics", "", token, 401, ""},
		{"another", "/metrics", "Bearer x" + token, token, 401, ""},
		{"a beginning of it", "/metrics", "Bearer not-a", token, 401, ""},
		{"without the scheme", "/metrics", token, token, 401, ""},
		{"another scheme", "/metrics", "Basic " + token, token, 401, ""},
		{"an empty one", "/metrics", "Bearer ", token, 401, ""},
		{"an empty one where none is set", "/metrics", "Bearer ", "", 401, ""},
		{"healthy", "/-/healthy", "", token, http.StatusTeapot, ""},
		{"ready", "/-/ready", "", token, http.StatusTeapot, ""},
		{"ping", "/ping", "", token, http.StatusTeapot, ""},
		{"beside healthy", "/-/healthy/../reload", "", token, 401, ""},
		{"healthy in disguise", "/%2d/healthy", "", token, 401, ""},
		{"reload", "/-/reload", "", token, 401, ""},
		{"webhook", "/webhook", "", token, 401, ""},
		{"ready behind a prefix", "/sluice/-/ready", "", token, http.StatusTeapot, "/sluice"},
		{"ready without the prefix", "/-/ready", "", token, 401, "/sluice"},
		{"another behind a prefix", "/sluice/metrics", "", token, 401, "/sluice"},
	} {
		q := question{method: http.MethodGet, path: c.path, header: http.Header{}}
		if c.header != "" {
			q.header.Set("Authorization", c.header)
		}
		if got := asked(t, behind(t, c.prefix, c.token, inside), q); got.code != c.want {
			t.Errorf("%s: %d, want %d", c.name, got.code, c.want)
		}
	}
}
