package probe_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/test/loopback"
)

// serveGRPC starts a server with what register gives it.
func serveGRPC(t testing.TB, register func(*grpc.Server), options ...grpc.ServerOption) string {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	serveGRPCOn(t, ln, register, options...)
	return ln.Addr().String()
}

func serveGRPCOn(t testing.TB, ln net.Listener, register func(*grpc.Server), options ...grpc.ServerOption) {
	t.Helper()
	s := grpc.NewServer(options...)
	if register != nil {
		register(s)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// standard is the health service that comes with gRPC.
func standard(s *grpc.Server) {
	h := grpchealth.NewServer()
	h.SetServingStatus("web", health.HealthCheckResponse_SERVING)
	h.SetServingStatus("ill", health.HealthCheckResponse_NOT_SERVING)
	h.SetServingStatus("new", health.HealthCheckResponse_UNKNOWN)
	health.RegisterHealthServer(s, h)
}

// own is a health service that says what it is told to.
type own struct {
	health.UnimplementedHealthServer
	check func(context.Context, *health.HealthCheckRequest) (*health.HealthCheckResponse, error)
}

func (o own) Check(ctx context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	return o.check(ctx, r)
}

func ownHealth(check func(context.Context, *health.HealthCheckRequest) (*health.HealthCheckResponse, error)) func(*grpc.Server) {
	return func(s *grpc.Server) { health.RegisterHealthServer(s, own{check: check}) }
}

func TestServicesAreAskedForTheirHealth(t *testing.T) {
	at := serveGRPC(t, standard)
	none := serveGRPC(t, nil)
	odd := serveGRPC(t, ownHealth(func(_ context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
		switch r.GetService() {
		case "broken":
			return nil, status.Error(codes.Internal, "canary\nsecond line")
		case "new":
			return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVICE_UNKNOWN}, nil
		case "newer":
			return &health.HealthCheckResponse{Status: 17}, nil
		case "slow":
			return nil, status.Error(codes.DeadlineExceeded, "its own backend was too slow")
		}
		return new(health.HealthCheckResponse), nil
	}))
	for _, c := range []struct {
		name, service, target string
		want                  probe.Reason
		detail                string
		code                  codes.Code
		serving               string
	}{
		{"the server serves", "''", at, "", "", codes.OK, "SERVING"},
		{"a service serves", "web", at, "", "", codes.OK, "SERVING"},
		{"a target in the manner of URLs", "web", "http://" + at + "/", "", "", codes.OK, "SERVING"},
		{"a service doesn't serve", "ill", at, probe.Status, "the service is NOT_SERVING, want SERVING", codes.OK, "NOT_SERVING"},
		{"nobody knows yet", "new", at, probe.Status, "the service is UNKNOWN", codes.OK, "UNKNOWN"},
		{"an unknown service", "nowhere", at, probe.Status, "the answer is status NotFound, want OK", codes.NotFound, ""},
		{"an unknown service, said in the answer", "new", odd, probe.Status, "the service is SERVICE_UNKNOWN", codes.OK, "SERVICE_UNKNOWN"},
		{"a status of the future", "newer", odd, probe.Status, "the service is 17", codes.OK, ""},
		{"no service for health", "web", none, probe.Status, "the answer is status Unimplemented", codes.Unimplemented, ""},
		{"an error", "broken", odd, probe.Status, "the answer is status Internal, want OK", codes.Internal, ""},
		{"a deadline behind the server", "slow", odd, probe.Timeout, "processing", codes.DeadlineExceeded, ""},
		{"an empty answer", "none", odd, probe.Status, "the service is UNKNOWN", codes.OK, "UNKNOWN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: grpc, grpc: {service: "+c.service+"}}", c.target)
			wantReason(t, r, c.want)
			if !strings.Contains(r.Detail, c.detail) || strings.Contains(r.Detail, "canary") {
				t.Errorf("%s; want %q in it", r.Detail, c.detail)
			}
			want := map[string]float64{"probe_grpc_status_code": float64(c.code), "probe_grpc_ssl": 0}
			for _, name := range []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"} {
				want[fmt.Sprintf("probe_grpc_healthcheck_response{serving_status=%q}", name)] = 0
			}
			if c.serving != "" {
				want[fmt.Sprintf("probe_grpc_healthcheck_response{serving_status=%q}", c.serving)] = 1
			}
			wantFigures(t, r, want)
			if r.IP != "127.0.0.1" || r.TLS != nil || figuresOf(r)[`probe_grpc_duration_seconds{phase="check"}`] <= 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestHealthOverTLS(t *testing.T) {
	https := webTLS(t, http.NotFound, nil) // for its certificate
	ca := authority(t, https)
	secure := func(with func(*tls.Config)) string {
		c := &tls.Config{Certificates: https.TLS.Certificates}
		with(c)
		return serveGRPC(t, standard, grpc.Creds(credentials.NewTLS(c)))
	}
	at := secure(func(*tls.Config) {})
	plain := serveGRPC(t, standard)
	strict := secure(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	known := "tls: true, tls_config: {ca_file: " + ca + "}"
	for _, c := range []struct {
		name, how, target string
		want              probe.Reason
	}{
		{"the right authority", known, at, ""},
		{"an unknown authority", "tls: true", at, probe.TLS},
		{"another name", "tls: true, tls_config: {server_name: elsewhere.invalid, ca_file: " + ca + "}", at, probe.TLS},
		{"no TLS where it is wanted", known, plain, probe.TLS},
		{"a certificate is wanted of us", known, strict, probe.TLS},
		{"HTTP over TLS, not gRPC", known, strings.TrimPrefix(https.URL, "https://"), probe.Status},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: grpc, timeout: 2s, grpc: {"+c.how+"}}", c.target)
			wantReason(t, r, c.want)
			if c.want == "" {
				wantFigures(t, r, map[string]float64{"probe_grpc_ssl": 1})
				if r.TLS == nil || r.TLS.EarliestExpiry.IsZero() || r.TLS.ChainExpiry.IsZero() {
					t.Errorf("%+v", r.TLS)
				}
			}
		})
	}
	// A server that speaks TLS only closes what doesn't.
	wantReason(t, ask(t, "{prober: grpc, timeout: 2s}", at), probe.Status)
}

func TestWhatIsNoAnswerOfGRPC(t *testing.T) {
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) string {
		return raw(t, func(c net.Conn) {
			_, _ = io.WriteString(c, s)
			_, _ = io.Copy(io.Discard, c)
		})
	}
	hang := text("")
	asleep := serveGRPC(t, ownHealth(func(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	long := serveGRPC(t, func(s *grpc.Server) {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "grpc.health.v1.Health", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
			MethodName: "Check",
			Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				if err := dec(new(health.HealthCheckRequest)); err != nil {
					return nil, err
				}
				return &health.HealthCheckRequest{Service: strings.Repeat("x", 1<<20)}, nil
			},
		}}}, nil)
	})
	for _, c := range []struct {
		name, target string
		want         probe.Reason
		detail       string
		code         codes.Code
		last         string // the stage that was begun last
	}{
		{"nobody listens", nobody, probe.Connect, "refused", codes.Unavailable, probe.StageConnect},
		{"a name without an address", "nothing.invalid:443", probe.DNS, "resolve", codes.Unavailable, probe.StageResolve},
		{"it never says anything", hang, probe.Timeout, "no end of processing", codes.DeadlineExceeded, probe.StageProcessing},
		{"it never answers", asleep, probe.Timeout, "no end of processing", codes.DeadlineExceeded, probe.StageProcessing},
		{"it hangs up", raw(t, func(net.Conn) {}), probe.Status, "processing: ", codes.Unavailable, probe.StageProcessing},
		{"HTTP/1.1", text("HTTP/1.1 400 Bad Request\r\nX: canary\r\n\r\n"), probe.Status, "no answer of gRPC", codes.Unavailable, probe.StageProcessing},
		{"garbage", text(strings.Repeat("canary", 100)), probe.Status, "no answer of gRPC", codes.Unavailable, probe.StageProcessing},
		{"zeros without end", raw(t, func(c net.Conn) { flood(c, "", "\x00") }), probe.Status, "", codes.Unavailable, probe.StageProcessing},
		{"it goes away", text("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x0e\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0bcanary"), probe.Status, "", codes.Unavailable, probe.StageProcessing},
		{"an answer without end", long, probe.Status, "no answer of gRPC (ResourceExhausted)", codes.ResourceExhausted, probe.StageProcessing},
		{"a target that is none", "user:canary@" + nobody, probe.Unmade, "HOST", codes.Unavailable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: grpc, timeout: "+timeFor(c.want)+"}", c.target)
			wantReason(t, r, c.want)
			var last string
			if len(r.Stages) > 0 {
				last = r.Stages[len(r.Stages)-1].Name
			}
			if !strings.Contains(r.Detail, c.detail) || r.Detail == "" || strings.Contains(r.Detail, "canary") || last != c.last {
				t.Errorf("%s, in %q; want %q in %q", r.Detail, last, c.detail, c.last)
			}
			wantFigures(t, r, map[string]float64{"probe_grpc_status_code": float64(c.code)})
		})
	}
	t.Run("it hangs in the handshake", func(t *testing.T) {
		r := ask(t, "{prober: grpc, timeout: 1s, grpc: {tls: true}}", hang)
		wantReason(t, r, probe.Timeout)
		if !strings.Contains(r.Detail, "no end of tls") {
			t.Error(r.Detail)
		}
	})
	t.Run("it was interrupted", func(t *testing.T) {
		p, err := probe.New(module(t, "{prober: grpc, timeout: 1m}"))
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{hang, asleep} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			r := p.Probe(ctx, target)
			wantReason(t, r, probe.Unmade)
			if r.Answer() != edge.Unknown {
				t.Errorf("I6: its answer is %s", r.Answer())
			}
			wantReason(t, p.Probe(ctx, target), probe.Unmade) // no time was left
		}
	})
}

// Metadata reaches the server, and nothing of it the result.
func TestMetadataIsSentAndNotShown(t *testing.T) {
	seen := make(chan metadata.MD, 1)
	at := serveGRPC(t, ownHealth(func(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md
		return nil, status.Errorf(codes.PermissionDenied, "no: %v", md)
	}))
	const text = "{prober: grpc, grpc: {metadata: {Authorization: [Bearer canary], two: [a, b], raw-bin: [\"a\\nb\"]}}}"
	if shown, err := yaml.Marshal(module(t, text)); err != nil || strings.Contains(string(shown), "canary") {
		t.Errorf("%s, %v", shown, err)
	}
	r := ask(t, text, at)
	wantReason(t, r, probe.Status)
	if strings.Contains(fmt.Sprintf("%+v %s", r, r.Body), "canary") {
		t.Errorf("%+v", r)
	}
	md := <-seen
	for key, want := range map[string]string{"authorization": "[Bearer canary]", "two": "[a b]", "raw-bin": "[a\nb]"} {
		if got := fmt.Sprint(md.Get(key)); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if agent := fmt.Sprint(md.Get("user-agent")); !strings.HasPrefix(agent, "[Sluice/") {
		t.Error(agent)
	}
}

// counting counts the connections of a listener.
type counting struct {
	net.Listener
	begun, open *atomic.Int64
}

type counted struct {
	net.Conn
	open *atomic.Int64
	done atomic.Bool
}

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.begun.Add(1)
	l.open.Add(1)
	return &counted{Conn: conn, open: l.open}, nil
}

func (c *counted) Close() error {
	if !c.done.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

func TestAProbeOfDNSOrGRPCIsOneConnectionAndLeavesNoneOpen(t *testing.T) {
	var begun, open atomic.Int64
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	healthy := counting{ln, &begun, &open}
	serveGRPCOn(t, healthy, standard)
	by := func(serve func(net.Conn)) string {
		return raw(t, func(c net.Conn) {
			begun.Add(1)
			open.Add(1)
			defer open.Add(-1)
			serve(c)
		})
	}
	hang := by(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	// It takes the call and breaks off: gRPC would ask again over another connection.
	breaks := by(func(c net.Conn) {
		_, _ = c.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
		_, _ = c.Read(make([]byte, 1<<10))
	})
	// It says that it took no call, which gRPC takes for leave to ask again.
	away := by(func(c net.Conn) {
		_, _ = c.Write([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
		_, _ = io.Copy(io.Discard, c)
	})
	for _, c := range []struct{ name, module, target string }{
		{"grpc", "{prober: grpc}", healthy.Addr().String()},
		{"grpc, no handshake", "{prober: grpc, timeout: 1s, grpc: {tls: true}}", hang},
		{"grpc, no answer", "{prober: grpc, timeout: 1s}", hang},
		{"grpc, it breaks off", "{prober: grpc, timeout: 2s}", breaks},
		{"grpc, it goes away", "{prober: grpc, timeout: 2s}", away},
		{"grpc, TLS with one that has none", "{prober: grpc, timeout: 2s, grpc: {tls: true}}", healthy.Addr().String()},
		{"dns", "{prober: dns, timeout: 1s, dns: {query_name: example.com, transport_protocol: tcp}}", hang},
		{"dns over TLS", "{prober: dns, timeout: 1s, dns: {query_name: example.com, transport_protocol: tcp, dns_over_tls: true}}", hang},
	} {
		t.Run(c.name, func(t *testing.T) {
			leavesNothing(t, c.module, c.target, &begun, &open)
		})
	}
}

// Whatever comes in place of an answer, the result is whole and quotes nothing.
func FuzzAnswersOfGRPC(f *testing.F) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	f.Add([]byte(settings))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	// HEADERS with ":status: 200" (RFC 7541, appendix A, index 8), which ends the stream.
	f.Add([]byte(settings + "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"))
	f.Add([]byte(settings + "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"))
	answer := make(chan []byte, 1)
	at := raw(f, func(c net.Conn) { _, _ = c.Write(<-answer) })
	p, err := probe.New(module(f, "{prober: grpc, timeout: 1s, grpc: {metadata: {key: [canary]}}}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		answer <- in
		r := p.Probe(t.Context(), at)
		if r.Up != (r.Reason == "") || r.Up != (r.Detail == "") || strings.ContainsAny(r.Detail, "\r\n\x00") || len(r.Detail) > 400 || strings.Contains(r.Detail, "canary") {
			t.Errorf("%+v", r)
		}
	})
}
