package haproxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrReadOnly says that the statistics are read over HTTP, where no command is
// taken, nor any question but "show stat".
var ErrReadOnly = errors.New("read over HTTP: commands need the stats socket as address")

// readOnly is what a snapshot says of it, after the device's name.
const readOnly = " is read over HTTP: give the remediator its stats socket as address"

// A web is the statistics page of one HAProxy as CSV.
type web struct {
	url  *url.URL
	http *http.Client
}

func newWeb(address string, c *http.Client) (*web, error) {
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &web{u, c}, nil
}

// A StatusError is an answer of the page other than 200.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	s := fmt.Sprintf("HTTP status %d", e.Code)
	switch {
	case e.Code == http.StatusUnauthorized:
		return s + ": give user and password of the page under basic_auth, or check them"
	case e.Code == http.StatusForbidden:
		return s + ": the page refuses this user or the address that asks"
	case e.Code == http.StatusNotFound, e.Code == http.StatusServiceUnavailable: // 503 where the frontend has no server, seen on 2.6
		return s + ": check the path of the address: what HAProxy has under \"stats uri\", and ;csv"
	case e.Code/100 == 3:
		return s + ": redirects aren't followed: give the address of the page itself"
	}
	return s
}

// A cutError is half an answer, and as such [ErrTruncated].
type cutError struct{ why string }

func (e *cutError) Error() string        { return "answer breaks off: " + e.why }
func (e *cutError) Is(target error) bool { return target == ErrTruncated }

// openWeb asks for the CSV. What it returns reads like the answer to "show stat",
// with the closing empty line that HTTP leaves out; a read error stands for an
// answer that isn't whole. ctx bounds the reading, too.
//
// Every answer has a connection of its own: a kept one would stay with the old
// process after a reload, whose figures stand still.
func (c *Client) openWeb(ctx context.Context) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.web.url.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Close = true
	resp, err := c.web.http.Do(r) //nolint:bodyclose // webBody.Close does it
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // the rest says the address a second time
		}
		return nil, &ConnectError{Address: c.address, Err: tidy(ctx, err)}
	}
	b := &webBody{ctx: ctx, from: bufio.NewReader(resp.Body), Closer: resp.Body}
	if err := b.check(resp); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// A webBody is an answer under way.
type webBody struct {
	io.Closer
	ctx    context.Context // of the request; the body's life is inside it
	from   *bufio.Reader
	read   int64
	quotes int
	last   byte
	whole  bool  // all came; the closing empty line is next
	err    error // of the next Read
}

// check looks at the head of an answer and at its first bytes.
func (b *webBody) check(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &StatusError{resp.StatusCode}
	}
	// Framed by nothing but the end of its connection, half of it would pass for
	// the whole. HAProxy sends chunks, to HTTP/1.0 and "Connection: close" as well (seen on 2.6).
	if resp.ProtoMajor < 2 && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed {
		return fmt.Errorf("it has neither Content-Length nor chunks, so half of it can't be told from the whole: %w", ErrAnswer)
	}
	start, err := b.from.Peek(len("# "))
	switch {
	case string(start) == "# ":
		return nil
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"), bytes.HasPrefix(start, []byte("<")):
		return fmt.Errorf("it is a page, not CSV: put ;csv behind the path of the address: %w", ErrAnswer)
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read after 0 bytes: %w", b.broken(err))
	case len(start) == 0:
		return fmt.Errorf("it is empty: %w", ErrAnswer)
	}
	return fmt.Errorf("it isn't the CSV of HAProxy's statistics: check the path of the address, and ;csv behind it: %w", ErrAnswer)
}

// Read is io.Reader's. Bytes and errors never come together, so that no reader
// takes the one and overlooks the other.
func (b *webBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.whole && len(p) > 0 {
		p[0], b.err = '\n', io.EOF
		return 1, nil
	}
	n, err := b.from.Read(p)
	if b.read += int64(n); n > 0 {
		b.quotes += bytes.Count(p[:n], []byte{'"'})
		b.last = p[n-1]
	}
	switch {
	case b.read > maxAnswer:
		b.err = fmt.Errorf("answer is longer than %d bytes: %w", maxAnswer, ErrAnswer)
	case errors.Is(err, io.EOF) && (b.last != '\n' || b.quotes%2 != 0):
		b.err = &cutError{"the last row isn't whole"}
	case errors.Is(err, io.EOF):
		b.whole = true
	case err != nil:
		b.err = fmt.Errorf("read after %d bytes: %w", b.read, b.broken(err))
	}
	switch {
	case n > 0:
		return n, nil
	case b.whole:
		return b.Read(p)
	}
	return 0, b.err
}

func (b *webBody) broken(err error) error {
	if err = tidy(b.ctx, err); errors.Is(err, io.ErrUnexpectedEOF) {
		return &cutError{"the connection ended first"}
	}
	return err
}

// readWeb makes a reading from the CSV alone. There is no process in it, and its
// servers are what the rows tell.
func (c *Client) readWeb(ctx context.Context, op string) (r Reading, err error) {
	call := Call{Operation: op, Transport: c.transport, Command: "GET " + c.web.url.Path, Start: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var raw bytes.Buffer
	body, err := c.openWeb(ctx)
	if err == nil {
		_, err = raw.ReadFrom(body)
		err = errors.Join(err, body.Close())
	}
	if err := c.done(call, err); err != nil {
		return Reading{}, fmt.Errorf("%s: %w", call.Command, err)
	}
	r.At, r.Web = time.Now(), true
	if r.Stats, err = ParseStats(raw.Bytes()); err != nil {
		return Reading{}, fmt.Errorf("%s: %w", call.Command, err)
	}
	r.Servers = r.Stats.servers()
	return r, nil
}

// streamWeb hands over the rows that are wanted: the page has them all, and
// nothing else.
func (c *Client) streamWeb(ctx context.Context, q Query, t Taker) error {
	call := Call{Operation: "read", Transport: c.transport, Command: "GET " + c.web.url.Path, Start: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := c.openWeb(ctx)
	if err == nil {
		in := newLines(body)
		if err = records(in, &chosen{Taker: t, q: q}); err == nil {
			err = in.end()
		}
		err = errors.Join(err, body.Close())
	}
	if err := c.done(call, err); err != nil {
		return fmt.Errorf("%s: %w", call.Command, err)
	}
	return nil
}

// chosen leaves out the rows that a query doesn't want.
type chosen struct {
	Taker
	q      Query
	status int
}

func (c *chosen) TakeColumns(names []string) error {
	c.status = indexOf(names).of("status")
	return c.Taker.TakeColumns(names)
}

func (c *chosen) TakeRow(r *Record) error {
	if !c.q.Rows.Has(r.Type) || c.q.NoMaint && r.Type == ServerRow && bytes.HasPrefix(r.At(c.status), []byte("MAINT")) {
		return nil
	}
	return c.Taker.TakeRow(r)
}

// ReadOnly says that HAProxy is read over HTTP: of its answers there are the rows alone.
func (c *Client) ReadOnly() bool { return c.web != nil }

// servers are the servers as far as their rows of "show stat" tell. Column addr
// is there only with "stats show-legends" (seen on 2.6).
func (s Stats) servers() []Server {
	col := s.Column
	status, weight, address, agent, throttle := col("status"), col("uweight"), col("addr"), col("agent_status"), col("throttle")
	if weight < 0 {
		weight = col("weight") // before 2.3; 0 while it drains
	}
	var out []Server
	for _, row := range s.Rows {
		if row.Type != ServerRow {
			continue
		}
		srv := Server{Backend: row.Proxy, Name: row.Service, Address: row.At(address), UserWeight: int(number(row.At(weight)))} // 0 to 256
		srv.Op, srv.Admin = StatusOf(row.At(status))
		if slow := row.At(throttle); srv.Op == Running && slow != "" && slow != "100" {
			srv.Op = Starting
		}
		if row.At(agent) != "" {
			srv.AgentState = 0x04
		}
		out = append(out, srv)
	}
	return out
}

// StatusOf reads the words of column status. They don't tell a server that is
// drained and down from one that is down, nor who ordered a maintenance: it
// counts as ordered by somebody. Source: facts 2.1.
func StatusOf(status string) (OpState, Flags) {
	word, more, _ := strings.Cut(status, " ")
	switch word {
	case "MAINT":
		switch {
		case strings.HasPrefix(more, "(via "):
			return Stopped, InheritedMaint
		case more == "(resolution)":
			return Stopped, ResolveMaint
		}
		return Stopped, ForcedMaint
	case "DRAIN":
		return Running, ForcedDrain
	case "NOLB":
		return Stopping, 0
	case "UP", "no": // "no check"
		return Running, 0
	}
	return Stopped, 0 // DOWN, and any word that we don't know: not serving
}
