package probes

import (
	"bytes"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// What the console's pages and forms take, and two names that they don't.
var (
	pages  = []string{"", "service", "member", "holds", "approvals", "refusals", "freeze", "maintenance", "login", "oidc/callback", "assets/x", "nothing"}
	forms  = []string{"member", "holds", "approvals", "freeze", "maintenance", "preferences", "login", "logout", "nothing"}
	fields = []string{"device", "pool", "member", "do", "scope", "back", "done", "after", "v", "reason_kept", "action", "reason", "override", "weight", "until", "for", "name", "lang", "theme", "next", "q", "state", "code", "error", "csrf_token", "__proto__"}
)

func TestTheConsoleShowsNothingAsItCame(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	plain := func(p probe, a answer) {
		t.Helper()
		if a.code >= http.StatusInternalServerError || a.code == 0 {
			t.Errorf("%s: %d %.300s", p, a.code, a.body)
		}
		for _, bad := range []string{"<script>alert", "<svg/onload", "<img src=x", "href=\"javascript:", "\x1b", "\x00"} {
			if bytes.Contains(a.body, []byte(bad)) {
				t.Errorf("%s: the page has %q", p, bad)
			}
		}
		if location := a.header.Get("Location"); location != "" && (!strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") || strings.HasPrefix(location, "/\\")) {
			t.Errorf("%s: leads to %q", p, location)
		}
		if a.header.Get("Set-Cookie") != "" && strings.Contains(a.header.Get("Set-Cookie"), "x=y") {
			t.Errorf("%s: sets %q", p, a.header.Get("Set-Cookie"))
		}
	}
	ways := []string{"https://evil.example", "//evil.example", `/\evil.example`, "/console/../..//evil.example", "/%2f%2fevil.example"}
	for _, all := range words {
		for _, w := range append(slices.Clone(all), ways...) {
			every := url.Values{}
			for _, f := range fields {
				every.Set(f, w)
			}
			for _, page := range pages {
				p := probe{method: http.MethodGet, path: "/console/" + page + "?" + every.Encode()}
				plain(p, s.send(t, p))
			}
			for _, form := range forms {
				p := probe{http.MethodPost, "/console/" + form, every.Encode(), []string{"Content-Type", "application/x-www-form-urlencoded"}}
				plain(p, s.send(t, p))
			}
		}
	}
	for _, form := range forms {
		for _, p := range []probe{
			{http.MethodPost, "/console/" + form, `{"action":"drain"}`, []string{"Content-Type", "application/json"}},
			{http.MethodPost, "/console/" + form, "%zz=%", []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{http.MethodPost, "/console/" + form, "a=" + strings.Repeat("x", 2<<20), []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{http.MethodPost, "/console/" + form, strings.Repeat("a=1&", 100_000), []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{http.MethodPost, "/console/" + form, "--x\r\n\r\n", []string{"Content-Type", "multipart/form-data; boundary=x"}},
			{http.MethodPost, "/console/" + form, "device=edge1&pool=shop&member=web01&action=drain", []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site"}},
			{http.MethodPost, "/console/" + form, "device=edge1&pool=shop&member=web01&action=drain", []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example"}},
			{http.MethodPut, "/console/" + form, "", nil},
			{http.MethodDelete, "/console/" + form, "", nil},
		} {
			plain(p, s.send(t, p))
		}
	}
	s.untouched(t)
}

// isRun says that a browser would run what somebody sent.
func isRun(a answer) bool {
	text := strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") && a.header.Get("X-Content-Type-Options") == "nosniff"
	return !text && bytes.Contains(a.body, []byte("<script>alert"))
}

func TestTheExporterIsNobodysProxy(t *testing.T) {
	t.Parallel()
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	s := &target{url: "http://" + address, address: address, dir: t.TempDir()}
	s.process, err = rig.NewProgram("exporter", s.dir, sluice, "exporter", "--config.file="+filepath.Join(s.dir, "sluice.yml"), "--web.listen-address="+address)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.dir, "sluice.yml"), "modules:\n  alive: {prober: http, timeout: 1s}\nprobe_endpoint:\n  allow: [shop.example.com]\n")
	t.Cleanup(func() {
		if err := s.process.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.process.StartWeb(t.Context(), s.url+"/-/healthy"); err != nil {
		t.Fatal(err)
	}
	for _, all := range words {
		for _, w := range all {
			for _, query := range []string{"module=alive&target=" + url.QueryEscape(w), "target=x&module=" + url.QueryEscape(w), url.QueryEscape(w) + "=x", "device=" + url.QueryEscape(w)} {
				for _, path := range []string{"/probe?", "/scrape?", "/metrics?", "/?", "/config?"} {
					p := probe{method: http.MethodGet, path: path + query}
					a := s.send(t, p)
					if a.code >= http.StatusInternalServerError || a.code == 0 || isRun(a) || bytes.Contains(a.body, []byte("probe_success 1")) {
						t.Errorf("%s: %d %.200s", p, a.code, a.body)
					}
				}
			}
		}
	}
	for _, place := range []string{"127.0.0.1:" + address[strings.LastIndex(address, ":")+1:], "http://169.254.169.254/latest", "http://localhost/", "http://[::1]/", "http://shop.example.com@127.0.0.1/", "http://127.1/", "file:///etc/passwd", "gopher://127.0.0.1/"} {
		p := probe{method: http.MethodGet, path: "/probe?module=alive&target=" + url.QueryEscape(place)}
		// What isn't on the list is refused; a scheme that no prober has is a target that is down.
		if a := s.send(t, p); a.code >= http.StatusInternalServerError || a.code == http.StatusOK && !bytes.Contains(a.body, []byte("\nprobe_success 0\n")) {
			t.Errorf("%s: %d %.300s", p, a.code, a.body)
		}
	}
	for _, path := range []string{"/probe", "/scrape", "/metrics", "/", "/config"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "FOO"} {
			p := probe{method: method, path: path}
			check(t, p, s.send(t, p), http.StatusMethodNotAllowed)
		}
	}
}
