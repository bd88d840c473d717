package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-project/sluice/edge"
)

// GRPC is how the prober grpc asks for the health of a service, by gRPC's
// health checking protocol.
type GRPC struct {
	Service     string               `yaml:"service,omitempty"` // left out: the server as a whole
	Metadata    Metadata             `yaml:"metadata,omitempty"`
	TLS         bool                 `yaml:"tls,omitempty"`
	TLSConfig   promconfig.TLSConfig `yaml:"tls_config,omitempty"`
	PreferredIP string               `yaml:"preferred_ip_protocol,omitempty"` // as in HTTP
	IPFallback  *bool                `yaml:"ip_protocol_fallback,omitempty"`
}

// Metadata is sent with the question, as other programs send headers. Its values
// are not shown: one may be a token.
type Metadata map[string][]promconfig.Secret

const (
	portGRPC        = "80"
	portGRPCOverTLS = "443"
)

// maxHealth is the longest answer that is read, in bytes; a real one has two.
const maxHealth = 4 << 10

// metadataKey are the keys that gRPC can send; those that begin with "grpc-" are
// its own. Source: gRPC over HTTP/2, section "Requests".
var metadataKey = regexp.MustCompile(`^[0-9a-z_.-]+$`)

func validateGRPC(m Module) edge.Mistakes {
	g := m.GRPC
	var all edge.Mistakes
	for key, values := range g.Metadata {
		lower := strings.ToLower(key)
		if !metadataKey.MatchString(lower) || strings.HasPrefix(lower, "grpc-") {
			all.Add("metadata", "%q is no key that can be sent", key)
		}
		for i, v := range values {
			if !strings.HasSuffix(lower, "-bin") && strings.ContainsFunc(string(v), func(r rune) bool { return r < ' ' || r > '~' }) {
				all.Add(fmt.Sprintf("metadata.%s[%d]", key, i), "it holds more than ASCII that can be printed: only keys that end with -bin may")
			}
		}
	}
	all.Under("", validateTLS("tls_config", g.TLSConfig))
	all.Under("", validateIP(g.PreferredIP))
	return all
}

// A grpcProber asks one server for its health, once.
type grpcProber struct {
	module   Module
	dialer   dialer
	tls      *tls.Config // nil without TLS
	metadata metadata.MD
}

func newGRPC(m Module) (Prober, error) {
	p := &grpcProber{module: m, dialer: newDialer(m.GRPC.PreferredIP, m.GRPC.IPFallback), metadata: metadata.MD{}}
	if m.GRPC.TLS {
		var err error
		if p.tls, err = promconfig.NewTLSConfig(&m.GRPC.TLSConfig); err != nil {
			return nil, fmt.Errorf("tls_config: %w", err)
		}
	}
	for key, values := range m.GRPC.Metadata {
		for _, v := range values {
			p.metadata.Append(key, string(v))
		}
	}
	return p, nil
}

// Probe asks once, over a connection of its own. See [Prober].
func (p *grpcProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := newCourse(ctx)
	f := grpcFound{code: codes.Unavailable}
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
		if r.Reason == Timeout {
			f.code = codes.DeadlineExceeded
		}
		r.Figures = f.figures(r)
	}()
	at, err := hostPort(bareGRPC(target), p.port())
	if err != nil {
		r.Reason, r.Detail = Unmade, err.Error()
		return r
	}
	if ctx.Err() != nil {
		r.Reason, r.Detail = Unmade, "no time was left for it"
		return r
	}
	conn, err := p.dialer.dial(context.WithValue(ctx, courseKey{}, c), "tcp", at)
	if err != nil {
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
		return r
	}
	l := &grpcLine{Conn: conn, course: c, ctx: ctx}
	defer func() { _ = l.Close() }() // the answer is in
	answer, err := p.check(ctx, l, at)
	l.mu.Lock()
	r.TLS = tlsResult(l.state)
	l.mu.Unlock()
	if err != nil {
		f.code = status.Code(err)
		r.Reason, r.Detail = l.noAnswer(err)
		return r
	}
	f.code, f.serving = codes.OK, answer.GetStatus()
	r.Body = []byte(f.serving.String())
	if f.serving != health.HealthCheckResponse_SERVING {
		r.Reason, r.Detail = Status, fmt.Sprintf("the service is %s, want SERVING", r.Body)
	}
	return r
}

// check asks over one connection that is there. gRPC itself would dial again,
// and ask again, when it breaks: there is no second one.
func (p *grpcProber) check(ctx context.Context, l *grpcLine, at string) (*health.HealthCheckResponse, error) {
	var tlsConfig *tls.Config
	if p.tls != nil {
		tlsConfig = p.tls.Clone()
		if tlsConfig.ServerName == "" {
			tlsConfig.ServerName, _, _ = net.SplitHostPort(at) // it was dialled
		}
	}
	dials := make(chan net.Conn, 1)
	dials <- l
	client, err := grpc.NewClient("passthrough:///"+at, // it is resolved
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case conn := <-dials:
				return conn, nil
			default:
				return nil, errors.New("a probe has one connection")
			}
		}),
		grpc.WithTransportCredentials(newHandshake(tlsConfig, l)),
		grpc.WithNoProxy(),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableHealthCheck(),
		grpc.WithIdleTimeout(0),
		grpc.WithUserAgent(userAgent()),
		grpc.WithMaxHeaderListSize(maxHead),
		grpc.WithStaticStreamWindowSize(maxHead),
		grpc.WithStaticConnWindowSize(maxHead),
		grpc.WithStatsHandler(l),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxHealth)),
	)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }() // it says only that it is closed
	return health.NewHealthClient(client).Check(
		metadata.NewOutgoingContext(ctx, p.metadata), &health.HealthCheckRequest{Service: p.module.GRPC.Service})
}

func (p *grpcProber) port() string {
	if p.module.GRPC.TLS {
		return portGRPCOverTLS
	}
	return portGRPC
}

// bareGRPC takes off what blackbox_exporter passes over in a target: whether
// there is TLS is in the module. Source: its prober/grpc.go, ProbeGRPC.
func bareGRPC(target string) string {
	for _, scheme := range []string{"http://", "https://"} {
		if rest, ok := strings.CutPrefix(target, scheme); ok {
			return strings.TrimSuffix(rest, "/")
		}
	}
	return target
}

func checkGRPC(target string) error {
	_, err := hostPort(bareGRPC(target), portGRPC)
	return err
}

// grpcFound is what blackbox_exporter shows of an answer.
type grpcFound struct {
	// code is Unavailable where there was no connection, as gRPC's own clients have it.
	code    codes.Code
	serving health.HealthCheckResponse_ServingStatus
}

func (f grpcFound) figures(r Result) []Figure {
	duration := Figure{
		Name: "probe_grpc_duration_seconds", Help: "How long each phase took; check is all after resolve.",
	}
	var resolve, check time.Duration
	for _, s := range r.Stages {
		if s.Name == StageResolve {
			resolve += s.Duration
		} else {
			check += s.Duration
		}
	}
	all := []Figure{
		duration.labelled(resolve.Seconds(), map[string]string{"phase": "resolve"}),
		duration.labelled(check.Seconds(), map[string]string{"phase": "check"}),
		flag("probe_grpc_ssl", "Whether there was a connection over TLS.", r.TLS != nil),
		{Name: "probe_grpc_status_code", Help: "Status code of gRPC; 14 without a connection, 4 when the time ran out.", Value: float64(f.code)},
	}
	serving := Figure{Name: "probe_grpc_healthcheck_response", Help: "1 for the status that the answer gives the service."}
	for _, code := range slices.Sorted(maps.Keys(health.HealthCheckResponse_ServingStatus_name)) {
		var is float64
		if f.code == codes.OK && int32(f.serving) == code {
			is = 1
		}
		all = append(all, serving.labelled(is, map[string]string{"serving_status": health.HealthCheckResponse_ServingStatus_name[code]}))
	}
	return all
}
