package exporter

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

// All of the read side at once: a real HAProxy, its members found there, probed,
// believed after fall and rise, and shown.
func TestMembersOfARealHAProxyAreProbed(t *testing.T) {
	var ill atomic.Bool
	member := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ill.Load() {
			http.Error(w, "ill", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "fine")
	}))
	defer member.Close()
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := net.SplitHostPort(nobody)
	if err != nil {
		t.Fatal(err)
	}
	at := member.Listener.Addr().String()
	hap := haproxytest.StartReal(t, fmt.Sprintf(`
backend shop
  server app1 %s
  server app2 %s
  server spare %s:1 disabled
`, at, nobody, host))

	e, _, _ := newExporter(t, `
modules:
  health: {prober: http, timeout: 1s, http: {path: /health}}
probes:
  - {name: shop, module: health, interval: 100ms, fast_retry: 20ms, fall: 3, rise: 2, members: {device: edge1, pool: shop, member: app.}}
`, map[string]string{"edge1": hap.Socket}, nil)
	start(t, e)

	has := func(lines ...string) func() bool {
		return func() bool {
			_, text := get(t, e.Metrics(), "/metrics")
			for _, line := range lines {
				if !strings.Contains(text, "\n"+line+"\n") {
					return false
				}
			}
			return true
		}
	}
	app1 := fmt.Sprintf(`{probe="shop",target="http://%s/health",device="edge1",pool="shop",member="app1"}`, at)
	app2 := fmt.Sprintf(`{probe="shop",target="http://%s/health",device="edge1",pool="shop",member="app2"}`, nobody)
	poll(t, "one is up, the other down", has(
		"sluice_probe_up"+app1+" 1", "sluice_probe_success"+app1+" 1",
		"sluice_probe_up"+app2+" 0", "sluice_probe_success"+app2+" 0",
	))
	poll(t, "what the device says of them", has(
		`sluice_device_up{device="edge1",kind="haproxy"} 1`,
		`sluice_member_serving{device="edge1",pool="shop",member="app2"} 1`,
		`sluice_member_admin_state{device="edge1",pool="shop",member="spare",state="maint"} 1`,
		`haproxy_server_status{device="edge1",proxy="shop",server="spare",state="MAINT"} 1`,
	))
	ill.Store(true)
	poll(t, "it falls ill", has("sluice_probe_up"+app1+" 0"))
	ill.Store(false)
	poll(t, "it recovers", has("sluice_probe_up"+app1+" 1"))
	if _, text := get(t, e.Metrics(), "/metrics"); strings.Contains(text, `probe="shop",target="http://`+host+`:1/health"`) {
		t.Error("a member that the probe doesn't cover is probed")
	}
}
