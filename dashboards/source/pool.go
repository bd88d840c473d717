package source

import (
	"fmt"

	g "github.com/sluice-project/sluice/dashboards/grafana"
)

// HAProxy's own metrics say proxy and server where ours say pool and member.
const (
	servers  = `device=~"$device",proxy=~"$pool",server=~"$member"`
	backends = `device=~"$device",proxy=~"$pool"`
	members  = `device=~"$device",pool=~"$pool",member=~"$member"`
	serverIs = "{{device}}/{{proxy}}/{{server}}"

	// "All" means all HAProxies here, not the PTAFs beside them.
	ofHAProxy = " and on (device) haproxy_process_uptime_seconds"
)

// ofServers is the highest value of a gauge by server, should two jobs tell of it.
func ofServers(metric string) g.Target {
	return g.Ask(fmt.Sprintf("max by (device, proxy, server) (%s{%s})", metric, servers), serverIs)
}

// rateOf is how many events of one kind servers have a second, by pool.
func rateOf(metric, what string) g.Target {
	return g.Ask(fmt.Sprintf("sum by (device, proxy) (rate(%s{%s}[$__rate_interval]))", metric, servers), "{{device}}/{{proxy}} "+what)
}

func pool(c Config) g.Board {
	b := board("sluice-pool", "Sluice: HAProxy pool", "One pool or some: who serves, what clients get, how long it takes, where it queues.", c, "haproxy")
	b.Refresh, b.Time = "10s", g.Span{From: "now-1h", To: "now"}
	b.Choose(
		g.Values("device", "Device", `label_values(sluice_device_up{kind="haproxy"}, device)`),
		g.Values("pool", "Pool", `label_values(haproxy_backend_status{device=~"$device"}, proxy)`),
		g.Values("member", "Member", `label_values(haproxy_server_status{device=~"$device",proxy=~"$pool"}, server)`),
	)
	b.Mark(stepMarks...)
	b.Mark(maintenanceMark, restartsMark, reloadsMark)
	b.Show(poolNow()...)
	b.Show(poolTraffic()...)
	b.Show(poolTrouble()...)
	b.Show(poolAround()...)
	return b
}

func poolNow() []g.Panel {
	responses := `haproxy_backend_http_responses_total{` + backends
	is := func(value int, state string) string {
		return fmt.Sprintf(`%d * (haproxy_server_status{%s,state=%q} == 1)`, value, servers, state)
	}
	return []g.Panel{
		g.Stat(1, "HAProxy answers",
			"HAProxies that answered the exporter. Of one that doesn't all series are missing.", g.Share,
			g.Ask(`avg(max by (device) (sluice_device_up{device=~"$device",kind="haproxy"}))`, ""),
		).Colors("red", g.From(1, "green")).Whole(),
		g.Stat(2, "In rotation",
			"Share of the members of the pools that take new traffic, by HAProxy's word.", g.Share,
			g.Ask(`sum(max by (device, pool) (sluice_pool_members_serving{`+pools+`}`+ofHAProxy+`)) / sum(max by (device, pool) (sluice_pool_members{`+pools+`}`+ofHAProxy+`))`, ""),
		).Colors("red", g.From(0.5, "orange"), g.From(1, "green")).Whole(),
		g.Stat(3, "Responses",
			"Responses a second, of the pools and HAProxy's own for them.", g.Requests,
			g.Ask(`sum(rate(`+responses+`}[$__rate_interval]))`, ""),
		).Colors("blue"),
		g.Stat(4, "Share of 5xx",
			"Of all responses of the pools, those with a code from 500 on. HAProxy's own 503 counts: clients see it.", g.Share,
			g.Ask(`sum(rate(`+responses+`,code="5xx"}[$__rate_interval])) / (sum(rate(`+responses+`}[$__rate_interval])) > 0) or 0 * sum(rate(`+responses+`}[$__rate_interval]))`, ""),
		).Colors("green", g.From(0.01, "orange"), g.From(0.05, "red")),
		g.Stat(5, "Queue",
			"Requests that wait for a free connection: in the pools and at single members.", g.None,
			g.Ask(`sum(max by (device, proxy) (haproxy_backend_current_queue{`+backends+`})) + sum(max by (device, proxy, server) (haproxy_server_current_queue{`+servers+`}))`, ""),
		).Colors("green", g.From(1, "orange"), g.From(100, "red")),
		g.Stat(6, "Held by Sluice",
			"Members of the pools that the remediator took out and will give back.", g.None,
			g.Ask(`sum(max by (device, pool) (sluice_remediation_holds{`+pools+`}`+ofHAProxy+`))`+orZero, ""),
		).Colors("green", g.From(1, "blue")),
		g.Row(7, "Members"),
		g.States(8, "Members in and out",
			"HAProxy's one word for each member. Down hides a drain: the table says both.",
			[]g.Word{g.Is("0", "down", "red"), g.Is("1", "maint", "purple"), g.Is("2", "drain", "orange"), g.Is("3", "no new traffic", "yellow"), g.Is("4", "up", "green")},
			g.Ask("max by (device, proxy, server) ("+is(4, "UP")+" or "+is(3, "NOLB")+" or "+is(2, "DRAIN")+" or "+is(1, "MAINT")+" or "+is(0, "DOWN")+")", serverIs),
		),
		g.Table(9, "Members now",
			"What was ordered, what HAProxy finds, what our probe says. Check is HAProxy's own and empty where it makes none; changed is how long ago its finding changed.", "probe",
			[]g.Column{
				{Of: "device"},
				{Of: "pool", Name: true},
				{Of: "member", Long: true},
				{Of: "state", As: "ordered", Words: []g.Word{g.Is("ready", "ready", "green"), g.Is("drain", "drain", "orange"), g.Is("maint", "maint", "purple")}},
				{Of: "Value #A", As: "serving", Words: []g.Word{g.Is("0", "no", "orange"), g.Is("1", "yes", "green")}},
				{Of: "Value #B", As: "probe", Words: []g.Word{g.Is("0", "down", "red"), g.Is("1", "up", "green")}},
				{Of: "Value #C", As: "weight"},
				{Of: "Value #D", As: "sessions"},
				{Of: "Value #E", As: "queue", Steps: []g.Step{{Color: "text"}, g.From(1, "orange")}},
				{Of: "Value #F", As: "check took", Unit: g.Seconds},
				{Of: "Value #G", As: "changed", Unit: g.Seconds},
			},
			g.Now(`max by (device, pool, member, state) (sluice_member_admin_state{`+members+`} == 1) * on (device, pool, member) group_left () max by (device, pool, member) (sluice_member_serving{`+members+`})`+ofHAProxy),
			g.Now(`min by (device, pool, member) (sluice_probe_up{`+members+`,member!=""})`+ofHAProxy),
			g.Now(ours("haproxy_server_weight")),
			g.Now(ours("haproxy_server_current_sessions")),
			g.Now(ours("haproxy_server_current_queue")),
			g.Now(ours("haproxy_server_check_duration_seconds")),
			g.Now(ours("haproxy_server_check_last_change_seconds")),
		).LeadsFrom("member", lineToConsole, lineToProbes),
		g.Lines(10, "Serving members",
			"Members that take new traffic, how many the pool has, and how many min_serving keeps in. A step falls by one for each that goes, whoever took it out; at the broken line Sluice takes out no more.", g.None,
			g.Ask(`max by (device, pool) (sluice_pool_members_serving{`+pools+`}`+ofHAProxy+`)`, "{{device}}/{{pool}} serving"),
			g.Ask(`max by (device, pool) (sluice_pool_members{`+pools+`}`+ofHAProxy+`)`, "{{device}}/{{pool}} of"),
			g.Ask(`max by (device, pool) (sluice_remediation_min_serving{`+pools+`}`+ofLeader+ofHAProxy+`)`, "{{device}}/{{pool}} at least"),
		).Stepped().Dashed(" at least"),
		g.States(11, "HAProxies agree",
			"Whether all HAProxies that have a member of this name in a pool of this name say the same of it: serving or not. One alone agrees with itself.",
			[]g.Word{g.Is("0", "agree", "green"), g.Is("1", "differ", "red")},
			g.Ask(`max by (pool, member) (sluice_member_serving{`+members+`}`+ofHAProxy+`) - min by (pool, member) (sluice_member_serving{`+members+`}`+ofHAProxy+`)`, "{{pool}}/{{member}}"),
		).Size(12, 7),
	}
}

// ours is a gauge of servers, with our labels: a table merges what has the same.
func ours(metric string) string {
	return fmt.Sprintf(`max by (device, pool, member) (label_replace(label_replace(%s{%s}, "pool", "$1", "proxy", "(.*)"), "member", "$1", "server", "(.*)"))`, metric, servers)
}

func poolTraffic() []g.Panel {
	all := `haproxy_server_http_responses_total{` + servers
	bad := all + `,code="5xx"}[$__rate_interval]))`
	all += `}[$__rate_interval]))`
	const byServer, byPool, within = "sum by (device, proxy, server) (rate(", "sum by (device, proxy) (rate(", " on (device, proxy) group_right () "
	return []g.Panel{
		g.Row(12, "Traffic"),
		g.Lines(13, "Responses by member",
			"Responses a second. A member that is drained falls to nothing as its sessions end.", g.Requests,
			g.Ask(byServer+all, serverIs),
		).Stacked().Many(),
		g.Lines(14, "Responses by code",
			"What clients of the pools got, HAProxy's own answers too.", g.Requests,
			g.Ask(`sum by (code) (rate(haproxy_backend_http_responses_total{`+backends+`}[$__rate_interval]))`, "{{code}}"),
		).Stacked().Paint("1xx", "text").Paint("other", "text").Paint("2xx", "green").Paint("3xx", "blue").Paint("4xx", "orange").Paint("5xx", "red"),
		g.Lines(15, "Share of 5xx by member",
			"Of a member's own responses. One that stands out while the rest of its pool is well is sick; when all rise together, it is something behind them.", g.Share,
			g.Ask(byServer+bad+" / ("+byServer+all+" > 0)", serverIs),
		).Many(),
		g.Lines(16, "Share of 5xx in the rest of the pool",
			"Of the responses of all other members of its pool: what each member is compared with.", g.Share,
			g.Ask("("+byPool+bad+" -"+within+byServer+bad+") / ("+byPool+all+" -"+within+byServer+all+" > 0)", "{{device}}/{{proxy}} but {{server}}"),
		).Many(),
		g.Lines(17, "Sessions by member",
			"Sessions that are open now. Those of a drained member end when their clients let go.", g.None,
			ofServers("haproxy_server_current_sessions"),
		).Many(),
		g.Lines(18, "Bytes",
			"Bytes of requests and of responses a second.", g.BytesRate,
			rateOf("haproxy_server_bytes_in_total", "requests"),
			rateOf("haproxy_server_bytes_out_total", "responses"),
		),
	}
}

func poolTrouble() []g.Panel {
	return []g.Panel{
		g.Row(19, "Time and queues"),
		g.Lines(20, "Time to answer",
			"Mean of the last 1,024 requests, by HAProxy: from the connection until the member's answer began.", g.Seconds,
			ofServers("haproxy_server_response_time_average_seconds"),
		).Size(8, 7).Many(),
		g.Lines(21, "Time to connect",
			"The same for the connection to the member.", g.Seconds,
			ofServers("haproxy_server_connect_time_average_seconds"),
		).Size(8, 7).Many(),
		g.Lines(22, "Time in all",
			"The same for whole requests, or sessions.", g.Seconds,
			ofServers("haproxy_server_total_time_average_seconds"),
		).Size(8, 7).Many(),
		g.Lines(23, "Longest times",
			"The longest of the last 1,024 requests, over all members of a pool. A mean hides the one in a hundred that waits.", g.Seconds,
			g.Ask(`max by (device, proxy) (haproxy_server_max_response_time_seconds{`+servers+`})`, "{{device}}/{{proxy}} answer"),
			g.Ask(`max by (device, proxy) (haproxy_server_max_connect_time_seconds{`+servers+`})`, "{{device}}/{{proxy}} connect"),
			g.Ask(`max by (device, proxy) (haproxy_server_max_queue_time_seconds{`+servers+`})`, "{{device}}/{{proxy}} queue"),
			g.Ask(`max by (device, proxy) (haproxy_server_max_total_time_seconds{`+servers+`})`, "{{device}}/{{proxy}} in all"),
		).Size(8, 7),
		g.Lines(24, "Queues",
			"Requests that wait: for any member of the pool, and for one member that is full.", g.None,
			g.Ask(`max by (device, proxy) (haproxy_backend_current_queue{`+backends+`})`, "{{device}}/{{proxy}}"),
			ofServers("haproxy_server_current_queue"),
		).Size(8, 7).Stepped().Many(),
		g.Lines(25, "Sessions against the limit",
			"Share of maxconn that a member uses; 0 where it has none. At 1 requests queue.", g.Share,
			g.Ask(`max by (device, proxy, server) (haproxy_server_current_sessions{`+servers+`} / haproxy_server_limit_sessions{`+servers+`} or 0 * haproxy_server_current_sessions{`+servers+`})`, serverIs),
		).Size(8, 7).UpTo(1).Many(),
		g.Row(26, "Errors and checks"),
		g.Lines(27, "Connections that fail",
			"Connections to members that were refused or timed out, by member.", g.PerSecond,
			g.Ask(`sum by (device, proxy, server) (rate(haproxy_server_connection_errors_total{`+servers+`}[$__rate_interval]))`, serverIs),
		).Size(8, 7).Many(),
		g.Lines(28, "Retries and redispatches",
			"Connections that were tried again, and requests that went to another member after that.", g.PerSecond,
			rateOf("haproxy_server_retry_warnings_total", "retries"),
			rateOf("haproxy_server_redispatch_warnings_total", "redispatches"),
		).Size(8, 7),
		g.Lines(29, "Responses that break",
			"Broken or cut responses, and transfers that the member or the client broke off.", g.PerSecond,
			rateOf("haproxy_server_response_errors_total", "broken"),
			rateOf("haproxy_server_server_aborts_total", "cut by members"),
			rateOf("haproxy_server_client_aborts_total", "cut by clients"),
		).Size(8, 7),
		g.Lines(30, "Duration of checks",
			"Of HAProxy's own health checks, by member, where it makes them.", g.Seconds,
			ofServers("haproxy_server_check_duration_seconds"),
		).Size(8, 7).Many(),
		g.Lines(31, "Checks that fail",
			"Failed health checks of HAProxy a second.", g.PerSecond,
			g.Ask(`sum by (device, proxy, server) (rate(haproxy_server_check_failures_total{`+servers+`}[$__rate_interval]))`, serverIs),
		).Size(8, 7).Many(),
		g.Table(32, "Results of checks",
			"The last result of HAProxy's own check: L4 is the connection, L6 is TLS, L7 is HTTP.", "result",
			[]g.Column{{Of: "device"}, {Of: "proxy", As: "pool", Name: true}, {Of: "server", As: "member"}, {Of: "state", As: "result"}},
			g.Now(`max by (device, proxy, server, state) (haproxy_server_check_status{`+servers+`} == 1)`),
		).Size(8, 7).Without("Value"),
	}
}

func poolAround() []g.Panel {
	return []g.Panel{
		g.Row(33, "HAProxy itself"),
		g.Lines(34, "Frontends",
			"Responses of all frontends by code, a second.", g.Requests,
			g.Ask(`sum by (device, code) (rate(haproxy_frontend_http_responses_total{device=~"$device"}[$__rate_interval]))`, "{{device}} {{code}}"),
		).Size(8, 7).Stacked().PaintAll("2xx$", "green").PaintAll("3xx$", "blue").PaintAll("4xx$", "orange").PaintAll("5xx$", "red"),
		g.Lines(35, "Requests that frontends don't take",
			"Bad requests, and those that rules deny.", g.Requests,
			g.Ask(`sum by (device, proxy) (rate(haproxy_frontend_request_errors_total{device=~"$device"}[$__rate_interval]))`, "{{device}}/{{proxy}} bad"),
			g.Ask(`sum by (device, proxy) (rate(haproxy_frontend_requests_denied_total{device=~"$device"}[$__rate_interval]))`, "{{device}}/{{proxy}} denied"),
		).Size(8, 7),
		g.Lines(36, "Connections against the limit",
			"Share of the process' maxconn in use. At 1 new clients wait in the kernel.", g.Share,
			g.Ask(`max by (device) (haproxy_process_current_connections{device=~"$device"} / haproxy_process_max_connections{device=~"$device"})`, "{{device}}"),
		).Size(8, 7).UpTo(1),
		g.Lines(37, "Busy",
			"Share of time that HAProxy isn't idle. Above 0.8 it is the bottleneck.", g.Share,
			g.Ask(`max by (device) (1 - haproxy_process_idle_time_percent{device=~"$device"} / 100)`, "{{device}}"),
		).Size(8, 7).UpTo(1),
		g.Lines(38, "Time since the start",
			"Falls to 0 with each restart and reload.", g.Seconds,
			g.Ask(`max by (device) (haproxy_process_uptime_seconds{device=~"$device"})`, "{{device}}"),
		).Size(8, 7),
		g.Lines(39, "Restarts noticed",
			"Times that another process answered than before, since the exporter started.", g.None,
			g.Ask(`max by (device) (sluice_haproxy_reloads_seen_total{device=~"$device"})`, "{{device}}"),
		).Size(8, 7).Stepped(),
	}
}
