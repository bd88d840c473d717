package exporter

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/sluice-project/sluice/test/loopback"
)

// prometheuses are Prometheus' own words for what it wants of a scrape.
// Source: scrape/scrape.go of 2.42.0, scrape/scrape.go and config/config.go of 3.6.0.
var prometheuses = []struct{ name, accept, wantType string }{
	{
		"2.42", "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
	},
	{
		"2.42 with native histograms", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
	},
	{
		"3", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
	},
	{
		"3 with native histograms", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
	},
	{
		"3 with the oldest OpenMetrics", "application/openmetrics-text;version=0.0.1;q=0.6,*/*;q=0.5",
		"application/openmetrics-text; version=0.0.1; charset=utf-8",
	},
	{"3 with text alone", "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4", ""},
	{"plain text", "text/plain;version=0.0.4;q=0.6,*/*;q=0.5", "text/plain; version=0.0.4; charset=utf-8"},
	{"somebody who wants nothing in particular", "", "text/plain; version=0.0.4; charset=utf-8"},
}

// scraped asks a handler as a Prometheus does.
func scraped(t *testing.T, h http.Handler, path, accept, encoding string) (contentType string, body []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", encoding)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var from io.Reader = w.Body
	if got := w.Header().Get("Content-Encoding"); got == "gzip" {
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		from = z
	} else if encoding == "gzip" {
		t.Errorf("Content-Encoding %q, want gzip", got)
	}
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return w.Header().Get("Content-Type"), body
}

// A reading is what Prometheus makes of an answer.
type reading struct {
	series map[string]float64 // by name and labels
	native map[string]*histogram.Histogram
	types  map[string]string // by the metric's name in that format
}

// read has Prometheus' own parser read an answer, as its scrapes do.
func read(t *testing.T, contentType string, body []byte) reading {
	t.Helper()
	p, err := textparse.New(body, contentType, "", true, false, false, labels.NewSymbolTable())
	if err != nil {
		t.Fatalf("%s: %v", contentType, err)
	}
	out := reading{map[string]float64{}, map[string]*histogram.Histogram{}, map[string]string{}}
	take := func() string {
		var l labels.Labels
		p.Labels(&l)
		if name, twice := l.HasDuplicateLabelNames(); twice {
			t.Errorf("%s: label %s twice: %s", contentType, name, l)
		}
		if !l.IsValid(0) {
			t.Errorf("%s: no valid name or label: %s", contentType, l)
		}
		return l.String()
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", contentType, err)
		}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			if _, twice := out.types[string(name)]; twice {
				t.Errorf("%s: two types of %s", contentType, name)
			}
			out.types[string(name)] = string(kind)
		case textparse.EntrySeries:
			_, at, v := p.Series()
			key := take()
			if _, twice := out.series[key]; twice || at != nil {
				t.Errorf("%s: %s: twice, or with a time of its own", contentType, key)
			}
			out.series[key] = v
		case textparse.EntryHistogram:
			_, _, h, _ := p.Histogram()
			out.native[take()] = h
		}
	}
}

// wantAlike asks in every format and with every encoding, and wants the same
// series and values of them all. Values of moving metrics may differ.
func wantAlike(t *testing.T, h http.Handler, path string, moving ...string) map[string]reading {
	t.Helper()
	contentType, body := scraped(t, h, path, "", "identity")
	want := read(t, contentType, body)
	if len(want.series) == 0 {
		t.Fatal("there are no series")
	}
	all := make(map[string]reading)
	for _, p := range prometheuses {
		for _, encoding := range []string{"identity", "gzip"} {
			contentType, body := scraped(t, h, path, p.accept, encoding)
			if p.wantType != "" && !strings.HasPrefix(contentType, p.wantType) {
				t.Errorf("%s: Content-Type %q, want %q", p.name, contentType, p.wantType)
			}
			open := strings.Contains(contentType, "openmetrics")
			if end := []byte("\n# EOF\n"); open != bytes.HasSuffix(body, end) || open && bytes.Count(body, end) > 1 {
				t.Errorf("%s: %q ends with %q", p.name, contentType, body[max(0, len(body)-20):])
			}
			got := read(t, contentType, body)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want.series)), slices.Sorted(maps.Keys(got.series))); diff != "" {
				t.Errorf("%s, %s: series (-text +this):\n%s", p.name, encoding, diff)
			}
			if diff := cmp.Diff(want.series, got.series, still(moving), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("%s, %s: values (-text +this):\n%s", p.name, encoding, diff)
			}
			wantTypes(t, p.name, want.types, got.types, open)
			all[p.name] = got
		}
	}
	return all
}

// still leaves out the values of metrics whose names begin like that.
func still(moving []string) cmp.Option {
	return cmpopts.IgnoreMapEntries(func(key string, _ float64) bool {
		return slices.ContainsFunc(moving, func(m string) bool { return strings.Contains(key, `__name__="`+m) })
	})
}

// wantTypes wants the text's types. In OpenMetrics a counter's family has no
// "_total", and a counter that is called otherwise is unknown.
func wantTypes(t *testing.T, name string, text, got map[string]string, open bool) {
	t.Helper()
	want := text
	if open {
		want = make(map[string]string)
		for metric, kind := range text {
			stem, ok := strings.CutSuffix(metric, "_total")
			switch {
			case kind == "counter" && ok:
				metric = stem
			case kind == "counter", kind == "untyped":
				kind = "unknown"
			}
			want[metric] = kind
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: types (-text +this):\n%s", name, diff)
	}
}

// moving are our own metrics whose values differ from one scrape to the next.
var moving = []string{"sluice_device_read_duration_seconds", "sluice_haproxy_reads_total", "sluice_probe_verdict_age", "sluice_probe_last_run"}

// hostile are names that a device may have by malice or by mistake.
var hostile = []string{
	`quo"te`, `back\slash`, `back\`, "line\nbreak", "bad\xffbytes\xc3", `a"} 1`, "x\n# EOF\ny 1", "comma,comma", "ключ", "\x00\x01", "# HELP a b",
	`{a="b"}`, "tab\there", "cr\rhere", "\u2028", "'", "\xed\xa0\x80",
}

func TestHostileNamesAreSeriesInEveryFormat(t *testing.T) {
	say := haproxy("shop", "app1")
	d := listen(t, func(command string) string {
		text := say(command)
		switch {
		case strings.HasPrefix(command, "show stat"):
			text = strings.TrimSuffix(text, "\n")
			for _, n := range hostile {
				for _, row := range []string{",FRONTEND,,3,OPEN,,,,0,,7,,2,\n", "," + csvField(n) + ",,3,OPEN,,,,3,,7,,,\n", "," + csvField(n) + ",0,3,UP,1,1,0,2,L7OK,5,,1,\n", ",BACKEND,0,3,UP,1,1,0,1,,7,,,\n"} {
					text += csvField(n) + row
				}
			}
			text += "\n"
		case command == "show table":
			text = "# table: a\"b\\c\xff, type: i\"p, size:10, used:3\n\n"
		case command == "show info":
			text = strings.Replace(text, "2.6.12", `2.6"\`+"\xff", 1)
		}
		return text
	})
	e, _, _ := newExporter(t, "{}", map[string]string{`edge1`: d.path}, nil)
	t.Cleanup(e.generation().devices[0].Close)
	for _, path := range []string{"/metrics?extra-counters=", "/scrape?device=edge1&extra-counters="} {
		h := e.Metrics()
		if strings.HasPrefix(path, "/scrape") {
			h = e.Scrape()
		}
		got := wantAlike(t, h, path, moving...)["2.42"]
		for _, n := range hostile {
			n = strings.ToValidUTF8(n, "\uFFFD")
			l := labels.FromStrings("__name__", "haproxy_server_current_sessions", "proxy", n, "server", n)
			if strings.HasPrefix(path, "/metrics") {
				l = labels.NewBuilder(l).Set("device", "edge1").Labels()
			}
			if v, ok := got.series[l.String()]; !ok || v != 3 {
				t.Errorf("%s: no series %s of value 3", path, l)
			}
		}
		for name, want := range map[string]string{"haproxy_frontend_sessions": "counter", "haproxy_frontend_h1_open_conns": "gauge"} {
			if got.types[name] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got.types[name], want)
			}
		}
	}
}

// Durations of probes are classic histograms in every format, and native ones
// besides where the format has them.
func TestHistogramsAreNativeWherePrometheusCanReadThem(t *testing.T) {
	member := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer member.Close()
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	e, _, _ := newExporter(t, `
modules:
  health: {prober: http, timeout: 1s}
probes:
  - {name: shop, module: health, interval: 50ms, fast_retry: 20ms, targets: ['`+member.URL+`', 'http://`+nobody+`']}
`, map[string]string{"edge1": "/nowhere"}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	poll(t, "both were probed", func() bool {
		_, text := get(t, e.Metrics(), "/metrics")
		return strings.Contains(text, `sluice_probe_up{probe="shop",target="http://`+nobody+`",device="",pool="",member=""} 0`) &&
			strings.Contains(text, `sluice_probe_up{probe="shop",target="`+member.URL+`",device="",pool="",member=""} 1`)
	})
	cancel() // so that figures stand still
	running.Wait()

	for name, got := range wantAlike(t, e.Metrics(), "/metrics", moving...) {
		for _, metric := range []string{"sluice_probe_run_duration_seconds", "sluice_probe_lag_seconds"} {
			var classic, native float64
			for key, v := range got.series {
				if strings.Contains(key, `__name__="`+metric+`_count"`) {
					classic += v
				}
			}
			for key, h := range got.native {
				if strings.Contains(key, `__name__="`+metric+`"`) {
					native += float64(h.Count)
				}
			}
			if classic == 0 {
				t.Errorf("%s: %s has no classic buckets", name, metric)
			}
			if want := map[bool]float64{true: classic}[strings.Contains(name, "native")]; native != want {
				t.Errorf("%s: %s has %v native observations, want %v", name, metric, native, want)
			}
		}
		for key, v := range got.series {
			if math.IsNaN(v) {
				t.Errorf("%s: %s is NaN", name, key)
			}
		}
	}
}
