package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/test/loopback"
)

// checksFor returns the checks of one probe by HTTP of all members.
func checksFor(t *testing.T, timeout string) []remediator.Check {
	t.Helper()
	file := write(t, t.TempDir(), "sluice.yml", `
devices: [{name: edge1, haproxy: {address: /nowhere}}]
modules:
  health: {prober: http, timeout: `+timeout+`, http: {path: /health, keep_connections: true}}
probes:
  - {name: shop, module: health, interval: 2s, rise: 4, members: {pool: shop}}
  - {name: site, module: health, targets: ['http://192.0.2.1/']}
`)
	l, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := newChecks(&l.Exporter)
	if err != nil {
		t.Fatal(err)
	}
	return checks
}

func TestEvidenceIsWhatOneProbeFound(t *testing.T) {
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	var status atomic.Int64 // what is answered; 0: nothing
	release := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := int(status.Load())
		if code == 0 {
			<-release
			return
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte("body")) // what the prober reads is checked
	}))
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	defer s.Close()
	defer close(release)

	up := edge.State{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}, Address: ln.Addr().String()}
	nobody, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	away := up
	away.Address = nobody
	nameless := up
	nameless.Address = ""
	stopped, stop := context.WithCancel(t.Context())
	stop()

	for _, c := range []struct {
		name   string
		ctx    context.Context
		state  edge.State
		status int64
		answer edge.Answer
		reason string
		body   string
	}{
		{"a good answer says that it is well", t.Context(), up, 200, edge.Yes, "", "body"},
		{"a bad status says that it isn't", t.Context(), up, 503, edge.No, "status", "body"},
		{"so does a connection that is refused", t.Context(), away, 200, edge.No, "connect", ""},
		{"and one that hangs beyond the module's timeout", t.Context(), up, 0, edge.No, "timeout", ""},
		{"a member without an address says nothing", t.Context(), nameless, 200, edge.Unknown, "target", ""},
		{"nor does a probe that we ended ourselves", stopped, up, 200, edge.Unknown, "interrupted", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status.Store(c.status)
			start := time.Now()
			timeout := "30s"
			if c.status == 0 {
				timeout = "300ms"
			}
			e := checksFor(t, timeout)[0].Ask(c.ctx, c.state)
			if e.Answer != c.answer || e.Reason != c.reason || e.Body != c.body {
				t.Errorf("got %s, %q, body %q (%s); want %s, %q, body %q", e.Answer, e.Reason, e.Body, e.Detail, c.answer, c.reason, c.body)
			}
			if e.Source != "probe:shop" || e.At.Before(start) || e.At.After(time.Now()) {
				t.Errorf("source %q at %s, want probe:shop now", e.Source, e.At)
			}
			if c.answer != edge.Yes && e.Detail == "" {
				t.Error("want a line that says why")
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s, the module's timeout is %s", took, timeout)
			}
		})
	}
}

func TestEvidenceIsFoundOnANewConnection(t *testing.T) {
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	defer s.Close()
	check := checksFor(t, "30s")[0]
	for range 3 {
		if e := check.Ask(t.Context(), edge.State{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}, Address: ln.Addr().String()}); e.Answer != edge.Yes {
			t.Fatalf("%+v", e)
		}
	}
	if got := connections.Load(); got != 3 {
		t.Errorf("%d connections for three questions", got)
	}
}

func TestOnlyProbesOfMembersAreChecks(t *testing.T) {
	checks := checksFor(t, "1s")
	if len(checks) != 1 {
		t.Fatalf("got %d checks, want the one of members", len(checks))
	}
	c := checks[0]
	if c.Name() != "shop" || c.Interval() != 2*time.Second || c.Rise() != 4 {
		t.Errorf("got %s, every %s, rise %d", c.Name(), c.Interval(), c.Rise())
	}
	if !c.Covers(edge.Member{Device: "edge1", Pool: "shop", Name: "x"}) || c.Covers(edge.Member{Device: "edge1", Pool: "other", Name: "x"}) {
		t.Error("it must cover the pool shop alone")
	}
}
