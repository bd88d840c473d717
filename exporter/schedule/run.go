package schedule

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// heartbeat is how often the loop wakes at least while probes are under way, so
// that it sees when it gets no processor.
const heartbeat = 50 * time.Millisecond

// A job is one run of a task, as it was when the run began.
type job struct {
	*task
	key     Key
	run     func(context.Context) probe.Result
	timeout time.Duration
	due     time.Duration
	handed  time.Duration // when it was given out
	epoch   uint32
}

// Run runs the checks until ctx ends; it returns when the last probe under way
// has ended, which ctx interrupts. It is called once.
func (s *Scheduler) Run(ctx context.Context) error {
	var under sync.WaitGroup
	defer under.Wait()
	work := make(chan job) // to goroutines that are left from runs before: their stacks have grown already
	defer close(work)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		until := s.turn()
		for i, j := range s.batch {
			select {
			case work <- j:
			default:
				under.Go(func() { s.serve(ctx, j, work) })
			}
			s.batch[i] = job{} // holds nothing of a task that is gone
		}
		s.batch = s.batch[:0]
		timer.Reset(until - s.now())
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
	}
}

func (s *Scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// turn puts what may begin now into the batch, and says when it wants to be
// called again.
func (s *Scheduler) turn() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.own.note(now, s.overdue(now))
	s.wheel.take(now, func(t *task) { s.gates.lanes[t.lane].ready.push(t) })
	s.gates.age(now, s.own.since(now-lagSpan, now))
	for t := s.gates.next(now); t != nil; t = s.gates.next(now) {
		s.batch = append(s.batch, s.begin(t, now))
	}
	s.self.review(s, now)
	s.wakeAt = s.nextWake(now)
	return s.wakeAt
}

// overdue is how long ago the loop wanted to wake, and hasn't yet.
func (s *Scheduler) overdue(now time.Duration) time.Duration {
	if s.wakeAt == 0 {
		return 0
	}
	return max(now-s.wakeAt, 0)
}

func (s *Scheduler) nextWake(now time.Duration) time.Duration {
	at := now + time.Hour
	if next, ok := s.wheel.next(); ok {
		at = min(at, next)
	}
	if s.gates.under > 0 || s.self.lag {
		at = min(at, now+heartbeat)
	}
	if older, ok := s.gates.wake(); ok {
		at = min(at, max(older, now+tick))
	}
	return max(at, now)
}

func (s *Scheduler) begin(t *task, now time.Duration) job {
	t.under = true
	return job{task: t, key: t.Key, run: t.Run, timeout: t.Timeout, due: t.due, handed: now, epoch: t.epoch}
}

// serve makes one probe after the other, as long as there is one to make.
func (s *Scheduler) serve(ctx context.Context, j job, work <-chan job) {
	for more := true; more; {
		begun := s.now()
		j.figures.lag.Observe(max(begun-j.due, 0).Seconds())
		r := s.ask(ctx, j)
		if j, more = s.finish(ctx, j, begun, r); more {
			continue
		}
		if s.idle.Add(1) <= int32(s.gates.starting) { // far below 2^31
			j, more = <-work
		}
		s.idle.Add(-1)
	}
}

// finish takes a run's result, finds the task its next turn, and returns what
// may begin instead.
func (s *Scheduler) finish(ctx context.Context, j job, begun time.Duration, r probe.Result) (job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, t := s.now(), j.task
	s.gates.done(t)
	t.under = false
	s.own.note(now, s.overdue(now))
	s.own.note(now, begun-j.handed)
	ended := ctx.Err() != nil // then our own end interrupted it
	if t.gone {
		delete(s.tasks, t.Key)
	} else {
		if !ended {
			s.result(t, &j, begun, now, &r)
		}
		s.again(t, &j, begun, now)
	}
	if ended {
		return job{}, false
	}
	if at := s.nextWake(now); at < s.wakeAt {
		defer s.poke()
	}
	if next := s.gates.next(now); next != nil {
		return s.begin(next, now), true
	}
	return job{}, false
}

func (s *Scheduler) result(t *task, j *job, begun, now time.Duration, r *probe.Result) {
	unmade := r.Reason == probe.Unmade && !r.Up
	s.noteUnmade(t, *r, unmade)
	if unmade {
		t.figures.unmade.Inc()
		return
	}
	t.figures.duration.Observe((now - begun).Seconds())
	s.gates.learn(t, now-begun, r.Up, r.Reason == probe.Timeout)
	if t.epoch != j.epoch { // the question is not asked any more
		return
	}
	if !r.Up {
		if why := s.distrust(t, r, begun, now); why != "" {
			t.figures.ignored[why].Inc()
			return
		}
	}
	s.observe(t, begun, now, r)
}

// again finds the next turn of a task whose run has ended. Turns that passed
// meanwhile are counted, not piled up. One that has only just passed is taken
// all the same, or a target that hangs, with a timeout as long as its interval,
// would be asked every second time.
func (s *Scheduler) again(t *task, j *job, begun, now time.Duration) {
	if t.anew {
		t.anew = false
		s.place(t, now)
		return
	}
	next := t.turnAfter(max(j.due, now-t.Interval/10))
	left := t.turns(j.due, next-1)
	waited := min(left, t.turns(j.due, begun))
	if waited > 0 || begun-j.due > t.Interval/2 {
		t.late += 1 + waited
	}
	if left > 0 {
		t.figures.overload.Add(float64(waited))
		t.figures.running.Add(float64(left - waited))
	}
	if t.verdict.Doubtful() && t.FastRetry > 0 {
		next = min(next, now+t.FastRetry)
	}
	if t.Self && len(s.self.held) > 0 {
		next = min(next, max(now, t.began+selfGap))
	}
	t.due = next
	s.place(t, now)
}

func (s *Scheduler) observe(t *task, begun, now time.Duration, r *probe.Result) {
	if t.stale(now) {
		t.verdict.Forget()
	}
	t.runs++
	t.history.add(begun, r.Duration, r)
	t.heard = now
	if r.Up {
		t.held = false
	} else {
		t.failures[reasonIndex(r.Reason)]++
	}
	if !s.hold(t, r, begun, now) {
		s.judge(t, r.Up, r.Reason, r.Detail, now)
	}
	if t.Self {
		s.self.review(s, now)
		if r.Up {
			s.answered(begun, now)
		}
	}
}

func (s *Scheduler) judge(t *task, up bool, reason probe.Reason, detail string, now time.Duration) {
	if t.verdict.Observe(up) {
		t.since = now
		level.Info(s.about("verdict", t.Key)).Log("up", t.verdict.Up(), "reason", reason, "detail", detail)
	}
}

// ask makes one probe. One that panics could not be made: it is our mistake,
// which costs that probe and not the others.
func (s *Scheduler) ask(ctx context.Context, j job) (r probe.Result) {
	if j.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.timeout)
		defer cancel()
	}
	start := time.Now()
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// Only the runtime's own words are known to hold no secret.
		why := fmt.Sprintf("panic with %T", p)
		if err, ok := p.(runtime.Error); ok {
			why = "panic: " + err.Error()
		}
		r = probe.Result{Reason: probe.Unmade, Detail: why, Start: start, Duration: time.Since(start)}
		logger := s.about("probe panicked", j.key)
		level.Error(logger).Log("err", why)
		level.Debug(logger).Log("stack", string(debug.Stack()))
	}()
	return j.run(ctx)
}

// about logs something of one check.
func (s *Scheduler) about(what string, k Key) log.Logger {
	logger := log.With(s.logger, "msg", what, "probe", k.Probe, "target", k.Target)
	if k.Member != (edge.Member{}) {
		logger = log.With(logger, "member", k.Member)
	}
	return logger
}

// noteUnmade remembers whether a task's last run could be made. What keeps one
// from being made mostly keeps all, so that each probe has one line when it
// begins and one when it has ended for all its targets.
func (s *Scheduler) noteUnmade(t *task, r probe.Result, unmade bool) {
	if t.unmade == unmade {
		return
	}
	t.unmade = unmade
	before := s.blind[t.Probe]
	switch {
	case unmade:
		s.blind[t.Probe] = before + 1
		if before == 0 {
			level.Warn(s.about("probes can't be made", t.Key)).Log("err", r.Detail)
		}
	case before == 1:
		delete(s.blind, t.Probe)
		if !t.gone {
			level.Info(s.logger).Log("msg", "probes are made again", "probe", t.Probe)
		}
	default:
		s.blind[t.Probe] = before - 1
	}
}
