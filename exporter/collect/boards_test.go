package collect

import (
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/edge/fleet"
)

// A public board or set of rules, and what it asks for: what names begin with,
// the labels that it selects on, sums by or shows, and the names. Labels that
// Prometheus itself adds (instance, job, and alias of 367) are left out. The
// names were read from the public sources; nothing else is of them.
type board struct {
	name     string
	profiles []string
	wants    string
}

// boards are those of facts 2.5.
var boards = []board{
	{"Grafana 12693 (HAProxy 2 Full)", []string{fleet.ProfileBuiltin, fleet.ProfileBoth}, `
haproxy_backend_ {code,proxy} http_responses_total
haproxy_backend_ {proxy} active_servers backup_servers bytes_in_total bytes_out_total check_up_down_total client_aborts_total
haproxy_backend_ {proxy} connect_time_average_seconds connection_attempts_total connection_errors_total connection_reuses_total current_queue
haproxy_backend_ {proxy} current_sessions downtime_seconds_total failed_header_rewriting_total http_cache_hits_total http_cache_lookups_total
haproxy_backend_ {proxy} http_comp_bytes_bypassed_total http_comp_bytes_in_total http_comp_bytes_out_total http_comp_responses_total
haproxy_backend_ {proxy} http_requests_total internal_errors_total last_session_seconds limit_sessions loadbalanced_total max_sessions
haproxy_backend_ {proxy} queue_time_average_seconds redispatch_warnings_total requests_denied_total response_errors_total
haproxy_backend_ {proxy} response_time_average_seconds responses_denied_total retry_warnings_total server_aborts_total sessions_total
haproxy_backend_ {proxy} total_time_average_seconds uweight weight
haproxy_backend_ {proxy,state} status
haproxy_frontend_ {code,proxy} http_responses_total
haproxy_frontend_ {proxy} bytes_in_total bytes_out_total connections_total current_sessions denied_connections_total denied_sessions_total
haproxy_frontend_ {proxy} failed_header_rewriting_total http_cache_hits_total http_cache_lookups_total http_comp_bytes_bypassed_total
haproxy_frontend_ {proxy} http_comp_bytes_in_total http_comp_bytes_out_total http_comp_responses_total http_requests_total intercepted_requests_total
haproxy_frontend_ {proxy} internal_errors_total limit_sessions max_sessions request_errors_total requests_denied_total responses_denied_total
haproxy_frontend_ {proxy} sessions_total
haproxy_frontend_ {proxy,state} status
haproxy_process_ {} active_peers connected_peers current_backend_ssl_key_rate current_connections current_frontend_ssl_key_rate current_run_queue
haproxy_process_ {} current_ssl_connections current_tasks current_zlib_memory dropped_logs_total failed_resolutions frontend_ssl_reuse
haproxy_process_ {} hard_max_connections idle_time_percent jobs limit_connection_rate limit_session_rate limit_ssl_rate listeners max_connection_rate
haproxy_process_ {} max_memory_bytes max_pipes max_session_rate max_ssl_connections max_ssl_rate max_zlib_memory nbproc nbthread pipes_free_total
haproxy_process_ {} pipes_used_total pool_allocated_bytes pool_failures_total pool_used_bytes recv_logs_total ssl_cache_lookups_total
haproxy_process_ {} ssl_cache_misses_total ssl_connections_total start_time_seconds stopping unstoppable_jobs uptime_seconds
haproxy_server_ {code,proxy,server} http_responses_total
haproxy_server_ {proxy,server} bytes_in_total bytes_out_total check_duration_seconds check_failures_total check_last_change_seconds
haproxy_server_ {proxy,server} check_up_down_total client_aborts_total connect_time_average_seconds connection_attempts_total connection_errors_total
haproxy_server_ {proxy,server} connection_reuses_total current_queue downtime_seconds_total failed_header_rewriting_total idle_connections_current
haproxy_server_ {proxy,server} internal_errors_total last_session_seconds loadbalanced_total max_sessions need_connections_current
haproxy_server_ {proxy,server} queue_time_average_seconds redispatch_warnings_total response_errors_total response_time_average_seconds
haproxy_server_ {proxy,server} responses_denied_total retry_warnings_total safe_idle_connections_current server_aborts_total sessions_total
haproxy_server_ {proxy,server} total_time_average_seconds unsafe_idle_connections_current used_connections_current uweight weight
haproxy_server_ {proxy,server,state} status
haproxy_sticktable_ {name} size used
`},
	{"Grafana 2428 (HAProxy, haproxy_exporter)", []string{fleet.ProfileExporter, fleet.ProfileBoth}, `
haproxy_ {} up
haproxy_backend_ {backend} bytes_in_total bytes_out_total connection_errors_total connections_total current_queue current_session_rate
haproxy_backend_ {backend} current_sessions limit_sessions max_queue max_session_rate max_sessions redispatch_warnings_total response_errors_total
haproxy_backend_ {backend} retry_warnings_total up weight
haproxy_backend_ {backend,code} http_responses_total
haproxy_exporter_ {} csv_parse_failures total_scrapes
haproxy_frontend_ {code,frontend} http_responses_total
haproxy_frontend_ {frontend} bytes_in_total bytes_out_total connections_total current_session_rate current_sessions http_requests_total
haproxy_frontend_ {frontend} limit_session_rate limit_sessions max_session_rate max_sessions request_errors_total requests_denied_total
haproxy_server_ {backend} connections_total current_session_rate current_sessions downtime_seconds_total retry_warnings_total up weight
haproxy_server_ {backend,code,server} http_responses_total
haproxy_server_ {backend,server} bytes_in_total bytes_out_total check_duration_milliseconds check_failures_total connection_errors_total current_queue
haproxy_server_ {backend,server} max_queue max_session_rate max_sessions redispatch_warnings_total response_errors_total
`},
	{"Grafana 367 (HAproxy Servers)", []string{fleet.ProfileExporter, fleet.ProfileBoth}, `
haproxy_ {} up
haproxy_server_ {backend,server} bytes_in_total bytes_out_total check_duration_milliseconds check_failures_total connection_errors_total
haproxy_server_ {backend,server} connections_total current_queue current_session_rate current_sessions downtime_seconds_total max_queue
haproxy_server_ {backend,server} max_session_rate max_sessions redispatch_warnings_total response_errors_total retry_warnings_total up weight
haproxy_server_ {backend,code,server} http_responses_total
`},
	{"haproxy mixin, boards and alerts", []string{fleet.ProfileBuiltin, fleet.ProfileBoth}, `
haproxy_backend_ {proxy} bytes_in_total bytes_out_total check_up_down_total connect_time_average_seconds connection_attempts_total
haproxy_backend_ {proxy} connection_errors_total http_requests_total internal_errors_total max_connect_time_seconds max_queue_time_seconds
haproxy_backend_ {proxy} max_response_time_seconds max_total_time_seconds queue_time_average_seconds response_errors_total
haproxy_backend_ {proxy} response_time_average_seconds status total_time_average_seconds
haproxy_frontend_ {proxy} bytes_in_total bytes_out_total connections_total http_requests_total internal_errors_total request_errors_total status
haproxy_process_ {} current_connections dropped_logs_total limit_connection_rate limit_session_rate limit_ssl_rate max_connections max_fds
haproxy_process_ {} max_memory_bytes max_pipes max_sockets nbproc nbthread pool_allocated_bytes pool_used_bytes start_time_seconds
haproxy_server_ {proxy,server} bytes_in_total bytes_out_total check_up_down_total connect_time_average_seconds connection_attempts_total
haproxy_server_ {proxy,server} connection_errors_total http_responses_total internal_errors_total max_connect_time_seconds max_queue_time_seconds
haproxy_server_ {proxy,server} max_response_time_seconds max_total_time_seconds queue_time_average_seconds response_errors_total
haproxy_server_ {proxy,server} response_time_average_seconds status total_time_average_seconds
haproxy_server_ {code} http_responses_total
`},
	{"awesome-prometheus-alerts, HAProxy v2", []string{fleet.ProfileBuiltin, fleet.ProfileBoth}, `
haproxy_server_ {code,proxy,server} http_responses_total
haproxy_server_ {proxy,server} response_errors_total connection_errors_total check_failures_total
haproxy_backend_ {proxy} connection_errors_total current_sessions limit_sessions current_queue max_total_time_seconds retry_warnings_total
haproxy_backend_ {proxy} active_servers backup_servers
haproxy_frontend_ {proxy} denied_connections_total
`},
	{"awesome-prometheus-alerts, HAProxy v1", []string{fleet.ProfileExporter, fleet.ProfileBoth}, `
haproxy_ {} up
haproxy_server_ {backend,code,server} http_responses_total
haproxy_server_ {backend,server} response_errors_total connection_errors_total check_failures_total up
haproxy_backend_ {backend} connection_errors_total current_sessions limit_sessions current_queue http_total_time_average_seconds
haproxy_backend_ {backend} retry_warnings_total up
haproxy_frontend_ {frontend} requests_denied_total
`},
}

// cannotBe are names that a HAProxy built like Debian's doesn't have.
var cannotBe = map[string]string{
	"haproxy_process_current_zlib_memory": "compression is by libslz; HAProxy's own exporter says NaN",
	"haproxy_process_max_zlib_memory":     "the same",
}

// Whatever the well-known boards and rules ask for is there, with the labels
// that they select on, in the profiles that are meant for them.
func TestWellKnownBoardsFindTheirMetrics(t *testing.T) {
	b := startBusy(t)
	b.still(t)
	texts := map[string]map[string]*dto.MetricFamily{}
	for _, profile := range []string{fleet.ProfileBuiltin, fleet.ProfileExporter, fleet.ProfileBoth} {
		texts[profile] = parse(t, write(t, b.device(t, profile)))
	}
	missing := map[string]bool{}
	for _, board := range boards {
		n := 0
		for line := range strings.Lines(strings.TrimSpace(board.wants)) {
			words := strings.Fields(line)
			labels := strings.FieldsFunc(words[1], func(r rune) bool { return strings.ContainsRune("{,}", r) })
			for _, name := range words[2:] {
				n++
				name = words[0] + name
				for _, profile := range board.profiles {
					switch why := wanting(texts[profile][name], labels); {
					case why != "" && cannotBe[name] != "":
						missing[name] = true
					case why != "":
						t.Errorf("%s, profile %s: %s: %s", board.name, profile, name, why)
					}
				}
			}
		}
		if n < 10 {
			t.Errorf("%s wants %d names only", board.name, n)
		}
	}
	for name := range cannotBe {
		if !missing[name] {
			t.Errorf("%s is there: it needs no excuse", name)
		}
	}
}

// wanting says what is missing in a family: all labels on one series, and for a
// code and a state the values that boards select.
func wanting(f *dto.MetricFamily, labels []string) string {
	if len(f.GetMetric()) == 0 {
		return "no series"
	}
	values := map[string][]string{}
	for _, m := range f.GetMetric() {
		if labelled(m, labels) {
			for _, l := range m.GetLabel() {
				values[l.GetName()] = append(values[l.GetName()], l.GetValue())
			}
		}
	}
	for _, l := range labels {
		if len(values[l]) == 0 {
			return "no series with the labels " + strings.Join(labels, ", ")
		}
		for _, v := range map[string][]string{"code": {"1xx", "2xx", "3xx", "4xx", "5xx", "other"}, "state": {"UP", "DOWN"}}[l] {
			if !slices.Contains(values[l], v) {
				return "no series with the label " + l + "=" + v
			}
		}
	}
	return ""
}

func labelled(m *dto.Metric, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == name && l.GetValue() != "" })
	})
}
