package collect

import (
	"strings"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// A column turns one column of "show stat" into one metric of each object that
// has it. on names the objects as HAProxy's guide does: L listener, F frontend,
// B backend, S server. The metric's name is haproxy_frontend_, haproxy_backend_,
// haproxy_server_ or haproxy_listener_ and then name.
type column struct {
	from, on, name, help string
	kind                 promtext.Kind
	form                 form
	more                 string // a label that the column stands for
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
)

func gauge(from, on, name, help string) column {
	return column{from: from, on: on, name: name, help: help, kind: promtext.Gauge}
}

func counter(from, on, name, help string) column {
	return column{from: from, on: on, name: name, help: help, kind: promtext.Counter}
}

func (c column) as(f form) column { c.form = f; return c }

func (c column) code(v string) column { c.more = promtext.Labels("code", v); return c }

// columns are the metrics of HAProxy's own exporter in 2.6, by name and type, and
// where each one's value stands in "show stat". A test compares them with a real
// HAProxy's. Lines of one name stand together.
var columns = []column{
	gauge("status", "FBLS", "status", "What it is doing: 1 for the state that is in force.").as(status),

	gauge("qcur", "BS", "current_queue", "Requests that wait for a free connection now."),
	gauge("qmax", "BS", "max_queue", "The most requests that ever waited at once."),
	gauge("qlimit", "S", "queue_limit", "How many requests may wait for this server (maxqueue)."),
	gauge("scur", "FBSL", "current_sessions", "Sessions that are open now."),
	gauge("smax", "FBSL", "max_sessions", "The most sessions that were ever open at once."),
	gauge("slim", "FBSL", "limit_sessions", "How many sessions may be open at once (maxconn; of a backend, fullconn)."),
	counter("stot", "FBSL", "sessions_total", "Sessions so far."),
	gauge("rate_lim", "F", "limit_session_rate", "How many new sessions a second are let in (rate-limit sessions)."),
	gauge("rate_max", "FBS", "max_session_rate", "The most new sessions in any second so far."),
	counter("bin", "FBSL", "bytes_in_total", "Bytes of requests so far."),
	counter("bout", "FBSL", "bytes_out_total", "Bytes of responses so far."),

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

	gauge("conn_rate_max", "F", "connections_rate_max", "The most new connections in any second so far."),
	counter("conn_tot", "F", "connections_total", "Connections so far."),
	gauge("req_rate_max", "F", "http_requests_rate_max", "The most HTTP requests in any second so far.").as(web),
	counter("req_tot", "FB", "http_requests_total", "HTTP requests so far.").as(web),
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

	gauge("weight", "BS", "weight", "Weight in force; of a backend, the sum over its active servers."),
	gauge("uweight", "BS", "uweight", "Weight as configured or set; of a backend, the sum over its active servers."),
	gauge("act", "B", "active_servers", "Active servers that take traffic."),
	gauge("bck", "B", "backup_servers", "Backup servers that could take traffic."),
	counter("lbtot", "BS", "loadbalanced_total", "Times that load balancing chose it."),
	gauge("throttle", "S", "current_throttle", "Percent of its weight that a server in slow start has now."),
	counter("connect", "BS", "connection_attempts_total", "Connections to servers that were tried."),
	counter("reuse", "BS", "connection_reuses_total", "Requests that went over a connection that was open already."),
	gauge("lastsess", "BS", "last_session_seconds", "Time since it last had a session; -1 for never."),

	gauge("check_status", "S", "check_status", "How the last health check ended: 1 for its result.").as(check),
	gauge("check_code", "S", "check_code", "Code that the last health check got, where its protocol has codes."),
	gauge("check_duration", "S", "check_duration_seconds", "How long the last health check took.").as(milli),
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
	gauge("used_conn_cur", "S", "used_connections_current", "Connections to the server in use now."),
	gauge("need_conn_est", "S", "need_connections_current", "Connections to the server that HAProxy thinks it needs."),
}

// A field turns one line of "show info" into one metric.
type field struct {
	from string // names from newer to older, split by "|"
	name string
	kind promtext.Kind
	help string
}

// fields are the metrics of the process, in the order of "show info" in 2.6.
var fields = []field{
	{"Nbthread", "nbthread", promtext.Gauge, "Threads."},
	{"Nbproc", "nbproc", promtext.Gauge, "Worker processes; always 1 since 2.5."},
	{"Process_num", "relative_process_id", promtext.Gauge, "Number of the worker process; always 1 since 2.5."},
	{"Uptime_sec", "uptime_seconds", promtext.Gauge, "Time since the process started."},
	{"PoolFailed", "pool_failures_total", promtext.Counter, "Times that memory could not be had."},
	{"Ulimit-n", "max_fds", promtext.Gauge, "File descriptors that the process may have."},
	{"Maxsock", "max_sockets", promtext.Gauge, "Sockets that the process may have."},
	{"Maxconn", "max_connections", promtext.Gauge, "Connections that the process may have, as configured."},
	{"Hard_maxconn", "hard_max_connections", promtext.Gauge, "Connections that the process may have, by its limits."},
	{"CurrConns", "current_connections", promtext.Gauge, "Connections that are open now."},
	{"CumConns", "connections_total", promtext.Counter, "Connections so far."},
	{"CumReq", "requests_total", promtext.Counter, "Requests so far."},
	{"MaxSslConns", "max_ssl_connections", promtext.Gauge, "TLS connections that the process may have; 0 for no limit."},
	{"CurrSslConns", "current_ssl_connections", promtext.Gauge, "TLS connections that are open now, on both sides."},
	{"CumSslConns", "ssl_connections_total", promtext.Counter, "TLS connections so far, on both sides."},
	{"Maxpipes", "max_pipes", promtext.Gauge, "Pipes that the process may have for splicing."},
	{"PipesUsed", "pipes_used_total", promtext.Counter, "Pipes in use now; HAProxy's own exporter calls it a counter."},
	{"PipesFree", "pipes_free_total", promtext.Counter, "Pipes that are open and free now; HAProxy's own exporter calls it a counter."},
	{"ConnRate", "current_connection_rate", promtext.Gauge, "New connections in the last second."},
	{"ConnRateLimit", "limit_connection_rate", promtext.Gauge, "New connections a second that are let in (maxconnrate)."},
	{"MaxConnRate", "max_connection_rate", promtext.Gauge, "The most new connections in any second so far."},
	{"SessRate", "current_session_rate", promtext.Gauge, "New sessions in the last second."},
	{"SessRateLimit", "limit_session_rate", promtext.Gauge, "New sessions a second that are let in (maxsessrate)."},
	{"MaxSessRate", "max_session_rate", promtext.Gauge, "The most new sessions in any second so far."},
	{"SslRate", "current_ssl_rate", promtext.Gauge, "New TLS connections in the last second."},
	{"SslRateLimit", "limit_ssl_rate", promtext.Gauge, "New TLS connections a second that are let in (maxsslrate)."},
	{"MaxSslRate", "max_ssl_rate", promtext.Gauge, "The most new TLS connections in any second so far."},
	{"SslFrontendKeyRate", "current_frontend_ssl_key_rate", promtext.Gauge, "TLS keys made for clients in the last second."},
	{"SslFrontendMaxKeyRate", "max_frontend_ssl_key_rate", promtext.Gauge, "The most TLS keys made for clients in any second so far."},
	{"SslFrontendSessionReuse_pct", "frontend_ssl_reuse", promtext.Gauge, "Percent of clients' TLS connections that needed no new key."},
	{"SslBackendKeyRate", "current_backend_ssl_key_rate", promtext.Gauge, "TLS keys made for servers in the last second."},
	{"SslBackendMaxKeyRate", "max_backend_ssl_key_rate", promtext.Gauge, "The most TLS keys made for servers in any second so far."},
	{"SslCacheLookups", "ssl_cache_lookups_total", promtext.Counter, "TLS sessions that were looked up in the cache."},
	{"SslCacheMisses", "ssl_cache_misses_total", promtext.Counter, "TLS sessions that were not in the cache."},
	{"CompressBpsIn", "http_comp_bytes_in_total", promtext.Counter, "Bytes into compression in the last second; HAProxy's own exporter calls it a counter."},
	{"CompressBpsOut", "http_comp_bytes_out_total", promtext.Counter, "Bytes out of compression in the last second; HAProxy's own exporter calls it a counter."},
	{"CompressBpsRateLim", "limit_http_comp", promtext.Gauge, "Bytes a second out of compression beyond which it is turned off."},
	{"ZlibMemUsage", "current_zlib_memory", promtext.Gauge, "Memory that compression uses, in bytes; only where HAProxy was built with zlib."},
	{"MaxZlibMemUsage", "max_zlib_memory", promtext.Gauge, "Memory that compression may use, in bytes; only where HAProxy was built with zlib."},
	{"Tasks", "current_tasks", promtext.Gauge, "Tasks, active and sleeping."},
	{"Run_queue", "current_run_queue", promtext.Gauge, "Tasks that want to run now."},
	{"Idle_pct", "idle_time_percent", promtext.Gauge, "Percent of the last second that the thread had nothing to do."},
	{"Stopping", "stopping", promtext.Gauge, "Whether the process is about to end, as after a reload."},
	{"Jobs", "jobs", promtext.Gauge, "Jobs that are under way (connections and listeners)."},
	{"Unstoppable Jobs", "unstoppable_jobs", promtext.Gauge, "Jobs under way that a stop doesn't wait for."},
	{"Listeners", "listeners", promtext.Gauge, "Listeners."},
	{"ActivePeers", "active_peers", promtext.Gauge, "Connections to peers that are verified."},
	{"ConnectedPeers", "connected_peers", promtext.Gauge, "Peers that a connection was made to."},
	{"DroppedLogs", "dropped_logs_total", promtext.Counter, "Log lines that were lost."},
	{"BusyPolling", "busy_polling_enabled", promtext.Gauge, "Whether busy polling is on."},
	{"FailedResolutions", "failed_resolutions", promtext.Counter, "DNS queries that failed."},
	{"TotalBytesOut", "bytes_out_total", promtext.Counter, "Bytes sent so far."},
	{"TotalSplicedBytesOut|TotalSplicdedBytesOut", "spliced_bytes_out_total", promtext.Counter, "Bytes sent through pipes so far."},
	{"BytesOutRate", "bytes_out_rate", promtext.Gauge, "Bytes sent in the last second."},
	{"CumRecvLogs", "recv_logs_total", promtext.Counter, "Log lines received for forwarding."},
	{"Memmax_bytes", "max_memory_bytes", promtext.Gauge, "Memory that the process may use; 0 for no limit."},
	{"PoolAlloc_bytes", "pool_allocated_bytes", promtext.Gauge, "Memory set aside for pools."},
	{"PoolUsed_bytes", "pool_used_bytes", promtext.Gauge, "Memory of pools in use."},
	{"Start_time_sec", "start_time_seconds", promtext.Gauge, "When the process started, in Unix time."},
}

func (f field) of(info haproxy.Info) string {
	for name := range strings.SplitSeq(f.from, "|") {
		if v, ok := info.Fields[name]; ok {
			return v
		}
	}
	return ""
}
