package promtext

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"
)

var (
	plain = expfmt.NewFormat(expfmt.TypeTextPlain)
	open  = expfmt.NewFormat(expfmt.TypeOpenMetrics)
)

func textOf(t interface{ Fatal(...any) }, format expfmt.Format, p Page) string {
	var out strings.Builder
	if err := p.WriteText(&out, format); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSheet(t *testing.T) {
	edge := Labels("device", "edge1")
	for _, tt := range []struct {
		name  string
		write func(s *Sheet)
		want  string
	}{
		{"a family without series leaves nothing", func(s *Sheet) { s.Family("a", Gauge, "A.") }, ""},
		{"a family goes on where it left off", func(s *Sheet) {
			s.Family("a", Gauge, "A.")
			s.Value(edge, "", 1.5)
			s.Family("b", Gauge, "B.")
			s.Flag("", "", false)
			s.Family("a", Gauge, "")
			s.Value(edge, `state="UP"`, math.NaN())
		}, "# HELP a A.\n# TYPE a gauge\na{device=\"edge1\"} 1.5\na{device=\"edge1\",state=\"UP\"} NaN\n# HELP b B.\n# TYPE b gauge\nb 0\n"},
		{"labels may be of one half or of none", func(s *Sheet) {
			s.Family("a_total", Counter, "A.")
			s.Flag("", "", true)
			s.Flag("", `code="2xx"`, false)
		}, "# HELP a_total A.\n# TYPE a_total counter\na_total 1\na_total{code=\"2xx\"} 0\n"},
		{"help is one line", func(s *Sheet) {
			s.Family("a", Gauge, "A \\ and\nB.")
			s.Flag("", "", true)
		}, "# HELP a A \\\\ and\\nB.\n# TYPE a gauge\na 1\n"},
		{"numbers are copied, and what is none is left out", func(s *Sheet) {
			s.Family("a", Gauge, "A.")
			for _, n := range []string{"18446744073709551615", "-1", "0.25", "", "-", "no", "1 2", "1\nb 2", "5e3", "1e999x", "0x10", "--1", "1e999", strings.Repeat("9", 309), "-" + strings.Repeat("9", 309)} {
				s.Number("", "", n)
			}
		}, "# HELP a A.\n# TYPE a gauge\na 18446744073709551615\na -1\na 0.25\na 5e3\n"},
		{"a whole line", func(s *Sheet) {
			s.Family("a", Gauge, "A.").Line([]byte(edge), []byte(`,flag="drain"} 1`))
		}, "# HELP a A.\n# TYPE a gauge\na{device=\"edge1\",flag=\"drain\"} 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSheet()
			tt.write(s)
			if diff := cmp.Diff(tt.want, textOf(t, plain, Page{Sheets: []*Sheet{s}})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// In OpenMetrics a counter's family is named without "_total"; what breaks its
// rules by HAProxy's choice of names keeps the name.
func TestOpenMetrics(t *testing.T) {
	s := NewSheet()
	s.Family("reads_total", Counter, `Says "A".`)
	s.Value("", "", 1)
	s.Family("failed_resolutions", Counter, "B.")
	s.Value("", "", 2)
	want := "# HELP reads Says \\\"A\\\".\n# TYPE reads counter\nreads_total 1\n# HELP failed_resolutions B.\n# TYPE failed_resolutions unknown\nfailed_resolutions 2\n# EOF\n"
	if diff := cmp.Diff(want, textOf(t, open, Page{Sheets: []*Sheet{s}})); diff != "" {
		t.Error(diff)
	}
}

func TestFamiliesOfSeveralSheetsStandTogether(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "theirs_total", Help: "Theirs."})
	reg.MustRegister(c)
	gathered, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sheets []*Sheet
	for i := range 2 {
		s := NewSheet()
		labels := Labels("device", fmt.Sprint("edge", i+1))
		for _, name := range []string{"first", "last"} {
			s.Family(name, Gauge, "A.")
			s.Value(labels, "", float64(i))
		}
		sheets = append(sheets, s)
	}
	want := "# HELP theirs_total Theirs.\n# TYPE theirs_total counter\ntheirs_total 0\n" +
		"# HELP first A.\n# TYPE first gauge\nfirst{device=\"edge1\"} 0\nfirst{device=\"edge2\"} 1\n" +
		"# HELP last A.\n# TYPE last gauge\nlast{device=\"edge1\"} 0\nlast{device=\"edge2\"} 1\n"
	page := Page{Gathered: gathered, Sheets: sheets}
	if diff := cmp.Diff(want, textOf(t, plain, page)); diff != "" {
		t.Error(diff)
	}
	families, err := page.Families()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	if diff := cmp.Diff([]string{"first", "last", "theirs_total"}, names); diff != "" {
		t.Error(diff)
	}
}

// Whatever rows and values there are, columns become the text that a plain
// concatenation would be, in the length that was promised.
func TestColumnsAreWrittenAsTheyAreMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := []string{"DOWN", "UP", "MAINT"}
		rows := NewRows(rapid.IntRange(0, 3).Draw(t, "expected"))
		s := NewSheet()
		numbers := s.Family("sessions", Gauge, "S.")
		bare, coded := numbers.Numbers(rows, ""), numbers.Numbers(rows, `code="2xx"`)
		states := s.Family("status", Gauge, "T.").States(rows, words)
		var wantBare, wantCoded, wantStates strings.Builder
		name := rapid.StringMatching(`[ab\\]{0,4}`)
		if rapid.Bool().Draw(t, "long") { // so that buffers end in the middle
			name = rapid.Custom(func(t *rapid.T) string { return strings.Repeat("long", rapid.IntRange(5_000, 40_000).Draw(t, "n")) })
		}
		for range rapid.IntRange(0, 30).Draw(t, "rows") {
			labels := Labels("server", name.Draw(t, "name"))
			rows.Add([]byte(labels))
			for _, c := range []struct {
				column *Column
				tail   string
				want   *strings.Builder
			}{{bare, "", &wantBare}, {coded, `,code="2xx"`, &wantCoded}} {
				v := rapid.SampledFrom([]string{"", "0", "7", "42", "18446744073709551615"}).Draw(t, "value")
				c.column.Number([]byte(v))
				if v != "" {
					fmt.Fprintf(c.want, "sessions{%s%s} %s\n", labels, c.tail, v)
				}
			}
			place := rapid.IntRange(None, len(words)-1).Draw(t, "state")
			states.State(place)
			for i, w := range words {
				if place != None {
					fmt.Fprintf(&wantStates, "status{%s,state=%q} %s\n", labels, w, map[bool]string{true: "1", false: "0"}[i == place])
				}
			}
		}
		want := ""
		if n := wantBare.String() + wantCoded.String(); n != "" {
			want += "# HELP sessions S.\n# TYPE sessions gauge\n" + n
		}
		if n := wantStates.String(); n != "" {
			want += "# HELP status T.\n# TYPE status gauge\n" + n
		}
		if got := textOf(t, plain, Page{Sheets: []*Sheet{s}}); got != want {
			t.Fatalf("(-want +got)\n%s", cmp.Diff(want, got))
		}
	})
}

// The line of a row is made from the one before, unless the buffer in between is
// another one: a larger one for a line that didn't fit by a digit.
func TestALineThatNeedsALargerBufferThanTheOneBefore(t *testing.T) {
	s := NewSheet()
	rows := NewRows(0)
	c := s.Family("a", Gauge, "A.").Numbers(rows, "")
	labels := Labels("l", strings.Repeat("x", buffered-len("a{l=\"\"} 1\n")))
	for _, v := range []string{"1", "12"} {
		rows.Add([]byte(labels))
		c.Number([]byte(v))
	}
	page := Page{Sheets: []*Sheet{s}}
	want := "# HELP a A.\n# TYPE a gauge\na{" + labels + "} 1\na{" + labels + "} 12\n"
	if got := textOf(t, plain, page); got != want {
		t.Errorf("%d bytes, want %d others", len(got), len(want))
	}
	if got := unzip(t, squeezed(t, page)); got != want {
		t.Errorf("by gzip: %d bytes, want %d others", len(got), len(want))
	}
}

type broken struct{ n int }

func (b *broken) Write([]byte) (int, error) { b.n++; return 0, io.ErrClosedPipe }

func TestTheFirstErrorSticks(t *testing.T) {
	s := NewSheet()
	s.Family("a", Gauge, "A.")
	for range 100_000 {
		s.Value(`device="edge1"`, "", 1)
	}
	b := new(broken)
	if err := (Page{Sheets: []*Sheet{s}}).WriteText(b, plain); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want %v", err, io.ErrClosedPipe)
	}
	if b.n != 1 {
		t.Errorf("%d writes to a reader who went away, want 1", b.n)
	}
}

func TestAppendSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "ms")
		want := strconv.FormatFloat(float64(n)/1000, 'f', -1, 64)
		if n >= 1<<53 || n <= -1<<53 {
			return // those digits a float hasn't, and we have
		}
		if got := string(AppendSeconds(nil, strconv.AppendInt(nil, n, 10))); got != want {
			t.Fatalf("%d ms are %s s, want %s", n, got, want)
		}
	})
	for text, want := range map[string]string{"": "", "x": "", "1.5": "", "0": "0", "007": "0.007", "1000": "1", "1050": "1.05", "-1": "-0.001", strings.Repeat("9", 309): ""} {
		if got := string(AppendSeconds(nil, []byte(text))); got != want {
			t.Errorf("%q ms are %q s, want %q", text, got, want)
		}
	}
}

// Whatever a label and a number hold, the text stays readable and says the same.
func FuzzSeries(f *testing.F) {
	f.Add("edge1", "17")
	f.Add("a\"b\\c\nd", "-1.5e3")
	f.Add("\xff} 1\n# TYPE b gauge", "0x10")
	f.Fuzz(func(t *testing.T, label, digits string) {
		s := NewSheet()
		s.Family("a", Gauge, "A.")
		s.Number(Labels("l", label), `m="n"`, digits)
		s.Value(Labels("l", label), `m="o"`, 1)
		rows := NewRows(1)
		rows.Add([]byte(Labels("l", label)))
		s.Family("a", Gauge, "").Numbers(rows, `m="p"`).Number([]byte("5"))
		text := textOf(t, plain, Page{Sheets: []*Sheet{s}})
		p := expfmt.NewTextParser(model.UTF8Validation)
		families, err := p.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if n := len(families["a"].GetMetric()); len(families) != 1 || n < 2 || n > 3 {
			t.Fatalf("more or less than was written in\n%s", text)
		}
		want := strings.ToValidUTF8(label, "\uFFFD")
		for _, m := range families["a"].GetMetric() {
			if got := m.GetLabel()[0].GetValue(); got != want {
				t.Errorf("label %q came back as %q", want, got)
			}
		}
	})
}
