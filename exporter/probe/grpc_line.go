package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"google.golang.org/grpc/codes"
	grpccreds "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// A grpcLine is the connection of one probe as gRPC uses it. It remembers what
// went wrong: gRPC tells it as text, together with what the other side sent.
type grpcLine struct {
	net.Conn
	course *course
	ctx    context.Context // the probe's

	mu        sync.Mutex
	state     *tls.ConnectionState // nil without TLS
	handshake error
	broken    error // the connection's first error
	answered  bool  // the status is the server's
}

// watch tells the line of the connection's errors.
type watch struct {
	net.Conn
	line *grpcLine
}

func (w watch) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) { // closed: by us
		w.line.breaks(err)
	}
	return n, err
}

// Write passes over that the other side reads no more: gRPC would hang up at
// once, while why it is so may be about to be read, such as an alert of TLS. The
// connection ends with the probe all the same.
func (w watch) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	if err == nil || errors.Is(err, net.ErrClosed) {
		return n, err
	}
	if ours(err) {
		w.line.breaks(err)
		return n, err
	}
	return len(b), nil
}

func (l *grpcLine) breaks(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
	}
}

// A handshake begins TLS, or the conversation without it.
type handshake struct {
	grpccreds.TransportCredentials
	line *grpcLine
}

// newHandshake has no TLS when c is nil.
func newHandshake(c *tls.Config, l *grpcLine) handshake {
	if c == nil {
		return handshake{insecure.NewCredentials(), l}
	}
	return handshake{grpccreds.NewTLS(c), l}
}

// ClientHandshake is gRPC's.
func (h handshake) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, grpccreds.AuthInfo, error) {
	l := h.line
	if h.Info().SecurityProtocol == "tls" {
		l.course.begin(StageTLS)
	}
	conn, auth, err := h.TransportCredentials.ClientHandshake(ctx, authority, conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.handshake = err
		return nil, nil, err
	}
	if t, ok := auth.(grpccreds.TLSInfo); ok {
		l.state = &t.State
	}
	l.course.begin(StageProcessing)
	return watch{conn, l}, auth, nil
}

// Clone is gRPC's.
func (h handshake) Clone() grpccreds.TransportCredentials {
	return handshake{h.TransportCredentials.Clone(), h.line}
}

// TagRPC is gRPC's.
func (l *grpcLine) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC notes that the server itself ended the call.
func (l *grpcLine) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.InTrailer); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answered = true
	}
}

// TagConn is gRPC's.
func (l *grpcLine) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn is gRPC's.
func (l *grpcLine) HandleConn(context.Context, stats.ConnStats) {}

// noAnswer says why there is no answer to judge. It quotes nothing of what
// came, which may be our metadata thrown back.
func (l *grpcLine) noAnswer(err error) (Reason, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	code, stage := status.Code(err), l.course.stage()
	switch {
	case l.handshake != nil:
		return failure(l.ctx, StageTLS, l.handshake)
	case code == codes.DeadlineExceeded:
		// The server knows our deadline, and may be the first to notice it.
		return Timeout, "no end of " + stage + " within the timeout"
	case l.ctx.Err() != nil:
	case l.answered:
		return Status, fmt.Sprintf("the answer is status %s, want OK", code)
	case isAlert(l.broken):
		return failure(l.ctx, StageTLS, l.broken)
	case errors.Is(l.broken, io.EOF), errors.Is(l.broken, io.ErrUnexpectedEOF):
		return failure(l.ctx, stage, errClosed)
	case l.broken != nil:
		return failure(l.ctx, stage, l.broken)
	}
	return failure(l.ctx, stage, fmt.Errorf("what came is no answer of gRPC (%s)", code))
}
