package collect

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

// startHAProxy starts the real one with a socket of level user, which is all that
// reading takes, and returns its device, named edge1, and one that may change it.
func startHAProxy(tb testing.TB, config string) (d, admin *fleet.Device) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "user.sock")
	r := haproxytest.StartReal(tb, fmt.Sprintf("global\n  nbthread 1\n  stats socket %s level user\n", socket)+config)
	return device(tb, "edge1", socket), device(tb, "edge1", r.Socket)
}

// device is one of kind haproxy; nobody has to listen at its socket.
func device(tb testing.TB, name, socket string) *fleet.Device {
	tb.Helper()
	f, err := fleet.New(fleet.Configs{{Name: name, HAProxy: &fleet.HAProxy{Address: socket}}}, fleet.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	d, _ := f.Device(name)
	return d
}

// poll waits until ok, ten seconds at most.
func poll(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited ten seconds and more: %s", what)
		}
	}
}

// write returns the metrics of the devices, as text.
func write(tb testing.TB, devices ...*fleet.Device) string {
	tb.Helper()
	var all []*Collector
	for _, d := range devices {
		c, err := New(d)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(c.Close)
		all = append(all, c)
	}
	return written(tb, All(tb.Context(), all, Cut{}))
}

func parse(tb testing.TB, text string) map[string]*dto.MetricFamily {
	tb.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return families
}

// moving are the metrics whose values change between two questions, if only
// because a question was asked. Their names, types and labels are compared all
// the same.
var moving = []string{
	"haproxy_process_uptime_seconds", "haproxy_process_current_connections", "haproxy_process_connections_total",
	"haproxy_process_requests_total", "haproxy_process_current_connection_rate", "haproxy_process_max_connection_rate",
	"haproxy_process_current_session_rate", "haproxy_process_max_session_rate", "haproxy_process_current_tasks",
	"haproxy_process_current_run_queue", "haproxy_process_idle_time_percent", "haproxy_process_jobs",
	"haproxy_process_bytes_out_total", "haproxy_process_bytes_out_rate", "haproxy_process_pool_allocated_bytes",
	"haproxy_process_pool_used_bytes", "haproxy_server_check_last_change_seconds", "haproxy_backend_check_last_change_seconds",
	"haproxy_server_downtime_seconds_total", "haproxy_backend_downtime_seconds_total",
	"haproxy_server_last_session_seconds", "haproxy_backend_last_session_seconds",
}

// differs says which series are deliberately not those of HAProxy's own
// exporter; haproxy.go says why.
func differs(series string, value float64) bool {
	name, labels, _ := strings.Cut(series, "{")
	switch name {
	case "haproxy_server_check_code":
		return value == 0
	case "haproxy_server_check_duration_seconds", "haproxy_backend_agg_check_status":
		return strings.Contains(labels, `proxy="resting"`)
	}
	return math.IsNaN(value)
}

func TestHAProxysOwnExporterHasTheSameSeries(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fine") }))
	defer good.Close()
	page := address(t)
	d, admin := startHAProxy(t, fmt.Sprintf(`
frontend own
  bind %[1]s
  option socket-stats
  http-request use-service prometheus-exporter if { path /metrics }
frontend lines
  mode tcp
  bind %[2]s
  default_backend lines
backend shop
  option httpchk
  balance roundrobin
  server app1 %[3]s check inter 50ms fastinter 50ms
  server app2 %[4]s check inter 50ms fastinter 50ms downinter 50ms
  server app3 %[3]s disabled
  server app4 %[3]s maxconn 5 weight 0
  server app5 %[3]s check inter 50ms slowstart 1h backup pool-max-conn 7
  server BACKEND %[4]s maxqueue 9
  server app6 %[3]s check inter 50ms
  server app7 %[3]s
backend resting
  option httpchk
  server app8 %[3]s check inter 50ms
backend lines
  mode tcp
  server line1 %[4]s
backend nobody
listen all
  bind %[5]s name door
  maxconn 77
  rate-limit sessions 1000
  stick-table type ip size 10 store conn_cur
  server app1 %[3]s track shop/app1
  server app6 %[3]s track shop/app6
  server app8 %[3]s track resting/app8
`, page, address(t), good.Listener.Addr(), address(t), address(t)))
	poll(t, "the checks have results", func() bool {
		text := write(t, d)
		return strings.Count(text, `,state="L7OK"} 1`) >= 4 &&
			strings.Contains(text, `haproxy_server_status{device="edge1",proxy="shop",server="app2",state="DOWN"} 1`)
	})
	for m, to := range map[edge.Member]edge.Admin{
		{Device: "edge1", Pool: "shop", Name: "app6"}:    edge.Drain,
		{Device: "edge1", Pool: "shop", Name: "app7"}:    edge.Drain,
		{Device: "edge1", Pool: "resting", Name: "app8"}: edge.Maint,
	} {
		if _, err := admin.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: m, To: to}}}); err != nil {
			t.Fatal(err)
		}
	}

	// A check that ends between the two questions makes a difference of one: ask again.
	var diff string
	for range 10 {
		ours := write(t, d)
		if diff = compare(t, ask(t, "http://"+page+"/metrics"), ours); diff == "" {
			wantSound(t, ours)
			return
		}
	}
	t.Errorf("HAProxy's own exporter (-) and ours (+):\n%s", diff)
}

// The same after traffic that ended in every way.
func TestHAProxysOwnExporterHasTheSameSeriesAfterTraffic(t *testing.T) {
	b := startBusy(t)
	b.still(t)
	d := b.device(t, fleet.ProfileBuiltin)
	var diff string
	for range 10 {
		ours := write(t, d)
		if diff = compare(t, ask(t, "http://"+b.own+"/metrics"), ours); diff == "" {
			return
		}
	}
	t.Errorf("HAProxy's own exporter (-) and ours (+):\n%s", diff)
}

// compare returns the differences that are not deliberate.
func compare(t *testing.T, theirText, ourText string) string {
	theirs, ours := parse(t, theirText), parse(t, ourText)
	want, got := make(map[string]string), make(map[string]string)
	for name, f := range theirs {
		for _, m := range f.GetMetric() {
			if s := series(name, m); !differs(s, value(m)) {
				want[s] = shown(name, f, m)
			}
		}
	}
	for name, f := range ours {
		for _, m := range f.GetMetric() {
			if s := series(name, m); strings.HasPrefix(name, "haproxy_") && !isLater(name) && !differs(s, 1) {
				got[s] = shown(name, f, m)
			}
		}
	}
	if len(want) < 500 {
		t.Fatalf("HAProxy's own exporter gave %d series only:\n%s", len(want), theirText)
	}
	return cmp.Diff(want, got)
}

// isLater says that newer versions of HAProxy's own exporter have the metric, and not the one at hand.
func isLater(name string) bool {
	if name == nodeInfo.name {
		return true
	}
	return slices.ContainsFunc(haproxyObjects, func(o haproxyObject) bool {
		return slices.ContainsFunc(columns, func(c column) bool {
			return c.later && strings.Contains(c.on, o.letter) && name == "haproxy_"+o.name+"_"+c.name
		})
	})
}

// shown is a series' type, and its value where two questions get the same one.
func shown(name string, f *dto.MetricFamily, m *dto.Metric) string {
	s := series(name, m)
	average := strings.HasSuffix(name, "_time_average_seconds") // haproxy.go says why
	if average || slices.Contains(moving, name) || strings.Contains(s, `proxy="own"`) || strings.Contains(s, `proxy="pace"`) {
		return f.GetType().String()
	}
	return fmt.Sprintf("%s %g", f.GetType(), value(m))
}

func value(m *dto.Metric) float64 {
	return m.GetGauge().GetValue() + m.GetCounter().GetValue() // the other one is nil, so 0
}

// series names a series without the label that only we have.
func series(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		if l.GetName() != "device" {
			labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
	}
	slices.Sort(labels)
	return name + "{" + strings.Join(labels, ",") + "}"
}

func ask(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return string(text)
}

// address returns a free address; nobody listens there.
func address(t *testing.T) string {
	t.Helper()
	a, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return a
}
