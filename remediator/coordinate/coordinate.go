// Package coordinate says which of several remediators acts. With one, it does,
// and its journal's file lock keeps a second away ([Local]). With several, a lease
// in etcd is held by one at a time ([Etcd]).
//
// Two things keep two from acting at once (SAFETY.md I16). The leader's writes
// to the journal carry its [Term] as a fence: once another leads, etcd refuses
// them, whatever a slow or stopped process believes. And before a command is
// sent, which no etcd can take back, the sender asks what is left of the lease,
// by its own clock, counted from when the last renewal was sent.
package coordinate

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
)

// A Coordinator tells when this process may act. Use it so:
//
//	c, err := coordinate.Open(config)
//	j, err := c.OpenJournal(path, lockTimeout)
//	go c.Run(ctx) // until after the engine has ended, so that its last step is still fenced
//	for {
//		if term, ok := c.Leading(); ok {
//			// act with j.Under(term) until term.Done(), asking term.Left() before each send
//		}
//		<-c.Changes()
//	}
//
// and at the end j.Close, c.Close.
type Coordinator interface {
	// Run stands for leadership, keeps it, and stands again when it is lost, until
	// ctx ends; then it resigns, so that another leads within milliseconds. What
	// goes wrong meanwhile stands in Status. Run it once.
	Run(ctx context.Context) error

	// Leading returns the term in which this process leads. It asks nobody: it is
	// cheap, and right at the moment of asking.
	Leading() (Term, bool)

	// Changes gets a value soon after leading has begun or ended. It is for one reader.
	Changes() <-chan struct{}

	// Status is for people and metrics.
	Status() Status

	// OpenJournal opens the journal that goes with this kind of coordination: the
	// file at path, or the one in etcd, to which path and lockTimeout mean nothing.
	// Its fence is whatever term this process is in. Errors are those of
	// [journal.Open] and [journal.OpenEtcd].
	OpenJournal(path string, lockTimeout time.Duration) (*journal.Journal, error)

	// Close lets go of connections, after Run has ended and the journal is closed.
	Close() error
}

// A Status says who leads, as far as this process knows.
type Status struct {
	Leased   bool          // leadership is a lease; else there is one process alone
	Leading  bool          // this one leads
	Left     time.Duration // of its lease, when Leased and Leading
	Identity string        // this process, when Leased
	Leader   string        // identity of who leads, as last heard; empty when nobody does, or none is known
	Since    time.Time     // when the leader's term began, by the leader's clock
	Token    int64         // of the leader's term; each later one has a greater
	Problem  string        // why less is known than should be; one line
}

// Forever is what is left of a term that isn't leased.
const Forever = time.Duration(math.MaxInt64)

// A Term is one leadership from beginning to end. The zero Term is that of
// a process which has no others beside it: it never ends.
type Term struct{ t *term }

type term struct {
	key     string
	created int64
	holder  holder
	done    chan struct{}

	mu      sync.Mutex
	renewed time.Time     // when the last renewal that was answered had been sent
	wall    time.Time     // the same, by the clock that can be set
	ttl     time.Duration // that etcd granted then
	over    bool
}

// Left returns what is left of the lease, never less than 0, and whether there is
// one to run out: [Forever] and false without.
//
// A clock that stands still while the machine sleeps, or is set, is no reason to
// believe in more time: of the two clocks the one that says less counts.
func (t Term) Left() (left time.Duration, leased bool) {
	if t.t == nil {
		return Forever, false
	}
	return t.t.left(), true
}

// Covers says whether the lease lasts longer than need: a command's timeout, and a
// margin in which it may still do something after that.
func (t Term) Covers(need time.Duration) bool {
	left, leased := t.Left()
	return !leased || left > need
}

// Done is closed when the term is over. A process that was stopped hears it late:
// ask Left before each send. It is nil, and blocks for ever, when there is no lease.
func (t Term) Done() <-chan struct{} {
	if t.t == nil {
		return nil
	}
	return t.t.done
}

// Token is the fencing token: greater in each later term, whoever leads. Zero
// without a lease.
func (t Term) Token() int64 {
	if t.t == nil {
		return 0
	}
	return t.t.created
}

// Fence is for [journal.Journal.Under].
func (t Term) Fence() (key string, created int64, ok bool) {
	if t.t == nil {
		return "", 0, false // only a journal in etcd asks, and that one has leases
	}
	return t.t.key, t.t.created, t.t.left() > 0
}

func newTerm(key string, created int64, h holder, sent time.Time, ttl time.Duration) *term {
	t := &term{key: key, created: created, holder: h, done: make(chan struct{})}
	t.renew(sent, ttl)
	return t
}

func (t *term) left() time.Duration {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return 0
	}
	return max(0, t.ttl-max(now.Sub(t.renewed), now.Sub(t.wall)))
}

// renew counts the lease from when its renewal was sent.
func (t *term) renew(sent time.Time, ttl time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renewed, t.wall, t.ttl = sent, sent.Round(0), ttl // Round takes the monotonic clock's reading away
}

func (t *term) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		close(t.done)
	}
}

// Local is the coordinator of one process alone: who has the journal's file leads.
type Local struct{}

// Run waits for the end of ctx.
func (Local) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Leading is always so.
func (Local) Leading() (Term, bool) { return Term{}, true }

// Changes never come.
func (Local) Changes() <-chan struct{} { return nil }

// Status says that this process leads.
func (Local) Status() Status { return Status{Leading: true, Left: Forever} }

// OpenJournal opens the file.
func (Local) OpenJournal(path string, lockTimeout time.Duration) (*journal.Journal, error) {
	return journal.Open(path, lockTimeout)
}

// Close does nothing.
func (Local) Close() error { return nil }
