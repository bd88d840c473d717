package probe

import (
	"context"
	"net"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// TCP is how the prober tcp talks, and what it wants to hear.
type TCP struct {
	QueryResponse []QueryResponse      `yaml:"query_response,omitempty"`
	TLS           bool                 `yaml:"tls,omitempty"`
	TLSConfig     promconfig.TLSConfig `yaml:"tls_config,omitempty"`
	SourceIP      string               `yaml:"source_ip_address,omitempty"`     // left out: the system chooses
	PreferredIP   string               `yaml:"preferred_ip_protocol,omitempty"` // as in HTTP
	IPFallback    *bool                `yaml:"ip_protocol_fallback,omitempty"`
}

func validateTCP(m Module) edge.Mistakes {
	all := validateTalk(m.TCP.QueryResponse, m.TCP.TLS)
	all.Under("", validateTLS("tls_config", m.TCP.TLSConfig))
	all.Under("", validateSource(m.TCP.SourceIP))
	all.Under("", validateIP(m.TCP.PreferredIP))
	return all
}

// A tcpProber connects and, where it is told to, has a short conversation.
type tcpProber struct {
	module Module
	dialer dialer
	script *script
}

func newTCP(m Module) (Prober, error) {
	p := &tcpProber{module: m, dialer: newDialer(m.TCP.PreferredIP, m.TCP.IPFallback)}
	p.dialer.source = net.ParseIP(m.TCP.SourceIP)
	var err error
	p.script, err = newScript(m.TCP.QueryResponse, m.TCP.TLS, m.TCP.TLSConfig)
	return p, err
}

// Probe connects once. See [Prober].
func (p *tcpProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := newCourse(ctx)
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
	}()
	if err := checkHostPort(target); err != nil {
		r.Reason, r.Detail = Unmade, err.Error()
		return r
	}
	if ctx.Err() != nil {
		r.Reason, r.Detail = Unmade, "no time was left for it"
		return r
	}
	conn, err := p.dialer.dial(context.WithValue(ctx, courseKey{}, c), "tcp", target)
	if err != nil {
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
		return r
	}
	host, _, _ := net.SplitHostPort(target) // it was dialled
	p.script.run(ctx, c, conn, host, &r)
	return r
}
