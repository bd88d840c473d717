package oidc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access/session"
	testoidc "github.com/sluice-project/sluice/test/oidc"
	testserve "github.com/sluice-project/sluice/test/serve"
)

// A console is what stands behind the log-in, with one browser.
type console struct {
	*http.Client
	url      string
	flow     *Flow
	sessions *session.Sessions
	results  []string
}

// secretFile holds the client's secret.
func secretFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "client.secret")
	if err := os.WriteFile(name, []byte(testoidc.ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// configFor is a good configuration for the provider.
func configFor(t *testing.T, p *testoidc.Provider) *Config {
	t.Helper()
	return &Config{
		Issuer: p.Issuer, ClientID: testoidc.ClientID, ClientSecretFile: secretFile(t),
		Roles: map[string][]string{"sluice-admins": {"admin"}, "net": {"operator", "viewer"}, "all": {"viewer"}},
	}
}

func validate(t *testing.T, c *Config) *Config {
	t.Helper()
	if m := c.Validate(func(role string) bool { return role == "admin" || role == "operator" || role == "viewer" }); len(m) > 0 {
		t.Fatal(m)
	}
	return c
}

// newConsole serves a console, until the test's end, whose people come from the provider.
func newConsole(t *testing.T, p *testoidc.Provider, c *Config) *console {
	t.Helper()
	mux := http.NewServeMux()
	con := &console{url: "http://" + testserve.Handler(t, mux, nil)}
	var sc session.Config
	if m := sc.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	con.sessions = session.New(session.Options{Config: sc, Provider: func() session.Provider { return con.flow.Provider() }})
	con.flow = New(Options{
		Sessions: con.sessions, External: con.url,
		Taken: func(name string) bool { return name == "root" },
		Done:  func(result string) { con.results = append(con.results, result) },
	})
	if err := use(con.flow, validate(t, c)); err != nil {
		t.Fatal(err)
	}
	p.Client(con.url + Callback)
	mux.Handle(session.Login, con.sessions.Handler())
	mux.Handle("/console/oidc/", con.flow.Handler())
	mux.HandleFunc("/console/", func(w http.ResponseWriter, r *http.Request) {
		e, ok := con.sessions.Of(r)
		if !ok {
			con.sessions.Ask(w, r)
			return
		}
		fmt.Fprintf(w, "%s %s by %s at %s", e.Who.Name, e.Who.Roles, e.Who.Via, r.URL)
	})
	con.newBrowser(t)
	return con
}

// use puts a configuration in force.
func use(f *Flow, c *Config) error {
	commit, err := f.Prepare(c)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// newBrowser forgets all cookies.
func (c *console) newBrowser(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Client = &http.Client{Jar: jar}
}

// get loads a page, and follows where it leads.
func (c *console) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	resp, err := c.Get(c.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// logIn goes the whole way and wants to arrive.
func (c *console) logIn(t *testing.T, want string) {
	t.Helper()
	code, body := c.get(t, Start+"?next=/console/holds")
	if code != http.StatusOK || body != want {
		t.Errorf("%d %s, want %s", code, body, want)
	}
}

// refused goes the whole way and wants not to arrive.
func (c *console) refused(t *testing.T, result string, code int, says string) {
	t.Helper()
	before := c.sessions.Count()
	got, body := c.get(t, Start+"?next=/console/approvals")
	c.wasRefused(t, got, body, result, code, says)
	if c.sessions.Count() != before {
		t.Error("somebody was logged in")
	}
}

func (c *console) wasRefused(t *testing.T, got int, body, result string, code int, says string) {
	t.Helper()
	if got != code || !strings.Contains(body, `<p role="alert">`) || !strings.Contains(body, says) {
		t.Errorf("%d %s, want %d with %q", got, body, code, says)
	}
	if last := c.results[len(c.results)-1]; last != result {
		t.Errorf("result %s, want %s", last, result)
	}
	if strings.Contains(body, testoidc.ClientSecret) {
		t.Error("the page tells the secret")
	}
}

var ann = testoidc.Claims{"sub": "f7a1", "preferred_username": "ann", "groups": []string{"net", "sluice-admins", "others"}}

func TestLogIn(t *testing.T) {
	const arrives = "ann [admin operator viewer] by oidc at /console/holds"
	for name, c := range map[string]struct {
		provider testoidc.Options
		change   func(*Config)
		person   testoidc.Claims
		more     testoidc.Claims // in the user info
		want     string
	}{
		"RS256":                           {want: arrives},
		"ES256":                           {provider: testoidc.Options{Algorithm: "ES256"}, want: arrives},
		"the secret in the form":          {provider: testoidc.Options{Methods: []string{"client_secret_post"}}, want: arrives},
		"the secret in the header":        {provider: testoidc.Options{Methods: []string{"client_secret_basic"}}, want: arrives},
		"a public client, by PKCE alone":  {provider: testoidc.Options{Public: true}, change: func(c *Config) { c.ClientSecretFile = "" }, want: arrives},
		"groups in the user info":         {person: testoidc.Claims{"sub": "f7a1", "preferred_username": "ann"}, more: testoidc.Claims{"groups": []string{"all"}}, want: "ann [viewer] by oidc at /console/holds"},
		"the ID token before user info":   {person: testoidc.Claims{"sub": "f7a1", "groups": []string{"all"}}, more: testoidc.Claims{"groups": []string{"sluice-admins"}, "preferred_username": "ann"}, want: "ann [viewer] by oidc at /console/holds"},
		"a single group as a text":        {person: testoidc.Claims{"sub": "f7a1", "preferred_username": "ann", "groups": "all"}, want: "ann [viewer] by oidc at /console/holds"},
		"other claims":                    {change: func(c *Config) { c.NameClaim, c.RolesClaim = "email", "realm_access.roles" }, person: testoidc.Claims{"sub": "f7a1", "email": "ann@example.com", "email_verified": true, "realm_access": map[string]any{"roles": []string{"net"}}}, want: "ann@example.com [operator viewer] by oidc at /console/holds"},
		"a claim with a point":            {change: func(c *Config) { c.RolesClaim = "https://example.com/groups" }, person: testoidc.Claims{"sub": "f7a1", "preferred_username": "ann", "https://example.com/groups": []string{"all"}}, want: "ann [viewer] by oidc at /console/holds"},
		"several audiences, made for us":  {person: testoidc.Claims{"sub": "f7a1", "preferred_username": "ann", "groups": []string{"all"}, "aud": []string{"other", testoidc.ClientID}, "azp": testoidc.ClientID}, want: "ann [viewer] by oidc at /console/holds"},
		"clocks a little apart":           {person: testoidc.Claims{"sub": "f7a1", "preferred_username": "ann", "groups": []string{"all"}, "exp": time.Now().Add(-30 * time.Second).Unix()}, want: "ann [viewer] by oidc at /console/holds"},
		"clocks apart, the other way":     {person: testoidc.Claims{"sub": "f7a1", "preferred_username": "ann", "groups": []string{"all"}, "iat": time.Now().Add(30 * time.Second).Unix()}, want: "ann [viewer] by oidc at /console/holds"},
		"a name of letters from anywhere": {person: testoidc.Claims{"sub": "f7a1", "preferred_username": "Анна", "groups": []string{"all"}}, want: "Анна [viewer] by oidc at /console/holds"},
	} {
		t.Run(name, func(t *testing.T) {
			p := testoidc.Start(t, c.provider)
			conf := configFor(t, p)
			if c.change != nil {
				c.change(conf)
			}
			con := newConsole(t, p, conf)
			person := c.person
			if person == nil {
				person = ann
			}
			p.LogIn(person, c.more)
			con.logIn(t, c.want)
			if diff := cmp.Diff([]string{"ok"}, con.results); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALogInThatMustNotSucceed(t *testing.T) {
	with := func(name string, value any) testoidc.Faults {
		return testoidc.Faults{Claims: testoidc.Claims{name: value}}
	}
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	p := testoidc.Start(t, testoidc.Options{})
	con := newConsole(t, p, configFor(t, p))
	elsewhere := testoidc.Start(t, testoidc.Options{})
	for name, c := range map[string]struct {
		faults testoidc.Faults
		result string
		code   int
		says   string
	}{
		"another nonce":                {with("nonce", "another"), "invalid", 403, "not valid"},
		"no nonce":                     {with("nonce", nil), "invalid", 403, "not valid"},
		"another audience":             {with("aud", "other"), "invalid", 403, "not valid"},
		"no audience":                  {with("aud", nil), "invalid", 403, "not valid"},
		"made for another client":      {with("azp", "other"), "invalid", 403, "not valid"},
		"several audiences, for none":  {with("aud", []string{"other", testoidc.ClientID}), "invalid", 403, "not valid"},
		"expired":                      {with("exp", in(-2*time.Minute)), "invalid", 403, "not valid"},
		"without an end":               {with("exp", nil), "invalid", 403, "not valid"},
		"issued in an hour":            {with("iat", in(time.Hour)), "invalid", 403, "not valid"},
		"good in an hour":              {with("nbf", in(time.Hour)), "invalid", 403, "not valid"},
		"another issuer":               {with("iss", elsewhere.Issuer), "invalid", 403, "not valid"},
		"almost the issuer":            {with("iss", p.Issuer+"/"), "invalid", 403, "not valid"},
		"about nobody":                 {with("sub", nil), "invalid", 403, "not valid"},
		"groups that are numbers":      {with("groups", []int{1}), "invalid", 403, "not valid"},
		"groups that are an object":    {with("groups", map[string]any{"net": true}), "invalid", 403, "not valid"},
		"no signature":                 {testoidc.Faults{Algorithm: "none"}, "invalid", 403, "not valid"},
		"signed with the public key":   {testoidc.Faults{Algorithm: "HS256"}, "invalid", 403, "not valid"},
		"signed by somebody else":      {testoidc.Faults{ForeignKey: true}, "invalid", 403, "not valid"},
		"no ID token":                  {testoidc.Faults{NoIDToken: true}, "invalid", 403, "not valid"},
		"another state":                {testoidc.Faults{State: "another"}, "stale", 403, "another browser"},
		"another issuer answers":       {testoidc.Faults{Issuer: elsewhere.Issuer}, "invalid", 403, "not valid"},
		"nobody says that they answer": {testoidc.Faults{NoIssuer: true}, "invalid", 403, "not valid"},
		"denied":                       {testoidc.Faults{Deny: "access_denied"}, "denied", 403, "refused"},
		"denied, and what was wanted":  {testoidc.Faults{Deny: "access_denied"}, "denied", 403, `start?next=%2Fconsole%2Fapprovals`},
		"denied, with markup":          {testoidc.Faults{Deny: "<script>alert(1)</script>"}, "denied", 403, "refused"},
		"no group here":                {with("groups", []string{"others"}), "no_role", 403, "none of your groups"},
		"no groups":                    {with("groups", []string{}), "no_role", 403, "none of your groups"},
		"a group in other letters":     {with("groups", []string{"NET"}), "no_role", 403, "none of your groups"},
		"no name":                      {testoidc.Faults{Claims: testoidc.Claims{"preferred_username": nil}, UserClaims: testoidc.Claims{"preferred_username": nil}}, "name", 403, "by a name"},
		"an empty name":                {with("preferred_username", ""), "name", 403, "by a name"},
		"a name of two lines":          {with("preferred_username", "ann\nroot"), "name", 403, "by a name"},
		"a name with a space before":   {with("preferred_username", " ann"), "name", 403, "by a name"},
		"a very long name":             {with("preferred_username", strings.Repeat("a", maxName+1)), "name", 403, "by a name"},
		"a name that is no text":       {with("preferred_username", 7), "name", 403, "by a name"},
		"the name of a user here":      {with("preferred_username", "root"), "name", 403, "by a name"},
		"no tokens":                    {testoidc.Faults{Token: 500}, "unreachable", 502, "can&#39;t be reached"},
		"tokens from elsewhere":        {testoidc.Faults{Redirect: elsewhere.Issuer + "/token"}, "unreachable", 502, "can&#39;t be reached"},
		"user info of somebody else":   {testoidc.Faults{Claims: testoidc.Claims{"groups": nil}, UserClaims: testoidc.Claims{"sub": "other"}}, "invalid", 403, "not valid"},
		"no user info":                 {testoidc.Faults{Claims: testoidc.Claims{"groups": nil}, UserInfo: 500}, "unreachable", 502, "can&#39;t be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			con.newBrowser(t)
			p.LogIn(ann, nil)
			p.Misbehave(c.faults)
			con.refused(t, c.result, c.code, c.says)
			if elsewhere.Asked("token") != 0 {
				t.Error("the secret went to somebody else")
			}
			p.Misbehave(testoidc.Faults{})
			con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds") // nothing sticks
		})
	}
}

// The provider is asked when somebody logs in, and not before: it may be down when
// the remediator starts.
func TestAProviderThatIsntThereKeepsNobodyBut(t *testing.T) {
	for name, c := range map[string]testoidc.Faults{
		"500":                      {Discovery: 500},
		"404":                      {Discovery: 404},
		"PKCE that hides nothing":  {PKCE: []string{"plain"}},
		"another issuer":           {DiscoveryIssuer: "https://login.example.com"},
		"an answer without an end": {Huge: true},
		"a token endpoint that is no address": {
			DiscoveryToken: "javascript:alert(1)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := testoidc.Start(t, testoidc.Options{})
			p.Misbehave(c)
			con := newConsole(t, p, configFor(t, p))
			p.LogIn(ann, nil)
			if n := p.Asked("openid-configuration"); n != 0 {
				t.Errorf("asked %d times before anybody wanted to log in", n)
			}
			if code, body := con.get(t, "/console/"); code != http.StatusOK || !strings.Contains(body, "Log in with "+strings.Split(p.Issuer, "/")[2]) {
				t.Errorf("%d %s", code, body)
			}
			con.refused(t, "unreachable", http.StatusBadGateway, "can&#39;t be reached")
			if n := p.Asked("megabytes"); n > 30 { // what stands in buffers on the way counts, too
				t.Errorf("%d MB of an answer were read", n)
			}
			p.Misbehave(testoidc.Faults{})
			con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
			n := p.Asked("openid-configuration")
			con.newBrowser(t)
			con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
			if again := p.Asked("openid-configuration"); again != n {
				t.Error("what the provider says of itself isn't kept")
			}
		})
	}
}

func TestAProviderThatHangsIsGivenUp(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{})
	con := newConsole(t, p, configFor(t, p))
	con.flow.now.Load().client.Timeout = 50 * time.Millisecond
	p.LogIn(ann, nil)
	p.Misbehave(testoidc.Faults{Hang: true})
	con.refused(t, "unreachable", http.StatusBadGateway, "can&#39;t be reached")
	p.Misbehave(testoidc.Faults{})
	con.flow.now.Load().client.Timeout = askTime
	con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
}

func TestKeysAreSwapped(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{})
	con := newConsole(t, p, configFor(t, p))
	p.LogIn(ann, nil)
	con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
	for _, algorithm := range []string{"RS256", "ES256"} {
		p.Rotate(t, algorithm)
		con.newBrowser(t)
		con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
	}
	p.Rotate(t, "RS256")
	p.Misbehave(testoidc.Faults{Keys: 500})
	con.newBrowser(t)
	con.refused(t, "invalid", http.StatusForbidden, "not valid")
}

// A provider with a certificate of a private CA is trusted by tls_config alone.
func TestAPrivateCA(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{TLS: true})
	conf := configFor(t, p)
	con := newConsole(t, p, conf)
	p.LogIn(ann, nil)
	con.refused(t, "unreachable", http.StatusBadGateway, "can&#39;t be reached")

	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, p.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	conf.Client.TLSConfig.CAFile = ca
	con = newConsole(t, p, conf)
	con.Transport = con.flow.now.Load().client.Transport // the browser trusts it, too
	p.Misbehave(testoidc.Faults{DiscoveryToken: strings.Replace(p.Issuer, "https", "http", 1) + "/token"})
	con.refused(t, "unreachable", http.StatusBadGateway, "can&#39;t be reached") // no secret goes out in plain
	p.Misbehave(testoidc.Faults{})
	con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
}

// step sends the browser to the provider and stops before it comes back.
func (c *console) step(t *testing.T) (back string) {
	t.Helper()
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == Callback {
			back = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { c.CheckRedirect = nil }()
	if code, body := c.get(t, Start); code != http.StatusFound {
		t.Fatalf("%d %s", code, body)
	}
	return back
}

func TestAnAnswerBelongsToOneBrowserAndIsGoodOnce(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{})
	con := newConsole(t, p, configFor(t, p))
	p.LogIn(ann, nil)

	back := con.step(t)
	mine := con.Client
	con.newBrowser(t) // somebody else is sent a link with the answer
	code, body := con.get(t, back)
	con.wasRefused(t, code, body, "stale", http.StatusForbidden, "another browser")
	con.step(t) // or has begun a log-in of their own
	code, body = con.get(t, back)
	con.wasRefused(t, code, body, "stale", http.StatusForbidden, "another browser")
	con.Client = mine
	if code, body := con.get(t, back); code != http.StatusOK || !strings.HasPrefix(body, "ann ") {
		t.Errorf("%d %s", code, body)
	}
	code, body = con.get(t, back)
	con.wasRefused(t, code, body, "stale", http.StatusForbidden, "another browser")

	for name, c := range map[string]struct {
		change func(url.Values)
		result string
	}{
		"no code":           {func(q url.Values) { q.Del("code") }, "invalid"},
		"another code":      {func(q url.Values) { q.Set("code", "x") }, "invalid"},
		"no state":          {func(q url.Values) { q.Del("state") }, "stale"},
		"an error and code": {func(q url.Values) { q.Set("error", "x") }, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			con.newBrowser(t)
			u, err := url.Parse(con.step(t))
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			c.change(q)
			code, body := con.get(t, Callback+"?"+q.Encode())
			if con.wasRefused(t, code, body, c.result, http.StatusForbidden, ""); con.sessions.Count() != 1 {
				t.Errorf("%d sessions", con.sessions.Count())
			}
		})
	}
}

func TestWhatTheBrowserKeepsIsSealed(t *testing.T) {
	f := New(Options{})
	for name, kept := range map[string]string{
		"nothing": "", "no text of ours": "!", "too short": "AAAA", "of another process": strings.Repeat("A", 200),
		"a plain flight": "eyJzIjoiYSJ9",
	} {
		if _, err := f.open(kept); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	for ago, want := range map[time.Duration]error{0: nil, flightTime - time.Minute: nil, flightTime + time.Minute: errStale} {
		text, err := json.Marshal(flight{State: "a", At: time.Now().Add(-ago)})
		if err != nil {
			t.Fatal(err)
		}
		fl, err := f.open(base64.RawURLEncoding.EncodeToString(f.seal.Seal(nil, nil, text, nil)))
		if !errors.Is(err, want) || err == nil && fl.State != "a" {
			t.Errorf("begun %s ago: %v, %+v", ago, err, fl)
		}
	}
}

func TestAnAddressThatNobodyVerifiedIsNoName(t *testing.T) {
	c := &Config{NameClaim: "email", RolesClaim: "groups", Roles: map[string][]string{"net": {"operator"}}}
	for name, e := range map[string]struct {
		verified any
		want     error
	}{
		"verified": {true, nil}, "not said": {nil, nil}, "not verified": {false, errName}, "not verified, as a text": {"false", errName},
	} {
		said := claims{"email": "ann@example.com", "groups": "net"}
		if e.verified != nil {
			said["email_verified"] = e.verified
		}
		if _, err := c.who(said); !errors.Is(err, e.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAReload(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{})
	conf := configFor(t, p)
	con := newConsole(t, p, conf)
	p.LogIn(ann, nil)
	con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
	ended := func() int { return con.sessions.End(func(w session.Who) bool { return !con.flow.Still(w) }) }

	same := *conf
	same.Title, same.ClockSkew = "Example", 0
	if err := use(con.flow, validate(t, &same)); err != nil {
		t.Fatal(err)
	}
	if n := ended(); n != 0 {
		t.Errorf("%d sessions ended, though nothing of theirs changed", n)
	}

	back := con.step(t)
	other := *conf
	other.Roles = map[string][]string{"net": {"viewer"}}
	if err := use(con.flow, validate(t, &other)); err != nil {
		t.Fatal(err)
	}
	if n := ended(); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	code, body := con.get(t, back)
	con.wasRefused(t, code, body, "stale", http.StatusForbidden, "Try again")
	con.logIn(t, "ann [viewer] by oidc at /console/holds")

	if err := use(con.flow, nil); err != nil {
		t.Fatal(err)
	}
	if n := ended(); n != 1 || con.flow.Provider() != (session.Provider{}) {
		t.Errorf("%d sessions ended, provider %v", n, con.flow.Provider())
	}
	con.refused(t, "none", http.StatusNotFound, "no log-in service")
}

func TestASecretThatIsSwappedOrMissing(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{})
	conf := configFor(t, p)
	con := newConsole(t, p, conf)
	p.LogIn(ann, nil)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf.ClientSecretFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("not-the-right-one")
	con.refused(t, "invalid", http.StatusForbidden, "not valid")
	write("\n")
	con.refused(t, "error", http.StatusServiceUnavailable, "just now")
	if err := os.Remove(conf.ClientSecretFile); err != nil {
		t.Fatal(err)
	}
	con.refused(t, "error", http.StatusServiceUnavailable, "just now")
	if err := use(con.flow, conf); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a reload without it: %v", err)
	}
	want := edge.Mistakes{{Path: "client_secret_file", Text: "open " + conf.ClientSecretFile + ": no such file or directory"}}
	if diff := cmp.Diff(want, conf.Files()); diff != "" {
		t.Error(diff)
	}
	write(testoidc.ClientSecret)
	if m := conf.Files(); m != nil {
		t.Error(m)
	}
	con.logIn(t, "ann [admin operator viewer] by oidc at /console/holds")
}

func TestWhereToBeSentBack(t *testing.T) {
	p := testoidc.Start(t, testoidc.Options{})
	conf := validate(t, configFor(t, p))
	if err := use(New(Options{}), conf); !errors.Is(err, ErrNoRedirect) {
		t.Errorf("got %v", err)
	}
	f := New(Options{External: "https://sluice.example.com/sluice"})
	if err := use(f, conf); err != nil || f.now.Load().redirect != "https://sluice.example.com/sluice/console/oidc/callback" {
		t.Errorf("%v, %s", err, f.now.Load().redirect)
	}
	conf.RedirectURL = "https://other.example.com" + Callback
	if err := use(f, conf); err != nil || f.now.Load().redirect != conf.RedirectURL {
		t.Errorf("%v, %s", err, f.now.Load().redirect)
	}
}
