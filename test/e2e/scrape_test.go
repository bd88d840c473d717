package e2e

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// scrapeJobs stand below the documented job, whose targets are devices: the same
// with a cut, the exporter itself, and what each HAProxy says of itself.
const scrapeJobs = `
  - job_name: cut
    metrics_path: /scrape
    params: {scope: [server], no-maint: ['']}
    static_configs: [{targets: [edge1, edge2]}]
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_device}
      - {source_labels: [__param_device], target_label: instance}
      - {target_label: __address__, replacement: 'EXPORTER'}
  - job_name: exporter
    static_configs: [{targets: ['EXPORTER']}]
  - job_name: builtin
    static_configs:
      - {targets: ['PAGE1'], labels: {instance: edge1}}
      - {targets: ['PAGE2'], labels: {instance: edge2}}
`

// A real Prometheus has two real HAProxys as targets of one job, as the docs have
// it, in both formats that it may choose. What it stores of them is what it stores
// of the HAProxys' own exporters.
func TestPrometheusScrapesDevicesAsTargets(t *testing.T) {
	t.Parallel()
	member := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(member.Close)
	var pages, sockets []string
	for _, pool := range []string{"shop", "api"} {
		page, err := loopback.Address()
		if err != nil {
			t.Fatal(err)
		}
		hap := haproxytest.StartReal(t, fmt.Sprintf(`
frontend page
  bind %[1]s
  http-request use-service prometheus-exporter if { path /metrics }
backend %[2]s
  stick-table type ip size 10
  server app1 %[3]s weight 7
  server app2 %[3]s weight 9 disabled
`, page, pool, member.Listener.Addr()))
		pages, sockets = append(pages, page), append(sockets, hap.Socket)
	}
	dir := t.TempDir()
	exporter := startProber(t, dir, "exporter", sluice, fmt.Sprintf(`
devices:
  - {name: edge1, haproxy: {address: %s}}
  - {name: edge2, haproxy: {address: %s}}
modules:
  health: {prober: http, timeout: 1s}
probes:
  - {name: shop, module: health, interval: 1s, members: {pool: shop, member: app1}}
`, sockets[0], sockets[1]), "/-/ready", "exporter")
	at := strings.TrimPrefix(exporter, "http://")
	jobs := documentedJob(t, "../../docs/configuration.md") + scrapeJobs
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s}\n" + strings.NewReplacer(
		"127.0.0.1:9101", at, "EXPORTER", at, "PAGE1", pages[0], "PAGE2", pages[1]).Replace(jobs)

	for name, features := range map[string][]string{"text": nil, "protobuf": {"--enable-feature=native-histograms"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			address := startProber(t, dir, "prometheus", "prometheus", config, "/-/ready",
				append(features, "--storage.tsdb.path="+dir+"/data", "--log.level=warn")...)
			p, err := rig.PrometheusAt(address)
			if err != nil {
				t.Fatal(err)
			}
			wantStored(t, p, name == "protobuf")
		})
	}
}

// documentedJob is the text of the scrape job in the docs.
func documentedJob(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, job, found := strings.Cut(string(text), "    scrape_configs:\n      - job_name: haproxy\n")
	job, _, ended := strings.Cut(job, "\n\n")
	if !found || !ended {
		t.Fatalf("%s has no job named haproxy", path)
	}
	return "scrape_configs:\n  - job_name: haproxy\n" + strings.ReplaceAll("\n"+job, "\n    ", "\n")[1:] + "\n"
}

// standsStill leaves out what differs from one question to the next, and what
// HAProxy's own exporter has a 0 for where nothing is to be said.
const standsStill = `__name__=~"haproxy_.*",__name__!~"haproxy_process_.*|.*_last_.*|.*_(downtime|check)_.*|haproxy_(frontend|listener)_.*"`

func wantStored(t *testing.T, p *rig.Prometheus, native bool) {
	t.Helper()
	ctx := t.Context()
	await := func(what string, check func(ctx context.Context) error) {
		t.Helper()
		if err := rig.Await(ctx, outWithin, what, check); err != nil {
			t.Fatal(err)
		}
	}
	await("all targets to be scraped", func(ctx context.Context) error {
		up, err := stored(ctx, p, "up")
		if err != nil {
			return err
		}
		want := map[string]float64{}
		for _, job := range []string{"haproxy", "cut", "builtin"} {
			for _, instance := range []string{"edge1", "edge2"} {
				want[fmt.Sprintf(`up{instance=%q, job=%q}`, instance, job)] = 1
			}
		}
		ours := cmpopts.IgnoreMapEntries(func(key string, v float64) bool { return strings.Contains(key, `job="exporter"`) && v == 1 })
		if diff := cmp.Diff(want, up, ours); diff != "" || len(up) != len(want)+1 {
			return fmt.Errorf("up (-want +got):\n%s", diff)
		}
		return nil
	})
	await("HAProxy's series, as its own exporter has them", func(ctx context.Context) error {
		theirs, err := stored(ctx, p, `{job="builtin",`+standsStill+`}`)
		if err != nil {
			return err
		}
		ours, err := stored(ctx, p, `{job="haproxy",`+standsStill+`}`)
		if err != nil {
			return err
		}
		want, got := map[string]float64{}, map[string]float64{}
		for key, v := range theirs {
			if math.IsNaN(v) {
				continue // it doesn't apply, and we leave it out
			}
			key = strings.Replace(key, `job="builtin"`, `job="haproxy"`, 1)
			want[key], got[key] = v, -1
			if o, ok := ours[key]; ok {
				got[key] = o
			}
		}
		if len(want) < 100 {
			return fmt.Errorf("%d series only", len(want))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})

	for query, want := range map[string][]string{
		`haproxy_server_weight{job!="exporter"}`: {
			`{instance="edge1", job="cut", proxy="shop", server="app1"} 7`, `{instance="edge2", job="cut", proxy="api", server="app1"} 7`,
			`{instance="edge1", job="haproxy", proxy="shop", server="app1"} 7`, `{instance="edge1", job="haproxy", proxy="shop", server="app2"} 9`,
			`{instance="edge2", job="haproxy", proxy="api", server="app1"} 7`, `{instance="edge2", job="haproxy", proxy="api", server="app2"} 9`,
		},
		`sluice_device_up{job!="exporter"}`: {
			`{instance="edge1", job="cut", kind="haproxy"} 1`, `{instance="edge2", job="cut", kind="haproxy"} 1`,
			`{instance="edge1", job="haproxy", kind="haproxy"} 1`, `{instance="edge2", job="haproxy", kind="haproxy"} 1`,
		},
		`{job=~"cut|haproxy",device!=""}`: nil,
		`{job="cut",__name__=~"haproxy_(process|frontend|backend|listener|sticktable)_.*"}`: nil,
		`haproxy_sticktable_size{job="haproxy"}`: {
			`{instance="edge1", job="haproxy", name="shop", type="ip"} 10`, `{instance="edge2", job="haproxy", name="api", type="ip"} 10`,
		},
	} {
		got, err := stored(ctx, p, query+` unless {job="builtin"}`)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for key, v := range got {
			_, labels, _ := strings.Cut(key, "{")
			lines = append(lines, fmt.Sprintf("{%s %g", labels, v))
		}
		slices.Sort(lines)
		slices.Sort(want)
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}

	// Where it can have native buckets, this Prometheus stores no classic ones.
	durations := `sluice_probe_run_duration_seconds_count{job="exporter",probe="shop"}`
	if native {
		durations = `histogram_count(sluice_probe_run_duration_seconds{job="exporter",probe="shop"})`
	}
	await("durations of probes", func(ctx context.Context) error {
		got, err := stored(ctx, p, durations+" > 0")
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("%s: %d series, want one", durations, len(got))
		}
		return err
	})
	for _, metric := range []string{"prometheus_target_scrapes_sample_duplicate_timestamp_total", "prometheus_target_scrapes_sample_out_of_order_total", "prometheus_target_scrapes_sample_out_of_bounds_total"} {
		if dropped, series, err := rig.Value(ctx, p.URL, metric, nil); err != nil || series != 1 || dropped != 0 {
			t.Errorf("%s: %v in %d series, %v", metric, dropped, series, err)
		}
	}
}

// stored are the series that a query finds, by their labels.
func stored(ctx context.Context, p *rig.Prometheus, query string) (map[string]float64, error) {
	vector, err := p.Vector(ctx, query)
	if err != nil {
		return nil, err
	}
	all := make(map[string]float64, len(vector))
	for _, s := range vector {
		all[s.Metric.String()] = float64(s.Value)
	}
	return all, nil
}
