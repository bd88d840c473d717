// Package probe asks one target one question, once, and says how it went, stage
// by stage. A target that is down is a [Result]; an error means that the
// configuration can't be used. Nothing here keeps a verdict, nor a connection unless
// its module says so.
package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Prober asks one target once. The deadline is the context's or the module's
// timeout, whichever comes first; it counts from the call. Probe is safe for
// concurrent use.
type Prober interface {
	Probe(ctx context.Context, target string) Result
}

// A kind is one line of the table of probers.
type kind struct {
	build    func(Module) (Prober, error)
	validate func(Module) edge.Mistakes
	target   func(target string) error                      // says what is wrong with a target, without showing it
	member   func(m Module, scheme, hostport string) string // nil: members can't be asked
}

var kinds = map[string]kind{
	"http": {newHTTP, validateHTTP, checkURL, memberURL},
	"tcp":  {newTCP, validateTCP, checkHostPort, memberHostPort},
	"icmp": {newICMP, validateICMP, checkPinged, memberHost},
	"unix": {newUnix, validateUnix, checkSocket, nil},
	"dns":  {newDNS, validateDNS, checkHost, memberHostPort},
	"grpc": {newGRPC, validateGRPC, checkGRPC, memberHostPort},
}

// Kinds returns the names of all probers, in order.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// New builds the prober of a module.
func New(m Module) (Prober, error) {
	if wrong := m.Validate(); len(wrong) > 0 {
		return nil, wrong[0]
	}
	if why := m.Unserved(); why != "" {
		return nil, errors.New(why)
	}
	return kinds[m.Prober].build(m)
}

// A Reason is why a probe found no target that is up; it is empty for one that is.
type Reason string

// The reasons.
const (
	DNS     Reason = "dns"     // the name has no address
	Connect Reason = "connect" // no connection, or a proxy refused it
	TLS     Reason = "tls"     // no handshake, or not the certificate that was wanted
	Timeout Reason = "timeout" // the time ran out, in whatever stage; Detail says which
	Status  Reason = "status"  // no answer of the protocol, or not the one that was wanted
	Body    Reason = "body"    // the answer's content

	// Unmade says that the probe could not be made, for a reason on our side: no
	// file or port was left for a connection, a secret could not be read, somebody
	// interrupted it. It says nothing of the target (SAFETY.md I6).
	Unmade Reason = "unmade"
)

// Reasons lists the stages of a target that can fail, for counters that start
// at zero. [Unmade] is none of them.
var Reasons = []Reason{DNS, Connect, TLS, Timeout, Status, Body}

// The stages, by blackbox_exporter's names of its phases.
const (
	StageResolve    = "resolve"
	StageConnect    = "connect"
	StageTLS        = "tls"
	StageProcessing = "processing" // from the request to the answer's first byte
	StageTransfer   = "transfer"   // the rest of the answer
)

var stageReason = map[string]Reason{
	StageResolve: DNS, StageConnect: Connect, StageTLS: TLS, StageProcessing: Status, StageTransfer: Body,
	StageSetup: Unmade, StageRTT: Connect,
}

// A Stage is one part of a probe. With redirects each stage is the sum of all its turns.
type Stage struct {
	Name     string
	Duration time.Duration
}

// A Result is what one probe found.
type Result struct {
	Up       bool
	Reason   Reason // empty when Up
	Detail   string // one line for people; empty when Up; no user info, no query string
	Start    time.Time
	Duration time.Duration
	Stages   []Stage // in order; the stages that were begun
	IP       string  // the address that was tried last
	HTTP     *HTTPResult
	TLS      *TLSResult
	Body     []byte // the first KiB of the answer, without what the target's URL keeps secret
	Figures  []Figure
}

// Answer is what the result says of the target: yes, it is up; no; or unknown,
// when the probe was not made at all.
func (r Result) Answer() edge.Answer {
	switch {
	case r.Up:
		return edge.Yes
	case r.Reason == Unmade:
		return edge.Unknown
	}
	return edge.No
}

// An HTTPResult is what an HTTP answer was like.
type HTTPResult struct {
	Status        int
	Version       float64 // 1.1, 2
	Redirects     int
	ContentLength int64 // as announced; -1 when it wasn't
	BodyLength    int64 // bytes read, after decompression
	LastModified  time.Time
	RegexFailed   bool
}

// A TLSResult is what a TLS connection was like.
type TLSResult struct {
	Version        string            // "TLS 1.3"
	EarliestExpiry time.Time         // of the certificates that were presented
	ChainExpiry    time.Time         // of the verified chain that lasts longest; zero without one
	Cipher         string            // "TLS_AES_128_GCM_SHA256"
	Leaf           *x509.Certificate // that was presented; nil without one
}

// bodyKept is how much of an answer is kept as evidence, in bytes.
const bodyKept = 1 << 10

// CheckTarget says why a target can't be asked by m's prober; the error doesn't
// show more of the target than [Redact] does.
func (m Module) CheckTarget(target string) error {
	k, ok := kinds[m.Prober]
	if !ok {
		return fmt.Errorf("no prober %q", m.Prober)
	}
	return k.target(target)
}

// AsksMembers says whether m's prober can ask members of a pool.
func (m Module) AsksMembers() bool { return kinds[m.Prober].member != nil }

// MemberTarget returns what m's prober asks to probe a member: a URL with the
// module's path for http, host:port for tcp, host for icmp. Address is a host without a port;
// scheme is http or https, and only http looks at it.
func (m Module) MemberTarget(scheme, address string, port int) (string, error) {
	k, ok := kinds[m.Prober]
	if !ok {
		return "", fmt.Errorf("no prober %q", m.Prober)
	}
	if !m.AsksMembers() {
		return "", fmt.Errorf("prober %s can't ask members", m.Prober)
	}
	if address == "" || port < 1 || port > 65535 {
		return "", fmt.Errorf("member at %q port %d: want an address and a port", address, port)
	}
	return k.member(m, scheme, net.JoinHostPort(address, strconv.Itoa(port))), nil
}
