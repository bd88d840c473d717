package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/units"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// A Module says how to probe. Its keys are those of blackbox_exporter, so that
// files move over; "path" is ours.
type Module struct {
	Prober  string         `yaml:"prober"`
	Timeout model.Duration `yaml:"timeout,omitempty"` // of one probe; left out: DefaultTimeout
	HTTP    HTTP           `yaml:"http,omitempty"`
	TCP     TCP            `yaml:"tcp,omitempty"`
}

// DefaultTimeout is a module's timeout when it names none.
const DefaultTimeout = 5 * time.Second

// HTTP is how the prober http asks, and what it wants to hear.
type HTTP struct {
	Method    string            `yaml:"method,omitempty"` // left out: GET
	Path      string            `yaml:"path,omitempty"`   // for members: joined to http(s)://address:port
	Headers   map[string]string `yaml:"headers,omitempty"`
	Body      string            `yaml:"body,omitempty"`
	BodyFile  string            `yaml:"body_file,omitempty"`
	BodyLimit units.Base2Bytes  `yaml:"body_size_limit,omitempty"` // a longer answer fails; left out: 1 MiB is read, more is left unread
	// Compression is asked for and undone: gzip or identity. Left out: none is asked for.
	Compression string `yaml:"compression,omitempty"`

	ValidStatusCodes  []int    `yaml:"valid_status_codes,omitempty"` // left out: 200 to 299
	ValidHTTPVersions []string `yaml:"valid_http_versions,omitempty"`
	NoFollowRedirects *bool    `yaml:"no_follow_redirects,omitempty"` // blackbox_exporter's older word for follow_redirects: false
	FailIfSSL         bool     `yaml:"fail_if_ssl,omitempty"`
	FailIfNotSSL      bool     `yaml:"fail_if_not_ssl,omitempty"`

	FailIfBodyMatches    []string      `yaml:"fail_if_body_matches_regexp,omitempty"`
	FailIfBodyNotMatches []string      `yaml:"fail_if_body_not_matches_regexp,omitempty"`
	FailIfHeaderMatches  []HeaderMatch `yaml:"fail_if_header_matches,omitempty"`
	FailIfHeaderNot      []HeaderMatch `yaml:"fail_if_header_not_matches,omitempty"`

	PreferredIP string `yaml:"preferred_ip_protocol,omitempty"` // ip4 or ip6; left out: ip6, as in blackbox_exporter
	IPFallback  *bool  `yaml:"ip_protocol_fallback,omitempty"`  // the other one when there is no address of this one; left out: true

	Client promconfig.HTTPClientConfig `yaml:",inline"`
}

// A HeaderMatch is a regular expression on one header of the answer.
type HeaderMatch struct {
	Header       string `yaml:"header"`
	Regexp       string `yaml:"regexp"`
	AllowMissing bool   `yaml:"allow_missing,omitempty"`
}

// TCP is how the prober tcp talks, and what it wants to hear.
type TCP struct {
	QueryResponse []QueryResponse      `yaml:"query_response,omitempty"`
	TLS           bool                 `yaml:"tls,omitempty"`
	TLSConfig     promconfig.TLSConfig `yaml:"tls_config,omitempty"`
	PreferredIP   string               `yaml:"preferred_ip_protocol,omitempty"`
	IPFallback    *bool                `yaml:"ip_protocol_fallback,omitempty"`
}

// A QueryResponse is one turn of a conversation: wait for a line that matches,
// send one, go over to TLS; in this order.
type QueryResponse struct {
	Expect   string `yaml:"expect,omitempty"`
	Send     string `yaml:"send,omitempty"`
	StartTLS bool   `yaml:"starttls,omitempty"`
}

// UnmarshalYAML fills in the defaults of the settings whose zero value means
// something else, also where there is no section http at all. The decoder's
// strictness goes through unmarshal.
func (m *Module) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Module
	m.HTTP.Client = promconfig.DefaultHTTPClientConfig
	return unmarshal((*plain)(m))
}

// UnmarshalYAML does the same for the section alone: decoding begins with a zero value.
func (h *HTTP) UnmarshalYAML(unmarshal func(any) error) error {
	type plain HTTP
	h.Client = promconfig.DefaultHTTPClientConfig
	return unmarshal((*plain)(h))
}

// SetDirectory makes relative paths relative to the configuration file's directory.
func (m *Module) SetDirectory(dir string) {
	m.HTTP.BodyFile = promconfig.JoinDir(dir, m.HTTP.BodyFile)
	m.HTTP.Client.SetDirectory(dir)
	m.TCP.TLSConfig.SetDirectory(dir)
}

// Validate finds every mistake in a module; paths are relative to it.
func (m Module) Validate() edge.Mistakes {
	var all edge.Mistakes
	if m.Timeout < 0 {
		all.Add("timeout", "%s: want a time above 0, such as 1s", m.Timeout)
	}
	k, ok := kinds[m.Prober]
	switch {
	case m.Prober == "":
		all.Add("prober", "is missing: write one of %s", strings.Join(Kinds(), ", "))
	case !ok:
		all.Add("prober", "there is no prober %q: write one of %s", m.Prober, strings.Join(Kinds(), ", "))
	default:
		all.Under(m.Prober, k.validate(m))
	}
	return all
}

func (m Module) timeout() time.Duration {
	if m.Timeout == 0 {
		return DefaultTimeout
	}
	return time.Duration(m.Timeout)
}

var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func validateHTTP(m Module) edge.Mistakes {
	h := m.HTTP
	var all edge.Mistakes
	if h.Method != "" && !token.MatchString(h.Method) {
		all.Add("method", "%q: write an HTTP method, such as GET", h.Method)
	}
	if h.Path != "" && !strings.HasPrefix(h.Path, "/") {
		all.Add("path", "must begin with a slash, as in /health")
	} else if _, err := url.ParseRequestURI(h.Path); h.Path != "" && err != nil {
		all.Add("path", "is no path of a URL")
	}
	for name, value := range h.Headers {
		if !token.MatchString(name) {
			all.Add("headers", "%q is no name of a header", name)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			all.Add("headers."+name, "its value holds a line break or NUL")
		}
	}
	if h.Body != "" && h.BodyFile != "" {
		all.Add("body_file", "body is there as well: write one of them")
	}
	if h.BodyFile != "" && h.Body == "" {
		if _, err := os.Stat(h.BodyFile); err != nil {
			all.Add("body_file", "%v", err)
		}
	}
	if h.BodyLimit < 0 {
		all.Add("body_size_limit", "must not be below 0")
	}
	if !slices.Contains([]string{"", "identity", "gzip"}, h.Compression) {
		all.Add("compression", "%q: write gzip or identity", h.Compression)
	}
	for i, code := range h.ValidStatusCodes {
		if code < 100 || code > 999 {
			all.Add(fmt.Sprintf("valid_status_codes[%d]", i), "%d: write a status code from 100 to 999", code)
		}
	}
	for i, v := range h.ValidHTTPVersions {
		if _, _, ok := http.ParseHTTPVersion(v); !ok && v != "HTTP/2" {
			all.Add(fmt.Sprintf("valid_http_versions[%d]", i), "%q: write HTTP/1.0, HTTP/1.1 or HTTP/2.0", v)
		}
	}
	if h.FailIfSSL && h.FailIfNotSSL {
		all.Add("fail_if_ssl", "with fail_if_not_ssl nothing could pass: write one of them")
	}
	all.Under("", regexps("fail_if_body_matches_regexp", h.FailIfBodyMatches))
	all.Under("", regexps("fail_if_body_not_matches_regexp", h.FailIfBodyNotMatches))
	all.Under("", headerMatches("fail_if_header_matches", h.FailIfHeaderMatches))
	all.Under("", headerMatches("fail_if_header_not_matches", h.FailIfHeaderNot))
	all.Under("", validateIP(h.PreferredIP))
	if err := h.Client.Validate(); err != nil {
		all.Add("", "%v", err)
	}
	return all
}

func validateTCP(m Module) edge.Mistakes {
	var all edge.Mistakes
	for i, q := range m.TCP.QueryResponse {
		at := fmt.Sprintf("query_response[%d]", i)
		if q == (QueryResponse{}) {
			all.Add(at, "does nothing: write expect, send or starttls")
		}
		if _, err := regexp.Compile(q.Expect); err != nil {
			all.Add(at+".expect", "is no regular expression (RE2): %v", err)
		}
		if q.StartTLS && m.TCP.TLS {
			all.Add(at+".starttls", "tls is on from the start: write one of them")
		}
	}
	if err := m.TCP.TLSConfig.Validate(); err != nil {
		all.Add("tls_config", "%v", err)
	}
	all.Under("", validateIP(m.TCP.PreferredIP))
	return all
}

func validateIP(s string) (all edge.Mistakes) {
	if s != "" && s != "ip4" && s != "ip6" {
		all.Add("preferred_ip_protocol", "%q: write ip4 or ip6", s)
	}
	return all
}

func regexps(key string, texts []string) (all edge.Mistakes) {
	for i, s := range texts {
		if _, err := regexp.Compile(s); err != nil {
			all.Add(fmt.Sprintf("%s[%d]", key, i), "is no regular expression (RE2): %v", err)
		}
	}
	return all
}

func headerMatches(key string, ms []HeaderMatch) (all edge.Mistakes) {
	for i, h := range ms {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !token.MatchString(h.Header) {
			all.Add(at+".header", "%q is no name of a header", h.Header)
		}
		if _, err := regexp.Compile(h.Regexp); err != nil {
			all.Add(at+".regexp", "is no regular expression (RE2): %v", err)
		}
	}
	return all
}

func checkURL(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return fmt.Errorf("is no URL: write http://HOST or https://HOST")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q begins with neither http:// nor https://", Redact(target))
	case u.Hostname() == "":
		return fmt.Errorf("%q has no host", Redact(target))
	}
	return nil
}

func checkHostPort(target string) error {
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" || port == "" || strings.ContainsAny(target, "@/?# ") {
		return fmt.Errorf("%q: write HOST:PORT", Redact(target))
	}
	return nil
}

func memberURL(m Module, scheme, hostport string) string {
	path := m.HTTP.Path
	if path == "" {
		path = "/"
	}
	return scheme + "://" + hostport + path
}

func memberHostPort(_ Module, _, hostport string) string { return hostport }
