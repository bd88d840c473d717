package source

import "strings"

const haproxyWhy = `Of HAProxy. For Prometheus 2.42 and newer. Runbooks: alerts/runbooks.

The rules need the profile "builtin" or "both" of a device (docs/configuration.md).
A backend is a pool here and a server a member, as everywhere in Sluice: an
alert has the labels device, pool and member where it is about one, so that
servers of one name on two devices stay two. Nothing here asks for a step;
MemberFailing does, in sluice.rules.yml, which these rules need beside them.`

// What the rules on errors are made of, and boards too. "max" over exporters: two
// that read one device tell of the same requests.
func haproxyRates() Group {
	rate := func(object, code string, as func(string) string, by string) string {
		return responses(object, code, "5m", as, by)
	}
	return Group{Name: "sluice-haproxy-rates", Rules: []Rule{
		{Record: "device_pool_member:haproxy_server_http_responses:rate5m", Expr: rate("server", "", asServer, "device, pool, member")},
		{Record: "device_pool_member:haproxy_server_http_responses_5xx:rate5m", Expr: rate("server", errors, asServer, "device, pool, member")},
		{Record: "device_pool:haproxy_backend_http_responses:rate5m", Expr: rate("backend", "", asBackendOf, "device, pool")},
		{Record: "device_pool:haproxy_backend_http_responses_5xx:rate5m", Expr: rate("backend", errors, asBackendOf, "device, pool")},
		{
			Why:    "Of all other members of the pool: what an outlier is compared with. In a pool of\ntwo the sick one is half of the average and never three times of it.",
			Record: "device_pool_member:haproxy_rest_http_responses:rate5m",
			Expr:   rest("device_pool_member:haproxy_server_http_responses:rate5m"),
		},
		{Record: "device_pool_member:haproxy_rest_http_responses_5xx:rate5m", Expr: rest("device_pool_member:haproxy_server_http_responses_5xx:rate5m")},
	}}
}

// errors selects the answers that are no good.
const errors = `{code="5xx"}`

func responses(object, code, window string, as func(string) string, by string) string {
	return "max by (" + by + ") (\n  " +
		as("sum without (code) (rate(haproxy_"+object+"_http_responses_total"+code+"["+window+"]))") + "\n)"
}

func rest(metric string) string {
	return "sum by (device, pool) (" + metric + ")\n- on (device, pool) group_right ()\n" + metric
}

func haproxy() Group {
	return Group{Name: "sluice-haproxy", Board: Pools, Rules: []Rule{
		{
			Why: `Of any exporter: one that reads the device is enough. DeviceUnreachable says it
sooner, and for each exporter.`,
			Alert:       "HAProxyStatsUnreachable",
			About:       Device,
			Expr:        `max by (device, kind) (max_over_time(sluice_device_up{kind="haproxy"}[1m])) == 0`,
			For:         "2m",
			Severity:    Warning,
			Summary:     "The statistics of {{ $labels.device }} can't be read",
			Description: "No exporter has read it for 3 minutes: the socket's path, its rights, or the process. Whether users suffer the probe of its address says.",
		},
		{
			Alert: "HAProxyBackendNoServerInRotation",
			About: Pool,
			Expr: `
count by (device, pool) (max by (device, pool, member) (` + asServer(`haproxy_server_status{state="UP"}`) + `))
unless
count by (device, pool) (` + serverIs("UP") + `)`,
			For:         "30s",
			Severity:    Critical,
			Summary:     "Backend {{ $labels.pool }} on {{ $labels.device }} has no server in rotation",
			Description: "None of its {{ $value }} servers is UP. Users get 503.",
		},
		{
			Why: `The base leaves out servers in MAINT: a server template keeps its free slots
there.`,
			Alert: "HAProxyBackendLowRedundancy",
			About: Pool,
			Expr: `
(
  count by (device, pool) (` + serverIs("UP") + `)
  /
  count by (device, pool) (max by (device, pool, member) (` + asServer(`haproxy_server_status{state="MAINT"}`) + `) == 0)
) < %(redundancy)s`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "Backend {{ $labels.pool }} on {{ $labels.device }} has {{ $value | humanizePercentage }} of its servers",
			Description: "Less than %(redundancy)s of the servers that aren't in MAINT are UP, for 5 minutes. Mend one before the next fails.",
		},
		{
			Why:   `A window is known by its pool: it covers all members here.`,
			Alert: "HAProxyServerDown",
			About: Member,
			Expr: serverIs("DOWN") + `
` + notInMaintenance,
			For:         "5m",
			Severity:    Warning,
			Summary:     "{{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} is DOWN",
			Description: "HAProxy's own check has failed for 5 minutes. HAProxy sends it no traffic: there is nothing to do at once, and one server fewer.",
		},
		{
			Why: `Where automation adds something: the deep probe fails, HAProxy's own check
passes. MemberFailing asked for a step a minute ago, and none was taken.`,
			Alert: "HAProxyServerFailingInRotation",
			About: Member,
			Expr: `
min by (device, pool, member) (sluice_probe_up{member!=""}) == 0
and on (device, pool, member)
` + serverIs("UP"),
			For:         "1m",
			Severity:    Warning,
			Summary:     "{{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} fails its probe and gets traffic",
			Description: "The exporter's probe has been down for 1 minute, and HAProxy has the server UP. Users that are sent there get errors.",
		},
		{
			Why: `Asks for no step: without traffic there are no errors, so the step itself would
end the alert. A policy with "confirm: traffic" looks at this with care.`,
			Alert: "HAProxyServerErrorOutlier",
			About: Member,
			Expr: `
(
  device_pool_member:haproxy_server_http_responses_5xx:rate5m
  / (device_pool_member:haproxy_server_http_responses:rate5m > %(errorFloor)s)
) > %(errorShare)s
and
  device_pool_member:haproxy_server_http_responses_5xx:rate5m
  / device_pool_member:haproxy_server_http_responses:rate5m
  > %(outlier)s * (
    device_pool_member:haproxy_rest_http_responses_5xx:rate5m
    / (device_pool_member:haproxy_rest_http_responses:rate5m > %(errorFloor)s)
  )`,
			For:         "2m",
			Severity:    Warning,
			Summary:     "{{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} answers {{ $value | humanizePercentage }} with 5xx",
			Description: "That is more than %(outlier)s times as much as the rest of the pool, at more than %(errorFloor)s requests a second, for two minutes.",
		},
		{
			Why: `HAProxy counts a step as going down too: its own count is left out for a while
after each, whoever took it.`,
			Alert: "HAProxyServerFlapping",
			About: Member,
			Expr: `
max by (device, pool, member) (` + asServer("increase(haproxy_server_check_up_down_total[%(flapWindow)s])") + `) > %(serverFlaps)s
unless on (device, pool, member)
max by (device, pool, member) (changes(sluice_member_admin_state[%(flapQuiet)s])) > 0
unless on (device, pool) (
  ` + ourSteps("device, pool", "%(flapQuiet)s") + `
)`,
			Severity:    Warning,
			Summary:     "{{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} goes up and down",
			Description: `HAProxy's check took it down {{ printf "%.0f" $value }} times within %(flapWindow)s; more than %(serverFlaps)s is flapping.`,
		},
		{
			Why: `The last two minutes too: errors that are over stand in the rate of five minutes
for as long again, and nobody is to be called when it is well.`,
			Alert: "HAProxyBackendErrorRateHigh",
			About: Pool,
			Expr: `
(
  device_pool:haproxy_backend_http_responses_5xx:rate5m
  / (device_pool:haproxy_backend_http_responses:rate5m > %(errorFloor)s)
) > %(errorShare)s
and
` + responses("backend", errors, "2m", asBackendOf, "device, pool") + `
> %(errorShare)s * ` + responses("backend", "", "2m", asBackendOf, "device, pool"),
			For:         "5m",
			Severity:    Critical,
			Summary:     "{{ $value | humanizePercentage }} of the answers of {{ $labels.pool }} on {{ $labels.device }} are 5xx",
			Description: "More than %(errorShare)s of all, at more than %(errorFloor)s requests a second, for five minutes. Where all servers are alike, taking one out makes it worse.",
		},
		{
			Alert:       "HAProxyQueueing",
			About:       Pool,
			Expr:        `max by (device, pool) (` + asBackendOf("haproxy_backend_current_queue") + `) > 0`,
			For:         "2m",
			Severity:    Warning,
			Summary:     "Requests wait for a server of {{ $labels.pool }} on {{ $labels.device }}",
			Description: "{{ $value }} requests wait now, and some have for 2 minutes: the servers are at their limit of sessions, slow, or too few.",
		},
		{
			Why:         `A frontend has no pool: it is named as HAProxy names it.`,
			Alert:       "HAProxyFrontendNearSessionLimit",
			About:       Device,
			Expr:        `max by (device, proxy) (haproxy_frontend_current_sessions / (haproxy_frontend_limit_sessions > 0)) > %(sessionShare)s`,
			For:         "5m",
			Severity:    Warning,
			Summary:     "Frontend {{ $labels.proxy }} on {{ $labels.device }} is at {{ $value | humanizePercentage }} of its sessions",
			Description: "More than %(sessionShare)s of maxconn are open, for five minutes. Beyond it new connections wait, and users see a site that doesn't answer.",
		},
		{
			Alert: "HAProxyRetriesHigh",
			About: Pool,
			Expr: `
max by (device, pool) (
  ` + asBackendOf(`rate(haproxy_backend_retry_warnings_total[5m])
    / (rate(haproxy_backend_connection_attempts_total[5m]) > %(errorFloor)s)`) + `
) > %(retryShare)s`,
			For:         "10m",
			Severity:    Warning,
			Summary:     "{{ $value | humanizePercentage }} of the connections to servers of {{ $labels.pool }} on {{ $labels.device }} are tried again",
			Description: "More than %(retryShare)s for ten minutes: the network to the servers loses packets, or one of them is dying.",
		},
		{
			Why: `Set at run time. Left out is what the configuration has disabled, what Sluice
looks after, and what somebody has claimed or planned.`,
			Alert: "HAProxyServerLeftOutOfRotation",
			About: Member,
			Expr: `
max by (device, pool, member) (sluice_haproxy_server_admin_flag{flag=~"forced_maint|forced_drain"}) == 1
unless on (device, pool, member) sluice_haproxy_server_admin_flag{flag="config_maint"} == 1
unless on (device, pool, member) sluice_remediation_evidence_age_seconds
unless on (device, pool) sluice_remediation_claimed > 0
` + notInMaintenance,
			For:         "24h",
			Severity:    Info,
			Summary:     "{{ $labels.member }} of {{ $labels.pool }} on {{ $labels.device }} has been out for a day",
			Description: "Somebody set it to drain or maint, and for 24 hours nobody has given it back. Forgotten?",
		},
		{
			Why: `For devices that carry one label "cluster" (metric_relabel_configs in
prometheus.yml): nothing else says that two of them should agree. A node that a
window covers isn't asked: there they are meant to differ.`,
			Alert: "HAProxyNodesDisagree",
			Expr: `
sum by (cluster, pool, member) (` + clusterUp + `) > 0
and
sum by (cluster, pool, member) (` + clusterUp + `)
< count by (cluster, pool, member) (` + clusterUp + `)`,
			For:         "10m",
			Severity:    Warning,
			Summary:     "The nodes of {{ $labels.cluster }} disagree about {{ $labels.member }} of {{ $labels.pool }}",
			Description: "It is UP on {{ $value }} of them and not on the others, for ten minutes: a change that was made on some nodes, or a network that is cut.",
		},
		{
			Why: `Drain and maint of the run time are lost by it: the remediator plans again,
through all guards.`,
			Alert:       "HAProxyRestarted",
			About:       Device,
			Expr:        `max by (device) (changes(haproxy_process_start_time_seconds[10m])) > 0`,
			Severity:    Info,
			Summary:     "{{ $labels.device }} was reloaded or restarted",
			Description: "{{ $value }} times within ten minutes. Members that were taken out at run time came back with it; the remediator judges again those that it held.",
		},
		{
			Alert:       "HAProxyDroppingLogs",
			About:       Device,
			Expr:        `max by (device) (rate(haproxy_process_dropped_logs_total[5m])) > 0`,
			For:         "10m",
			Severity:    Warning,
			Summary:     "{{ $labels.device }} loses log lines",
			Description: "{{ $value | humanize }} lines a second for ten minutes: its log target doesn't take them.",
		},
	}}
}

// asServer puts HAProxy's own labels into Sluice's words.
func asServer(expr string) string {
	return `label_replace(` + asBackendOf(expr) + `, "member", "$1", "server", "(.*)")`
}

func asBackendOf(expr string) string {
	return `label_replace(` + expr + `, "pool", "$1", "proxy", "(.*)")`
}

// serverIs are the members in a state of HAProxy's. The few that are in it are
// picked first, then renamed.
func serverIs(state string) string {
	return `max by (device, pool, member) (` + asServer(`haproxy_server_status{state="`+state+`"} == 1`) + `)`
}

// notInMaintenance leaves out pools, and devices, that a window covers.
const notInMaintenance = `unless on (device, pool) sluice_maintenance_active == 1
unless on (device) sluice_maintenance_active{pool=""} == 1`

// clusterUp leaves out a node that is in maintenance: there they are meant to differ.
var clusterUp = `
  max by (cluster, device, pool, member) (` + asServer(`haproxy_server_status{state="UP",cluster!=""}`) + `)
  ` + strings.ReplaceAll(notInMaintenance, "\n", "\n  ") + "\n"
