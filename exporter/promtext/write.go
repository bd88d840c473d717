package promtext

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A Page is what one scrape answers: families that a registry gathered, and
// sheets. Families of one name stand together, whichever sheet has them.
type Page struct {
	Gathered []*dto.MetricFamily
	Sheets   []*Sheet
}

// A text is a page in one of Prometheus' text formats.
type text struct {
	first, last []byte
	headers     [][]byte
	families    [][]*Family
}

func (p Page) text(format expfmt.Format) (*text, error) {
	open := format.FormatType() == expfmt.TypeOpenMetrics
	var first bytes.Buffer
	e := expfmt.NewEncoder(&first, format)
	for _, f := range p.Gathered {
		if err := e.Encode(f); err != nil {
			return nil, fmt.Errorf("write metrics: %s: %w", f.GetName(), err)
		}
	}
	t := &text{first: first.Bytes(), families: p.families()}
	for _, same := range t.families {
		t.headers = append(t.headers, header(same[0], open))
	}
	if open {
		t.last = []byte("# EOF\n")
	}
	return t, nil
}

// size is how long the text is, in bytes.
func (t *text) size() int {
	n := len(t.first) + len(t.last)
	for i, same := range t.families {
		n += len(t.headers[i])
		for _, f := range same {
			n += f.size()
		}
	}
	return n
}

func (t *text) write(out *output) {
	out.add(t.first)
	for i, same := range t.families {
		out.add(t.headers[i])
		for _, f := range same {
			out.add(f.text)
			for _, c := range f.columns {
				c.write(out)
			}
		}
	}
	out.add(t.last)
}

// WriteText writes the page in one of Prometheus' text formats.
func (p Page) WriteText(w io.Writer, format expfmt.Format) error {
	t, err := p.text(format)
	if err != nil {
		return err
	}
	return writeAll(t, writeTo(w))
}

// families are those with series, in the order of the first sheet that has each.
func (p Page) families() [][]*Family {
	var all [][]*Family
	at := make(map[string]int)
	for _, s := range p.Sheets {
		for _, f := range s.families {
			if f.empty() {
				continue
			}
			i, known := at[f.name]
			if !known {
				i = len(all)
				at[f.name] = i
				all = append(all, nil)
			}
			all[i] = append(all[i], f)
		}
	}
	return all
}

// header is what stands before a family's series. In OpenMetrics a counter's
// family has no "_total", and what is called otherwise can't be a counter: it is
// "unknown" there, so that the series keeps its name.
func header(f *Family, open bool) []byte {
	name, kind, help := f.name, string(f.kind), helpEscaper.Replace(strings.ToValidUTF8(f.help, "\uFFFD"))
	if open {
		help = strings.ReplaceAll(help, `"`, `\"`)
		if f.kind == Counter {
			if stem, ok := strings.CutSuffix(name, "_total"); ok {
				name = stem
			} else {
				kind = "unknown"
			}
		}
	}
	return fmt.Appendf(nil, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// Families returns the page as objects, ordered by name: for whoever has no use
// for text. It costs many times what the text does.
func (p Page) Families() ([]*dto.MetricFamily, error) {
	var text bytes.Buffer
	if err := (Page{Sheets: p.Sheets}).WriteText(&text, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	ours, err := parser.TextToMetricFamilies(&text)
	if err != nil {
		return nil, fmt.Errorf("read our own metrics: %w", err)
	}
	all := append(slices.Clone(p.Gathered), slices.Collect(maps.Values(ours))...)
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, nil
}

// encode writes objects in any format of Prometheus.
func encode(w io.Writer, format expfmt.Format, all []*dto.MetricFamily) error {
	e := expfmt.NewEncoder(w, format)
	for _, f := range all {
		if err := e.Encode(f); err != nil {
			return fmt.Errorf("write metrics: %s: %w", f.GetName(), err)
		}
	}
	if c, ok := e.(expfmt.Closer); ok {
		return c.Close()
	}
	return nil
}

func isText(format expfmt.Format) bool {
	t := format.FormatType()
	return t == expfmt.TypeTextPlain || t == expfmt.TypeOpenMetrics
}
