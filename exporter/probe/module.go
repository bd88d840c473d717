package probe

import (
	"time"

	"github.com/alecthomas/units"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// A Module says how to probe. Its keys are those of blackbox_exporter, so that
// files move over; "path" and "keep_connections" are ours.
type Module struct {
	Prober  string         `yaml:"prober"`
	Timeout model.Duration `yaml:"timeout,omitempty"` // of one probe; left out: DefaultTimeout
	HTTP    HTTP           `yaml:"http,omitempty"`
	TCP     TCP            `yaml:"tcp,omitempty"`
	ICMP    ICMP           `yaml:"icmp,omitempty"`
	Unix    Unix           `yaml:"unix,omitempty"`
	DNS     DNSQuery       `yaml:"dns,omitempty"`
	GRPC    GRPC           `yaml:"grpc,omitempty"`

	Websocket Websocket `yaml:"websocket,omitempty"` // of no prober here
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
	// Compression is asked for and undone: gzip, deflate or identity. Left out: none is asked for.
	Compression string `yaml:"compression,omitempty"`

	// KeepConnections is ours: ask again on the connection of the last probe, where
	// it is HTTP/1.1 without a proxy. Otherwise a probe shows what a new client meets.
	KeepConnections bool `yaml:"keep_connections,omitempty"`

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

	// SkipResolve is blackbox_exporter's, and always so here: where there is a
	// proxy, it is the proxy that resolves the target's name.
	SkipResolve bool `yaml:"skip_resolve_phase_with_proxy,omitempty"`

	Client promconfig.HTTPClientConfig `yaml:",inline"`

	foreignHTTP `yaml:",inline"`
}

// A HeaderMatch is a regular expression on one header of the answer.
type HeaderMatch struct {
	Header       string `yaml:"header"`
	Regexp       string `yaml:"regexp"`
	AllowMissing bool   `yaml:"allow_missing,omitempty"`
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
	m.Unix.TLSConfig.SetDirectory(dir)
	m.DNS.TLSConfig.SetDirectory(dir)
	m.GRPC.TLSConfig.SetDirectory(dir)
}

func (m Module) timeout() time.Duration {
	if m.Timeout == 0 {
		return DefaultTimeout
	}
	return time.Duration(m.Timeout)
}

func memberURL(m Module, scheme, hostport string) string {
	path := m.HTTP.Path
	if path == "" {
		path = "/"
	}
	return scheme + "://" + hostport + path
}

func memberHostPort(_ Module, _, hostport string) string { return hostport }
