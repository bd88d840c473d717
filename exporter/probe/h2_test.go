package probe_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/exporter/probe"
)

// Several targets at one address are asked at once, each on its own connection.
func TestProbesByHTTP2AtOnceDontDisturbEachOther(t *testing.T) {
	s := webTLS(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }, nil)
	p, err := probe.New(module(t, "{prober: http, timeout: 30s, http: {valid_http_versions: [HTTP/2], tls_config: {insecure_skip_verify: true}}}"))
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				if r := p.Probe(t.Context(), fmt.Sprintf("%s/%d", s.URL, i)); !r.Up {
					t.Errorf("%s: %s", r.Reason, r.Detail)
				}
			})
		}
		all.Wait()
	}
}

// A server that goes away just now took no request: net/http asks once more, and
// then on a new connection.
func TestAServerThatGoesAwayIsAskedOnAnother(t *testing.T) {
	site := webTLS(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }, nil)
	var connections atomic.Int64
	at := raw(t, func(c net.Conn) {
		if connections.Add(1) == 1 {
			s := tls.Server(c, &tls.Config{Certificates: site.TLS.Certificates, NextProtos: []string{"h2"}})
			_, _ = io.ReadFull(s, make([]byte, 24)) // what a client begins with
			// Empty SETTINGS, and GOAWAY: no stream was taken, and there is no error.
			_, _ = io.WriteString(s, "\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
			_, _ = io.Copy(io.Discard, s)
			return
		}
		to, err := net.Dial("tcp", strings.TrimPrefix(site.URL, "https://"))
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = to.Close() }() // the client has its answer
		go func() {
			_, _ = io.Copy(to, c)
			_ = to.Close() // so that the other direction ends, too
		}()
		_, _ = io.Copy(c, to)
	})
	wantReason(t, ask(t, "{prober: http, timeout: 8s, http: {tls_config: {insecure_skip_verify: true}}}", "https://"+at), "")
	if got := connections.Load(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

// Who ends the exporter doesn't wait for targets that hang.
func TestAnInterruptedProbeEndsAtOnce(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	at := raw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		asked <- struct{}{}
		<-release
	})
	p, err := probe.New(module(t, "{prober: http, timeout: 10m}"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan probe.Result, 1)
	go func() { result <- p.Probe(ctx, "http://"+at) }()
	<-asked
	cancel()
	select {
	case r := <-result:
		wantReason(t, r, probe.Unmade)
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
}
