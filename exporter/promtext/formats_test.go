package promtext

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"pgregory.net/rapid"
)

// answered asks for a page and reads it with Prometheus' own parser.
func answered(t *rapid.T, p Page, accept, encoding string) map[string]float64 {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	if err := p.Answer(w, r); err != nil {
		t.Fatal(err)
	}
	from := io.Reader(w.Body)
	if encoding == "gzip" {
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		from = z
	}
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := textparse.New(body, w.Header().Get("Content-Type"), "", true, false, false, labels.NewSymbolTable())
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v in\n%q", w.Header().Get("Content-Type"), err, body)
		}
		if entry == textparse.EntrySeries {
			var l labels.Labels
			parser.Labels(&l)
			_, _, v := parser.Series()
			all[l.String()] = v
		}
	}
}

// Whatever names and numbers a device has, each series that is written is read
// back, the same in every format and encoding.
func TestPrometheusReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")) }),
			rapid.SampledFrom([]string{"", "app1", `a"b`, `\`, "\n", "\xff", "\n# EOF\n"}))
		digits := rapid.OneOf(rapid.StringMatching(`-?[0-9]{1,25}(\.[0-9]{1,4})?`), rapid.StringMatching(`-?[0-9]{300,320}`), rapid.SampledFrom([]string{"1e3", "-2.5E-7", "0", "00", "-0", "", "NaN", "+1", "1e999", ".5", "5."}))
		states := []string{"DOWN", "UP", "as " + name.Draw(t, "state")}
		s := NewSheet()
		rows := NewRows(0)
		total := s.Family("requests_total", Counter, "Requests, "+name.Draw(t, "help")).Numbers(rows, "")
		odd := s.Family("pipes", Counter, "A counter with the name of a gauge.").Numbers(rows, Labels("kind", name.Draw(t, "more")))
		status := s.Family("status", Gauge, "S.").States(rows, states)
		s.Family("single", Gauge, "A.")
		singles := make(map[string]bool)
		for range rapid.IntRange(0, 4).Draw(t, "singles") {
			n := name.Draw(t, "single")
			if valid := strings.ToValidUTF8(n, "\uFFFD"); !singles[valid] {
				singles[valid] = true
				s.Value(Labels("l", n), "", rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(t, "value"))
			}
		}
		numbers := 0
		for i := range rapid.IntRange(0, 40).Draw(t, "rows") {
			n := fmt.Sprintf("%d-%s", i, name.Draw(t, "server")) // each has its own
			rows.Add([]byte(Labels("server", n)))
			for _, c := range []*Column{total, odd} {
				if d := digits.Draw(t, "number"); IsNumber([]byte(d)) {
					c.Number([]byte(d))
					numbers++
				} else {
					c.Number(nil)
				}
			}
			status.State(rapid.IntRange(NoneOf, 2).Draw(t, "place"))
			numbers += len(states)
		}
		page := Page{Sheets: []*Sheet{s}}
		text := answered(t, page, "", "identity")
		if len(text) != numbers+len(singles) {
			t.Errorf("%d series, want %d and %d: %v", len(text), numbers, len(singles), text)
		}
		for _, accept := range []string{"text/plain", "application/openmetrics-text;version=1.0.0", "application/openmetrics-text;version=0.0.1", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
			for _, encoding := range []string{"identity", "gzip"} {
				if diff := cmp.Diff(text, answered(t, page, accept, encoding), cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("%s, %s (-text +this):\n%s", accept, encoding, diff)
				}
			}
		}
	})
}

// A page that can't be written is an error of ours, and no empty answer: the
// device would look as if it had nothing to say.
func TestAPageThatCantBeWrittenIsAnError(t *testing.T) {
	s := NewSheet()
	s.Family("no name", Gauge, "A.")
	s.Value("", "", 1)
	nameless := Page{Gathered: []*dto.MetricFamily{{}}}
	for accept, bad := range map[string]Page{
		"": nameless, "application/openmetrics-text;version=1.0.0": nameless,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": {Sheets: []*Sheet{s}},
	} {
		for _, encoding := range []string{"identity", "gzip"} {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Header.Set("Accept", accept)
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			if err := bad.Answer(w, r); err == nil || w.Code != http.StatusInternalServerError || w.Header().Get("Content-Encoding") != "" {
				t.Errorf("%s, %s: %v, status %d, %v", accept, encoding, err, w.Code, w.Header())
			}
		}
	}
}
