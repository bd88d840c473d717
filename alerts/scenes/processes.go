package scenes

func processes() []Scene {
	const (
		leader  = "sluice_remediation_leader"
		ofPool  = `{device="edge1",pool="shop"`
		steps   = "sluice_remediation_steps_total" + ofPool + `,to="drain",by="sluice"`
		waiting = "sluice_remediation_candidates" + ofPool
		blind   = `sluice_remediation_claim_source_blind{source="http://192.0.2.20:9093"}`

		second     = `job="sluice-remediator",instance="192.0.2.10:11011"`
		readsEdge1 = `sluice_remediation_device_read_only{device="edge1",` + remediator + `}`
		readsToo   = `sluice_remediation_device_read_only{device="edge1",` + second + `}`

		webhooks = `alertmanager_notifications_failed_total{job="alertmanager",instance="192.0.2.9:9093",integration="webhook"}`
	)
	return []Scene{
		{
			Alert: "RemediatorDown", Labels: remediator,
			Sick: Series{"up{" + remediator + "}": "0"},
			Well: Series{"up{" + remediator + "}": "1"},
		},
		{
			Alert: "RemediatorWatchdogMissing", Labels: remediator,
			Sick: Series{"sluice_remediation_watchdog_age_seconds": "400", leader: "1"},
			Well: Series{"sluice_remediation_watchdog_age_seconds": "50", leader: "1"},
		},
		{
			Alert: "RemediatorFrozen", Labels: remediator,
			Sick: Series{"sluice_remediation_frozen": "1"},
			Well: Series{"sluice_remediation_frozen": "0"},
		},
		{
			Alert: "RemediatorFrozenTooLong", Labels: remediator,
			Sick: Series{"sluice_remediation_frozen_seconds": "20000"},
			Well: Series{"sluice_remediation_frozen_seconds": "600"},
		},
		{
			Alert: "RemediatorScopeFrozenTooLong", Labels: `job="sluice-remediator",device="edge1",pool="shop"`, Other: "edge1",
			Sick: Series{"sluice_remediation_frozen_scope" + ofPool + "}": "1"},
			Well: Series{"sluice_remediation_frozen": "1"},
		},
		{
			Alert: "RemediatorClaimedTooLong", Labels: `job="sluice-remediator",device="edge1",pool="shop"`, Other: "edge1",
			Sick: Series{"sluice_remediation_claimed" + ofPool + "}": "1"},
			Well: Series{"sluice_remediation_claims": "1"},
		},
		{
			Alert: "RemediatorRefusing", Labels: remediator + `,guard="min_serving"`,
			Sick: Series{`sluice_remediation_refusals_total{guard="min_serving",reason="too_few_left"}`: "+1"},
			Well: Series{`sluice_remediation_refusals_total{guard="min_serving",reason="too_few_left"}`: "=0", `sluice_remediation_refusals_total{guard="freeze",reason="frozen"}`: "+1"},
		},
		{
			Alert: "RemediatorStepIndeterminate", Labels: remediator + `,device="edge1",pool="shop",to="drain"`, Other: "edge1",
			Sick: Series{steps + `,result="indeterminate"}`: "+1"},
			Well: Series{steps + `,result="applied"}`: "+1"},
		},
		{
			Alert: "RemediatorStepFailed", Labels: remediator + `,device="edge1",pool="shop",to="drain"`, Other: "edge1",
			Sick: Series{steps + `,result="failed"}`: "+1"},
			Well: Series{steps + `,result="applied"}`: "+1"},
		},
		{
			Alert: "RemediatorHoldExpired", Labels: remediator + `,device="edge1",pool="shop"`, Other: "edge1",
			Sick: Series{"sluice_remediation_expired_total" + ofPool + "}": "+1"},
			Well: Series{"sluice_remediation_expired_total" + ofPool + "}": "=0"},
		},
		{
			Alert: "RemediatorClaimSourceBlind", Labels: remediator + `,source="http://192.0.2.20:9093"`,
			Sick: Series{blind: "1", leader: "1"},
			Well: Series{blind: "0", leader: "1"},
		},
		{
			Alert: "RemediatorBlind", Labels: remediator,
			Sick: Series{blind: "1", leader: "1"},
			Well: Series{blind: "0", leader: "1"},
		},
		{
			Alert: "RemediatorStormBrake", Labels: remediator,
			Sick: Series{"sluice_remediation_brake": "1", leader: "1"},
			Well: Series{"sluice_remediation_brake": "0", leader: "1"},
		},
		{
			Alert: "RemediatorApprovalWaiting", Labels: `job="sluice-remediator",device="edge1",pool="shop"`, Other: "edge1",
			Sick: Series{waiting + `,phase="awaiting_approval"}`: "1"},
			Well: Series{waiting + `,phase="deferred"}`: "1"},
		},
		{
			Alert: "RemediatorQuarantined", Labels: `job="sluice-remediator",device="edge1",pool="shop"`, Other: "edge1",
			Sick: Series{waiting + `,phase="quarantined"}`: "1"},
			Well: Series{waiting + `,phase="deferred"}`: "1"},
		},
		{
			Alert: "RemediatorStepsIneffective", Labels: `job="sluice-remediator",device="edge1",pool="shop"`, Other: "edge1",
			Sick: Series{"sluice_remediation_ineffective" + ofPool + "}": "2", leader: "1"},
			Well: Series{"sluice_remediation_ineffective" + ofPool + "}": "1", leader: "1"},
		},
		{
			Alert: "RemediatorNoLeader", Labels: `job="sluice-remediator"`, Other: "sluice-remediator",
			Sick: Series{leader: "0"},
			Well: Series{leader: "1"},
		},
		{
			Alert: "RemediatorTwoLeaders", Labels: `device="edge1"`, Other: "edge1",
			Sick: Series{readsEdge1: "0", readsToo: "0", leader + "{" + remediator + "}": "1", leader + "{" + second + "}": "1"},
			Well: Series{readsEdge1: "0", leader + "{" + remediator + "}": "1", leader + "{" + second + "}": "1"},
		},
		{
			Alert: "RemediatorJournalFailing", Labels: remediator,
			Sick: Series{"sluice_remediation_journal_errors_total": "+1"},
			Well: Series{"sluice_remediation_journal_errors_total": "=0"},
		},
		{
			Alert: "RemediatorJournalSetAside", Labels: remediator,
			Sick: Series{"sluice_remediation_journals_set_aside": "1"},
			Well: Series{"sluice_remediation_journals_set_aside": "0"},
		},
		{
			Alert: "RemediatorAuditFailing", Labels: remediator,
			Sick: Series{"sluice_remediation_audit_errors_total": "+1"},
			Well: Series{"sluice_remediation_audit_errors_total": "=0"},
		},
		{
			Alert: "RemediatorStateDrift", Labels: edgePool, Other: "edge1",
			Sick: Series{"sluice_remediation_holds" + ofPool + "}": "2", leader: "1", stateOfS1 + `,state="drain"}`: "1"},
			Well: Series{"sluice_remediation_holds" + ofPool + "}": "1", leader: "1", stateOfS1 + `,state="drain"}`: "1"},
			In: []Maintenance{
				{"maint is out too", Series{`sluice_member_admin_state{` + edgePool + `,member="s2",state="maint"}`: "1"}, false},
			},
		},
		{
			Alert: "RemediatorUnauthorizedCalls", Labels: remediator,
			Sick: Series{`sluice_remediation_webhook_requests_total{code="401"}`: "+5"},
			Well: Series{`sluice_remediation_webhook_requests_total{code="401"}`: "=3", `sluice_remediation_webhook_requests_total{code="200"}`: "+5"},
		},
		{
			Alert: "RemediatorDryRunInProduction", Labels: remediator + `,mode="dry_run"`,
			Sick: Series{`sluice_remediation_mode{mode="dry_run"}`: "1"},
			Well: Series{`sluice_remediation_mode{mode="dry_run"}`: "0", `sluice_remediation_mode{mode="auto"}`: "1"},
		},
		{
			Alert: "AlertmanagerWebhookFailing", Labels: `job="alertmanager",instance="192.0.2.9:9093"`,
			Sick: Series{webhooks: "+1"},
			Well: Series{webhooks: "=1"},
		},
	}
}
