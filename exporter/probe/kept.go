package probe

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on connections that are kept between the probes of a module.
const (
	keptFor = 90 * time.Second // unused; net/http's default client waits as long
	maxKept = 16 << 10         // the rest is closed as soon as its answer is in
)

// keptNow counts what is kept in all. That takes three quarters at most of the
// files that the program may open: who asks for metrics wants one, too, and so do
// the probes whose connections are new.
var (
	keptNow  atomic.Int64
	mostKept = openFiles() / 4 * 3
)

// A place is what a kept connection leads to.
type place struct {
	wire    *wire // that dialled: another one shows another certificate
	scheme  string
	address string
}

// kept holds at most one unused connection to a place. It is safe for concurrent use.
type kept struct {
	mu     sync.Mutex
	lines  map[place]*line
	closed bool
}

// take returns the connection to a place, if there is one that is fit for use.
func (k *kept) take(at place) *line {
	k.mu.Lock()
	l := k.lines[at]
	if l != nil {
		k.forget(at)
	}
	k.mu.Unlock()
	if l == nil {
		return nil
	}
	l.until.Stop()
	if !l.unsaid() {
		l.close()
		return nil
	}
	return l
}

// unsaid says that a connection is open and that nothing came on it which nobody
// has read: neither to the machine, nor to TLS, which reads ahead. That would be
// taken for the answer to the next request.
func (l *line) unsaid() bool {
	if !silent(l.tcp) {
		return false
	}
	if l.tls == nil {
		return true
	}
	if err := l.tcp.SetReadDeadline(aLongTimeAgo); err != nil { // the next request sets its own
		return false
	}
	_, err := l.conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// put keeps a connection, or closes it.
func (k *kept) put(at place, l *line) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.lines) >= maxKept || k.lines[at] != nil || keptNow.Load() >= mostKept {
		l.close()
		return
	}
	keptNow.Add(1) // a few more are no harm
	if k.lines == nil {
		k.lines = make(map[place]*line)
	}
	k.lines[at] = l
	if l.until != nil {
		l.until.Reset(keptFor)
		return
	}
	l.until = time.AfterFunc(keptFor, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.lines[at] == l {
			k.forget(at)
			l.close()
		}
	})
}

// forget takes out what is there.
func (k *kept) forget(at place) {
	delete(k.lines, at)
	keptNow.Add(-1)
}

// drop closes what is kept.
func (k *kept) drop() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for at, l := range k.lines {
		l.until.Stop()
		l.close()
		k.forget(at)
	}
}

// Close closes what is kept and keeps nothing any more.
func (k *kept) Close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.drop()
}
