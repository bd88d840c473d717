package collect

import (
	"strings"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

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

	// Newer than 2.6.
	{"TotalWarnings", "total_warnings", promtext.Counter, "Warnings so far."},
	{"PatternsAdded", "patterns_added_total", promtext.Gauge, "Patterns added to ACLs and maps so far; HAProxy's own exporter calls it a gauge."},
	{"PatternsFreed", "patterns_freed_total", promtext.Gauge, "Patterns removed from ACLs and maps so far; HAProxy's own exporter calls it a gauge."},
	{"NbThreadGroups", "nb_thread_groups", promtext.Gauge, "Thread groups."},
	// In no version of HAProxy's own exporter.
	{"MaxconnReached", "max_connections_reached_total", promtext.Counter, "Times that a new connection brought the process to its limit."},
	{"Niced_tasks", "current_niced_tasks", promtext.Gauge, "Tasks that want to run now and have a priority of their own (nice)."},
	{"CurrStreams", "current_streams", promtext.Gauge, "Streams that are open now."},
	{"CumStreams", "streams_total", promtext.Counter, "Streams so far."},
	{"BlockedTrafficWarnings", "blocked_traffic_warnings_total", promtext.Counter, "Warnings of traffic that a slow task held up."},
}

func (f field) of(info haproxy.Info) string {
	for name := range strings.SplitSeq(f.from, "|") {
		if v, ok := info.Fields[name]; ok {
			return v
		}
	}
	return ""
}

// shared says that haproxy_exporter has the metric, too: of all that is told of
// the process it has one.
func (f field) shared() bool { return f.name == "idle_time_percent" }
