package probe_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// raw serves each connection by hand.
func raw(t *testing.T, serve func(net.Conn)) string {
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

// site is a web server with an answer for each case.
func site(t *testing.T) *httptest.Server {
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
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
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
	tlsSite := httptest.NewTLSServer(http.NotFoundHandler())
	defer tlsSite.Close()
	for _, c := range []struct {
		name, module, target string
		want                 probe.Reason
		stage                string
	}{
		{"no such name", "{prober: http}", "http://nothing.invalid/", probe.DNS, "resolve"},
		{"nobody listens", "{prober: http}", "http://" + nobody, probe.Connect, "connect"},
		{"never answers", "{prober: http, timeout: 100ms}", "http://" + hang, probe.Timeout, "processing"},
		{"never shakes hands", "{prober: http, timeout: 100ms}", "https://" + hang, probe.Timeout, "tls"},
		{"an unknown certificate", "{prober: http}", tlsSite.URL, probe.TLS, "tls"},
		{"no HTTP at all", "{prober: http}", "http://" + garbage, probe.Status, "processing"},
		{"closes without a word", "{prober: http}", "http://" + closed, probe.Status, "processing"},
		{"breaks off in the body", "{prober: http}", "http://" + cut, probe.Body, "transfer"},
		{"tcp: nobody listens", "{prober: tcp}", nobody, probe.Connect, "connect"},
		{"tcp: no such name", "{prober: tcp}", "nothing.invalid:80", probe.DNS, "resolve"},
		{"tcp: somebody listens", "{prober: tcp}", hang, "", "connect"},
		{"tcp: never says what is expected", "{prober: tcp, timeout: 100ms, tcp: {query_response: [{expect: hello}]}}", hang, probe.Timeout, "processing"},
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

func TestAConversation(t *testing.T) {
	at := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "noise\r\n220 ready\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		_, _ = io.WriteString(c, "you said "+line)
	})
	wantReason(t, ask(t, `{prober: tcp, tcp: {query_response: [{expect: '^220 '}, {send: PING}, {expect: 'said PING'}]}}`, at), "")
}

func TestACertificateOfOurOwnAuthority(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r := ask(t, fmt.Sprintf("{prober: http, http: {tls_config: {ca_file: %s}, headers: {Host: example.com}}}", ca), s.URL)
	wantReason(t, r, "") // the Host header is also the name that the certificate must carry
	if r.TLS == nil || !r.TLS.EarliestExpiry.Equal(s.Certificate().NotAfter) || r.TLS.ChainExpiry.IsZero() {
		t.Errorf("%+v", r.TLS)
	}
	r = ask(t, fmt.Sprintf("{prober: http, http: {tls_config: {ca_file: %s, server_name: other.example.org}}}", ca), s.URL)
	wantReason(t, r, probe.TLS)
	at := strings.TrimPrefix(s.URL, "https://")
	wantReason(t, ask(t, fmt.Sprintf("{prober: tcp, tcp: {tls: true, tls_config: {ca_file: %s}}}", ca), at), "")
}

func TestCanariesNeverShow(t *testing.T) {
	s := site(t)
	host := strings.TrimPrefix(s.URL, "http://")
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"http://user:canary@" + host + "/health?token=canary#canary",
		"http://user:canary@" + host + "/round?token=canary",
		"http://user:canary@" + nobody + "/?token=canary",
		"http://user:canary@nothing.invalid/?token=canary",
		"http://user:canary@" + host + "/%zz?token=canary",
		"ftp://user:canary@" + host + "/?token=canary",
		"http://user:canary@:99999/?token=canary",
	} {
		r := ask(t, "{prober: http, timeout: 2s}", target)
		if strings.Contains(r.Detail, "canary") {
			t.Errorf("detail: %s", r.Detail)
		}
		if got := probe.Redact(target); strings.Contains(got, "canary") {
			t.Errorf("redacted: %s", got)
		}
		if err := module(t, "{prober: http}").CheckTarget(target); err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("mistake: %v", err)
		}
	}
}

func TestAProbeThatIsInterruptedEndsAtOnce(t *testing.T) {
	hang := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	p, err := probe.New(module(t, "{prober: http, timeout: 1m}"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantReason(t, p.Probe(ctx, "http://"+hang), probe.Timeout)
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

func TestMistakesSayWhatToWrite(t *testing.T) {
	for _, c := range []struct{ module, path string }{
		{"{}", "prober"},
		{"{prober: icmp}", "prober"},
		{"{prober: http, timeout: 1s, http: {method: 'GET X'}}", "http.method"},
		{"{prober: http, http: {path: health}}", "http.path"},
		{"{prober: http, http: {headers: {'X Y': z}}}", "http.headers"},
		{"{prober: http, http: {valid_status_codes: [20]}}", "http.valid_status_codes[0]"},
		{"{prober: http, http: {fail_if_body_matches_regexp: ['(']}}", "http.fail_if_body_matches_regexp[0]"},
		{"{prober: http, http: {fail_if_ssl: true, fail_if_not_ssl: true}}", "http.fail_if_ssl"},
		{"{prober: http, http: {body: a, body_file: b}}", "http.body_file"},
		{"{prober: http, http: {compression: br}}", "http.compression"},
		{"{prober: http, http: {preferred_ip_protocol: v4}}", "http.preferred_ip_protocol"},
		{"{prober: tcp, tcp: {query_response: [{}]}}", "tcp.query_response[0]"},
		{"{prober: tcp, tcp: {tls: true, query_response: [{starttls: true}]}}", "tcp.query_response[0].starttls"},
	} {
		var m probe.Module
		if err := yaml.Unmarshal([]byte(c.module), &m); err != nil {
			t.Fatal(err)
		}
		got := m.Validate()
		if len(got) != 1 || got[0].Path != c.path || got[0].Text == "" {
			t.Errorf("%s: %v; want one at %s", c.module, got, c.path)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("http://u:p@example.com/a?b#c")
	f.Add("example.com:80")
	f.Fuzz(func(t *testing.T, s string) {
		if got := probe.Redact("http://user:canary@" + strings.NewReplacer("/", "", "@", "", "canary", "").Replace(s) + "/?q=canary"); strings.Contains(got, "canary") {
			t.Errorf("%q", got)
		}
	})
}

// One probe against net/http alone, in the same run: the ratio is reported.
func BenchmarkProbe(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }))
	defer s.Close()
	p, err := probe.New(module(b, "{prober: http}"))
	if err != nil {
		b.Fatal(err)
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var ours, theirs time.Duration
	for b.Loop() {
		begun := time.Now()
		if r := p.Probe(b.Context(), s.URL); !r.Up {
			b.Fatal(r.Detail)
		}
		middle := time.Now()
		ours += middle.Sub(begun)
		res, err := plain.Get(s.URL)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(middle)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-net/http")
}
