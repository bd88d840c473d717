// Package haproxy speaks HAProxy's Runtime API, the text protocol of its stats
// socket: one fresh connection for each batch, a deadline on every dial, write
// and read, and only whole answers. It neither logs nor counts; a caller that
// wants to is given each call by [Options.Trace].
package haproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// DefaultTimeout bounds one batch when Options.Timeout is zero.
const DefaultTimeout = 5 * time.Second

// maxAnswer bounds what one batch may answer: 50,000 servers are 17 MB.
const maxAnswer = 256 << 20

// Options say how to reach one HAProxy.
type Options struct {
	// Address is a socket's path, "unix@PATH", "ipv4@HOST:PORT", "ipv6@[HOST]:PORT" or "HOST:PORT";
	// or the URL of the statistics page as CSV, "http://HOST/stats;csv", which can only be read.
	Address string
	// Timeout bounds the dial, and then writing and reading of one batch together. Zero means DefaultTimeout.
	Timeout time.Duration
	// TLS wraps a TCP connection. HAProxy's own CLI has no TLS: something in front of it ends it.
	TLS *tls.Config
	// HTTP asks for a statistics page, with TLS and credentials as it has them. It
	// should follow no redirects. Nil means one without either.
	HTTP *http.Client
	// Trace is told of each batch when it has ended; it may be nil.
	Trace func(Call)
	// Dial replaces the net.Dialer, for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Call is one batch on one connection, for logs and counters.
type Call struct {
	Operation string        // what it was for: "read", "show stat", "set admin", ...
	Transport string        // unix, tcp4, tcp6, tcp, tls, http or https
	Command   string        // the exact bytes sent, without the newline; of HTTP method and path
	Write     bool          // it was meant to change something
	Start     time.Time     //
	Duration  time.Duration // from dial to the last byte
	Err       error         // nil when HAProxy did what was asked
}

// A Client talks to one HAProxy. It is safe for concurrent use and holds no connection.
type Client struct {
	network, address string
	transport        string
	timeout          time.Duration
	tls              *tls.Config
	web              *web // what there is instead of a socket; nil with one
	trace            func(Call)
	dial             func(ctx context.Context, network, address string) (net.Conn, error)
}

// New checks the options; it doesn't dial.
func New(o Options) (*Client, error) {
	network, address, err := ParseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.TLS != nil && network == "unix" {
		return nil, fmt.Errorf("address %q: TLS is for TCP addresses only", o.Address)
	}
	c := &Client{network: network, address: address, transport: network, timeout: o.Timeout, tls: o.TLS, trace: o.Trace, dial: o.Dial}
	if network == "http" || network == "https" {
		if o.TLS != nil {
			return nil, fmt.Errorf("address %q: TLS settings are those of the HTTP client", o.Address)
		}
		if c.web, err = newWeb(address, o.HTTP); err != nil {
			return nil, err
		}
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.tls != nil {
		c.transport = "tls"
	}
	if c.trace == nil {
		c.trace = func(Call) {}
	}
	if c.dial == nil {
		c.dial = (&net.Dialer{}).DialContext
	}
	return c, nil
}

// batch sends reading commands on one fresh connection and returns one answer
// for each, in order. An answer without its closing empty line is an error.
func (c *Client) batch(ctx context.Context, op string, commands ...string) (answers [][]byte, err error) {
	if c.web != nil {
		return nil, ErrReadOnly
	}
	call := Call{Operation: op, Transport: c.transport, Command: strings.Join(commands, ";"), Start: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	raw, err := c.exchange(ctx, call.Command)
	if err == nil {
		answers, err = split(raw, len(commands))
	}
	return answers, c.done(call, err)
}

// done tells the trace how a call ended and returns its error.
func (c *Client) done(call Call, err error) error {
	call.Duration, call.Err = time.Since(call.Start), err
	c.trace(call)
	return err
}

// exchange sends one line and reads until HAProxy closes.
func (c *Client) exchange(ctx context.Context, line string) ([]byte, error) {
	answer, err := c.open(ctx, line)
	if err != nil {
		return nil, err
	}
	defer answer.Close() // everything was read
	var buf bytes.Buffer
	_, err = buf.ReadFrom(answer)
	return buf.Bytes(), err
}

// open sends one line and returns what HAProxy answers, to be read until it
// closes, and then to be closed. ctx bounds the reading, too.
func (c *Client) open(ctx context.Context, line string) (*answer, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, &ConnectError{Address: c.address, Err: tidy(ctx, err)}
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, &ConnectError{Address: c.address, Err: errors.Join(err, conn.Close())}
	}
	a := &answer{ctx: ctx, conn: conn}
	a.interrupt = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a cancelled caller doesn't wait
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("write: %w", tidy(ctx, err)), a.Close())
	}
	return a, nil
}

// An answer is what comes back on one connection.
type answer struct {
	ctx       context.Context // of the whole batch
	conn      net.Conn
	interrupt func() bool // forgets the interruption by ctx
	n         int64
}

func (a *answer) Read(b []byte) (int, error) {
	n, err := a.conn.Read(b)
	a.n += int64(n)
	switch {
	case a.n > maxAnswer:
		return n, fmt.Errorf("answer is longer than %d bytes: %w", maxAnswer, ErrAnswer)
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	}
	return n, fmt.Errorf("read after %d bytes: %w", a.n, tidy(a.ctx, err))
}

func (a *answer) Close() error {
	a.interrupt()
	return a.conn.Close()
}

func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	conn, err := c.dial(ctx, c.network, c.address)
	if err != nil || c.tls == nil {
		return conn, err
	}
	t := tls.Client(conn, c.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("tls: %w", err), conn.Close())
	}
	return t, nil
}

// tidy makes every kind of running out of time ErrTimeout.
func tidy(ctx context.Context, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrTimeout
	}
	return err
}
