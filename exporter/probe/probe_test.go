package probe_test

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/test/loopback"
)

// module decodes one as the program does: strictly.
func module(t testing.TB, text string) probe.Module {
	t.Helper()
	var m probe.Module
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if wrong := m.Validate(); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return m
}

func ask(t testing.TB, text, target string) probe.Result {
	t.Helper()
	p, err := probe.New(module(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p.Probe(t.Context(), target)
}

func wantReason(t *testing.T, r probe.Result, want probe.Reason) {
	t.Helper()
	if r.Reason != want || r.Up != (want == "") {
		t.Errorf("up %v, reason %q, %s; want %q", r.Up, r.Reason, r.Detail, want)
	}
	if strings.ContainsAny(r.Detail, "\n\r\x00") {
		t.Errorf("detail %q is not one line", r.Detail)
	}
}

// timeFor is the timeout of a probe that ends so: long enough for a machine that
// is busy elsewhere, unless the time is to run out.
func timeFor(want probe.Reason) string {
	if want == probe.Timeout {
		return "1s"
	}
	return "8s"
}

// raw serves each connection by hand.
func raw(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // the test is over
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }() // the test has its answer
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				serve(conn)
			}()
		}
	}()
	return ln.Addr().String()
}

// web serves over HTTP.
func web(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := unstarted(t, h)
	s.Start()
	return s
}

// webTLS serves over TLS, with HTTP/2.
func webTLS(t testing.TB, h http.HandlerFunc, with func(*tls.Config)) *httptest.Server {
	t.Helper()
	s := unstarted(t, h)
	s.EnableHTTP2, s.TLS = true, new(tls.Config)
	if with != nil {
		with(s.TLS)
	}
	s.StartTLS()
	return s
}

func unstarted(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Listener = ln
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are what is tested
	t.Cleanup(s.Close)
	return s
}

// authority writes the certificate of s into a file.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca
}

// site is a web server with an answer for each case.
func site(t testing.TB) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Node", "n1")
		fmt.Fprintf(w, `{"db":"up","host":%q,"agent":%q,"method":%q}`, r.Host, r.UserAgent(), r.Method)
	})
	mux.HandleFunc("/ill", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/health", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/round?token=canary", http.StatusFound)
	})
	mux.HandleFunc("/nowhere", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://[canary?token=canary")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/mail", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "mailto:canary@example.com")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/zip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 4 << 10 { // four MiB of zeros, of which some KiB travel
			if _, err := z.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
		_ = z.Close() // the reader is gone by then
	})
	mux.HandleFunc("/nozip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		fmt.Fprint(w, "plain")
	})
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "sluice" || password != "not-a-real-one" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	return web(t, mux.ServeHTTP)
}

func TestHTTP(t *testing.T) {
	s := site(t)
	for _, c := range []struct {
		name, module, path string
		want               probe.Reason
	}{
		{"200 is good", "{prober: http}", "/health", ""},
		{"503 is a status", "{prober: http}", "/ill", probe.Status},
		{"503 may be what is wanted", "{prober: http, http: {valid_status_codes: [503]}}", "/ill", ""},
		{"another version is a status", "{prober: http, http: {valid_http_versions: [HTTP/2.0]}}", "/health", probe.Status},
		{"redirects are followed, also without a section http", "{prober: http}", "/away", ""},
		{"or not", "{prober: http, http: {follow_redirects: false}}", "/away", probe.Status},
		{"or not, by the older word", "{prober: http, http: {no_follow_redirects: true, valid_status_codes: [302]}}", "/away", ""},
		{"going round is a status", "{prober: http}", "/round", probe.Status},
		{"TLS is wanted", "{prober: http, http: {fail_if_not_ssl: true}}", "/health", probe.TLS},
		{"a body that must be", `{prober: http, http: {fail_if_body_not_matches_regexp: ['"db":"up"']}}`, "/health", ""},
		{"a body that isn't", `{prober: http, http: {fail_if_body_not_matches_regexp: ['"db":"down"']}}`, "/health", probe.Body},
		{"a body that must not be", `{prober: http, http: {fail_if_body_matches_regexp: ['"db"']}}`, "/health", probe.Body},
		{"a header that must be", `{prober: http, http: {fail_if_header_not_matches: [{header: X-Node, regexp: n1}]}}`, "/health", ""},
		{"a header that isn't", `{prober: http, http: {fail_if_header_not_matches: [{header: X-None, regexp: n1}]}}`, "/health", probe.Status},
		{"a header that need not be", `{prober: http, http: {fail_if_header_not_matches: [{header: X-None, regexp: n1, allow_missing: true}]}}`, "/health", ""},
		{"host and user agent", `{prober: http, http: {headers: {Host: shop.example.com, User-Agent: me}, fail_if_body_not_matches_regexp: ['"host":"shop.example.com","agent":"me"']}}`, "/health", ""},
		{"our own user agent", `{prober: http, http: {fail_if_body_not_matches_regexp: ['"agent":"Sluice/']}}`, "/health", ""},
		{"method and body", `{prober: http, http: {method: POST, body: hello, fail_if_body_not_matches_regexp: ['^hello$']}}`, "/echo", ""},
		{"an endless body is read up to the limit", `{prober: http, timeout: 5s}`, "/endless", ""},
		{"and is too long where a limit is set", `{prober: http, timeout: 5s, http: {body_size_limit: 10KB}}`, "/endless", probe.Body},
		{"the zipped body is unzipped, up to the limit", `{prober: http, http: {compression: gzip, fail_if_body_not_matches_regexp: ['^\x00+$']}}`, "/zip", ""},
		{"and is too long where a limit is set", `{prober: http, http: {compression: gzip, body_size_limit: 1MB}}`, "/zip", probe.Body},
		{"what isn't zipped breaks off", `{prober: http, http: {compression: gzip}}`, "/nozip", probe.Body},
		{"a header that must not be", `{prober: http, http: {fail_if_header_matches: [{header: X-Node, regexp: n1}]}}`, "/health", probe.Status},
		{"a redirect to no address", `{prober: http}`, "/nowhere", probe.Status},
		{"a redirect to no address that isn't followed", `{prober: http, http: {follow_redirects: false, valid_status_codes: [302]}}`, "/nowhere", ""},
		{"a redirect to no site", `{prober: http}`, "/mail", probe.Status},
		{"a password", `{prober: http, http: {basic_auth: {username: sluice, password: not-a-real-one}}}`, "/login", ""},
		{"no password", `{prober: http}`, "/login", probe.Status},
		{"an old blackbox module", "{prober: http, timeout: 5s, http: {method: GET, preferred_ip_protocol: ip4, ip_protocol_fallback: false, compression: gzip, tls_config: {insecure_skip_verify: true}, basic_auth: {username: u, password: p}}}", "/health", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, c.module, s.URL+c.path)
			wantReason(t, r, c.want)
			if c.path == "/health" && r.Up && (!strings.Contains(string(r.Body), "db") || r.HTTP.Status != 200 || len(r.Body) > 1<<10) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestTheStageThatFailedIsNamed(t *testing.T) {
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	hang := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	cut := raw(t, func(c net.Conn) {
		_, _ = bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	})
	garbage := raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "\x00\x01 no http\r\n\r\n") })
	closed := raw(t, func(net.Conn) {})
	tlsSite := webTLS(t, http.NotFound, nil)
	members := webTLS(t, http.NotFound, func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 })
	for _, c := range []struct {
		name, module, target string
		want                 probe.Reason
		stage                string
	}{
		{"no such name", "{prober: http}", "http://nothing.invalid/", probe.DNS, "resolve"},
		{"nobody listens", "{prober: http}", "http://" + nobody, probe.Connect, "connect"},
		{"never answers", "{prober: http, timeout: 1s}", "http://" + hang, probe.Timeout, "processing"},
		{"never shakes hands", "{prober: http, timeout: 1s}", "https://" + hang, probe.Timeout, "tls"},
		{"an unknown certificate", "{prober: http}", tlsSite.URL, probe.TLS, "tls"},
		{"our certificate is missing", "{prober: http, http: {tls_config: {insecure_skip_verify: true}}}", members.URL, probe.TLS, "tls"},
		{"no TLS at all", "{prober: http}", "https://" + garbage, probe.TLS, "tls"},
		{"no HTTP at all", "{prober: http}", "http://" + garbage, probe.Status, "processing"},
		{"closes without a word", "{prober: http}", "http://" + closed, probe.Status, "processing"},
		{"breaks off in the body", "{prober: http}", "http://" + cut, probe.Body, "transfer"},
		{"tcp: nobody listens", "{prober: tcp}", nobody, probe.Connect, "connect"},
		{"tcp: no such name", "{prober: tcp}", "nothing.invalid:80", probe.DNS, "resolve"},
		{"tcp: somebody listens", "{prober: tcp}", hang, "", "connect"},
		{"tcp: never says what is expected", "{prober: tcp, timeout: 1s, tcp: {query_response: [{expect: hello}]}}", hang, probe.Timeout, "processing"},
		{"tcp: says something else", "{prober: tcp, tcp: {query_response: [{expect: hello}]}}", garbage, probe.Body, "processing"},
		{"tcp: no TLS", "{prober: tcp, tcp: {tls: true}}", garbage, probe.TLS, "tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, c.module, c.target)
			wantReason(t, r, c.want)
			if !slices.ContainsFunc(r.Stages, func(s probe.Stage) bool { return s.Name == c.stage }) {
				t.Errorf("no stage %s in %+v", c.stage, r.Stages)
			}
		})
	}
}

func TestStagesAddUp(t *testing.T) {
	s := webTLS(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }, nil)
	explained := false
	for range 20 { // a machine that is busy elsewhere may take more time than the probe, between two of its stages
		r := ask(t, "{prober: http, http: {valid_http_versions: [HTTP/2.0], tls_config: {insecure_skip_verify: true}}}", s.URL)
		wantReason(t, r, "")
		var names []string
		var sum time.Duration
		for _, st := range r.Stages {
			names = append(names, st.Name)
			sum += st.Duration
		}
		if diff := cmp.Diff([]string{"resolve", "connect", "tls", "processing", "transfer"}, names); diff != "" {
			t.Error(diff)
		}
		if sum > r.Duration {
			t.Errorf("the stages took %s, all of it %s", sum, r.Duration)
		}
		if r.IP != "127.0.0.1" || r.HTTP.Version != 2 || r.HTTP.BodyLength != 4 || r.TLS.Version != "TLS 1.3" {
			t.Errorf("%+v, %+v, %+v", r, r.HTTP, r.TLS)
		}
		if explained = sum >= r.Duration/2; explained {
			break
		}
	}
	if !explained {
		t.Error("the stages are never half of what a probe takes")
	}
}

func TestACertificateOfOurOwnAuthority(t *testing.T) {
	s := webTLS(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }, nil)
	ca := authority(t, s)
	r := ask(t, fmt.Sprintf("{prober: http, http: {tls_config: {ca_file: %s}, headers: {Host: example.com}}}", ca), s.URL)
	wantReason(t, r, "") // the Host header is also the name that the certificate must carry
	if r.TLS == nil || !r.TLS.EarliestExpiry.Equal(s.Certificate().NotAfter) || r.TLS.ChainExpiry.IsZero() {
		t.Errorf("%+v", r.TLS)
	}
	r = ask(t, fmt.Sprintf("{prober: http, http: {tls_config: {ca_file: %s, server_name: other.example.org}}}", ca), s.URL)
	wantReason(t, r, probe.TLS)
	at := strings.TrimPrefix(s.URL, "https://")
	r = ask(t, fmt.Sprintf("{prober: tcp, tcp: {tls: true, tls_config: {ca_file: %s}}}", ca), at)
	wantReason(t, r, "")
	if r.TLS == nil || !r.TLS.EarliestExpiry.Equal(s.Certificate().NotAfter) {
		t.Errorf("%+v", r.TLS)
	}
}

func TestMembersAreAskedAtTheirAddress(t *testing.T) {
	for _, c := range []struct {
		module, scheme, address string
		port                    int
		want                    string
	}{
		{"{prober: http, http: {path: /health}}", "http", "192.0.2.1", 8080, "http://192.0.2.1:8080/health"},
		{"{prober: http}", "https", "2001:db8::1", 443, "https://[2001:db8::1]:443/"},
		{"{prober: tcp}", "http", "192.0.2.1", 22, "192.0.2.1:22"},
	} {
		got, err := module(t, c.module).MemberTarget(c.scheme, c.address, c.port)
		if err != nil || got != c.want {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
	}
	if _, err := module(t, "{prober: tcp}").MemberTarget("", "", 0); err == nil {
		t.Error("a member without an address has a target")
	}
}
