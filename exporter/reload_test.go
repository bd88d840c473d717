package exporter

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-project/sluice/edge/fleet"
)

// Scrapes of every kind, reloads to other devices and back, and the end of it
// all come at the same time. Every answer is whole, and no read is left over.
func TestScrapesAndReloadsAtTheSameTime(t *testing.T) {
	one, two := listen(t, haproxy("shop", "app1")), listen(t, haproxy("shop", "app1", "app2"))
	e, c, both := newExporter(t, discovering, map[string]string{"edge1": one.path, "edge2": two.path}, nil)
	alone, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{Address: one.path, Metrics: fleet.HAProxyMetrics{Scope: []string{"server"}}}}}, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running, scraping sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})

	var ended, enough atomic.Bool // Run: devices may be down from then on; the test
	var scrapes atomic.Int64
	for i, path := range []string{"/metrics", "/metrics?scope=backend", "/scrape?device=edge1", "/scrape?device=edge2&no-maint", "/scrape?device=edge1&metrics=haproxy_server_status", "gatherer"} {
		scraping.Go(func() {
			for n := 0; !enough.Load(); n++ {
				scrapes.Add(1)
				if path == "gatherer" {
					if _, err := e.Gatherer().Gather(); err != nil {
						t.Error(err)
					}
					continue
				}
				h := e.Metrics()
				if strings.HasPrefix(path, "/scrape") {
					h = e.Scrape()
				}
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Accept", prometheuses[(i+n)%len(prometheuses)].accept)
				w := httptest.NewRecorder()
				before := ended.Load()
				h.ServeHTTP(w, r)
				switch {
				case w.Code == http.StatusNotFound && strings.Contains(path, "edge2"): // it is gone for a moment
				case w.Code != http.StatusOK:
					t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
				case len(read(t, w.Header().Get("Content-Type"), w.Body.Bytes()).series) == 0:
					t.Errorf("%s: no series", path)
				case !before && !ended.Load() && strings.Contains(w.Body.String(), `kind="haproxy"} 0`+"\n"):
					t.Errorf("%s: a device is down:\n%s", path, w.Body)
				}
			}
		})
	}
	const reloads = 60
	for n := range reloads {
		f := both
		if n%2 == 0 {
			f = alone
		}
		if err := e.Apply(c, f); err != nil {
			t.Error(err)
		}
		more := scrapes.Load() + 6
		poll(t, "scrapes under this configuration", func() bool { return scrapes.Load() >= more })
		if n == reloads*2/3 {
			ended.Store(true)
			cancel()
		}
	}
	enough.Store(true)
	scraping.Wait()
	running.Wait()
	for i, d := range []*device{one, two} {
		poll(t, fmt.Sprintf("nobody waits for edge%d", i+1), func() bool { _, open, _ := d.asked(); return open == 0 })
		if _, _, most := d.asked(); most > 2 {
			t.Errorf("edge%d had %d connections at once", i+1, most)
		}
	}
}
