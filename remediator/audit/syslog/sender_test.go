package syslog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
)

func valid(t *testing.T, c Config) Config {
	t.Helper()
	if m := c.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	return c
}

// start runs a sender until the test ends, or the function it returns is called.
func start(t *testing.T, c Config, o Options) (*Sender, func()) {
	t.Helper()
	o.Hostname = "lb1"
	s, err := New(valid(t, c), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func numbered(n int) Record {
	return Record{Entry: journal.Entry{Seq: uint64(n), At: record.At, Event: "step", Detail: fmt.Sprintf("number %d\n", n)}}
}

// counted reads one message that its length stands before.
func counted(r *bufio.Reader) (string, error) {
	var n int
	if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
		return "", err
	}
	m := make([]byte, n)
	_, err := io.ReadFull(r, m)
	return string(m), err
}

func TestOverRealSockets(t *testing.T) {
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that it was hung up on
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(secure.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name   string
		listen func(t *testing.T) (Config, func() (string, error))
	}{
		{"a datagram over UDP", func(t *testing.T) (Config, func() (string, error)) {
			conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
			return Config{Address: "udp://" + addr(conn)}, packets(t, conn, err)
		}},
		{"a datagram to the machine's own daemon", func(t *testing.T) (Config, func() (string, error)) {
			path := filepath.Join(dir, "log")
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
			return Config{Address: "unix://" + path}, packets(t, conn, err)
		}},
		{"counted octets over TCP", func(t *testing.T) (Config, func() (string, error)) {
			ln, err := loopback.Listen()
			if err != nil {
				t.Fatal(err)
			}
			return Config{Address: "tcp://" + ln.Addr().String()}, streamed(t, ln)
		}},
		{"counted octets over TLS", func(t *testing.T) (Config, func() (string, error)) {
			ln, err := loopback.Listen()
			if err != nil {
				t.Fatal(err)
			}
			return Config{
				Address: "tls://" + ln.Addr().String(), Format: FormatCEF,
				TLSConfig: &promconfig.TLSConfig{CAFile: ca},
			}, streamed(t, tlsListener(ln, secure.TLS))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, next := tt.listen(t)
			s, stop := start(t, c, Options{})
			for n := range 3 {
				s.Send(numbered(n + 1))
			}
			for n := range 3 {
				m, err := next()
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(m, "<134>1 ") || !strings.Contains(m, fmt.Sprintf("number %d", n+1)) || strings.Contains(m, "\n") {
					t.Errorf("got %q", m)
				}
			}
			stop()
			if got := s.Stats(); got != (Stats{Sent: 3, Connected: true}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestACertificateOfSomebodyElseIsRefused(t *testing.T) {
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that it was hung up on
	secure.StartTLS()
	t.Cleanup(secure.Close)
	s, err := New(valid(t, Config{Address: "tls://" + secure.Listener.Addr().String()}), Options{Hostname: "lb1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.deliver(t.Context(), numbered(1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

// away is a server that can be told to be away, in memory.
type away struct {
	mu    sync.Mutex
	gone  bool
	deaf  bool // takes connections and reads nothing
	conns int
	last  net.Conn
	got   chan string
}

func (a *away) dial(context.Context, string, string) (net.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone {
		return nil, errors.New("connection refused")
	}
	a.conns++
	client, server := net.Pipe()
	a.last = server
	if !a.deaf {
		go func() {
			for r := bufio.NewReader(server); ; {
				m, err := counted(r)
				if err != nil {
					return // hung up
				}
				a.got <- m
			}
		}()
	}
	return client, nil
}

func (a *away) set(gone, deaf bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone, a.deaf = gone, deaf
}

// connections returns how many there were, and the server's end of the last one.
func (a *away) connections() (int, net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns, a.last
}

func TestAServerThatIsAwayDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{gone: true, got: make(chan string, 2*queueLength)}
		s, stop := start(t, Config{Address: "tcp://192.0.2.5:601"}, Options{Dial: a.dial})
		began := time.Now()
		s.Send(numbered(1))
		synctest.Wait() // Run has it in hand
		for n := range queueLength + 9 {
			s.Send(numbered(n + 2))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("sending took %s", took)
		}
		if got := s.Stats(); got != (Stats{Dropped: 9, Queued: queueLength}) {
			t.Errorf("got %+v", got)
		}
		time.Sleep(10 * time.Minute)
		a.set(false, false)
		time.Sleep(longestWait)
		synctest.Wait()
		if got := s.Stats(); got != (Stats{Sent: queueLength + 1, Dropped: 9, Connected: true}) {
			t.Errorf("got %+v", got)
		}
		if m := <-a.got; !strings.Contains(m, "9 messages before this one were dropped") || !strings.Contains(m, " syslog_dropped ") {
			t.Errorf("the server isn't told what it missed: %s", m)
		}
		for n := range queueLength + 1 {
			if m := <-a.got; !strings.Contains(m, fmt.Sprintf(`seq="%d"`, n+1)) {
				t.Fatalf("message %d is %s", n+1, m)
			}
		}
		stop()
	})
}

func TestAConnectionThatEndedIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{got: make(chan string, 10)}
		s, stop := start(t, Config{Address: "tcp://192.0.2.5:601"}, Options{Dial: a.dial})
		s.Send(numbered(1))
		synctest.Wait()
		_, server := a.connections()
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Send(numbered(2)) // not into a connection that nobody reads
		synctest.Wait()
		if n, _ := a.connections(); n != 2 || len(a.got) != 2 {
			t.Errorf("%d connections, %d messages", n, len(a.got))
		}
		stop()
	})
}

func TestAServerThatReadsNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{deaf: true, got: make(chan string, 10)}
		s, stop := start(t, Config{Address: "tcp://192.0.2.5:601"}, Options{Dial: a.dial})
		s.Send(numbered(1))
		time.Sleep(timeout + firstWait/2)
		a.set(false, false)
		time.Sleep(firstWait)
		if n, _ := a.connections(); n != 2 || len(a.got) != 1 || !s.Stats().Connected {
			t.Errorf("%d connections, %d messages, %+v", n, len(a.got), s.Stats())
		}
		stop()
	})
}

func TestStoppingSendsWhatIsQueuedForTwoSecondsAtMost(t *testing.T) {
	for name, tt := range map[string]struct {
		server *away
		took   time.Duration
		want   Stats
	}{
		"a server that is there": {&away{}, 0, Stats{Sent: 5, Connected: true}},
		"one that is away":       {&away{gone: true}, 0, Stats{Dropped: 5}},
		"one that reads nothing": {&away{deaf: true}, farewell, Stats{Dropped: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := tt.server
				a.got = make(chan string, 10)
				s, err := New(valid(t, Config{Address: "tcp://192.0.2.5:601"}), Options{Dial: a.dial, Hostname: "lb1"})
				if err != nil {
					t.Fatal(err)
				}
				for n := range 5 {
					s.Send(numbered(n))
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				began := time.Now()
				s.leave(ctx, nil)
				s.hangUp()
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if got := s.Stats(); got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		want   string
	}{
		"no address":              {Config{}, "address: write one like"},
		"no scheme":               {Config{Address: "192.0.2.5:514"}, "address: write one like"},
		"no port":                 {Config{Address: "udp://192.0.2.5"}, "address: write one like"},
		"no host":                 {Config{Address: "udp://:514"}, "address: write one like"},
		"a port that is none":     {Config{Address: "udp://192.0.2.5:70000"}, "address: write one like"},
		"a password":              {Config{Address: "tcp://canary:canary@192.0.2.5:514"}, "address: write one like"},
		"another scheme":          {Config{Address: "http://192.0.2.5:514"}, "address: write one like"},
		"a relative socket":       {Config{Address: "unix://dev/log"}, "address: write one like"},
		"another format":          {Config{Address: "udp://192.0.2.5:514", Format: "leef"}, `format: "leef": write rfc5424 or cef`},
		"another facility":        {Config{Address: "udp://192.0.2.5:514", Facility: "local8"}, `facility: "local8": write local0 to local7`},
		"a number below 0":        {Config{Address: "udp://192.0.2.5:514", EnterpriseID: -1}, "enterprise_id: -1"},
		"TLS where there is none": {Config{Address: "udp://192.0.2.5:514", TLSConfig: &promconfig.TLSConfig{}}, "tls_config: is for an address that starts with tls://"},
		"TLS that can't be":       {Config{Address: "tls://192.0.2.5:6514", TLSConfig: &promconfig.TLSConfig{CertFile: "x"}}, "tls_config: "},
	} {
		t.Run(name, func(t *testing.T) {
			m := tt.config.Validate()
			if len(m) != 1 || !strings.HasPrefix(m[0].Error(), tt.want) || strings.Contains(m[0].Error(), "canary") {
				t.Errorf("got %v; want %s", m, tt.want)
			}
		})
	}
}
