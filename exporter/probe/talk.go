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
	"strings"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
)

// A QueryResponse is one turn of a conversation: wait for a line that matches,
// or for bytes; send a line; go over to TLS. In this order.
type QueryResponse struct {
	Expect      string `yaml:"expect,omitempty"`
	ExpectBytes string `yaml:"expect_bytes,omitempty"` // exactly these come next
	// Labels are those of probe_expect_info, from what expect found.
	Labels []Label `yaml:"labels,omitempty"`
	// Send is sent with a line feed, unless it holds a NUL: no line does. ${1} is
	// the first group of expect, if there is one.
	Send     string `yaml:"send,omitempty"`
	StartTLS bool   `yaml:"starttls,omitempty"`
}

// A Label is one of probe_expect_info.
type Label struct {
	Name  string `yaml:"name,omitempty"`
	Value string `yaml:"value,omitempty"` // with ${1} as in send
}

// Bounds on what a turn reads, in bytes: a longer line is read as several, and
// more is not waited for.
const (
	maxLine = 64 << 10
	maxTurn = 1 << 20
)

// labelName is what every version of Prometheus takes, without those that begin
// with two underscores, which are its own.
var labelName = regexp.MustCompile("^(?:[a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*$")

// validateTalk judges a conversation; secure says that TLS is on from its start.
func validateTalk(turns []QueryResponse, secure bool) edge.Mistakes {
	var all edge.Mistakes
	for i, q := range turns {
		at := fmt.Sprintf("query_response[%d]", i)
		if q.Expect == "" && q.ExpectBytes == "" && q.Send == "" && !q.StartTLS {
			all.Add(at, "does nothing: write expect, expect_bytes, send or starttls")
		}
		if _, err := regexp.Compile(q.Expect); err != nil {
			all.Add(at+".expect", "is no regular expression (RE2): %v", err)
		}
		switch {
		case q.Expect != "" && q.ExpectBytes != "":
			all.Add(at+".expect_bytes", "expect is there as well: write one of them")
		case len(q.ExpectBytes) > maxLine:
			all.Add(at+".expect_bytes", "%d bytes: write %d at most", len(q.ExpectBytes), maxLine)
		}
		for j, l := range q.Labels {
			if !labelName.MatchString(l.Name) {
				all.Add(fmt.Sprintf("%s.labels[%d].name", at, j), "%q: write letters, digits and underscores, beginning with a letter", l.Name)
			}
		}
		if len(q.Labels) > 0 && q.Expect == "" {
			all.Add(at+".labels", "are taken from what expect found: write expect")
		}
		if q.StartTLS && secure {
			all.Add(at+".starttls", "tls is on from the start: write one of them")
		}
		secure = secure || q.StartTLS
	}
	return all
}

// A script is a conversation that can be had again and again.
type script struct {
	turns  []QueryResponse
	expect []*regexp.Regexp // nil where a turn expects no line
	first  bool             // TLS from the start
	tls    *tls.Config
}

func newScript(turns []QueryResponse, first bool, c promconfig.TLSConfig) (*script, error) {
	s := &script{turns: turns, first: first}
	var err error
	if s.tls, err = promconfig.NewTLSConfig(&c); err != nil {
		return nil, fmt.Errorf("tls_config: %w", err)
	}
	for _, q := range turns {
		var re *regexp.Regexp
		if q.Expect != "" {
			re = regexp.MustCompile(q.Expect) // Validate compiled it
		}
		s.expect = append(s.expect, re)
	}
	return s, nil
}

// run has the conversation on conn, which it closes. The certificate must carry
// name where the configuration names nothing else.
func (s *script) run(ctx context.Context, c *course, conn net.Conn, name string, r *Result) {
	t := &talk{course: c, conn: conn, result: r}
	defer func() { _ = t.conn.Close() }() // the answer is in
	config := s.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = name
	}
	var err error
	if s.first {
		err = t.secure(ctx, config)
	}
	for i, q := range s.turns {
		if err == nil {
			err = t.turn(ctx, q, s.expect[i], config)
		}
	}
	var said *unexpectedError
	switch {
	case errors.As(err, &said):
		r.Reason, r.Detail = Body, oneLine(said.Error())
	case err != nil:
		r.Reason, r.Detail = failure(ctx, c.stage(), err)
	}
	r.Figures = append(r.Figures,
		flag("probe_failed_due_to_regex", "Whether a regular expression on the answer decided.", said != nil && !said.bytes),
		flag("probe_failed_due_to_bytes", "Whether the bytes of the answer decided.", said != nil && said.bytes))
	if len(t.labels) > 0 {
		info := Figure{Name: "probe_expect_info", Help: "What the expected lines said."}
		r.Figures = append(r.Figures, info.labelled(1, t.labels))
	}
}

// A talk is one conversation.
type talk struct {
	course *course
	conn   net.Conn
	in     *bufio.Reader
	limit  *io.LimitedReader // under in
	result *Result
	labels map[string]string // of all turns; the last to set one has it
}

// An unexpectedError is an answer that is none of those that were wanted.
type unexpectedError struct {
	what  string
	bytes bool // it was expect_bytes that wanted another
}

func (e *unexpectedError) Error() string { return e.what }

// secure goes over to TLS. What was read ahead is dropped: the other side may
// say nothing between its consent and the handshake, and what somebody put
// there must not pass for what comes after it.
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
		for _, l := range q.Labels {
			if t.labels == nil {
				t.labels = make(map[string]string)
			}
			t.labels[l.Name] = oneLine(string(expect.ExpandString(nil, l.Value, line, match)))
		}
	}
	if q.ExpectBytes != "" {
		if err := t.awaitBytes(q.ExpectBytes); err != nil {
			return err
		}
	}
	if send != "" {
		// PostgreSQL, for one, refuses a byte after the eight of its request for TLS.
		if !strings.ContainsRune(q.Send, 0) {
			send += "\n"
		}
		if _, err := io.WriteString(t.conn, send); err != nil {
			return err
		}
	}
	if q.StartTLS {
		return t.secure(ctx, c)
	}
	return nil
}

// listen makes the reader ready for one turn.
func (t *talk) listen() {
	if t.in == nil {
		t.limit = &io.LimitedReader{R: t.conn}
		t.in = bufio.NewReaderSize(t.limit, maxLine)
	}
	t.limit.N = maxTurn
}

// keep keeps the beginning of what was said.
func (t *talk) keep(b []byte) {
	if room := bodyKept - len(t.result.Body); room > 0 {
		t.result.Body = append(t.result.Body, b[:min(len(b), room)]...)
	}
}

// await reads until a line matches and returns it without its end.
func (t *talk) await(re *regexp.Regexp) (line string, match []int, err error) {
	t.listen()
	for {
		raw, err := t.in.ReadSlice('\n')
		t.keep(raw)
		line := string(bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r")))
		if match := re.FindStringSubmatchIndex(line); match != nil && len(raw) > 0 {
			return line, match, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return "", nil, &unexpectedError{what: fmt.Sprintf("no line matches %q before the end", re)}
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return "", nil, err
		}
	}
}

// awaitBytes reads as many bytes as are wanted and compares them.
func (t *talk) awaitBytes(want string) error {
	t.listen()
	got := make([]byte, len(want))
	n, err := io.ReadFull(t.in, got)
	t.keep(got[:n])
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &unexpectedError{fmt.Sprintf("%d bytes before the end, want the %d of expect_bytes", n, len(want)), true}
	case err != nil:
		return err
	case string(got) != want:
		return &unexpectedError{"the bytes are not those of expect_bytes", true}
	}
	return nil
}
