package exporter

import (
	"strconv"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/exporter/promtext"
	"github.com/sluice-project/sluice/exporter/schedule"
)

// writeProbes writes what the schedule found. Targets that are no members have
// the labels of members, too, but empty. Failures start at 0 for each reason: a
// counter that appears with 1 has no rate.
func writeProbes(s *promtext.Sheet, all []schedule.Status) {
	rows := promtext.NewRows(len(all))
	numbers := func(name string, kind promtext.Kind, help, more string) *promtext.Column {
		return s.Family(name, kind, help).Numbers(rows, more)
	}
	success := numbers("sluice_probe_success", promtext.Gauge, "Whether the last probe found the target up.", "")
	up := numbers("sluice_probe_up", promtext.Gauge, "Whether the target is up, after rise and fall; absent until known, and while the last result is too old.", "")
	duration := numbers("sluice_probe_duration_seconds", promtext.Gauge, "How long the last probe took.", "")
	failures := make([]*promtext.Column, len(probe.Reasons))
	for i, reason := range probe.Reasons {
		failures[i] = numbers("sluice_probe_failures_total", promtext.Counter, "Probes that found the target down, by the stage that failed.",
			promtext.Labels("reason", string(reason)))
	}
	runs := numbers("sluice_probe_runs_total", promtext.Counter, "Probes that were made.", "")
	late := numbers("sluice_probe_late_total", promtext.Counter, "Turns that began late or were left out, because the exporter was too slow.", "")

	var scratch []byte
	count := func(c *promtext.Column, n uint64) {
		scratch = strconv.AppendUint(scratch[:0], n, 10)
		c.Number(scratch)
	}
	for i := range all {
		st := &all[i]
		rows.Add([]byte(promtext.Labels("probe", st.Probe, "target", st.Target,
			edge.LabelDevice, st.Member.Device, edge.LabelPool, st.Member.Pool, edge.LabelMember, st.Member.Name)))
		if st.Known {
			success.Flag(st.Last.Up)
			scratch = strconv.AppendFloat(scratch[:0], st.Last.Duration.Seconds(), 'g', -1, 64)
			duration.Number(scratch)
		} else {
			success.Number(nil)
			duration.Number(nil)
		}
		if st.Up == edge.Unknown {
			up.Number(nil)
		} else {
			up.Flag(st.Up == edge.Yes)
		}
		for j, reason := range probe.Reasons {
			count(failures[j], st.Failures.Of(reason))
		}
		count(runs, st.Runs)
		count(late, st.Late)
	}
}
