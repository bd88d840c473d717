package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/dashboards"
	"github.com/sluice-project/sluice/test/rig"
)

// A panel without data looks like a system with nothing wrong. The loop runs with
// all kinds of devices, clients, HAProxy's own checks and a maintenance window; a
// member is out and another is refused.
func TestEveryQueryOfTheDashboardsFindsData(t *testing.T) {
	s := start(t, rig.Options{MinServing: "2", MaxHeld: 2, WAF: true, WAFPro: true, OwnChecks: true})
	clients := rig.StartTraffic(t.Context(), s.HAProxy.Front, 20*time.Millisecond)
	t.Cleanup(clients.Stop)
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app2", rig.Refuse)
	s.refused("min_serving", "app2") // now there is something of everything to see
	// What people put in the way of automation, where nothing happens in this test.
	elsewhere := map[string]any{"device": rig.Device, "pool": rig.Own}
	s.asks(http.MethodPost, "/api/v1/maintenance", map[string]any{
		"name": "rack-7", "members": elsewhere, "reason": "new cables",
		"from": time.Now().Add(-time.Minute).Format(time.RFC3339), "to": time.Now().Add(time.Hour).Format(time.RFC3339),
	})
	s.asks(http.MethodPost, "/api/v1/freeze", map[string]any{"device": rig.Device, "pool": rig.Own, "reason": "a release"})
	s.asks(http.MethodPost, "/api/v1/members/"+rig.Device+"/"+rig.Own+"/app3/claim", map[string]any{"reason": "a new disk"})
	queries, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	waf, err := dashboards.Of("ptaf.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(queries) == 0 || len(waf) == 0 {
		t.Fatal("the dashboards have no queries")
	}
	for _, q := range append(queries, waf...) {
		// What only clusters and broken upstreams have; dashboards has a test of these.
		if !strings.Contains(q.Expr, "ptaf_nodes_diverge") && !strings.Contains(q.Expr, "ptaf_upstream_refused") {
			s.finds(q, 10*time.Second)
		}
	}

	// What people do shows as marks, and what Sluice did.
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.must(s.HAProxy.Restart(t.Context())) // after that: it forgets, and there would be nothing to give back
	s.asks(http.MethodPost, "/api/v1/members/"+rig.Device+"/"+rig.Pool+"/app3/weight", map[string]any{"weight": 5, "reason": "a small machine"})
	marks, err := dashboards.Marks("pool.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range marks {
		switch q.Ref {
		case "Configuration read":
			s.must(s.Edit(t.Context(), "hold_down: 1s", "hold_down: 2s"))
		case "Steps that went wrong", "Steps only told of": // dashboards has a test of all these
			continue
		}
		// The counter of steps began with the test: ten minutes ago it wasn't there.
		s.finds(q, 10*time.Minute)
	}
}

// asks sends an order of a person, and wants it to be taken.
func (s scene) asks(method, path string, body any) {
	s.t.Helper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		s.must(err)
	}
	status, answer, err := rig.Do(s.t.Context(), method, s.Remediator.URL+path, text)
	s.must(err)
	if status/100 != 2 {
		s.t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
}

// finds wants the query to find something, with interval for Grafana's. What was
// counted just now may have to wait for the next scrape.
func (s scene) finds(q dashboards.Query, interval time.Duration) {
	s.t.Helper()
	expr := q.Resolve(interval)
	err := rig.Await(s.t.Context(), outWithin, q.String(), func(ctx context.Context) error {
		found, err := s.Prometheus.Vector(ctx, expr)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%s finds nothing", expr)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}
