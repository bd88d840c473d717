package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// blackboxModules is one file for both programs.
const blackboxModules = `modules:
  http_2xx: {prober: http, timeout: 5s}
  http_404: {prober: http, timeout: 5s, http: {valid_status_codes: [404]}}
  http_4: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}
  http_stays: {prober: http, timeout: 5s, http: {follow_redirects: false, valid_status_codes: [302]}}
  http_post: {prober: http, timeout: 5s, http: {method: POST, body: hello, headers: {Content-Type: text/plain}}}
  http_gzip: {prober: http, timeout: 5s, http: {compression: gzip, headers: {Accept-Encoding: gzip}}}
  http_body: {prober: http, timeout: 5s, http: {fail_if_body_matches_regexp: [hello]}}
  http_no_body: {prober: http, timeout: 5s, http: {fail_if_body_not_matches_regexp: [farewell]}}
  http_header: {prober: http, timeout: 5s, http: {fail_if_header_matches: [{header: X-Kind, regexp: good}]}}
  http_no_header: {prober: http, timeout: 5s, http: {fail_if_header_not_matches: [{header: X-None, regexp: good}]}}
  http_11: {prober: http, timeout: 5s, http: {valid_http_versions: [HTTP/2.0]}}
  http_plain: {prober: http, timeout: 5s, http: {fail_if_not_ssl: true}}
  http_limit: {prober: http, timeout: 5s, http: {body_size_limit: 4B}}
  https: {prober: http, timeout: 5s, http: {tls_config: {ca_file: $CA}}}
  https_any: {prober: http, timeout: 5s, http: {tls_config: {insecure_skip_verify: true}, fail_if_ssl: true}}
  https_1: {prober: http, timeout: 5s, http: {tls_config: {ca_file: $CA}, enable_http2: false}}
  short: {prober: http, timeout: 300ms}
  tcp_connect: {prober: tcp, timeout: 5s}
  tcp_tls: {prober: tcp, timeout: 5s, tcp: {tls: true, tls_config: {ca_file: $CA}}}
  tcp_banner: {prober: tcp, timeout: 5s, tcp: {query_response: [{expect: '^220 (\S+) ready$'}, {send: 'HELO ${1}'}, {expect: '^250'}]}}
  tcp_other: {prober: tcp, timeout: 5s, tcp: {query_response: [{expect: '^220'}, {send: QUIT}, {expect: '^550'}]}}
  dns_a: {prober: dns, timeout: 5s, dns: {query_name: shop.example, query_type: A}}
  dns_soa: {prober: dns, timeout: 5s, dns: {query_name: example, query_type: SOA}}
  dns_none: {prober: dns, timeout: 5s, dns: {query_name: none.example, query_type: A}}
  dns_tcp: {prober: dns, timeout: 5s, dns: {query_name: shop.example, query_type: A, transport_protocol: tcp}}
  dns_wants: {prober: dns, timeout: 5s, dns: {query_name: shop.example, query_type: A, validate_answer_rrs: {fail_if_not_matches_regexp: ['192\.0\.2\.8']}}}
  icmp: {prober: icmp, timeout: 5s, icmp: {preferred_ip_protocol: ip4}}
  grpc: {prober: grpc, timeout: 5s, grpc: {service: shop}}
`

// different says what may differ for which questions, in lines as [differences]
// gives them, and why.
var different = []struct{ of, line, why string }{
	// Debian's is 0.23; these came later, and are here under the later names.
	{``, `^only ours: probe_timeout_seconds `, "later there, too"},
	{`^(https|tcp_tls)`, `^only ours: probe_tls_cipher_info\{`, "later there, too"},
	{`^(https|tcp_tls)`, `^only (ours|theirs): probe_ssl_last_chain_info\{`, "later it has the label serialnumber there, too"},
	{`^tcp_`, `^only ours: probe_failed_due_to_bytes 0$`, "later there, too"},

	{``, `^only ours: probe_failure_info\{`, "which stage failed is what people look for in the log there"},
	{`^https_any `, `^only theirs: probe_ssl_last_chain_expiry_timestamp_seconds -6\.21355968e\+10$`, "without a verified chain it is the year 1, and an alert on chains that soon end fires"},
	{`^grpc `, `^only theirs: probe_ssl_earliest_cert_expiry 0$`, "without TLS it is 1970, and an alert on certificates that soon end fires"},
	{`^http_2xx of http://none.invalid/`, `^only ours: probe_http_duration_seconds\{phase="(connect|tls|processing|transfer)"\} 0$`, "series that come and go make holes in graphs"},
	{`^http_stays `, `^differs: probe_http_redirects 0, want 1$`, "a redirect that isn't followed isn't counted as followed"},
	{`^http_stays `, `^differs: probe_http_uncompressed_body_length 28, want 0$`, "the answer that decides is read, so that its regular expressions mean something"},
	{`/circle$`, `^differs: probe_http_redirects 10, want 11$`, "a redirect that isn't followed isn't counted as followed"},
	{`/circle$`, `^differs: probe_http_(content_length 0, want 30|status_code 0, want 302|version 0, want 1\.1)$`, "when there are too many redirects there is no last answer"},
}

func TestProbesAreAnsweredAsBlackboxExporterDoes(t *testing.T) {
	t.Parallel()
	w := startTargets(t)
	dir := t.TempDir()
	text := strings.ReplaceAll(blackboxModules, "$CA", w.ca)
	theirs := startProber(t, dir, "blackbox", "prometheus-blackbox-exporter", text, "/-/healthy")
	ours := startProber(t, dir, "exporter", sluice, text+"probe_endpoint: {allow: [127.0.0.0/8, '::1']}\n", "/-/ready", "exporter")

	used := make([]bool, len(different))
	for _, q := range []struct{ module, target, more string }{
		{"http_2xx", w.web + "/good", ""},
		{"", w.web + "/good", ""},
		{"http_2xx", strings.TrimPrefix(w.web, "http://") + "/good", ""},
		{"http_2xx", "localhost:" + portOf(w.web) + "/good", ""},
		{"http_4", "http://localhost:" + portOf(w.web) + "/good", ""},
		{"http_2xx", w.web + "/gone", ""},
		{"http_404", w.web + "/gone", ""},
		{"http_2xx", w.web + "/moved", ""},
		{"http_stays", w.web + "/moved", ""},
		{"http_2xx", w.web + "/circle", ""},
		{"http_2xx", w.web + "/dated", ""},
		{"http_2xx", w.web + "/chunked", ""},
		{"http_2xx", w.web + "/empty", ""},
		{"http_2xx", w.web + "/host", "&hostname=shop.example"},
		{"http_post", w.web + "/echo", ""},
		{"http_gzip", w.web + "/gzip", ""},
		{"http_body", w.web + "/good", ""},
		{"http_no_body", w.web + "/good", ""},
		{"http_header", w.web + "/good", ""},
		{"http_no_header", w.web + "/good", ""},
		{"http_11", w.web + "/good", ""},
		{"http_plain", w.web + "/good", ""},
		{"http_limit", w.web + "/good", ""},
		{"short", w.web + "/slow", ""},
		{"http_2xx", "http://" + w.refused + "/", ""},
		{"http_2xx", "http://none.invalid/", ""},
		{"http_2xx", "http://bad url/", ""},
		{"https", w.tls + "/good", ""},
		{"https_1", w.tls + "/good", ""},
		{"https_any", w.tls + "/good", ""},
		{"http_2xx", w.tls + "/good", ""},
		{"https", w.tls + "/good", "&hostname=shop.example"},
		{"https", w.tls + "/good", "&hostname=example.com"},
		{"tcp_connect", w.banner, ""},
		{"tcp_connect", w.refused, ""},
		{"tcp_connect", "none.invalid:80", ""},
		{"tcp_connect", "no-port", ""},
		{"tcp_banner", w.banner, ""},
		{"tcp_other", w.banner, ""},
		{"tcp_tls", strings.TrimPrefix(w.tls, "https://"), ""},
		{"tcp_tls", strings.TrimPrefix(w.tls, "https://"), "&hostname=example.com"},
		{"tcp_tls", w.banner, ""},
		{"dns_a", w.dns, ""},
		{"dns_soa", w.dns, ""},
		{"dns_none", w.dns, ""},
		{"dns_tcp", w.dns, ""},
		{"dns_wants", w.dns, ""},
		{"dns_tcp", w.refused, ""},
		{"icmp", "127.0.0.1", ""},
		{"icmp", "none.invalid", ""},
		{"grpc", w.grpc, ""},
		{"grpc", w.refused, ""},
		{"", "", ""},
		{"helth", w.web + "/good", ""},
		{"http_2xx", "", ""},
	} {
		name := fmt.Sprintf("%s of %s%s", q.module, q.target, q.more)
		values := url.Values{}
		for k, v := range map[string]string{"module": q.module, "target": q.target} {
			if v != "" {
				values.Set(k, v)
			}
		}
		path := "/probe?" + values.Encode() + q.more
		theirCode, their := scrapeOnce(t, theirs+path)
		ourCode, our := scrapeOnce(t, ours+path)
		if theirCode != ourCode {
			t.Errorf("%s: answer %d, want %d", name, ourCode, theirCode)
		}
		for _, line := range differences(their, our) {
			known := false
			for i, d := range different {
				if regexp.MustCompile(d.of).MatchString(name) && regexp.MustCompile(d.line).MatchString(line) {
					used[i], known = true, true
				}
			}
			if !known {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	for i, d := range different {
		if !used[i] {
			t.Errorf("nothing differs any more by %s (%s)", d.line, d.why)
		}
	}
}

// portOf is the port at the end of an address.
func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func startProber(t *testing.T, dir, name, program, config, ready string, command ...string) string {
	t.Helper()
	at, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name+".yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := rig.NewProgram(name, dir, program, append(command, "--config.file="+file, "--web.listen-address="+at)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), outWithin)
	defer cancel()
	if err := p.StartWeb(ctx, "http://"+at+ready); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("stop %s: %v", name, err)
		}
	})
	return "http://" + at
}

// scrapeOnce returns the families of an answer, none where it is an error.
func scrapeOnce(t *testing.T, address string) (int, map[string]*dto.MetricFamily) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		_, err := io.Copy(io.Discard, res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, nil
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return res.StatusCode, families
}

// moves finds the series whose values differ from probe to probe.
var moves = regexp.MustCompile(`^probe_(duration_seconds|dns_lookup_time_seconds|(http|dns|icmp|grpc)_duration_seconds\{)`)

// differences compares names, types, labels, and the values that stand still.
func differences(theirs, ours map[string]*dto.MetricFamily) (all []string) {
	their, our := series(theirs), series(ours)
	for name, f := range theirs {
		if o, ok := ours[name]; ok && o.GetType() != f.GetType() {
			all = append(all, fmt.Sprintf("%s is a %s, want %s", name, o.GetType(), f.GetType()))
		}
	}
	for _, s := range slices.Sorted(maps.Keys(their)) {
		want := their[s]
		got, ok := our[s]
		switch {
		case !ok:
			all = append(all, fmt.Sprintf("only theirs: %s %v", s, want))
		case got != want && !(math.IsNaN(got) && math.IsNaN(want)) && !moves.MatchString(s):
			all = append(all, fmt.Sprintf("differs: %s %v, want %v", s, got, want))
		}
	}
	for _, s := range slices.Sorted(maps.Keys(our)) {
		if _, ok := their[s]; !ok {
			all = append(all, fmt.Sprintf("only ours: %s %v", s, our[s]))
		}
	}
	return all
}

func series(families map[string]*dto.MetricFamily) map[string]float64 {
	all := make(map[string]float64)
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			all[key] = m.GetGauge().GetValue() + m.GetUntyped().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}
