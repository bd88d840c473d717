package source

import g "github.com/sluice-project/sluice/dashboards/grafana"

const stepsTotal = `sluice_remediation_steps_total{` + pools + `}`

func audit(c Config) g.Board {
	b := board("sluice-audit", "Sluice: remediation audit", "What was done, what was refused and why, what waits, and whether the remediator can act at all.", c)
	b.Refresh, b.Time = "30s", g.Span{From: "now-24h", To: "now"}
	b.Choose(
		g.Values("device", "Device", "label_values(sluice_device_up, device)"),
		g.Values("pool", "Pool", `label_values(sluice_member_serving{device=~"$device"}, pool)`),
	)
	b.Mark(stepMarks...)
	b.Mark(maintenanceMark, restartsMark, reloadsMark)
	b.Show(auditNow()...)
	b.Show(auditSteps()...)
	b.Show(auditRefusals()...)
	b.Show(auditSources()...)
	b.Show(auditPeople()...)
	return b
}

func auditNow() []g.Panel {
	phase := func(is string) g.Target {
		return g.Ask(`sum(max by (device, pool) (sluice_remediation_candidates{`+pools+`,phase="`+is+`"}))`+orZero, "")
	}
	return []g.Panel{
		g.Stat(1, "Mode",
			"The ceiling for every policy: observe only records, dry_run also says what it would send, approve asks a person, auto acts.", g.None,
			g.Ask("max by (mode) (sluice_remediation_mode) == 1", "{{mode}}"),
		).Size(6, 3).NamesOnly(),
		g.Stat(2, "Automatic steps",
			"A freeze stops all of them, giving back included.", g.None,
			g.Ask("max(sluice_remediation_frozen)", ""),
		).Size(6, 3).Colors("green", g.From(1, "red")).Words(g.Is("0", "allowed", "green"), g.Is("1", "frozen", "red")),
		g.Stat(3, "Storm brake",
			"On while too many members fell sick at once: nothing new is taken out, giving back goes on.", g.None,
			g.Ask("max(sluice_remediation_brake"+ofLeader+")", ""),
		).Size(6, 3).Colors("green", g.From(1, "red")).Words(g.Is("0", "off", "green"), g.Is("1", "on", "red")),
		g.Stat(4, "Held by Sluice",
			"Members that the remediator took out and will give back.", g.None,
			g.Ask(`sum(max by (device, pool) (sluice_remediation_holds{`+pools+`}))`+orZero, ""),
		).Size(6, 3).Colors("green", g.From(1, "blue")),
		g.Stat(5, "Claimed",
			"Members that people have claimed: automation takes no step on them until they are released or the claim ends.", g.None,
			g.Ask(`sum(max by (device, pool) (sluice_remediation_claimed{`+pools+`}))`+orZero, ""),
		).Size(6, 3).Colors("green", g.From(1, "blue")),
		g.Stat(6, "To approve",
			"Steps to which all other guards agree, and that wait for an approval.", g.None,
			phase("awaiting_approval"),
		).Size(6, 3).Colors("green", g.From(1, "orange")),
		g.Stat(7, "Quarantined",
			"Failing members that are left in rotation because they went out and came back too often, or because steps on their pool do not help.", g.None,
			phase("quarantined"),
		).Size(6, 3).Colors("green", g.From(1, "red")),
		g.Stat(8, "Watchdog seen",
			"Age of the Watchdog alert at the remediator. It is repeated every minute; when it grows, claims don't arrive either.", g.Seconds,
			g.Ask("max(sluice_remediation_watchdog_age_seconds"+ofLeader+")", ""),
		).Size(6, 3).Colors("green", g.From(90, "orange"), g.From(180, "red")).Whole(),
	}
}

func auditSteps() []g.Panel {
	return []g.Panel{
		g.Row(9, "Steps"),
		g.Lines(10, "Steps by outcome",
			"Totals since the remediator started. Not a rate: steps are rare, and a rate doesn't see the first of its kind.", g.None,
			g.Ask(`sum by (to, result) (`+stepsTotal+`)`+none("to", "result"), "{{to}}: {{result}}"),
		).Stepped().PaintAll("^ready: applied$", "green").PaintAll("^(drain|maint): applied$", "orange").PaintAll(": (failed|indeterminate|superseded)$", "red"),
		g.Lines(11, "Steps by who asked",
			"Totals since the remediator started: Sluice itself, or a person by console, command line or API.", g.None,
			g.Ask(`sum by (by) (`+stepsTotal+`)`+none("by"), "{{by}}"),
		).Stepped(),
		g.Table(12, "Steps by pool",
			"All steps since the remediator started. The console and the audit log have each one with member, reason and time.", "-steps",
			[]g.Column{
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "to"},
				{Of: "result", Words: []g.Word{g.Is("applied", "applied", "green"), g.Is("failed", "failed", "red"), g.Is("indeterminate", "indeterminate", "red"), g.Is("superseded", "superseded", "orange")}},
				{Of: "by"},
				{Of: "Value", As: "steps"},
			},
			g.Now(`sum by (device, pool, to, result, by) (`+stepsTotal+`)`),
		).Size(12, 8).LeadsFrom("pool", lineToPool),
		g.Table(34, "Members held",
			"Each member that Sluice holds out, the longest first. Evidence is how old the second source's last word on it is.", "-held for",
			[]g.Column{
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "member", Long: true},
				{Of: "policy", Name: true},
				{Of: "Value #A", As: "held for", Unit: g.Seconds, Steps: []g.Step{{Color: "text"}, g.From(3600, "orange"), g.From(86400, "red")}},
				{Of: "Value #B", As: "evidence", Unit: g.Seconds, Steps: []g.Step{{Color: "text"}, g.From(60, "orange")}},
			},
			g.Now(`time() - max by (device, pool, member, policy) (sluice_remediation_hold_since_timestamp_seconds{`+pools+`})`),
			g.Now(`0 * max by (device, pool, member, policy) (sluice_remediation_hold_since_timestamp_seconds{`+pools+`}) + on (device, pool, member) group_left () max by (device, pool, member) (sluice_remediation_evidence_age_seconds{`+pools+`}`+ofLeader+`)`),
		).Size(12, 8).LeadsFrom("member", lineToConsole, lineToProbes),
		g.Table(35, "From the alert to the confirmed step",
			"Steps within the time range, by policy. Asked is from the start of the alert to the command: rise and fall, guards and people that let it wait. Done is from the command to the read-back that found the member as ordered, on the way out and back.", "policy",
			[]g.Column{
				{Of: "policy", Name: true},
				{Of: "Value #A", As: "asked"},
				{Of: "Value #B", As: "median", Unit: g.Seconds},
				{Of: "Value #C", As: "95 %", Unit: g.Seconds, Steps: []g.Step{{Color: "text"}, g.From(60, "orange"), g.From(600, "red")}},
				{Of: "Value #D", As: "done"},
				{Of: "Value #E", As: "median, done", Unit: g.Seconds},
				{Of: "Value #F", As: "95 %, done", Unit: g.Seconds, Steps: []g.Step{{Color: "text"}, g.From(2.5, "orange"), g.From(10, "red")}},
			},
			g.Now(howMany("sluice_remediation_reaction_seconds")),
			g.Now(howLong("0.5", "sluice_remediation_reaction_seconds")),
			g.Now(howLong("0.95", "sluice_remediation_reaction_seconds")),
			g.Now(howMany("sluice_remediation_step_duration_seconds")),
			g.Now(howLong("0.5", "sluice_remediation_step_duration_seconds")),
			g.Now(howLong("0.95", "sluice_remediation_step_duration_seconds")),
		).Size(12, 8),
		g.Lines(13, "Held by pool",
			"Members that Sluice holds out.", g.None,
			g.Ask(`max by (device, pool) (sluice_remediation_holds{`+pools+`})`+none("device", "pool"), "{{device}}/{{pool}}"),
		).Size(12, 8).Stepped().Leads(seriesToPool),
		g.Lines(14, "Effects",
			"Steps that took a member out, by what traffic and the errors of the pool showed afterwards. Totals since the remediator started.", g.None,
			g.Ask(`sum by (result) (sluice_remediation_effects_total{`+pools+`})`+none("result"), "{{result}}"),
		).Size(8, 7).Stepped().Paint("effective", "green").Paint("ineffective", "red").Paint("unknown", "text"),
		g.Lines(15, "Steps without effect",
			"In a row, on one pool. At 2 nothing more is taken out there.", g.None,
			g.Ask(`max by (device, pool) (sluice_remediation_ineffective{`+pools+`}`+ofLeader+`)`+none("device", "pool"), "{{device}}/{{pool}}"),
		).Size(8, 7).Stepped(),
		g.Lines(16, "Holds that ended without evidence",
			"Their lease or max_hold ran out. Totals since the remediator started.", g.None,
			g.Ask(`sum by (device, pool) (sluice_remediation_expired_total{`+pools+`})`+none("device", "pool"), "{{device}}/{{pool}}"),
		).Size(8, 7).Stepped(),
	}
}

func auditRefusals() []g.Panel {
	return []g.Panel{
		g.Row(17, "Refused and waiting"),
		g.Lines(18, "Refusals by guard",
			"Refusals within the interval, of all devices. A claim that stands is judged again and again, so a steady line is one refusal that lasts.", g.None,
			refusalsByGuard,
		),
		g.Table(19, "Refusals by reason",
			"Totals since the remediator started. The guards are in docs/remediation.md.", "-refusals",
			[]g.Column{{Of: "guard"}, {Of: "reason"}, {Of: "Value", As: "refusals"}},
			g.Now("sum by (guard, reason) (sluice_remediation_refusals_total) > 0"),
		).Size(12, 7),
		g.Lines(20, "Claimed by alerts and not taken out",
			"Members by what they wait for: deferred (a guard or the mode says no for now), awaiting_approval, quarantined.", g.None,
			g.Ask(`sum by (phase) (max by (device, pool, phase) (sluice_remediation_candidates{`+pools+`}))`+none("phase"), "{{phase}}"),
		).Size(8, 7).Stepped().Paint("deferred", "orange").Paint("awaiting_approval", "blue").Paint("quarantined", "red"),
		g.Lines(21, "Freezes and maintenance",
			"Freezes in force, of everything and of single devices and pools; maintenance windows in force.", g.None,
			g.Ask("max(sluice_remediation_frozen)", "everything is frozen"),
			g.Ask(`count(max by (device, pool) (sluice_remediation_frozen_scope{device=~"$device",pool=~"$pool|"}))`+orZero, "frozen devices and pools"),
			g.Ask(`count(count by (name) (sluice_maintenance_active{device=~"$device",pool=~"$pool|"} == 1))`+orZero, "maintenance windows"),
		).Size(8, 7).Stepped().Paint("everything is frozen", "red").Paint("frozen devices and pools", "orange").Paint("maintenance windows", "purple"),
		g.States(22, "Devices take steps",
			"A device refuses them all while a right is missing, a field isn't kept, or no node is the active one.",
			[]g.Word{g.Is("0", "yes", "green"), g.Is("1", "refuses", "red")},
			g.Ask(`max by (device) (sluice_remediation_device_read_only{device=~"$device"}`+ofLeader+`)`, "{{device}}"),
		).Size(8, 7),
		g.Lines(36, "Budgets used",
			"Share of what remediation.budget and the storm brake allow: held, members held on all devices; steps, members taken out within the budget's window; sick_pools, pools in which members fell sick at once. At 1 held and steps refuse; above 1 sick_pools brakes.", g.Share,
			g.Ask(`max by (budget) (sluice_remediation_budget_used`+ofLeader+`) / max by (budget) (sluice_remediation_budget_limit`+ofLeader+`)`, "{{budget}}"),
		).Size(12, 8).Stepped().Full(),
		g.Table(37, "What stands in the way",
			"Freezes of single devices and pools, members that people have claimed, maintenance windows in force. Nothing here means that only guards decide.", "what",
			[]g.Column{
				{Of: "what", Long: true, Words: []g.Word{g.Is("frozen", "frozen", "red"), g.Is("claimed", "claimed", "blue"), g.Is("maintenance", "maintenance", "purple")}},
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "name", Long: true},
				{Of: "Value", As: "members"},
			},
			g.Now(standsInTheWay),
		).Size(12, 8),
	}
}

func auditSources() []g.Panel {
	return []g.Panel{
		g.Row(23, "What it goes by"),
		g.Lines(24, "Claims and blind sources",
			"Alerts that ask for a step now; sources of claims whose silence doesn't count now.", g.None,
			g.Ask("sum(sluice_remediation_claims"+ofLeader+")", "claims"),
			g.Ask("sum(sluice_remediation_claim_source_blind"+ofLeader+")", "blind sources"),
		).Size(8, 7).Stepped().Paint("claims", "blue").Paint("blind sources", "orange"),
		g.Lines(25, "Evidence",
			"Answers of the second source to whether a member is well, a second.", g.PerSecond,
			g.Ask("sum by (source, answer) (rate(sluice_remediation_evidence_total[$__rate_interval]))", "{{source}}: {{answer}}"),
		).Size(8, 7).PaintAll(": yes$", "green").PaintAll(": no$", "red").PaintAll(": unknown$", "orange"),
		g.Lines(26, "Age of the evidence",
			"On members that are claimed or held; 0 while there are none.", g.Seconds,
			g.Ask(`max by (device, pool, member) (sluice_remediation_evidence_age_seconds{`+pools+`}`+ofLeader+`)`+none("device", "pool", "member"), "{{device}}/{{pool}}/{{member}}"),
		).Size(8, 7).Many(),
		g.Lines(27, "Webhooks by code",
			"Webhooks of Alertmanager a second, by the code that they were answered with.", g.Requests,
			g.Ask("sum by (code) (rate(sluice_remediation_webhook_requests_total[$__rate_interval]))", "{{code}}"),
		).Size(8, 7).PaintAll("^2", "green").PaintAll("^[45]", "red"),
		g.Lines(28, "Alerts in webhooks",
			"By what became of them: wanted, ignored, invalid, drill; and claims on members that no policy selects. A second.", g.PerSecond,
			g.Ask("sum by (result) (rate(sluice_remediation_webhook_alerts_total[$__rate_interval]))", "{{result}}"),
			g.Ask("sum(rate(sluice_remediation_unselected_claims_total[$__rate_interval]))", "no policy"),
		).Size(8, 7),
		g.Lines(29, "Records that failed",
			"Totals since the remediator started. Without a record in the journal nothing is done; the audit stream is tried again.", g.None,
			g.Ask("sum(sluice_remediation_journal_errors_total)", "journal"),
			g.Ask("sum(sluice_remediation_audit_errors_total)", "audit stream"),
			g.Ask("max(sluice_remediation_journals_set_aside)", "journals set aside"),
		).Size(8, 7).Stepped(),
	}
}

func auditPeople() []g.Panel {
	return []g.Panel{
		g.Row(30, "Who leads, who asks"),
		g.States(31, "Who leads",
			"The replica that writes. Without a cluster of replicas each leads itself.",
			[]g.Word{g.Is("0", "standby", "text"), g.Is("1", "leads", "green")},
			g.Ask("max by (instance) (sluice_remediation_leader)", "{{instance}}"),
		).Size(8, 7),
		g.Lines(32, "Log-ins by result",
			"Passwords and tokens that were looked at, a second. Each request that carries one counts.", g.PerSecond,
			g.Ask("sum by (result) (rate(sluice_access_logins_total[$__rate_interval]))", "{{result}}"),
		).Size(8, 7).Paint("ok", "green").Paint("wrong", "orange").Paint("locked", "red"),
		g.Lines(33, "Requests that roles forbid",
			"Of somebody we know who may not do it, by what they wanted. Totals since the remediator started.", g.None,
			g.Ask("sum by (verb) (sluice_access_refused_total)", "{{verb}}"),
		).Size(8, 7).Stepped(),
	}
}

// Within the time range of the board. What a policy didn't do took no time.
func howMany(metric string) string {
	return "round(sum by (policy) (increase(" + metric + "_count[$__range])))"
}

func howLong(q, metric string) string {
	return "histogram_quantile(" + q + ", sum by (policy, le) (increase(" + metric + "_bucket[$__range]))) >= 0"
}

// A freeze is of all members, so it has no number of them.
var standsInTheWay = func() string {
	in := `{device=~"$device",pool=~"$pool|"}`
	of := func(what, expr string) string { return `label_replace(` + expr + `, "what", "` + what + `", "", "")` }
	return of("frozen", "max by (device, pool) (sluice_remediation_frozen_scope"+in+")") +
		" or " + of("claimed", "max by (device, pool) (sluice_remediation_claimed"+in+")") +
		" or " + of("maintenance", "max by (device, pool, name) (sluice_maintenance_active"+in+") == 1")
}()
