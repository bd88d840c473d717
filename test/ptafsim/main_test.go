package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/test/loopback"
)

// start runs the command until the test's end and returns what it prints at
// first, and the lines that come later.
func start(t *testing.T, args ...string) (banner string, later <-chan string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := ptafsim(ctx, args, w)
		done <- errors.Join(err, w.Close())
	}()
	lines := make(chan string, 100) // more than any test has
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for line := range lines {
		if banner += line + "\n"; strings.HasSuffix(banner, "\n\n") && strings.Contains(banner, "devices:") {
			return banner, lines
		}
	}
	t.Fatalf("it ended after %q", banner)
	return "", nil
}

func address(t *testing.T) string {
	t.Helper()
	a, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A snippet is what Sluice is to read of it.
type snippet struct {
	Devices []struct {
		Name string
		PTAF struct {
			section   `yaml:",inline"`
			Upstreams []string
			BasicAuth login `yaml:"basic_auth"`
		}
		PTAFPro struct {
			section  `yaml:",inline"`
			Tenant   string
			Profiles []string
			Login    login
		} `yaml:"ptafpro"`
	}
}

type section struct {
	URL string
	Pin string `yaml:"pin_sha256"`
}

type login struct{ Username, Password string }

// read finds the snippet in what is printed.
func read(t *testing.T, banner string) (s snippet) {
	t.Helper()
	_, text, _ := strings.Cut(banner, "# sluice.yml\n")
	if err := yaml.Unmarshal([]byte(text), &s); err != nil || len(s.Devices) != 1 {
		t.Fatalf("%v in %s", err, banner)
	}
	return s
}

// call wants the certificate to be the one that is pinned. It returns status and body.
func call(t *testing.T, pin, method, url, body string, prepare func(*http.Request)) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the pin is what is looked at
		VerifyConnection: func(c tls.ConnectionState) error {
			if got := fmt.Sprintf("%x", sha256.Sum256(c.PeerCertificates[0].Raw)); got != pin {
				return fmt.Errorf("the pin is %s, not %q", got, pin)
			}
			return nil
		},
	}}}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	prepare(req)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

func TestPrintsWhatWorks(t *testing.T) {
	for _, args := range [][]string{nil, {"--tls"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			banner, later := start(t, append(args, "--web.listen-address="+address(t))...)
			p := read(t, banner).Devices[0].PTAF
			status, body := call(t, p.Pin, http.MethodGet, p.URL+"/upstreams", "", func(r *http.Request) {
				r.SetBasicAuth(p.BasicAuth.Username, p.BasicAuth.Password)
			})
			if status != http.StatusOK || !strings.Contains(body, p.Upstreams[0]) {
				t.Errorf("%d %s", status, body)
			}
			if line := <-later; !strings.HasSuffix(line, " GET /api/waf/v2/upstreams 200") {
				t.Errorf("the call is told as %q", line)
			}
		})
	}
}

// What is printed of the PTAF PRO logs in, finds its tenant and the profiles in it.
func TestPrintsWhatWorksWithAPTAFPRO(t *testing.T) {
	for _, args := range [][]string{{"--pro"}, {"--pro", "--tls"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			banner, later := start(t, append(args, "--web.listen-address="+address(t))...)
			p := read(t, banner).Devices[0].PTAFPro
			asJSON := func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }
			status, body := call(t, p.Pin, http.MethodPost, p.URL+"/auth/refresh_tokens",
				fmt.Sprintf(`{"username": %q, "password": %q, "fingerprint": "1"}`, p.Login.Username, p.Login.Password), asJSON)
			if status != http.StatusCreated {
				t.Fatalf("log in: %d %s", status, body)
			}
			if line := <-later; !strings.HasSuffix(line, " POST /api/ptaf/v4/auth/refresh_tokens 201") {
				t.Errorf("the call is told as %q", line)
			}
			// The token that is printed for calls by hand is one of the same tenant.
			_, line, _ := strings.Cut(banner, "token ")
			bearer := func(r *http.Request) {
				asJSON(r)
				r.Header.Set("Authorization", "Bearer "+strings.Fields(line)[0])
			}
			_, tenants := call(t, p.Pin, http.MethodGet, p.URL+"/auth/account/tenants", "", bearer)
			_, profiles := call(t, p.Pin, http.MethodGet, p.URL+"/config/traffic_profiles", "", bearer)
			for _, want := range append(p.Profiles, p.Tenant) {
				if !strings.Contains(tenants+profiles, `"name":"`+want+`"`) {
					t.Errorf("%s isn't in %s nor in %s", want, tenants, profiles)
				}
			}
			status, body = call(t, p.Pin, http.MethodPatch, p.URL+"/config/backends/0f5b2a4e-0000-4000-8000-000000000001", `{"enabled": false}`, bearer)
			if status != http.StatusOK || !strings.Contains(body, `"enabled":false`) {
				t.Errorf("an edit by hand: %d %s", status, body)
			}
		})
	}
}

func TestProxyAndFaults(t *testing.T) {
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	member := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })} //nolint:gosec // of a test
	go func() { _ = member.Serve(ln) }()                                                                                       // ends with the test
	defer member.Close()
	proxy, api := address(t), address(t)
	start(t, "--web.listen-address="+api, "--front.listen-address="+proxy, "--backend="+ln.Addr().String(), "--fault=not-found")
	for url, want := range map[string]string{
		"http://" + proxy + "/": "200 hello",
		"http://sluice:not-a-real-password@" + api + "/api/waf/v2/upstreams": `404 {"message":"no such object"}`,
	} {
		if got := get(t, url); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestFaultsOfAPTAFPRO(t *testing.T) {
	api := address(t)
	start(t, "--pro", "--web.listen-address="+api, "--backend=192.0.2.11:8080", "--fault=forbidden", "--fault=bare-lists")
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer not-a-real-token") }
	base := "http://" + api + "/api/ptaf/v4/config/backends"
	if status, body := call(t, "", http.MethodGet, base, "", bearer); status != http.StatusOK || !strings.HasPrefix(body, "[") || !strings.Contains(body, `"192.0.2.11"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := call(t, "", http.MethodPatch, base+"/0f5b2a4e-0000-4000-8000-000000000001", `{"enabled": false}`, bearer); status != http.StatusForbidden {
		t.Errorf("%d %s", status, body)
	}
}

// Who doesn't trust the certificate is told by its own side; here nothing is
// printed, neither by us nor by net/http.
func TestAFailedHandshakeIsNoNews(t *testing.T) {
	var printed lockedBuffer
	log.SetOutput(&printed) // where [http.Server] writes to
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	api := address(t)
	banner, later := start(t, "--pro", "--tls", "--web.listen-address="+api)
	pin := read(t, banner).Devices[0].PTAFPro.Pin
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+api+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req); err == nil {
		t.Error("a certificate that nobody signed is trusted: ", resp.Status, resp.Body.Close())
	}
	call(t, pin, http.MethodGet, "https://"+api+"/next", "", func(*http.Request) {})
	if line := <-later; !strings.HasSuffix(line, " GET /next 404") {
		t.Errorf("told: %q", line)
	}
	if got := printed.String(); got != "" {
		t.Errorf("printed: %q", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

func TestMistakes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	// What is no mistake would be served until somebody ends it.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for name, c := range map[string]struct{ flags, want string }{
		"a fault that doesn't exist":        {"--fault=none-such", `fault "none-such": want one of none, unauthorized`},
		"a fault of the other kind":         {"--fault=spent-refresh", `fault "spent-refresh": want one of none, unauthorized`},
		"a fault that no PTAF PRO has":      {"--pro --fault=read-only-field", `fault "read-only-field": want one of none, unauthorized`},
		"a backend without port":            {"--backend=192.0.2.11", `backend "192.0.2.11": want host:port`},
		"a backend of a PRO, without port":  {"--pro --backend=192.0.2.11", `backend "192.0.2.11": want host:port`},
		"a port that is none":               {"--backend=192.0.2.11:http", `want a port`},
		"a proxy where there is none":       {"--pro --front.listen-address=127.0.0.1:0", `--front.listen-address: the simulated PTAF PRO has no proxy`},
		"an address that is taken":          {"--web.listen-address=" + ln.Addr().String(), "in use"},
		"an address that is taken, of both": {"--pro --web.listen-address=" + ln.Addr().String(), "in use"},
		"an unknown flag":                   {"--nope", "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ptafsim(ctx, strings.Fields(c.flags), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
