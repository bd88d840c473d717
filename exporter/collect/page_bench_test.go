package collect

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// A recorded connection says the same whatever is asked.
type recorded struct {
	net.Conn
	io.Reader
}

func (recorded) Write(b []byte) (int, error)  { return len(b), nil }
func (r recorded) Read(b []byte) (int, error) { return r.Reader.Read(b) }
func (recorded) Close() error                 { return nil }
func (recorded) SetDeadline(time.Time) error  { return nil }

// bulk is the answer of a HAProxy 2.6 with that many servers, as "show info;show
// servers state;show stat" has it.
func bulk(servers int) string {
	var stat, state strings.Builder
	stat.WriteString("# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,agg_check_status,-,\n")
	state.WriteString("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n")
	for i := range servers {
		fmt.Fprintf(&stat, "be_%04d,srv_%03d,0,0,%d,17,,%d,%d,%d,,0,,0,0,0,0,UP,1,1,0,0,0,3600,0,,1,3,1,,%d,,2,0,,5,L7OK,200,1,0,%d,0,12,3,0,,,,%d,0,0,,,,,2,,,0,1,12,15,,,,Layer7 check passed,,2,3,4,,,,,,http,,,,,,,,0,%d,0,,,0,,0,3,40,60,0,0,0,0,1,1,-,\n",
			i/100, i%100, i%7, 1000+i, 100000+i*7, 900000+i*13, 1000+i, 900+i, 1000+i, 500+i)
		fmt.Fprintf(&state, "%d be_%04d %d srv_%03d 127.0.0.1 2 0 1 1 3600 15 3 4 6 0 0 0 - 8080 - 0 0 - - 0\n", 3+i/100, i/100, 1+i%100, i%100)
		if i%100 == 99 {
			fmt.Fprintf(&stat, "be_%04d,BACKEND,0,0,5,17,200,1000,1,1,0,0,,0,0,0,0,UP,100,100,0,,0,3600,0,,1,3,0,,1,,1,0,,5,,,,0,9,0,1,0,0,,,,10,0,0,0,0,0,0,2,,,0,1,12,15,,,,,,,,,,,,,,http,roundrobin,,,,,,,0,5,0,0,0,,,0,3,40,60,0,,,,,100,0,0,0,-,\n", i/100)
		}
	}
	return "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nStart_time_sec: 1800000000\n\n" + state.String() + "\n" + stat.String() + "\n"
}

// BenchmarkPage is what a scrape of 10,000 servers costs us, without HAProxy and
// without the network: from its bytes to ours.
func BenchmarkPage(b *testing.B) {
	answer := bulk(10_000)
	c, err := haproxy.New(haproxy.Options{Address: "/nowhere", Dial: func(context.Context, string, string) (net.Conn, error) {
		return recorded{Reader: strings.NewReader(answer)}, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	n := new(counts)
	read := func() *promtext.Sheet {
		s := promtext.NewSheet()
		p := newPage(selection{device: "edge1", scopes: everyScope &^ sticktable}, s, n, false)
		if err := c.Stream(b.Context(), p.query(), p); err != nil {
			b.Fatal(err)
		}
		p.finish()
		return s
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			read()
		}
	})
	b.Run("write", func(b *testing.B) {
		page := promtext.Page{Sheets: []*promtext.Sheet{read()}}
		var n counted
		b.ReportAllocs()
		for b.Loop() {
			n = 0
			if err := page.WriteText(&n, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(n))
	})
}

// counted is how much was written.
type counted int

func (w *counted) Write(b []byte) (int, error) { *w += counted(len(b)); return len(b), nil }
