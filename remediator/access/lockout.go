package access

import (
	"container/list"
	"fmt"
	"sync"
	"time"
)

// A LockedError says that too many log-ins failed by this name, or from this
// address, to look at another one now.
type LockedError struct {
	For time.Duration // until the next is looked at
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("too many failed log-ins: try again in %s", roundUp(e.For))
}

func roundUp(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// How many log-ins may fail in a row, and how long one waits then: a second, and
// each time twice as long, up to mostLocked. Many people may share an address.
const (
	freeByName    = 5
	freeByAddress = 20
	mostLocked    = 15 * time.Minute
	// forgiven is how long it takes until one failure is forgotten.
	forgiven = 10 * time.Minute
	// mostCounters bounds the memory of each lockout. Who has more addresses than
	// that isn't held up by counting them.
	mostCounters = 10_000
)

// A lockout counts failed log-ins by a key, and refuses more after too many.
type lockout struct {
	free int

	mu   sync.Mutex
	all  map[string]*list.Element
	last *list.List // of *failures, those that failed last in front
}

type failures struct {
	key   string
	n     int
	at    time.Time // when n was right; later less has to be forgiven
	until time.Time // locked
}

func newLockout(free int) *lockout {
	return &lockout{free: free, all: map[string]*list.Element{}, last: list.New()}
}

// locked is how long the key has to wait; 0: not at all.
func (l *lockout) locked(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wait(key, now)
}

func (l *lockout) wait(key string, now time.Time) time.Duration {
	if e, ok := l.all[key]; ok {
		return max(0, e.Value.(*failures).until.Sub(now))
	}
	return 0
}

// take counts a failure before it is known to be one, so that a thousand tries at
// once aren't all looked at. It counts nothing, and returns how long to wait, when
// the key is locked.
func (l *lockout) take(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.wait(key, now); wait > 0 {
		return wait
	}
	e, ok := l.all[key]
	if !ok {
		if l.last.Len() >= mostCounters {
			oldest := l.last.Back()
			delete(l.all, oldest.Value.(*failures).key)
			l.last.Remove(oldest)
		}
		e = l.last.PushFront(&failures{key: key, at: now})
		l.all[key] = e
	}
	l.last.MoveToFront(e)
	f := e.Value.(*failures)
	if back := now.Sub(f.at) / forgiven; back > 0 {
		f.n, f.at = max(0, f.n-int(back)), f.at.Add(back*forgiven)
	}
	if f.n++; f.n >= l.free {
		f.until = now.Add(min(mostLocked, time.Second<<min(f.n-l.free, 30)))
	}
	return 0
}

// give takes back what take counted: it was no failure.
func (l *lockout) give(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.all[key]
	if !ok {
		return
	}
	f := e.Value.(*failures)
	if f.n--; f.n < l.free {
		f.until = time.Time{}
	}
	if f.n <= 0 {
		l.remove(e)
	}
}

// forget begins anew: somebody knew the password.
func (l *lockout) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.all[key]; ok {
		l.remove(e)
	}
}

func (l *lockout) remove(e *list.Element) {
	delete(l.all, e.Value.(*failures).key)
	l.last.Remove(e)
}
