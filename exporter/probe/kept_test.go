package probe_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/exporter/probe"
)

const keep = "{prober: http, timeout: 2s, http: {keep_connections: true}}"

// talkative serves requests by hand: answer says what becomes of a connection
// after its request number n, from 1 on.
func talkative(t testing.TB, answer func(c net.Conn, r *http.Request, n int) bool) (at string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	return raw(t, func(c net.Conn) {
		connections.Add(1)
		in := bufio.NewReader(c)
		for n := 1; ; n++ {
			r, err := http.ReadRequest(in)
			if err != nil || !answer(c, r, n) {
				return
			}
		}
	}), connections
}

func say(c net.Conn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

func kept(t testing.TB, text string) probe.Prober {
	t.Helper()
	p, err := probe.New(module(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := p.(io.Closer); ok {
		t.Cleanup(func() { _ = c.Close() }) // it has no error to tell
	}
	return p
}

func TestAConnectionIsKeptWhereItMayBe(t *testing.T) {
	for _, c := range []struct {
		name, module string
		answer       string
		want         int64 // connections for five probes
	}{
		{"with a length", keep, fine, 1},
		{"in chunks", keep, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n", 1},
		{"without a body", keep, "HTTP/1.1 204 No Content\r\n\r\n", 1},
		{"of HTTP/1.0 that keeps", keep, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 1},
		{"of HTTP/1.0", keep, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 5},
		{"that closes", keep, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 5},
		{"that says more than it has to", keep, fine + "more", 5},
		{"that is not read whole", "{prober: http, http: {keep_connections: true, body_size_limit: 2B}}", fine, 5},
		{"to what must not be asked twice", "{prober: http, http: {keep_connections: true, method: POST}}", fine, 5},
		{"where nobody wants it", "{prober: http}", fine, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, connections := talkative(t, func(conn net.Conn, _ *http.Request, _ int) bool { return say(conn, c.answer) })
			p := kept(t, c.module)
			for range 5 {
				if r := p.Probe(t.Context(), "http://"+at); r.HTTP == nil || r.HTTP.Status/100 != 2 || r.IP != "127.0.0.1" {
					t.Fatalf("%+v", r)
				}
			}
			if got := connections.Load(); got != c.want {
				t.Errorf("%d connections, want %d", got, c.want)
			}
		})
	}
}

// A server may close what it has answered on whenever it likes, and that says
// nothing of it.
func TestAKeptConnectionThatIsGoneIsNoFailure(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(c net.Conn, r *http.Request, n int) bool
	}{
		{"closed at once", func(c net.Conn, _ *http.Request, _ int) bool { return say(c, fine) && false }},
		{"closed on the second request", func(c net.Conn, _ *http.Request, n int) bool { return n == 1 && say(c, fine) }},
		{"reset on the second request", func(c net.Conn, _ *http.Request, n int) bool {
			if n == 1 {
				return say(c, fine)
			}
			tcp, ok := c.(*net.TCPConn)
			return ok && tcp.SetLinger(0) != nil
		}},
		{"closed with a word that nobody asked for", func(c net.Conn, _ *http.Request, _ int) bool {
			return say(c, fine+"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n") && false
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, connections := talkative(t, c.answer)
			p := kept(t, keep)
			for range 5 {
				wantReason(t, p.Probe(t.Context(), "http://"+at), "")
			}
			if got := connections.Load(); got != 5 {
				t.Errorf("%d connections, want 5", got)
			}
		})
	}
}

func TestHalfAnAnswerOnAKeptConnectionIsAFailure(t *testing.T) {
	at, connections := talkative(t, func(c net.Conn, _ *http.Request, n int) bool {
		if n == 1 {
			return say(c, fine)
		}
		return say(c, "HTTP/1.1 200 OK\r\n") && false
	})
	p := kept(t, keep)
	wantReason(t, p.Probe(t.Context(), "http://"+at), "")
	wantReason(t, p.Probe(t.Context(), "http://"+at), probe.Status)
	if got := connections.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

// TLS reads ahead: what a server says beyond its answer is in our memory already
// when the connection looks silent.
func TestWhatIsLeftOverWithinTLSIsNoAnswer(t *testing.T) {
	certificates := webTLS(t, nil, nil).TLS.Certificates
	for _, length := range []int{10, 8 << 10, 100_000} {
		connections := new(atomic.Int64)
		at := raw(t, func(conn net.Conn) {
			connections.Add(1)
			c := serverTLS(conn, certificates)
			in := bufio.NewReader(c)
			for {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				body := strings.Repeat("x", length)
				if !say(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s\r\n", length, body)) { // two bytes more
					return
				}
			}
		})
		p := kept(t, "{prober: http, timeout: 10s, http: {keep_connections: true, tls_config: {insecure_skip_verify: true}}}")
		for range 3 {
			wantReason(t, p.Probe(t.Context(), "https://"+at), "")
		}
		if got := connections.Load(); got != 3 {
			t.Errorf("%d bytes: %d connections, want 3", length, got)
		}
	}
}

func TestClosingLetsGoOfWhatIsKept(t *testing.T) {
	var open atomic.Int64
	s := unstarted(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") })
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.StartTLS()
	p, err := probe.New(module(t, "{prober: http, http: {keep_connections: true, tls_config: {insecure_skip_verify: true}}}"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r := p.Probe(t.Context(), s.URL)
		wantReason(t, r, "")
		if r.TLS == nil || r.HTTP.Version != 1.1 {
			t.Errorf("%+v", r)
		}
	}
	if got := open.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
	closer, ok := p.(io.Closer)
	if !ok {
		t.Fatal("nothing closes it")
	}
	for range 2 {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
		deadline := time.After(5 * time.Second)
		for open.Load() != 0 {
			select {
			case <-deadline:
				t.Fatalf("%d connections are open", open.Load())
			case <-time.After(5 * time.Millisecond):
			}
		}
		wantReason(t, p.Probe(t.Context(), s.URL), "") // one that was begun before
	}
}

func TestProbesOfOneTargetAtOnceKeepOneConnection(t *testing.T) {
	at, connections := talkative(t, func(c net.Conn, _ *http.Request, _ int) bool { return say(c, fine) })
	p := kept(t, keep)
	done := make(chan probe.Result)
	for range 8 {
		go func() { done <- p.Probe(t.Context(), "http://"+at) }()
	}
	for range 8 {
		wantReason(t, <-done, "")
	}
	before := connections.Load()
	for range 3 {
		wantReason(t, p.Probe(t.Context(), "http://"+at), "")
	}
	if got := connections.Load(); got != before {
		t.Errorf("%d connections more", got-before)
	}
}
