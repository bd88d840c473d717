package replicas

import (
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/test/loopback"
)

// A wire is one path to a server that tests may cut: what is sent is kept, and
// nobody hears of it. When it is whole again what was kept arrives late, as
// after TCP's own retransmissions.
type wire struct {
	to   string // network and address, with a blank between
	hear func(line string)

	mu    sync.Mutex
	whole *sync.Cond
	cut   bool
	ended bool
	open  map[net.Conn]bool
}

// lay starts a wire to a server and returns the address at its near end.
func lay(t testing.TB, to string, hear func(line string)) (*wire, string) {
	t.Helper()
	ln, err := loopback.Listen()
	ok(t, err)
	w := &wire{to: to, hear: hear, open: map[net.Conn]bool{}}
	w.whole = sync.NewCond(&w.mu)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return // the test is over
			}
			if w.keep(near) {
				done.Go(func() { w.carry(near) })
			}
		}
	})
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		w.end()
		done.Wait()
	})
	return w, ln.Addr().String()
}

// keep notes a connection, so that it ends with the test.
func (w *wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		_ = c.Close() // nobody reads what it says
		return false
	}
	w.open[c] = true
	return true
}

func (w *wire) drop(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
	_ = c.Close() // it may be closed already
}

func (w *wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for c := range w.open {
		_ = c.Close() // this is what ends whoever reads it
	}
	w.whole.Broadcast()
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.whole.Broadcast()
}

// passes returns when something may pass; false says that the test is over.
func (w *wire) passes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cut && !w.ended {
		w.whole.Wait()
	}
	return !w.ended
}

func (w *wire) carry(near net.Conn) {
	defer w.drop(near)
	if !w.passes() {
		return
	}
	network, address, _ := strings.Cut(w.to, " ")
	far, err := net.Dial(network, address)
	if err != nil || !w.keep(far) {
		return // the near end sees that it is closed
	}
	defer w.drop(far)
	var back sync.WaitGroup
	back.Go(func() { w.copy(near, far, nil) })
	w.copy(far, near, w.hear)
	back.Wait()
}

// copy passes on bytes until an end closes, and that too.
func (w *wire) copy(to, from net.Conn, hear func(string)) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if hear != nil {
			hear(string(b[:n]))
		}
		if !w.passes() {
			return
		}
		_, failed := to.Write(b[:n])
		if err == nil && failed == nil {
			continue
		}
		if half, can := to.(closeWriter); errors.Is(err, io.EOF) && can && half.CloseWrite() == nil {
			return // the other direction may have more to say
		}
		w.drop(to)
		w.drop(from)
		return
	}
}

type closeWriter interface{ CloseWrite() error }

var change = regexp.MustCompile(`set server shop/(s\d+) state (\w+)`)

// A scribe writes down which changes HAProxy was sent, and by whom.
type scribe struct {
	mu   sync.Mutex
	said []said
}

type said struct{ by, member, state string }

func (s *scribe) listen(by string) func(string) {
	return func(line string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range change.FindAllStringSubmatch(line, -1) {
			s.said = append(s.said, said{by, m[1], m[2]})
		}
	}
}

func (s *scribe) all() []said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]said(nil), s.said...)
}
