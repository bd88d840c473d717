package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// DNSQuery is what the prober dns asks, and what it wants to hear.
type DNSQuery struct {
	Name             string   `yaml:"query_name"`
	Type             string   `yaml:"query_type,omitempty"`  // left out: ANY
	Class            string   `yaml:"query_class,omitempty"` // left out: IN
	RecursionDesired *bool    `yaml:"recursion_desired,omitempty"`
	ValidRcodes      []string `yaml:"valid_rcodes,omitempty"` // left out: NOERROR

	ValidateAnswer     RRMatch `yaml:"validate_answer_rrs,omitempty"`
	ValidateAuthority  RRMatch `yaml:"validate_authority_rrs,omitempty"`
	ValidateAdditional RRMatch `yaml:"validate_additional_rrs,omitempty"`

	Transport   string               `yaml:"transport_protocol,omitempty"` // udp or tcp; left out: udp
	OverTLS     bool                 `yaml:"dns_over_tls,omitempty"`       // over tcp
	TLSConfig   promconfig.TLSConfig `yaml:"tls_config,omitempty"`
	SourceIP    string               `yaml:"source_ip_address,omitempty"`     // left out: the system chooses
	PreferredIP string               `yaml:"preferred_ip_protocol,omitempty"` // as in HTTP
	IPFallback  *bool                `yaml:"ip_protocol_fallback,omitempty"`
}

// An RRMatch judges the records of one section of an answer, each as the line
// that it would be in a zone file.
type RRMatch struct {
	FailIfMatches []string `yaml:"fail_if_matches_regexp,omitempty"` // one record, one expression: that is enough to fail

	// FailIfAllMatch fails, whatever its name says, unless every record matches
	// every expression. Source: blackbox_exporter 0.28, prober/dns.go, validRRs;
	// its tests hold to it, and so do the files that are written for it.
	FailIfAllMatch []string `yaml:"fail_if_all_match_regexp,omitempty"`

	FailIfNotMatches  []string `yaml:"fail_if_not_matches_regexp,omitempty"`  // a record, or none at all, that one expression doesn't match
	FailIfNoneMatches []string `yaml:"fail_if_none_matches_regexp,omitempty"` // no record matches any
}

const (
	portDNS        = "53"
	portDNSOverTLS = "853" // RFC 7858, section 3.1
)

func validateDNS(m Module) edge.Mistakes {
	d := m.DNS
	var all edge.Mistakes
	if _, ok := dns.IsDomainName(d.Name); d.Name == "" {
		all.Add("query_name", "is missing: write the name to ask for, such as example.com")
	} else if !ok {
		all.Add("query_name", "%q is no domain name", d.Name)
	}
	if _, ok := dns.StringToType[d.queryType()]; !ok {
		all.Add("query_type", "%q: write a type of records, such as A or SOA", d.Type)
	}
	if _, ok := dns.StringToClass[d.queryClass()]; !ok {
		all.Add("query_class", "%q: write a class of records, such as IN or CH", d.Class)
	}
	for i, name := range d.ValidRcodes {
		if _, ok := dns.StringToRcode[name]; !ok {
			all.Add(fmt.Sprintf("valid_rcodes[%d]", i), "%q: write the name of a response code, such as NOERROR or NXDOMAIN", name)
		}
	}
	for _, section := range []struct {
		key string
		RRMatch
	}{
		{"validate_answer_rrs", d.ValidateAnswer},
		{"validate_authority_rrs", d.ValidateAuthority},
		{"validate_additional_rrs", d.ValidateAdditional},
	} {
		var wrong edge.Mistakes
		wrong.Under("", regexps("fail_if_matches_regexp", section.FailIfMatches))
		wrong.Under("", regexps("fail_if_all_match_regexp", section.FailIfAllMatch))
		wrong.Under("", regexps("fail_if_not_matches_regexp", section.FailIfNotMatches))
		wrong.Under("", regexps("fail_if_none_matches_regexp", section.FailIfNoneMatches))
		all.Under(section.key, wrong)
	}
	switch {
	case d.transport() != "udp" && d.transport() != "tcp":
		all.Add("transport_protocol", "%q: write udp or tcp", d.Transport)
	case d.OverTLS && d.transport() != "tcp":
		all.Add("transport_protocol", "dns_over_tls goes over tcp only: write tcp")
	}
	all.Under("", validateTLS("tls_config", d.TLSConfig))
	all.Under("", validateSource(d.SourceIP))
	all.Under("", validateIP(d.PreferredIP))
	return all
}

func (d DNSQuery) transport() string  { return or(d.Transport, "udp") }
func (d DNSQuery) queryType() string  { return or(d.Type, "ANY") }
func (d DNSQuery) queryClass() string { return or(d.Class, "IN") }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// A dnsProber asks a name server one question.
type dnsProber struct {
	module   Module
	dialer   dialer
	tls      *tls.Config // nil without TLS
	question dns.Question
	rcodes   []int
	sections []section
}

func newDNS(m Module) (Prober, error) {
	d := m.DNS
	p := &dnsProber{module: m, dialer: newDialer(d.PreferredIP, d.IPFallback)}
	p.dialer.source = net.ParseIP(d.SourceIP)
	if d.OverTLS {
		var err error
		if p.tls, err = promconfig.NewTLSConfig(&d.TLSConfig); err != nil {
			return nil, fmt.Errorf("tls_config: %w", err)
		}
	}
	// Validate looked all of these up.
	p.question = dns.Question{
		Name: dns.Fqdn(d.Name), Qtype: dns.StringToType[d.queryType()], Qclass: dns.StringToClass[d.queryClass()],
	}
	for _, name := range d.ValidRcodes {
		p.rcodes = append(p.rcodes, dns.StringToRcode[name])
	}
	if len(p.rcodes) == 0 {
		p.rcodes = []int{dns.RcodeSuccess}
	}
	p.sections = []section{
		newSection("answer", d.ValidateAnswer, func(a *dns.Msg) []dns.RR { return a.Answer }),
		newSection("authority", d.ValidateAuthority, func(a *dns.Msg) []dns.RR { return a.Ns }),
		newSection("additional", d.ValidateAdditional, func(a *dns.Msg) []dns.RR { return a.Extra }),
	}
	return p, nil
}

// Probe asks once, over a connection or a socket of its own. See [Prober].
func (p *dnsProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := newCourse(ctx)
	var answer *dns.Msg
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
		r.Figures = p.figures(answer, r.Stages)
	}()
	at, err := hostPort(target, p.port())
	if err != nil {
		r.Reason, r.Detail = Unmade, err.Error()
		return r
	}
	if ctx.Err() != nil {
		r.Reason, r.Detail = Unmade, "no time was left for it"
		return r
	}
	conn, err := p.dialer.dial(context.WithValue(ctx, courseKey{}, c), p.module.DNS.transport(), at)
	if err != nil {
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
		return r
	}
	defer func() { _ = conn.Close() }() // the answer is in
	if p.tls != nil {
		c.begin(StageTLS)
		secure := tls.Client(conn, p.config(at))
		if err := secure.HandshakeContext(ctx); err != nil {
			r.Reason, r.Detail = failure(ctx, StageTLS, err)
			return r
		}
		state := secure.ConnectionState()
		conn, r.TLS = secure, tlsResult(&state)
	}
	c.begin(StageProcessing)
	query := &dns.Msg{Question: []dns.Question{p.question}}
	query.Id, query.RecursionDesired = dns.Id(), p.module.DNS.RecursionDesired == nil || *p.module.DNS.RecursionDesired
	if answer, err = askNameServer(conn, query); err != nil {
		r.Reason, r.Detail = p.noAnswer(ctx, err)
		return r
	}
	r.Body = evidence(answer)
	r.Reason, r.Detail = p.judge(answer)
	return r
}

// noAnswer says why there is no answer to judge.
func (p *dnsProber) noAnswer(ctx context.Context, err error) (Reason, string) {
	stage := StageProcessing
	// Without connections it is only the first packet that finds out that there
	// is no way, or that nobody listens.
	if op := (*net.OpError)(nil); ctx.Err() == nil && p.module.DNS.transport() == "udp" && errors.As(err, &op) {
		stage = StageConnect
	}
	reason, detail := failure(ctx, stage, err)
	if reason == Status && isAlert(err) {
		reason = TLS
	}
	return reason, detail
}

func (p *dnsProber) judge(answer *dns.Msg) (Reason, string) {
	if !slices.Contains(p.rcodes, answer.Rcode) {
		var want []string
		for _, code := range p.rcodes {
			want = append(want, rcode(code))
		}
		return Status, fmt.Sprintf("the answer is %s, want one of %v", rcode(answer.Rcode), want)
	}
	for _, s := range p.sections {
		if detail := s.judge(answer); detail != "" {
			if answer.Truncated {
				detail += " (the answer is truncated)"
			}
			return Body, detail
		}
	}
	return "", ""
}

func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("response code %d", code)
}

func (p *dnsProber) port() string {
	if p.module.DNS.OverTLS {
		return portDNSOverTLS
	}
	return portDNS
}

// config is the TLS configuration for a target, as the prober tcp has it.
func (p *dnsProber) config(at string) *tls.Config {
	t := p.tls.Clone()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(at) // it was dialled
	}
	return t
}

// figures are blackbox_exporter's; answer is nil without one.
func (p *dnsProber) figures(answer *dns.Msg, stages []Stage) []Figure {
	took := func(names ...string) (sum time.Duration) {
		for _, s := range stages {
			if slices.Contains(names, s.Name) {
				sum += s.Duration
			}
		}
		return sum
	}
	phase := func(name string, d time.Duration) Figure {
		return Figure{
			Name: "probe_dns_duration_seconds", Help: "How long each phase took; a handshake of TLS belongs to connect.",
			Labels: map[string]string{"phase": name}, Value: d.Seconds(),
		}
	}
	var count [3]int
	var succeeded float64
	if answer != nil {
		count, succeeded = [3]int{len(answer.Answer), len(answer.Ns), len(answer.Extra)}, 1
	}
	all := []Figure{
		phase("resolve", took(StageResolve)),
		phase("connect", took(StageConnect, StageTLS)),
		phase("request", took(StageProcessing)),
		{Name: "probe_dns_answer_rrs", Help: "Records in the answer section.", Value: float64(count[0])},
		{Name: "probe_dns_authority_rrs", Help: "Records in the authority section.", Value: float64(count[1])},
		{Name: "probe_dns_additional_rrs", Help: "Records in the additional section.", Value: float64(count[2])},
		{Name: "probe_dns_query_succeeded", Help: "Whether an answer came, whatever it says.", Value: succeeded},
	}
	if answer == nil || p.question.Qtype != dns.TypeSOA {
		return all
	}
	var serial float64 // 0 without an SOA record, as in blackbox_exporter
	for _, rr := range answer.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			serial = float64(soa.Serial)
		}
	}
	return append(all, Figure{Name: "probe_dns_serial", Help: "Serial number of the zone; 0 when the answer holds none.", Value: serial})
}

// hostPort completes a target that names no port.
func hostPort(target, port string) (string, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(target, "["), "]")
	full := target
	if _, err := netip.ParseAddr(host); err == nil {
		full = net.JoinHostPort(host, port)
	} else if !strings.Contains(target, ":") {
		full = net.JoinHostPort(target, port)
	}
	if err := checkHostPort(full); err != nil {
		return "", fmt.Errorf("%q: write HOST or HOST:PORT", Redact(target))
	}
	return full, nil
}

func checkHost(target string) error {
	_, err := hostPort(target, portDNS)
	return err
}
