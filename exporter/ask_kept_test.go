package exporter

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A question with a name of its own has a prober of its own, and nobody asks that
// one again.
func TestAQuestionWithAHostnameKeepsNoConnection(t *testing.T) {
	var open, begun atomic.Int64
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fine") }))
	target.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			begun.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	target.Start()
	defer target.Close()
	e, _, _ := newExporter(t, `
modules:
  health: {prober: http, http: {keep_connections: true}}
probe_endpoint: {allow: [127.0.0.1]}
`, nil, nil)
	for _, hostname := range []string{"shop.example", ""} {
		for range 3 {
			code, text := get(t, e.Probe(), "/probe?module=health&hostname="+hostname+"&target="+target.URL)
			if code != http.StatusOK || !strings.Contains(text, "\nprobe_success 1\n") {
				t.Fatalf("hostname %q: got %d\n%s", hostname, code, text)
			}
		}
		if hostname != "" {
			poll(t, "the connections are closed", func() bool { return open.Load() == 0 })
		}
	}
	if got := begun.Load(); got != 4 {
		t.Errorf("%d connections, want three and one that is kept", got)
	}
}
