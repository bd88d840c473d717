package access

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/edge"
)

const (
	password = "not-a-real-password"
	laptop   = "not-a-real-token-of-anns-laptop"
	script   = "not-a-real-token-of-a-script"
	oldToken = "not-a-real-token-of-last-year"
)

// hashed is a bcrypt hash, as cheap as there is.
func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// people are a configuration with everything in it once.
func people(t testing.TB) *Config {
	t.Helper()
	dir := t.TempDir()
	c := &Config{
		Users: []User{
			{Name: "ann", PasswordHash: hashed(t, password), Roles: []string{Operator}},
			{Name: "bob", Roles: []string{"shop-team"}},
			{Name: "edge-ca", Roles: []string{Viewer}},
		},
		Tokens: []Token{
			{Name: "ann-laptop", User: "ann", TokenFile: write(t, filepath.Join(dir, "laptop"), laptop+"\n")},
			{Name: "script", Roles: []string{Viewer, Hook}, TokenHash: fmt.Sprintf("%x", sumOf(script))},
			{Name: "ann-old", User: "ann", TokenFile: write(t, filepath.Join(dir, "old"), oldToken), Expires: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)},
		},
		Roles: []Role{{Name: "shop-team", Like: Operator, Pools: []string{"shop"}}},
	}
	if m := c.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	return c
}

func gate(t testing.TB, o Options) *Gate {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ask sends a request from an address through the gate, and returns the answer
// with who was let in.
func ask(g *Gate, r *http.Request) (*httptest.ResponseRecorder, *Identity) {
	var who *Identity
	w := httptest.NewRecorder()
	g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		i := From(r.Context())
		who = &i
	})).ServeHTTP(w, r)
	return w, who
}

func get(path string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, c := range change {
		c(r)
	}
	return r
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+token) }
}

func basicAuth(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

// certificateOf is of a client whom the web server has checked, or only seen.
func certificateOf(name string, checked bool) func(*http.Request) {
	return func(r *http.Request) {
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".example.com"},
			URIs: []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/" + name}},
		}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
		if checked {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{c}}
		}
	}
}

func TestTheGateLetsInWhomItKnows(t *testing.T) {
	users := func() (Web, error) { return Web{Users: true}, nil }
	certificates := func() (Web, error) { return Web{Certificates: true}, nil }
	gone := func() (Web, error) { return Web{}, errors.New("the file is gone") }
	header := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", text) }
	}
	for _, c := range []struct {
		name string
		open bool // no section
		web  func() (Web, error)
		r    *http.Request
		code int
		want string // name, via and roles
	}{
		{"a password", false, nil, get("/", basicAuth("ann", password)), 200, "ann password [operator]"},
		{"a wrong password", false, nil, get("/", basicAuth("ann", "wrong")), 401, ""},
		{"an empty password", false, nil, get("/", basicAuth("ann", "")), 401, ""},
		{"of somebody who has none", false, nil, get("/", basicAuth("bob", password)), 401, ""},
		{"of nobody", false, nil, get("/", basicAuth("eve", password)), 401, ""},
		{"a user's token", false, nil, get("/", bearer(laptop)), 200, "ann token [operator]"},
		{"a token with roles", false, nil, get("/", bearer(script)), 200, "script token [viewer webhook]"},
		{"the scheme in any letters", false, nil, get("/", header("bEARER "+laptop)), 200, "ann token [operator]"},
		{"blanks around the token", false, nil, get("/", header("Bearer   "+laptop+" ")), 200, "ann token [operator]"},
		{"a wrong token", false, nil, get("/", bearer(laptop+"x")), 401, ""},
		{"the hash of a token", false, nil, get("/", bearer(fmt.Sprintf("%x", sumOf(script)))), 401, ""},
		{"an expired token", false, nil, get("/", bearer(oldToken)), 401, ""},
		{"nothing", false, nil, get("/"), 401, ""},
		{"an empty header", false, nil, get("/", header("")), 401, ""},
		{"another scheme", false, nil, get("/", header("Digest x")), 401, ""},
		{"a token without scheme", false, nil, get("/", header(laptop)), 401, ""},
		{"two headers, the first one good", false, nil, get("/", bearer(laptop), bearer("x")), 401, ""},
		{"two headers and a certificate", false, nil, get("/", bearer(laptop), bearer("x"), certificateOf("edge-ca", true)), 401, ""},
		{"a header that nobody reads to its end", false, nil, get("/", header("Bearer "+strings.Repeat(" ", mostHeader)+laptop)), 401, ""},
		{"a password that is as long", false, users, get("/", basicAuth("bob", strings.Repeat("x", mostHeader))), 401, ""},
		{"Basic that isn't base64", false, nil, get("/", header("Basic ann:"+password)), 401, ""},
		{"a public path", false, nil, get("/-/healthy"), 200, " nothing []"},
		{"a public path, with a wrong token", false, nil, get("/-/healthy", bearer("x")), 200, " nothing []"},
		{"all below a public path", false, nil, get("/console/static/style.css"), 200, " nothing []"},
		{"beside a public path", false, nil, get("/-/healthy/x"), 401, ""},
		{"a way out of a public path", false, nil, get("/console/static/../secret"), 401, ""},
		{"a hidden way out", false, nil, get("/console/static/%2e%2e/secret"), 200, " nothing []"}, // a name, to the mux, too
		{"a public path in disguise", false, nil, get("/%2d/healthy"), 401, ""},
		{"a checked certificate", false, nil, get("/", certificateOf("edge-ca", true)), 200, "edge-ca certificate [viewer]"},
		{"a certificate that nobody checked", false, nil, get("/", certificateOf("edge-ca", false)), 401, ""},
		{"a checked certificate of nobody", false, nil, get("/", certificateOf("eve", true)), 401, ""},
		{"a token goes before a certificate", false, nil, get("/", certificateOf("edge-ca", true), bearer(laptop)), 200, "ann token [operator]"},
		{"a wrong token isn't mended by a certificate", false, nil, get("/", certificateOf("edge-ca", true), bearer("x")), 401, ""},
		{"a user whom the web server checked", false, users, get("/", basicAuth("bob", "theirs")), 200, "bob web [shop-team]"},
		{"one of whom the section doesn't know", false, users, get("/", basicAuth("eve", "theirs")), 200, "eve web []"},
		{"a web configuration that is gone changes nothing", false, gone, get("/", basicAuth("ann", password)), 200, "ann password [operator]"},
		{"and lets nobody in", false, gone, get("/", basicAuth("bob", "theirs")), 401, ""},
		{"where nobody is asked", true, nil, get("/"), 200, "192.0.2.1 open [admin]"},
		{"where nobody is asked, a name that nobody checked", true, nil, get("/", basicAuth("eve", "x")), 200, "eve open [admin]"},
		{"where the web server asks for users", true, users, get("/", basicAuth("eve", "x")), 200, "eve web [admin]"},
		{"where the web server asks for certificates", true, certificates, get("/", certificateOf("eve", true)), 200, "eve certificate [admin]"},
		{"where the web server no longer asks", true, gone, get("/", basicAuth("eve", "x")), 503, ""},
		{"a unix socket", true, nil, get("/", from("@")), 200, "@ open [admin]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Config: people(t), Web: c.web, Public: []string{"/-/healthy", "/console/static/"}}
			if c.open {
				o.Config = nil
			}
			w, who := ask(gate(t, o), c.r)
			got := ""
			if who != nil {
				got = fmt.Sprintf("%s %s %v", who.Name, who.Via, who.Roles)
			}
			if w.Code != c.code || got != c.want {
				t.Errorf("%d %q, want %d %q: %s", w.Code, got, c.code, c.want, w.Body)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("no scheme is named")
			}
			if strings.Contains(w.Body.String(), "not-a-real") {
				t.Errorf("a secret is told: %s", w.Body)
			}
		})
	}
}

func TestAPrefixStandsBeforePublicPaths(t *testing.T) {
	g := gate(t, Options{Config: people(t), Prefix: "/sluice", Public: []string{"/-/ready"}})
	for path, want := range map[string]int{"/sluice/-/ready": 200, "/-/ready": 401, "/sluice/sluice/-/ready": 401} {
		if w, _ := ask(g, get(path)); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestTheOneTokenOfTheEnvironmentIsCalledByItsAddress(t *testing.T) {
	g := gate(t, Options{Config: ForToken("not-a-real-token")})
	w, who := ask(g, get("/", bearer("not-a-real-token"), from("192.0.2.7:1234")))
	if who == nil || who.Name != "192.0.2.7" || !who.May(Restore, edge.Pool{}) {
		t.Errorf("%d: %+v", w.Code, who)
	}
	for _, empty := range []string{"", " "} {
		if w, _ := ask(gate(t, Options{Config: ForToken("")}), get("/", bearer(empty))); w.Code != 401 {
			t.Errorf("an empty token, where none is set: %d", w.Code)
		}
	}
}

// sessions is a source of one session.
type sessions struct {
	g    *Gate
	left int
}

func (s *sessions) Visit(r *http.Request) (*Visit, error) {
	switch r.Header.Get("Cookie") {
	case "":
		return nil, nil
	case "session=forged":
		return nil, ErrForged
	case "session=ended":
		return nil, errors.Join(ErrMissing, errors.New("the session has ended"))
	}
	i, ok := s.g.User("ann", ViaSession)
	if !ok {
		return nil, ErrMissing
	}
	return &Visit{Request: r, Identity: i, Leave: func() { s.left++ }}, nil
}

func (s *sessions) Ask(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/console/login", http.StatusSeeOther)
}

func TestABrowsersSessionIsAskedWhereThereIsNoHeader(t *testing.T) {
	g := gate(t, Options{Config: people(t)})
	s := &sessions{g: g}
	g.UseSource(s, "/console/login")
	cookie := func(v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Cookie", "session="+v) }
	}
	page := func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") }
	fetched := func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors") }
	for _, c := range []struct {
		name string
		r    *http.Request
		code int
		via  string
	}{
		{"a session", get("/", cookie("ann")), 200, ViaSession},
		{"a header goes before it", get("/", cookie("ann"), bearer(script)), 200, ViaToken},
		{"a wrong header isn't mended by it", get("/", cookie("ann"), bearer("x")), 401, ""},
		{"a forged request", get("/", cookie("forged")), 403, ""},
		{"a session that has ended", get("/", cookie("ended")), 401, ""},
		{"a page without one", get("/", page), 303, ""},
		{"a page of an ended one", get("/", page, cookie("ended")), 303, ""},
		{"a page with a wrong token", get("/", page, bearer("x")), 401, ""},
		{"something that a script fetches", get("/", fetched), 401, ""},
		{"the log-in page", get("/console/login", page), 200, ViaNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, who := ask(g, c.r)
			if w.Code != c.code || who != nil && who.Via != c.via || (who == nil) != (c.via == "") {
				t.Errorf("%d %+v, want %d %s", w.Code, who, c.code, c.via)
			}
			if asks := strings.Contains(strings.Join(w.Header().Values("WWW-Authenticate"), " "), "Basic"); asks && c.r.Header.Get("Sec-Fetch-Mode") != "" {
				t.Error("the browser would ask for a password by itself")
			}
		})
	}
	if s.left != 1 {
		t.Errorf("left %d sessions, want 1", s.left)
	}
}

func TestATokenEndsWhenItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := people(t)
		c.Tokens[0].Expires = time.Now().Add(time.Hour)
		g := gate(t, Options{Config: c})
		if w, _ := ask(g, get("/", bearer(laptop))); w.Code != 200 {
			t.Errorf("before: %d", w.Code)
		}
		time.Sleep(time.Hour)
		if w, _ := ask(g, get("/", bearer(laptop))); w.Code != 401 || !strings.Contains(w.Body.String(), "expired") {
			t.Errorf("after: %d %s", w.Code, w.Body)
		}
	})
}

// known is somebody of the configuration.
func known(i Identity, _ bool) Identity { return i }

func TestWhoListensForLongIsLetInNoLongerThanOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := people(t)
		c.Tokens[0].Expires = time.Now().Add(time.Hour)
		g := gate(t, Options{Config: c})
		listening := map[string]*Identity{}
		for name, change := range map[string]func(*http.Request){
			"ann by token": bearer(laptop), "script": bearer(script), "ann by password": basicAuth("ann", password), "edge-ca": certificateOf("edge-ca", true),
		} {
			if _, listening[name] = ask(g, get("/", change)); listening[name] == nil {
				t.Fatalf("%s isn't let in", name)
			}
		}
		for name, i := range map[string]Identity{"ann by session": known(g.User("ann", ViaSession)), "dora by session": g.WithRoles("dora", ViaSession, []string{Viewer, c.Roles[0].Name})} {
			listening[name] = &i
		}
		want := func(when string, names ...string) {
			t.Helper()
			for name, i := range listening {
				if want := slices.Contains(names, name); i.Still() != want {
					t.Errorf("%s: %s still: %v, want %v", when, name, !want, want)
				}
			}
		}
		want("at once", "ann by token", "script", "ann by password", "edge-ca", "ann by session", "dora by session")
		time.Sleep(time.Hour)
		want("when a token has expired", "script", "ann by password", "edge-ca", "ann by session", "dora by session")
		use := func(change func(*Config)) {
			t.Helper()
			next := *c
			next.Users, next.Tokens, next.Roles = slices.Clone(c.Users), slices.Clone(c.Tokens), slices.Clone(c.Roles)
			change(&next)
			if err := g.Use(&next); err != nil {
				t.Fatal(err)
			}
		}
		use(func(*Config) {})
		want("the same read anew", "script", "ann by password", "edge-ca", "ann by session", "dora by session")
		use(func(c *Config) { c.Users[0].PasswordHash = hashed(t, "another") })
		want("another password", "script", "edge-ca", "dora by session")
		use(func(c *Config) { c.Tokens = c.Tokens[:1]; c.Users[2].Roles = []string{Admin} })
		want("a token less, and other roles", "ann by password", "ann by session", "dora by session")
		use(func(c *Config) { c.Roles[0].Pools = []string{"web"} })
		want("a role that means something else")
		if err := g.Use(nil); err != nil {
			t.Fatal(err)
		}
		want("no section")
	})
}

func TestMetricsTellLoginsRefusalsAndTheAgeOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := people(t)
		written := time.Now().Add(-time.Hour)
		dir := t.TempDir()
		c.Tokens = append(c.Tokens,
			Token{Name: "ann-phone", User: "ann", TokenFile: write(t, filepath.Join(dir, "phone"), "not-a-real-token-of-anns-phone")},
			Token{Name: "script-2", Roles: []string{Viewer}, TokenFile: write(t, filepath.Join(dir, "script"), "not-a-real-token-of-another-script")})
		for _, i := range []int{0, 3, 2, 4} { // the third has expired
			f := c.Tokens[i].TokenFile
			if err := os.Chtimes(f, written, written); err != nil {
				t.Fatal(err)
			}
			written = written.Add(-time.Hour)
		}
		reg := prometheus.NewPedanticRegistry()
		g := gate(t, Options{Config: c, Registerer: reg})
		ask(g, get("/", basicAuth("ann", password)))
		ask(g, get("/", bearer(laptop)))
		ask(g, get("/", bearer(oldToken)))
		for range freeByName + 1 {
			ask(g, get("/", basicAuth("eve", "x")))
		}
		_, who := ask(g, get("/", bearer(laptop)))
		if err := who.Check(Restore, edge.Pool{Device: "edge1", Name: "shop"}); err == nil {
			t.Error("an operator restores")
		}
		if who.May(Reload, edge.Pool{}) {
			t.Error("an operator reloads") // May alone doesn't count
		}
		const want = `# HELP sluice_access_logins_total Passwords and tokens that were looked at, by result: ok, wrong, expired, locked (too many failed before) or busy.
# TYPE sluice_access_logins_total counter
sluice_access_logins_total{result="busy"} 0
sluice_access_logins_total{result="expired"} 1
sluice_access_logins_total{result="locked"} 1
sluice_access_logins_total{result="ok"} 3
sluice_access_logins_total{result="wrong"} 5
# HELP sluice_access_refused_total Requests of somebody we know who may not do it.
# TYPE sluice_access_refused_total counter
sluice_access_refused_total{verb="approve"} 0
sluice_access_refused_total{verb="freeze"} 0
sluice_access_refused_total{verb="order"} 0
sluice_access_refused_total{verb="reload"} 0
sluice_access_refused_total{verb="restore"} 1
sluice_access_refused_total{verb="view"} 0
sluice_access_refused_total{verb="webhook"} 0
# HELP sluice_access_token_age_seconds Age of a user's oldest token file whose token is good, since it was written.
# TYPE sluice_access_token_age_seconds gauge
sluice_access_token_age_seconds{user="ann"} 7200
sluice_access_token_age_seconds{user="script-2"} 14400
# HELP sluice_access_token_expiry_timestamp_seconds When a token expires. Those that never do have no series.
# TYPE sluice_access_token_expiry_timestamp_seconds gauge
sluice_access_token_expiry_timestamp_seconds{token="ann-old",user="ann"} 9.466848e+08
`
		got := exposed(t, reg)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		problems, err := promlint.New(strings.NewReader(got)).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

// exposed is what a scrape says.
func exposed(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestWhoHasNoRoleIsRefusedByAnAnswerThatSaysSo(t *testing.T) {
	inside := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	g := gate(t, Options{Config: people(t)})
	for _, c := range []struct {
		name    string
		handler http.Handler
		token   string
		want    string
	}{
		{"reload", Require(Reload, inside), laptop, `{"success":false,"status_code":403,"error":"ann may not reload: the role admin is missing"}`},
		{"the webhook", Require(Webhook, inside), laptop, `{"success":false,"status_code":403,"error":"ann may not send alerts: the role webhook is missing"}`},
		{"the webhook, with its role", Require(Webhook, inside), script, ""},
		{"something of somewhere", RequireSomewhere(Freeze, inside), script, `{"success":false,"status_code":403,"error":"script may not freeze: the role operator is missing"}`},
		{"something, with the role", RequireSomewhere(Freeze, inside), laptop, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			g.Handler(c.handler).ServeHTTP(w, get("/", bearer(c.token)))
			if diff := cmp.Diff(c.want, strings.TrimSpace(w.Body.String())); diff != "" {
				t.Errorf("%d (-want +got):\n%s", w.Code, diff)
			}
		})
	}
}
