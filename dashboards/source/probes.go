package source

import (
	"fmt"

	g "github.com/sluice-project/sluice/dashboards/grafana"
)

// A probe of a fixed target has no device, pool and member: All matches that, too.
const (
	targets  = `probe=~"$probe",device=~"$device",pool=~"$pool",member=~"$member"`
	byTarget = "(probe, target, device, pool, member)"
	byProbe  = `probe=~"$probe"`
	verdicts = `min by ` + byTarget + ` (sluice_probe_up{` + targets + `})`
)

// named gives a fixed target, which is no member, its URL in the place of a
// member's name: names with both are too long to read.
func named(aggregate, metric string) string {
	of := func(member string) string {
		return fmt.Sprintf(`%s by %s (%s{%s,member%s""})`, aggregate, byTarget, metric, targets, member)
	}
	return fmt.Sprintf(`%s or label_replace(%s, "member", "$1", "target", "(.*)")`, of("!="), of("="))
}

// burnt is how many times faster than the objective allows its errors come,
// within window. Time without a verdict counts for neither side.
func burnt(window string) string {
	return fmt.Sprintf("(1 - avg by (probe) (avg_over_time(sluice_probe_up{%s}[%s]))) / (1 - $objective)", targets, window)
}

func probes(c Config) g.Board {
	b := board("sluice-probes", "Sluice: probes and objectives", "What our probes find, how much of the objective is left, and whether the probes themselves can be believed.", c)
	b.Refresh, b.Time = "30s", g.Span{From: "now-6h", To: "now"}
	b.Choose(
		g.Values("probe", "Probe", "label_values(sluice_probe_success, probe)"),
		g.Values("device", "Device", `label_values(sluice_probe_success{probe=~"$probe"}, device)`).OrNone(),
		g.Values("pool", "Pool", `label_values(sluice_probe_success{probe=~"$probe",device=~"$device"}, pool)`).OrNone(),
		g.Values("member", "Member", `label_values(sluice_probe_success{probe=~"$probe",device=~"$device",pool=~"$pool"}, member)`).OrNone(),
		objective(),
	)
	b.Mark(stepMarks...)
	b.Mark(maintenanceMark, restartsMark, reloadsMark)
	b.Show(probesNow()...)
	b.Show(probesObjective()...)
	b.Show(probesResults()...)
	b.Show(probesThemselves()...)
	return b
}

// objective is the menu of what shall be up, as a share of the known time.
func objective() g.Variable {
	return g.Choice("objective", "Objective", "0.999", "0.99", "0.995", "0.9995", "0.9999")
}

// left is what an objective leaves of the errors that it allows. Ten times more than
// it allows is as bad as it gets: longer numbers tell no more.
func left(up string) string { return "clamp_min(1 - (1 - " + up + ") / (1 - $objective), -10)" }

// budgetLeft are the colours of what an objective leaves: 0 is just met.
var budgetLeft = []g.Step{{Color: "red"}, g.From(0, "orange"), g.From(0.25, "green")}

func probesNow() []g.Panel {
	return []g.Panel{
		g.Stat(1, "Targets",
			"Targets with at least one result.", g.None,
			g.Ask(`count(count by `+byTarget+` (sluice_probe_success{`+targets+`}))`, ""),
		).Colors("blue"),
		g.Stat(2, "Up",
			"Share of the targets with a verdict whose verdict is up.", g.Share,
			g.Ask(`avg(`+verdicts+`)`, ""),
		).Colors("red", g.From(0.9, "orange"), g.From(1, "green")),
		g.Stat(3, "Down",
			"Targets whose verdict is down.", g.None,
			g.Ask(`sum(1 - `+verdicts+`)`, ""),
		).Colors("green", g.From(1, "red")),
		g.Stat(4, "Nobody knows",
			"Targets without a verdict: too young, or the last result is stale. They count neither as up nor as down.", g.None,
			g.Ask(`count(count by `+byTarget+` (sluice_probe_success{`+targets+`})) - count(`+verdicts+`)`, ""),
		).Colors("green", g.From(1, "orange")),
		g.Stat(5, "Bad results count",
			"No while the exporter doesn't believe its own probes: it gets no processor, or no target of self_check answers.", g.None,
			g.Ask(`max(sluice_probe_suspended)`, ""),
		).Colors("green", g.From(1, "red")).Words(g.Is("0", "yes", "green"), g.Is("1", "no", "red")),
		g.Stat(6, "Turns too late",
			"Share of the turns that began more than half an interval late or were left out, because the exporter was too slow.", g.Share,
			g.Ask(`sum(rate(sluice_probe_late_total{`+targets+`}[$__rate_interval])) / sum(rate(sluice_probe_runs_total{`+targets+`}[$__rate_interval]))`, ""),
		).Colors("green", g.From(0.01, "orange"), g.From(0.1, "red")),
		g.States(7, "Verdicts",
			"After rise and fall, of each target. A gap is time in which nobody knew.",
			[]g.Word{g.Is("0", "down", "red"), g.Is("1", "up", "green")},
			g.Ask(named("min", "sluice_probe_up"), "{{probe}} {{device}}/{{pool}}/{{member}}"),
		).Leads(seriesToPool),
	}
}

func probesObjective() []g.Panel {
	up := `avg by ` + byTarget + ` (avg_over_time(sluice_probe_up{` + targets + `}[$__range]))`
	return []g.Panel{
		g.Row(8, "Objectives"),
		g.Table(9, "Budget by target",
			"Over the time range of the board, the worst first. Up is the share of the known time; left is what remains of the errors that the objective allows, below 0 when it is missed, -1000 % at the worst; known is the share of the time range that has a verdict; down for is the time with the verdict down, and times how often it came. Maintenance counts like other time here.", "up",
			[]g.Column{
				{Of: "probe", Name: true},
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "member", Long: true},
				{Of: "Value #A", As: "up", Unit: g.Share},
				{Of: "Value #B", As: "left", Unit: g.Share, Steps: budgetLeft},
				{Of: "Value #C", As: "known", Unit: g.Share, Steps: []g.Step{{Color: "orange"}, g.From(0.95, "text")}},
				{Of: "Value #D", As: "down for", Unit: g.Seconds, Steps: []g.Step{{Color: "text"}, g.From(0.001, "orange")}},
				{Of: "Value #E", As: "times"},
				{Of: "target", Wide: true},
			},
			g.Now(up),
			g.Now(left(up)),
			g.Now(`avg by `+byTarget+` (count_over_time(sluice_probe_up{`+targets+`}[$__range]) / on (job, instance) group_left () count_over_time(sluice_probe_under_way[$__range]))`),
			g.Now(`$__range_s * avg by `+byTarget+` ((1 - avg_over_time(sluice_probe_up{`+targets+`}[$__range])) * (count_over_time(sluice_probe_up{`+targets+`}[$__range]) / on (job, instance) group_left () count_over_time(sluice_probe_under_way[$__range])))`),
			g.Now(`max by `+byTarget+` (ceil(changes(sluice_probe_up{`+targets+`}[$__range]) / 2))`),
		).LeadsFrom("pool", lineToPool),
		g.History(21, "Up, stretch by stretch",
			"Share of the known time that a probe's targets were up, in 60 stretches of the time range: hours of two and a half days, days of two months. Empty where nobody knew.", g.Share, 60,
			g.Ask("avg by (probe) (avg_over_time(sluice_probe_up{"+targets+"}[$__interval]))", "{{probe}}"),
		).Size(24, 4).Colors("red", g.From(0.99, "orange"), g.From(0.999, "yellow"), g.From(1, "green")).UpTo(1),
		g.Lines(10, "Budget burnt, by probe",
			"How many times faster than the objective allows errors come, over 5 minutes, 1 hour, 6 hours and 3 days. At 14.4 the budget of 30 days lasts two days.", g.None,
			g.Ask(burnt("5m"), "{{probe}} 5 m"),
			g.Ask(burnt("1h"), "{{probe}} 1 h"),
			g.Ask(burnt("6h"), "{{probe}} 6 h"),
			g.Ask(burnt("3d"), "{{probe}} 3 d"),
		),
		g.Lines(11, "Up by pool",
			"Share of the targets of a pool with a verdict up, of those with a verdict. Fixed targets stand under their probe alone.", g.Share,
			g.Ask(`avg by (probe, device, pool) (`+verdicts+`)`, "{{probe}} {{device}}/{{pool}}"),
		).Stepped().UpTo(1),
	}
}

func probesResults() []g.Panel {
	return []g.Panel{
		g.Row(12, "Results"),
		g.Lines(13, "Bad results by reason",
			"The stage that failed: dns, connect, tls, timeout, status, body.", g.PerSecond,
			g.Ask(`sum by (probe, reason) (rate(sluice_probe_failures_total{`+targets+`}[$__rate_interval]))`, "{{probe}} {{reason}}"),
		).Stacked().Bars(),
		g.Lines(14, "Share of bad results",
			"Of all runs, before any verdict.", g.Share,
			g.Ask(`sum by (probe) (rate(sluice_probe_failures_total{`+targets+`}[$__rate_interval])) / sum by (probe) (rate(sluice_probe_runs_total{`+targets+`}[$__rate_interval]))`, "{{probe}}"),
		).UpTo(1),
		g.Lines(15, "Duration by target",
			"The last run, good or bad. A target that hangs shows as a line at its timeout.", g.Seconds,
			g.Ask(named("max", "sluice_probe_duration_seconds"), "{{probe}} {{device}}/{{pool}}/{{member}}"),
		).Many(),
		g.Lines(16, "Duration of runs",
			"Of all runs, good and bad: half of them and 99 of 100 were faster. Classic buckets, or native ones where Prometheus keeps those.", g.Seconds,
			g.Ask(quantile("0.5", "sluice_probe_run_duration_seconds"), "{{probe}} median"),
			g.Ask(quantile("0.99", "sluice_probe_run_duration_seconds"), "{{probe}} 99 %"),
		),
	}
}

func quantile(q, metric string) string {
	return fmt.Sprintf("histogram_quantile(%s, sum by (probe, le) (rate(%s_bucket{%s}[$__rate_interval]))) or histogram_quantile(%s, sum by (probe) (rate(%s{%s}[$__rate_interval])))",
		q, metric, byProbe, q, metric, byProbe)
}

func probesThemselves() []g.Panel {
	return []g.Panel{
		g.Row(17, "The probes themselves"),
		g.Lines(18, "Lag of turns",
			"How late runs began, against their turn: the exporter's own doing, never the target's.", g.Seconds,
			g.Ask(quantile("0.99", "sluice_probe_lag_seconds"), "{{probe}} 99 %"),
		).Size(8, 7),
		g.Lines(19, "Turns left out, results ignored",
			"Skipped: overload is the exporter's own, running a target slower than its interval. Ignored: bad results that count for nothing. Not made: see the log.", g.PerSecond,
			g.Ask(`sum by (probe, reason) (rate(sluice_probe_skipped_total{`+byProbe+`}[$__rate_interval]))`, "{{probe}} skipped: {{reason}}"),
			g.Ask(`sum by (probe, reason) (rate(sluice_probe_ignored_total{`+byProbe+`}[$__rate_interval]))`, "{{probe}} ignored: {{reason}}"),
			g.Ask(`sum by (probe) (rate(sluice_probe_unmade_total{`+byProbe+`}[$__rate_interval]))`, "{{probe}} not made"),
		).Size(8, 7),
		g.Lines(20, "Runs",
			"Runs a second.", g.PerSecond,
			g.Ask(`sum by (probe) (rate(sluice_probe_runs_total{`+targets+`}[$__rate_interval]))`, "{{probe}}"),
		).Size(8, 7),
	}
}
