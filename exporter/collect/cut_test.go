package collect

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
)

// A recorder is a device that writes down what it is asked.
type recorder struct {
	path  string
	asked chan string
}

// record starts a device that has one server of each proxy in proxies, in
// maintenance where its name says so.
func record(t *testing.T, proxies ...string) *recorder {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{filepath.Join(dir, "s"), make(chan string, 100)}
	ln, err := net.Listen("unix", r.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close(); _ = os.RemoveAll(dir) }) // both are of this test alone
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err == nil {
				r.asked <- strings.TrimSpace(line)
				for command := range strings.SplitSeq(strings.TrimSpace(line), ";") {
					_, _ = io.WriteString(conn, r.answer(command, proxies)) // a client that went away is its own business
				}
			}
			_ = conn.Close()
		}
	}()
	return r
}

// answer filters as HAProxy does. Source: facts 2.1.
func (*recorder) answer(command string, proxies []string) string {
	types := 1 + 2 + 4 + 8 // frontends, backends, servers and listeners
	if _, err := fmt.Sscanf(command, "show stat -1 %d -1", &types); err == nil || strings.HasPrefix(command, "show stat") {
		maint := !strings.HasSuffix(command, "no-maint")
		out := "# pxname,svname,qcur,scur,status,weight,act,bck,type,check_status,-,h1_open_conns,\n"
		for _, p := range proxies {
			status := "UP"
			if strings.Contains(p, "maint") {
				status = "MAINT"
			}
			for i, row := range []string{"FRONTEND,,3,OPEN,,,,0,,,9,", "sock-1,,3,OPEN,,,,3,,,,", "app1,0,3," + status + ",1,1,0,2,L7OK,,9,", "BACKEND,0,3,UP,1,1,0,1,,,9,"} {
				if types&(1<<[]int{0, 3, 2, 1}[i]) != 0 && (maint || status == "UP" || i != 2) {
					out += p + "," + row + "\n"
				}
			}
		}
		return out + "\n"
	}
	switch command {
	case "show info":
		return "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nStart_time_sec: 1800000000\nIdle_pct: 100\n\n"
	case "show table":
		return "# table: shop, type: ip, size:10, used:3\n\n"
	case "show servers state":
		out := "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_agent_state srv_check_state srv_port\n"
		for _, p := range proxies {
			admin := 0
			if strings.Contains(p, "maint") {
				admin = 1
			}
			out += fmt.Sprintf("3 %s 1 app1 192.0.2.1 2 %d 1 1 0 6 8080\n", p, admin)
		}
		return out + "\n"
	}
	return "Unknown command: " + command + "\n\n"
}

// cutTo scrapes a device with these settings.
func cutTo(t *testing.T, address string, settings fleet.HAProxyMetrics, query string) string {
	t.Helper()
	f, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{Address: address, Metrics: settings}}}, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := f.Device("edge1")
	return scrapeOf(t, d, query)
}

// scrapeOf asks a device anew, with the cut of a URL's parameters.
func scrapeOf(t *testing.T, d *fleet.Device, query string) string {
	t.Helper()
	c, err := New(d)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := ParseCut(q)
	if err != nil {
		t.Fatal(err)
	}
	out := c.Scrape(t.Context(), cut)
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	return written(t, []Outcome{out})
}

func TestADeviceIsAskedForNoMoreThanIsWanted(t *testing.T) {
	r := record(t, "shop")
	type section = fleet.HAProxyMetrics
	for _, tt := range []struct {
		name    string
		section section
		query   string
		want    string
	}{
		{"all", section{}, "", "show info;show table;show servers state;show stat"},
		{"all, by its word", section{}, "scope=*", "show info;show table;show servers state;show stat"},
		{"the process", section{}, "scope=global", "show info"},
		{"nothing", section{}, "scope=", "show info"},
		{"nothing of what was said before", section{}, "scope=server&scope=&scope=global", "show info"},
		{"stick tables", section{}, "scope=sticktable", "show info;show table"},
		{"a stick table's metric", section{}, "metrics=haproxy_sticktable_size", "show info;show table"},
		{"proxies without servers", section{}, "scope=frontend&scope=backend", "show info;show stat -1 3 -1"},
		{"listeners", section{}, "scope=listener", "show info;show stat -1 8 -1"},
		{"servers", section{}, "scope=server", "show info;show servers state;show stat -1 4 -1"},
		{"servers without what only their states tell", section{}, "scope=server&metrics=haproxy_server_status", "show info;show stat -1 4 -1"},
		{"what only their states tell", section{}, "metrics=sluice_member_serving", "show info;show servers state;show stat -1 4 -1"},
		{"what is counted over servers", section{}, "scope=backend&metrics=haproxy_backend_agg_server_status", "show info;show stat -1 6 -1"},
		{"a metric of the process", section{}, "metrics=haproxy_process_uptime_seconds", "show info"},
		{"two lists of metrics", section{}, "metrics=haproxy_frontend_status&metrics=haproxy_backend_status,haproxy_process_nbthread", "show info;show stat -1 3 -1"},
		{"all but what is told of tables", section{}, "metrics=-haproxy_sticktable_size,-haproxy_sticktable_used", "show info;show servers state;show stat"},
		{"a metric that there isn't", section{}, "metrics=haproxy_nothing", "show info"},
		{"what is wanted and unwanted at once", section{}, "metrics=haproxy_server_status,-haproxy_server_status", "show info"},
		{"no-maint where nothing counts the hidden", section{}, "no-maint&metrics=haproxy_server_status", "show info;show stat -1 4 -1 no-maint"},
		{"no-maint where pools count all of them", section{}, "no-maint", "show info;show table;show servers state;show stat"},
		{"counters of modules alone", section{}, "scope=frontend&extra-counters&metrics=haproxy_frontend_h1_open_conns", "show info;show stat -1 1 -1"},

		{"a scope of the configuration", section{Scope: []string{"backend", "server"}}, "metrics=haproxy_backend_status,haproxy_server_status", "show info;show stat -1 6 -1"},
		{"scopes of both", section{Scope: []string{"backend", "server"}}, "scope=backend&scope=frontend", "show info;show stat -1 2 -1"},
		{"scopes that have nothing in common", section{Scope: []string{"backend"}}, "scope=server", "show info"},
		{"names of the configuration", section{Names: []string{"haproxy_frontend_status"}}, "", "show info;show stat -1 1 -1"},
		{"names of both", section{Names: []string{"haproxy_frontend_status", "haproxy_server_status"}}, "metrics=haproxy_server_status,haproxy_backend_status", "show info;show stat -1 4 -1"},
		{"names that have nothing in common", section{Names: []string{"haproxy_frontend_status"}}, "metrics=haproxy_server_status", "show info"},
		{"no-maint of the configuration", section{NoMaint: true}, "scope=server&metrics=haproxy_server_status", "show info;show stat -1 4 -1 no-maint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cutTo(t, r.path, tt.section, tt.query)
			if got := <-r.asked; got != tt.want {
				t.Errorf("asked %q, want %q", got, tt.want)
			}
			if n := len(r.asked); n > 0 {
				t.Errorf("asked %d times more", n)
			}
		})
	}
}

// Whatever both sides cut, what is left is what neither cut, and nothing that
// wasn't there before.
func TestCutsOfTheConfigurationAndOfTheScrapeBothApply(t *testing.T) {
	r := record(t, "shop", "admin", "shop-maint")
	type section = fleet.HAProxyMetrics
	for _, tt := range []struct {
		name    string
		section section
		query   string
		want    []string // proxies that have series
		also    string   // a metric that is there
		not     string   // and one that isn't
	}{
		{"nothing", section{}, "", []string{"admin", "shop", "shop-maint"}, "haproxy_server_status", ""},
		{"proxies", section{Proxies: "shop.*"}, "", []string{"shop", "shop-maint"}, "haproxy_backend_status", ""},
		{"an expression is for the whole name", section{Proxies: "shop|adm"}, "", []string{"shop"}, "haproxy_frontend_status", ""},
		{"proxies but some", section{Proxies: "shop.*", ExceptProxies: ".*-maint"}, "", []string{"shop"}, "haproxy_backend_agg_server_status", ""},
		{"all but some", section{ExceptProxies: "shop"}, "", []string{"admin", "shop-maint"}, "sluice_pool_members", ""},
		{"proxies and names", section{Proxies: "admin", Names: []string{"haproxy_server_status", "haproxy_backend_status"}}, "metrics=-haproxy_backend_status", []string{"admin"}, "haproxy_server_status", "haproxy_backend_status"},
		{"a name that both want and one that only one wants", section{Names: []string{"-haproxy_server_weight"}}, "metrics=haproxy_server_status,haproxy_server_weight", []string{"admin", "shop", "shop-maint"}, "haproxy_server_status", "haproxy_server_weight"},
		{"no maintenance, by the configuration", section{NoMaint: true, Scope: []string{"server"}, Names: []string{"haproxy_server_status"}}, "", []string{"admin", "shop"}, "haproxy_server_status", ""},
		{"no maintenance, by the scrape", section{}, "no-maint&scope=server&metrics=haproxy_server_status,sluice_member_serving", []string{"admin", "shop"}, "sluice_member_serving", ""},
		{"no maintenance, where pools count all members", section{}, "no-maint&metrics=sluice_pool_members,sluice_member_serving", []string{"admin", "shop", "shop-maint"}, "sluice_pool_members", ""},
		{"modules' counters by the configuration, cut by the scrape", section{ExtraCounters: true}, "scope=frontend", []string{"admin", "shop", "shop-maint"}, "haproxy_frontend_h1_open_conns", "haproxy_backend_h1_open_conns"},
		{"modules' counters by the scrape, cut by the configuration", section{Scope: []string{"backend"}}, "extra-counters", []string{"admin", "shop", "shop-maint"}, "haproxy_backend_h1_open_conns", "haproxy_frontend_h1_open_conns"},
		{"no modules' counters unless somebody wants them", section{}, "", []string{"admin", "shop", "shop-maint"}, "haproxy_frontend_status", "haproxy_frontend_h1_open_conns"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := parse(t, cutTo(t, r.path, section{ExtraCounters: true}, ""))
			text := cutTo(t, r.path, tt.section, tt.query)
			for range 2 {
				<-r.asked
			}
			wantSound(t, text)
			found := map[string]bool{}
			got := parse(t, text)
			for name, f := range got {
				for _, m := range f.GetMetric() {
					for _, l := range m.GetLabel() {
						if l.GetName() == "proxy" || l.GetName() == edge.LabelPool {
							found[l.GetValue()] = true
						}
					}
					key := series(name, m)
					if !strings.HasPrefix(name, "sluice_haproxy_") && !slices.ContainsFunc(all[name].GetMetric(), func(o *dto.Metric) bool { return series(name, o) == key }) {
						t.Errorf("%s isn't there without the cut", key)
					}
				}
			}
			var proxies []string
			for p := range found {
				proxies = append(proxies, p)
			}
			slices.Sort(proxies)
			if diff := cmp.Diff(tt.want, proxies); diff != "" {
				t.Errorf("proxies (-want +got):\n%s", diff)
			}
			if got[tt.also] == nil || tt.not != "" && got[tt.not] != nil {
				t.Errorf("want %s and not %s in\n%s", tt.also, tt.not, text)
			}
			if got["sluice_device_up"] == nil {
				t.Error("nothing says that the device is up")
			}
		})
	}
}

func TestEqualCutsShareAnAnswer(t *testing.T) {
	var cuts []Cut
	for _, query := range []string{"metrics=b,a&scope=server&scope=backend", "scope=backend&scope=server&scope=server&metrics=a&metrics=,b,%20a"} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := ParseCut(q)
		if err != nil {
			t.Fatal(err)
		}
		cuts = append(cuts, cut)
	}
	if cuts[0] != cuts[1] {
		t.Errorf("%+v isn't %+v", cuts[0], cuts[1])
	}
}

func TestACutThatCantBeUnderstood(t *testing.T) {
	for query, want := range map[string]string{
		"scope=servers": `parameter scope: "servers": want one of global, frontend, listener, backend, server, sticktable or *`,
		"scope=backend&scope=" + strings.Repeat("x", 80): `parameter scope: "` + strings.Repeat("x", 40) + `": want one of global, frontend, listener, backend, server, sticktable or *`,
		"metrics=" + strings.Repeat("x", maxNames+1):     "parameter metrics is longer than 65536 bytes",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseCut(q); err == nil || err.Error() != want {
			t.Errorf("%.40s: %v, want %s", query, err, want)
		}
	}
}

// HAProxy's own exporter has the same parameters, metrics and extra-counters from
// 3.0 on.
func TestHAProxysOwnExporterCutsAlike(t *testing.T) {
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fine") }))
	defer good.Close()
	page := address(t)
	d, admin := startHAProxy(t, fmt.Sprintf(`
frontend own
  bind %[1]s
  option socket-stats
  http-request use-service prometheus-exporter if { path /metrics }
backend shop
  server app1 %[2]s
  server app2 %[2]s
  server app3 %[2]s disabled
  server app4 %[2]s
listen all
  bind %[3]s name door
  option socket-stats
  stick-table type ip size 10 store conn_cur
  server app1 %[2]s 
`, page, good.Listener.Addr(), address(t)))
	for name, to := range map[string]edge.Admin{"app2": edge.Drain, "app4": edge.Maint} {
		m := edge.Member{Device: "edge1", Pool: "shop", Name: name}
		if _, err := admin.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: m, To: to}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{
		"", "scope=*", "scope=", "scope=global", "scope=frontend", "scope=listener", "scope=server", "scope=sticktable", "scope=backend&scope=server",
		"scope=server&scope=", "scope=&scope=listener", "scope=server&scope=&scope=frontend", "scope=backend&scope=*",
		"no-maint", "no-maint=", "no-maint=0", "no-maint&scope=server", "scope=global&scope=frontend&no-maint", "scope=server&scope=sticktable&no-maint",
	} {
		t.Run(query, func(t *testing.T) {
			ours := seriesOf(t, scrapeOf(t, d, query))
			theirs := seriesOf(t, ask(t, "http://"+page+"/metrics?"+query))
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("HAProxy's own exporter (-) and ours (+):\n%s", diff)
			}
		})
	}
}

// seriesOf are the series of a text that HAProxy's own exporter and we share.
func seriesOf(t *testing.T, text string) []string {
	var all []string
	for name, f := range parse(t, text) {
		for _, m := range f.GetMetric() {
			s := series(name, m)
			v := value(m)
			if strings.HasPrefix(name, "haproxy_") && !isLater(name) && !differs(s, v) && !math.IsNaN(v) {
				all = append(all, s)
			}
		}
	}
	slices.Sort(all)
	return all
}
