package haproxytest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// columns are those of "show stat" with the version that has them first.
// Source: HAProxy's management guides 2.0 to 3.5, section 9.1.
var columns = []struct {
	since Version
	names string
}{
	{Version{2, 0}, "pxname svname qcur qmax scur smax slim stot bin bout dreq dresp ereq econ eresp wretr wredis status weight act bck chkfail chkdown lastchg downtime qlimit pid iid sid throttle lbtot tracked type rate rate_lim rate_max check_status check_code check_duration hrsp_1xx hrsp_2xx hrsp_3xx hrsp_4xx hrsp_5xx hrsp_other hanafail req_rate req_rate_max req_tot cli_abrt srv_abrt comp_in comp_out comp_byp comp_rsp lastsess last_chk last_agt qtime ctime rtime ttime agent_status agent_code agent_duration check_desc agent_desc check_rise check_fall check_health agent_rise agent_fall agent_health addr cookie mode algo conn_rate conn_rate_max conn_tot intercepted dcon dses wrew connect reuse cache_lookups cache_hits"},
	{Version{2, 1}, "srv_icur src_ilim qtime_max ctime_max rtime_max ttime_max"},
	{Version{2, 2}, "eint idle_conn_cur safe_conn_cur used_conn_cur need_conn_est"},
	{Version{2, 3}, "uweight"},
	{Version{2, 5}, "agg_server_status agg_server_check_status agg_check_status"},
	{Version{2, 8}, "srid sess_other h1sess h2sess h3sess req_other h1req h2req h3req proto"},
	{Version{3, 3}, "priv_idle_cur reqbin reqbout resbin resbout"},
	{Version{3, 5}, "cache_hint_hits"},
}

// Columns are the columns of "show stat" of a version, in its order, with a
// module's at the end.
func Columns(v Version) (out []string) {
	for _, c := range columns {
		if v.from(c.since.Major, c.since.Minor) {
			out = append(out, strings.Fields(c.names)...)
		}
	}
	if v.from(2, 3) {
		out = append(out, "-", "h2_headers_rcvd", "h1_open_connections")
	}
	return out
}

func (f *Fake) info() string {
	var b strings.Builder
	up := time.Now().Unix() - f.start
	fmt.Fprintf(&b, "Name: HAProxy\nVersion: %s.99\nNbthread: 1\nPid: %d\nUptime_sec: %d\n", f.Version, f.pid, up)
	if f.Version.from(2, 4) {
		fmt.Fprintf(&b, "Start_time_sec: %d\n", f.start)
	}
	b.WriteString("Stopping: 0\nCurrConns: 1\n")
	return b.String()
}

// status is the word of "show stat": what checks found outdoes a drain.
func (s *Server) status() string {
	switch {
	case s.Admin&0x02 != 0:
		return "MAINT (via " + s.Tracks + ")"
	case s.Admin&0x20 != 0:
		return "MAINT (resolution)"
	case s.Admin&0x01 != 0:
		return "MAINT"
	case s.Op == 0:
		return "DOWN"
	case s.Op == 3:
		return "NOLB"
	case s.Admin&0x18 != 0 && s.Agent:
		return "DRAIN (agent)"
	case s.Admin&0x18 != 0:
		return "DRAIN"
	case s.Check == "":
		return "no check"
	}
	return "UP"
}

func (f *Fake) stat() string {
	names := Columns(f.Version)
	var b strings.Builder
	b.WriteString("# " + strings.Join(names, ",") + ",\n")
	row := func(values map[string]string) {
		for _, n := range names {
			v := values[n]
			if strings.ContainsAny(v, ",\"\n") {
				v = `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
			}
			b.WriteString(v + ",")
		}
		b.WriteString("\n")
	}
	row(map[string]string{"pxname": "web", "svname": "FRONTEND", "status": "OPEN", "type": "0", "scur": "1", "stot": "7"})
	for i, s := range f.servers {
		row(map[string]string{
			"pxname": s.Backend, "svname": s.Name, "status": s.status(), "weight": fmt.Sprint(s.Weight), "act": "1", "bck": "0",
			"type": "2", "scur": fmt.Sprint(s.Sessions), "qcur": "0", "lbtot": "5", "check_status": s.Check,
			"last_chk": s.LastCheck, "tracked": s.Tracks, "addr": s.Address, "mode": "http", "lastsess": "-1",
		})
		if i+1 == len(f.servers) || f.servers[i+1].Backend != s.Backend { // a backend's own row follows its servers
			row(map[string]string{"pxname": s.Backend, "svname": "BACKEND", "status": "UP", "type": "1", "act": "1", "bck": "0"})
		}
	}
	return b.String()
}

func (f *Fake) state(backend string) (string, int) {
	if backend != "" && !slices.ContainsFunc(f.servers, func(s *Server) bool { return s.Backend == backend }) {
		return "Can't find backend.\n", 3
	}
	fields := "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord"
	more := ""
	if f.Version.from(2, 4) {
		fields += " srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
		more = " 0 0 - - 0"
	}
	var b strings.Builder
	b.WriteString("1\n# " + fields + "\n")
	for i, s := range f.servers {
		if backend != "" && s.Backend != backend {
			continue
		}
		host, port, err := net.SplitHostPort(s.Address)
		if err != nil {
			host, port = "-", "0"
		}
		agent := 0
		if s.Agent {
			agent = 6
		}
		fmt.Fprintf(&b, "2 %s %d %s %s %d %d %d 100 10 6 3 4 6 %d 0 0 - %s -%s\n", s.Backend, i+1, s.Name, host, s.Op, s.Admin, s.Weight, agent, port, more)
	}
	return b.String(), 0
}
