package collect

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

// A busy HAProxy has had traffic and stands still: its checks run once and then
// not for an hour, but for those of backend pace.
type busy struct {
	*haproxytest.Real
	socket string // of level user
	own    string // address of frontend own, where its own exporter is
}

// device reads it under a profile.
func (b *busy) device(tb testing.TB, profile string) *fleet.Device {
	tb.Helper()
	f, err := fleet.New(fleet.Configs{{Name: "edge1", HAProxy: &fleet.HAProxy{
		Address: b.socket, Metrics: fleet.HAProxyMetrics{Profile: profile},
	}}}, fleet.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	d, _ := f.Device("edge1")
	return d
}

// startAt starts the real one with sockets of level user and admin.
func startAt(t *testing.T, config string) *busy {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "user.sock")
	return &busy{
		Real:   haproxytest.StartReal(t, fmt.Sprintf("global\n  nbthread 1\n  max-spread-checks 50ms\n  stats socket %s level user\n", socket)+config),
		socket: socket,
	}
}

// startBusy starts the real one and sends it requests that end in every way.
func startBusy(t *testing.T) *busy {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusOK
		switch r.URL.Path {
		case "/moved":
			code = http.StatusMovedPermanently
		case "/missing":
			code = http.StatusNotFound
		case "/broken":
			code = http.StatusInternalServerError
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		fmt.Fprint(w, strings.Repeat("well, ", 500))
	}))
	t.Cleanup(site.Close)
	web, lines, nobody, own := address(t), address(t), address(t), address(t)
	b := startAt(t, fmt.Sprintf(`
cache pages
  total-max-size 1
backend pace
  server p %[3]s check inter 100ms
frontend own
  bind %[6]s
  http-request use-service prometheus-exporter
frontend web
  bind %[1]s
  option socket-stats
  maxconn 500
  rate-limit sessions 1000
  compression algo gzip
  compression type text/plain
  http-request deny if { path /forbidden }
  http-request redirect location / if { path /elsewhere }
  http-request cache-use pages
  use_backend shop
frontend lines
  mode tcp
  bind %[2]s
  default_backend plain
backend shop
  fullconn 200
  timeout connect 50ms # as long as it waits before it tries again
  option redispatch 1
  option httpchk
  stick-table type ip size 10 store conn_cur
  http-request track-sc0 src
  server app1 %[3]s check inter 1h maxconn 50 weight 10
  server app2 %[4]s check inter 1h fall 1 weight 20
  server halfway %[3]s check inter 1h fall 2 weight 0
  server agent %[3]s weight 0 agent-check agent-port %[5]s agent-inter 1h
  server away %[3]s disabled
  server spare %[3]s backup check inter 1h observe layer7
backend plain
  mode tcp
  server line1 %[3]s
backend failing
  server app1 %[4]s
`, web, lines, site.Listener.Addr(), nobody, agentPort(t), own))
	b.own = own
	for _, path := range []string{"/", "/", "/moved", "/missing", "/broken", "/forbidden", "/elsewhere"} {
		get(t, web, path)
	}
	get(t, lines, "/")
	return b
}

// agentPort is the port of an agent that says a word that changes nothing.
func agentPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, "up")
			_ = conn.Close() // the agent has said its word
		}
	}()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// get asks once, over a connection of its own, and takes whatever comes.
func get(t *testing.T, address, path string) {
	t.Helper()
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
}

// still waits until everything that the traffic and the first checks change has
// changed: the text is the same twice, but for what moves.
func (b *busy) still(t *testing.T) {
	t.Helper()
	d := b.device(t, fleet.ProfileBuiltin)
	var before []string
	poll(t, "HAProxy stands still", func() bool {
		var now []string
		text := write(t, d)
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, "{")
			if strings.HasPrefix(line, "haproxy_") && !slices.Contains(moving, name) && !strings.Contains(line, `proxy="pace"`) {
				now = append(now, line)
			}
		}
		same := slices.Equal(before, now)
		before = now
		return same && strings.Contains(text, `haproxy_server_status{device="edge1",proxy="shop",server="app2",state="DOWN"} 1`) &&
			strings.Contains(text, `haproxy_server_check_status{device="edge1",proxy="shop",server="halfway",state="L7OK"} 1`) &&
			strings.Contains(text, `haproxy_server_agent_status{device="edge1",proxy="shop",server="agent",state="L7OK"} 1`)
	})
}
