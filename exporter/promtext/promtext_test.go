package promtext

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestWriter(t *testing.T) {
	edge := Labels("device", "edge1")
	for _, tt := range []struct {
		name  string
		write func(w *Writer)
		want  string
	}{
		{"a family without series leaves nothing", func(w *Writer) { w.Family("a", Gauge, "A.") }, ""},
		{"the header comes with the first series, once", func(w *Writer) {
			w.Family("a", Gauge, "A.")
			w.Value(edge, "", 1.5)
			w.Family("a", Gauge, "")
			w.Value(edge, `state="UP"`, math.NaN())
		}, "# HELP a A.\n# TYPE a gauge\na{device=\"edge1\"} 1.5\na{device=\"edge1\",state=\"UP\"} NaN\n"},
		{"labels may be of one half or of none", func(w *Writer) {
			w.Family("a_total", Counter, "A.")
			w.Flag("", "", true)
			w.Flag("", `code="2xx"`, false)
		}, "# HELP a_total A.\n# TYPE a_total counter\na_total 1\na_total{code=\"2xx\"} 0\n"},
		{"help is one line", func(w *Writer) {
			w.Family("a", Gauge, "A \\ and\nB.")
			w.Flag("", "", true)
		}, "# HELP a A \\\\ and\\nB.\n# TYPE a gauge\na 1\n"},
		{"numbers are copied, and what is none is left out", func(w *Writer) {
			w.Family("a", Gauge, "A.")
			for _, s := range []string{"18446744073709551615", "-1", "0.25", "", "-", "no", "1 2", "1\nb 2", "5e3"} {
				w.Number("", "", s)
			}
		}, "# HELP a A.\n# TYPE a gauge\na 18446744073709551615\na -1\na 0.25\na 5e3\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			w := New(&out)
			tt.write(w)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGatheredFamiliesStandAmongOurs(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "theirs_total", Help: "Theirs."})
	reg.MustRegister(c)
	gathered, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	w := New(&out)
	w.Family("first", Gauge, "First.")
	w.Value("", "", 1)
	w.Gathered(gathered)
	w.Family("last", Gauge, "Last.")
	w.Value("", "", 2)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "# HELP first First.\n# TYPE first gauge\nfirst 1\n# HELP theirs_total Theirs.\n# TYPE theirs_total counter\ntheirs_total 0\n# HELP last Last.\n# TYPE last gauge\nlast 2\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

type broken struct{ n int }

func (b *broken) Write(p []byte) (int, error) { b.n++; return 0, io.ErrClosedPipe }

func TestTheFirstErrorSticks(t *testing.T) {
	b := new(broken)
	w := New(b)
	w.Family("a", Gauge, "A.")
	for range 100_000 {
		w.Value(`device="edge1"`, "", 1)
	}
	w.Gathered([]*dto.MetricFamily{{}})
	if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Flush() = %v, want %v", err, io.ErrClosedPipe)
	}
	if b.n != 1 {
		t.Errorf("%d writes to a reader who went away, want 1", b.n)
	}
}

// Whatever a label and a number hold, the text stays readable and says the same.
func FuzzSeries(f *testing.F) {
	f.Add("edge1", "17")
	f.Add("a\"b\\c\nd", "-1.5e3")
	f.Add("\xff} 1\n# TYPE b gauge", "0x10")
	f.Fuzz(func(t *testing.T, label, digits string) {
		var out strings.Builder
		w := New(&out)
		w.Family("a", Gauge, "A.")
		w.Number(Labels("l", label), `m="n"`, digits)
		w.Value(Labels("l", label), `m="o"`, 1)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		p := expfmt.NewTextParser(model.UTF8Validation)
		families, err := p.TextToMetricFamilies(strings.NewReader(out.String()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, out.String())
		}
		if len(families) != 1 || len(families["a"].GetMetric()) > 2 {
			t.Fatalf("more than was written in\n%s", out.String())
		}
		want := strings.ToValidUTF8(label, "\uFFFD")
		for _, m := range families["a"].GetMetric() {
			if got := m.GetLabel()[0].GetValue(); got != want {
				t.Errorf("label %q came back as %q", want, got)
			}
		}
	})
}
