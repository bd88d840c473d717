package exporter

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

// alive are metrics of a real HAProxy that change because somebody asked, or as time goes by.
var alive = append([]string{"haproxy_process_", "haproxy_backend_last", "haproxy_backend_check_last", "haproxy_server_check_last", "haproxy_backend_downtime", "haproxy_server_downtime"}, moving...)

// For one real HAProxy and its program: the objects are what the text says, in
// a registry's order, and hold to a registry's rules.
func TestObjectsAreWhatTheTextSays(t *testing.T) {
	door, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	hap := haproxytest.StartReal(t, fmt.Sprintf(`
listen shop
  bind %s name door
  option socket-stats
  stick-table type ip size 10 store conn_cur
  server app1 192.0.2.1:80 disabled
  server app2 192.0.2.2:80 weight 0
backend spare
  server app1 192.0.2.3:80
`, door))
	e, _, _ := newExporter(t, "{}", map[string]string{"edge1": hap.Socket, "edge2": "/nowhere"}, nil)
	asked := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "of_the_program_total", Help: "Something \"quoted\"."}, []string{"l"})
	asked.WithLabelValues("a\"b\\c\nd").Inc()
	e.registry.MustRegister(asked)
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "of_the_program_seconds", Help: "Something.", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	native.Observe(2)
	e.registry.MustRegister(native)

	contentType, body := scraped(t, e.Metrics(), "/metrics", "", "identity")
	want := read(t, contentType, body)
	// Gatherers hold what they gather to the rules that a registry has: every
	// series once, its labels in order, of its family's type.
	families, err := prometheus.Gatherers{e.Gatherer()}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Error(err)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not in order: %v", names)
	}
	got := read(t, contentType, text.Bytes())
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want.series)), slices.Sorted(maps.Keys(got.series))); diff != "" {
		t.Errorf("series (-text +objects):\n%s", diff)
	}
	if diff := cmp.Diff(want.types, got.types); diff != "" {
		t.Errorf("types (-text +objects):\n%s", diff)
	}
	if diff := cmp.Diff(want.series, got.series, still(alive), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("values (-text +objects):\n%s", diff)
	}
	if n := len(want.series); n < 300 {
		t.Errorf("%d series are compared only", n)
	}
	wantAlike(t, e.Metrics(), "/metrics", alive...)
	wantAlike(t, e.Metrics(), "/metrics?extra-counters=&no-maint=&scope=backend&scope=server", alive...)

	if code, text := get(t, e.Metrics(), "/metrics", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text"); code != http.StatusOK || !bytes.Contains([]byte(text), []byte("haproxy_server_status")) {
		t.Errorf("status %d: %.200s", code, text)
	}
}
