package main

// remediator is the template for the write side: what it holds, what it waits for,
// and what keeps it from acting.
func remediator() *builder {
	b := build("remediator", `What "sluice remediator" does, holds and refuses, and what keeps it from acting. Set {$SLUICE.REMEDIATOR.URL}, and name and password of a user with the role viewer where it has users. Of several replicas each is a host.`)
	b.common("http://127.0.0.1:11011/metrics", "RemediatorDown")
	b.Macros = append(b.Macros,
		Macro{Macro: "{$SLUICE.FROZEN}", Value: "1h", Description: "How long a freeze may last until it is a warning."},
		Macro{Macro: "{$SLUICE.FROZEN.TOO.LONG}", Value: "4h", Description: "How long until it is more than that."},
		Macro{Macro: "{$SLUICE.WATCHDOG}", Value: "3m", Description: "How old the Watchdog alert may be."},
		Macro{Macro: "{$SLUICE.BLIND}", Value: "5m", Description: "How long a source of claims may be blind. One that restarted is for three minutes."},
		Macro{Macro: "{$SLUICE.LOGINS}", Value: "5", Description: "Refused log-ins within ten minutes that are still a person's mistakes."},
		Macro{Macro: "{$SLUICE.TOKEN}", Value: "7d", Description: "How long before its end a token has to be swapped."},
	)
	b.maps(yes.valuemap)
	b.state()
	b.claims()
	b.outcomes()
	b.records()
	b.access()
	b.byPool()
	return b
}

// state are the items on what it may do at all.
func (b *builder) state() {
	b.add(
		b.item("mode", "program", "mode", text, "The ceiling of all policies: observe, dry_run, approve or auto.", label("sluice_remediation_mode == 1", "mode"), changed()),
		b.item("leader", "program", "leads", yes, "Whether this replica is the one that acts. A single one always does.", value("sluice_remediation_leader")),
		b.item("frozen", "program", "is frozen", yes, "A freeze of everything, or a journal that can't be used.", value("sluice_remediation_frozen")),
		b.item("frozen.seconds", "program", "frozen for", seconds, "Over restarts.", value("sluice_remediation_frozen_seconds")),
		b.item("frozen.scopes", "program", "devices and pools that are frozen", number, "By themselves, beside a freeze of everything.", orZero(over("sum", "sluice_remediation_frozen_scope"))),
		b.item("maintenance", "program", "maintenance windows in force", number, "Counted for each pool that one covers.", orZero(over("sum", "sluice_maintenance_active"))),
		b.item("brake", "program", "storm brake", yes, "1 while nothing new is taken out.", value("sluice_remediation_brake")),
	)
	b.problem(problem{
		"RemediatorFrozen", "WARNING", "Sluice remediator is frozen", "No automatic step is taken, giving back included. Somebody froze it and forgot, or its journal can't be used.",
		"last(/frozen.seconds)>{$SLUICE.FROZEN} and last(/frozen.seconds)<={$SLUICE.FROZEN.TOO.LONG}",
	})
	b.problem(problem{"RemediatorFrozenTooLong", "HIGH", "Sluice remediator has been frozen for too long", "Where nobody is at work, end the freeze.", "last(/frozen.seconds)>{$SLUICE.FROZEN.TOO.LONG}"})
	b.problem(problem{"RemediatorStormBrake", "HIGH", "Sluice remediator's storm brake is on", "Too many members fail at once. Look for what they have in common.", "last(/brake)=1"})
}

func (b *builder) claims() {
	b.add(
		b.item("claims", "claims", "claims", number, "Alerts that ask for a step now.", value("sluice_remediation_claims")),
		b.item("watchdog", "claims", "age of the Watchdog", seconds, "Since the alert was last seen that is always there.", value("sluice_remediation_watchdog_age_seconds")),
		b.item("waiting.deferred", "claims", "members that wait", number, "Claimed and not taken out: a guard says no for now, or the mode does.",
			orZero(over("sum", `sluice_remediation_candidates{phase="deferred"}`))),
		b.item("waiting.approval", "claims", "steps that wait for a person", number, "sluice ctl approvals lists them.",
			orZero(over("sum", `sluice_remediation_candidates{phase="awaiting_approval"}`))),
		b.item("waiting.quarantined", "claims", "members in quarantine", number, "Out and back too often, or steps there don't help.",
			orZero(over("sum", `sluice_remediation_candidates{phase="quarantined"}`))),
		b.item("claimed", "claims", "members that people have claimed", number, "Automation takes no step on them.", orZero(over("sum", "sluice_remediation_claimed"))),
		b.item("webhooks.bad", "claims", "webhooks a second that were refused", rate, "Answered with another code than 2xx.",
			orZero(over("sum", `sluice_remediation_webhook_requests_total{code!~"^2..$"}`)), each()),
	)
	b.problem(problem{
		"RemediatorWatchdogMissing", "HIGH", "Sluice remediator doesn't see the Watchdog", "The way from the rules through Alertmanager to the remediator is cut: failing members aren't taken out.",
		"last(/watchdog)>{$SLUICE.WATCHDOG} and last(/leader)=1",
	})
	b.problem(problem{"RemediatorApprovalWaiting", "AVERAGE", "Sluice remediator: a step waits for a person", "sluice ctl approvals, or the console, says which. The failing member stays in rotation until somebody answers.", "last(/waiting.approval)>0"})
	b.problem(problem{"RemediatorQuarantined", "WARNING", "Sluice remediator: a member is in quarantine", "It went out and back too often, or steps in its pool don't help. A person has to look.", "last(/waiting.quarantined)>0"})
	b.problem(problem{"", "WARNING", "Sluice remediator refuses webhooks", "Alertmanager's alerts don't come through: see its log, and the receiver's credentials.", "min(/webhooks.bad,5m)>0"})

	labels := []string{"source"}
	r := b.discover("sources", "Claim sources", "Each Alertmanager and other source of claims.", "sluice_remediation_claim_source_blind", labels...)
	b.prototype(r, labels, "source.blind", "claims", "Claim source {#SOURCE}: blind", yes, "1 while what it doesn't show doesn't count.", orNothing(value(of("sluice_remediation_claim_source_blind", labels))))
	t := b.trigger(problem{"RemediatorClaimSourceBlind", "WARNING", "Sluice remediator can't read claims from {#SOURCE}", "Failing members may stay in rotation.", "min(/source.blind,{$SLUICE.BLIND})=1"}, lld("source"))
	t.Expression += " and last(/" + b.Name + "/" + b.key("leader") + ")=1"
	r.Triggers = append(r.Triggers, t)
}

// outcomes are what became of steps. A series of these counters appears when it is first counted.
func (b *builder) outcomes() {
	for _, o := range []struct{ result, title, about string }{
		{"applied", "steps taken", "And read back from the device."},
		{"failed", "steps failed", "Refused by the device, or read back otherwise."},
		{"indeterminate", "steps of unknown outcome", "The device broke off before it answered."},
	} {
		b.add(b.item("steps."+o.result, "steps", o.title, number, o.about, orZero(over("sum", `sluice_remediation_steps_total{result="`+o.result+`"}`))))
	}
	b.add(
		b.item("holds", "steps", "members held", number, "Members that Sluice holds out now.", orZero(over("sum", "sluice_remediation_holds"))),
		b.item("expired", "steps", "holds that ended without evidence", number, "Their lease or max_hold ended, and nothing says that the member is well.", orZero(over("sum", "sluice_remediation_expired_total"))),
		// What a person has said is left out, and what a release waits for as it should.
		b.item("refusals", "steps", "steps refused", number, "By guards other than those by which a person has spoken.",
			over("sum", `sluice_remediation_refusals_total{guard!~"^(freeze|silence|foreign|maintenance|hours|approval)$",reason!~"^(no_claim|claimed|not_well|rising|hold_down|standby)$"}`)),
	)
	b.problem(problem{"RemediatorStepFailed", "WARNING", "Sluice remediator: a step failed", "The device refused it, or its state was another one when it was read back.", "rate(/steps.failed,15m)>0"})
	b.problem(problem{"RemediatorStepIndeterminate", "HIGH", "Sluice remediator: a step has an unknown outcome", "It reads the device back before it does anything else; until that works nobody knows whether the step took.", "rate(/steps.indeterminate,15m)>0"})
	b.problem(problem{"RemediatorHoldExpired", "WARNING", "Sluice remediator: a hold is at its end without evidence", "The member stays out until something says that it is well, or a person releases it.", "rate(/expired,15m)>0"})
	b.problem(problem{"RemediatorRefusing", "WARNING", "Sluice remediator refuses a step", "A guard said no: the failing member is still in rotation. sluice ctl refusals says which guard, and why.", "rate(/refusals,5m)>0"})
}

// records are the journal and the audit stream: without a record nothing is done.
func (b *builder) records() {
	b.add(
		b.item("journal.errors", "records", "failed writes to the journal", number, "Without a record nothing is done.", value("sluice_remediation_journal_errors_total")),
		b.item("journal.aside", "records", "damaged journals", number, "Kept beside the one in use.", value("sluice_remediation_journals_set_aside")),
		b.item("audit.errors", "records", "failed writes to the audit stream", number, "Tried again each 10 s.", value("sluice_remediation_audit_errors_total")),
	)
	b.problem(problem{"RemediatorJournalFailing", "HIGH", "Sluice remediator can't write its journal", "It takes no step. Most often the disk is full.", "rate(/journal.errors,5m)>0"})
	b.problem(problem{"RemediatorJournalSetAside", "WARNING", "Sluice remediator keeps a damaged journal", "Look at it, and move it away.", "last(/journal.aside)>0"})
	b.problem(problem{"RemediatorAuditFailing", "WARNING", "Sluice remediator can't write its audit stream", "What isn't written is written later, while the journal has it.", "rate(/audit.errors,5m)>0"})
}

func (b *builder) access() {
	b.add(b.item("logins.bad", "access", "log-ins refused", number, "With a wrong or expired password or token, or locked out after too many of them.",
		orZero(over("sum", `sluice_access_logins_total{result=~"^(wrong|expired|locked)$"}`))))
	b.problem(problem{
		"RemediatorUnauthorizedCalls", "WARNING", "Sluice remediator refuses log-ins", "Somebody guesses, or a program has an old password: an Alertmanager's claims don't arrive then. Its log says from where.",
		"rate(/logins.bad,10m)*600>{$SLUICE.LOGINS}",
	})

	labels := []string{"user", "token"}
	r := b.discover("tokens", "Tokens that expire", "Each token with an end.", "sluice_access_token_expiry_timestamp_seconds", labels...)
	b.prototype(r, labels, "token.expires", "access", "Token {#TOKEN} of {#USER}: ends", moment, "", orNothing(value(of("sluice_access_token_expiry_timestamp_seconds", labels))), changed())
	b.problemOf(r, labels, problem{"", "WARNING", "Sluice remediator: token {#TOKEN} of {#USER} ends soon", "docs/access.md says how to swap it.", "last(/token.expires)-now()<{$SLUICE.TOKEN}"})
}

func (b *builder) byPool() {
	labels := []string{"device"}
	r := b.discover("devices", "Devices of the remediator", "Each device that it may act on.", "sluice_remediation_device_read_only", labels...)
	b.prototype(r, labels, "device.read_only", "devices", "{#DEVICE}: no step can be taken", yes, "A right is missing, a field isn't kept, or no node is the active one.", orNothing(value(of("sluice_remediation_device_read_only", labels))))
	t := b.trigger(problem{"PTAFNotActionable", "WARNING", "Sluice remediator can't act on {#DEVICE}", "Failing members stay in rotation.", "min(/device.read_only,15m)=1"}, lld("device"))
	t.Expression += " and last(/" + b.Name + "/" + b.key("leader") + ")=1"
	r.Triggers = append(r.Triggers, t)

	labels = []string{"device", "pool"}
	r = b.discover("pools", "Pools that are held from", "Each pool of which Sluice held a member.", "sluice_remediation_holds", labels...)
	b.prototype(r, labels, "pool.holds", "steps", "{#DEVICE}/{#POOL}: held by Sluice", number, "", orZero(value(of("sluice_remediation_holds", labels))))
	b.prototype(r, labels, "pool.ineffective", "steps", "{#DEVICE}/{#POOL}: steps in a row that didn't help", number, "At 2 nothing more is taken out there.", orZero(value(of("sluice_remediation_ineffective", labels))))
	b.problemOf(r, labels, problem{"RemediatorStepsIneffective", "WARNING", "Sluice: steps on pool {#POOL} on {#DEVICE} don't help", "Nothing more is taken out there. What is wrong isn't the members.", "last(/pool.ineffective)>=2"})
}
