package probe

import (
	"bufio"
	"bytes"
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
	p.dialer.source = net.ParseIP(m.TCP.SourceIP)
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
	c := newCourse(ctx)
	r.Start = time.Now()
	defer func() {
		r.Stages, r.IP, r.Duration = c.done(), c.address(), time.Since(r.Start)
		r.Up = r.Reason == ""
	}()
	if err := checkHostPort(target); err != nil {
		r.Reason, r.Detail = Unmade, err.Error()
		return r
	}
	if ctx.Err() != nil {
		r.Reason, r.Detail = Unmade, "no time was left for it"
		return r
	}
	conn, err := p.dialer.dial(context.WithValue(ctx, courseKey{}, c), "tcp", target)
	if err != nil {
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
		return r
	}
	t := &talk{course: c, conn: conn, result: &r}
	defer func() { _ = t.conn.Close() }() // the answer is in
	if p.module.TCP.TLS {
		err = t.secure(ctx, p.config(target))
	}
	for i, q := range p.module.TCP.QueryResponse {
		if err == nil {
			err = t.turn(ctx, q, p.expect[i], p.config(target))
		}
	}
	var said *unexpectedError
	switch {
	case errors.As(err, &said):
		r.Reason, r.Detail = Body, said.Error()
	case err != nil:
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
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
	limit  *io.LimitedReader // under in
	result *Result
}

// Bounds on what a turn reads, in bytes: a longer line is read as several, and
// more is not waited for.
const (
	maxLine = 64 << 10
	maxTurn = 1 << 20
)

type unexpectedError struct{ re *regexp.Regexp }

func (e *unexpectedError) Error() string {
	return fmt.Sprintf("no line matches %q before the end", e.re)
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
	send := q.Send
	if expect != nil {
		line, match, err := t.await(expect)
		if err != nil {
			return err
		}
		send = string(expect.ExpandString(nil, send, line, match))
	}
	if send != "" {
		if _, err := io.WriteString(t.conn, send+"\n"); err != nil {
			return err
		}
	}
	if q.StartTLS {
		return t.secure(ctx, c)
	}
	return nil
}

// await reads until a line matches and returns it without its end.
func (t *talk) await(re *regexp.Regexp) (line string, match []int, err error) {
	if t.in == nil {
		t.limit = &io.LimitedReader{R: t.conn}
		t.in = bufio.NewReaderSize(t.limit, maxLine)
	}
	t.limit.N = maxTurn
	for {
		raw, err := t.in.ReadSlice('\n')
		if keep := bodyKept - len(t.result.Body); keep > 0 {
			t.result.Body = append(t.result.Body, raw[:min(len(raw), keep)]...)
		}
		line := string(bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r")))
		if match := re.FindStringSubmatchIndex(line); match != nil && len(raw) > 0 {
			return line, match, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", nil, &unexpectedError{re}
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return "", nil, err
		}
	}
}
