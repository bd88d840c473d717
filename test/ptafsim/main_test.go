package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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
		if banner += line + "\n"; strings.HasSuffix(banner, "\n\n") && strings.Contains(banner, "basic_auth") {
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
			URL       string
			Upstreams []string
			Pin       string                              `yaml:"pin_sha256"`
			BasicAuth struct{ Username, Password string } `yaml:"basic_auth"`
		}
	}
}

func TestPrintsWhatWorks(t *testing.T) {
	for _, args := range [][]string{nil, {"--tls"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			banner, later := start(t, append(args, "--web.listen-address="+address(t))...)
			var s snippet
			_, text, _ := strings.Cut(banner, "# sluice.yml\n")
			if err := yaml.Unmarshal([]byte(text), &s); err != nil || len(s.Devices) != 1 {
				t.Fatalf("%v in %s", err, banner)
			}
			p := s.Devices[0].PTAF
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true, //nolint:gosec // the pin is what is looked at
				VerifyConnection: func(c tls.ConnectionState) error {
					if got := fmt.Sprintf("%x", sha256.Sum256(c.PeerCertificates[0].Raw)); got != p.Pin {
						return fmt.Errorf("the pin is %s, not %q", got, p.Pin)
					}
					return nil
				},
			}}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/upstreams", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth(p.BasicAuth.Username, p.BasicAuth.Password)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), p.Upstreams[0]) {
				t.Errorf("%d %s %v", resp.StatusCode, body, err)
			}
			if line := <-later; !strings.HasSuffix(line, " GET /api/waf/v2/upstreams 200") {
				t.Errorf("the call is told as %q", line)
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
	for name, c := range map[string]struct{ flag, want string }{
		"a fault that doesn't exist": {"--fault=none-such", `fault "none-such": want one of none, unauthorized`},
		"a backend without port":     {"--backend=192.0.2.11", `backend "192.0.2.11": want host:port`},
		"a port that is none":        {"--backend=192.0.2.11:http", `want a port`},
		"an address that is taken":   {"--web.listen-address=" + ln.Addr().String(), "in use"},
		"an unknown flag":            {"--nope", "nope"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ptafsim(t.Context(), []string{c.flag}, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
