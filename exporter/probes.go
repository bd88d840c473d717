package exporter

import (
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/exporter/promtext"
	"github.com/sluice-project/sluice/exporter/schedule"
)

// reasonLabels has the label of each reason, so that failures start at 0: a
// counter that appears with 1 has no rate.
var reasonLabels = func() map[probe.Reason]string {
	labels := make(map[probe.Reason]string)
	for _, r := range probe.Reasons {
		labels[r] = promtext.Labels("reason", string(r))
	}
	return labels
}()

// writeProbes writes what the schedule found. Targets that are no members have
// these labels, too, but empty.
func writeProbes(w *promtext.Sheet, all []schedule.Status) {
	labels := make([]string, len(all))
	for i := range all {
		s := &all[i]
		labels[i] = promtext.Labels("probe", s.Probe, "target", s.Target,
			edge.LabelDevice, s.Member.Device, edge.LabelPool, s.Member.Pool, edge.LabelMember, s.Member.Name)
	}
	w.Family("sluice_probe_success", promtext.Gauge, "Whether the last probe found the target up.")
	for i := range all {
		if s := &all[i]; s.Known {
			w.Flag(labels[i], "", s.Last.Up)
		}
	}
	w.Family("sluice_probe_up", promtext.Gauge, "Whether the target is up, after rise and fall; absent until known, and while the last result is too old.")
	for i := range all {
		if up := all[i].Up; up != edge.Unknown {
			w.Flag(labels[i], "", up == edge.Yes)
		}
	}
	w.Family("sluice_probe_duration_seconds", promtext.Gauge, "How long the last probe took.")
	for i := range all {
		if s := &all[i]; s.Known {
			w.Value(labels[i], "", s.Last.Duration.Seconds())
		}
	}
	w.Family("sluice_probe_failures_total", promtext.Counter, "Probes that found the target down, by the stage that failed.")
	for i := range all {
		for _, reason := range probe.Reasons {
			w.Value(labels[i], reasonLabels[reason], float64(all[i].Failures.Of(reason)))
		}
	}
	w.Family("sluice_probe_runs_total", promtext.Counter, "Probes that were made.")
	for i := range all {
		w.Value(labels[i], "", float64(all[i].Runs))
	}
	w.Family("sluice_probe_late_total", promtext.Counter, "Turns that began late or were left out, because the exporter was too slow.")
	for i := range all {
		w.Value(labels[i], "", float64(all[i].Late))
	}
}
