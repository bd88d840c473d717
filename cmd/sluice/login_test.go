package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/remediator/access/oidc"
	"github.com/sluice-project/sluice/remediator/access/session"
	"github.com/sluice-project/sluice/test/loopback"
	testoidc "github.com/sluice-project/sluice/test/oidc"
	"github.com/sluice-project/sluice/test/rig"
)

const loginPassword = "not-a-real-password"

// A logInBench is a real remediator, as users start it, that people log in to.
type logInBench struct {
	dir, url string
	config   string
	process  *rig.Process
}

// startLogIn starts one with a section access, beside whatever flags there are.
func startLogIn(t *testing.T, access string, flags ...string) *logInBench {
	t.Helper()
	b := &logInBench{dir: filepath.Dir(socketPath(t))}
	own, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + own
	lb := haproxytest.StartReal(t, twoServers)
	b.config = fmt.Sprintf("devices:\n  - name: edge1\n    haproxy: {address: %s}\n", lb.Socket)
	b.write(t, access)
	p, err := rig.NewProgram("remediator", b.dir, "sluice", append([]string{"remediator", "--web.listen-address=" + own}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Log(40))
		}
	})
	prefix := ""
	for _, f := range flags {
		if v, ok := strings.CutPrefix(f, "--web.route-prefix="); ok {
			prefix = v
		}
	}
	if err := p.StartWeb(t.Context(), b.url+prefix+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	b.process, b.url = p, b.url+prefix
	return b
}

func (b *logInBench) write(t *testing.T, access string) {
	t.Helper()
	if err := writeFile(filepath.Join(b.dir, "sluice.yml"), b.config+access); err != nil {
		t.Fatal(err)
	}
}

func passwordHash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// annAndBob may order and look; root's token may everything.
func annAndBob(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`access:
  users:
    - {name: ann, password_hash: '%s', roles: [operator]}
    - {name: bob, password_hash: '%s', roles: [viewer]}
`, passwordHash(t, loginPassword), passwordHash(t, loginPassword))
}

// A surfer is a browser: it keeps cookies, follows where it is led and says that it
// wants pages.
type surfer struct {
	*http.Client
	t   *testing.T
	url string
}

func (b *logInBench) surfer(t *testing.T) *surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &surfer{&http.Client{Jar: jar}, t, b.url}
}

// send sends a form, or JSON where the body is a text, with headers in pairs.
func (s *surfer) send(method, path string, body any, header ...string) (resp *http.Response, text string) {
	s.t.Helper()
	var content io.Reader
	kind := ""
	switch b := body.(type) {
	case url.Values:
		content, kind = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	case string:
		content, kind = strings.NewReader(b), "application/json"
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, content)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err = s.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(read)
}

func (s *surfer) want(method, path string, body any, code int, says string, header ...string) {
	s.t.Helper()
	resp, text := s.send(method, path, body, header...)
	if resp.StatusCode != code || !strings.Contains(text, says) {
		s.t.Errorf("%s %s: %d %s, want %d with %q", method, path, resp.StatusCode, text, code, says)
	}
}

var hiddenField = regexp.MustCompile(`<input type="?hidden"? name="([a-z_]+)" value="([^"]*)">`)

// logIn asks for a page of the console, and fills in the form that comes instead. It
// returns where that leads.
func (s *surfer) logIn(page, name, password string) (resp *http.Response, text string) {
	s.t.Helper()
	_, text = s.send(http.MethodGet, page, nil)
	form := url.Values{"name": {name}, "password": {password}}
	for _, m := range hiddenField.FindAllStringSubmatch(text, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if form.Get(session.Field) == "" {
		s.t.Fatal("no log-in form:", text)
	}
	return s.send(http.MethodPost, session.Login, form)
}

// token is the one in the forms of the console's pages.
func (s *surfer) token() string {
	s.t.Helper()
	_, text := s.send(http.MethodGet, "/console/freeze", nil)
	for _, m := range hiddenField.FindAllStringSubmatch(text, -1) {
		if m[1] == session.Field && m[2] != "" {
			return html.UnescapeString(m[2])
		}
	}
	s.t.Fatal("no CSRF token in the console's page:", text)
	return ""
}

func TestPeopleLogInToTheRealRemediator(t *testing.T) {
	b := startLogIn(t, annAndBob(t))
	ann, bob, stranger := b.surfer(t), b.surfer(t), b.surfer(t)

	stranger.want("GET", "/console/holds", nil, 200, "Log in to Sluice")
	stranger.want("GET", "/console/holds", nil, 200, "Вход в Sluice", "Accept-Language", "ru")
	stranger.want("GET", "/", nil, 200, "Log in to Sluice")
	stranger.want("GET", "/api/v1/whoami", nil, 401, "the token is missing or wrong", "Accept", "application/json")

	resp, text := ann.logIn("/console/holds", "ann", loginPassword)
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/console/holds" {
		t.Fatalf("logged in, and led to %s: %d %s", resp.Request.URL, resp.StatusCode, text)
	}
	if resp, _ := bob.logIn("/console/", "bob", loginPassword); resp.Request.URL.Path != "/console/" {
		t.Fatal("bob is led to", resp.Request.URL)
	}
	ann.want("GET", "/api/v1/whoami", nil, 200, `"name":"ann","via":"session","roles":["operator"]`)
	bob.want("GET", "/api/v1/whoami", nil, 200, `"name":"bob","via":"session","roles":["viewer"]`)

	// An order of the session: with the token it is taken, and its actor is written down.
	const drain = "/api/v1/members/edge1/myapp/web01/drain"
	ann.want("POST", drain, `{"reason":"a new kernel"}`, 403, "CSRF token is missing or wrong")
	ann.want("POST", drain, `{"reason":"a new kernel"}`, 403, "CSRF token", session.Header, "made-up")
	ann.want("POST", drain, `{"reason":"a new kernel"}`, 403, "CSRF token", session.Header, bob.token())
	ann.want("POST", drain, `{"reason":"a new kernel"}`, 403, "another site", session.Header, ann.token(), "Sec-Fetch-Site", "cross-site")
	ann.want("POST", drain, `{"reason":"a new kernel"}`, 403, "another site", session.Header, ann.token(), "Origin", "https://example.com")
	bob.want("POST", drain, `{"reason":"a new kernel"}`, 403, "the role operator is missing", session.Header, bob.token())
	stranger.want("POST", drain, `{"reason":"a new kernel"}`, 401, "the token is missing or wrong", session.Header, ann.token(), "Accept", "*/*")
	stranger.want("POST", "/console/freeze", url.Values{"reason": {"x"}}, 200, "Log in to Sluice") // a form that was left open
	ann.want("GET", "/api/v1/steps", nil, 200, `"count":0`)
	ann.want("POST", drain, `{"reason":"a new kernel"}`, 200, `"success":true`, session.Header, ann.token(), "Sec-Fetch-Site", "same-origin")
	ann.want("GET", "/api/v1/steps", nil, 200, `"actor":"ann"`)
	ann.want("POST", "/console/freeze", url.Values{"reason": {"x"}}, 403, "CSRF token")
	ann.want("GET", "/api/v1/freeze", nil, 200, `"frozen":false`)

	// Out, by POST and with the token alone.
	ann.want("GET", session.Logout, nil, 405, "")
	ann.want("POST", session.Logout, url.Values{}, 403, "too old")
	ann.want("GET", "/api/v1/whoami", nil, 200, `"name":"ann"`)
	ann.want("POST", session.Logout, url.Values{session.Field: {ann.token()}}, 200, "Log in to Sluice")
	ann.want("GET", "/api/v1/whoami", nil, 401, "the token is missing or wrong", "Accept", "*/*")
	bob.want("GET", "/metrics", nil, 200, "sluice_access_sessions 1")

	// A reload that gives bob other roles ends his session.
	b.write(t, strings.Replace(annAndBob(t), "[viewer]", "[operator]", 1))
	if err := syscall.Kill(b.process.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), patience, "bob to be asked again", func(context.Context) error {
		if resp, text := bob.send("GET", "/api/v1/whoami", nil, "Accept", "*/*"); resp.StatusCode != http.StatusUnauthorized {
			return errors.New(text)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestManyWrongPasswordsLockOutAtTheLogInPage(t *testing.T) {
	b := startLogIn(t, annAndBob(t))
	s := b.surfer(t)
	for i := range 50 {
		resp, text := s.logIn("/console/", "ann", fmt.Sprint("wrong", i))
		if resp.StatusCode == http.StatusTooManyRequests {
			if resp.Header.Get("Retry-After") == "" || !strings.Contains(text, "Too many log-ins have failed") {
				t.Errorf("Retry-After %q: %s", resp.Header.Get("Retry-After"), text)
			}
			if resp, _ := s.logIn("/console/", "ann", loginPassword); resp.StatusCode != http.StatusTooManyRequests {
				t.Errorf("the right password is looked at all the same: %d", resp.StatusCode)
			}
			return
		}
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(text, "The name or the password is wrong.") {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
	}
	t.Error("nobody was locked out")
}

func TestPeopleLogInUnderAPrefix(t *testing.T) {
	b := startLogIn(t, annAndBob(t), "--web.route-prefix=/sluice")
	ann := b.surfer(t)
	resp, text := ann.logIn("/console/approvals", "ann", loginPassword)
	if resp.Request.URL.Path != "/sluice/console/approvals" || resp.StatusCode != http.StatusOK {
		t.Errorf("led to %s: %d %s", resp.Request.URL, resp.StatusCode, text)
	}
	u, err := url.Parse(b.url + "/console/")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range ann.Jar.Cookies(u) {
		if !strings.HasPrefix(c.Name, "sluice-session-") {
			t.Errorf("cookie %s", c.Name)
		}
	}
	u.Path = "/other/"
	if all := ann.Jar.Cookies(u); len(all) != 0 {
		t.Errorf("cookies %v go elsewhere", all)
	}
	ann.want("POST", session.Logout, url.Values{session.Field: {ann.token()}}, 200, "Log in to Sluice")
}

// Behind a proxy that rewrites Host a page of ours has the proxy's origin, which is the
// one that may give orders; a browser without Sec-Fetch-Site has nothing else to show.
func TestPeopleLogInBehindAProxyThatRewritesHost(t *testing.T) {
	b := startLogIn(t, annAndBob(t), "--web.external-url=http://sluice.example.com")
	ann := b.surfer(t)
	form := func(page string) url.Values {
		out := url.Values{"name": {"ann"}, "password": {loginPassword}, "reason": {"a new kernel"}, "do": {"freeze"}}
		_, text := ann.send("GET", page, nil)
		for _, m := range hiddenField.FindAllStringSubmatch(text, -1) {
			out.Set(m[1], html.UnescapeString(m[2]))
		}
		return out
	}
	const own, other = "http://sluice.example.com", "http://other.example.com"
	ann.want("POST", session.Login, form(session.Login), 403, "another site", "Origin", other)
	ann.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ann.want("POST", session.Login, form(session.Login), 303, "", "Origin", own)
	ann.want("GET", "/api/v1/whoami", nil, 200, `"name":"ann","via":"session"`)
	for path, body := range map[string]any{"/console/freeze": form("/console/freeze"), "/api/v1/freeze": `{"reason":"a new kernel"}`, "/api/v1/haproxy/backends/myapp/servers/web01/action": `{"action":"ready"}`} {
		for _, c := range []struct {
			origin string
			taken  bool
		}{{other, false}, {b.url + ".example.com", false}, {"null", false}, {own, true}, {b.url, true}} {
			resp, text := ann.send("POST", path, body, "Origin", c.origin, session.Header, ann.token())
			if taken := resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusSeeOther; taken != c.taken {
				t.Errorf("%s of a page of %s: %d %s", path, c.origin, resp.StatusCode, text)
			}
		}
	}
}

// The provider isn't there when the remediator starts, comes later, swaps its keys
// and goes away again; nobody else notices.
func TestPeopleLogInByOIDCToTheRealRemediator(t *testing.T) {
	where, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "client.secret")
	if err := os.WriteFile(secret, []byte(testoidc.ClientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startLogIn(t, fmt.Sprintf(`%s  oidc:
    issuer: http://%s/realms/main
    title: Example
    client_id: %s
    client_secret_file: %s
    redirect_url: http://localhost/console/oidc/callback
    roles: {net: [operator], watch: [viewer]}
`, annAndBob(t), where, testoidc.ClientID, secret))
	dora := b.surfer(t)
	dora.want("GET", "/console/", nil, 200, "Log in with Example")
	dora.want("GET", oidc.Start, nil, 502, "can&#39;t be reached")
	if resp, _ := b.surfer(t).logIn("/console/", "bob", loginPassword); resp.StatusCode != http.StatusOK {
		t.Error("nobody can log in by password, either:", resp.StatusCode)
	}

	provider := testoidc.Start(t, testoidc.Options{Address: where, Algorithm: "ES256"})
	provider.Client("http://localhost" + oidc.Callback)
	provider.LogIn(testoidc.Claims{"sub": "f7a1", "preferred_username": "dora", "groups": []string{"net"}}, nil)
	// The provider sends browsers to http://localhost: the test stands for the proxy there.
	dora.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "localhost" {
			r.URL.Host = strings.TrimPrefix(b.url, "http://")
		}
		return nil
	}
	resp, text := dora.send("GET", oidc.Start+"?next=/console/holds", nil)
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/console/holds" {
		t.Fatalf("led to %s: %d %s", resp.Request.URL, resp.StatusCode, text)
	}
	dora.want("GET", "/api/v1/whoami", nil, 200, `"name":"dora","via":"session","roles":["operator"]`)
	dora.want("POST", "/api/v1/freeze", `{"reason":"x"}`, 403, "CSRF token")
	dora.want("POST", "/api/v1/freeze", `{"reason":"a new kernel"}`, 200, `"success":true`, session.Header, dora.token())
	dora.want("GET", "/api/v1/freeze", nil, 200, `"actor":"dora"`)
	dora.want("GET", "/metrics", nil, 200, `sluice_access_oidc_logins_total{result="ok"} 1`)
	dora.want("POST", session.Logout, url.Values{session.Field: {dora.token()}}, 200, "Log in to Sluice")

	provider.Rotate(t, "RS256")
	provider.LogIn(testoidc.Claims{"sub": "f7a2", "preferred_username": "erin", "groups": []string{"others"}}, nil)
	dora.want("GET", oidc.Start, nil, 403, "none of your groups has a role here")
	provider.LogIn(testoidc.Claims{"sub": "f7a3", "preferred_username": "ann", "groups": []string{"net"}}, nil)
	dora.want("GET", oidc.Start, nil, 403, "by a name that can&#39;t be used here")
	provider.LogIn(testoidc.Claims{"sub": "f7a1", "preferred_username": "dora", "groups": []string{"watch"}}, nil)
	dora.want("GET", oidc.Start, nil, 200, "")
	dora.want("GET", "/api/v1/whoami", nil, 200, `"roles":["viewer"]`)
	provider.Misbehave(testoidc.Faults{Token: 500})
	dora.want("GET", "/api/v1/whoami", nil, 200, `"roles":["viewer"]`)
	if log := b.process.Log(1000); strings.Contains(log, testoidc.ClientSecret) || strings.Contains(log, "state=") || strings.Contains(log, "DOCTYPE") {
		t.Error("the log tells what it mustn't:", log)
	}
}

func TestARemediatorThatNobodyCouldBeSentBackToDoesntStart(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	err := writeFile(filepath.Join(dir, "sluice.yml"), "devices: []\naccess:\n  oidc:\n    issuer: https://login.example.com\n    client_id: sluice\n    roles: {net: [viewer]}\n")
	if err != nil {
		t.Fatal(err)
	}
	own, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	p, err := rig.NewProgram("remediator", dir, "sluice", "remediator", "--web.listen-address="+own)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.StartWeb(t.Context(), "http://"+own+"/-/ready"); err == nil {
		t.Error("it started:", p.Stop())
	}
	if log := p.Log(10); !slices.ContainsFunc(strings.Split(log, "\n"), func(l string) bool {
		return strings.Contains(l, "access.oidc: redirect_url is missing")
	}) {
		t.Error(log)
	}
}

func TestTheOriginIsWhatBrowsersName(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"https://Sluice.Example.com/x":         "https://sluice.example.com",
		"HTTPS://sluice.example.com:443":       "https://sluice.example.com",
		"http://sluice.example.com:80/":        "http://sluice.example.com",
		"http://sluice.example.com:443/":       "http://sluice.example.com:443",
		"https://[2001:db8::443]/":             "https://[2001:db8::443]",
		"https://[2001:db8::1]:443/":           "https://[2001:db8::1]",
		"https://sluice.example.com:8443/a/b/": "https://sluice.example.com:8443",
	} {
		if got := (&webFlags{externalURL: text}).origin(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
