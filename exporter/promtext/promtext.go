// Package promtext writes metrics in Prometheus' text format, straight from the
// values at hand. A device with 10,000 members has 700,000 series; building
// them as objects first costs many times what the device needed to answer.
package promtext

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// ContentType is what a [Writer] writes.
const ContentType = string(expfmt.FmtText)

// A Kind is what the values of a family are.
type Kind string

// The kinds that we write ourselves.
const (
	Gauge   Kind = "gauge"
	Counter Kind = "counter"
)

const chunk = 64 << 10

// A Writer writes one family after the other. The first error sticks: look at it
// in [Writer.Flush]. All series of a name must be written together.
type Writer struct {
	out  io.Writer
	buf  []byte
	err  error
	name string // of the family under way
	help string
	kind Kind
	head bool // the header is due before the next series
}

// New returns a Writer to out.
func New(out io.Writer) *Writer {
	return &Writer{out: out, buf: make([]byte, 0, chunk+chunk/8)}
}

// Family begins a family. Its header is written with its first series, so that
// a family without series leaves nothing. Beginning the one under way again
// goes on with it.
func (w *Writer) Family(name string, kind Kind, help string) {
	if name != w.name {
		w.name, w.kind, w.help, w.head = name, kind, help, true
	}
}

// Number writes a series whose value is a number in text: digits, at most with a
// sign, a point or an exponent. Any other text writes no series: there is no
// value to tell. more follows labels; both are as [Labels] makes them.
func (w *Writer) Number(labels, more, digits string) {
	if !number(digits) {
		return
	}
	w.series(labels, more)
	w.buf = append(w.buf, digits...)
	w.end()
}

// Value writes a series.
func (w *Writer) Value(labels, more string, v float64) {
	w.series(labels, more)
	w.buf = strconv.AppendFloat(w.buf, v, 'g', -1, 64)
	w.end()
}

// Flag writes a series of value 1 or 0.
func (w *Writer) Flag(labels, more string, on bool) {
	w.series(labels, more)
	if on {
		w.buf = append(w.buf, '1')
	} else {
		w.buf = append(w.buf, '0')
	}
	w.end()
}

func (w *Writer) series(labels, more string) {
	if w.head {
		w.head = false
		w.buf = append(w.buf, "# HELP "...)
		w.buf = append(w.buf, w.name...)
		w.buf = append(w.buf, ' ')
		w.buf = append(w.buf, helpEscaper.Replace(w.help)...)
		w.buf = append(w.buf, "\n# TYPE "...)
		w.buf = append(w.buf, w.name...)
		w.buf = append(w.buf, ' ')
		w.buf = append(w.buf, w.kind...)
		w.buf = append(w.buf, '\n')
	}
	w.buf = append(w.buf, w.name...)
	switch {
	case labels != "" && more != "":
		w.buf = append(w.buf, '{')
		w.buf = append(w.buf, labels...)
		w.buf = append(w.buf, ',')
		w.buf = append(w.buf, more...)
		w.buf = append(w.buf, '}')
	case labels != "" || more != "":
		w.buf = append(w.buf, '{')
		w.buf = append(w.buf, labels...)
		w.buf = append(w.buf, more...)
		w.buf = append(w.buf, '}')
	}
	w.buf = append(w.buf, ' ')
}

func (w *Writer) end() {
	w.buf = append(w.buf, '\n')
	if len(w.buf) >= chunk {
		w.write()
	}
}

func (w *Writer) write() {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// Gathered writes families that a registry gathered.
func (w *Writer) Gathered(families []*dto.MetricFamily) {
	w.write()
	for _, f := range families {
		if w.err != nil {
			return
		}
		_, w.err = expfmt.MetricFamilyToText(w.out, f)
	}
}

// Flush writes what is left and returns the first error of all.
func (w *Writer) Flush() error {
	w.write()
	if w.err != nil {
		return fmt.Errorf("write metrics: %w", w.err)
	}
	return nil
}

var (
	labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// Labels makes the text of labels from names and values in turns:
// Labels("device", "edge1", "pool", "web") is device="edge1",pool="web".
func Labels(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		b.WriteString(labelEscaper.Replace(strings.ToValidUTF8(pairs[i+1], "\uFFFD")))
		b.WriteByte('"')
	}
	return b.String()
}

// number says whether a text is a plain decimal number. One wrong byte would make
// Prometheus refuse the whole scrape.
func number(s string) bool {
	whole := s != "" && s != "-"
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '-' && i == 0:
		case c == '.', c == 'e', c == 'E', c == '+', c == '-':
			whole = false
		default:
			return false
		}
	}
	if whole {
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}
