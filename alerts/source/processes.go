package source

// processes are our own: whether the remediator lives, hears, and is let do its work.
func processes() Group {
	return Group{Name: "sluice-remediator", Board: Audit, Rules: []Rule{
		{
			Why: `The second half is a target that was there within the hour and left
Prometheus' configuration. Not absent(): who runs the exporter alone has
no remediator to miss.`,
			Alert: "RemediatorDown",
			About: Process,
			Expr: `
up{job="%(remediatorJob)s"} == 0
or
max by (job) (max_over_time(up{job="%(remediatorJob)s"}[1h]))
  unless on (job) up{job="%(remediatorJob)s"}`,
			For:         "15s",
			Severity:    Critical,
			Summary:     "Prometheus gets nothing from the remediator",
			Description: "For 15 s no scrape of it has succeeded. Nobody takes failing members out or gives held ones back. What is held now stays held on the device.",
		},
		{
			Why: `Alertmanager repeats the Watchdog every minute. Three minutes are also
what a fresh Alertmanager is given before its silence counts. A
remediator that is gone itself is RemediatorDown.`,
			Alert: "RemediatorWatchdogMissing",
			About: Process,
			Expr: `
sluice_remediation_watchdog_age_seconds > %(watchdogSeconds)s
unless on (job, instance) sluice_remediation_leader == 0`,
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} hasn't seen the Watchdog alert for {{ $value | humanizeDuration }}",
			Description: "More than %(watchdogSeconds)s s is too long. The way from the rules through Alertmanager to the remediator is cut: claims don't reach it, so failing members are not taken out.",
		},
		{
			Alert:       "RemediatorFrozen",
			About:       Process,
			Expr:        "sluice_remediation_frozen == 1",
			For:         "1h",
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} has been frozen for more than an hour",
			Description: "For 1 hour no automatic step has been taken, giving back included. Either somebody froze it and forgot, or its journal can't be read.",
		},
		{
			Why: `Told from the freeze itself, so a restart doesn't begin the time anew, as it
does with RemediatorFrozen.`,
			Alert:       "RemediatorFrozenTooLong",
			About:       Process,
			Expr:        "sluice_remediation_frozen_seconds > %(frozenSeconds)s",
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} has been frozen for {{ $value | humanizeDuration }}",
			Description: "For {{ $value | humanizeDuration }} no member was taken out and none given back. Where nobody is at work, end the freeze.",
		},
		{
			Why: `A freeze of everything is RemediatorFrozen. "max" and no instance: replicas show
the same journal. pool is empty where all of the device is frozen.`,
			Alert:       "RemediatorScopeFrozenTooLong",
			About:       Device,
			Expr:        "max by (job, device, pool) (sluice_remediation_frozen_scope) == 1",
			For:         "4h",
			Severity:    Warning,
			Summary:     "{{ $labels.device }}{{ with $labels.pool }}, pool {{ . }},{{ end }} has been frozen for more than four hours",
			Description: "A person froze this part 4 hours ago or earlier, and no automatic step is taken there: failing members stay in rotation, and held ones stay out. Forgotten?",
		},
		{
			Why: `Members that people claim one after the other look like one that is claimed for
long: the series counts them, and doesn't name them.`,
			Alert:       "RemediatorClaimedTooLong",
			About:       Pool,
			Expr:        "max by (job, device, pool) (sluice_remediation_claimed) > 0",
			For:         "24h",
			Severity:    Warning,
			Summary:     "Members of pool {{ $labels.pool }} on {{ $labels.device }} have been claimed for a day",
			Description: "People have had members of this pool in their own hands for 24 hours, {{ $value }} of them now. Automation takes no step on these: when one fails, it stays in rotation. Forgotten?",
		},
		{
			Why: `Left out are the guards by which a person has spoken: freeze, silence,
foreign, maintenance, hours, approval; the reasons for which a release
waits as it should; and a standby, in whose place another replica steps.
All others are in, those that come later too. A counter's first value is
no increase for Prometheus; "unless ... offset" catches it. Longer than the
window it is asked for, because one no that a yes follows is nothing to tell:
each round that refuses is counted.`,
			Alert: "RemediatorRefusing",
			About: Process,
			Expr: `
sum by (job, instance, guard) (
  increase(sluice_remediation_refusals_total{
    guard!~"freeze|silence|foreign|maintenance|hours|approval",
    reason!~"no_claim|claimed|not_well|rising|hold_down|standby"
  }[1m])
) > 0
or
sum by (job, instance, guard) (
  sluice_remediation_refusals_total{
    guard!~"freeze|silence|foreign|maintenance|hours|approval",
    reason!~"no_claim|claimed|not_well|rising|hold_down|standby"
  }
  unless
  sluice_remediation_refusals_total offset 1m
) > 0`,
			For:         "3m",
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} refuses a step: guard {{ $labels.guard }}",
			Description: "An alert asks for a step, and this guard has refused it for 3 minutes. The failing member is still in rotation, and a person should look.",
		},
		{
			Alert:       "RemediatorStepIndeterminate",
			About:       Pool,
			Expr:        grew("job, instance, device, pool, to", "sluice_remediation_steps_total", `{result="indeterminate"}`, "15m"),
			Severity:    Critical,
			Summary:     "A step to {{ $labels.to }} in pool {{ $labels.pool }} on {{ $labels.device }} has an unknown outcome",
			Description: "Within the last 15 minutes the device broke off before it answered. The remediator reads the device back before it does anything else; until that works nobody knows whether the step took.",
		},
		{
			Alert:       "RemediatorStepFailed",
			About:       Pool,
			Expr:        grew("job, instance, device, pool, to", "sluice_remediation_steps_total", `{result="failed"}`, "15m"),
			Severity:    Critical,
			Summary:     "A step to {{ $labels.to }} in pool {{ $labels.pool }} on {{ $labels.device }} failed",
			Description: `Within 15 minutes: {{ printf "%.0f" $value }}. The device refused the command, or its state was another one when it was read back. A failing member may be in rotation still.`,
		},
		{
			Alert:       "RemediatorHoldExpired",
			About:       Pool,
			Expr:        grew("job, instance, device, pool", "sluice_remediation_expired_total", ``, "15m"),
			Severity:    Warning,
			Summary:     "A hold in pool {{ $labels.pool }} on {{ $labels.device }} is at its end without evidence",
			Description: "Within the last 15 minutes its lease or its max_hold ended, and nothing says that the member is well. It stays out until something does, or until a person releases it.",
		},
		{
			Why:   `A restarted Alertmanager counts as blind for three minutes by design.`,
			Alert: "RemediatorClaimSourceBlind",
			About: Process,
			Expr: `
sluice_remediation_claim_source_blind == 1
unless on (job, instance) sluice_remediation_leader == 0`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} can't read claims from {{ $labels.source }}",
			Description: "For 5 minutes a claim that this source doesn't show has said nothing: it may be there all the same. Failing members may stay in rotation; giving back rests on the remediator's own probes alone.",
		},
		{
			Why:   `Four minutes: an only Alertmanager that restarts is blind for three by design.`,
			Alert: "RemediatorBlind",
			About: Process,
			Expr: `
min by (job, instance) (
  sluice_remediation_claim_source_blind unless on (job, instance) sluice_remediation_leader == 0
) == 1`,
			For:         "4m",
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} can't read claims from anywhere",
			Description: "For 4 minutes not one source of claims has been believed. A claim that the remediator doesn't see starts nothing, so failing members stay in rotation.",
		},
		{
			Why:   `No "for": the brake counts by itself, and lasts for its cooldown at least.`,
			Alert: "RemediatorStormBrake",
			About: Process,
			Expr: `
sluice_remediation_brake == 1
unless on (job, instance) sluice_remediation_leader == 0`,
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} takes nothing out: too many members fell sick at once",
			Description: "So much at once is taken for a fault of something else: the network, a release, the monitoring. Failing members stay in rotation until the brake's cooldown has passed without a storm; giving back goes on.",
		},
		{
			Why:         `"max" and no instance: replicas show the same journal.`,
			Alert:       "RemediatorApprovalWaiting",
			About:       Pool,
			Expr:        `max by (job, device, pool) (sluice_remediation_candidates{phase="awaiting_approval"}) > 0`,
			For:         "2m",
			Severity:    Warning,
			Summary:     "A step in pool {{ $labels.pool }} on {{ $labels.device }} waits for a person's word",
			Description: "Steps that wait: {{ $value }}. Their members fail, and stay in rotation until somebody approves; all other guards agree.",
		},
		{
			Alert:       "RemediatorQuarantined",
			About:       Pool,
			Expr:        `max by (job, device, pool) (sluice_remediation_candidates{phase="quarantined"}) > 0`,
			Severity:    Warning,
			Summary:     "Sluice keeps its hands off pool {{ $labels.pool }} on {{ $labels.device }}: what it did there didn't last",
			Description: "Members: {{ $value }}. They fail and are left in rotation, because they went out and came back too often, or because steps on this pool changed nothing. A person has to look.",
		},
		{
			Alert: "RemediatorStepsIneffective",
			About: Pool,
			Expr: `
max by (job, device, pool) (
  sluice_remediation_ineffective unless on (job, instance) sluice_remediation_leader == 0
) >= 2`,
			Severity:    Critical,
			Summary:     "{{ $value }} steps in a row in pool {{ $labels.pool }} on {{ $labels.device }} changed nothing for the better",
			Description: "Members were taken out, and it helped nobody. From 2 in a row on nothing more is taken out there: the fault is somewhere else.",
		},
		{
			Why:         `30s: after a leader's death the next one leads when the old lease has ended.`,
			Alert:       "RemediatorNoLeader",
			About:       Process,
			Expr:        "max by (job) (sluice_remediation_leader) == 0",
			For:         "30s",
			Severity:    Critical,
			Summary:     "No replica of {{ $labels.job }} leads",
			Description: "For 30 s all replicas that answer have been standbys: nobody takes failing members out or gives held ones back. Most often etcd is out of reach or has no majority.",
		},
		{
			Why: `Asked of each device, not of the job: remediators with coordinator: local lead
all, and that is right while each has devices of its own. One that writes
nothing is no second writer. A minute: at a handover the old leader's last
scrape may stand beside the new one's first.`,
			Alert: "RemediatorTwoLeaders",
			About: Device,
			Expr: `
count by (device) (
  count by (device, job, instance) (
    (sluice_remediation_device_read_only and on (job, instance) sluice_remediation_leader == 1)
    unless on (job, instance) sluice_remediation_mode{mode=~"observe|dry_run"} == 1
  )
) > 1`,
			For:         "1m",
			Severity:    Critical,
			Summary:     "{{ $value }} remediators act on {{ $labels.device }}",
			Description: "For 1 minute each of them has believed that it alone writes to this device, so budgets and min_serving are counted apart. Stop all but one.",
		},
		{
			Alert:       "RemediatorJournalFailing",
			About:       Process,
			Expr:        grew("job, instance", "sluice_remediation_journal_errors_total", ``, "5m"),
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} can't write its journal",
			Description: "No step is taken without a record: while the journal can't be written, failing members stay in rotation, and webhooks are answered 503.",
		},
		{
			Alert:       "RemediatorJournalSetAside",
			About:       Process,
			Expr:        "sluice_remediation_journals_set_aside > 0",
			Severity:    Critical,
			Summary:     "{{ $labels.instance }} found a journal that can't be trusted, and is frozen",
			Description: "Damaged journals that are kept beside the new one: {{ $value }}. What was held by it is listed in the new journal by the audit stream, and is out until a person gives it back.",
		},
		{
			Alert:       "RemediatorAuditFailing",
			About:       Process,
			Expr:        grew("job, instance", "sluice_remediation_audit_errors_total", ``, "15m"),
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} can't write its audit stream",
			Description: "It failed within the last 15 minutes. Steps go on, and the journal has them all. The stream of lines that are chained by hash lags behind until it can be written again.",
		},
		{
			Why: `Held by us, and in rotation by the device's word. Not told of a device that
can't be read: then the right side is gone. A quarter of an hour: a release
in steps has the member in with little weight while it is held still, and a
bypass holds a member that it has brought in.`,
			Alert: "RemediatorStateDrift",
			About: Pool,
			Expr: `
max by (device, pool) (
  sluice_remediation_holds unless on (job, instance) sluice_remediation_leader == 0
)
> on (device, pool)
sum by (device, pool) (max by (device, pool, member) (sluice_member_admin_state{state!="ready"}))`,
			For:         "15m",
			Severity:    Warning,
			Summary:     "Sluice holds {{ $value }} of pool {{ $labels.pool }} on {{ $labels.device }}, and the device has fewer out",
			Description: "For a quarter of an hour the journal and the device have disagreed: the journal says {{ $value }} held, and fewer members are in drain or maint.",
		},
		{
			Why:   `Not each wrong password of a person: many within ten minutes.`,
			Alert: "RemediatorUnauthorizedCalls",
			About: Process,
			Expr: `
sum by (job, instance) (increase(sluice_remediation_webhook_requests_total{code=~"401|403"}[10m])) > %(unauthorized)s
or
sum by (job, instance) (increase(sluice_access_logins_total{result=~"wrong|expired|locked"}[10m])) > %(unauthorized)s`,
			Severity:    Warning,
			Summary:     "{{ $labels.instance }} refuses log-ins",
			Description: `Within ten minutes {{ printf "%.0f" $value }} requests came with a wrong, expired or locked password or token, or webhooks with none. Either somebody guesses, or an Alertmanager has an old password and its claims don't arrive.`,
		},
		{
			Alert:       "RemediatorDryRunInProduction",
			About:       Process,
			Expr:        `max by (job, instance, mode) (sluice_remediation_mode{mode=~"observe|dry_run"}) == 1`,
			For:         "24h",
			Severity:    Info,
			Summary:     "{{ $labels.instance }} has been in mode {{ $labels.mode }} for a day",
			Description: "For 24 hours it has taken no step, whatever the policies say. Is it meant so?",
		},
		{
			Why: `Alertmanager's own word about the way to us, where Prometheus scrapes it. Its
other webhooks count too: it doesn't tell receivers apart before 0.26.`,
			Alert:       "AlertmanagerWebhookFailing",
			About:       Process,
			Expr:        `sum by (job, instance) (rate(alertmanager_notifications_failed_total{integration="webhook"}[5m])) > 0`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "Alertmanager {{ $labels.instance }} can't deliver webhooks",
			Description: "{{ $value | humanize }} webhooks a second have failed for five minutes. Where they are the remediator's, claims come by its own reading of the API only, and late.",
		},
		{
			Why: `Fires always. It travels the way of every claim, so the remediator knows
that the way is open. "watchdog" is a reserved word, never a policy.`,
			Alert:       "Watchdog",
			Expr:        "vector(1)",
			Severity:    None,
			Remediation: "watchdog",
			Summary:     "The way from Prometheus to the remediator is open",
			Description: "This alert fires all the time; its absence is the signal (RemediatorWatchdogMissing).",
		},
	}}
}

// grew is there where a counter has grown within the window, be it by one. A counter's
// first value is no increase for Prometheus: "unless ... offset" catches it. Neither
// shows the first of a process that started anew where the one before had counted as
// many: what it has counted since its start is all from within the window.
func grew(by, counter, which, window string) string {
	return `
sum by (` + by + `) (
  increase(` + counter + which + `[` + window + `])
) > 0
or
sum by (` + by + `) (
  ` + counter + which + `
  unless
  ` + counter + ` offset ` + window + `
) > 0
or
sum by (` + by + `) (
  ` + counter + which + `
  and on (job, instance)
  changes(process_start_time_seconds[` + window + `]) > 0
) > 0`
}
