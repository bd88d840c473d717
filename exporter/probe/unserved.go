package probe

import (
	"fmt"
	"slices"
	"strings"

	promconfig "github.com/prometheus/common/config"
)

// foreignHTTP are the settings of the prober http that blackbox_exporter has
// and we don't. They are decoded, so that a file with them loads.
// Source: blackbox_exporter 0.28.0, config/config.go, type HTTPProbe.
type foreignHTTP struct {
	FailIfCEL    string `yaml:"fail_if_body_json_matches_cel,omitempty"`
	FailIfNotCEL string `yaml:"fail_if_body_json_not_matches_cel,omitempty"`
	HTTP3        bool   `yaml:"enable_http3,omitempty"`
}

// Websocket is the section of blackbox_exporter's prober websocket, for which
// there is none here. Source: its config/config.go of July 2026, after 0.28.0.
type Websocket struct {
	Client        promconfig.HTTPClientConfig `yaml:"http_config,omitempty"`
	Headers       promconfig.Headers          `yaml:"headers,omitempty"`
	QueryResponse []QueryResponse             `yaml:"query_response,omitempty"`
	PreferredIP   string                      `yaml:"preferred_ip_protocol,omitempty"`
	IPFallback    *bool                       `yaml:"ip_protocol_fallback,omitempty"`
}

// Unserved says why m can't be used although it is no mistake: it wants what
// blackbox_exporter has and we don't, or a file that isn't there. It is empty
// when m can be used. Such a module may stand in the configuration as long as
// nobody asks for it. The answer is one line; it changes when files come and go.
func (m Module) Unserved() string {
	if _, ok := kinds[m.Prober]; !ok {
		return fmt.Sprintf("there is no prober %q here: use one of %s", oneLine(m.Prober), strings.Join(Kinds(), ", "))
	}
	why := ""
	switch m.Prober {
	case "http":
		why = m.HTTP.unserved()
	case "unix":
		why = m.Unix.unserved()
	}
	if why != "" {
		return m.Prober + "." + why
	}
	for _, f := range m.files() {
		if err := readable(f.file); err != nil {
			return fmt.Sprintf("%s.%s: %s", m.Prober, f.key, oneLine(err.Error()))
		}
	}
	return ""
}

func (h HTTP) unserved() string {
	switch {
	case h.FailIfCEL != "":
		return "fail_if_body_json_matches_cel: CEL is not served: use fail_if_body_matches_regexp"
	case h.FailIfNotCEL != "":
		return "fail_if_body_json_not_matches_cel: CEL is not served: use fail_if_body_not_matches_regexp"
	case h.HTTP3:
		return "enable_http3: HTTP/3 is not served"
	case slices.Contains(h.ValidHTTPVersions, "HTTP/3.0") || slices.Contains(h.ValidHTTPVersions, "HTTP/3"):
		return "valid_http_versions: HTTP/3 is not served"
	case h.Compression == "br":
		return "compression: br is not served: use gzip or deflate"
	}
	return ""
}

// files lists the files that m's prober reads.
func (m Module) files() []credential {
	switch m.Prober {
	case "http":
		all := []credential{{key: "body_file", file: m.HTTP.BodyFile}}
		if m.HTTP.Body != "" { // a mistake that is told anyway
			all = nil
		}
		all = append(all, credentials(&m.HTTP.Client)...)
		all = append(all, tlsFiles("tls_config.", m.HTTP.Client.TLSConfig)...)
		if o := m.HTTP.Client.OAuth2; o != nil {
			all = append(all, tlsFiles("oauth2.tls_config.", o.TLSConfig)...)
		}
		return all
	case "tcp":
		return tlsFiles("tls_config.", m.TCP.TLSConfig)
	case "dns":
		return tlsFiles("tls_config.", m.DNS.TLSConfig)
	case "grpc":
		return tlsFiles("tls_config.", m.GRPC.TLSConfig)
	case "unix":
		return tlsFiles("tls_config.", m.Unix.TLSConfig)
	}
	return nil
}

func tlsFiles(under string, c promconfig.TLSConfig) []credential {
	return []credential{
		{key: under + "ca_file", file: c.CAFile},
		{key: under + "cert_file", file: c.CertFile},
		{key: under + "key_file", file: c.KeyFile},
	}
}

// canRead says whether all of the files are there; what is in them can be
// judged only then.
func canRead(files []credential) bool {
	return !slices.ContainsFunc(files, func(f credential) bool { return readable(f.file) != nil })
}
