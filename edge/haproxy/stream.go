package haproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Types is a set of rows' types, by the numbers of "show stat" itself.
type Types uint8

// EveryType has every type of row.
const EveryType = Types(1<<Frontend | 1<<Backend | 1<<ServerRow | 1<<Listener)

// Has says whether t is in the set.
func (s Types) Has(t Type) bool { return s&(1<<t) != 0 }

// A Query says which parts of an answer are wanted. They come in the order of its fields.
type Query struct {
	Info    bool
	Tables  bool  // sizes of stick tables
	Servers bool  // states of all servers
	Rows    Types // of "show stat"; none: it isn't asked
	NoMaint bool  // no rows of servers in maintenance
}

// A Taker takes an answer while it is read. An error of its own ends the
// reading; what it took is of no use then, nor after any other error.
type Taker interface {
	TakeInfo(i Info) error
	TakeTables(tables []Table) error
	// TakeServers is given the servers' states, in the order of their rows.
	TakeServers(lines *ServerLines) error
	// TakeColumns is told the columns' names before the first row.
	TakeColumns(names []string) error
	// TakeRow is given one row after the other; r is overwritten by the next one.
	TakeRow(r *Record) error
}

// A Record is one row of "show stat" as it comes. Its bytes are valid until the
// next one is read.
type Record struct {
	Type           Type
	Proxy, Service []byte
	text           []byte
	ends           []int  // of each field in text; the next one begins one byte later
	own            []byte // text of a row that had quotes
}

// At returns the field at a column number; it is empty when the row or HAProxy has none.
func (r *Record) At(column int) []byte {
	switch {
	case column <= 0:
		if column == 0 && len(r.ends) > 0 {
			return r.text[:r.ends[0]]
		}
		return nil
	case column >= len(r.ends):
		return nil
	}
	return r.text[r.ends[column-1]+1 : r.ends[column]]
}

// Int returns a field as a whole number; 0 where there is none.
func (r *Record) Int(column int) int { return int(number(text(r.At(column)))) }

// Stream asks for what q wants over one connection, and hands it over while
// HAProxy is still answering: a row takes it 4 to 5 µs, which leaves time to do
// something with the one before. Source: facts 1.6.
func (c *Client) Stream(ctx context.Context, q Query, t Taker) error {
	if c.web != nil {
		return c.streamWeb(ctx, q, t)
	}
	commands, parts := q.parts(t)
	call := Call{Operation: "read", Transport: c.transport, Command: strings.Join(commands, ";"), Start: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := func() error {
		a, err := c.open(ctx, call.Command)
		if err != nil {
			return err
		}
		defer a.Close() // everything was read
		in := newLines(a)
		for i, part := range parts {
			if err := part(in); err != nil {
				return fmt.Errorf("%s: %w", commands[i], err)
			}
		}
		return in.end()
	}()
	return c.done(call, err)
}

// parts are the commands of a query, and how the answer of each is read.
func (q Query) parts(t Taker) (commands []string, parts []func(*lines) error) {
	add := func(command string, part func(*lines) error) {
		commands, parts = append(commands, command), append(parts, part)
	}
	if q.Info {
		add("show info", func(in *lines) error {
			text, err := in.part()
			if err != nil {
				return err
			}
			info, err := ParseInfo(text, time.Now())
			if err != nil {
				return err
			}
			return t.TakeInfo(info)
		})
	}
	if q.Tables {
		add("show table", func(in *lines) error {
			text, err := in.part()
			if err != nil {
				return err
			}
			tables, err := ParseTables(text)
			if err != nil {
				return err
			}
			return t.TakeTables(tables)
		})
	}
	if q.Servers {
		add("show servers state", func(in *lines) error {
			text, err := in.part()
			if err != nil {
				return err
			}
			servers, err := readServerLines(text)
			if err != nil {
				return err
			}
			return t.TakeServers(servers)
		})
	}
	if q.Rows != 0 {
		command := "show stat"
		if q.Rows != EveryType {
			command = fmt.Sprintf("show stat -1 %d -1", q.Rows)
		}
		if q.NoMaint {
			command += " no-maint"
		}
		add(command, func(in *lines) error { return records(in, t) })
	}
	return commands, parts
}

// records reads the CSV of "show stat" to its closing empty line.
func records(in *lines, t Taker) error {
	line, err := in.next()
	if err != nil {
		return err
	}
	header, ok := bytes.CutPrefix(line, []byte("# "))
	if !ok {
		return fmt.Errorf("%w: %s", ErrAnswer, oneLine(string(head(line))))
	}
	names, err := cutRow(nil, bytes.Clone(header))
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if len(names) > maxColumns {
		return fmt.Errorf("header: more than %d columns: %w", maxColumns, ErrAnswer)
	}
	px, sv, ty, err := indexOf(names).identity()
	if err != nil {
		return err
	}
	if err := t.TakeColumns(names); err != nil {
		return err
	}
	most := maxRows(len(names))
	r := Record{ends: make([]int, 0, len(names)+1)}
	for n := 2; ; n++ {
		line, err := in.quoted()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if n-2 >= most {
			return fmt.Errorf("more than %d rows of %d columns: %w", most, len(names), ErrAnswer)
		}
		if err := r.cut(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		kind := r.At(ty)
		r.Proxy, r.Service = r.At(px), r.At(sv)
		if len(kind) != 1 || kind[0] < '0' || kind[0] > '0'+byte(Listener) || len(r.Proxy) == 0 || len(r.Service) == 0 {
			return fmt.Errorf("line %d: no proxy, service or known type: %w", n, ErrAnswer)
		}
		r.Type = Type(kind[0] - '0')
		if err := t.TakeRow(&r); err != nil {
			return err
		}
	}
}

// cut finds the fields of a row.
func (r *Record) cut(line []byte) error {
	r.ends = r.ends[:0]
	if bytes.IndexByte(line, '"') >= 0 {
		fields, err := cutRow(nil, line)
		if err != nil {
			return err
		}
		r.own = r.own[:0]
		for _, f := range fields {
			r.own = append(append(r.own, f...), ',')
			r.ends = append(r.ends, len(r.own)-1)
		}
		r.text = r.own
		return nil
	}
	r.text = line
	for i, c := range line {
		if c == ',' {
			r.ends = append(r.ends, i)
		}
	}
	if len(line) > 0 && line[len(line)-1] != ',' { // each line ends with one; one that doesn't has a last field all the same
		r.ends = append(r.ends, len(line))
	}
	return nil
}

// What a row becomes takes memory for each of its columns, even where it has
// nothing in them. So it isn't enough to bound the bytes of a hostile answer.
const (
	maxColumns = 4 << 10 // HAProxy 3.5 has some 300 with all its modules
	// leastRow is the length of a row that a real HAProxy's is never below: 83
	// columns in 2.0, more later, and a few names and numbers in them.
	leastRow = 128
	// maxLine bounds a line. HAProxy makes each in one buffer of tune.bufsize, 16 kB where
	// nobody changed it.
	maxLine = 1 << 20
)

// maxRows is how many rows an answer can have at most: in a real one each column
// takes a byte at least.
func maxRows(columns int) int { return maxAnswer / max(columns, leastRow) }

// lines reads lines of any length up to maxLine.
type lines struct {
	from io.Reader
	buf  []byte
	a, b int   // what is read and not yet taken
	err  error // that came with the last bytes
}

func newLines(from io.Reader) *lines { return &lines{from: from, buf: make([]byte, 64<<10)} }

// fill reads on; no byte of what is taken stays where it was.
func (l *lines) fill() error {
	if l.a > 0 {
		l.b = copy(l.buf, l.buf[l.a:l.b])
		l.a = 0
	}
	if l.b == len(l.buf) {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	for range 100 { // a reader that gives nothing again and again is broken
		n, err := 0, l.err
		if err == nil {
			n, err = l.from.Read(l.buf[l.b:])
		}
		l.b += n
		switch {
		case n > 0:
			l.err = err
			return nil
		case errors.Is(err, io.EOF):
			return ErrTruncated
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// next returns the next line without its end, which must be there. It is valid until the
// next call.
func (l *lines) next() ([]byte, error) { return l.line(false) }

// quoted does the same where line breaks may stand inside double quotes.
func (l *lines) quoted() ([]byte, error) { return l.line(true) }

func (l *lines) line(quotes bool) ([]byte, error) {
	seen := 0 // bytes that were looked at
	odd := false
	for {
		if i := bytes.IndexByte(l.buf[l.a+seen:l.b], '\n'); i >= 0 {
			odd = odd != (quotes && bytes.Count(l.buf[l.a+seen:l.a+seen+i], []byte{'"'})%2 == 1)
			seen += i + 1
			if odd {
				continue
			}
			line := l.buf[l.a : l.a+seen-1]
			l.a += seen
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		rest := l.b - l.a
		odd = odd != (quotes && bytes.Count(l.buf[l.a+seen:l.b], []byte{'"'})%2 == 1)
		seen = rest
		if rest > maxLine {
			return nil, fmt.Errorf("a line is longer than %d bytes: %w", maxLine, ErrAnswer)
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// part returns all lines up to the empty line that ends an answer.
func (l *lines) part() ([]byte, error) {
	var text []byte
	for n := 0; ; n++ {
		line, err := l.next()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			return text, nil
		}
		if n >= maxRows(1) {
			return nil, fmt.Errorf("more than %d lines: %w", maxRows(1), ErrAnswer)
		}
		text = append(append(text, line...), '\n')
	}
}

// end makes sure that nothing follows but the end.
func (l *lines) end() error {
	for {
		if rest := bytes.TrimSpace(l.buf[l.a:l.b]); len(rest) > 0 {
			return fmt.Errorf("%d bytes and more after the last answer: %w", len(rest), ErrAnswer)
		}
		l.a = l.b
		if err := l.fill(); errors.Is(err, ErrTruncated) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
