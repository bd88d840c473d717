package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// alertsEvery is how often Prometheus and Alertmanager are asked.
const alertsEvery = 200 * time.Millisecond

// An alertWatch tells of each alert as it comes and goes, at Prometheus, which makes
// it, and at Alertmanager, which tells people. Watchdog always fires, and is left out.
type alertWatch struct {
	screen       *screen
	rig          *rig.Rig
	firing, told map[string]time.Time // since when each is there
}

// watchAlerts goes on until ctx ends; done is closed then.
func watchAlerts(ctx context.Context, s *screen, r *rig.Rig) (done <-chan struct{}) {
	w := &alertWatch{screen: s, rig: r, firing: map[string]time.Time{}, told: map[string]time.Time{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(alertsEvery)
		defer tick.Stop()
		for {
			w.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return ended
}

// look asks both once. Whoever doesn't answer is asked again: whether all parts
// work is for the scenes to find out.
func (w *alertWatch) look(ctx context.Context) {
	if vector, err := w.rig.Prometheus.Vector(ctx, `timestamp(ALERTS{alertstate="firing",alertname!="Watchdog"})`); err == nil {
		seen := map[string]time.Time{}
		for _, sample := range vector {
			labels := map[string]string{}
			for name, value := range sample.Metric {
				if name != "alertstate" {
					labels[string(name)] = string(value)
				}
			}
			seen[named(labels)] = time.UnixMilli(int64(float64(sample.Value) * 1000)) // of the evaluation
		}
		w.firing = w.tell("Prometheus", w.firing, seen, "fires", "is over")
	}
	if alerts, err := w.rig.Alertmanager.Alerts(ctx); err == nil {
		seen := map[string]time.Time{}
		for _, a := range alerts {
			if a.Labels["alertname"] != "Watchdog" {
				seen[named(a.Labels)] = a.UpdatedAt
			}
		}
		w.told = w.tell("Alertmanager", w.told, seen, "is here", "is resolved")
	}
}

// tell says what is other than before.
func (w *alertWatch) tell(who string, before, now map[string]time.Time, came, went string) map[string]time.Time {
	for _, alert := range slices.Sorted(maps.Keys(now)) {
		if _, known := before[alert]; !known {
			w.screen.saw(now[alert], who, "%s %s", alert, came)
		}
	}
	for _, alert := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[alert]; !still {
			w.screen.saw(time.Now(), who, "%s %s", alert, went)
		}
	}
	return now
}

// named is an alert with its labels: whom it is about first.
func named(labels map[string]string) string {
	first := []string{"device", "pool", "member", "remediation"}
	var all []string
	for _, name := range first {
		if value, ok := labels[name]; ok {
			all = append(all, fmt.Sprintf("%s=%q", name, value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "alertname" && !slices.Contains(first, name) {
			all = append(all, fmt.Sprintf("%s=%q", name, labels[name]))
		}
	}
	return labels["alertname"] + "{" + strings.Join(all, ", ") + "}"
}
