// Package schedule runs probes on time and keeps their verdicts. Overload shows
// as lateness and, in the end, as "unknown"; never as a failure: the number of
// probes under way is bounded, a probe's time counts from its own start, and bad
// results that come while the program itself is not well count for nothing.
package schedule

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

const (
	// DefaultMaxLag is above which lag of our own bad results don't count.
	DefaultMaxLag = 250 * time.Millisecond

	mostWorkers     = 4096
	leastWorkers    = 64
	filesPerProbe   = 4 // two connections that race for the first answer, and two questions to the DNS
	defaultStarting = 32
)

// defaultWorkers is as many probes as the limit of open files has room for.
func defaultWorkers() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return leastWorkers
	}
	return int(min(max(files.Cur/filesPerProbe, leastWorkers), mostWorkers)) // at most mostWorkers
}

// A Key is the identity of what one check asks, and of its series.
type Key struct {
	Probe  string
	Target string      // redacted; empty never
	Member edge.Member // zero for a target that is no member
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Probe, o.Probe), k.Member.Compare(o.Member), cmp.Compare(k.Target, o.Target))
}

// A Check is one target of one probe.
type Check struct {
	Key
	Interval  time.Duration // from start to start
	FastRetry time.Duration // from the end of a bad result to the next try, while failing but not yet down
	Timeout   time.Duration // of one run
	Fall      int
	Rise      int
	// Self says that the target is there to tell whether we reach anything at
	// all: no verdict becomes down unless one of these has just answered.
	Self bool
	// Fingerprint changes when Run would ask something else than before: the
	// verdict then begins anew.
	Fingerprint string
	Run         func(context.Context) probe.Result
}

// A Status is what is known of one check.
type Status struct {
	Key
	Known    bool        // there is a last result, and it is no older than may be believed
	Last     Outcome     // when Known
	Up       edge.Answer // after rise and fall; Unknown until known, and when stale
	Since    time.Time   // when Up became what it is
	Failures Failures
	Runs     uint64
	Late     uint64    // turns that began late or were left out for we were too slow
	History  []Outcome // the last ten, oldest first; of [Scheduler.Histories] only
}

// Failures counts bad results by reason.
type Failures [10]uint32

// Of returns how many bad results had a reason.
func (f Failures) Of(r probe.Reason) uint64 { return uint64(f[reasonIndex(r)]) }

// Count adds n for a reason.
func (f *Failures) Count(r probe.Reason, n uint32) { f[reasonIndex(r)] += n }

// Options configure a Scheduler.
type Options struct {
	// Workers is how many probes are under way at most; zero means 4096, or fewer
	// where the limit of open files is low.
	Workers  int
	MaxLag   time.Duration         // zero means DefaultMaxLag
	Logger   log.Logger            // verdicts are logged at info; nil logs nothing
	Registry prometheus.Registerer // takes the metrics of the schedule as a whole; nil: nobody sees them
}

// A Scheduler runs checks until its context ends.
type Scheduler struct {
	logger  log.Logger
	epoch   time.Time // all times below are since then
	wake    chan struct{}
	idle    atomic.Int32 // goroutines that wait for a probe
	figures *figures

	mu     sync.Mutex
	tasks  map[Key]*task
	order  []*task // those that are wanted, by key
	given  []*task // as they stood in the last Set
	set    uint64  // which Set that was
	wheel  wheel
	gates  gates
	wakeAt time.Duration // when the loop wants to wake; zero before its first turn
	maxLag time.Duration
	own    lagRecord
	self   self
	blind  map[string]int // by probe: tasks whose last run could not be made
	batch  []job          // begun, and not handed out; only the loop's
}

// A task is one check with its place in time. The scheduler's lock guards it;
// its key never changes. It is in the wheel, ready, or under way.
type task struct {
	Check
	figures *probeFigures

	in         *list // nil also while it is under way and no longer young
	prev, next *task

	due   time.Duration
	phase time.Duration // turns are at phase + n * interval
	began time.Duration // of the run under way
	lane  uint8

	under  bool          // under way
	gone   bool          // not wanted any more; it vanishes with the end of its run
	anew   bool          // wanted again meanwhile: it begins when that run has ended
	unmade bool          // the last run could not be made
	held   bool          // would be down, and waits for the self-check's word
	epoch  uint32        // changes with the question: an answer to the one before counts for nothing
	heldAt time.Duration // when the run began for which it is held

	set      uint64 // the last Set that had it
	verdict  Verdict
	heard    time.Duration // when the last result came
	since    time.Duration
	failures Failures
	runs     uint64
	late     uint64
	history  history
}

// New makes a scheduler without checks.
func New(o Options) *Scheduler {
	s := &Scheduler{
		logger: o.Logger, epoch: time.Now(), wake: make(chan struct{}, 1),
		tasks: map[Key]*task{}, blind: map[string]int{},
		gates:  gates{workers: o.Workers},
		maxLag: cmp.Or(o.MaxLag, DefaultMaxLag),
	}
	if s.gates.workers <= 0 {
		s.gates.workers = defaultWorkers()
	}
	s.gates.starting = min(s.gates.workers, defaultStarting)
	if s.logger == nil {
		s.logger = log.NewNopLogger()
	}
	s.figures = newFigures(o.Registry, s)
	return s
}

func (s *Scheduler) now() time.Duration { return time.Since(s.epoch) }

// SetMaxLag changes above which lag of our own bad results don't count; zero
// means DefaultMaxLag.
func (s *Scheduler) SetMaxLag(lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxLag = cmp.Or(lag, DefaultMaxLag)
}

// Set replaces the checks. One whose key and fingerprint stay keeps its verdict,
// its counters and its place in time; one that is gone vanishes.
func (s *Scheduler) Set(checks []Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.set++
	given, changed := make([]*task, 0, len(checks)), false
	s.self.tasks = s.self.tasks[:0]
	for i := range checks {
		c := &checks[i]
		t := s.find(i, &c.Key)
		if t != nil && t.set == s.set {
			continue // twice
		}
		switch {
		case t == nil:
			t = &task{figures: s.figures.of(c.Probe), verdict: Verdict{}, since: now}
			t.Key = c.Key
			s.tasks[c.Key] = t
			changed = true
			s.start(t, c, now)
			s.place(t, now)
		case t.gone: // the end of its last run lets it in
			t.begin(now)
			t.gone, t.anew, t.runs, t.late, t.failures = false, true, 0, 0, Failures{}
			changed = true
			s.start(t, c, now)
		default:
			if t.Fingerprint != c.Fingerprint {
				t.begin(now)
			}
			s.change(t, c, now)
		}
		t.set = s.set
		given = append(given, t)
		if t.Self {
			s.self.tasks = append(s.self.tasks, t)
		}
	}
	if dropped := len(s.order) > 0 && s.drop(); dropped || changed {
		s.order = slices.Clone(given)
		slices.SortFunc(s.order, func(a, b *task) int { return a.compare(b.Key) })
	}
	s.given = given
	if len(s.self.tasks) == 0 {
		for _, t := range s.self.held { // their next results decide
			t.held = false
		}
		s.self.held, s.self.any = nil, false
	}
	s.self.review(s, now)
	s.poke()
}

// find looks up a task. Mostly the same checks are given in the same order.
func (s *Scheduler) find(i int, k *Key) *task {
	if i < len(s.given) && !s.given[i].gone && s.given[i].Key == *k {
		return s.given[i]
	}
	return s.tasks[*k]
}

// begin forgets what was known: another question is asked from now on.
func (t *task) begin(now time.Duration) {
	t.epoch++
	t.verdict, t.history, t.since, t.heard = Verdict{}, history{}, now, 0
	t.held = false // its lane changes when its next run has ended
}

// start puts a check into a task that had none.
func (s *Scheduler) start(t *task, c *Check, now time.Duration) {
	t.configure(c)
	t.phase = phase(c.Key, c.Interval)
	t.due = t.turnAfter(now)
	if c.Self {
		t.lane = urgent
	}
}

// change puts a check into a task that has one, and brings its turn forward when
// the interval became shorter.
func (s *Scheduler) change(t *task, c *Check, now time.Duration) {
	sooner, other := c.Interval < t.Interval, c.Interval != t.Interval
	t.configure(c)
	if other {
		t.phase = phase(c.Key, c.Interval)
	}
	if sooner && s.waits(t) && t.due > now+c.Interval {
		s.wheel.remove(t)
		t.due = t.turnAfter(now)
		s.place(t, now)
	}
}

// configure leaves the key alone, which is the same and is read without the lock.
func (t *task) configure(c *Check) {
	t.Interval, t.FastRetry, t.Timeout, t.Self = max(c.Interval, time.Millisecond), c.FastRetry, c.Timeout, c.Self
	t.Fall, t.Rise, t.Fingerprint, t.Run = c.Fall, c.Rise, c.Fingerprint, c.Run
	t.verdict.Fall, t.verdict.Rise = max(c.Fall, 1), max(c.Rise, 1)
}

// waits says that the task is in the wheel.
func (s *Scheduler) waits(t *task) bool {
	return !t.under && t.in != nil && t.in != &s.gates.lanes[t.lane].ready
}

// place puts a task where it waits for its turn.
func (s *Scheduler) place(t *task, now time.Duration) {
	if t.due <= now {
		s.gates.lanes[t.lane].ready.push(t)
		return
	}
	s.wheel.add(t)
}

// drop removes the tasks that the last Set didn't have, and says whether there were any.
func (s *Scheduler) drop() (dropped bool) {
	for _, t := range s.order {
		if t.set == s.set {
			continue
		}
		dropped = true
		t.gone, t.anew, t.held = true, false, false
		s.noteUnmade(t, probe.Result{}, false)
		switch {
		case t.under:
			continue // the end of its run removes it
		case s.waits(t):
			s.wheel.remove(t)
		default:
			t.in.remove(t)
		}
		delete(s.tasks, t.Key)
	}
	return dropped
}

// phase spreads the turns over the interval, the same way at every start.
func phase(k Key, interval time.Duration) time.Duration {
	h := fnv.New64a()
	for _, s := range []string{k.Probe, k.Target, k.Member.String()} {
		_, _ = h.Write([]byte(s + "\x00")) // a hash takes everything
	}
	if interval <= 0 {
		return 0
	}
	return time.Duration(h.Sum64() % uint64(interval)) // below the interval
}

// turnAfter is the first turn after a moment.
func (t *task) turnAfter(at time.Duration) time.Duration {
	if at < t.phase {
		return t.phase
	}
	return t.phase + ((at-t.phase)/t.Interval+1)*t.Interval
}

// turns is how many turns are after from, up to and including to.
func (t *task) turns(from, to time.Duration) uint64 {
	next := t.turnAfter(from)
	if next > to {
		return 0
	}
	return uint64((to-next)/t.Interval) + 1 // above zero
}

// stale says that the last result is too old to be believed: two intervals and
// a timeout without another.
func (t *task) stale(now time.Duration) bool {
	return t.history.n > 0 && now-t.heard > 2*t.Interval+t.Timeout
}

// Status says what is known of all checks now, ordered by their keys, without
// their histories.
func (s *Scheduler) Status() []Status { return s.status(false) }

// Histories is Status with the last results of each check.
func (s *Scheduler) Histories() []Status { return s.status(true) }

func (s *Scheduler) status(histories bool) []Status {
	s.mu.Lock()
	n := len(s.order)
	s.mu.Unlock()
	out := make([]Status, n) // without the lock: it is megabytes
	var kept []history
	s.mu.Lock()
	now := s.now()
	if len(s.order) != n {
		out = make([]Status, len(s.order))
	}
	for i, t := range s.order {
		st := &out[i]
		st.Key, st.Failures, st.Runs, st.Late = t.Key, t.failures, t.runs, t.late
		if histories {
			kept = append(kept, t.history.clone())
		}
		if t.stale(now) {
			st.Since = s.epoch.Add(t.heard)
			continue
		}
		st.Up, st.Since = t.verdict.Up(), s.epoch.Add(t.since)
		if st.Known = t.history.n > 0; st.Known {
			st.Last = t.history.ago(0, s.epoch)
		}
	}
	s.mu.Unlock()
	for i := range kept {
		out[i].History = kept[i].outcomes(s.epoch)
	}
	return out
}
