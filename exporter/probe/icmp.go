package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"regexp"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/sluice-project/sluice/edge"
)

// ICMP is how the prober icmp pings.
type ICMP struct {
	PreferredIP  string `yaml:"preferred_ip_protocol,omitempty"` // as in HTTP
	IPFallback   *bool  `yaml:"ip_protocol_fallback,omitempty"`
	SourceIP     string `yaml:"source_ip_address,omitempty"` // left out: the system chooses
	PayloadSize  int    `yaml:"payload_size,omitempty"`      // bytes after the head of 8; left out: 28
	DontFragment bool   `yaml:"dont_fragment,omitempty"`
	TTL          int    `yaml:"ttl,omitempty"` // left out: 64
}

// The stages of a ping, by blackbox_exporter's names of its phases, besides resolve.
const (
	StageSetup = "setup" // of the socket
	StageRTT   = "rtt"
)

const (
	defaultPayload = 28    // bytes, as blackbox_exporter sends
	maxPayload     = 65507 // bytes: a packet of 65535 without the heads of IPv4 and ICMP
	defaultTTL     = 64
	icmpHead       = 8 // bytes
)

func validateICMP(m Module) edge.Mistakes {
	var all edge.Mistakes
	if m.ICMP.PayloadSize < 0 || m.ICMP.PayloadSize > maxPayload {
		all.Add("payload_size", "%d: write a number of bytes up to %d", m.ICMP.PayloadSize, maxPayload)
	}
	if m.ICMP.TTL < 0 || m.ICMP.TTL > 255 {
		all.Add("ttl", "%d: write a number from 1 to 255, or leave it out for %d", m.ICMP.TTL, defaultTTL)
	}
	all.Under("", validateSource(m.ICMP.SourceIP))
	all.Under("", validateIP(m.ICMP.PreferredIP))
	return all
}

// hostName is more than DNS allows and less than could do harm in a line.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})$`)

// isPinged says whether target is a bare host name or IP address.
func isPinged(target string) bool {
	if a, err := netip.ParseAddr(target); err == nil {
		return a.Zone() == "" || hostName.MatchString(a.Zone())
	}
	return hostName.MatchString(target)
}

func checkPinged(target string) error {
	if !isPinged(target) {
		return fmt.Errorf("%q: write HOST or an IP address, without a port", Redact(target))
	}
	return nil
}

func memberHost(_ Module, _, hostport string) string {
	host, _, _ := net.SplitHostPort(hostport) // it was joined just now
	return host
}

// An icmpProber sends one echo request.
type icmpProber struct {
	module Module
	dialer dialer
	source net.IP
}

func newICMP(m Module) (Prober, error) {
	return &icmpProber{
		module: m,
		dialer: newDialer(m.ICMP.PreferredIP, m.ICMP.IPFallback),
		source: net.ParseIP(m.ICMP.SourceIP),
	}, nil
}

// Probe sends one echo request. See [Prober].
func (p *icmpProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := newCourse(ctx)
	hops := -1
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
		r.Figures = icmpFigures(r.Stages, hops)
	}()
	if err := checkPinged(target); err != nil {
		r.Reason, r.Detail = Unmade, err.Error()
		return r
	}
	if ctx.Err() != nil {
		r.Reason, r.Detail = Unmade, "no time was left for it"
		return r
	}
	var err error
	if hops, err = p.ping(ctx, c, target); err != nil {
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
		// Whatever it is, nothing was sent; also where a firewall of ours forbids it.
		if stage := c.stage(); stage == StageSetup || errors.Is(err, fs.ErrPermission) {
			r.Reason, r.Detail = Unmade, stage+": "+plain(err)
		}
	}
	return r
}

func icmpFigures(stages []Stage, hops int) []Figure {
	took := Figure{Name: "probe_icmp_duration_seconds", Help: "How long each phase took."}
	var all []Figure
	for _, name := range []string{StageResolve, StageSetup, StageRTT} {
		seconds := 0.0
		for _, s := range stages {
			if s.Name == name {
				seconds = s.Duration.Seconds()
			}
		}
		all = append(all, took.labelled(seconds, map[string]string{"phase": name}))
	}
	if hops >= 0 {
		all = append(all, Figure{
			Name: "probe_icmp_reply_hop_limit", Help: "Hop limit that was left of the reply; the TTL for IPv4.", Value: float64(hops),
		})
	}
	return all
}

// ping sends one request and waits for its reply; hops is the reply's hop limit, or -1.
func (p *icmpProber) ping(ctx context.Context, c *course, target string) (hops int, err error) {
	c.begin(StageResolve)
	text, err := p.dialer.resolve(ctx, target)
	if err != nil {
		return -1, err
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return -1, err
	}
	ip = ip.Unmap()
	c.mu.Lock()
	c.ip = ip.String()
	c.mu.Unlock()
	if err := allowed(ctx, "icmp", target, ip.String()); err != nil {
		return -1, err
	}
	c.begin(StageSetup)
	e, err := p.newEcho(ip)
	if err != nil {
		return -1, err
	}
	defer func() { _ = e.conn.Close() }()                         // the answer is in
	defer context.AfterFunc(ctx, func() { _ = e.conn.Close() })() // ends the wait
	c.begin(StageRTT)
	if err := e.send(); err != nil {
		return -1, err
	}
	return e.receive()
}

// An echo is one request and the wait for its reply.
type echo struct {
	conn    net.PacketConn
	v4      *ipv4.PacketConn // conn as it tells the hop limit, or v6
	v6      *ipv6.PacketConn
	raw     bool // the socket sees all of the machine's ICMP, and the identifier is ours
	to      netip.Addr
	id, seq uint16
	payload []byte
}

// echoes counts requests, so that no two that are under way are alike.
var echoes atomic.Uint32

func (p *icmpProber) newEcho(to netip.Addr) (*echo, error) {
	if p.source != nil && (p.source.To4() != nil) != to.Is4() {
		return nil, fmt.Errorf("source_ip_address %s is of another version of IP than the target's address", p.source)
	}
	size := p.module.ICMP.PayloadSize
	if size == 0 {
		size = defaultPayload
	}
	n := echoes.Add(1)
	e := &echo{to: to, id: uint16(n >> 16), seq: uint16(n), payload: make([]byte, size)}
	var secret [18]byte // nobody who hasn't seen the request can answer it
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	e.id ^= binary.BigEndian.Uint16(secret[:])
	copy(e.payload, secret[2:])
	var err error
	if e.conn, e.raw, err = pingSocket(to.Is4(), p.source, p.module.ICMP.DontFragment); err != nil {
		return nil, err
	}
	if err := e.prepare(p.module.ICMP.TTL); err != nil {
		return nil, errors.Join(err, e.conn.Close())
	}
	return e, nil
}

// pingSocket opens a socket of the kind that needs least permission.
func pingSocket(v4 bool, source net.IP, whole bool) (conn net.PacketConn, raw bool, err error) {
	conn, first := datagramSocket(v4, source, whole)
	if first == nil {
		return conn, false, nil
	}
	conn, err = rawSocket(v4, source, whole)
	switch {
	case err == nil:
		return conn, true, nil
	case errors.Is(err, fs.ErrPermission) && !unpermitted(first): // the first one fails for another reason
		return nil, false, first
	case errors.Is(err, fs.ErrPermission):
		return nil, false, errors.New("no permission to ping: put a group of this process into sysctl net.ipv4.ping_group_range (for IPv6, too), or give it CAP_NET_RAW")
	}
	return nil, false, err
}

// unpermitted says whether the machine has no ping sockets, or none for us.
func unpermitted(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) ||
		errors.Is(err, syscall.EPROTONOSUPPORT) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// prepare sets what goes into the packet's head, and asks for the reply's.
func (e *echo) prepare(ttl int) error {
	if ttl == 0 {
		ttl = defaultTTL
	}
	// A socket that doesn't tell the reply's hop limit is good enough.
	if e.to.Is4() {
		e.v4 = ipv4.NewPacketConn(e.conn)
		_ = e.v4.SetControlMessage(ipv4.FlagTTL, true)
		return e.v4.SetTTL(ttl)
	}
	e.v6 = ipv6.NewPacketConn(e.conn)
	_ = e.v6.SetControlMessage(ipv6.FlagHopLimit, true)
	return e.v6.SetHopLimit(ttl)
}

func (e *echo) send() error {
	kind := icmp.Type(ipv4.ICMPTypeEcho)
	if !e.to.Is4() {
		kind = ipv6.ICMPTypeEchoRequest
	}
	// The kernel puts in the checksum for IPv6, and for a datagram socket the identifier.
	packet, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: int(e.id), Seq: int(e.seq), Data: e.payload}}).Marshal(nil)
	if err != nil {
		return err
	}
	var to net.Addr = &net.UDPAddr{IP: e.to.AsSlice(), Zone: e.to.Zone()}
	if e.raw {
		to = &net.IPAddr{IP: e.to.AsSlice(), Zone: e.to.Zone()}
	}
	_, err = e.conn.WriteTo(packet, to)
	return err
}

func (e *echo) receive() (hops int, err error) {
	packet := make([]byte, icmpHead+len(e.payload)+1) // a longer one is none of ours
	for {
		n, hops, from, err := e.read(packet)
		if err != nil {
			return -1, err
		}
		if e.isReply(packet[:n], from) {
			return hops, nil
		}
	}
}

// read reads a packet, from the head of ICMP on.
func (e *echo) read(packet []byte) (n, hops int, from net.Addr, err error) {
	hops = -1
	if e.v4 != nil {
		n, cm, from, err := e.v4.ReadFrom(packet)
		if cm != nil {
			hops = cm.TTL
		}
		return n, hops, from, err
	}
	n, cm, from, err := e.v6.ReadFrom(packet)
	if cm != nil {
		hops = cm.HopLimit
	}
	return n, hops, from, err
}

// isReply finds the reply among all that a socket may see.
func (e *echo) isReply(packet []byte, from net.Addr) bool {
	kind := byte(ipv4.ICMPTypeEchoReply)
	if !e.to.Is4() {
		kind = byte(ipv6.ICMPTypeEchoReply)
	}
	switch {
	case len(packet) != icmpHead+len(e.payload), packet[0] != kind, packet[1] != 0:
		return false
	case e.raw && binary.BigEndian.Uint16(packet[4:]) != e.id: // on a datagram socket the kernel has its own, and looks
		return false
	case binary.BigEndian.Uint16(packet[6:]) != e.seq, !bytes.Equal(packet[icmpHead:], e.payload):
		return false
	}
	var ip net.IP
	switch a := from.(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	sender, ok := netip.AddrFromSlice(ip)
	return ok && sender.Unmap() == e.to.WithZone("")
}

// rawSocket opens a socket that needs CAP_NET_RAW.
func rawSocket(v4 bool, source net.IP, whole bool) (net.PacketConn, error) {
	network, at := "ip6:ipv6-icmp", "::"
	if v4 {
		network, at = "ip4:icmp", "0.0.0.0"
	}
	if source != nil {
		at = source.String()
	}
	l := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if failed := c.Control(func(fd uintptr) { err = setWhole(int(fd), v4, whole) }); failed != nil {
			return failed
		}
		return err
	}}
	return l.ListenPacket(context.Background(), network, at) // it doesn't wait for anything
}
