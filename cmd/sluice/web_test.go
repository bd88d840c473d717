package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-project/sluice/test/loopback"
)

// A record is a log that a test reads while others write.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// line returns the first line with all the parts, and waits for it.
func (r *record) line(t *testing.T, parts ...string) string {
	t.Helper()
	var found string
	eventually(t, func() bool {
		for l := range strings.Lines(r.String()) {
			if hasAll(l, parts) {
				found = l
				return true
			}
		}
		return false
	}, func() string { return "no line with " + strings.Join(parts, " ") + " in\n" + r.String() })
	return found
}

func hasAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// eventually waits until ok, and fails with what why says after a while.
func eventually(t *testing.T, ok func() bool, why func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal(why())
		}
	}
}

// serveTest serves a handler on loopback until the test ends.
func serveTest(t *testing.T, configFile string, h http.Handler) (address string, lines *record) {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	lines = new(record)
	w := newWebsite([]net.Listener{ln}, configFile, h, newLogger(lines, &logFlags{level: "debug", format: "logfmt"}))
	done := make(chan error, 1)
	go func() { done <- w.run() }()
	t.Cleanup(func() {
		w.stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), lines
}

func get(t *testing.T, req *http.Request, client *http.Client) (int, string) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestOneLinePerRequest(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such\nmember", http.StatusBadRequest) })
	mux.HandleFunc("/failed", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "disk full", http.StatusInternalServerError)
	})
	mux.HandleFunc("/panics", func(http.ResponseWriter, *http.Request) { panic("ouch") })
	address, lines := serveTest(t, "", mux)

	for _, c := range []struct {
		name, method, path string
		code               int
		want               []string
	}{
		{"a read that succeeds is debug", "GET", "/ok", 200, []string{"level=debug", "path=/ok", "code=200"}},
		{"a write that succeeds is info", "POST", "/ok", 200, []string{"level=info", "method=POST", "remote=127.0.0.1", "duration="}},
		{"what is refused is warn", "POST", "/refused", 400, []string{"level=warn", `err="no such member"`}},
		{"what fails is error", "GET", "/failed", 500, []string{"level=error", `err="disk full"`}},
		{"a panic is error with its stack", "GET", "/panics", 500, []string{"level=error", `err="panic: ouch"`, "web_test.go"}},
		{"the query stays out", "DELETE", "/ok?token=canary", 200, []string{"method=DELETE", "path=/ok "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, _ := get(t, request(t, c.method, "http://"+address+c.path), http.DefaultClient); code != c.code {
				t.Errorf("code %d, want %d", code, c.code)
			}
			lines.line(t, append(c.want, "msg=request")...)
		})
	}
	if strings.Contains(lines.String(), "canary") {
		t.Errorf("the log shows a query:\n%s", lines)
	}
}

// I22
func TestRequestsWithoutAPasswordAreRefusedAndLogged(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("open-canary"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "web.yml", "basic_auth_users:\n  alice: "+string(hash)+"\n")
	address, lines := serveTest(t, file, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	req := request(t, "POST", "http://"+address+"/webhook")
	if code, _ := get(t, req, http.DefaultClient); code != http.StatusUnauthorized {
		t.Errorf("without a password: %d, want 401", code)
	}
	lines.line(t, "level=warn", "path=/webhook", "code=401")

	req.SetBasicAuth("alice", "open-canary")
	if code, _ := get(t, req, http.DefaultClient); code != http.StatusOK {
		t.Errorf("with the password: %d, want 200", code)
	}
	lines.line(t, "level=info", "user=alice", "code=200")
	if strings.Contains(lines.String(), "open-canary") {
		t.Errorf("the log shows the password:\n%s", lines)
	}
}

// I22
func TestOnlyCheckedIdentitiesCountAsAuthentication(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	overTLS := "tls_server_config:\n  cert_file: " + cert + "\n  key_file: " + key + "\n"
	for _, c := range []struct {
		name, text string
		want       bool
		wrong      string
	}{
		{"users with passwords", "basic_auth_users:\n  alice: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n", true, ""},
		{"no users", "basic_auth_users: {}\n", false, ""},
		{"TLS alone", overTLS, false, ""},
		{"certificates of our own authority", overTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: " + cert + "\n", true, ""},
		{"any certificate", overTLS + "  client_auth_type: RequireAnyClientCert\n", false, ""},
		{"a certificate if there is one", overTLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: " + cert + "\n", false, ""},
		{"an unknown key", "basic_users: {}\n", false, "basic_users"},
		{"a password that is no hash", "basic_auth_users:\n  alice: plain\n", false, "hashedSecret too short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := authenticates(write(t, dir, "web.yml", c.text))
			if got.Asks() != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("error %v, want one with %q", err, c.wrong)
			}
		})
	}
}

func TestLinksAndRoutesFollowTheFlags(t *testing.T) {
	for _, c := range []struct {
		name            string
		flags           webFlags
		route, external string
		wrong           bool
	}{
		{"nothing given", webFlags{}, "", "", false},
		{"an external URL alone", webFlags{externalURL: "https://example.com/sluice/"}, "/sluice", "/sluice", false},
		{"a prefix alone", webFlags{routePrefix: "sluice"}, "/sluice", "/sluice", false},
		{"a proxy that cuts the path off", webFlags{externalURL: "https://example.com/sluice", routePrefix: "/"}, "", "/sluice", false},
		{"a URL with a password", webFlags{externalURL: "https://u:p@example.com/"}, "", "", true},
		{"no URL", webFlags{externalURL: "sluice"}, "", "", true},
		{"a prefix with a blank", webFlags{routePrefix: "/a b"}, "", "", true},
		{"one that would be a pattern", webFlags{routePrefix: "/{x}"}, "", "", true},
		{"a path that a cookie can't have", webFlags{externalURL: "https://example.com/a;b", routePrefix: "/"}, "", "", true},
		{"a path that is written in two ways", webFlags{externalURL: "https://example.com/%C3%BC"}, "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			route, external, err := c.flags.paths()
			if route != c.route || external != c.external || (err != nil) != c.wrong {
				t.Errorf("got %q, %q, %v; want %q, %q", route, external, err, c.route, c.external)
			}
		})
	}
}

func TestAWrongAddressIsNamed(t *testing.T) {
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f := webFlags{addresses: []string{"127.0.0.1:0", ln.Addr().String()}}
	if _, err := f.listen(); err == nil || !strings.Contains(err.Error(), "--web.listen-address "+ln.Addr().String()) {
		t.Errorf("got %v, want an error that names the flag and the address", err)
	}
}

func TestTheFirstPartToEndStopsTheOthers(t *testing.T) {
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	logger := newLogger(io.Discard, &logFlags{level: "info", format: "logfmt"})
	w := newWebsite([]net.Listener{ln}, "", http.NotFoundHandler(), logger)
	broken, stopped := errors.New("the disk is gone"), false
	err = serve(w, logger,
		actor{"engine", func(context.Context) error { return broken }},
		actor{"scheduler", func(ctx context.Context) error { <-ctx.Done(); stopped = true; return ctx.Err() }},
	)
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "engine: ") || !stopped {
		t.Errorf("got %v, stopped %v; want the engine's error, and the scheduler stopped", err, stopped)
	}
}

func TestAPartThatWillNotStopIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := newLogger(io.Discard, &logFlags{level: "info", format: "logfmt"})
		release := make(chan struct{})
		start := time.Now()
		err := serve(newWebsite(nil, "", nil, logger), logger,
			actor{"engine", func(context.Context) error { <-release; return nil }})
		if !errors.Is(err, errTooLate) || time.Since(start) > 10*time.Second {
			t.Errorf("got %v after %s, want %v within 10s", err, time.Since(start), errTooLate)
		}
		close(release)
	})
}

func TestTheServerSpeaksTLSAndAsksForCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	file := write(t, dir, "web.yml", "tls_server_config:\n  cert_file: "+cert+"\n  key_file: "+key+
		"\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: "+cert+"\n")
	if web, err := authenticates(file); !web.Certificates || err != nil {
		t.Fatalf("got %v, %v; want that it authenticates", web, err)
	}
	address, lines := serveTest(t, file, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	client := func(certs ...tls.Certificate) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	if code, _ := get(t, request(t, "GET", "https://"+address+"/"), client(pair)); code != http.StatusOK {
		t.Errorf("with a certificate: %d, want 200", code)
	}
	if resp, err := client().Do(request(t, "GET", "https://"+address+"/")); err == nil {
		resp.Body.Close()
		t.Errorf("without a certificate: %s, want no answer", resp.Status)
	}
	lines.line(t, "level=warn", "TLS handshake error")
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate writes one that signed itself.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public})))
	key = write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	return cert, key
}
