package source

func probes() Group {
	return Group{Name: "sluice-probes", Board: Probes, Rules: []Rule{
		{
			Why:   `Judged for each exporter: what all its probes have in common is the exporter.`,
			Alert: "ProbesMassFailure",
			About: Process,
			Expr: `
avg by (job, instance) (sluice_probe_up) < %(massShare)s
and
count by (job, instance) (sluice_probe_up) >= %(massTargets)s`,
			Severity:    Critical,
			Summary:     "More than half of what {{ $labels.instance }} probes is down",
			Description: "{{ $value | humanizePercentage }} of the targets that this exporter probes are up. When so many fail at once, suspect the network, the DNS or the certificates of the exporter before the members.",
		},
		{
			Why: `Late probes end as stale verdicts, and a stale verdict is no series:
MemberFailing is silent about it.`,
			Alert: "ProbesLate",
			About: Process,
			Expr: `
sum by (job, instance) (rate(sluice_probe_late_total[5m]))
  > %(lateShare)s * sum by (job, instance) (rate(sluice_probe_runs_total[5m]))`,
			For:         "1m",
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} can't keep up with its probes",
			Description: "More than %(lateShare)s of the probes of this exporter have started late for 1 minute. Their verdicts go stale, and MemberFailing is blind to such members.",
		},
		{
			Why: `The exporter says by itself that it can't be believed: bad results count
for nothing, verdicts go stale, and MemberFailing is silent about them.`,
			Alert:       "ProbesSuspended",
			About:       Process,
			Expr:        "max by (job, instance, reason) (sluice_probe_suspended) == 1",
			For:         "30s",
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} doesn't believe its own probes ({{ $labels.reason }})",
			Description: "For 30 s. With the reason connectivity no target of its self-check answers, with lag it gets no processor. Until that ends no verdict of this exporter becomes down, and MemberFailing is blind.",
		},
		{
			Why: `A probe that can't be made is no result, nor is a bad one that comes while
the exporter is late: without results a verdict is no series, and
MemberFailing is silent about it.`,
			Alert: "ProbesNotCounted",
			About: Target,
			Expr: `
sum by (job, instance, probe) (rate(sluice_probe_unmade_total[5m]))
  + sum by (job, instance, probe) (rate(sluice_probe_ignored_total[5m]))
  > %(lateShare)s * sum by (job, instance, probe) (rate(sluice_probe_runs_total[5m]))`,
			For:         "1m",
			Severity:    Warning,
			Summary:     "Results of probe {{ $labels.probe }} of {{ $labels.instance }} don't count",
			Description: "More than %(lateShare)s of these probes couldn't be made for 1 minute, or came while the exporter itself was late. Verdicts go stale, and MemberFailing is blind to such targets.",
		},
		{
			Why:         `The second half is for a target that left Prometheus' configuration.`,
			Alert:       "ExporterDown",
			About:       Process,
			Expr:        `up{job="%(exporterJob)s"} == 0 or absent(up{job="%(exporterJob)s"})`,
			For:         "15s",
			Severity:    Critical,
			Summary:     "Prometheus gets nothing from a Sluice exporter",
			Description: "For 15 s no scrape of it has succeeded, or none is configured. Without the exporter there are no series of members, pools and probes, and no rule on them can fire. Members that are held stay held until the remediator's own probes are good.",
		},
		{
			Alert:       "ConfigReloadFailed",
			About:       Process,
			Expr:        "sluice_config_last_reload_successful == 0",
			For:         "1m",
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} refused its configuration file",
			Description: "For 1 minute the program has gone on with the configuration it had. A restart with the file as it is would fail.",
		},
		{
			Why: `Targets that are no members: a virtual address, a site. Members have
MemberFailing.`,
			Alert:       "ProbeFailing",
			About:       Target,
			Expr:        `min by (job, instance, probe, target) (sluice_probe_up{member=""}) == 0`,
			Severity:    Critical,
			Summary:     "{{ $labels.target }} fails its probe {{ $labels.probe }}",
			Description: "{{ $labels.instance }} got the probe's \"fall\" of bad results in a row from {{ $labels.target }}, sluice_probe_up is {{ $value }}: what users reach there is down, or the way from this exporter to it.",
		},
		{
			Alert:       "ProbeSlow",
			About:       Target,
			Expr:        `avg_over_time(sluice_probe_duration_seconds[5m]) > %(probeSeconds)s`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "Probe {{ $labels.probe }} of {{ $labels.target }} is slow",
			Description: "It took {{ $value | humanizeDuration }} on average in the last five minutes; more than %(probeSeconds)s s is too slow. Good results count as before.",
		},
		{
			Why:         `The verdict, not the single result: "rise" and "fall" have taken the noise out.`,
			Alert:       "ProbeFlapping",
			About:       Target,
			Expr:        `changes(sluice_probe_up[1h]) > %(probeFlaps)s`,
			Severity:    Warning,
			Summary:     "The verdict of probe {{ $labels.probe }} on {{ $labels.target }} keeps changing",
			Description: "It changed {{ $value }} times within an hour; more than %(probeFlaps)s is flapping. A member that flaps is taken out and given back each time until damping stops that.",
		},
		{
			Why: `A result is there and no verdict: the last result is too old, or there were
never "rise" or "fall" of them in a row.`,
			Alert:       "ProbeResultStale",
			About:       Target,
			Expr:        `sluice_probe_success unless sluice_probe_up`,
			For:         "1m",
			Severity:    Warning,
			Summary:     "Nobody knows whether {{ $labels.target }} is well",
			Description: "Probe {{ $labels.probe }} of {{ $labels.instance }} has had no verdict on it for 1 minute: its last result is stale. MemberFailing and ProbeFailing are silent about it.",
		},
		{
			Why: `Counted from the exporter's own list of targets: one that is probed has a
result, good or bad.`,
			Alert:       "ProbeTargetsMissing",
			About:       Target,
			Expr:        `count by (job, instance, probe) (sluice_probe_runs_total unless sluice_probe_success) > 0`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "{{ $value }} targets of probe {{ $labels.probe }} have never had a result",
			Description: "{{ $labels.instance }} has known these targets for 5 minutes and has not got one result from them, good or bad: its probes can't be made or don't come to their turn.",
		},
	}}
}
