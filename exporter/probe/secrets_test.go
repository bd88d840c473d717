package probe_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/test/loopback"
)

func TestCanariesNeverShow(t *testing.T) {
	s := site(t)
	host := strings.TrimPrefix(s.URL, "http://")
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	quote := web(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "cannot get %s (%s) for %s:%s", r.RequestURI, r.URL.Query().Get("token"), user, password)
	})
	mirror := raw(t, func(c net.Conn) { // throws the request back in place of an answer
		line, _ := bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, line+"\r\n\r\n")
	})
	for _, target := range []string{
		"http://user:canary@" + host + "/health?token=canary#canary",
		"http://user:canary@" + host + "/round?token=canary",
		"http://user:canary@" + host + "/nowhere",
		"http://user:canary@" + host + "/mail",
		"http://user:canary@" + nobody + "/?token=canary",
		"http://user:canary@nothing.invalid/?token=canary",
		"http://user:canary@" + host + "/%zz?token=canary",
		"http://user:can%2dary@" + strings.TrimPrefix(quote.URL, "http://") + "/?token=%63anary&canary",
		"http://user:canary@" + mirror + "/?token=canary",
		"https://user:canary@" + mirror + "/?token=canary",
		"ftp://user:canary@" + host + "/?token=canary",
		"http://user:canary@:99999/?token=canary",
		"http:///user:canary@" + host,
		"user:canary@" + host + "?next=http://canary",
		"http:user:canary@" + host,
	} {
		r := ask(t, "{prober: http, timeout: 2s}", target)
		for _, canary := range []string{"canary", "can-ary", "can%2dary"} {
			if strings.Contains(r.Detail, canary) {
				t.Errorf("%s: detail: %s", target, r.Detail)
			}
			if strings.Contains(string(r.Body), canary) {
				t.Errorf("%s: body: %s", target, r.Body)
			}
			if got := probe.Redact(target); strings.Contains(got, canary) {
				t.Errorf("redacted: %s", got)
			}
		}
		for _, m := range []string{"{prober: http}", "{prober: tcp}"} {
			if err := module(t, m).CheckTarget(target); err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("mistake: %v", err)
			}
		}
	}
}

// What the module shows of itself is no less secret than what a target's URL does.
func TestCredentialsOfARequestAreNoEvidence(t *testing.T) {
	quote := web(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "cannot serve shop: %v, who is %s with %s", r.Header, user, password)
	})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("canary-in-a-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, module := range map[string]string{
		"basic":       "basic_auth: {username: sluice, password: canary-as-it-is}",
		"a file":      "basic_auth: {username: sluice, password_file: " + file + "}",
		"a token":     "authorization: {credentials: canary-as-a-token}",
		"a header":    "headers: {X-Api-Key: canary-as-a-key}",
		"a cookie":    "headers: {Cookie: 'lang=en; sid=canary-as-a-cookie'}",
		"our headers": "http_headers: {X-Auth: {secrets: [canary-as-a-secret]}}",
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, "{prober: http, timeout: 2s, http: {"+module+"}}", quote.URL+"/health")
			if r.Up || !strings.Contains(string(r.Body), "cannot serve shop") {
				t.Fatalf("up: %t, body: %q", r.Up, r.Body)
			}
			for _, canary := range []string{"canary", base64.StdEncoding.EncodeToString([]byte("sluice:canary-as-it-is"))} {
				if strings.Contains(string(r.Body), canary) || strings.Contains(r.Detail, canary) {
					t.Errorf("detail: %s, body: %s", r.Detail, r.Body)
				}
			}
		})
	}
}

func TestRedact(t *testing.T) {
	for _, c := range []struct{ target, want string }{
		{"http://u:p@example.com/a?b=c#d", "http://example.com/a"},
		{"https://[2001:db8::1]:8443/?", "https://[2001:db8::1]:8443/"},
		{"example.com:25", "example.com:25"},
		{"example.com/a?b", "example.com/a"},
		{"u:p@ss@example.com:25", "example.com:25"},
		{"http://u:p@ example.com", "(unreadable)"},
		{"", "(unreadable)"},
	} {
		if got := probe.Redact(c.target); got != c.want {
			t.Errorf("%s: %s, want %s", c.target, got, c.want)
		}
	}
}

func TestARedirectToAnotherHostTakesNoCredentialsAlong(t *testing.T) {
	seen := make(chan http.Header, 1)
	other := web(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	elsewhere := "http://localhost" + other.URL[strings.LastIndex(other.URL, ":"):]
	s := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" || r.Header.Get("X-Key") == "" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, elsewhere, http.StatusFound)
	})
	const m = "{prober: http, http: {preferred_ip_protocol: ip4, basic_auth: {username: u, password: canary}, http_headers: {X-Key: {secrets: [canary]}}}}"
	wantReason(t, ask(t, m, s.URL), "")
	if h := <-seen; strings.Contains(fmt.Sprint(h), "canary") || h.Get("Authorization") != "" {
		t.Errorf("the other host got %v", h)
	}
}

func TestAProxyIsAskedForTheTarget(t *testing.T) {
	proxy := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, r.URL)
	})
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("u", "canary")
	m := fmt.Sprintf("{prober: http, http: {proxy_url: '%s', fail_if_body_not_matches_regexp: ['^http://nothing.invalid/a$']}}", at)
	wantReason(t, ask(t, m, "http://nothing.invalid/a"), "")
	r := ask(t, m, "https://nothing.invalid/a")
	wantReason(t, r, probe.Connect)
	if strings.Contains(r.Detail, "canary") || !strings.Contains(r.Detail, "Forbidden") {
		t.Errorf("detail: %s", r.Detail)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("http://", "example.com:80", "/a")
	f.Add("", "[::1]:80", "")
	f.Fuzz(func(t *testing.T, scheme, host, path string) {
		if strings.Contains(scheme+host+path, "canary") || strings.ContainsAny(host, "/?#@") || strings.ContainsAny(path, "?#") || strings.ContainsAny(scheme, "/?#@") && !strings.HasSuffix(scheme, "://") {
			return
		}
		if got := probe.Redact(scheme + "user:canary@" + host + path + "?q=canary#canary"); strings.Contains(got, "canary") {
			t.Errorf("%q", got)
		}
	})
}
