package collect

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// command says one line to a stats socket and returns the answer.
func command(t *testing.T, socket, line string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(answer))
}

// of returns the series of a metric by pool and member, without those of value 0.
func of(t *testing.T, text, name string) (out []string) {
	t.Helper()
	for _, m := range parse(t, text)[name].GetMetric() {
		if s := series("", m); value(m) != 0 {
			line := labelOf(s, "pool")
			for _, l := range []string{"member", "flag"} {
				if v := labelOf(s, l); v != "" {
					line += " " + v
				}
			}
			out = append(out, fmt.Sprintf("%s %g", line, value(m)))
		}
	}
	slices.Sort(out)
	return out
}

// What column status hides is told by series of its own, of a real HAProxy.
func TestWhatTheStatusHidesIsTold(t *testing.T) {
	site := httptest.NewServer(http.NotFoundHandler())
	defer site.Close()
	b := startAt(t, fmt.Sprintf(`
resolvers nowhere
  nameserver ns1 %[3]s
backend shop
  default-server inter 50ms
  server ready1 %[1]s check
  server ready2 %[1]s
  server spare %[1]s backup
  server weightless %[1]s weight 0
  server asleep %[1]s disabled
  server forced %[1]s check
  server drained %[1]s check
  server drained-down %[2]s check fall 1
  server down %[2]s check fall 1
  server nameless nameless.example.com:80 resolvers nowhere init-addr none
  server renamed renamed.example.com:80 resolvers nowhere init-addr none
  server agent %[1]s agent-check agent-port %[4]s agent-inter 50ms
  server quiet-agent %[1]s agent-check agent-port %[4]s agent-inter 50ms
backend followers
  server forced %[1]s track shop/forced
  server drained %[1]s track shop/drained
`, site.Listener.Addr(), address(t), address(t), agentPort(t)))
	d, admin := device(t, "edge1", b.socket), device(t, "edge1", b.Socket)
	for server, to := range map[string]edge.Admin{"forced": edge.Maint, "drained": edge.Drain, "drained-down": edge.Drain} {
		m := edge.Member{Device: "edge1", Pool: "shop", Name: server}
		if _, err := admin.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: m, To: to}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"set server shop/renamed fqdn other.example.com",
		"set server shop/renamed state drain", "set server shop/renamed state ready", // the bit shows from the next change on
		"disable agent shop/quiet-agent",
	} {
		if said := command(t, b.Socket, line); said != "" && !strings.Contains(said, "changed its FQDN") {
			t.Fatalf("%s: %s", line, said)
		}
	}
	want := map[string][]string{
		serverFlag.name: {
			"followers drained inherited_drain 1", "followers forced inherited_maint 1",
			"shop asleep config_maint 1", "shop asleep forced_maint 1",
			"shop drained forced_drain 1", "shop drained-down forced_drain 1", "shop forced forced_maint 1",
			"shop nameless resolution 1", "shop renamed fqdn_changed 1", "shop renamed resolution 1",
		},
		drainedDown.name:   {"shop drained-down 1"},
		weightless.name:    {"shop weightless 1"},
		agentOn.name:       {"shop agent 1"},
		poolMembers.name:   {"followers 2", "shop 13"},
		memberServing.name: {"shop agent 1", "shop quiet-agent 1", "shop ready1 1", "shop ready2 1"},
		poolServing.name:   {"shop 4"},
	}
	var text string
	poll(t, "checks have found what is down", func() bool {
		text = write(t, d)
		return len(of(t, text, drainedDown.name)) > 0 &&
			strings.Contains(text, `haproxy_server_status{device="edge1",proxy="shop",server="down",state="DOWN"} 1`)
	})
	got := map[string][]string{}
	for name := range want {
		got[name] = of(t, text, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantSound(t, text)
}

// A reload is seen: another process answers at the same socket, and says which.
func TestAReloadIsSeen(t *testing.T) {
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "user.sock")
	config := fmt.Sprintf("global\n  stats socket %s level user\nfrontend web\n  bind %s\n", socket, address(t))
	first := haproxytest.StartReal(t, config)
	c, err := New(device(t, "edge1", socket))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	told := func() (pid, reloads string) {
		text := written(t, []Outcome{c.Scrape(t.Context(), Cut{})})
		return seriesValue(text, `sluice_haproxy_process_pid{device="edge1"}`), seriesValue(text, `sluice_haproxy_reloads_seen_total{device="edge1"}`)
	}
	poll(t, "the first process answers, at this socket too", func() bool {
		pid, reloads := told()
		return pid == fmt.Sprint(first.Pid) && reloads == "0"
	})
	second := haproxytest.StartReal(t, config)
	if err := syscall.Kill(first.Pid, syscall.SIGUSR1); err != nil { // as the second one's -sf does
		t.Fatal(err)
	}
	poll(t, "the second process answers", func() bool {
		pid, reloads := told()
		return pid == fmt.Sprint(second.Pid) && reloads == "1"
	})
	if pid, reloads := told(); pid != fmt.Sprint(second.Pid) || reloads != "1" {
		t.Errorf("process %s after %s reloads, want %d after 1", pid, reloads, second.Pid)
	}
}

// seriesValue is the value of one series, as text.
func seriesValue(text, series string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Columns that no exporter of HAProxy 2.6 has, with the values that a real one gives them.
func TestColumnsThatNobodyElseHas(t *testing.T) {
	b := startBusy(t)
	b.still(t)
	user, admin := write(t, b.device(t, "")), write(t, device(t, "edge1", b.Socket))
	for series, want := range map[string]string{
		`haproxy_frontend_info{device="edge1",proxy="lines",mode="tcp"}`:                             "1",
		`haproxy_frontend_connections_rate_current{device="edge1",proxy="lines"}`:                    "?",
		`haproxy_frontend_http_requests_rate_current{device="edge1",proxy="web"}`:                    "?",
		`haproxy_frontend_http_requests_rate_current{device="edge1",proxy="lines"}`:                  "",
		`haproxy_frontend_current_session_rate{device="edge1",proxy="web"}`:                          "?",
		`haproxy_backend_info{device="edge1",proxy="shop",mode="http",balance=""}`:                   "1", // a socket of level user
		`haproxy_server_check_rise{device="edge1",proxy="shop",server="halfway"}`:                    "2",
		`haproxy_server_check_fall{device="edge1",proxy="shop",server="halfway"}`:                    "2",
		`haproxy_server_check_health{device="edge1",proxy="shop",server="halfway"}`:                  "3",
		`haproxy_server_check_health{device="edge1",proxy="shop",server="app2"}`:                     "0",
		`haproxy_server_check_health{device="edge1",proxy="shop",server="agent"}`:                    "",
		`haproxy_server_agent_status{device="edge1",proxy="shop",server="agent",state="L7OK"}`:       "1",
		`haproxy_server_agent_duration_seconds{device="edge1",proxy="shop",server="agent"}`:          "?",
		`haproxy_server_agent_health{device="edge1",proxy="shop",server="agent"}`:                    "1",
		`haproxy_server_agent_rise{device="edge1",proxy="shop",server="agent"}`:                      "1",
		`haproxy_server_agent_fall{device="edge1",proxy="shop",server="agent"}`:                      "1",
		`haproxy_server_active{device="edge1",proxy="shop",server="spare"}`:                          "0",
		`haproxy_server_backup{device="edge1",proxy="shop",server="spare"}`:                          "1",
		`haproxy_server_health_analysis_failures_total{device="edge1",proxy="shop",server="spare"}`:  "0",
		`haproxy_server_health_analysis_failures_total{device="edge1",proxy="shop",server="app1"}`:   "",
		`haproxy_server_http_requests_total{device="edge1",proxy="plain",server="line1"}`:            "",
		`haproxy_process_node{device="edge1",node="` + labelOf(user, "node") + `"}`:                  "1",
		`haproxy_listener_info{device="edge1",proxy="web",listener="sock-1",address="",protocol=""}`: "",
		`haproxy_server_info{device="edge1",proxy="shop",server="app1",address="",tracks=""}`:        "",
		`haproxy_server_agent_status{device="edge1",proxy="shop",server="app1",state="L7OK"}`:        "",
		`haproxy_server_agent_health{device="edge1",proxy="shop",server="app1"}`:                     "",
		`haproxy_server_private_idle_connections_current{device="edge1",proxy="shop",server="app1"}`: "", // 3.3
		`haproxy_frontend_protocol_requests_total{device="edge1",proxy="web",protocol="h1"}`:         "", // 2.8
		`haproxy_server_http_requests_total{device="edge1",proxy="shop",server="away"}`:              "0",
		`haproxy_server_check_rise{device="edge1",proxy="shop",server="away"}`:                       "",
		`haproxy_backend_agg_check_status{device="edge1",proxy="shop",state="L7OK"}`:                 "3",
		`haproxy_backend_agg_server_status{device="edge1",proxy="shop",state="MAINT"}`:               "1",
	} {
		if got := seriesValue(user, series); got != want && (want != "?" || got == "") {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	if want := `haproxy_backend_info{device="edge1",proxy="shop",mode="http",balance="roundrobin"} 1`; !strings.Contains(admin, want+"\n") {
		t.Errorf("a socket of level admin tells more, and %s is missing", want)
	}
	if !strings.Contains(admin, `haproxy_server_info{device="edge1",proxy="shop",server="away",address="127.0.0.1:`) {
		t.Error("a socket of level admin tells where servers are")
	}
	wantSound(t, admin)
}
