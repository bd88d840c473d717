package source

const ptafWhy = `Of PTAF 3.x and PTAF PRO. For Prometheus 2.42 and newer. Runbooks: alerts/runbooks.

An upstream, or a traffic profile of PTAF PRO, is a pool here and a backend a
member, as everywhere in Sluice: an alert has the labels device, pool and member
where it is about one. Nothing here asks for a step; MemberFailing does, in
sluice.rules.yml, which these rules need beside them.`

func ptaf() Group {
	return Group{Name: "sluice-ptaf", Board: PTAFs, Rules: []Rule{
		{
			Why:         `Five minutes: nodes copy a change from each other, one after the other.`,
			Alert:       "PTAFNodesDiverge",
			About:       Device,
			Expr:        "max by (device) (ptaf_nodes_diverge) == 1",
			For:         "5m",
			Severity:    Warning,
			Summary:     "The nodes of {{ $labels.device }} show upstreams differently",
			Description: "For 5 minutes what one node of the cluster serves hasn't been what another would after a failover. Sluice reads and writes the active node alone.",
		},
		{
			Why: `What only a write shows (a missing right, a field that isn't kept), the
remediator knows; it counts as 1 there, so the two are put on one scale.`,
			Alert: "PTAFNotActionable",
			About: Device,
			Expr: `
min by (device) (ptaf_actionable) == 0
or
1 - max by (device) (
  sluice_remediation_device_read_only unless on (job, instance) sluice_remediation_leader == 0
) == 0`,
			For:         "15m",
			Severity:    Warning,
			Summary:     "Sluice can't act on {{ $labels.device }}",
			Description: "For 15 minutes the device can be read, but no step can be taken on it: failing backends stay in rotation. In a cluster, most often no node or more than one says that it is the active one.",
		},
		{
			Why:         `A minute: an upstream may be renamed while it is read.`,
			Alert:       "PTAFUpstreamRefused",
			About:       Device,
			Expr:        "max by (device, upstream) (ptaf_upstream_refused) == 1",
			For:         "1m",
			Severity:    Warning,
			Summary:     "Upstream {{ $labels.upstream }} on {{ $labels.device }} is left out",
			Description: "For 1 minute: its name occurs twice, it is configured and isn't there, or its object can't be read. None of its backends is seen, so no rule on them can fire and no step is taken on them; other upstreams are served.",
		},
		{
			Why: `By job, because the remediator's user may have other rights than the
exporter's. The floor keeps one of two calls by hand from being half of all.`,
			Alert: "PTAFAPIErrors",
			About: Device,
			Expr: `
(
  sum by (job, instance, device) (rate(ptaf_api_requests_total{code!~"2.."}[5m]))
  /
  sum by (job, instance, device) (rate(ptaf_api_requests_total[5m]))
) > %(apiErrorShare)s
and
sum by (job, instance, device) (increase(ptaf_api_requests_total[5m])) > 5`,
			For:         "10m",
			Severity:    Warning,
			Summary:     "{{ $value | humanizePercentage }} of the calls to {{ $labels.device }} fail",
			Description: "For 10 minutes the management API has answered more than %(apiErrorShare)s of the calls of {{ $labels.instance }} with errors or not at all. Traffic may flow as before; what Sluice sees of this device is late, and a step may fail.",
		},
		{
			Why: `Of any exporter: one that reads the device is enough. DeviceUnreachable says it
sooner, and for each exporter.`,
			Alert:       "PTAFApiUnreachable",
			About:       Device,
			Expr:        `max by (device, kind) (max_over_time(sluice_device_up{kind=~"ptaf|ptafpro"}[2m])) == 0`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "The management API of {{ $labels.device }} can't be reached",
			Description: "No exporter has read it for 7 minutes. Traffic may flow as before; nothing is seen of its backends, and no step is taken there.",
		},
		{
			Alert:       "PTAFApiAuthFailing",
			About:       Device,
			Expr:        `sum by (job, instance, device) (increase(ptaf_api_requests_total{code=~"401|403"}[10m])) > %(authFailures)s`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "{{ $labels.device }} refuses the login of {{ $labels.instance }}",
			Description: `{{ printf "%.0f" $value }} calls within ten minutes were answered 401 or 403: the password or token is wrong or expired, or the user lacks a right.`,
		},
		{
			Why: `PTAF sends it traffic: by itself it doesn't check backends. MemberFailing asked
for a step a minute ago, and none was taken.`,
			Alert: "PTAFUpstreamServerDown",
			About: Member,
			Expr: `
min by (device, pool, member) (sluice_probe_up{member!=""}) == 0
and on (device, pool, member)
max by (device, pool, member) (` + asBackend("ptaf_backend_down") + `) == 0`,
			For:         "1m",
			Severity:    Warning,
			Summary:     "Backend {{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} fails and gets traffic",
			Description: "Its probe has been down for 1 minute and the device has it in. Clients that are sent there get errors.",
		},
		{
			Why:   `Backends that no probe covers count as up: nobody knows better.`,
			Alert: "PTAFUpstreamNoServer",
			About: Pool,
			Expr: `
count by (device, pool) (` + ptafBackends + `)
unless
count by (device, pool) (` + ptafUsable + `)`,
			For:         "30s",
			Severity:    Critical,
			Summary:     "Upstream {{ $labels.pool }} on {{ $labels.device }} has no backend that is in and up",
			Description: "All {{ $value }} backends are taken out, or fail their probes. Clients get errors.",
		},
		{
			Alert: "PTAFUpstreamLowRedundancy",
			About: Pool,
			Expr: `
count by (device, pool) (` + ptafUsable + `)
/
count by (device, pool) (` + ptafBackends + `)
< %(redundancy)s`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "Upstream {{ $labels.pool }} on {{ $labels.device }} has {{ $value | humanizePercentage }} of its backends",
			Description: "Less than %(redundancy)s of them are in and up, for five minutes. Mend one before the next fails.",
		},
		{
			Why: `Any step of ours on the device is left out, not only of this upstream: on a
PTAF PRO one step moves a backend in all profiles that it stands in. Two
minutes, because the remediator is scraped at another moment than the exporter:
what a step changed may be here before the step is.`,
			Alert: "PTAFChangedElsewhere",
			About: Pool,
			Expr: `
(
  max by (device, pool) (` + asUpstream("changes(ptaf_upstream_last_modified_timestamp_seconds[10m])") + `) > 0
  or
  max by (device, pool) (` + asUpstream("changes(ptaf_backend_down[10m])") + `) > 0
)
unless on (device) (
  ` + ourSteps("device", "15m") + `
)`,
			For:         "2m",
			Severity:    Info,
			Summary:     "Somebody changed upstream {{ $labels.pool }} on {{ $labels.device }}",
			Description: "{{ $value }} changes within ten minutes, none of them by Sluice. Sluice keeps its hands off what a person changed.",
		},
		{
			Alert: "PTAFApplyFailed",
			About: Device,
			Expr: `
sum by (job, instance, device) (increase(ptaf_api_requests_total{method="PATCH",code!~"2.."}[10m])) > 0
or
sum by (job, instance, device) (
  ptaf_api_requests_total{method="PATCH",code!~"2.."} unless ptaf_api_requests_total offset 10m
) > 0`,
			For:         "1m",
			Severity:    Warning,
			Summary:     "{{ $labels.device }} refuses what Sluice writes",
			Description: `Writes within ten minutes that were refused or not answered: {{ printf "%.0f" $value }}. Failing backends may stay in, and good ones out.`,
		},
		{
			Alert: "PTAFApplySlow",
			About: Device,
			Expr: `
histogram_quantile(0.95,
  sum by (job, instance, device, le) (rate(ptaf_api_request_duration_seconds_bucket{method="PATCH"}[10m]))
) > %(applySeconds)s`,
			For:         "1m",
			Severity:    Warning,
			Summary:     "Writes to {{ $labels.device }} are slow",
			Description: "Of 100 writes in ten minutes the slowest five took longer than {{ $value | humanizeDuration }}; %(applySeconds)s s is too long. Steps take effect late.",
		},
		{
			Alert: "PTAFServerRecovered",
			About: Member,
			Expr: `
min by (device, pool, member) (sluice_probe_up{member!=""}) == 1
and on (device, pool, member)
max by (device, pool, member) (` + asBackend("ptaf_backend_down") + `) == 1
and on (device, pool)
sluice_remediation_holds > 0`,
			For:         "5m",
			Severity:    Info,
			Summary:     "Backend {{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} is well and still out",
			Description: "Its probe has been good for five minutes, and Sluice holds members of this upstream. It comes back after hold_down, if it is ours; what keeps it out says /api/v1/holds.",
		},
	}}
}

// asBackend puts a PTAF's own labels into Sluice's words.
func asBackend(expr string) string {
	return `label_replace(` + asUpstream(expr) + `, "member", "$1", "backend", "(.*)")`
}

func asUpstream(expr string) string {
	return `label_replace(` + expr + `, "pool", "$1", "upstream", "(.*)")`
}

// A backend counts once, however many exporters tell of it.
var (
	ptafBackends = `max by (device, pool, member) (` + asBackend("ptaf_backend_down") + `)`
	ptafUsable   = ptafBackends + ` == 0 unless min by (device, pool, member) (sluice_probe_up{member!=""}) == 0`
)

// ourSteps is there where a step was taken within the window, by Sluice or by a
// person through it. A counter's first value is no increase for Prometheus;
// "unless ... offset" catches it. A remediator that starts anew takes its series
// along, until its next step: "last_over_time" remembers the one before, and what
// is counted since the start is all from within the window.
func ourSteps(by, window string) string {
	const steps = "sluice_remediation_steps_total"
	return `sum by (` + by + `) (increase(` + steps + `[` + window + `])) > 0
  or
  sum by (` + by + `) (last_over_time(` + steps + `[` + window + `]) unless ` + steps + ` offset ` + window + `) > 0
  or
  sum by (` + by + `) (` + steps + ` and on (job, instance) changes(process_start_time_seconds[` + window + `]) > 0) > 0`
}
