// Package schedule runs probes on time and keeps their verdicts. Overload shows
// as lateness and, in the end, as "unknown"; never as a failure: the number of
// probes under way is bounded, and a probe's time counts from its own start.
package schedule

import (
	"cmp"
	"container/heap"
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// DefaultWorkers is how many probes are under way at most when Options say nothing.
const DefaultWorkers = 64

// history is how many of a target's last results are kept.
const history = 10

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
	// Fingerprint changes when Run would ask something else than before: the
	// verdict then begins anew.
	Fingerprint string
	Run         func(context.Context) probe.Result
}

// A Status is what is known of one check.
type Status struct {
	Key
	Last     *probe.Result // nil before the first
	Up       edge.Answer   // after rise and fall; Unknown until known, and when stale
	Since    time.Time     // when Up became what it is
	Failures map[probe.Reason]uint64
	Runs     uint64
	Late     uint64         // runs that were due and could not begin in their time
	History  []probe.Result // the last ten, oldest first
}

// Options configure a Scheduler.
type Options struct {
	Workers  int                   // zero means DefaultWorkers
	Logger   log.Logger            // verdicts are logged at info; nil logs nothing
	Registry prometheus.Registerer // takes the counter of probes that could not be made; nil: nobody sees it
}

// A Scheduler runs checks until its context ends.
type Scheduler struct {
	workers int
	logger  log.Logger
	wake    chan struct{}
	unmade  *prometheus.CounterVec // by probe

	mu     sync.Mutex
	tasks  map[Key]*task
	under  map[Key]*task // under way, gone or not: a target is never asked twice at once
	queue  queue
	active int
	blind  map[string]int // by probe: tasks whose last run could not be made
}

// A task is one check with its place in time. The scheduler's lock guards it.
type task struct {
	Check
	verdict  Verdict
	due      time.Time
	at       int // place in the queue; -1 while it runs or is gone
	gone     bool
	unmade   bool // the last run could not be made
	last     *probe.Result
	heard    time.Time // when the last result came
	since    time.Time
	failures map[probe.Reason]uint64
	runs     uint64
	late     uint64
	history  []probe.Result
}

// New makes a scheduler without checks.
func New(o Options) *Scheduler {
	s := &Scheduler{
		workers: o.Workers, logger: o.Logger, wake: make(chan struct{}, 1),
		tasks: map[Key]*task{}, under: map[Key]*task{}, blind: map[string]int{},
		unmade: promauto.With(o.Registry).NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_probe_unmade_total",
			Help: "Probes that could not be made, for a reason on our side. They say nothing of the target.",
		}, []string{"probe"}),
	}
	if s.workers <= 0 {
		s.workers = DefaultWorkers
	}
	if s.logger == nil {
		s.logger = log.NewNopLogger()
	}
	return s
}

// Set replaces the checks. One whose key and fingerprint stay keeps its verdict,
// its counters and its place in time; one that is gone vanishes.
func (s *Scheduler) Set(checks []Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	seen := make(map[Key]bool, len(checks))
	for _, c := range checks {
		if seen[c.Key] {
			continue
		}
		seen[c.Key] = true
		t, ok := s.tasks[c.Key]
		if !ok {
			t = &task{failures: map[probe.Reason]uint64{}, since: now, due: now.Add(phase(c.Key, c.Interval)), at: -1}
			s.tasks[c.Key] = t
			if s.under[c.Key] == nil { // else one that was dropped is under way still: its end lets this one in
				heap.Push(&s.queue, t)
			}
			s.unmade.WithLabelValues(c.Probe) // a counter that appears with 1 has no rate
		} else if t.Fingerprint != c.Fingerprint {
			t.verdict, t.last, t.history, t.since = Verdict{}, nil, nil, now
		}
		if ok && t.Interval > c.Interval && t.at >= 0 && t.due.After(now.Add(c.Interval)) {
			t.due = now.Add(phase(c.Key, c.Interval))
			heap.Fix(&s.queue, t.at)
		}
		t.Check = c
		t.verdict.Fall, t.verdict.Rise = max(c.Fall, 1), max(c.Rise, 1)
	}
	for k, t := range s.tasks {
		if !seen[k] {
			s.drop(k, t)
		}
	}
	s.poke()
}

func (s *Scheduler) drop(k Key, t *task) {
	t.gone = true
	s.noteUnmade(t, probe.Result{}, false)
	delete(s.tasks, k)
	if t.at >= 0 {
		heap.Remove(&s.queue, t.at)
	}
}

// phase spreads the first runs over the interval, the same way at every start.
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

func (s *Scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run runs the checks until ctx ends; it returns when the last probe under way
// has ended, which ctx interrupts.
func (s *Scheduler) Run(ctx context.Context) error {
	var under sync.WaitGroup
	defer under.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.begin(ctx, &under))
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// begin starts what is due, as far as workers are free, and says how long to
// wait for the next.
func (s *Scheduler) begin(ctx context.Context, under *sync.WaitGroup) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && s.active < s.workers {
		t := s.queue[0]
		now := time.Now()
		if wait := t.due.Sub(now); wait > 0 {
			return wait
		}
		heap.Pop(&s.queue)
		s.active++
		s.under[t.Key] = t
		under.Go(func() { s.run(ctx, t, now) })
	}
	return time.Hour // a worker that gets free pokes
}

func (s *Scheduler) run(ctx context.Context, t *task, started time.Time) {
	s.mu.Lock()
	c := t.Check
	s.mu.Unlock()
	runCtx, cancel := ctx, context.CancelFunc(func() {})
	if c.Timeout > 0 {
		runCtx, cancel = context.WithTimeout(ctx, c.Timeout)
	}
	r := s.ask(runCtx, c)
	cancel()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	delete(s.under, t.Key)
	defer s.poke()
	if t.gone {
		if again, ok := s.tasks[t.Key]; ok { // it was wanted anew meanwhile, and waited for this end
			heap.Push(&s.queue, again)
		}
		return
	}
	now := time.Now()
	switch {
	case ctx.Err() != nil: // our own end interrupted it
	case r.Reason == probe.Unmade:
		s.unmade.WithLabelValues(t.Probe).Inc()
		s.noteUnmade(t, r, true)
	default:
		s.noteUnmade(t, r, false)
		if t.Fingerprint == c.Fingerprint { // else the question is not asked any more
			s.observe(t, r, now)
		}
	}
	next := t.due.Add(t.Interval)
	if t.verdict.Doubtful() && t.FastRetry > 0 {
		if fast := now.Add(t.FastRetry); fast.Before(next) || next.Before(now) {
			next = fast
		}
	}
	if missed := now.Sub(next); missed > 0 { // turns that passed while it ran or waited are counted, not piled up
		n := missed/max(t.Interval, time.Millisecond) + 1
		t.late += uint64(n) // above zero
		next = next.Add(n * max(t.Interval, time.Millisecond))
	} else if started.Sub(t.due) > t.Interval/2 && t.Interval > 0 {
		t.late++
	}
	t.due = next
	heap.Push(&s.queue, t)
}

func (s *Scheduler) observe(t *task, r probe.Result, now time.Time) {
	if s.stale(t, now) {
		t.verdict.Forget()
	}
	t.runs++
	r = brief(r)
	t.last, t.heard = &r, now
	t.history = append(t.history, r)
	if len(t.history) > history {
		t.history = slices.Delete(t.history, 0, len(t.history)-history)
	}
	if !r.Up {
		t.failures[r.Reason]++
	}
	if t.verdict.Observe(r.Up) {
		t.since = now
		level.Info(s.about("verdict", t.Key)).Log("up", t.verdict.Up(), "reason", r.Reason, "detail", r.Detail)
	}
}

// stale says that the last result is too old to be believed: two intervals and
// a timeout without another.
func (s *Scheduler) stale(t *task, now time.Time) bool {
	return t.last != nil && now.Sub(t.heard) > 2*t.Interval+t.Timeout
}

// Status says what is known of all checks now, ordered by their keys.
func (s *Scheduler) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := make([]Status, 0, len(s.tasks))
	for _, t := range s.tasks {
		st := Status{
			Key: t.Key, Last: t.last, Up: t.verdict.Up(), Since: t.since, Failures: maps.Clone(t.failures),
			Runs: t.runs, Late: t.late, History: slices.Clone(t.history),
		}
		if s.stale(t, now) {
			st.Last, st.Up, st.Since = nil, edge.Unknown, t.heard
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b Status) int { return a.compare(b.Key) })
	return out
}

// A queue orders tasks by when they are due; see [container/heap].
type queue []*task

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is heap's.
func (q *queue) Push(x any) {
	t, _ := x.(*task) // we push nothing else
	t.at = len(*q)
	*q = append(*q, t)
}

// Pop is heap's.
func (q *queue) Pop() any {
	old := *q
	t := old[len(old)-1]
	t.at = -1
	*q = old[:len(old)-1]
	return t
}
