package access

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxy reads an address or a network of proxies that are believed.
func proxy(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, bad := netip.ParseAddr(text); bad == nil && a.Zone() == "" {
		p, err = a.Prefix(a.BitLen())
	}
	switch {
	case err != nil:
		return p, errors.New("want an address or a network, such as 192.0.2.1 or 192.0.2.0/28")
	case p.Bits() == 0:
		return p, errors.New("would believe everybody: name your proxies alone")
	}
	return p.Masked(), nil
}

// from is what failed log-ins are counted by: where the request comes from, as the
// last proxy that we don't know saw it, or we. Whoever has one IPv6 address has the
// 2^64 around it, too. The zero value is a unix socket.
func (s *state) from(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	// Each proxy adds whom it saw on the right; what stands further left may be the
	// caller's own invention.
	seen := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for seen != "" && s.believes(ip) {
		i := strings.LastIndexByte(seen, ',')
		before, err := netip.ParseAddr(strings.Trim(seen[i+1:], " \t[]"))
		if err != nil {
			break // nobody knows: it is the proxy's
		}
		ip, seen = before.Unmap().WithZone(""), seen[:max(i, 0)]
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (s *state) believes(ip netip.Addr) bool {
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}
