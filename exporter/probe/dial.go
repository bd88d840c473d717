package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A course records the stages of one probe. The HTTP client calls it from
// goroutines of its own.
type course struct {
	ctx context.Context // the probe's; net/http dials with one that it doesn't end

	mu     sync.Mutex
	stages []Stage
	now    string // the stage that is under way
	since  time.Time
	ip     string
	room   [5]Stage // for stages, as there are no more
	shown  []string // credentials that went out with a request
}

// shows keeps the credentials of a request, as it goes out.
func (c *course) shows(h http.Header) {
	all := secretsIn(h)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = append(c.shown, all...)
}

func (c *course) credentials() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

func newCourse(ctx context.Context) *course {
	c := &course{ctx: ctx}
	c.stages = c.room[:0]
	return c
}

// begin ends the stage under way, if any, and begins another; "" begins none.
func (c *course) begin(stage string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.now != "" {
		i := slices.IndexFunc(c.stages, func(s Stage) bool { return s.Name == c.now })
		if i < 0 {
			i = len(c.stages)
			c.stages = append(c.stages, Stage{Name: c.now})
		}
		c.stages[i].Duration += now.Sub(c.since)
	}
	c.now, c.since = stage, now
}

func (c *course) stage() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *course) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ip
}

// at notes the address that is tried.
func (c *course) at(ip string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ip = ip
}

func (c *course) done() []Stage {
	c.begin("")
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.stages)
}

// courseKey carries the course of a probe through the HTTP client to its dial.
type courseKey struct{}

// A dialer resolves a name and connects to one address of it, each as a stage
// of its own. One address is tried, as blackbox_exporter does: a host with two
// is two probes.
type dialer struct {
	prefer   string // ip4 or ip6
	fallback bool
	source   net.IP        // nil: any
	brief    time.Duration // the life of a connection that belongs to no probe
}

func newDialer(prefer string, fallback *bool) dialer {
	if prefer == "" {
		prefer = "ip6"
	}
	return dialer{prefer: prefer, fallback: fallback == nil || *fallback}
}

var errNoAddress = errors.New("no address of the wanted protocol")

// dial connects for the probe whose course ctx carries. The connection lives no
// longer than the probe, whatever others do: net/http would go on dialling and
// shaking hands after a request has given up, and with targets that hang, probe
// after probe, there would soon be no file left for those that don't.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, ok := ctx.Value(courseKey{}).(*course)
	if !ok {
		return nil, errors.New("dial outside of a probe")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	conn, err := d.connect(ctx, c, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(c.ctx, func() { _ = conn.Close() }) // the probe has its answer
	return conn, nil
}

// dialBriefly connects for what no probe's context reaches, such as a token.
func (d dialer) dialBriefly(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.brief)
	defer cancel()
	conn, err := d.connect(ctx, newCourse(ctx), network, address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(d.brief))
}

func (d dialer) connect(ctx context.Context, c *course, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c.begin(StageResolve)
	ip, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if ip != host {
		address = net.JoinHostPort(ip, port)
	}
	if err := allowed(ctx, network, host, address); err != nil {
		return nil, err
	}
	c.at(ip)
	c.begin(StageConnect)
	n := net.Dialer{KeepAlive: -1} // none of them idles for so long; it would be four calls of the system
	if d.source != nil {
		n.LocalAddr = &net.TCPAddr{IP: d.source}
		if network == "udp" {
			n.LocalAddr = &net.UDPAddr{IP: d.source}
		}
	}
	return n.DialContext(ctx, network, address)
}

func (d dialer) resolve(ctx context.Context, host string) (string, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return host, nil
	}
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return "", err
	}
	is4 := func(a net.IPAddr) bool { return a.IP.To4() != nil }
	i := slices.IndexFunc(addrs, func(a net.IPAddr) bool { return is4(a) == (d.prefer == "ip4") })
	switch {
	case i >= 0:
	case d.fallback && len(addrs) > 0:
		i = 0
	default:
		return "", errNoAddress
	}
	return addrs[i].String(), nil
}

// tlsResult reads what blackbox_exporter shows of a TLS connection.
func tlsResult(s *tls.ConnectionState) *TLSResult {
	if s == nil {
		return nil
	}
	r := &TLSResult{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite)}
	if len(s.PeerCertificates) > 0 {
		r.Leaf = s.PeerCertificates[0]
	}
	earliest := func(certs []*x509.Certificate) (t time.Time) {
		for _, c := range certs {
			if t.IsZero() || c.NotAfter.Before(t) {
				t = c.NotAfter
			}
		}
		return t
	}
	r.EarliestExpiry = earliest(s.PeerCertificates)
	for _, chain := range s.VerifiedChains {
		if t := earliest(chain); t.After(r.ChainExpiry) {
			r.ChainExpiry = t
		}
	}
	return r
}
