package probe

import (
	"fmt"
	"maps"
	"net"
	"net/textproto"
	"strings"
)

// As returns m as it asks for hostname, and wants a certificate for it, while
// it still goes to the target's address. m stays as it is. Probers without such
// a name ignore it.
// Source: blackbox_exporter, prober/handler.go, setHTTPHost and what calls it.
func (m Module) As(hostname string) (Module, error) {
	if hostname == "" {
		return m, nil
	}
	if strings.ContainsAny(hostname, "/\\@?#% \t\r\n\x00") {
		return m, fmt.Errorf("%q is no name of a host", oneLine(hostname))
	}
	switch m.Prober {
	case "http":
		headers := make(map[string]string)
		maps.Copy(headers, m.HTTP.Headers)
		for name, value := range headers {
			if textproto.CanonicalMIMEHeaderKey(name) != "Host" {
				continue
			}
			if value != hostname {
				return m, fmt.Errorf("the module asks for a host of its own, %q: leave hostname out", value)
			}
			delete(headers, name)
		}
		headers["Host"] = hostname
		m.HTTP.Headers = headers
	case "tcp":
		if m.TCP.TLSConfig.ServerName == "" {
			m.TCP.TLSConfig.ServerName = hostname
			if host, _, err := net.SplitHostPort(hostname); err == nil {
				m.TCP.TLSConfig.ServerName = host
			}
		}
	}
	return m, nil
}
