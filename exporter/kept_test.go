package exporter

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func TestConnectionsAreKeptUntilTheConfigurationIsAnother(t *testing.T) {
	var open, asked atomic.Int64
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintln(w, "fine")
	}))
	target.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	target.Start()
	defer target.Close()
	e, c, f := newExporter(t, fmt.Sprintf(`
modules:
  health: {prober: http, http: {keep_connections: true}}
probes:
  - {name: shop, module: health, interval: 10ms, targets: [%q]}
`, target.URL), nil, nil)
	start(t, e)
	poll(t, "it is asked", func() bool { return asked.Load() > 3 })
	if got := open.Load(); got != 1 {
		t.Errorf("%d connections are open, want 1", got)
	}
	next := *c
	next.Probes = nil
	if err := e.Apply(&next, f); err != nil {
		t.Fatal(err)
	}
	poll(t, "its connection is closed", func() bool { return open.Load() == 0 })
}
