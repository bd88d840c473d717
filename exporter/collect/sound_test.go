package collect

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/sluice-project/sluice/exporter/promtext"
)

// written returns outcomes as text.
func written(tb testing.TB, outcomes []Outcome) string {
	tb.Helper()
	var page promtext.Page
	for _, o := range outcomes {
		page.Sheets = append(page.Sheets, o.Sheet)
	}
	return textOf(tb, page)
}

func textOf(tb testing.TB, page promtext.Page) string {
	tb.Helper()
	var out bytes.Buffer
	if err := page.WriteText(&out, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// wantSound holds a text against the rules that a registry would have held it
// to: every series once, all series of a name alike and together. Names of our
// own must please promlint; HAProxy's are what they are.
func wantSound(tb testing.TB, text string) {
	tb.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(parsed(parse(tb, text))); err != nil {
		tb.Error(err)
	}
	if _, err := reg.Gather(); err != nil {
		tb.Error(err)
	}
	seen := make(map[string]bool)
	var ours strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if seen[rest] {
				tb.Errorf("two headers: %s", rest)
			}
			seen[rest] = true
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if strings.HasPrefix(rest, "sluice_") || strings.HasPrefix(rest, "ptaf_") {
			ours.WriteString(line)
		}
	}
	problems, err := promlint.New(strings.NewReader(ours.String())).Lint()
	if err != nil {
		tb.Error(err)
	}
	for _, p := range problems {
		tb.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// parsed gives families that were read from a text to a registry.
type parsed map[string]*dto.MetricFamily

func (p parsed) Describe(out chan<- *prometheus.Desc) {
	for _, f := range p {
		out <- desc(f, f.GetMetric()[0])
	}
}

func (p parsed) Collect(out chan<- prometheus.Metric) {
	for _, f := range p {
		for _, m := range f.GetMetric() {
			kind := prometheus.GaugeValue
			if f.GetType() == dto.MetricType_COUNTER {
				kind = prometheus.CounterValue
			}
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			out <- prometheus.MustNewConstMetric(desc(f, m), kind, value(m), values...)
		}
	}
}

func desc(f *dto.MetricFamily, m *dto.Metric) *prometheus.Desc {
	var names []string
	for _, l := range m.GetLabel() {
		names = append(names, l.GetName())
	}
	return prometheus.NewDesc(f.GetName(), f.GetHelp(), names, nil)
}
