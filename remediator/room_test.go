package remediator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
)

// told are the series of a metric, with the values of their labels in the order of
// the labels' names. A histogram tells how many it has seen and their sum.
func told(t *testing.T, reg *prometheus.Registry, metric string) (out []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != namespace+metric {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			value := fmt.Sprint(m.GetGauge().GetValue())
			if h := m.GetHistogram(); h != nil {
				value = fmt.Sprintf("%d in %gs", h.GetSampleCount(), h.GetSampleSum())
			}
			out = append(out, strings.Join(append(labels, value), " "))
		}
	}
	slices.Sort(out)
	return out
}

// What may still be done is told beside what is done, before a guard has to refuse.
func TestWhatIsLeftIsTold(t *testing.T) {
	change := func(c *Config) { c.Policies[0].MinServing, c.Policies[0].MaxHeld, c.Budget.Steps = "50%", 2, 7 }
	inWorld(t, change, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		want := func(when string, all map[string][]string) {
			t.Helper()
			for metric, series := range all {
				if d := cmp.Diff(series, told(t, reg, metric)); d != "" {
					t.Errorf("%s: %s (-want +got):\n%s", when, metric, d)
				}
			}
		}
		w.wait(time.Minute)
		want("while all is well", map[string][]string{
			"min_serving":                  {"edge1 drain shop 2"}, // half of three, rounded up
			"max_held":                     {"edge1 drain shop 2"},
			"budget_used":                  {"held 0", "sick_pools 0", "steps 0"},
			"budget_limit":                 {"held 10", "sick_pools 5", "steps 7"},
			"brake_sick":                   nil,
			"brake_limit":                  {"edge1 shop 2"}, // a storm begins with three
			"hold_since_timestamp_seconds": nil,
			"last_step_timestamp_seconds":  nil,
			"reaction_seconds":             {"drain 0 in 0s"},
			"step_duration_seconds":        {"drain drain 0 in 0s", "drain ready 0 in 0s"},
		})
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		began := time.Now()
		w.r.Wake()
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		at := fmt.Sprint(float64(began.Unix()))
		want("while one is held", map[string][]string{
			"budget_used":                  {"held 1", "sick_pools 1", "steps 1"},
			"brake_sick":                   {"edge1 shop 1"},
			"hold_since_timestamp_seconds": {"edge1 s1 drain shop " + at},
			"last_step_timestamp_seconds":  {"sluice edge1 shop applied drain " + at},
			"reaction_seconds":             {"drain 1 in 0s"},
			"step_duration_seconds":        {"drain drain 1 in 0s", "drain ready 0 in 0s"},
		})
		w.recover(s1)
		w.wait(10 * time.Minute)
		w.want(s1, "")
		want("after it was given back", map[string][]string{
			"budget_used":                  {"held 0", "sick_pools 0", "steps 1"}, // spent for an hour
			"brake_sick":                   nil,
			"hold_since_timestamp_seconds": nil,
			"step_duration_seconds":        {"drain drain 1 in 0s", "drain ready 1 in 0s"},
		})
	})
}

// The way from an alert to its step begins with the alert, however long a guard said no.
func TestTheReactionBeginsWithTheAlert(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.probe.set(s1, edge.Yes)
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(40 * time.Second)
		w.probe.set(s1, edge.No) // until now our own probe said that it is well
		w.wait(2 * time.Second)
		w.want(s1, "FDRAIN")
		got := told(t, reg, "reaction_seconds")
		if len(got) != 1 || got[0] < "drain 1 in 40s" || got[0] > "drain 1 in 42s" {
			t.Errorf("the reaction is %v, want one of 40 to 42 seconds", got)
		}
	})
}

// A brake that is off has no limit to tell of.
func TestNoBrakeNoLimit(t *testing.T) {
	inWorld(t, func(c *Config) { c.Brake.Off = true }, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.fail(s1)
		w.wait(time.Second)
		if got := slices.Concat(told(t, reg, "brake_sick"), told(t, reg, "brake_limit")); got != nil {
			t.Errorf("told of a brake that is off: %v", got)
		}
		if d := cmp.Diff([]string{"held 10", "steps 20"}, told(t, reg, "budget_limit")); d != "" {
			t.Errorf("budgets (-want +got):\n%s", d)
		}
	})
}
