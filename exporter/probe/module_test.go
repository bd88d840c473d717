package probe_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/exporter/probe"
)

// A file for blackbox_exporter is decoded as it stands, strictly, and each of
// its modules can be built.
func TestModulesOfBlackboxExporterMoveOver(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "blackbox.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c struct {
		Modules map[string]probe.Module `yaml:"modules"`
	}
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if len(c.Modules) < 10 {
		t.Fatalf("only %d modules", len(c.Modules))
	}
	for name, m := range c.Modules {
		m.SetDirectory("testdata")
		c.Modules[name] = m
		if wrong := m.Validate(); len(wrong) > 0 {
			t.Errorf("%s: %v", name, wrong)
			continue
		}
		if _, err := probe.New(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := c.Modules["http_everything"]
	if !slices.Equal(m.HTTP.ValidStatusCodes, []int{200, 204}) || m.HTTP.Client.BasicAuth.PasswordFile != "testdata/password" ||
		m.HTTP.BodyFile != "testdata/body.json" || m.HTTP.Client.FollowRedirects || m.HTTP.BodyLimit != 10<<20 {
		t.Errorf("%+v", m.HTTP)
	}
}

func TestUnknownKeysAreMistakesAtEveryDepth(t *testing.T) {
	for _, text := range []string{
		"{prober: http, time_out: 1s}",
		"{prober: http, http: {methods: GET}}",
		"{prober: http, http: {tls_config: {ca: x, cafile: x}}}",
		"{prober: http, http: {basic_auth: {user: x}}}",
		"{prober: http, http: {fail_if_header_matches: [{head: x}]}}",
		"{prober: tcp, tcp: {query_response: [{expected: x}]}}",
		"{prober: tcp, tcp: {tls_config: {server: x}}}",
	} {
		var m probe.Module
		dec := yaml.NewDecoder(strings.NewReader(text))
		dec.KnownFields(true)
		if err := dec.Decode(&m); err == nil || !strings.Contains(err.Error(), "not found in type") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMistakesSayWhatToWrite(t *testing.T) {
	for _, c := range []struct{ module, path string }{
		{"{}", "prober"},
		{"{prober: http, http: {method: 'GET X'}}", "http.method"},
		{"{prober: http, http: {path: health}}", "http.path"},
		{"{prober: http, http: {headers: {'X Y': z}}}", "http.headers"},
		{"{prober: http, http: {headers: {X: \"a\\r\\nb\"}}}", "http.headers.X"},
		{"{prober: http, http: {valid_status_codes: [20]}}", "http.valid_status_codes[0]"},
		{"{prober: http, http: {valid_http_versions: [HTTP2]}}", "http.valid_http_versions[0]"},
		{"{prober: http, http: {fail_if_body_matches_regexp: ['(']}}", "http.fail_if_body_matches_regexp[0]"},
		{"{prober: http, http: {fail_if_header_matches: [{header: 'a b', regexp: x}]}}", "http.fail_if_header_matches[0].header"},
		{"{prober: http, http: {fail_if_ssl: true, fail_if_not_ssl: true}}", "http.fail_if_ssl"},
		{"{prober: http, http: {body: a, body_file: b}}", "http.body_file"},
		{"{prober: http, http: {compression: zip}}", "http.compression"},
		{"{prober: http, http: {preferred_ip_protocol: v4}}", "http.preferred_ip_protocol"},
		{"{prober: http, http: {basic_auth: {username: u, password_ref: vault}}}", "http.basic_auth.password_ref"},
		{"{prober: http, http: {bearer_token: a, basic_auth: {username: u}}}", "http"},
		{"{prober: tcp, tcp: {query_response: [{}]}}", "tcp.query_response[0]"},
		{"{prober: tcp, tcp: {query_response: [{expect: '('}]}}", "tcp.query_response[0].expect"},
		{"{prober: tcp, tcp: {tls: true, query_response: [{starttls: true}]}}", "tcp.query_response[0].starttls"},
		{"{prober: tcp, tcp: {source_ip_address: here}}", "tcp.source_ip_address"},
		{"{prober: tcp, tcp: {tls_config: {cert_file: testdata/password, key_file: testdata/password}}}", "tcp.tls_config"},
	} {
		var m probe.Module
		if err := yaml.Unmarshal([]byte(c.module), &m); err != nil {
			t.Fatal(err)
		}
		got := m.Validate()
		if len(got) != 1 || got[0].Path != c.path || got[0].Text == "" || strings.Contains(got[0].Text, "\n") {
			t.Errorf("%s: %v; want one at %s", c.module, got, c.path)
		}
		if _, err := probe.New(m); err == nil {
			t.Errorf("%s: it can be built", c.module)
		}
	}
}

// What blackbox_exporter has and we don't is no mistake; nor is a file that may come yet.
func TestWhatIsNotServedIsToldWhenItIsAskedFor(t *testing.T) {
	for _, c := range []struct{ module, want string }{
		{"{prober: http}", ""},
		{"{prober: tcp}", ""},
		{"{prober: http, http: {valid_http_versions: [HTTP/1.1, HTTP/2], compression: deflate}}", ""},
		{"{prober: websocket, websocket: {http_config: {basic_auth: {username: u}}, headers: {X: {values: [y]}}, query_response: [{expect: x}]}}", `there is no prober "websocket" here: use one of `},
		{"{prober: \"a\\nb\"}", `there is no prober "a b" here: use one of `},
		{"{prober: http, http: {fail_if_body_json_matches_cel: 'body.a == 1'}}", "http.fail_if_body_json_matches_cel: CEL is not served: "},
		{"{prober: http, http: {fail_if_body_json_not_matches_cel: 'body.a == 1'}}", "http.fail_if_body_json_not_matches_cel: CEL is not served: "},
		{"{prober: http, http: {enable_http3: true, enable_http2: false}}", "http.enable_http3: HTTP/3 is not served"},
		{"{prober: http, http: {valid_http_versions: [HTTP/3.0]}}", "http.valid_http_versions: HTTP/3 is not served"},
		{"{prober: http, http: {compression: br}}", "http.compression: br is not served: use gzip or deflate"},
		{"{prober: http, http: {body_file: nowhere}}", "http.body_file: open nowhere: no such file"},
		{"{prober: http, http: {basic_auth: {username: u, password_file: nowhere}}}", "http.basic_auth.password_file: open nowhere: no such file"},
		{"{prober: http, http: {tls_config: {ca_file: nowhere}}}", "http.tls_config.ca_file: open nowhere: no such file"},
		{"{prober: tcp, tcp: {tls_config: {cert_file: nowhere, key_file: nowhere}}}", "tcp.tls_config.cert_file: open nowhere: no such file"},
	} {
		var m probe.Module
		dec := yaml.NewDecoder(strings.NewReader(c.module))
		dec.KnownFields(true)
		if err := dec.Decode(&m); err != nil {
			t.Fatalf("%s: %v", c.module, err)
		}
		if wrong := m.Validate(); len(wrong) > 0 {
			t.Errorf("%s: %v", c.module, wrong)
		}
		got := m.Unserved()
		if !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, want %q", c.module, got, c.want)
		}
		if _, err := probe.New(m); (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", c.module, err)
		}
	}
}
