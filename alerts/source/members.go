package source

const sluiceWhy = `Of Sluice and of what every kind of device shares. For Prometheus 2.42 and newer.
Runbooks: alerts/runbooks.

An alert asks the remediator for a step by its label "remediation", whose value
is the name of a policy in the remediator's configuration. Such a rule keeps to
three things, and a test holds them:
  - its labels are plain text, and device, pool and member come from the series;
  - it uses only Sluice's own metrics, which every kind of device shares;
  - it uses nothing that the step changes. "The member fails its probe" stays
    true until the member is well, in rotation or not. "The member doesn't
    serve" would be made true by the very step that it asks for.

A series that is gone makes a rule silent, never firing. So each source of
series has an alert for its own absence: ExporterDown, RemediatorDown,
DeviceUnreachable, ProbesLate, RemediatorWatchdogMissing. ExporterDown and
RemediatorDown know their targets by job="sluice-exporter" and
job="sluice-remediator": keep these names, or change them here too.

Of several remediators on one journal only the leader looks at devices and
claims. What a standby says of them is old: "unless ... leader == 0" leaves it
out where it would matter. Without a leader RemediatorNoLeader fires.`

// The two that ask for a step. The group's own interval is there so that a slow
// global one doesn't delay it.
func claims() Group {
	return Group{
		Why: `The group's own interval, so that a slow global evaluation_interval doesn't
delay a step. Cheap queries, once a second.`,
		Name:     "sluice-claims",
		Interval: "1s",
		Board:    Overview,
		Rules: []Rule{
			{
				Why: `No "for": the exporter has already counted to the probe's "fall". "min",
so that one of several probes is enough.`,
				Alert:       "MemberFailing",
				About:       Member,
				Expr:        `min by (device, pool, member) (sluice_probe_up{member!=""}) == 0`,
				Severity:    Warning,
				Remediation: "%(drainPolicy)s",
				Summary:     "{{ $labels.member }} of pool {{ $labels.pool }} on {{ $labels.device }} fails its probe",
				Description: `The exporter's own probe got the probe's "fall" of bad results in a row from this member: sluice_probe_up is {{ $value }}. Where a policy "%(drainPolicy)s" covers it, the remediator takes it out and gives it back when it is well.`,
			},
			{
				Why: `Asks for a bypass, where a policy of that name and kind covers the pool; without
one it is nobody's claim. For people there is PoolAllFailing. A standby that
is probed is well while the others fail: name it in _config.standbys of the
mixin, or write a rule of your own as docs/alerts.md has it.`,
				Alert:       "PoolBypass",
				About:       Pool,
				Expr:        `max by (device, pool) (min by (device, pool, member) (sluice_probe_up{member!="",member!~"%(standbys)s"})) == 0`,
				Severity:    None,
				Remediation: "%(bypassPolicy)s",
				Summary:     "Every probed member of pool {{ $labels.pool }} on {{ $labels.device }} fails: a bypass is asked for",
				Description: "Where a policy \"%(bypassPolicy)s\" covers this pool, the remediator brings in the standby that the policy names, until a member is well again or max_hold has passed.",
			},
		},
	}
}
