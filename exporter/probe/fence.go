package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-project/sluice/edge"
)

// A Fence says what a probe may reach whose target comes from somebody else: a
// list of what is allowed, and of networks that are refused whatever the first
// list says. What is on neither is refused. A name is judged again by the
// address that it turned out to have, where the connection is made, so that no
// way of writing an address and no answer of a name server leads around it.
type Fence struct {
	rules []rule
	deny  []netip.Prefix
}

// NewFence reads both lists. The paths of its mistakes begin with allow or deny.
func NewFence(allow, deny []string) (*Fence, edge.Mistakes) {
	var all edge.Mistakes
	f := new(Fence)
	for i, text := range allow {
		r, err := parseRule(text)
		if err != nil {
			all.Add(fmt.Sprintf("allow[%d]", i), "%v", err)
		}
		f.rules = append(f.rules, r)
	}
	for i, text := range deny {
		p, err := parseNetwork(text)
		if err != nil {
			all.Add(fmt.Sprintf("deny[%d]", i), "%v", err)
		}
		f.deny = append(f.deny, p)
	}
	return f, all
}

// Forbidden is the reason of a probe that a [Fence] kept from its target, or
// from where the target redirected to. It says nothing of the target.
const Forbidden Reason = "forbidden"

// A forbiddenError says what a fence refused. It shows no more of the target
// than its host.
type forbiddenError struct{ what string }

func (e *forbiddenError) Error() string { return e.what + " is not on the list of allowed targets" }

// A Passage is one probe within a fence.
type Passage struct {
	fence    *Fence
	hostname string // asked for in place of the target's own; "" for none

	mu      sync.Mutex
	url     *url.URL // that was judged last
	proxy   string   // host:port that the request for url goes to instead; "" for none
	refused error    // the first refusal
}

type passageKey struct{}

// Enter puts the probe that ctx is for within f. hostname is what is asked for
// in place of the target's own name, as in [Module.As].
func (f *Fence) Enter(ctx context.Context, hostname string) (context.Context, *Passage) {
	if host, _, err := net.SplitHostPort(hostname); err == nil && host != "" {
		hostname = host
	}
	p := &Passage{fence: f, hostname: hostname}
	return context.WithValue(ctx, passageKey{}, p), p
}

func passage(ctx context.Context) *Passage {
	p, _ := ctx.Value(passageKey{}).(*Passage)
	return p
}

// Judge makes a refusal the result's reason, however the prober took it, and
// leaves nothing of what it learned from there.
func (p *Passage) Judge(r *Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused != nil {
		r.Up, r.Reason, r.Detail = false, Forbidden, p.refused.Error()
		r.IP, r.TLS, r.Body, r.Figures = "", nil, nil, nil
	}
}

func (p *Passage) refuse(what string) error {
	err := &forbiddenError{oneLine(what)}
	if p.refused == nil {
		p.refused = err
	}
	return err
}

// Refuse says why a target can be refused before anything is dialled; nil means
// that it is allowed, or that its address will tell, or that m's prober won't
// take it anyway.
func (p *Passage) Refuse(m Module, target string) error {
	if m.CheckTarget(target) != nil {
		return nil
	}
	switch m.Prober {
	case "http":
		u, err := url.Parse(target)
		if err != nil {
			return nil // CheckTarget has parsed it
		}
		return p.follow(u)
	case "unix":
		return p.dial("unix", socketOf(target), socketOf(target))
	}
	host, port := splitTarget(target)
	switch {
	case port != "":
	case m.Prober == "dns":
		port = (&dnsProber{module: m}).port()
	case m.Prober == "grpc":
		port = (&grpcProber{module: m}).port()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fence.judge(host, port, p.hostname, nil) == refused {
		return p.refuse(host)
	}
	return nil
}

// splitTarget takes apart HOST, HOST:PORT and SCHEME://HOST:PORT.
func splitTarget(target string) (host, port string) {
	if strings.Contains(target, "://") {
		if u, err := url.Parse(target); err == nil {
			return u.Hostname(), u.Port()
		}
	}
	if host, port, err := net.SplitHostPort(target); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(target, "["), "]"), ""
}

// follow judges a URL before it is requested, the target's own and each that it
// redirects to.
func (p *Passage) follow(u *url.URL) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.url, p.proxy = u, ""
	if p.fence.judge(u.Hostname(), portOf(u), p.hostname, u) == refused {
		return p.refuse(u.Hostname() + u.EscapedPath())
	}
	return nil
}

// through notes that u is asked for at a proxy, which the configuration names.
// It resolves the name, so the name alone must do.
func (p *Passage) through(u, proxy *url.URL) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.url, p.proxy = u, net.JoinHostPort(proxy.Hostname(), portOf(proxy))
	if p.fence.judge(u.Hostname(), portOf(u), p.hostname, u) != granted {
		return p.refuse(u.Hostname() + ", by its name alone,")
	}
	return nil
}

// dial judges an address, IP:PORT, IP or a path, that host turned out to have.
func (p *Passage) dial(network, host, address string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if network == "unix" {
		if slices.ContainsFunc(p.fence.rules, func(r rule) bool { return r.socket != "" && matchPath(r.socket, address) }) {
			return nil
		}
		return p.refuse(address)
	}
	text, port := splitTarget(address)
	if p.proxy != "" && p.proxy == net.JoinHostPort(host, port) {
		return nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return p.refuse(host)
	}
	addr = addr.WithZone("").Unmap()
	u := p.url
	if u != nil && (!strings.EqualFold(u.Hostname(), host) || portOf(u) != port) {
		u = nil // something else is dialled
	}
	switch f := p.fence; {
	case f.denies(addr):
	case f.reaches(addr, port):
		return nil
	case f.named(host, port, p.hostname, u) && (isAddress(host) || !special(addr)):
		return nil
	}
	if isAddress(host) {
		return p.refuse(host)
	}
	return p.refuse(host + " at " + addr.String())
}

// allowed judges what a prober is about to reach: host as the target or a
// redirect has it, and address as it is dialled, IP:PORT, an IP alone, or the
// path of a socket. Every prober asks it before its first packet. Probes of our
// own schedule are in no fence: their targets are in the configuration.
func allowed(ctx context.Context, network, host, address string) error {
	if p := passage(ctx); p != nil {
		return p.dial(network, host, address)
	}
	return nil
}

// allowedURL judges a URL before the request for it; proxy is where the request
// goes instead, nil for nowhere else.
func allowedURL(ctx context.Context, u, proxy *url.URL) error {
	p := passage(ctx)
	switch {
	case p == nil:
		return nil
	case proxy != nil:
		return p.through(u, proxy)
	}
	return p.follow(u)
}

// fenced judges each request before it is made, where the client asks next which
// proxy it goes through; next is nil for none.
func fenced(next func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (proxy *url.URL, err error) {
		if next != nil {
			if proxy, err = next(r); err != nil {
				return nil, err
			}
		}
		return proxy, allowedURL(r.Context(), r.URL, proxy)
	}
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	case u.Scheme == "socks5" || u.Scheme == "socks5h":
		return "1080"
	}
	return "80"
}
