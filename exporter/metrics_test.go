package exporter

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/exporter/promtext"
	"github.com/sluice-project/sluice/exporter/schedule"
)

func TestProbesAsMetrics(t *testing.T) {
	good := schedule.Outcome{Up: true, Duration: 1500 * time.Microsecond}
	bad := schedule.Outcome{Reason: probe.Body, Duration: 2 * time.Millisecond}
	var failures schedule.Failures
	failures.Count(probe.Body, 2)
	failures.Count(probe.DNS, 1)
	member := func(name string) schedule.Key {
		return schedule.Key{Probe: "shop", Target: "http://192.0.2.1/", Member: edge.Member{Device: "edge1", Pool: "shop", Name: name}}
	}
	var out strings.Builder
	w := promtext.NewSheet()
	writeProbes(w, []schedule.Status{
		{Key: member("app1"), Known: true, Last: good, Up: edge.Yes, Runs: 7},
		{Key: member("app2"), Known: true, Last: bad, Up: edge.No, Runs: 3, Late: 1, Failures: failures},
		{Key: member("app3")},
		{Key: schedule.Key{Probe: "site", Target: `http://192.0.2.1/"x"`}, Known: true, Last: bad, Up: edge.Yes, Runs: 1},
	})
	if err := (promtext.Page{Sheets: []*promtext.Sheet{w}}).WriteText(&out, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "probes.prom"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
	problems, err := promlint.New(strings.NewReader(out.String())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
}

// silent starts a device that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close(); _ = os.RemoveAll(dir) })
	return path
}

func TestAScrapeEndsInTimeWhateverDevicesDo(t *testing.T) {
	e, _, _ := newExporter(t, shop, map[string]string{"edge1": silent(t), "edge2": "/nowhere"}, nil)
	c := prometheus.NewGauge(prometheus.GaugeOpts{Name: "of_the_program", Help: "Something of the program's own."})
	e.registry.MustRegister(c)
	began := time.Now()
	code, text := get(t, e.Metrics(), "/metrics", timeoutHeader, "0.4")
	took := time.Since(began)
	if code != http.StatusOK || took > 3*time.Second {
		t.Errorf("status %d after %s", code, took)
	}
	for _, line := range []string{
		"of_the_program 0",
		`sluice_device_up{device="edge1",kind="haproxy"} 0`,
		`sluice_device_up{device="edge2",kind="haproxy"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	for _, s := range e.generation().devices {
		s.Close()
	}
}

func TestAScrapeMayBeCompressed(t *testing.T) {
	e, _, _ := newExporter(t, "{}", nil, nil)
	e.registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "of_the_program", Help: "Something."}))
	want := "# HELP of_the_program Something.\n# TYPE of_the_program gauge\nof_the_program 0\n"
	for range 2 { // the second one uses the first one's compressor
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		e.Metrics().ServeHTTP(w, r)
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil || string(text) != want {
			t.Errorf("got %q, %v", text, err)
		}
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
			t.Errorf("Content-Type %q", got)
		}
	}
}

// One exporter is scraped, reloaded and looked at all at the same time.
func TestAllAtOnce(t *testing.T) {
	e, c, f := newExporter(t, shop, map[string]string{"edge1": "/nowhere"}, nil)
	start(t, e)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ended := make(chan struct{})
	for _, h := range []http.Handler{e.Metrics(), e.Landing(), e.Metrics()} {
		go func() {
			defer func() { ended <- struct{}{} }()
			for ctx.Err() == nil {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}
		}()
	}
	for ctx.Err() == nil {
		if err := e.Apply(c, f); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		<-ended
	}
}
