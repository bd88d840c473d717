package login

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/oidc"
	"github.com/sluice-project/sluice/remediator/access/session"
	testoidc "github.com/sluice-project/sluice/test/oidc"
	testserve "github.com/sluice-project/sluice/test/serve"
)

const password = "not-a-real-password"

// A place is a console behind gate and log-in.
type place struct {
	t     *testing.T
	url   string
	gate  *access.Gate
	login *Login
	reg   *prometheus.Registry
}

func hashOf(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// newPlace serves, until the test's end, a page that says who one is, and a form that
// only an operator may send.
func newPlace(t *testing.T, c *access.Config) *place {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	gate, err := access.New(access.Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	p := &place{t: t, gate: gate, reg: reg, url: "http://" + testserve.Handler(t, gate.Handler(mux), nil)}
	p.login = New(Options{Gate: gate, Origin: p.url, Registerer: reg})
	gate.UseSource(p.login, Paths()...)
	for _, path := range Paths() {
		mux.Handle(path, p.login.Handler())
	}
	mux.HandleFunc("/console/", func(w http.ResponseWriter, r *http.Request) {
		i := access.From(r.Context())
		fmt.Fprintf(w, "%s by %s: %s; <%s>", i.Name, i.Via, strings.Join(i.Roles, " "), session.CSRF(r))
	})
	mux.Handle("POST /console/freeze", access.Require(access.Freeze, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "frozen by %s: %s", access.From(r.Context()).Name, r.PostFormValue("reason"))
	})))
	p.use(c)
	return p
}

func (p *place) use(c *access.Config) {
	p.t.Helper()
	if c != nil {
		if m := c.Validate(); len(m) > 0 {
			p.t.Fatal(m)
		}
	}
	use, err := p.login.Prepare(c)
	if err != nil {
		p.t.Fatal(err)
	}
	admit, err := p.gate.Prepare(c)
	if err != nil {
		p.t.Fatal(err)
	}
	admit()
	use()
}

// A browser has cookies, follows where it is led, and asks for pages.
type browser struct {
	*http.Client
	p *place
}

func (p *place) browser() *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar}, p}
}

func (b *browser) send(method, path string, form url.Values) (code int, body string) {
	b.p.t.Helper()
	req, err := http.NewRequestWithContext(b.p.t.Context(), method, b.p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.p.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.Do(req)
	if err != nil {
		b.p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.p.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (b *browser) want(method, path string, form url.Values, code int, says string) (body string) {
	b.p.t.Helper()
	got, body := b.send(method, path, form)
	if got != code || !strings.Contains(body, says) {
		b.p.t.Errorf("%s %s: %d %s, want %d with %q", method, path, got, body, code, says)
	}
	return body
}

var (
	hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)
	shown  = regexp.MustCompile(`<([^>]*)>$`)
)

// logIn fills in the form that a browser is led to.
func (b *browser) logIn(name, secret string, code int, says string) {
	b.p.t.Helper()
	form := url.Values{"name": {name}, "password": {secret}}
	for _, m := range hidden.FindAllStringSubmatch(b.want(http.MethodGet, "/console/", nil, http.StatusOK, "Log in to Sluice"), -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	b.want(http.MethodPost, session.Login, form, code, says)
}

// token is what the console's page gives to its forms.
func (b *browser) token() string {
	b.p.t.Helper()
	_, body := b.send(http.MethodGet, "/console/", nil)
	m := shown.FindStringSubmatch(body)
	if m == nil {
		b.p.t.Fatal("no token:", body)
	}
	return m[1]
}

func people(t *testing.T) *access.Config {
	t.Helper()
	return &access.Config{Users: []access.User{
		{Name: "ann", PasswordHash: hashOf(t, password), Roles: []string{access.Operator}},
		{Name: "bob", PasswordHash: hashOf(t, password), Roles: []string{access.Viewer}},
		{Name: "carol", Roles: []string{access.Admin}},
	}}
}

func TestPeopleComeInByTheirPassword(t *testing.T) {
	p := newPlace(t, people(t))
	ann, bob := p.browser(), p.browser()
	ann.logIn("ann", password, http.StatusOK, "ann by session: operator; <")
	bob.logIn("bob", password, http.StatusOK, "bob by session: viewer; <")
	p.browser().logIn("carol", password, http.StatusForbidden, "is wrong")
	p.browser().logIn("carol", "", http.StatusBadRequest, "Fill in")

	freeze := func(token string) url.Values {
		return url.Values{"reason": {"a new kernel"}, session.Field: {token}}
	}
	ann.want(http.MethodPost, "/console/freeze", freeze(ann.token()), http.StatusOK, "frozen by ann: a new kernel")
	ann.want(http.MethodPost, "/console/freeze", freeze(""), http.StatusForbidden, "CSRF token")
	ann.want(http.MethodPost, "/console/freeze", freeze(bob.token()), http.StatusForbidden, "CSRF token")
	bob.want(http.MethodPost, "/console/freeze", freeze(bob.token()), http.StatusForbidden, "the role operator is missing")
	p.browser().want(http.MethodPost, "/console/freeze", freeze(ann.token()), http.StatusOK, "Log in to Sluice")

	ann.want(http.MethodPost, session.Logout, url.Values{session.Field: {ann.token()}}, http.StatusOK, "Log in to Sluice")
	ann.want(http.MethodGet, "/console/", nil, http.StatusOK, "Log in to Sluice")
	bob.want(http.MethodGet, "/console/", nil, http.StatusOK, "bob by session")
}

func TestTooManyFailuresLockOut(t *testing.T) {
	p := newPlace(t, people(t))
	b := p.browser()
	for range 100 {
		form := url.Values{"name": {"ann"}, "password": {"wrong"}}
		_, page := b.send(http.MethodGet, session.Login, nil)
		for _, m := range hidden.FindAllStringSubmatch(page, -1) {
			form.Set(m[1], html.UnescapeString(m[2]))
		}
		if code, body := b.send(http.MethodPost, session.Login, form); code == http.StatusTooManyRequests {
			if !strings.Contains(body, "Too many log-ins have failed") {
				t.Error(body)
			}
			b.logIn("ann", password, http.StatusTooManyRequests, "Too many")
			return
		}
	}
	t.Error("nobody was ever locked out")
}

func TestSessionsFollowTheConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*access.Config)
		says   string // to ann, who was logged in
	}{
		"nothing changed":           {func(*access.Config) {}, "ann by session: operator"},
		"somebody else changed":     {func(c *access.Config) { c.Users[1].Roles = []string{access.Admin} }, "ann by session: operator"},
		"another password":          {func(c *access.Config) { c.Users[0].PasswordHash = hashOf(t, "not-a-real-one-either") }, "Log in to Sluice"},
		"another role":              {func(c *access.Config) { c.Users[0].Roles = []string{access.Viewer} }, "Log in to Sluice"},
		"gone":                      {func(c *access.Config) { c.Users = c.Users[1:] }, "Log in to Sluice"},
		"a role that is limited":    {func(c *access.Config) { c.Users[0].Roles = append(c.Users[0].Roles, access.Viewer) }, "Log in to Sluice"},
		"without a password at all": {func(c *access.Config) { c.Users[0].PasswordHash = "" }, "Log in to Sluice"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := people(t)
			p := newPlace(t, conf)
			b := p.browser()
			b.logIn("ann", password, http.StatusOK, "ann by session: operator")
			next := *conf
			next.Users = append([]access.User(nil), conf.Users...)
			c.change(&next)
			p.use(&next)
			b.want(http.MethodGet, "/console/", nil, http.StatusOK, c.says)
			p.use(conf) // back again: what ended doesn't come back
			b.want(http.MethodGet, "/console/", nil, http.StatusOK, c.says)
		})
	}
}

// Between the gate's swap and ours a session of the old user is worth nothing.
func TestASessionIsJudgedByTheGateInForce(t *testing.T) {
	conf := people(t)
	p := newPlace(t, conf)
	b := p.browser()
	b.logIn("ann", password, http.StatusOK, "ann by session: operator")
	next := people(t)
	next.Users[0].Roles = []string{access.Viewer}
	admit, err := p.gate.Prepare(next)
	if err != nil {
		t.Fatal(err)
	}
	admit()
	b.want(http.MethodGet, "/console/", nil, http.StatusOK, "Log in to Sluice")
	if n := p.login.sessions.Count(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestWithoutTheSectionNobodyLogsIn(t *testing.T) {
	p := newPlace(t, people(t))
	b := p.browser()
	b.logIn("ann", password, http.StatusOK, "ann by session")
	p.use(nil)
	b.want(http.MethodGet, "/console/", nil, http.StatusOK, "by open")
	b.want(http.MethodGet, session.Login, nil, http.StatusOK, "Nobody can log in here")
	p.use(people(t))
	b.want(http.MethodGet, "/console/", nil, http.StatusOK, "Log in to Sluice")
}

func withProvider(t *testing.T, o *testoidc.Provider) *access.Config {
	t.Helper()
	c := people(t)
	c.Roles = []access.Role{{Name: "shop-team", Like: access.Operator, Pools: []string{"shop"}}}
	c.OIDC = &oidc.Config{
		Issuer: o.Issuer, ClientID: testoidc.ClientID,
		Roles: map[string][]string{"net": {access.Viewer}, "shop": {"shop-team"}},
	}
	return c
}

func TestPeopleComeInByAProvider(t *testing.T) {
	o := testoidc.Start(t, testoidc.Options{Public: true})
	p := newPlace(t, withProvider(t, o))
	o.Client(p.url + oidc.Callback)

	dora := p.browser()
	o.LogIn(testoidc.Claims{"sub": "1", "preferred_username": "dora", "groups": []string{"shop", "net"}}, nil)
	dora.want(http.MethodGet, "/console/", nil, http.StatusOK, `href="/console/oidc/start?next=`)
	dora.want(http.MethodGet, oidc.Start, nil, http.StatusOK, "dora by session: shop-team viewer; <")
	form := url.Values{session.Field: {dora.token()}}
	dora.want(http.MethodPost, "/console/freeze", form, http.StatusForbidden, "limited to other devices or pools")
	dora.want(http.MethodPost, "/console/freeze", nil, http.StatusForbidden, "CSRF token")

	for _, name := range []string{"ann", "carol", "Ann", "SLUICE"} { // as users of the configuration are called, or we
		o.LogIn(testoidc.Claims{"sub": "2", "preferred_username": name, "groups": []string{"net"}}, nil)
		p.browser().want(http.MethodGet, oidc.Start, nil, http.StatusForbidden, "by a name that can&#39;t be used here")
	}

	// The role means something else now, for who has it.
	c := withProvider(t, o)
	c.Roles[0].Pools = []string{"web"}
	p.use(c)
	dora.want(http.MethodGet, "/console/", nil, http.StatusOK, "dora by session: shop-team viewer; <")
	// The group means something else.
	c = withProvider(t, o)
	c.OIDC.Roles["shop"] = []string{access.Viewer}
	p.use(c)
	dora.want(http.MethodGet, "/console/", nil, http.StatusOK, "Log in to Sluice")
	// Somebody of the name is a user from now on.
	erin := p.browser()
	o.LogIn(testoidc.Claims{"sub": "3", "preferred_username": "erin", "groups": []string{"net"}}, nil)
	erin.want(http.MethodGet, oidc.Start, nil, http.StatusOK, "erin by session: viewer")
	c.Tokens = []access.Token{{Name: "erin", Roles: []string{access.Viewer}, TokenHash: strings.Repeat("0", 64)}}
	p.use(c)
	erin.want(http.MethodGet, "/console/", nil, http.StatusOK, "Log in to Sluice")

	families, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "sluice_access_oidc_logins_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				got[m.GetLabel()[0].GetValue()] = n
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"ok": 2, "name": 4}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAConfigurationThatCantBeInForceChangesNothing(t *testing.T) {
	p := newPlace(t, people(t))
	p.login = New(Options{Gate: p.gate}) // without --web.external-url
	c := people(t)
	c.OIDC = &oidc.Config{Issuer: "https://login.example.com", ClientID: "sluice", Roles: map[string][]string{"net": {access.Viewer}}}
	if m := c.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	if _, err := p.login.Prepare(c); !errors.Is(err, oidc.ErrNoRedirect) {
		t.Errorf("got %v", err)
	}
}

func TestWhoHasLoggedInMayOnlyWhatTheirRolesSay(t *testing.T) {
	p := newPlace(t, people(t))
	i, known := p.login.identity(session.Who{Name: "bob", Via: access.ViaPassword, Stamp: p.gate.Stamp("bob")})
	if !known || i.Via != access.ViaSession || !i.May(access.View, edge.Pool{}) || i.May(access.Order, edge.Pool{Device: "edge1", Name: "shop"}) {
		t.Errorf("%+v, %v", i, known)
	}
	if i, known := p.login.identity(session.Who{Name: "nobody", Via: access.ViaPassword}); known {
		t.Errorf("%+v", i)
	}
}
