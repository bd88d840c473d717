package collect

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// statFields has every column of "show stat" from 2.0 to 3.5: its name, the
// objects that have it (L listener, F frontend, B backend, S server), and what
// becomes of it: metrics, each with its objects in brackets; "ms" where it is
// given in milliseconds; behind a dash why there is none, or none of some
// objects. Source: management guide 9.1, facts 2.2.
const statFields = `
pxname LFBS - the label proxy
svname LFBS - the label server or listener
qcur BS current_queue[BS]
qmax BS max_queue[BS]
scur LFBS current_sessions[FBSL]
smax LFBS max_sessions[FBSL]
slim LFBS limit_sessions[FBSL]
stot LFBS sessions_total[FBSL]
bin LFBS bytes_in_total[FBSL]
bout LFBS bytes_out_total[FBSL]
dreq LFB requests_denied_total[FBL]
dresp LFBS responses_denied_total[FBSL]
ereq LF request_errors_total[FL]
econ BS connection_errors_total[BS]
eresp BS response_errors_total[BS]
wretr BS retry_warnings_total[BS]
wredis BS redispatch_warnings_total[BS]
status LFBS status[FBSL] agg_server_status[B] agg_server_check_status[B]
weight BS weight[BS]
act BS active_servers[B] active[S]
bck BS backup_servers[B] backup[S]
chkfail S check_failures_total[S]
chkdown BS check_up_down_total[BS]
lastchg BS check_last_change_seconds[BS]
downtime BS downtime_seconds_total[BS]
qlimit S queue_limit[S]
pid LFBS - a number among worker processes, of which there is one since 2.5; sluice_haproxy_process_pid has the system's
iid LFBS - a number that follows the order of the configuration; the label proxy says the same
sid LFBS - the same of servers and listeners
throttle S current_throttle[S]
lbtot BS loadbalanced_total[BS]
tracked S info[S]
type LFBS - which of the four objects it is: in the metric's name
rate FBS current_session_rate[FBS]
rate_lim F limit_session_rate[F]
rate_max FBS max_session_rate[FBS]
check_status S check_status[S] agg_check_status[B]
check_code S check_code[S]
check_duration S check_duration_seconds[S] ms
hrsp_1xx FBS http_responses_total[FBS]
hrsp_2xx FBS http_responses_total[FBS]
hrsp_3xx FBS http_responses_total[FBS]
hrsp_4xx FBS http_responses_total[FBS]
hrsp_5xx FBS http_responses_total[FBS]
hrsp_other FBS http_responses_total[FBS]
hanafail S health_analysis_failures_total[S]
req_rate F http_requests_rate_current[F]
req_rate_max F http_requests_rate_max[F]
req_tot FBS http_requests_total[FBS]
cli_abrt BS client_aborts_total[BS]
srv_abrt BS server_aborts_total[BS]
comp_in FB http_comp_bytes_in_total[FB]
comp_out FB http_comp_bytes_out_total[FB]
comp_byp FB http_comp_bytes_bypassed_total[FB]
comp_rsp FB http_comp_responses_total[FB]
lastsess BS last_session_seconds[BS]
last_chk S - text of the checked server
last_agt S - text of the agent
qtime BS queue_time_average_seconds[BS] ms
ctime BS connect_time_average_seconds[BS] ms
rtime BS response_time_average_seconds[BS] ms
ttime BS total_time_average_seconds[BS] ms
agent_status S agent_status[S]
agent_code S agent_code[S]
agent_duration S agent_duration_seconds[S] ms
check_desc S - check_status in a sentence
agent_desc S - agent_status in a sentence
check_rise S check_rise[S]
check_fall S check_fall[S]
check_health S check_health[S]
agent_rise S agent_rise[S]
agent_fall S agent_fall[S]
agent_health S agent_health[S]
addr LS info[LS]
cookie BS - whoever knows it chooses the server
mode LFBS info[FB] - a listener's and a server's is their proxy's
algo B info[B]
conn_rate F connections_rate_current[F]
conn_rate_max F connections_rate_max[F]
conn_tot LF connections_total[FL]
intercepted F intercepted_requests_total[F]
dcon LF denied_connections_total[FL]
dses LF denied_sessions_total[FL]
wrew LFBS failed_header_rewriting_total[FBSL]
connect BS connection_attempts_total[BS]
reuse BS connection_reuses_total[BS]
cache_lookups FB http_cache_lookups_total[FB]
cache_hits FB http_cache_hits_total[FB]
srv_icur S idle_connections_current[S]
src_ilim S idle_connections_limit[S]
qtime_max BS max_queue_time_seconds[BS] ms
ctime_max BS max_connect_time_seconds[BS] ms
rtime_max BS max_response_time_seconds[BS] ms
ttime_max BS max_total_time_seconds[BS] ms
eint LFBS internal_errors_total[FBSL]
idle_conn_cur S unsafe_idle_connections_current[S]
safe_conn_cur S safe_idle_connections_current[S]
used_conn_cur S used_connections_current[S]
need_conn_est S need_connections_current[S]
uweight BS uweight[BS]
agg_server_status B - always 0; counted over the servers instead
agg_server_check_status B - the same
agg_check_status B - the same
srid S revision[S]
sess_other F protocol_sessions_total[F]
h1sess F protocol_sessions_total[F]
h2sess F protocol_sessions_total[F]
h3sess F protocol_sessions_total[F]
req_other F protocol_requests_total[F]
h1req F protocol_requests_total[F]
h2req F protocol_requests_total[F]
h3req F protocol_requests_total[F]
proto L info[L]
priv_idle_cur S private_idle_connections_current[S]
reqbin LFBS req_bytes_in_total[FBSL]
reqbout LFBS req_bytes_out_total[FBSL]
resbin LFBS res_bytes_in_total[FBSL]
resbout LFBS res_bytes_out_total[FBSL]
cache_hint_hits FB http_cache_hint_hits_total[FB]
`

// infoMetrics are the lines of "show info" that become a metric of the process,
// in HAProxy 2.6 to 3.5; a blank in a name is a "_" here.
const infoMetrics = `
ActivePeers BlockedTrafficWarnings BusyPolling BytesOutRate CompressBpsIn CompressBpsOut CompressBpsRateLim ConnRate ConnRateLimit
ConnectedPeers CumConns CumRecvLogs CumReq CumSslConns CumStreams CurrConns CurrSslConns CurrStreams DroppedLogs FailedResolutions
Hard_maxconn Idle_pct Jobs Listeners MaxConnRate MaxSessRate MaxSslConns MaxSslRate Maxconn MaxconnReached Maxpipes Maxsock Memmax_bytes
NbThreadGroups Nbproc Nbthread Niced_tasks PatternsAdded PatternsFreed PipesFree PipesUsed PoolAlloc_bytes PoolFailed PoolUsed_bytes
Process_num Run_queue SessRate SessRateLimit SslBackendKeyRate SslBackendMaxKeyRate SslCacheLookups SslCacheMisses SslFrontendKeyRate
SslFrontendMaxKeyRate SslFrontendSessionReuse_pct SslRate SslRateLimit Start_time_sec Stopping Tasks TotalBytesOut TotalSplicdedBytesOut
TotalSplicedBytesOut TotalWarnings Ulimit-n Unstoppable_Jobs Uptime_sec
`

// infoElse has the others, and why they don't.
var infoElse = map[string]string{
	"Name": "always HAProxy", "Version": "haproxy_process_build_info", "Release_date": "haproxy_version_info",
	"Pid": "sluice_haproxy_process_pid", "node": "haproxy_process_node", "description": "free text",
	"Uptime": "Uptime_sec for people", "Memmax_MB": "Memmax_bytes", "PoolAlloc_MB": "PoolAlloc_bytes", "PoolUsed_MB": "PoolUsed_bytes",
	"BootTime_ms": "of the past, and of no use in a graph", "Build_info": "text", "Tainted": "bits for developers", "DebugCommandsIssued": "for developers",
}

// Every line of "show info" becomes a metric, or there is a reason why not.
func TestEveryLineOfShowInfoGoesSomewhere(t *testing.T) {
	b := startBusy(t)
	listed := strings.Fields(infoMetrics)
	var written []string
	for _, f := range fields {
		for from := range strings.SplitSeq(f.from, "|") {
			written = append(written, strings.ReplaceAll(from, " ", "_"))
		}
	}
	for _, name := range listed {
		if !slices.Contains(written, name) {
			t.Errorf("%s becomes no metric", name)
		}
	}
	n := 0
	for line := range strings.Lines(command(t, b.socket, "show info")) {
		name, _, _ := strings.Cut(line, ":")
		name = strings.ReplaceAll(name, " ", "_")
		n++
		if !slices.Contains(listed, name) && infoElse[name] == "" {
			t.Errorf("nobody says what becomes of %s", name)
		}
	}
	if n < 50 {
		t.Errorf("HAProxy's \"show info\" has %d lines only", n)
	}
}

// words are the columns that aren't numbers; what becomes of them other tests hold.
var words = []string{"status", "check_status", "agent_status", "tracked", "addr", "mode", "algo", "proto"}

// Every column of "show stat" becomes a metric of every object that has it, with
// the value of that column, or there is a reason why not.
func TestEveryColumnGoesSomewhere(t *testing.T) {
	var fields []string
	used := map[string]string{} // "from metric": objects
	newest := haproxytest.Version{Major: 3, Minor: 5}
	order := haproxytest.Columns(newest)
	values := valuesOf(t, newest)
	for line := range strings.Lines(strings.TrimSpace(statFields)) {
		line, why, reasoned := strings.Cut(strings.TrimSpace(line), " - ")
		parts := strings.Fields(line)
		field, on, metrics := parts[0], parts[1], parts[2:]
		fields = append(fields, field)
		ms := slices.Contains(metrics, "ms")
		var has string
		for _, m := range metrics {
			name, objects, ok := strings.Cut(strings.TrimSuffix(m, "]"), "[")
			if !ok {
				continue
			}
			has += objects
			used[field+" "+name] = objects
			for _, o := range haproxyObjects {
				if !strings.Contains(objects, o.letter) || slices.Contains(words, field) {
					continue
				}
				want := float64(slices.Index(order, field))
				if ms {
					want /= 1000
				}
				if got := values["haproxy_"+o.name+"_"+name]; !slices.Contains(got, want) {
					t.Errorf("column %s: haproxy_%s_%s has %v, want %g", field, o.name, name, got, want)
				}
			}
		}
		if strings.Trim(on, has) != "" && (!reasoned || why == "") {
			t.Errorf("column %s of %s becomes metrics of %q only, and there is no reason", field, on, has)
		}
	}
	numbered := slices.DeleteFunc(slices.Clone(order[:slices.Index(order, "-")]), func(n string) bool { return n == "" })
	if diff := cmp.Diff(sorted(numbered), sorted(fields)); diff != "" {
		t.Errorf("columns of HAProxy %s (-) and those of the list (+):\n%s", newest, diff)
	}
	got := map[string]string{}
	for _, c := range columns {
		for from := range strings.FieldsSeq(c.from) {
			got[from+" "+c.name] += c.on
		}
	}
	for _, all := range []map[string]string{used, got} {
		for k, on := range all {
			all[k] = strings.Join(sorted(strings.Split(on, "")), "")
		}
	}
	if diff := cmp.Diff(used, got); diff != "" {
		t.Errorf("metrics in the list (-) and those that are written (+):\n%s", diff)
	}
}

// valuesOf has the values of each metric where each column's value is its number.
func valuesOf(t *testing.T, v haproxytest.Version) map[string][]float64 {
	t.Helper()
	client, err := haproxy.New(haproxy.Options{Address: "/nowhere", Dial: func(context.Context, string, string) (net.Conn, error) {
		return recorded{Reader: strings.NewReader("Name: HAProxy\nPid: 7\nVersion: 3.5\nStart_time_sec: 1\n\n" + figures(v))}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	sheet := promtext.NewSheet()
	p := newPage(selection{scopes: everyScope}, sheet, new(counts), false)
	q := p.query()
	q.Servers, q.Tables = false, false
	if err := client.Stream(t.Context(), q, p); err != nil {
		t.Fatal(err)
	}
	p.finish()
	out := map[string][]float64{}
	for name, f := range parse(t, textOf(t, promtext.Page{Sheets: []*promtext.Sheet{sheet}})) {
		for _, m := range f.GetMetric() {
			out[name] = append(out[name], value(m))
		}
	}
	return out
}

func sorted(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return all
}

// Text that a checked server or its agent chose is in no series.
func TestNothingThatServersSayBecomesALabel(t *testing.T) {
	for _, c := range columns {
		for _, hostile := range []string{"last_chk", "last_agt", "check_desc", "agent_desc", "cookie"} {
			if slices.Contains(strings.Fields(c.from), hostile) {
				t.Errorf("%s is made of %s", c.name, hostile)
			}
		}
	}
}

// Our own names in HAProxy's style please promlint as well as the rest of ours do.
func TestNamesThatWeChosePleasePromlint(t *testing.T) {
	if problems := lint(t, fmt.Sprintf("# HELP %[1]s x\n# TYPE %[1]s counter\n%[1]s 1\n", "haproxy_server_bad_seconds")); len(problems) == 0 {
		t.Error("a counter without _total pleases promlint: it looks at nothing")
	}
	theirs := regexp.MustCompile(`^(current_session_rate|active|backup|http_requests_total|connections_total|agent_(status|code|duration_seconds)|re[qs]_bytes_(in|out)_total|private_idle_connections_current|http_cache_hint_hits_total)$`)
	var text strings.Builder
	n := 0
	for _, c := range columns {
		if !c.later || c.help == "" || theirs.MatchString(c.name) { // those are in newer versions of HAProxy's own exporter
			continue
		}
		n++
		for _, o := range haproxyObjects {
			if strings.Contains(c.on, o.letter) {
				name := "haproxy_" + o.name + "_" + c.name
				if strings.Contains(text.String(), "# TYPE "+name+" ") {
					continue
				}
				fmt.Fprintf(&text, "# HELP %[1]s %[2]s\n# TYPE %[1]s %[3]s\n%[1]s %[4]s\n", name, c.help, c.kind, strconv.Itoa(n))
			}
		}
	}
	if n < 10 {
		t.Fatalf("only %d names are ours", n)
	}
	for _, p := range lint(t, text.String()) {
		t.Error(p)
	}
}

func lint(t *testing.T, text string) (out []string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		out = append(out, p.Metric+": "+p.Text)
	}
	return out
}
