package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/sluice-project/sluice/test/rig"
)

// A rule whose expression can't be evaluated on real series is silent, and only
// Prometheus' own page says so. Labels that two sides of it share too much, or too
// little, show here alone.
func TestEveryRuleIsEvaluatedOnRealSeries(t *testing.T) {
	s := start(t, rig.Options{MinServing: "2", MaxHeld: 2, WAF: true, WAFPro: true})
	clients := rig.StartTraffic(t.Context(), s.HAProxy.Front, 20*time.Millisecond)
	t.Cleanup(clients.Stop)
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app2", rig.Refuse)
	s.refused("min_serving", "app2")

	since := time.Now() // what is evaluated from now on has all of that before it
	s.must(rig.Await(t.Context(), 30*time.Second, "each rule to be evaluated", func(ctx context.Context) error {
		return s.everyRule(ctx, since)
	}))
	for _, record := range []string{
		fmt.Sprintf(`device_pool_member:haproxy_server_http_responses:rate5m{device=%q,pool=%q,member="app3"} > 0`, rig.Device, rig.Pool),
		fmt.Sprintf(`device_pool_member:haproxy_rest_http_responses:rate5m{device=%q,pool=%q,member="app1"} > 0`, rig.Device, rig.Pool),
		fmt.Sprintf(`device_pool:haproxy_backend_http_responses:rate5m{device=%q,pool=%q} > 0`, rig.Device, rig.Pool),
		fmt.Sprintf(`device_pool:haproxy_backend_http_responses_5xx:rate5m{device=%q,pool=%q}`, rig.Device, rig.Pool),
		// What two kinds of device say of one fault, each in the words of all.
		`ALERTS{alertname="MemberFailing",member="app2"}`,
		`ALERTS{alertname="HAProxyServerFailingInRotation",member="app2"}`,
		`ALERTS{alertname="PTAFUpstreamServerDown",member!=""}`,
	} {
		s.must(rig.Await(t.Context(), 30*time.Second, record, func(ctx context.Context) error {
			v, err := s.Prometheus.Vector(ctx, record)
			if err == nil && len(v) == 0 {
				err = fmt.Errorf("no series")
			}
			return err
		}))
	}
}

// everyRule says which rule failed, or hasn't been evaluated since.
func (s scene) everyRule(ctx context.Context, since time.Time) error {
	all, err := s.Prometheus.API.Rules(ctx, nil)
	if err != nil {
		return err
	}
	var files []string
	for _, g := range all.Groups {
		files = append(files, g.File)
		for _, r := range g.Rules {
			var name, trouble string
			var health promv1.RuleHealth
			var at time.Time
			switch r := r.(type) {
			case promv1.AlertingRule:
				name, trouble, health, at = r.Name, r.LastError, r.Health, r.LastEvaluation
			case promv1.RecordingRule:
				name, trouble, health, at = r.Name, r.LastError, r.Health, r.LastEvaluation
			}
			switch {
			case trouble != "":
				s.t.Fatalf("%s: %s", name, trouble)
			case health != promv1.RuleHealthGood || at.Before(since):
				return fmt.Errorf("%s: health %s, last evaluated at %s", name, health, at.Format(time.TimeOnly))
			}
		}
	}
	if slices.Sort(files); len(slices.Compact(files)) < 3 {
		return fmt.Errorf("rules come from %v only", files)
	}
	return nil
}
