package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

const (
	crowd    = 1000
	others   = 300
	mostHeap = 256 << 20 // bytes in use while the crowd waits; about 40 MiB on an idle machine
	stay     = 30        // goroutines that may be more afterwards: a look at the device that hangs, idle connections
)

// A thousand requests at once are for a device whose socket hangs. Those for
// another device are all answered while the thousand still wait; and when these
// have gone, nothing of them is left.
func TestACrowdAtADeviceThatHangsHoldsUpNobodyElse(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "h")
	hang(t, socket)
	s := start(t, "  - {name: hangs, haproxy: {address: "+socket+", timeout: 1m}}\n")
	get := func(ctx context.Context, method, path, body string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := (&http.Client{Transport: http.DefaultTransport}).Do(req)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, errors.Join(err, resp.Body.Close())
	}
	before := s.metric(t, "go_goroutines")

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var waiting atomic.Int32
	var all sync.WaitGroup
	asks := []struct{ method, path, body string }{
		{"GET", "/api/v1/haproxy/hangs/backends", ""},
		{"GET", "/api/v1/haproxy/hangs/backends/shop/servers", ""},
		{"POST", "/api/v1/haproxy/hangs/backends/shop/servers/web01/action", `{"action":"drain"}`},
		{"POST", "/api/v1/members/hangs/shop/web01/drain", `{}`},
		{"GET", "/api/v1/members?device=hangs", ""},
	}
	var odd sync.Map
	for i := range crowd {
		ask := asks[i%len(asks)]
		waiting.Add(1)
		all.Go(func() {
			defer waiting.Add(-1)
			code, err := get(ctx, ask.method, ask.path, ask.body)
			if err == nil && code != http.StatusServiceUnavailable && code != http.StatusOK { // turned away with a word, or listed with its error
				odd.Store(fmt.Sprintf("%s %s: %d", ask.method, ask.path, code), true)
			}
		})
	}
	var served sync.WaitGroup
	for i := range others {
		served.Go(func() {
			path := []string{"/api/v1/haproxy/edge1/backends/shop/servers", "/api/v1/members?device=edge1", "/api/v1/freeze", "/-/healthy"}[i%4]
			if code, err := get(t.Context(), "GET", path, ""); err != nil || code != http.StatusOK {
				t.Errorf("%s: %d %v", path, code, err)
			}
		})
	}
	served.Wait()
	if code, err := get(t.Context(), "POST", "/api/v1/members/edge1/shop/web03/ready", `{}`); err != nil || code != http.StatusOK {
		t.Errorf("an order on the other device: %d %v", code, err)
	}
	if waiting.Load() == 0 {
		t.Error("nobody waits any more: this shows nothing")
	}
	if heap := s.metric(t, "go_memstats_heap_inuse_bytes"); heap > mostHeap {
		t.Errorf("%.0f bytes are in use, want %d at most", heap, mostHeap)
	}
	leave()
	all.Wait()
	odd.Range(func(what, _ any) bool {
		t.Error(what)
		return true
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	err := rig.Await(t.Context(), 2*time.Minute, "the crowd to be gone from the program", func(context.Context) error {
		if now := s.metric(t, "go_goroutines"); now > before+stay {
			return fmt.Errorf("%.0f goroutines, %.0f before", now, before)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// hang listens and never says a word.
func hang(t *testing.T, socket string) {
	t.Helper()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()               // the other end is gone
				_, _ = io.Copy(io.Discard, conn) // until then
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // it ends the loop
		all.Wait()
	})
}

// metric is the value of one of the program's own.
func (s *target) metric(t *testing.T, name string) float64 {
	t.Helper()
	v, _, err := rig.Value(t.Context(), s.url, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
