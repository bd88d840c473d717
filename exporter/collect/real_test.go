package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/test/loopback"
)

// startHAProxy starts Debian's HAProxy with a stats socket and what config adds,
// and returns its process and its device, named edge1.
func startHAProxy(tb testing.TB, config string) (*exec.Cmd, *fleet.Device) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "admin.sock")
	file := filepath.Join(dir, "haproxy.cfg")
	config = fmt.Sprintf("global\n  nbthread 1\n  stats socket %s level user\n", socket) + config
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start haproxy (install Debian's package haproxy): %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("haproxy said:\n%s", said.String())
		}
		_ = os.RemoveAll(dir)
	})
	f, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{Address: socket}}}, fleet.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	d, _ := f.Device("edge1")
	poll(tb, "haproxy answers", func() bool { _, err := d.HAProxy().Info(tb.Context()); return err == nil })
	return cmd, d
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
	return written(tb, All(tb.Context(), all))
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

// differs says why we deliberately don't write a series of HAProxy's own exporter.
func differs(name string, value float64) string {
	switch {
	case math.IsNaN(value):
		return "we leave out what doesn't apply"
	case strings.HasPrefix(name, "haproxy_sticktable_"):
		return "comes from another command"
	case name == "haproxy_server_check_code" && value == 0:
		return "a check that got no code has none"
	}
	return ""
}

func TestHAProxysOwnExporterHasTheSameSeries(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fine") }))
	defer good.Close()
	page := address(t)
	_, d := startHAProxy(t, fmt.Sprintf(`
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 1s
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
`, page, address(t), good.Listener.Addr(), address(t), address(t)))
	settled := func() bool {
		text := write(t, d)
		return strings.Contains(text, `haproxy_server_check_status{device="edge1",proxy="shop",server="app1",state="L7OK"} 1`) &&
			strings.Contains(text, `haproxy_server_status{device="edge1",proxy="shop",server="app2",state="DOWN"} 1`)
	}
	poll(t, "the checks have results", settled)

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

// compare returns the differences that are not deliberate.
func compare(t *testing.T, theirText, ourText string) string {
	theirs, ours := parse(t, theirText), parse(t, ourText)
	want, got := make(map[string]string), make(map[string]string)
	for name, f := range theirs {
		for _, m := range f.GetMetric() {
			if differs(name, value(m)) == "" {
				want[series(name, m)] = shown(name, f, m)
			}
		}
	}
	for name, f := range ours {
		for _, m := range f.GetMetric() {
			if strings.HasPrefix(name, "haproxy_") {
				got[series(name, m)] = shown(name, f, m)
			}
		}
	}
	if len(want) < 500 {
		t.Fatalf("HAProxy's own exporter gave %d series only:\n%s", len(want), theirText)
	}
	return cmp.Diff(want, got)
}

// shown is a series' type, and its value where two questions get the same one.
func shown(name string, f *dto.MetricFamily, m *dto.Metric) string {
	if slices.Contains(moving, name) || strings.Contains(series(name, m), `proxy="own"`) {
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
