package collect

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
)

// startExporter starts Debian's haproxy_exporter beside a HAProxy and returns
// the URL of its metrics.
func startExporter(t *testing.T, socket string) string {
	t.Helper()
	path, err := exec.LookPath("prometheus-haproxy-exporter")
	if err != nil {
		t.Fatal("haproxy_exporter isn't installed: apt-get install prometheus-haproxy-exporter, or make deps")
	}
	listen := address(t)
	cmd := exec.Command(path, "--web.listen-address="+listen, "--haproxy.scrape-uri=unix:"+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // by the signal
	})
	url := "http://" + listen + "/metrics"
	poll(t, "haproxy_exporter answers", func() bool {
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		_, err = io.Copy(io.Discard, res.Body)
		return res.Body.Close() == nil && err == nil && res.StatusCode == http.StatusOK
	})
	return url
}

// notIn014 are names of haproxy_exporter that 0.14 doesn't have: one is new in
// 0.15, the others are those before 0.11 and 0.9, which dashboards still use.
var notIn014 = []string{
	"haproxy_process_idle_time_percent",
	"haproxy_exporter_total_scrapes", "haproxy_exporter_csv_parse_failures", "haproxy_server_check_duration_milliseconds",
	"haproxy_server_connections_total", "haproxy_backend_connections_total",
}

// The profile exporter has the series of the real haproxy_exporter 0.14, with
// their values. What differs, and must:
//
//   - "up" is 1 for "UP 1/2" (of fall 2) and "DRAIN (agent)", which serve; there
//     they are 0, for it knows some literal texts only. Source: facts 2.4.
//   - haproxy_exporter_build_info and _scrapes_total tell of us.
//   - notIn014, and sluice_*.
func TestTheProfileExporterHasTheSeriesOfHAProxyExporter(t *testing.T) {
	b := startBusy(t)
	b.still(t)
	set(t, b, "agent", edge.Drain)
	set(t, b, "halfway", edge.Maint)
	set(t, b, "halfway", edge.Ready) // as if one check had failed: no further one comes for an hour
	url := startExporter(t, b.socket)
	theirs, ours := ask(t, url), write(t, b.device(t, fleet.ProfileExporter))
	wantSound(t, ours)
	want, got := map[string]string{}, map[string]string{}
	for _, side := range []struct {
		text string
		into map[string]string
	}{{theirs, want}, {ours, got}} {
		for name, f := range parse(t, side.text) {
			for _, m := range f.GetMetric() {
				if name == "haproxy_exporter_build_info" {
					m.Label = nil
				}
				if strings.HasPrefix(name, "haproxy_") && !slices.Contains(notIn014, name) {
					side.into[series(name, m)] = shownToExporter(name, f, m)
				}
			}
		}
	}
	for s, real := range map[string]string{
		`haproxy_server_up{backend="shop",server="halfway"}`: "GAUGE 0",
		`haproxy_server_up{backend="shop",server="agent"}`:   "GAUGE 0",
	} {
		if want[s] != real || got[s] != "GAUGE 1" {
			t.Errorf("%s is %s there and %s here, want %s and GAUGE 1", s, want[s], got[s], real)
		}
		delete(want, s)
		delete(got, s)
	}
	if len(want) < 200 {
		t.Fatalf("haproxy_exporter gave %d series only:\n%s", len(want), theirs)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("haproxy_exporter (-) and the profile exporter (+):\n%s", diff)
	}
	for _, name := range notIn014 {
		if !strings.Contains(ours, "\n"+name+"{") {
			t.Errorf("no %s", name)
		}
	}
}

// shownToExporter is [shown] where only one of the two tells of itself.
func shownToExporter(name string, f *dto.MetricFamily, m *dto.Metric) string {
	if strings.HasPrefix(name, "haproxy_exporter_") || strings.Contains(series(name, m), `backend="pace"`) || slices.Contains(moving, name) {
		return f.GetType().String()
	}
	return fmt.Sprintf("%s %g", f.GetType(), value(m))
}

// set puts a server of backend shop into a state as a person would.
func set(t *testing.T, b *busy, server string, to edge.Admin) {
	t.Helper()
	m := edge.Member{Device: "edge1", Pool: "shop", Name: server}
	if _, err := device(t, "edge1", b.Socket).Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: m, To: to}}}); err != nil {
		t.Fatal(err)
	}
}

// With the profile both, each series has the labels of both exporters, once;
// sums over either one agree, and nothing of either one is missing.
func TestTheProfileBothHasAllSeriesOnce(t *testing.T) {
	b := startBusy(t)
	b.still(t)
	texts := map[string]string{}
	all := map[string]map[string]string{}
	for _, profile := range []string{fleet.ProfileBuiltin, fleet.ProfileExporter, fleet.ProfileBoth} {
		texts[profile] = write(t, b.device(t, profile))
		wantSound(t, texts[profile])
		all[profile] = map[string]string{}
		for name, f := range parse(t, texts[profile]) {
			for _, m := range f.GetMetric() {
				s := series(name, m)
				if strings.HasPrefix(name, "sluice_") || strings.Contains(s, `"pace"`) || profile == fleet.ProfileExporter && slices.Contains(notInBoth, s) {
					continue
				}
				all[profile][s] = shownToExporter(name, f, m)
			}
		}
	}
	for s := range all[fleet.ProfileBuiltin] {
		if labelOf(s, "backend")+labelOf(s, "frontend") != "" || strings.HasPrefix(s, "haproxy_server_up") {
			t.Errorf("%s is of the other profile", s)
		}
	}
	for s := range all[fleet.ProfileExporter] {
		if labelOf(s, "proxy") != "" || strings.HasPrefix(s, "haproxy_server_status") {
			t.Errorf("%s is of the other profile", s)
		}
	}
	seen := map[string]string{}
	for s, v := range all[fleet.ProfileBoth] {
		for _, old := range []string{"backend", "frontend"} {
			if proxy, name := labelOf(s, "proxy"), labelOf(s, old); name != "" && name != proxy {
				t.Errorf("%s: proxy and %s differ", s, old)
			}
		}
		if labelOf(s, "proxy") != "" && labelOf(s, "backend")+labelOf(s, "frontend") == "" {
			t.Errorf("%s has one label only", s)
		}
		seen[without(s, "proxy")], seen[without(s, "backend", "frontend")] = v, v
	}
	for _, profile := range []string{fleet.ProfileBuiltin, fleet.ProfileExporter} {
		if len(all[profile]) < 200 {
			t.Fatalf("profile %s has %d series only", profile, len(all[profile]))
		}
		for s, v := range all[profile] {
			if seen[s] != v {
				t.Errorf("%s is %q with the profile %s and %q with both", s, v, profile, seen[s])
			}
		}
	}
	for _, by := range []string{"proxy", "backend"} {
		sums := map[string]float64{}
		for _, m := range parse(t, texts[fleet.ProfileBoth])["haproxy_server_http_responses_total"].GetMetric() {
			sums[labelOf(series("", m), by)] += value(m)
		}
		if want := map[string]float64{"shop": 5, "pace": 0, "failing": 0}; !cmp.Equal(want, sums) {
			t.Errorf("sum by (%s): %v, want %v", by, sums, want)
		}
	}
}

// notInBoth are series that haproxy_exporter has of proxies in mode tcp, always 0,
// under names that HAProxy's own exporter has, too; there, they have none.
var notInBoth = []string{`haproxy_frontend_http_requests_total{frontend="lines"}`}

func labelOf(series, name string) string {
	_, rest, ok := strings.Cut(series, name+`="`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// without takes labels out of a series' name.
func without(series string, names ...string) string {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	kept := slices.DeleteFunc(strings.Split(labels, ","), func(l string) bool {
		key, _, _ := strings.Cut(l, "=")
		return slices.Contains(names, key)
	})
	return name + "{" + strings.Join(kept, ",") + "}"
}

// Modules' counters are none of haproxy_exporter's, whoever asks for them.
func TestProfileExporterHasNoCountersOfModules(t *testing.T) {
	r := record(t, "shop")
	text := cutTo(t, r.path, fleet.HAProxyMetrics{Profile: fleet.ProfileExporter, ExtraCounters: true}, "extra-counters")
	if strings.Contains(text, "h1_open_conns") || !strings.Contains(text, "haproxy_server_up{") {
		t.Error(text)
	}
	text = cutTo(t, r.path, fleet.HAProxyMetrics{Profile: fleet.ProfileBoth, ExtraCounters: true}, "")
	if !strings.Contains(text, "haproxy_server_h1_open_conns{") {
		t.Error(text)
	}
}
