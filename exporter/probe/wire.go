package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A wire speaks HTTP/1.1 for one probe at a time, in the goroutine of the probe:
// one write, as few reads as it takes, and no buffer that isn't used again. For
// a new connection each time net/http costs twice as much, most of it in two
// goroutines for each connection.
type wire struct {
	dialer dialer
	tls    *tls.Config // with the protocols that are offered
	kept   *kept       // nil: a connection for each request
	others http.RoundTripper
}

// A transport speaks HTTP/1.1 by wire, and leaves to net/http what the wire doesn't
// speak: HTTP/2, proxies, names beyond ASCII, large requests.
type transport struct {
	wire   *wire // nil: never
	others *traced
}

// RoundTrip makes one request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if at, ok := r.Context().Value(courseKey{}).(*course); ok {
		at.shows(r.Header)
	}
	if t.wire == nil || !speakable(r) {
		return t.others.RoundTrip(r)
	}
	if err := allowedURL(r.Context(), r.URL, nil); err != nil {
		return nil, err
	}
	return t.wire.RoundTrip(r)
}

// A traced tells the course of a probe how far net/http is.
type traced struct{ *http.Transport }

// RoundTrip makes one request.
func (t *traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if at, ok := r.Context().Value(courseKey{}).(*course); ok {
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			TLSHandshakeStart:    func() { at.begin(StageTLS) },
			GotConn:              func(httptrace.GotConnInfo) { at.begin(StageProcessing) },
			GotFirstResponseByte: func() { at.begin(StageTransfer) },
		}))
	}
	// Each request has a transport to itself. In one that is shared, HTTP/2's takes a
	// connection for the request of another probe that asks the same address just
	// now, and that connection ends with the probe that made it.
	return t.Transport.Clone().RoundTrip(r)
}

// CloseIdleConnections is called when a file of the TLS configuration was renewed.
func (t *transport) CloseIdleConnections() {
	if t.wire != nil {
		t.wire.kept.drop()
	}
	t.others.CloseIdleConnections()
}

// maxSent bounds a request that goes by wire, in bytes of its body: such a one
// fits into a socket's buffer, so that writing it doesn't wait for a server that
// answers without reading.
const maxSent = 16 << 10

func speakable(r *http.Request) bool {
	return r.Method != http.MethodConnect && r.ContentLength >= 0 && r.ContentLength <= maxSent &&
		(r.ContentLength > 0 || r.Body == nil || r.Body == http.NoBody) &&
		plainHost(r.URL.Host) && plainHost(r.Host)
}

// plainHost finds the hosts that stand in a request as they are written: without
// a zone, and in ASCII.
func plainHost(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c != '.' && c != '-' && c != ':' && c != '[' && c != ']' && c != '_':
			return false
		}
	}
	return true
}

// An exchange is one request and its answer. It is used again and again for the
// sake of its buffers; what outlives it is a [line].
type exchange struct {
	out   []byte // the request
	in    []byte // of what was read, in[r:w] is not used yet
	r, w  int
	conn  net.Conn
	heard bool // a byte of an answer came
}

var exchanges = sync.Pool{New: func() any { return &exchange{in: make([]byte, usualHead)} }}

// release gives the buffers back, unless an answer made them large.
func (x *exchange) release() {
	if cap(x.in) > 16*usualHead || cap(x.out) > 2*maxSent {
		return
	}
	x.r, x.w, x.conn, x.heard = 0, 0, nil, false
	exchanges.Put(x)
}

// A line is a connection to a target.
type line struct {
	conn  net.Conn // what is spoken on
	tcp   net.Conn // below TLS, if there is any
	tls   *tls.ConnectionState
	ip    string
	until *time.Timer // while it is kept
}

func (l *line) close() { _ = l.tcp.Close() } // the answer is in, or there is none; TLS would only say goodbye

// RoundTrip makes one request.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	c, ok := ctx.Value(courseKey{}).(*course)
	if !ok {
		return nil, errors.New("request outside of a probe")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keep := w.kept != nil && repeatable(req)
	x := exchanges.Get().(*exchange)
	var err error
	if x.out, err = appendRequest(x.out[:0], req, keep); err != nil {
		x.release()
		return nil, err
	}
	to := place{w, req.URL.Scheme, address(req.URL)}
	res, err := w.again(ctx, c, x, req, to, keep)
	if res == nil && err == nil {
		res, err = w.anew(ctx, c, x, req, to, keep)
	}
	if err != nil {
		x.release()
	} else if _, ok := res.Body.(*answerBody); !ok {
		x.release() // net/http has no use for it
	}
	return res, err
}

// again asks on a kept connection. It returns nothing at all where there is none,
// or none any more: that its other end closed it says nothing of the target.
func (w *wire) again(ctx context.Context, c *course, x *exchange, req *http.Request, to place, keep bool) (*http.Response, error) {
	if !keep {
		return nil, nil
	}
	l := w.kept.take(to)
	if l == nil {
		return nil, nil
	}
	if err := allowed(ctx, "tcp", req.URL.Hostname(), l.tcp.RemoteAddr().String()); err != nil {
		w.kept.put(to, l) // another prober may use it
		return nil, err
	}
	c.at(l.ip)
	res, err := w.ask(ctx, c, x, l, req, to, keep)
	if err != nil && !x.heard && isGone(err) {
		c.begin("")
		return nil, nil
	}
	return res, err
}

// anew asks on a new connection.
func (w *wire) anew(ctx context.Context, c *course, x *exchange, req *http.Request, to place, keep bool) (*http.Response, error) {
	l, err := w.dial(ctx, c, to, req.URL.Hostname())
	if err != nil {
		return nil, err
	}
	if l.tls != nil && l.tls.NegotiatedProtocol == "h2" {
		context.AfterFunc(c.ctx, l.close) // net/http might not get as far as to use it
		first := new(atomic.Pointer[line])
		first.Store(l)
		r := req.WithContext(context.WithValue(ctx, lineKey{}, first))
		if req.Body != nil { // it was read
			r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(x.out[len(x.out)-int(req.ContentLength):])))
		}
		return w.others.RoundTrip(r)
	}
	return w.ask(ctx, c, x, l, req, to, keep)
}

// isGone finds the errors of a connection that the other end closed.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// dial connects and shakes hands.
func (w *wire) dial(ctx context.Context, c *course, to place, host string) (*line, error) {
	tcp, err := w.dialer.connect(ctx, c, "tcp", to.address)
	if err != nil {
		return nil, err
	}
	l := &line{conn: tcp, tcp: tcp, ip: c.address()}
	if to.scheme != "https" {
		return l, nil
	}
	c.begin(StageTLS)
	conn, err := w.secure(ctx, tcp, host)
	if err != nil {
		return nil, err
	}
	state := conn.ConnectionState()
	l.conn, l.tls = conn, &state
	return l, nil
}

// secure shakes hands; conn is closed where that fails.
func (w *wire) secure(ctx context.Context, conn net.Conn, host string) (*tls.Conn, error) {
	config := w.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // that it failed is said
		return nil, err
	}
	return secure, nil
}

// lineKey carries a connection on which HTTP/2 was agreed on to net/http's first
// dial. Where that ends before the answer, net/http dials again.
type lineKey struct{}

// dialTLS is how net/http comes to connections with TLS.
func (w *wire) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	if first, ok := ctx.Value(lineKey{}).(*atomic.Pointer[line]); ok {
		if l := first.Swap(nil); l != nil {
			return l.conn, nil
		}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := w.dialer.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if c, ok := ctx.Value(courseKey{}).(*course); ok {
		c.begin(StageTLS)
	}
	secure, err := w.secure(ctx, conn, host)
	if err != nil {
		return nil, err
	}
	return secure, nil
}

// aLongTimeAgo is a deadline that ends what is under way.
var aLongTimeAgo = time.Unix(1, 0)

// ask sends x's request on l and returns the answer, whose body owns both from
// then on. After an error l is closed, and x is the caller's.
func (w *wire) ask(ctx context.Context, c *course, x *exchange, l *line, req *http.Request, to place, keep bool) (*http.Response, error) {
	c.begin(StageProcessing)
	if end, ok := ctx.Deadline(); ok {
		if err := l.tcp.SetDeadline(end); err != nil {
			l.close()
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = l.tcp.SetDeadline(aLongTimeAgo) }) // closed already, or it ends now
	x.conn, x.r, x.w = l.conn, 0, 0
	_, sent := l.conn.Write(x.out)
	res, err := x.answer(c, req)
	if err != nil {
		stop()
		l.close()
		if sent != nil && !x.heard {
			err = sent // a server may answer before it has read all, and close
		}
		return nil, err
	}
	res.TLS = l.tls
	b := res.Body.(*answerBody)
	b.line, b.stop = l, stop
	if keep && sent == nil && !res.Close && res.StatusCode != http.StatusSwitchingProtocols {
		b.keep = to
	}
	return res, nil
}

// repeatable says that a request may be made twice, as RFC 9110 has it (section
// 9.2.2): it may go out on a connection that the other end is about to close.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return len(r.Header["Connection"]) == 0 && len(r.Header["Upgrade"]) == 0
	}
	return false
}

// address is what to dial for u.
func address(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	switch {
	case port != "" && len(host)+1+len(port) == len(u.Host):
		return u.Host // as it is written
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return net.JoinHostPort(host, port)
}

// appendRequest writes a request with its body. The names and values that net/http
// refuses are refused.
func appendRequest(b []byte, r *http.Request, keep bool) ([]byte, error) {
	method, host := r.Method, r.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = r.URL.Host
	}
	b = append(append(b, method...), ' ')
	path := r.URL.RequestURI()
	if strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return b, errors.New("control character in the address")
	}
	b = append(append(b, path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, host...), "\r\n"...)
	names := make([]string, 0, 8)
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	said := false // how long the connection lives
	for _, name := range names {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue // ours to say
		}
		if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c > 0x7f || !isToken[c] }) {
			return b, fmt.Errorf("invalid header field name %q", name)
		}
		for _, value := range r.Header[name] {
			if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return b, fmt.Errorf("invalid header field value for %q", name)
			}
			b = append(append(b, name...), ": "...)
			b = append(append(b, textproto.TrimString(value)...), "\r\n"...)
		}
		said = said || name == "Connection" && (hasToken(r.Header[name], "close") || hasToken(r.Header[name], "upgrade"))
	}
	if r.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, r.ContentLength, 10), "\r\n"...)
	}
	if !keep && !said {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	if r.Body == nil {
		return b, nil
	}
	head := len(b)
	b = slices.Grow(b, int(r.ContentLength))[:head+int(r.ContentLength)]
	_, err := io.ReadFull(r.Body, b[head:])
	return b, errors.Join(err, r.Body.Close())
}
