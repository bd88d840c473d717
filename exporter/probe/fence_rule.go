package probe

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A rule is one entry of what is allowed: a socket's path, or a host with what
// may stand around it.
type rule struct {
	socket string // path of a unix socket, as in path

	network netip.Prefix // an address or a network; invalid for a name
	name    string       // in lower case; with a dot in front all names under it
	port    string       // "" for any
	scheme  string       // http or https, with a path; "" for any question to the host
	path    string       // exact, or with a star at its end
}

var (
	wantHost = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
	// A name that ends in a number is how some resolvers let an address be
	// written: 127.1, 0x7f.1, 2130706433. Source: WHATWG URL, "ends in a number".
	numeric = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)
)

func parseRule(text string) (r rule, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") || !isPathPattern(path) {
			return r, errors.New("write a path from the root on after unix:, or @ and a name, with a star at most at its end")
		}
		return rule{socket: path}, nil
	}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return r, errors.New("a URL here begins with http:// or https://")
		}
		if strings.ContainsAny(after, "@?#") {
			return r, errors.New("a URL here has neither user, query nor fragment: any query is allowed")
		}
		r.scheme, r.path = scheme, "/*"
		if i := strings.IndexByte(after, '/'); i >= 0 {
			after, r.path = after[:i], after[i:]
		}
		if !isPathPattern(r.path) {
			return r, errors.New("write a path with a star at most at its end, and without dots, backslashes or % that a server may read otherwise")
		}
		rest = after
	} else if strings.Contains(text, "/") {
		r.network, err = parseNetwork(text)
		return r, err
	}
	host := rest
	if a, err := netip.ParseAddr(rest); err != nil || a.Is6() && r.scheme != "" {
		if h, port, err := net.SplitHostPort(rest); err == nil {
			if !isPort(port) {
				return r, errors.New("write a port from 1 to 65535, or none for any")
			}
			host, r.port = h, port
		} else {
			host = strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")
		}
	}
	if r.scheme != "" && r.port == "" {
		r.port = portOf(&url.URL{Scheme: r.scheme})
	}
	if isAddress(host) {
		r.network, err = parseNetwork(host)
		return r, err
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !wantHost.MatchString(name) || numeric.MatchString(name) {
		return r, errors.New("write a name such as shop.example or *.example.com (in ASCII, a star only as the first label), a network such as 192.0.2.0/24, or a URL such as https://shop.example/*")
	}
	r.name = strings.TrimPrefix(name, "*")
	return r, nil
}

// parseNetwork takes a network or an address alone.
func parseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, e := netip.ParseAddr(text); e == nil {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil || strings.Contains(text, "%"):
		return netip.Prefix{}, errors.New("write a network such as 192.0.2.0/24 or 2001:db8::/32, or an address without a zone")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("write IPv4 as IPv4: targets in the form ::ffff:192.0.2.1 are judged by it as well")
	case p != p.Masked():
		return netip.Prefix{}, errors.New("has bits set behind its length: write " + p.Masked().String())
	}
	return p, nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isPathPattern(path string) bool {
	return !strings.Contains(strings.TrimSuffix(path, "*"), "*") && isPlainPath(path)
}

// isPlainPath says whether every server reads a path alike. One that climbs, or
// has a slash or dot in other clothes, may lead out of what a star allows.
func isPlainPath(path string) bool {
	lower := strings.ToLower(path)
	for _, trick := range []string{`\`, "%2e", "%2f", "%5c", "%25", "%00", "//"} {
		if strings.Contains(lower, trick) {
			return false
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		bare, _, _ := strings.Cut(segment, ";") // Java servers cut parameters off before they climb
		if bare == "." || bare == ".." {
			return false
		}
	}
	return true
}

func matchPath(pattern, path string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	if path == "" {
		path = "/"
	}
	switch {
	case !open:
		return path == pattern
	case prefix == "/":
		return true
	}
	return strings.HasPrefix(path, prefix) && isPlainPath(path)
}

// matchName says whether host is r's name or under it.
func (r rule) matchName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if r.name == "" || numeric.MatchString(host) {
		return false
	}
	if strings.HasPrefix(r.name, ".") {
		return strings.HasSuffix(host, r.name) && len(host) > len(r.name)
	}
	return host == r.name
}

func (r rule) matchHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return r.network.IsValid() && r.network.Contains(a.WithZone("").Unmap())
	}
	return r.matchName(host)
}

// match judges a question by its name: for rules with a scheme by the URL, of
// which host and port may be others' in place of its own.
func (r rule) match(host, port string, u *url.URL) bool {
	if r.port != "" && r.port != port || !r.matchHost(host) {
		return false
	}
	return r.scheme == "" || u != nil && u.Scheme == r.scheme && matchPath(r.path, u.EscapedPath())
}

// named says whether a question is allowed by its name: the target's, and the
// one that is asked for in its place.
func (f *Fence) named(host, port, hostname string, u *url.URL) bool {
	listed := func(host string) bool {
		return slices.ContainsFunc(f.rules, func(r rule) bool { return r.match(host, port, u) })
	}
	return listed(host) && (hostname == "" || listed(hostname))
}

// reaches says whether an address is allowed whatever is asked of it.
func (f *Fence) reaches(a netip.Addr, port string) bool {
	return slices.ContainsFunc(f.rules, func(r rule) bool {
		return r.scheme == "" && r.network.IsValid() && (r.port == "" || r.port == port) && r.network.Contains(a)
	})
}

func (f *Fence) denies(a netip.Addr) bool {
	return slices.ContainsFunc(faces(a), func(a netip.Addr) bool {
		return slices.ContainsFunc(f.deny, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// special finds the addresses that a name has only when somebody is up to
// something, or by a mistake: this machine, and services of the link that trust
// who can reach them, such as the clouds' metadata at 169.254.169.254.
func special(a netip.Addr) bool {
	return slices.ContainsFunc(faces(a), func(a netip.Addr) bool {
		return a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	})
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4  = netip.MustParsePrefix("2002::/16")    // RFC 3056
	compat4 = netip.MustParsePrefix("::/96")        // RFC 4291, deprecated
)

// faces are all addresses that a packet to a may end at.
func faces(a netip.Addr) []netip.Addr {
	all := []netip.Addr{a}
	if a.IsUnspecified() { // Linux takes it for itself
		return append(all, netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback())
	}
	b := a.As16()
	switch {
	case a.Is4():
	case nat64.Contains(a), compat4.Contains(a) && !a.IsLoopback():
		all = append(all, netip.AddrFrom4([4]byte(b[12:16])))
	case sixTo4.Contains(a):
		all = append(all, netip.AddrFrom4([4]byte(b[2:6])))
	}
	return all
}

// A verdict is what can be said of a target before its name is resolved.
type verdict int

const (
	refused verdict = iota
	granted         // by its name or its address; what the name resolves to is judged later
	later           // a network may allow the address that it has
)

func (f *Fence) judge(host, port, hostname string, u *url.URL) verdict {
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.WithZone("").Unmap()
		if !f.denies(a) && (f.reaches(a, port) || f.named(host, port, hostname, u)) {
			return granted
		}
		return refused
	}
	switch {
	case f.named(host, port, hostname, u):
		return granted
	case slices.ContainsFunc(f.rules, func(r rule) bool {
		return r.scheme == "" && r.network.IsValid() && (r.port == "" || r.port == port)
	}):
		return later
	}
	return refused
}
