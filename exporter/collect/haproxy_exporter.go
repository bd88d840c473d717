package collect

import (
	"slices"
	"strings"

	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// exporterColumns are the metrics of the retired haproxy_exporter, 0.15: 27 of
// servers, 18 of frontends, 29 of backends. Most it shares with HAProxy's own
// exporter, others are twins under names of its own. The last lines are names
// that older versions had and dashboards still use. Source: facts 2.2, 2.4, 2.5.
var exporterColumns = slices.Concat(
	narrow("FBS", "current_sessions", "max_sessions", "limit_sessions", "sessions_total", "bytes_in_total", "bytes_out_total",
		"current_session_rate", "max_session_rate", "http_responses_total"),
	narrow("F", "requests_denied_total", "request_errors_total", "limit_session_rate", "http_requests_total", "connections_total"),
	narrow("BS", "current_queue", "max_queue", "connection_errors_total", "response_errors_total", "retry_warnings_total",
		"redispatch_warnings_total", "weight", "client_aborts_total", "server_aborts_total"),
	narrow("S", "check_failures_total", "downtime_seconds_total", "check_duration_seconds"),
	[]column{
		gauge("status", "BS", "up", "Whether its status means service.").as(serves),
		counter("lbtot", "BS", "server_selected_total", "Times that load balancing chose it."),
		gauge("act", "B", "current_server", "Active servers that take traffic."),
		gauge("qtime", "BS", "http_queue_time_average_seconds", "Time in the queue, mean of the last 1024 requests.").as(milli),
		gauge("ctime", "BS", "http_connect_time_average_seconds", "Time to connect to a server, mean of the last 1024 requests.").as(milli),
		gauge("rtime", "BS", "http_response_time_average_seconds", "Time until a server answered, mean of the last 1024 requests.").as(milli),
		gauge("ttime", "BS", "http_total_time_average_seconds", "Time of whole requests or sessions, mean of the last 1024.").as(milli),
		counter("comp_in", "FB", "compressor_bytes_in_total", "Bytes of responses that went into compression."),
		counter("comp_out", "FB", "compressor_bytes_out_total", "Bytes of responses that came out of compression."),
		counter("comp_byp", "FB", "compressor_bytes_bypassed_total", "Bytes of responses that were not compressed for want of time or memory."),
		counter("comp_rsp", "FB", "http_responses_compressed_total", "Responses that were compressed."),

		gauge("check_duration", "S", "check_duration_milliseconds", "How long the last health check took; the name before 0.11."),
		counter("stot", "BS", "connections_total", "Sessions so far; the name before 0.9."),
	},
)

// narrow takes columns of these names for some objects alone.
func narrow(on string, names ...string) (out []column) {
	for _, name := range names {
		have := ""
		for _, c := range columns {
			if c.on = common(c.on, on); c.name == name && c.on != "" {
				have += c.on
				if c.form == web { // there, a number in the column is enough
					c.form = plain
				}
				out = append(out, c)
			}
		}
		if common(on, have) != on {
			panic("no column of the name " + name + " for each of " + on)
		}
	}
	return out
}

// common are the objects that stand in both lists.
func common(a, b string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(b, r) {
			return r
		}
		return -1
	}, a)
}

// columnsOf are the columns of one object in a profile.
func columnsOf(profile string, o haproxyObject) (out []column) {
	of := func(all []column) {
		for _, c := range all {
			if strings.Contains(c.on, o.letter) {
				out = append(out, c)
			}
		}
	}
	if profile != fleet.ProfileExporter {
		of(columns)
	}
	if profile == fleet.ProfileExporter {
		of(exporterColumns)
	}
	if profile == fleet.ProfileBoth {
		own := out
		out = nil
		of(exporterColumns)
		out = slices.Concat(own, slices.DeleteFunc(out, func(c column) bool {
			return slices.ContainsFunc(own, func(have column) bool { return have.name == c.name })
		}))
	}
	return out
}

// The families of one whole HAProxy, beside those of "show info".
var (
	buildInfo  = family{"haproxy_process_build_info", promtext.Gauge, "Version of HAProxy; the value is 1."}
	nodeInfo   = family{"haproxy_process_node", promtext.Gauge, "Name of the node as HAProxy has it (node, or the host's name); the value is 1."}
	tableSize  = family{"haproxy_sticktable_size", promtext.Gauge, "Entries that the stick table has room for."}
	tableUsed  = family{"haproxy_sticktable_used", promtext.Gauge, "Entries that are in the stick table."}
	processPid = family{"sluice_haproxy_process_pid", promtext.Gauge, "Process id of the HAProxy that answered; with haproxy_process_start_time_seconds it tells one process from the next."}
	reloads    = family{"sluice_haproxy_reloads_seen_total", promtext.Counter, "Times that another process of HAProxy answered than before: restarts and reloads that were noticed."}

	exporterUp  = family{"haproxy_up", promtext.Gauge, "Whether HAProxy answered, whole and in time."}
	versionInfo = family{"haproxy_version_info", promtext.Gauge, "Version of HAProxy and its date; the value is 1."}
	exporterRun = []struct {
		family
		of func(*counts) uint64
	}{
		{family{"haproxy_exporter_scrapes_total", promtext.Counter, "Times that HAProxy was read for a scrape."}, func(c *counts) uint64 { return c.reads.Load() }},
		{family{"haproxy_exporter_csv_parse_failures_total", promtext.Counter, "Answers that could not be understood or never came whole."}, func(c *counts) uint64 { return c.nonsense.Load() }},
		{family{"haproxy_exporter_total_scrapes", promtext.Counter, "haproxy_exporter_scrapes_total by its older name."}, func(c *counts) uint64 { return c.reads.Load() }},
		{family{"haproxy_exporter_csv_parse_failures", promtext.Counter, "haproxy_exporter_csv_parse_failures_total by its older name."}, func(c *counts) uint64 { return c.nonsense.Load() }},
	}
	exporterBuild = family{"haproxy_exporter_build_info", promtext.Gauge, "Sluice's own version, under the name that haproxy_exporter has its under; the value is 1."}
)

// own writes what is told of a HAProxy whether it answered or not.
func (p *page) own(up bool) {
	labels := labelsOf(p.device)
	number := func(f family, n uint64) {
		if p.has(f.name) {
			begin(p.sheet, f)
			p.sheet.Value(labels, "", float64(n))
		}
	}
	if p.scopes&global != 0 && p.counts.any() {
		number(reloads, p.counts.reloads.Load())
	}
	if p.profile != fleet.ProfileExporter && p.profile != fleet.ProfileBoth {
		return
	}
	if p.has(exporterUp.name) {
		begin(p.sheet, exporterUp)
		p.sheet.Flag(labels, "", up)
	}
	for _, f := range exporterRun {
		number(f.family, f.of(p.counts))
	}
	if p.has(exporterBuild.name) {
		begin(p.sheet, exporterBuild)
		p.sheet.Flag(labelsOf(p.device, "branch", version.Branch, "goarch", version.GoArch, "goos", version.GoOS,
			"goversion", version.GoVersion, "revision", version.GetRevision(), "tags", version.GetTags(), "version", version.Version), "", true)
	}
}
