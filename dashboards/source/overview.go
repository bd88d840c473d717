package source

import (
	"fmt"

	g "github.com/sluice-project/sluice/dashboards/grafana"
)

func overview(c Config) g.Board {
	b := board("sluice-overview", "Sluice: overview", "Members, their probes, and what the remediator does about them.", c)
	b.Refresh, b.Time = "5s", g.Span{From: "now-30m", To: "now"}
	b.Choose(
		g.Values("device", "Device", "label_values(sluice_device_up, device)").OrNone(),
		g.Values("pool", "Pool", `label_values(sluice_member_serving{device=~"$device"}, pool)`).OrNone(),
		objective(),
	)
	b.Mark(stepMarks...)
	b.Mark(maintenanceMark, restartsMark, reloadsMark)
	b.Show(
		g.Stat(1, "Members serving",
			"Share of the members outside maint that take new traffic by their device's word. Backups count as members that don't.", g.Share,
			g.Ask(`sum(max by (device, pool, member) (sluice_member_serving{device=~"$device",pool=~"$pool"})) / count(max by (device, pool, member) (sluice_member_admin_state{device=~"$device",pool=~"$pool",state="maint"}) == 0)`, ""),
		).Size(6, 3).Colors("red", g.From(0.5, "orange"), g.From(1, "green")).Whole(),
		g.Stat(2, "Members down",
			"Members with at least one probe whose verdict is down.", g.None,
			g.Ask(`sum(1 - min by (device, pool, member) (sluice_probe_up{device=~"$device",pool=~"$pool",member!=""}))`, ""),
		).Size(6, 3).Colors("green", g.From(1, "red")),
		g.Stat(3, "Devices down",
			"Devices that didn't answer the exporter. All their other series are missing.", g.None,
			g.Ask(`sum(1 - min by (device) (sluice_device_up{device=~"$device"}))`, ""),
		).Size(6, 3).Colors("green", g.From(1, "red")),
		g.Stat(41, "No verdict",
			"Targets of probes that are up nor down for us: too young, or the last result is stale. Nothing is taken out by what nobody knows.", g.None,
			g.Ask(`count(count by (probe, target, device, pool, member) (sluice_probe_success{`+pools+`})) - count(count by (probe, target, device, pool, member) (sluice_probe_up{`+pools+`}))`, ""),
		).Size(6, 3).Colors("green", g.From(1, "orange")),
		g.Stat(4, "Held by Sluice",
			"Members that the remediator took out and will give back.", g.None,
			g.Ask(held, ""),
		).Size(6, 3).Colors("green", g.From(1, "blue")),
		g.Stat(5, "Automatic steps",
			"A freeze stops all of them, giving back included.", g.None,
			g.Ask("max(sluice_remediation_frozen)", ""),
		).Size(6, 3).Colors("green", g.From(1, "red")).Words(g.Is("0", "allowed", "green"), g.Is("1", "frozen", "red")),
		g.Stat(6, "Mode",
			"The ceiling for every policy: observe only records, dry_run also says what it would send, auto acts.", g.None,
			g.Ask("max by (mode) (sluice_remediation_mode) == 1", "{{mode}}"),
		).Size(6, 3).NamesOnly(),
		g.Stat(7, "Watchdog seen",
			"Age of the Watchdog alert at the remediator. It is repeated every minute; when it grows, claims don't arrive either.", g.Seconds,
			g.Ask("max(sluice_remediation_watchdog_age_seconds"+ofLeader+")", ""),
		).Size(6, 3).Colors("green", g.From(90, "orange"), g.From(180, "red")).Whole(),
		g.Table(39, "Alerts that fire",
			"All alerts that fire in this Prometheus for the devices and pools chosen, those that aren't Sluice's too, critical ones first; the name of one of Sluice's leads to its runbook. Watchdog always fires and is left out.", "",
			[]g.Column{
				{Of: "alertname", As: "alert", Wide: true},
				{Of: "severity", Words: []g.Word{g.Is("critical", "critical", "red"), g.Is("warning", "warning", "orange"), g.Is("info", "info", "blue")}},
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "member", Long: true},
			},
			g.Now("sort_desc(3 * "+firing(`severity="critical"`)+" or 2 * "+firing(`severity="warning"`)+" or "+firing(`severity!~"critical|warning"`)+")"),
		).Size(24, 7).Without("Value").LeadsFrom("alert", lineToRunbook),
		g.Table(42, "Last 20 events",
			"The last ten alerts that began or ended in the time range, and the last ten steps, one of each kind on each pool. The console and the audit log have each step with member and reason.", "-when",
			[]g.Column{
				{Of: "Value", As: "when", Unit: g.Moment},
				{Of: "event", As: "what", Wide: true, Words: []g.Word{
					g.Is("ready: applied", "given back", "green"), g.Is("drain: applied", "drained", "orange"), g.Is("maint: applied", "set to maint", "purple"),
				}},
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "member", Long: true},
				{Of: "by"},
			},
			g.Now(lastEvents(10)),
		).Size(24, 9).Without("alertname", "to", "result"),
		g.Lines(40, "Out of rotation, by whom",
			"Members that are drained or in maint. Those that Sluice holds it gives back by itself; the others are somebody's.", g.None,
			g.Ask(held, "Sluice"),
			g.Ask(`sum(max by (device, pool, member) (sluice_member_admin_state{device=~"$device",pool=~"$pool",state!="ready"})) - (`+held+`)`, "others"),
		).Size(12, 8).Stepped().Stacked().Paint("Sluice", "blue").Paint("others", "purple"),
		g.Table(43, "Budget by probe, last day",
			"Up is the share of the known time of the last day, over all targets of the probe; left is what remains of the errors that the objective allows, below 0 when it is missed, -1000 % at the worst. The board of probes has it by target and for any time.", "up",
			[]g.Column{
				{Of: "probe", Long: true},
				{Of: "Value #A", As: "up", Unit: g.Share},
				{Of: "Value #B", As: "left", Unit: g.Share, Steps: budgetLeft},
			},
			g.Now(upLastDay),
			g.Now(left(upLastDay)),
		).Size(12, 8).LeadsFrom("probe", g.DataLink{Title: "Its targets", URL: ofProbes + "&var-probe=${__data.fields.probe}"}),
		g.Row(8, "Members"),
		g.Table(44, "Pools now",
			"What may still go. Spare is how many more may stop serving before min_serving refuses; may hold is max_held of the policy. Storm above: so many members that fall sick at once are still no storm.", "spare",
			[]g.Column{
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "Value #A", As: "in rotation", Unit: g.Share, Steps: []g.Step{{Color: "red"}, g.From(0.5, "orange"), g.From(1, "green")}},
				{Of: "Value #B", As: "serving"},
				{Of: "Value #C", As: "of"},
				{Of: "Value #D", As: "at least"},
				{Of: "Value #E", As: "spare", Steps: []g.Step{{Color: "text"}, g.From(-10_000, "red"), g.From(0, "orange"), g.From(1, "green")}},
				{Of: "Value #F", As: "held", Steps: []g.Step{{Color: "text"}, g.From(1, "blue")}},
				{Of: "Value #G", As: "may hold"},
				{Of: "Value #H", As: "sick", Steps: []g.Step{{Color: "text"}, g.From(1, "orange")}},
				{Of: "Value #I", As: "storm above"},
			},
			g.Now(`avg by (device, pool) (`+servingMembers+`)`),
			g.Now(`sum by (device, pool) (`+servingMembers+`)`),
			g.Now(`count by (device, pool) (`+servingMembers+`)`),
			g.Now(ofPools("sluice_remediation_min_serving")),
			g.Now(`sum by (device, pool) (`+servingMembers+`) - `+ofPools("sluice_remediation_min_serving")),
			g.Now(ofPools("sluice_remediation_holds")),
			g.Now(ofPools("sluice_remediation_max_held")),
			g.Now(ofPools("sluice_remediation_brake_sick")),
			g.Now(ofPools("sluice_remediation_brake_limit")),
		).Size(24, 7).LeadsFrom("pool", lineToPool, lineToProbes),
		g.Table(9, "Members now",
			"Serving is the device's own opinion, the probe ours. A member that is drained and fails its probe is where it should be.", "probe",
			[]g.Column{
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "member", Long: true},
				{Of: "state", As: "admin state", Words: []g.Word{g.Is("ready", "ready", "green"), g.Is("drain", "drain", "orange"), g.Is("maint", "maint", "purple")}},
				{Of: "Value #A", As: "serving", Words: []g.Word{g.Is("0", "no", "orange"), g.Is("1", "yes", "green")}},
				{Of: "Value #B", As: "probe", Words: []g.Word{g.Is("0", "down", "red"), g.Is("1", "up", "green")}},
			},
			g.Now(`max by (device, pool, member, state) (sluice_member_admin_state{device=~"$device",pool=~"$pool"} == 1) * on (device, pool, member) group_left () max by (device, pool, member) (sluice_member_serving{device=~"$device",pool=~"$pool"})`),
			g.Now(`min by (device, pool, member) (sluice_probe_up{device=~"$device",pool=~"$pool",member!=""})`),
		).Size(24, 10).LeadsFrom("member", lineToPool, lineToProbes, lineToConsole),
		g.Lines(10, "Serving members by pool",
			"Members that take new traffic. A step falls by one for each member that goes, whoever took it out.", g.None,
			g.Ask(`sum by (device, pool) (max by (device, pool, member) (sluice_member_serving{device=~"$device",pool=~"$pool"}))`, "{{device}}/{{pool}}"),
		).Stepped().Leads(seriesToPool, seriesToProbes),
		g.Lines(11, "Members by admin state",
			"What was ordered: ready, drain or maint, by anybody.", g.None,
			g.Ask(`sum by (state) (max by (device, pool, member, state) (sluice_member_admin_state{device=~"$device",pool=~"$pool"}))`, "{{state}}"),
		).Stepped().Stacked().Paint("ready", "green").Paint("drain", "orange").Paint("maint", "purple"),
		g.Row(12, "Probes"),
		g.Lines(13, "Members down by pool",
			"Members with a verdict down, after fall and before rise.", g.None,
			g.Ask(`sum by (device, pool) (1 - min by (device, pool, member) (sluice_probe_up{device=~"$device",pool=~"$pool",member!=""}))`, "{{device}}/{{pool}}"),
		).Stepped().Filled(25),
		g.Lines(14, "Good results",
			"Share of the targets of each probe whose last result was good. Single results, before any verdict.", g.Share,
			g.Ask(`avg by (probe) (sluice_probe_success{device=~"$device",pool=~"$pool"})`, "{{probe}}"),
		).Stepped().UpTo(1),
		g.Lines(15, "Probe duration",
			"Slowest and median target of each probe. A hanging member shows as a line at the probe's timeout.", g.Seconds,
			g.Ask(`max by (probe) (sluice_probe_duration_seconds{device=~"$device",pool=~"$pool"})`, "{{probe}} slowest"),
			g.Ask(`quantile by (probe) (0.5, sluice_probe_duration_seconds{device=~"$device",pool=~"$pool"})`, "{{probe}} median"),
		),
		g.Lines(16, "Bad results by reason",
			"The stage that failed: dns, connect, tls, timeout, status, body.", g.PerSecond,
			g.Ask(`sum by (reason) (rate(sluice_probe_failures_total{device=~"$device",pool=~"$pool"}[$__rate_interval]))`, "{{reason}}"),
		).Stacked().Bars(),
		g.Row(32, "Exporter"),
		g.Lines(33, "Lag of turns, p99",
			"How late probes began, against their turn: the exporter's own doing, never the target's. About 5 ms is the clockwork's step. Classic buckets, or native ones where Prometheus keeps those.", g.Seconds,
			g.Ask("histogram_quantile(0.99, sum by (probe, le) (rate(sluice_probe_lag_seconds_bucket[$__rate_interval]))) or histogram_quantile(0.99, sum by (probe) (rate(sluice_probe_lag_seconds[$__rate_interval])))", "{{probe}}"),
		).Size(8, 6),
		g.Lines(34, "Turns left out, results ignored",
			"Per second. Skipped: overload is the exporter's own, running a target that answers slower than its interval. Ignored: bad results that count for nothing. Not made: see the log.", g.PerSecond,
			g.Ask("sum by (reason) (rate(sluice_probe_skipped_total[$__rate_interval]))", "skipped: {{reason}}"),
			g.Ask("sum by (reason) (rate(sluice_probe_ignored_total[$__rate_interval]))", "ignored: {{reason}}"),
			g.Ask("sum(rate(sluice_probe_unmade_total[$__rate_interval]))", "not made"),
		).Size(8, 6).Stacked().Bars(),
		g.States(35, "Bad results count",
			"Not while the exporter doesn't believe its own probes: lag, it gets no processor; connectivity, no target of self_check answers.",
			[]g.Word{g.Is("0", "yes", "green"), g.Is("1", "no", "red")},
			g.Ask("max by (reason) (sluice_probe_suspended)", "{{reason}}"),
		).Size(8, 6),
		g.Lines(36, "Probes under way",
			"Targets that hang show here. Waiting: due, but too many are under way.", g.None,
			g.Ask("sum(sluice_probe_under_way)", "under way"),
			g.Ask("sum(sluice_probe_waiting)", "waiting"),
		).Size(8, 6).Stepped().Filled(10),
		g.Lines(37, "Device read duration",
			"How long a device took to answer a scrape.", g.Seconds,
			g.Ask(`max by (device) (sluice_device_read_duration_seconds{device=~"$device"})`, "{{device}}"),
		).Size(8, 6),
		g.Lines(38, "Memory of the exporter",
			"Resident memory, which is what the kernel's limits count.", g.Bytes,
			g.Ask("process_resident_memory_bytes and on (job, instance) sluice_probe_under_way", "{{instance}}"),
		).Size(8, 6),
		g.Row(17, "Remediation"),
		g.Stat(22, "Storm brake",
			"On while too many members fell sick at once: nothing new is taken out, giving back goes on.", g.None,
			g.Ask("max(sluice_remediation_brake"+ofLeader+")", ""),
		).Colors("green", g.From(1, "red")).Words(g.Is("0", "off", "green"), g.Is("1", "on", "red")),
		g.Stat(23, "Frozen for",
			"How long the freeze in force has lasted, over restarts.", g.Seconds,
			g.Ask("max(sluice_remediation_frozen_seconds)", ""),
		).Colors("green", g.From(1, "orange"), g.From(14400, "red")).Words(g.Is("0", "not frozen", "green")).Whole(),
		g.Stat(24, "Who leads",
			"Replicas that may write. One for each cluster of replicas; each remediator without a cluster leads itself.", g.None,
			g.Ask("sum(sluice_remediation_leader)", ""),
		).Colors("red", g.From(1, "green")).Words(g.Is("0", "nobody", "red")),
		g.Stat(25, "Wait for a person",
			"Steps to which all other guards agree, and that wait for an approval.", g.None,
			g.Ask(`sum(max by (device, pool) (sluice_remediation_candidates{device=~"$device",pool=~"$pool",phase="awaiting_approval"}))`+orZero, ""),
		).Colors("green", g.From(1, "orange")),
		g.Stat(26, "Quarantined",
			"Failing members that are left in rotation because they went out and came back too often, or because steps on their pool do not help.", g.None,
			g.Ask(`sum(max by (device, pool) (sluice_remediation_candidates{device=~"$device",pool=~"$pool",phase="quarantined"}))`+orZero, ""),
		).Colors("green", g.From(1, "red")),
		g.Stat(27, "Steps without effect",
			"The most steps in a row on one pool that changed nothing for the better. At 2 nothing more is taken out there.", g.None,
			g.Ask(`max(sluice_remediation_ineffective{device=~"$device",pool=~"$pool"}`+ofLeader+`)`+orZero, ""),
		).Colors("green", g.From(1, "orange"), g.From(2, "red")),
		g.Lines(18, "Held by pool",
			"Members that Sluice holds out.", g.None,
			g.Ask(`max by (device, pool) (sluice_remediation_holds{device=~"$device",pool=~"$pool"})`+none("device", "pool"), "{{device}}/{{pool}}"),
		).Stepped().Filled(25),
		g.Lines(19, "Claims, blind sources, freeze",
			"Alerts that ask for a step now; sources of claims whose silence doesn't count now; 1 while frozen.", g.None,
			g.Ask("sum(sluice_remediation_claims"+ofLeader+")", "claims"),
			g.Ask("sum(sluice_remediation_claim_source_blind"+ofLeader+")", "blind sources"),
			g.Ask("max(sluice_remediation_frozen)", "frozen"),
		).Stepped().Paint("claims", "blue").Paint("blind sources", "orange").Paint("frozen", "red"),
		g.Lines(28, "Claimed and not taken out",
			"Members by what they wait for: deferred (a guard or the mode says no for now), awaiting_approval, quarantined.", g.None,
			g.Ask(`sum by (phase) (max by (device, pool, phase) (sluice_remediation_candidates{device=~"$device",pool=~"$pool"}))`+none("phase"), "{{phase}}"),
		).Stepped().Stacked().Filled(25).Paint("deferred", "orange").Paint("awaiting_approval", "blue").Paint("quarantined", "red"),
		g.Lines(29, "Refusals by guard",
			"Refusals within the interval. A claim that stands is judged again and again, so a steady line is one refusal that lasts.", g.None,
			refusalsByGuard,
		).Stepped().Stacked().Filled(25),
		g.Lines(20, "Steps since the start",
			"Totals since the remediator started, by direction and outcome. Not a rate: steps are rare, and a rate doesn't see the first of its kind.", g.None,
			g.Ask(`sum by (to, result) (sluice_remediation_steps_total{device=~"$device",pool=~"$pool"})`, "{{to}}: {{result}}"),
		).Stepped().PaintAll("^ready: applied$", "green").PaintAll("^(drain|maint): applied$", "orange").PaintAll(": (failed|indeterminate|superseded)$", "red"),
		g.Lines(21, "Refusals since the start",
			"Totals since the remediator started, by guard and reason. A line that climbs is a step that is asked for again and again, and refused.", g.None,
			g.Ask("(sum by (guard, reason) (sluice_remediation_refusals_total) > 0)"+none("guard", "reason"), "{{guard}}: {{reason}}"),
		).Stepped(),
		g.Lines(30, "Effects since the start",
			"Steps that took a member out, by what traffic and the errors of the pool showed afterwards. Totals since the remediator started.", g.None,
			g.Ask(`sum by (result) (sluice_remediation_effects_total{device=~"$device",pool=~"$pool"})`+none("result"), "{{result}}"),
		).Stepped().Paint("effective", "green").Paint("ineffective", "red").Paint("unknown", "text"),
		g.Lines(31, "Lease of the leader",
			"What is left of it. Renewed five times in its length; a line that falls to the ground is a replica that loses the lead. Without a cluster of replicas there is no lease, and the line is 0.", g.Seconds,
			g.Ask("max by (instance) (sluice_remediation_lease_seconds)"+none("instance"), "{{instance}}"),
		).Stepped(),
	)
	return b
}

const (
	servingMembers = "max by (device, pool, member) (sluice_member_serving{" + pools + "})"
	upLastDay      = "avg by (probe) (avg_over_time(sluice_probe_up{" + pools + "}[1d]))"
)

// ofPools is the highest value of what the remediator tells by pool.
func ofPools(metric string) string {
	return "max by (device, pool) (" + metric + "{" + pools + "}" + ofLeader + ")"
}

// firing are the alerts of one severity, whose names sort otherwise than they weigh.
func firing(severity string) string {
	return `max by (alertname, severity, device, pool, member) (ALERTS{alertstate="firing",alertname!="Watchdog",` + severity + `,` + pools + `})`
}

// lastEvents are the last alerts that fired or ended, and the last steps of their
// kinds, n of each, with the moment of each in milliseconds: many alerts shall hide
// no step. An alert with "for" began to be true before it fired: that moment is told.
func lastEvents(n int) string {
	const (
		by     = "(alertname, device, pool, member)"
		ours   = `{alertname!="Watchdog",` + pools + `}`
		firing = `ALERTS{alertstate="firing",alertname!="Watchdog",` + pools + `}`
	)
	began := "max by " + by + " (last_over_time(ALERTS_FOR_STATE" + ours + "[$__range])) and on " + by + " max_over_time(" + firing + "[$__range])"
	ended := "max by " + by + " (max_over_time(timestamp(" + firing + ")[$__range:$__interval])) unless on " + by + " " + firing
	steps := "max by (device, pool, to, result, by) (last_over_time(sluice_remediation_last_step_timestamp_seconds{" + pools + "}[$__range]))"
	return fmt.Sprintf(`1000 * (topk(%d, label_replace(%s, "event", "$1 fires", "alertname", "(.*)") or label_replace(%s, "event", "$1 is over", "alertname", "(.*)")) or topk(%d, label_join(%s, "event", ": ", "to", "result")))`, n, began, ended, n, steps)
}
