package exporter

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/test/loopback"
)

func TestProbeAnswersWithBlackboxsNames(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		fmt.Fprint(w, "hello")
	}))
	defer good.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer secure.Close()
	refused, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	e, _, _ := newExporter(t, `
probe_endpoint: {allow: [127.0.0.0/8]}
modules:
  plain: {prober: http, timeout: 3s}
  insecure: {prober: http, timeout: 3s, http: {tls_config: {insecure_skip_verify: true}}}
  word: {prober: http, timeout: 3s, http: {fail_if_body_matches_regexp: [hello]}}
  port: {prober: tcp, timeout: 3s}
`, nil, nil)

	// What differs from run to run is shown as N.
	moving := regexp.MustCompile(`(?m)^(probe_(?:duration|dns_lookup_time)_seconds|probe_http_duration_seconds\{.*\}|probe_ssl_earliest_cert_expiry|probe_ssl_last_chain_info)(\{.*\})? .*$`)
	for _, tt := range []struct {
		name, module, target string
		want                 string
	}{
		{"an answer after a redirect", "plain", good.URL + "/moved", `
probe_dns_lookup_time_seconds N
probe_duration_seconds N
probe_failed_due_to_regex 0
probe_http_content_length 5
probe_http_duration_seconds{phase="connect"} N
probe_http_duration_seconds{phase="processing"} N
probe_http_duration_seconds{phase="resolve"} N
probe_http_duration_seconds{phase="tls"} N
probe_http_duration_seconds{phase="transfer"} N
probe_http_last_modified_timestamp_seconds 1.767323045e+09
probe_http_redirects 1
probe_http_ssl 0
probe_http_status_code 200
probe_http_uncompressed_body_length 5
probe_http_version 1.1
probe_ip_addr_hash 3.668918509e+09
probe_ip_protocol 4
probe_success 1
probe_timeout_seconds 3
`},
		{"a target without a scheme, as blackbox takes it", "word", strings.TrimPrefix(good.URL, "http://"), `
probe_dns_lookup_time_seconds N
probe_duration_seconds N
probe_failed_due_to_regex 1
probe_failure_info{reason="body"} 1
probe_http_content_length 5
probe_http_duration_seconds{phase="connect"} N
probe_http_duration_seconds{phase="processing"} N
probe_http_duration_seconds{phase="resolve"} N
probe_http_duration_seconds{phase="tls"} N
probe_http_duration_seconds{phase="transfer"} N
probe_http_last_modified_timestamp_seconds 1.767323045e+09
probe_http_redirects 0
probe_http_ssl 0
probe_http_status_code 200
probe_http_uncompressed_body_length 5
probe_http_version 1.1
probe_ip_addr_hash 3.668918509e+09
probe_ip_protocol 4
probe_success 0
probe_timeout_seconds 3
`},
		{"nobody there", "port", refused, `
probe_dns_lookup_time_seconds N
probe_duration_seconds N
probe_failed_due_to_regex 0
probe_failure_info{reason="connect"} 1
probe_ip_addr_hash 3.668918509e+09
probe_ip_protocol 4
probe_success 0
probe_timeout_seconds 3
`},
		{"TLS", "insecure", secure.URL, `
probe_dns_lookup_time_seconds N
probe_duration_seconds N
probe_failed_due_to_regex 0
probe_http_content_length 5
probe_http_duration_seconds{phase="connect"} N
probe_http_duration_seconds{phase="processing"} N
probe_http_duration_seconds{phase="resolve"} N
probe_http_duration_seconds{phase="tls"} N
probe_http_duration_seconds{phase="transfer"} N
probe_http_redirects 0
probe_http_ssl 1
probe_http_status_code 200
probe_http_uncompressed_body_length 5
probe_http_version 1.1
probe_ip_addr_hash 3.668918509e+09
probe_ip_protocol 4
probe_ssl_earliest_cert_expiry N
probe_ssl_last_chain_info N
probe_success 1
probe_timeout_seconds 3
probe_tls_cipher_info{cipher="TLS_AES_128_GCM_SHA256"} 1
probe_tls_version_info{version="TLS 1.3"} 1
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/probe?"+url.Values{"module": {tt.module}, "target": {tt.target}}.Encode(), nil)
			w := httptest.NewRecorder()
			e.Probe().ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Errorf("status %d, want 200: a target that is down is no error", w.Code)
			}
			got := "\n"
			for line := range strings.Lines(w.Body.String()) {
				if !strings.HasPrefix(line, "#") {
					got += line
				}
			}
			if diff := cmp.Diff(tt.want, moving.ReplaceAllString(got, "$1 N")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProbeRefusesWhatItCantAsk(t *testing.T) {
	e, _, _ := newExporter(t, `
probe_endpoint: {allow: [192.0.2.0/24], modules: [health, port, later, own, dear]}
modules:
  health: {prober: http, timeout: 1s, http: {path: /health}}
  port: {prober: tcp}
  later: {prober: http, http: {enable_http3: true}}
  hidden: {prober: tcp}
  own: {prober: http, http: {headers: {host: shop.example}}}
  dear: {prober: http, http: {basic_auth: {username: sluice, password_file: nowhere/password}}}
`, nil, nil)
	for _, tt := range []struct {
		name, query string
		code        int
		want        string
	}{
		{"no module, and none of the default's name", "?target=192.0.2.1", 400, "there is no module \"http_2xx\", which is asked for without the parameter module\n"},
		{"a module that isn't there", "?target=192.0.2.1&module=helth", 400, "there is no module \"helth\"\n"},
		{"no target", "?module=health", 400, "parameter target is missing: want /probe?target=TARGET&module=MODULE\n"},
		{"a module that isn't offered", "?target=192.0.2.1:1&module=hidden", 403, "module \"hidden\" is not on the list of probe_endpoint.modules\n"},
		{"a module of what isn't served", "?target=192.0.2.1&module=later", 400, "module \"later\" can't be used: http.enable_http3: HTTP/3 is not served\n"},
		{"a secret that isn't there", "?target=192.0.2.1&module=dear", 400, "module \"dear\" can't be used: http.basic_auth.password_file: open nowhere/password: no such file or directory\n"},
		{"two names for one host", "?target=192.0.2.1&module=own&hostname=blog.example", 400, "parameter hostname: the module asks for a host of its own, \"shop.example\": leave hostname out\n"},
		{"a name that is none", "?target=192.0.2.1&module=health&hostname=a%0d%0ab", 400, "parameter hostname: \"a  b\" is no name of a host\n"},
		{"a target that isn't listed", "?target=198.51.100.1:1&module=port", 403, "198.51.100.1 is not on the list of allowed targets: see probe_endpoint.allow\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			e.Probe().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/probe"+tt.query, nil))
			if w.Code != tt.code || w.Body.String() != tt.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, tt.want)
			}
		})
	}
}

func TestProbeIsOffUnlessConfigured(t *testing.T) {
	e, _, _ := newExporter(t, modules, nil, nil)
	w := httptest.NewRecorder()
	e.Probe().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/probe?module=health&target=192.0.2.1", nil))
	const want = "/probe is off: to turn it on, write into the configuration what it may probe, as in probe_endpoint: {allow: ['*.example.com']}\n"
	if w.Code != http.StatusForbidden || w.Body.String() != want {
		t.Errorf("got %d %q, want 403 %q", w.Code, w.Body, want)
	}
}

func TestWhatShowsOnlyOnTheWayIsAFailedProbe(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer other.Close()
	good := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer good.Close()
	said := new(lines)
	e, _, _ := newExporter(t, fmt.Sprintf(`
probe_endpoint: {allow: ['%s/*']}
modules: {http_2xx: {prober: http}}
`, good.URL), nil, log.NewLogfmtLogger(said))
	code, text := get(t, e.Probe(), "/probe?debug=true&target="+good.URL+"/?token=canary")
	if code != http.StatusOK {
		t.Errorf("status %d, want 200", code)
	}
	for _, part := range []string{
		"Logs for the probe:\n", "\nMetrics that would have been returned:\n", "\nModule configuration:\n",
		"\nprobe_success 0\n", "\nprobe_failure_info{reason=\"forbidden\"} 1\n", `err="127.0.0.1 is not on the list of allowed targets"`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if all := text + said.String(); strings.Contains(all, "canary") || !strings.Contains(said.String(), `msg="probe refused" module=http_2xx target=`+good.URL+"/ from=192.0.2.1:1234") {
		t.Errorf("log and answer:\n%s", all)
	}
}

func TestHostnameIsAskedForAtTheTarget(t *testing.T) {
	names := make(chan string, 10)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names <- r.Host }))
	secure.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- h.ServerName
		return nil, nil
	}}
	secure.StartTLS()
	defer secure.Close()
	e, _, _ := newExporter(t, `
probe_endpoint: {allow: [127.0.0.1]}
modules:
  http_2xx: {prober: http, http: {keep_connections: true, tls_config: {insecure_skip_verify: true}}}
  tls: {prober: tcp, tcp: {tls: true, tls_config: {insecure_skip_verify: true}}}
  named: {prober: tcp, tcp: {tls: true, tls_config: {insecure_skip_verify: true, server_name: own.example}}}
`, nil, nil)
	at := strings.TrimPrefix(secure.URL, "https://")
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"target=" + secure.URL + "&hostname=shop.example", []string{"shop.example", "shop.example"}},
		{"target=" + secure.URL + "&hostname=shop.example:8443", []string{"shop.example", "shop.example:8443"}},
		{"target=" + secure.URL, []string{"", at}},
		{"module=tls&target=" + at + "&hostname=shop.example", []string{"shop.example"}},
		{"module=named&target=" + at + "&hostname=shop.example", []string{"own.example"}},
	} {
		if _, text := get(t, e.Probe(), "/probe?"+tt.query); !strings.Contains(text, "\nprobe_success 1\n") {
			t.Errorf("%s:\n%s", tt.query, text)
			continue
		}
		for _, want := range tt.want {
			if got := <-names; got != want {
				t.Errorf("%s: asked for %q, want %q", tt.query, got, want)
			}
		}
	}
}

func TestWhoDoesNotSayHowLongHeWaitsHasTheModulesTime(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 119500 * time.Millisecond, "soon": 119500 * time.Millisecond, "0": 119500 * time.Millisecond,
		"10": 9500 * time.Millisecond, "1": 900 * time.Millisecond, "1e300": 119500 * time.Millisecond,
	} {
		if got := askedTime(http.Header{timeoutHeader: {header}}); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestTooManyProbesAreNoFailure(t *testing.T) {
	hang := make(chan struct{})
	began := make(chan struct{}, 1)
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-hang }))
	defer slow.Close()
	e, _, _ := newExporter(t, `
probe_endpoint: {allow: [127.0.0.1], max_probes: 1}
modules: {http_2xx: {prober: http, timeout: 1m}}
`, nil, nil)
	first := make(chan int, 1)
	go func() {
		code, _ := get(t, e.Probe(), "/probe?target="+slow.URL)
		first <- code
	}()
	<-began
	code, text := get(t, e.Probe(), "/probe?target="+slow.URL)
	if code != http.StatusServiceUnavailable || strings.Contains(text, "probe_success") {
		t.Errorf("got %d %q, want 503", code, text)
	}
	close(hang)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first got %d, want 200", code)
	}
	if code, _ := get(t, e.Probe(), "/probe?target="+slow.URL); code != http.StatusOK {
		t.Errorf("afterwards: got %d, want 200", code)
	}
}

func TestProbeKeepsWithinTheScrape(t *testing.T) {
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer slow.Close()
	defer close(hang)
	e, _, _ := newExporter(t, "{probe_endpoint: {allow: [127.0.0.1]}, modules: {slow: {prober: http, timeout: 1m}}}", nil, nil)
	began := time.Now()
	_, text := get(t, e.Probe(), "/probe?"+url.Values{"module": {"slow"}, "target": {slow.URL}}.Encode(), timeoutHeader, "0.3")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	for _, line := range []string{"probe_success 0", "probe_timeout_seconds 0.27", `probe_failure_info{reason="timeout"} 1`} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func TestScrapeTime(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		want         time.Duration
	}{
		{"nobody says", "", 9500 * time.Millisecond},
		{"a long time keeps half a second", "30", 29500 * time.Millisecond},
		{"a short one keeps a tenth", "1", 900 * time.Millisecond},
		{"fractions", "0.5", 450 * time.Millisecond},
		{"no number", "soon", 9500 * time.Millisecond},
		{"nothing", "0", 9500 * time.Millisecond},
		{"below nothing", "-3", 9500 * time.Millisecond},
		{"not a number", "NaN", 9500 * time.Millisecond},
		{"for ever", "+Inf", 9500 * time.Millisecond},
		{"longer than anybody waits", "1e300", 2*time.Minute - 500*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := scrapeTime(http.Header{timeoutHeader: {tt.header}}); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
