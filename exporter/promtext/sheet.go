// Package promtext writes metrics in Prometheus' text formats, straight from the
// values at hand. A device with 10,000 members has 800,000 series, 68 MB of text,
// which say little more than the 3 MB that the device answered: what is kept is
// labels once and values as they came, and the text is made while it is sent.
package promtext

import (
	"strconv"
)

// A Kind is what the values of a family are.
type Kind string

// The kinds that we write ourselves.
const (
	Gauge   Kind = "gauge"
	Counter Kind = "counter"
)

// A Sheet has the series of one source, by family. It is filled by one goroutine
// and may then be written by many.
type Sheet struct {
	families []*Family
	byName   map[string]*Family
	current  *Family // of Number, Value and Flag
}

// NewSheet returns an empty sheet.
func NewSheet() *Sheet { return &Sheet{byName: make(map[string]*Family)} }

// A Family is all series of one name.
type Family struct {
	name, help string
	kind       Kind
	prefix     string // of each line: the name and the brace
	text       []byte // of single series
	columns    []*Column
}

// Family begins a family, or goes on with it. It is written before those that
// are begun after it; one without series leaves nothing.
func (s *Sheet) Family(name string, kind Kind, help string) *Family {
	f := s.byName[name]
	if f == nil {
		f = &Family{name: name, kind: kind, help: help, prefix: name + "{"}
		s.byName[name] = f
		s.families = append(s.families, f)
	}
	s.current = f
	return f
}

// Number writes a series of the family that was begun last, whose value is a
// number in text: digits, at most with a sign, a point or an exponent. Any other
// text writes no series: there is no value to tell. more follows labels; both
// are as [Labels] makes them.
func (s *Sheet) Number(labels, more, digits string) {
	if IsNumber([]byte(digits)) {
		s.current.series(labels, more)
		s.current.text = append(append(s.current.text, digits...), '\n')
	}
}

// Value writes a series.
func (s *Sheet) Value(labels, more string, v float64) {
	s.current.series(labels, more)
	s.current.text = append(strconv.AppendFloat(s.current.text, v, 'g', -1, 64), '\n')
}

// Flag writes a series of value 1 or 0.
func (s *Sheet) Flag(labels, more string, on bool) {
	digit := "0\n"
	if on {
		digit = "1\n"
	}
	s.current.series(labels, more)
	s.current.text = append(s.current.text, digit...)
}

func (f *Family) series(labels, more string) {
	if labels == "" && more == "" {
		f.text = append(append(f.text, f.name...), ' ')
		return
	}
	f.text = append(append(f.text, f.prefix...), labels...)
	if labels != "" && more != "" {
		f.text = append(f.text, ',')
	}
	f.text = append(append(f.text, more...), "} "...)
}

// Line appends one series from bytes that are as [Labels] makes them: tail ends
// the labels, value and all, as in `,flag="drain"} 1`.
func (f *Family) Line(labels, tail []byte) {
	f.text = append(append(append(append(f.text, f.prefix...), labels...), tail...), '\n')
}

func (f *Family) empty() bool {
	if len(f.text) > 0 {
		return false
	}
	for _, c := range f.columns {
		if c.size > 0 {
			return false
		}
	}
	return true
}

// size is how long the family's series are as text.
func (f *Family) size() int {
	n := len(f.text)
	for _, c := range f.columns {
		n += c.size
	}
	return n
}
