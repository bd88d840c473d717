package collect

import "github.com/sluice-project/sluice/exporter/promtext"

// A column turns one column of "show stat" into one metric of each object that
// has it. on names the objects as HAProxy's guide does: L listener, F frontend,
// B backend, S server. The metric's name is haproxy_frontend_, haproxy_backend_,
// haproxy_server_ or haproxy_listener_ and then name.
type column struct {
	from, on, name, help string
	kind                 promtext.Kind
	form                 form
	more                 string // a label that the column stands for
	later                bool   // HAProxy's own exporter of 2.6 has no such metric
}

// A form is how the field of a column becomes series.
type form uint8

const (
	plain     form = iota // the number as HAProxy wrote it
	web                   // the same, of proxies in mode http alone: others have a 0 there
	milli                 // milliseconds, to seconds
	status                // one series for each state, 1 for the one in force
	check                 // the same for results of health checks
	aggregate             // counted over the servers of a backend; "from" names what
	serves                // 1 for a status that means service, 0 for any other
	info                  // texts as labels of one series; "from" has their fields
)

func gauge(from, on, name, help string) column {
	return column{from: from, on: on, name: name, help: help, kind: promtext.Gauge}
}

func counter(from, on, name, help string) column {
	return column{from: from, on: on, name: name, help: help, kind: promtext.Counter}
}

func (c column) as(f form) column { c.form = f; return c }

func (c column) notIn26() column { c.later = true; return c }

func (c column) code(v string) column { return c.with("code", v) }

func (c column) with(label, v string) column { c.more = promtext.Labels(label, v); return c }

// columns are the metrics of HAProxy's own exporter, by name and type, and
// where each one's value stands in "show stat". Tests compare them with a real
// HAProxy's, and with the list of all its columns. A column that no version of
// its exporter has a metric for has one of the same style here. Lines of one
// name stand together.
var columns = []column{
	gauge("status", "FBLS", "status", "What it is doing: 1 for the state that is in force.").as(status),
	gauge("mode", "F", "info", "How the frontend is configured; the value is 1.").as(info).notIn26(),
	gauge("mode algo", "B", "info", "How the backend is configured; the value is 1.").as(info).notIn26(),
	gauge("addr proto", "L", "info", "Where the listener listens; the value is 1.").as(info).notIn26(),
	gauge("addr tracked", "S", "info", "Where the server is and which other one it tracks; the value is 1.").as(info).notIn26(),

	gauge("qcur", "BS", "current_queue", "Requests that wait for a free connection now."),
	gauge("qmax", "BS", "max_queue", "The most requests that ever waited at once."),
	gauge("qlimit", "S", "queue_limit", "How many requests may wait for this server (maxqueue)."),
	gauge("scur", "FBSL", "current_sessions", "Sessions that are open now."),
	gauge("smax", "FBSL", "max_sessions", "The most sessions that were ever open at once."),
	gauge("slim", "FBSL", "limit_sessions", "How many sessions may be open at once (maxconn; of a backend, fullconn)."),
	counter("stot", "FBSL", "sessions_total", "Sessions so far."),
	gauge("rate", "FBS", "current_session_rate", "New sessions in the last second.").notIn26(),
	gauge("rate_lim", "F", "limit_session_rate", "How many new sessions a second are let in (rate-limit sessions)."),
	gauge("rate_max", "FBS", "max_session_rate", "The most new sessions in any second so far."),
	counter("bin", "FBSL", "bytes_in_total", "Bytes of requests so far."),
	counter("bout", "FBSL", "bytes_out_total", "Bytes of responses so far."),
	counter("reqbin", "FBSL", "req_bytes_in_total", "Bytes of requests as they came.").notIn26(),
	counter("reqbout", "FBSL", "req_bytes_out_total", "Bytes of requests as they were passed on.").notIn26(),
	counter("resbin", "FBSL", "res_bytes_in_total", "Bytes of responses as they came.").notIn26(),
	counter("resbout", "FBSL", "res_bytes_out_total", "Bytes of responses as they were passed on.").notIn26(),

	counter("dreq", "FBL", "requests_denied_total", "Requests that rules denied."),
	counter("dresp", "FBSL", "responses_denied_total", "Responses that rules denied."),
	counter("ereq", "FL", "request_errors_total", "Requests that could not be understood or never came whole."),
	counter("econ", "BS", "connection_errors_total", "Connections to servers that failed."),
	counter("eresp", "BS", "response_errors_total", "Responses that were broken or never came whole."),
	counter("wretr", "BS", "retry_warnings_total", "Connections to servers that were tried again."),
	counter("wredis", "BS", "redispatch_warnings_total", "Requests that were given to another server after a failure."),
	counter("wrew", "FBSL", "failed_header_rewriting_total", "Headers that could not be rewritten for want of room."),
	counter("eint", "FBSL", "internal_errors_total", "Errors inside HAProxy."),
	counter("dcon", "FL", "denied_connections_total", "Connections that rules denied."),
	counter("dses", "FL", "denied_sessions_total", "Sessions that rules denied."),
	counter("cli_abrt", "BS", "client_aborts_total", "Transfers that the client broke off."),
	counter("srv_abrt", "BS", "server_aborts_total", "Transfers that the server broke off."),

	gauge("conn_rate", "F", "connections_rate_current", "New connections in the last second.").notIn26(),
	gauge("conn_rate_max", "F", "connections_rate_max", "The most new connections in any second so far."),
	counter("conn_tot", "F", "connections_total", "Connections so far."),
	counter("conn_tot", "L", "connections_total", "Connections so far.").notIn26(),
	counter("h1sess", "F", "protocol_sessions_total", "Sessions so far, by their protocol.").with("protocol", "h1").notIn26(),
	counter("h2sess", "F", "protocol_sessions_total", "").with("protocol", "h2").notIn26(),
	counter("h3sess", "F", "protocol_sessions_total", "").with("protocol", "h3").notIn26(),
	counter("sess_other", "F", "protocol_sessions_total", "").with("protocol", "other").notIn26(),
	gauge("req_rate", "F", "http_requests_rate_current", "HTTP requests in the last second.").as(web).notIn26(),
	gauge("req_rate_max", "F", "http_requests_rate_max", "The most HTTP requests in any second so far.").as(web),
	counter("req_tot", "FB", "http_requests_total", "HTTP requests so far.").as(web),
	counter("req_tot", "S", "http_requests_total", "HTTP requests so far.").as(web).notIn26(),
	counter("h1req", "F", "protocol_requests_total", "HTTP requests so far, by their protocol.").with("protocol", "h1").notIn26(),
	counter("h2req", "F", "protocol_requests_total", "").with("protocol", "h2").notIn26(),
	counter("h3req", "F", "protocol_requests_total", "").with("protocol", "h3").notIn26(),
	counter("req_other", "F", "protocol_requests_total", "").with("protocol", "other").notIn26(),
	counter("intercepted", "F", "intercepted_requests_total", "HTTP requests that HAProxy answered itself (redirects, statistics, services)."),
	counter("hrsp_1xx", "FBS", "http_responses_total", "HTTP responses so far, by the first digit of their code.").code("1xx"),
	counter("hrsp_2xx", "FBS", "http_responses_total", "").code("2xx"),
	counter("hrsp_3xx", "FBS", "http_responses_total", "").code("3xx"),
	counter("hrsp_4xx", "FBS", "http_responses_total", "").code("4xx"),
	counter("hrsp_5xx", "FBS", "http_responses_total", "").code("5xx"),
	counter("hrsp_other", "FBS", "http_responses_total", "").code("other"),
	counter("comp_in", "FB", "http_comp_bytes_in_total", "Bytes of responses that went into compression.").as(web),
	counter("comp_out", "FB", "http_comp_bytes_out_total", "Bytes of responses that came out of compression.").as(web),
	counter("comp_byp", "FB", "http_comp_bytes_bypassed_total", "Bytes of responses that were not compressed for want of time or memory.").as(web),
	counter("comp_rsp", "FB", "http_comp_responses_total", "Responses that were compressed.").as(web),
	counter("cache_lookups", "FB", "http_cache_lookups_total", "Requests that were looked up in the cache."),
	counter("cache_hits", "FB", "http_cache_hits_total", "Requests that the cache answered."),
	counter("cache_hint_hits", "FB", "http_cache_hint_hits_total", "Requests for which early hints (103) were sent from the cache.").notIn26(),

	gauge("weight", "BS", "weight", "Weight in force; of a backend, the sum over its active servers."),
	gauge("uweight", "BS", "uweight", "Weight as configured or set; of a backend, the sum over its active servers."),
	gauge("act", "B", "active_servers", "Active servers that take traffic."),
	gauge("bck", "B", "backup_servers", "Backup servers that could take traffic."),
	gauge("act", "S", "active", "Whether it is an active server, not a backup.").notIn26(),
	gauge("bck", "S", "backup", "Whether it is a backup server.").notIn26(),
	gauge("srid", "S", "revision", "Revision of its numeric id, which another server may have had before.").notIn26(),
	counter("lbtot", "BS", "loadbalanced_total", "Times that load balancing chose it."),
	gauge("throttle", "S", "current_throttle", "Percent of its weight that a server in slow start has now."),
	counter("connect", "BS", "connection_attempts_total", "Connections to servers that were tried."),
	counter("reuse", "BS", "connection_reuses_total", "Requests that went over a connection that was open already."),
	gauge("lastsess", "BS", "last_session_seconds", "Time since it last had a session; -1 for never."),

	gauge("check_status", "S", "check_status", "How the last health check ended: 1 for its result.").as(check),
	gauge("check_code", "S", "check_code", "Code that the last health check got, where its protocol has codes."),
	gauge("check_duration", "S", "check_duration_seconds", "How long the last health check took.").as(milli),
	gauge("check_rise", "S", "check_rise", "Health checks in a row that bring it up (rise).").notIn26(),
	gauge("check_fall", "S", "check_fall", "Health checks in a row that take it down (fall).").notIn26(),
	gauge("check_health", "S", "check_health", "Where health checks have it, from 0 to rise + fall - 1; from rise on it is up.").notIn26(),
	gauge("agent_status", "S", "agent_status", "How the last agent check ended: 1 for its result.").as(check).notIn26(),
	gauge("agent_code", "S", "agent_code", "Code that the last agent check got.").notIn26(),
	gauge("agent_duration", "S", "agent_duration_seconds", "How long the last agent check took.").as(milli).notIn26(),
	gauge("agent_rise", "S", "agent_rise", "Agent checks in a row that bring it up; 1 in all versions that were seen.").notIn26(),
	gauge("agent_fall", "S", "agent_fall", "Agent checks in a row that take it down; 1 in all versions that were seen.").notIn26(),
	gauge("agent_health", "S", "agent_health", "Where agent checks have it, from 0 to rise + fall - 1; from rise on it is up.").notIn26(),
	counter("hanafail", "S", "health_analysis_failures_total", "Times that errors in its traffic counted against its health (observe).").notIn26(),
	counter("chkfail", "S", "check_failures_total", "Health checks that failed."),
	counter("chkdown", "BS", "check_up_down_total", "Times that it went from up to down."),
	gauge("lastchg", "BS", "check_last_change_seconds", "Time since it last went up or down."),
	counter("downtime", "BS", "downtime_seconds_total", "Time that it was down, in all."),
	gauge("status", "B", "agg_server_status", "Servers of the backend in each state.").as(aggregate),
	gauge("status", "B", "agg_server_check_status", "Servers of the backend in each state, under the older name.").as(aggregate),
	gauge("check_status", "B", "agg_check_status", "Servers of the backend by the result of their last health check.").as(aggregate),

	gauge("qtime", "BS", "queue_time_average_seconds", "Time in the queue, mean of the last 1024 requests.").as(milli),
	gauge("ctime", "BS", "connect_time_average_seconds", "Time to connect to a server, mean of the last 1024 requests.").as(milli),
	gauge("rtime", "BS", "response_time_average_seconds", "Time until a server answered, mean of the last 1024 requests.").as(milli),
	gauge("ttime", "BS", "total_time_average_seconds", "Time of whole requests or sessions, mean of the last 1024.").as(milli),
	gauge("qtime_max", "BS", "max_queue_time_seconds", "The longest time in the queue so far.").as(milli),
	gauge("ctime_max", "BS", "max_connect_time_seconds", "The longest time to connect to a server so far.").as(milli),
	gauge("rtime_max", "BS", "max_response_time_seconds", "The longest time until a server answered so far.").as(milli),
	gauge("ttime_max", "BS", "max_total_time_seconds", "The longest time of a whole request or session so far.").as(milli),

	gauge("srv_icur", "S", "idle_connections_current", "Idle connections to the server that can be used again."),
	gauge("src_ilim", "S", "idle_connections_limit", "How many idle connections to the server are kept at most (pool-max-conn)."),
	gauge("idle_conn_cur", "S", "unsafe_idle_connections_current", "Idle connections that only some requests can use."),
	gauge("safe_conn_cur", "S", "safe_idle_connections_current", "Idle connections that any request can use."),
	gauge("priv_idle_cur", "S", "private_idle_connections_current", "Idle connections that only the session that opened them can use.").notIn26(),
	gauge("used_conn_cur", "S", "used_connections_current", "Connections to the server in use now."),
	gauge("need_conn_est", "S", "need_connections_current", "Connections to the server that HAProxy thinks it needs."),
}
