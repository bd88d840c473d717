package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"

	promconfig "github.com/prometheus/common/config"
)

// A tcpProber connects and, where it is told to, has a short conversation.
type tcpProber struct {
	module Module
	dialer dialer
	tls    *tls.Config
	expect []*regexp.Regexp // nil where a turn expects nothing
}

func newTCP(m Module) (Prober, error) {
	p := &tcpProber{module: m, dialer: newDialer(m.TCP.PreferredIP, m.TCP.IPFallback)}
	var err error
	if p.tls, err = promconfig.NewTLSConfig(&m.TCP.TLSConfig); err != nil {
		return nil, fmt.Errorf("tls_config: %w", err)
	}
	for _, q := range m.TCP.QueryResponse {
		var re *regexp.Regexp
		if q.Expect != "" {
			re = regexp.MustCompile(q.Expect) // Validate compiled it
		}
		p.expect = append(p.expect, re)
	}
	return p, nil
}

// Probe connects once. See [Prober].
func (p *tcpProber) Probe(ctx context.Context, target string) (r Result) {
	ctx, cancel := context.WithTimeout(ctx, p.module.timeout())
	defer cancel()
	c := new(course)
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
	}()
	if err := checkHostPort(target); err != nil {
		r.Reason, r.Detail = Connect, err.Error()
		return r
	}
	conn, err := p.dialer.dial(context.WithValue(ctx, courseKey{}, c), "tcp", target)
	if err != nil {
		r.Reason, r.Detail = reasonFor(ctx, c.stage(), err)
		return r
	}
	defer func() { _ = conn.Close() }() // the answer is in
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	t := &talk{course: c, conn: conn, result: &r}
	if p.module.TCP.TLS {
		err = t.secure(ctx, p.config(target))
	}
	for i, q := range p.module.TCP.QueryResponse {
		if err == nil {
			err = t.turn(ctx, q, p.expect[i], p.config(target))
		}
	}
	conn = t.conn
	var said *unexpectedError
	switch {
	case errors.As(err, &said):
		r.Reason, r.Detail = Body, said.Error()
	case err != nil:
		r.Reason, r.Detail = reasonFor(ctx, c.stage(), err)
	}
	return r
}

// config is the TLS configuration for a target: the certificate must carry the
// target's host where the configuration names nothing else.
func (p *tcpProber) config(target string) *tls.Config {
	t := p.tls.Clone()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(target) // it was dialled
	}
	return t
}

// A talk is one conversation.
type talk struct {
	course *course
	conn   net.Conn
	in     *bufio.Reader
	result *Result
}

// maxLine bounds a line that a turn reads, in bytes.
const maxLine = 64 << 10

type unexpectedError struct{ re *regexp.Regexp }

func (e *unexpectedError) Error() string {
	return fmt.Sprintf("no line matches %q before the connection ends", e.re)
}

func (t *talk) secure(ctx context.Context, c *tls.Config) error {
	t.course.begin(StageTLS)
	conn := tls.Client(t.conn, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	state := conn.ConnectionState()
	t.conn, t.in, t.result.TLS = conn, nil, tlsResult(&state)
	return nil
}

func (t *talk) turn(ctx context.Context, q QueryResponse, expect *regexp.Regexp, c *tls.Config) error {
	t.course.begin(StageProcessing)
	if expect != nil {
		if err := t.await(expect); err != nil {
			return err
		}
	}
	if q.Send != "" {
		if _, err := io.WriteString(t.conn, q.Send+"\n"); err != nil {
			return err
		}
	}
	if q.StartTLS {
		return t.secure(ctx, c)
	}
	return nil
}

func (t *talk) await(re *regexp.Regexp) error {
	if t.in == nil {
		t.in = bufio.NewReaderSize(io.LimitReader(t.conn, 1<<20), maxLine)
	}
	for {
		line, err := t.in.ReadSlice('\n')
		if keep := bodyKept - len(t.result.Body); keep > 0 {
			t.result.Body = append(t.result.Body, line[:min(len(line), keep)]...)
		}
		if re.Match(line) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return &unexpectedError{re}
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
