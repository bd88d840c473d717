package probe_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// floodAfter waits for a request first: net/http takes bytes that come before
// one for a fault of the connection.
func floodAfter(c net.Conn, head, more string) {
	if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		flood(c, head, more)
	}
}

// flood writes until the reader has gone.
func flood(c net.Conn, head, more string) {
	if _, err := io.WriteString(c, head); err != nil {
		return
	}
	more = strings.Repeat(more, 1<<10)
	for {
		if _, err := io.WriteString(c, more); err != nil {
			return
		}
	}
}

func TestHostileAnswersAreBounded(t *testing.T) {
	for _, c := range []struct {
		name, head, more string
		want             probe.Reason
		detail           string
	}{
		{"headers without end", "HTTP/1.1 200 OK\r\n", "X-Flood: yes\r\n", probe.Status, "longer than 262144 bytes"},
		{"one header without end", "HTTP/1.1 200 OK\r\nX: ", "xxxxxxxx", probe.Status, "longer than 262144 bytes"},
		{"a first line without end", "HTTP/1.1 200 ", "xxxxxxxx", probe.Status, "longer than 262144 bytes"},
		{"informational answers without end", "", "HTTP/1.1 103 Early Hints\r\n\r\n", probe.Status, "longer than 262144 bytes"},
		{"a body without end", "HTTP/1.1 200 OK\r\n\r\n", "x", "", ""},
		{"chunks of one byte without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "", ""},
		{"a length that lies", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "x", probe.Status, "no answer"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "x", probe.Status, "no answer"},
		{"zeros", "", "\x00", probe.Status, "longer than 262144 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, "{prober: http, timeout: 10s}", "http://"+raw(t, func(conn net.Conn) { floodAfter(conn, c.head, c.more) }))
			wantReason(t, r, c.want)
			if !strings.Contains(r.Detail, c.detail) {
				t.Errorf("%s; want %q in it", r.Detail, c.detail)
			}
			if len(r.Body) > 1<<10 || r.HTTP.BodyLength > 1<<20 {
				t.Errorf("kept %d bytes of %d that were read", len(r.Body), r.HTTP.BodyLength)
			}
			at := raw(t, func(conn net.Conn) { flood(conn, c.head, c.more) })
			r = ask(t, "{prober: tcp, timeout: 10s, tcp: {query_response: [{expect: never}]}}", at)
			wantReason(t, r, probe.Body)
			if len(r.Body) > 1<<10 {
				t.Errorf("kept %d bytes", len(r.Body))
			}
		})
	}
}

// Each probe's connection is its own, and ends with it, also where net/http
// would go on with a dial or a handshake after the request has given up.
func TestNothingIsLeftOpen(t *testing.T) {
	var begun, open atomic.Int64
	hang := raw(t, func(c net.Conn) {
		begun.Add(1)
		open.Add(1)
		defer open.Add(-1)
		_, _ = io.Copy(io.Discard, c)
	})
	count := func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			begun.Add(1)
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	plain := unstarted(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	plain.Config.ConnState = count
	plain.Start()
	secure := unstarted(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	secure.Config.ConnState, secure.EnableHTTP2 = count, true
	secure.StartTLS()
	const insecure = "http: {tls_config: {insecure_skip_verify: true}}"
	for _, c := range []struct{ name, module, target string }{
		{"http", "{prober: http}", plain.URL},
		{"HTTP/2", "{prober: http, " + insecure + "}", secure.URL},
		{"https, HTTP/1.1", "{prober: http, http: {enable_http2: false, tls_config: {insecure_skip_verify: true}}}", secure.URL},
		{"a wrong certificate", "{prober: http}", secure.URL},
		{"a body that is too long", "{prober: http, http: {body_size_limit: 1B}}", plain.URL},
		{"tcp", "{prober: tcp}", strings.TrimPrefix(plain.URL, "http://")},
		{"no answer", "{prober: http, timeout: 1s}", "http://" + hang},
		{"no handshake", "{prober: http, timeout: 1s}", "https://" + hang},
		{"no handshake, tcp", "{prober: tcp, timeout: 1s, tcp: {tls: true}}", hang},
	} {
		t.Run(c.name, func(t *testing.T) {
			leavesNothing(t, c.module, c.target, &begun, &open)
		})
	}
}

// leavesNothing makes probes of a target that counts its connections: each has
// one, and none outlives it.
func leavesNothing(t *testing.T, text, target string, begun, open *atomic.Int64) {
	t.Helper()
	p, err := probe.New(module(t, text))
	if err != nil {
		t.Fatal(err)
	}
	begun.Store(0)
	const n = 5
	var all sync.WaitGroup
	for range n {
		all.Go(func() { p.Probe(t.Context(), target) })
	}
	all.Wait()
	deadline := time.After(20 * time.Second)
	for begun.Load() != n || open.Load() != 0 {
		select {
		case <-deadline:
			t.Fatalf("%d connections for %d probes, %d still open", begun.Load(), n, open.Load())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// What our own side lacks says nothing of the target (SAFETY.md I6).
func TestAProbeThatCouldNotBeMadeIsNoAnswer(t *testing.T) {
	s := site(t)
	hang := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("not-a-real-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	prober := func(m string) probe.Prober {
		t.Helper()
		p, err := probe.New(module(t, m))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	wantUnmade := func(t *testing.T, r probe.Result) {
		t.Helper()
		wantReason(t, r, probe.Unmade)
		if r.Answer() != edge.Unknown {
			t.Errorf("I6: its answer is %s", r.Answer())
		}
	}
	t.Run("a password that is gone", func(t *testing.T) {
		p := prober(fmt.Sprintf("{prober: http, http: {basic_auth: {username: sluice, password_file: %s}}}", password))
		if r := p.Probe(t.Context(), s.URL+"/login"); r.Answer() != edge.Yes {
			t.Errorf("before: %+v", r)
		}
		if err := os.Remove(password); err != nil {
			t.Fatal(err)
		}
		wantUnmade(t, p.Probe(t.Context(), s.URL+"/login"))
	})
	for _, c := range []struct{ name, module, target string }{
		{"http", "{prober: http}", s.URL + "/health"},
		{"tcp", "{prober: tcp}", strings.TrimPrefix(s.URL, "http://")},
	} {
		t.Run("no file is left, "+c.name, func(t *testing.T) {
			p := prober(c.module)
			var was syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: was.Max}); err != nil {
				t.Fatal(err)
			}
			r := p.Probe(t.Context(), c.target)
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
				t.Fatal(err)
			}
			wantUnmade(t, r)
			if r := p.Probe(t.Context(), c.target); r.Answer() != edge.Yes {
				t.Errorf("after: %+v", r)
			}
		})
		t.Run("no time was left, "+c.name, func(t *testing.T) {
			ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
			defer cancel()
			wantUnmade(t, prober(c.module).Probe(ctx, c.target))
		})
	}
	t.Run("it was interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		wantUnmade(t, prober("{prober: http, timeout: 1m}").Probe(ctx, "http://"+hang))
	})
	t.Run("but a deadline of others is a timeout", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := prober("{prober: http, timeout: 1m}").Probe(ctx, "http://"+hang)
		wantReason(t, r, probe.Timeout)
		if r.Answer() != edge.No {
			t.Errorf("its answer is %s", r.Answer())
		}
	})
}
