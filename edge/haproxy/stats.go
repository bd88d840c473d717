package haproxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// A Type says what a row of "show stat" is about. It alone decides: a server
// may well be named BACKEND.
type Type uint8

// The rows' types. Source: HAProxy management guide 9.1, column "type".
const (
	Frontend Type = iota
	Backend
	ServerRow
	Listener
)

// Stats is a whole answer to "show stat". Columns go by name: their numbers
// differ between versions, and between builds from column 100 on.
type Stats struct {
	Columns []string
	Rows    []Row
	index   index
}

// Column returns the number of a column, or -1 when this HAProxy has none of that name.
func (s Stats) Column(name string) int { return s.index.of(name) }

// An index has the number of each column by its name.
type index map[string]int

func indexOf(names []string) index {
	ix := make(index, len(names))
	for i, c := range names {
		if _, twice := ix[c]; !twice && c != "" && c != "-" {
			ix[c] = i
		}
	}
	return ix
}

func (ix index) of(name string) int {
	if i, ok := ix[name]; ok {
		return i
	}
	return -1
}

// identity finds the columns that say what a row is about; no row is of use without them.
func (ix index) identity() (proxy, service, kind int, err error) {
	proxy, service, kind = ix.of("pxname"), ix.of("svname"), ix.of("type")
	if proxy < 0 || service < 0 || kind < 0 {
		return 0, 0, 0, fmt.Errorf("no column pxname, svname or type: %w", ErrAnswer)
	}
	return proxy, service, kind, nil
}

// A Row is one line of "show stat". Its texts are parts of the answer that was read.
type Row struct {
	Proxy, Service string
	Type           Type
	fields         []string
}

// Line returns a row for people: "name=value" for each field that isn't empty.
func (s Stats) Line(r Row) string {
	var b strings.Builder
	for i, v := range r.fields {
		if v != "" && i < len(s.Columns) && s.Columns[i] != "" {
			fmt.Fprintf(&b, "%s=%s ", s.Columns[i], v)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// At returns the field at a column number; "" when the row or HAProxy has none.
// An empty field means "doesn't apply", never zero.
func (r Row) At(column int) string {
	if column < 0 || column >= len(r.fields) {
		return ""
	}
	return r.fields[column]
}

// Get returns the field of a column by its name. For many rows look the column up once.
func (s Stats) Get(r Row, column string) string { return r.At(s.Column(column)) }

// Int returns a whole number and whether the field holds one.
func (s Stats) Int(r Row, column string) (int64, bool) {
	n, err := strconv.ParseInt(s.Get(r, column), 10, 64)
	return n, err == nil
}

// ParseStats reads the CSV of "show stat". It keeps b: the rows' texts point
// into it, so that 10,000 rows cost one allocation for all their fields.
func ParseStats(b []byte) (Stats, error) {
	if !bytes.HasPrefix(b, []byte("# ")) {
		return Stats{}, fmt.Errorf("show stat: %w: %s", ErrAnswer, oneLine(string(head(b))))
	}
	header, rest, _ := bytes.Cut(b[2:], []byte("\n"))
	var s Stats
	fields, err := cutRow(nil, bytes.TrimSuffix(header, []byte("\r")))
	if err != nil {
		return Stats{}, fmt.Errorf("show stat: header: %w", err)
	}
	s.Columns = fields
	s.index = indexOf(fields)
	px, sv, ty, err := s.index.identity()
	if err != nil {
		return Stats{}, fmt.Errorf("show stat: %w", err)
	}
	lines := bytes.Count(rest, []byte("\n")) + 1
	if most := maxRows(len(fields)); lines > most {
		return Stats{}, fmt.Errorf("show stat: more than %d lines of %d columns: %w", most, len(fields), ErrAnswer)
	}
	s.Rows = make([]Row, 0, lines)
	all := make([]string, 0, lines*(len(fields)+1))
	for n := 2; len(rest) > 0; n++ {
		var line []byte
		line, rest = cutLine(rest)
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			continue
		}
		from := len(all)
		if all, err = cutRow(all, line); err != nil {
			return Stats{}, fmt.Errorf("show stat: line %d: %w", n, err)
		}
		row := Row{fields: all[from:len(all):len(all)]}
		row.Proxy, row.Service = row.At(px), row.At(sv)
		kind, err := strconv.ParseUint(row.At(ty), 10, 8)
		if err != nil || kind > uint64(Listener) || row.Proxy == "" || row.Service == "" {
			return Stats{}, fmt.Errorf("show stat: line %d: no proxy, service or known type: %w", n, ErrAnswer)
		}
		row.Type = Type(kind)
		s.Rows = append(s.Rows, row)
	}
	return s, nil
}

// cutLine takes a row off b. A line break inside quotes is part of its field:
// HAProxy quotes texts of checks that hold one.
func cutLine(b []byte) (line, rest []byte) {
	end, quotes := 0, 0
	for {
		i := bytes.IndexByte(b[end:], '\n')
		if i < 0 {
			return b, nil
		}
		if quotes += bytes.Count(b[end:end+i], []byte{'"'}); quotes%2 == 0 {
			return b[:end+i], b[end+i+1:]
		}
		end += i + 1
	}
}

// cutRow appends a line's fields. A field with a comma or a quote stands in
// quotes, its own quotes doubled; every line ends with a comma.
func cutRow(out []string, line []byte) ([]string, error) {
	for len(line) > 0 {
		if line[0] != '"' {
			field, rest, _ := bytes.Cut(line, []byte(","))
			out, line = append(out, text(field)), rest
			continue
		}
		field, rest, err := unquote(line[1:])
		if err != nil {
			return out, err
		}
		out, line = append(out, field), rest
	}
	return out, nil
}

// unquote reads a quoted field, after its opening quote, and the comma behind it.
func unquote(line []byte) (string, []byte, error) {
	var own []byte
	for {
		i := bytes.IndexByte(line, '"')
		if i < 0 {
			return "", nil, fmt.Errorf("quote is never closed: %w", ErrAnswer)
		}
		if i+1 < len(line) && line[i+1] == '"' {
			own = append(own, line[:i+1]...)
			line = line[i+2:]
			continue
		}
		own = append(own, line[:i]...)
		line = line[i+1:]
		if len(line) > 0 && line[0] != ',' {
			return "", nil, fmt.Errorf("text after a closing quote: %w", ErrAnswer)
		}
		if len(line) > 0 {
			line = line[1:]
		}
		return string(own), line, nil
	}
}

// text views bytes as a string. The bytes are the answer, which nobody changes
// after it was read; copying each field would double the cost of a scrape.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func head(b []byte) []byte { return b[:min(len(b), 200)] }
