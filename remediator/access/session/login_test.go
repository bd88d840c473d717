package session

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluice-project/sluice/test/loopback"
)

const password = "not-a-real-password"

// A browser keeps cookies and, unless it is told to, follows no redirect.
type browser struct {
	*http.Client
	base string // scheme, host and the path under which the server is reached
}

// serve serves the log-in, and a page of the console, under a prefix until the
// test's end.
func serve(t *testing.T, o Options, tls bool) (*Sessions, *browser) {
	t.Helper()
	o.Config = config(t, o.Config)
	if o.Password == nil {
		o.Password = func(_ *http.Request, name, given string) (Who, error) {
			switch {
			case len(name) > maxName, len(given) > maxPassword, !utf8.ValidString(name):
				return Who{}, errors.New("nobody has to look at that")
			case name == "locked":
				return Who{}, &LockedError{For: 90 * time.Second}
			case name == "broken":
				return Who{}, errors.New("a detail that nobody is to see")
			case name != "ann" || given != password:
				return Who{}, ErrWrong
			}
			return Who{Name: name, Via: "password"}, nil
		}
	}
	s := New(o)
	mux := http.NewServeMux()
	mux.Handle(Login, s.Handler())
	mux.Handle(Logout, s.Handler())
	mux.HandleFunc("/console/", func(w http.ResponseWriter, r *http.Request) {
		r, e, leave, err := s.Enter(r)
		defer leave()
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusForbidden)
		case e == nil:
			s.Ask(w, r)
		default:
			fmt.Fprint(w, e.Who.Name+" "+CSRF(r))
		}
	})
	var h http.Handler = mux
	if o.Route != "" {
		outer := http.NewServeMux()
		outer.Handle(o.Route+"/", http.StripPrefix(o.Route, mux))
		h = outer
	}
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	if err := srv.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	srv.Listener = ln
	if tls {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return s, newBrowser(t, srv, srv.URL+o.Route)
}

func newBrowser(t *testing.T, srv *httptest.Server, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := *srv.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&c, base}
}

// An answer is one with its body read.
type answer struct {
	*http.Response
	body string
}

func (b *browser) do(t *testing.T, method, path string, form url.Values, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (b *browser) get(t *testing.T, path string, header ...string) answer {
	t.Helper()
	return b.do(t, http.MethodGet, path, nil, header...)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// fill loads the log-in page and fills in its form.
func (b *browser) fill(t *testing.T, path, name, secret string) url.Values {
	t.Helper()
	form := url.Values{"name": {name}, "password": {secret}}
	for _, m := range hidden.FindAllStringSubmatch(b.get(t, path).body, -1) {
		form.Set(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
	}
	return form
}

func (a answer) want(t *testing.T, code int, words ...string) {
	t.Helper()
	if a.StatusCode != code {
		t.Errorf("%s %s: %d %s, want %d", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, code)
	}
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			t.Errorf("%s %s says not %q: %s", a.Request.Method, a.Request.URL.Path, w, a.body)
		}
	}
}

// redirects wants one, to a path as the browser sees it.
func (a answer) redirects(t *testing.T, to string) {
	t.Helper()
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusSeeOther || got != to {
		t.Errorf("%s %s: %d to %q, want 303 to %q; %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, got, to, a.body)
	}
}

func TestLogInAndOut(t *testing.T) {
	for name, c := range map[string]struct {
		o          Options
		tls        bool
		cookie     string
		cookiePath string
	}{
		"plain":               {Options{}, false, "sluice-session", "/"},
		"with TLS":            {Options{}, true, "__Host-sluice-session", "/"},
		"under a prefix":      {Options{Route: "/sluice", External: "/sluice"}, false, "sluice-session-14d6fc93", "/sluice/"},
		"prefix and TLS":      {Options{Route: "/sluice", External: "/sluice"}, true, "__Host-sluice-session-14d6fc93", "/"},
		"at the end of a way": {Options{Route: "/sluice"}, false, "sluice-session", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := serve(t, c.o, c.tls)
			external := c.o.External
			b.get(t, "/console/").redirects(t, external+"/console/login")
			b.get(t, "/console/members?pool=web").redirects(t, external+"/console/login?next="+url.QueryEscape(external+"/console/members?pool=web"))

			form := b.fill(t, "/console/login?next="+url.QueryEscape(external+"/console/members?pool=web"), "ann", password)
			in := b.do(t, http.MethodPost, Login, form)
			in.redirects(t, external+"/console/members?pool=web")
			var found bool
			for _, got := range in.Cookies() {
				if got.MaxAge < 0 {
					continue
				}
				found = true
				if got.Name != c.cookie || got.Path != c.cookiePath || !got.HttpOnly || got.SameSite != http.SameSiteLaxMode || got.Secure != c.tls || got.Domain != "" || len(got.Value) != 43 {
					t.Errorf("cookie %v, want %s for %s", got, c.cookie, c.cookiePath)
				}
				if _, ok := s.all[sha256.Sum256([]byte(got.Value))]; !ok {
					t.Error("the session isn't kept by the hash of its name")
				}
			}
			if !found {
				t.Fatal("no cookie was set")
			}
			who, token, _ := strings.Cut(b.get(t, "/console/").body, " ")
			if who != "ann" {
				t.Errorf("logged in as %q", who)
			}
			b.get(t, Login).redirects(t, external+"/console/") // who is logged in needn't

			b.do(t, http.MethodPost, Logout, url.Values{}).want(t, http.StatusForbidden, "too old", "Back to the console")
			b.get(t, Logout).want(t, http.StatusMethodNotAllowed)
			if who, _, _ := strings.Cut(b.get(t, "/console/").body, " "); who != "ann" {
				t.Fatal("logged out without a token")
			}
			b.do(t, http.MethodPost, Logout, url.Values{Field: {token}}).redirects(t, external+Login)
			if s.Count() != 0 {
				t.Error("the session is still there")
			}
			b.get(t, "/console/").redirects(t, external+Login)
			b.do(t, http.MethodPost, Logout, url.Values{Field: {token}}).redirects(t, external+Login) // twice
		})
	}
}

func TestALogInIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		name, password string
		change         func(url.Values)
		header         []string
		forget         bool // the browser keeps no cookie
		code           int
		says           string
	}{
		"a wrong password":     {"ann", "wrong", nil, nil, false, 403, "The name or the password is wrong."},
		"nobody's name":        {"bob", password, nil, nil, false, 403, "The name or the password is wrong."},
		"a wrong password, ru": {"ann", "wrong", nil, []string{"Accept-Language", "ru"}, false, 403, "Неверное имя или пароль."},
		"no password":          {"ann", "", nil, nil, false, 400, "Fill in"},
		"no name":              {"", password, nil, nil, false, 400, "Fill in"},
		"a very long password": {"ann", strings.Repeat("x", maxPassword+1), nil, nil, false, 403, "wrong"},
		"a very long name":     {strings.Repeat("x", maxName+1), password, nil, nil, false, 403, "wrong"},
		"no text":              {"ann\xff", password, nil, nil, false, 403, "wrong"},
		"locked":               {"locked", password, nil, nil, false, 429, "Too many log-ins"},
		"an error of ours":     {"broken", password, nil, nil, false, 503, "just now"},
		"no token":             {"ann", password, func(f url.Values) { f.Del(Field) }, nil, false, 403, "too old"},
		"a made-up token":      {"ann", password, func(f url.Values) { f.Set(Field, encode(make([]byte, tokenSize))) }, nil, false, 403, "too old"},
		"no cookie":            {"ann", password, nil, nil, true, 403, "too old"},
		"another site's page":  {"ann", password, nil, []string{"Sec-Fetch-Site", "cross-site"}, false, 403, "another site"},
		"another host's page":  {"ann", password, nil, []string{"Origin", "https://example.com"}, false, 403, "another site"},
		"a sandboxed page":     {"ann", password, nil, []string{"Origin", "null"}, false, 403, "another site"},
		"JSON":                 {"ann", password, nil, []string{"Content-Type", "application/json"}, false, 400, "can&#39;t be read"},
		"2 MB":                 {"ann", password, func(f url.Values) { f.Set("more", strings.Repeat("x", 2<<20)) }, nil, false, 400, "can&#39;t be read"},
		"a form with an error": {"ann", password, func(f url.Values) { f.Set(Field, "\x00%") }, nil, false, 403, "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			s, b := serve(t, Options{}, false)
			form := b.fill(t, Login, c.name, c.password)
			if c.change != nil {
				c.change(form)
			}
			if c.forget {
				b.Jar = nil
			}
			a := b.do(t, http.MethodPost, Login, form, c.header...)
			a.want(t, c.code, `<p role="alert">`, c.says)
			if s.Count() != 0 {
				t.Error("somebody is logged in")
			}
			if strings.Contains(a.body, "detail") || strings.Contains(a.body, password) {
				t.Error("the page tells what it mustn't:", a.body)
			}
			if got := a.Header.Get("Retry-After"); (c.code == 429) != (got == "90") {
				t.Errorf("Retry-After %q", got)
			}
			if a.Header.Get("WWW-Authenticate") != "" {
				t.Error("the browser would ask by itself")
			}
		})
	}
}

// Somebody who loads the form themselves has its token, but not the other's cookie.
func TestTheFormOfAnotherBrowserLogsNobodyIn(t *testing.T) {
	s, mallory := serve(t, Options{}, false)
	form := mallory.fill(t, Login, "ann", password)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	mallory.Jar = jar
	ann := mallory
	ann.get(t, Login) // with a cookie of her own
	ann.do(t, http.MethodPost, Login, form).want(t, http.StatusForbidden, "too old")
	if s.Count() != 0 {
		t.Error("somebody is logged in")
	}
}

func TestThePageRunsNoScriptAndSpeaksTwoLanguages(t *testing.T) {
	_, b := serve(t, Options{Provider: func() Provider { return Provider{`Exa"mple <b>`, "/console/oidc/start"} }}, false)
	a := b.get(t, Login+`?next=/console/%22%3E%3Cscript%3E`)
	a.want(t, http.StatusOK, `<html lang="en">`, `<label for="name">Name</label>`, `<label for="password">Password</label>`,
		"prefers-color-scheme: dark", `Log in with Exa&#34;mple &lt;b&gt;`, `href="/console/oidc/start?next=`)
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, " style=") || strings.Contains(a.body, " onload") {
		t.Error("something would run:", a.body)
	}
	_, rest, _ := strings.Cut(a.body, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	if !strings.Contains(pageText, style) || style == "" {
		t.Error("the style isn't the one whose hash the policy has")
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Content-Language": "en",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for accept, want := range map[string]string{
		"": "en", "de": "en", "ru": "ru", "ru-RU,en;q=0.5": "ru", "en-GB,ru;q=0.9": "en", "de,ru;q=0.1": "ru",
		"ru;q=0": "en", "ru;q=2": "en", "*": "en", strings.Repeat("ru,", 400): "en",
	} {
		b.get(t, Login, "Accept-Language", accept).want(t, http.StatusOK, `<html lang="`+want+`">`)
	}
	b.get(t, Login, "Accept-Language", "ru").want(t, http.StatusOK, "Вход в Sluice", "Имя", "Пароль", "Войти через Exa")
}

func TestThereIsNoFormWhereNobodyHasAPassword(t *testing.T) {
	with := false
	_, b := serve(t, Options{Usable: func() bool { return with }}, false)
	a := b.get(t, Login)
	a.want(t, http.StatusOK, "Nobody can log in here")
	if strings.Contains(a.body, "<form") {
		t.Error("there is a form:", a.body)
	}
	with = true
	form := b.fill(t, Login, "ann", password)
	with = false
	b.do(t, http.MethodPost, Login, form).want(t, http.StatusForbidden, "Nobody logs in by password here.")
}

func TestAFailedLogInKeepsWhatWasTypedButThePassword(t *testing.T) {
	_, b := serve(t, Options{}, false)
	form := b.fill(t, Login+"?next=/console/holds", "ann", "wrong-as-wrong-can-be")
	a := b.do(t, http.MethodPost, Login, form)
	a.want(t, http.StatusForbidden, `value="ann"`, `value="/console/holds"`)
	if strings.Contains(a.body, "wrong-as-wrong") {
		t.Error("the password stands in the page")
	}
}

// Behind a proxy that speaks TLS the browser's cookie is for TLS only, and its
// Origin is the proxy's.
func TestBehindAProxyWithTLS(t *testing.T) {
	s, b := serve(t, Options{Origin: "https://sluice.example.com"}, false)
	b.Jar = nil // the test stands for the proxy, and for the browser behind it
	page := b.get(t, Login)
	cookie := page.Cookies()[0]
	if !cookie.Secure || cookie.Name != "__Host-sluice-login" {
		t.Errorf("cookie %v", cookie)
	}
	form := url.Values{"name": {"ann"}, "password": {password}, Field: {hidden.FindStringSubmatch(page.body)[2]}}
	in := b.do(t, http.MethodPost, Login, form, "Origin", "https://sluice.example.com", "Cookie", cookie.Name+"="+cookie.Value)
	in.redirects(t, Home)
	if s.Count() != 1 || !in.Cookies()[0].Secure {
		t.Errorf("%d sessions, cookie %v", s.Count(), in.Cookies()[0])
	}
}
