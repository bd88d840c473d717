package schedule

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// A processor does so much at once, and the rest waits: what a probe's time is
// spent on when there is too little of it.
type processor chan struct{}

// answer is a healthy target's: it takes its share of the processor, and a
// probe whose time is over before sees a target that hangs.
func (p processor) answer(takes time.Duration) func(context.Context) probe.Result {
	return func(ctx context.Context) probe.Result {
		start := time.Now()
		select {
		case p <- struct{}{}:
		case <-ctx.Done():
			return probe.Result{Reason: probe.Timeout, Start: start, Duration: time.Since(start)}
		}
		time.Sleep(takes)
		<-p
		return probe.Result{Up: true, Start: start, Duration: time.Since(start)}
	}
}

func hangs(ctx context.Context) probe.Result {
	start := time.Now()
	<-ctx.Done()
	return probe.Result{Reason: probe.Timeout, Start: start, Duration: time.Since(start)}
}

func checks(n int, interval, timeout time.Duration, run func(i int) func(context.Context) probe.Result) []Check {
	all := make([]Check, n)
	for i := range all {
		all[i] = Check{
			Key: Key{Probe: "shop", Target: fmt.Sprintf("t%05d", i)}, Interval: interval, Timeout: timeout,
			FastRetry: min(time.Second, interval), Fall: 3, Rise: 2, Run: run(i),
		}
	}
	return all
}

// Three times what the machine can do, from the first moment on, and later what
// it can do: no result is ever bad, and all is known again soon.
func TestAProcessorThatIsTooSlowTakesNobodyDown(t *testing.T) {
	run(t, Options{Workers: 4096}, func(s *Scheduler) {
		machine := make(processor, 2)
		var takes atomic.Int64
		takes.Store(int64(2 * time.Millisecond)) // a thousand a second
		s.Set(checks(3000, time.Second, time.Second, func(int) func(context.Context) probe.Result {
			return func(ctx context.Context) probe.Result { return machine.answer(time.Duration(takes.Load()))(ctx) }
		}))
		most, late := 0, uint64(0)
		for range 30 {
			wait(time.Second)
			s.mu.Lock()
			most = max(most, s.gates.under)
			s.mu.Unlock()
		}
		for _, st := range s.Status() {
			if st.Failures != (Failures{}) || st.Up == edge.No {
				t.Fatalf("I6: overload looks like failure: %+v", st)
			}
			late += st.Late
		}
		if late == 0 {
			t.Error("nothing was late")
		}
		if most > 750 {
			t.Errorf("up to %d were under way: they wait most of their time for each other", most)
		}
		takes.Store(int64(time.Millisecond / 4))
		wait(3 * time.Second)
		for _, st := range s.Status() {
			if st.Up != edge.Yes || st.Failures != (Failures{}) {
				t.Fatalf("it is not well again: %+v", st)
			}
		}
	})
}

// A machine that was fast enough becomes too slow.
func TestAProcessorThatBecomesTooSlowTakesNobodyDown(t *testing.T) {
	run(t, Options{Workers: 4096}, func(s *Scheduler) {
		machine := make(processor, 2)
		var takes atomic.Int64
		takes.Store(int64(time.Millisecond / 4))
		s.Set(checks(3000, time.Second, time.Second, func(int) func(context.Context) probe.Result {
			return func(ctx context.Context) probe.Result { return machine.answer(time.Duration(takes.Load()))(ctx) }
		}))
		for i := range 20 {
			wait(time.Second)
			if i%10 == 4 {
				takes.Store(int64(2 * time.Millisecond))
			}
			if i%10 == 9 {
				takes.Store(int64(time.Millisecond / 4))
			}
		}
		for _, st := range s.Status() {
			if st.Failures != (Failures{}) {
				t.Fatalf("I6: overload looks like failure: %+v", st)
			}
		}
	})
}

// Every fifth of 10,000 targets begins to hang: all of them become down, the
// others are asked on, and what is under way stays bounded.
func TestTargetsThatHangKeepNobodyWaiting(t *testing.T) {
	run(t, Options{Workers: 4096}, func(s *Scheduler) {
		var ill atomic.Bool
		all := checks(10_000, 5*time.Second, 5*time.Second, func(i int) func(context.Context) probe.Result {
			return func(ctx context.Context) probe.Result {
				if i%5 == 0 && ill.Load() {
					return hangs(ctx)
				}
				time.Sleep(time.Millisecond)
				return probe.Result{Up: true, Duration: time.Millisecond}
			}
		})
		s.Set(all)
		wait(10 * time.Second)
		ill.Store(true)
		most := 0
		for range 40 {
			wait(time.Second)
			s.mu.Lock()
			most = max(most, s.gates.under)
			s.mu.Unlock()
			for i, st := range s.Status() {
				if i%5 != 0 && (st.Up != edge.Yes || st.Failures != (Failures{})) {
					t.Fatalf("a healthy one is not up any more: %+v", st)
				}
			}
		}
		late := uint64(0)
		for i, st := range s.Status() {
			switch {
			case i%5 == 0 && st.Up != edge.No:
				t.Fatalf("one that hangs is not down: %+v", st)
			case i%5 != 0:
				late += st.Late
			}
		}
		if late > 0 {
			t.Errorf("healthy ones were late %d times", late)
		}
		if most > 2100 {
			t.Errorf("%d were under way", most)
		}
	})
}

// Targets that are far away need many probes at once, and get them: that answers
// take a good part of their time is no overload.
func TestTargetsThatAreFarAwayAreAskedInTime(t *testing.T) {
	for _, c := range []struct {
		targets int
		takes   time.Duration
	}{
		{5000, 200 * time.Millisecond},
		{5000, 400 * time.Millisecond},
		{200, 700 * time.Millisecond},
	} {
		run(t, Options{Workers: 4096}, func(s *Scheduler) {
			s.Set(checks(c.targets, time.Second, time.Second, func(int) func(context.Context) probe.Result {
				return func(context.Context) probe.Result {
					time.Sleep(c.takes)
					return probe.Result{Up: true, Duration: c.takes}
				}
			}))
			wait(20 * time.Second)
			before := uint64(0)
			for _, st := range s.Status() {
				before += st.Runs
			}
			wait(5 * time.Second)
			after := uint64(0)
			for _, st := range s.Status() {
				after += st.Runs
				if st.Up != edge.Yes {
					t.Fatalf("%d that take %s: it is not up: %+v", c.targets, c.takes, st)
				}
			}
			if got, want := after-before, uint64(c.targets*5); got < want*98/100 {
				t.Errorf("%d that take %s: %d runs in five seconds, want %d", c.targets, c.takes, got, want)
			}
		})
	}
}

// Whatever was late, left out or retried: turns stay at their target's own place
// in the interval, and no target is asked twice at once.
func TestTurnsKeepTheirPlace(t *testing.T) {
	run(t, Options{Workers: 4}, func(s *Scheduler) {
		var stuck atomic.Bool
		var bad atomic.Bool
		began := make([][]time.Duration, 20)
		under := make([]atomic.Int32, 20)
		all := checks(20, time.Second, 0, func(i int) func(context.Context) probe.Result {
			return func(context.Context) probe.Result {
				if under[i].Add(1) > 1 {
					t.Error("asked twice at once")
				}
				defer under[i].Add(-1)
				began[i] = append(began[i], s.now())
				if stuck.Load() {
					time.Sleep(700 * time.Millisecond)
				}
				if bad.Load() {
					return probe.Result{Reason: probe.Connect}
				}
				return probe.Result{Up: true}
			}
		})
		s.Set(all)
		wait(5 * time.Second)
		stuck.Store(true)
		for range 20 { // overload, and the same checks again and again
			wait(500 * time.Millisecond)
			s.Set(all)
		}
		bad.Store(true)
		wait(5 * time.Second)
		stuck.Store(false)
		wait(5 * time.Second)
		bad.Store(false)
		wait(10 * time.Second)
		from := s.now()
		wait(5 * time.Second)
		for i, c := range all {
			n := 0
			for _, at := range began[i] {
				if at < from {
					continue
				}
				n++
				if off := (at - phase(c.Key, c.Interval)) % c.Interval; off > tick {
					t.Errorf("target %d is asked %s beside its place", i, off)
				}
			}
			if n < 4 || n > 6 {
				t.Errorf("target %d was asked %d times in five seconds", i, n)
			}
		}
	})
}

// Checks come and go while they run, wait and hang: nothing is left of them.
func TestNothingIsLeftOfChecksThatAreGone(t *testing.T) {
	run(t, Options{Workers: 50}, func(s *Scheduler) {
		all := checks(300, 200*time.Millisecond, 150*time.Millisecond, func(i int) func(context.Context) probe.Result {
			if i%3 == 0 {
				return hangs
			}
			return func(context.Context) probe.Result {
				time.Sleep(time.Duration(i) * time.Millisecond)
				return probe.Result{Up: i%7 != 0, Reason: map[bool]probe.Reason{true: probe.Connect}[i%7 == 0]}
			}
		})
		for i := range all[:3] {
			all[i].Self = true
			all[i].Probe = "self_check"
		}
		for round := range 100 {
			from := round * 37 % len(all)
			s.Set(all[from:min(from+100, len(all))])
			wait(time.Duration(round%9) * 30 * time.Millisecond)
		}
		s.Set(nil)
		wait(2 * time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.tasks) > 0 || len(s.order) > 0 || len(s.given) > 0 || s.wheel.n > 0 || s.gates.under > 0 || s.gates.ready() > 0 || len(s.batch) > 0 {
			t.Errorf("left: %d tasks, %d in the wheel, %d under way, %d ready, %d begun", len(s.tasks), s.wheel.n, s.gates.under, s.gates.ready(), len(s.batch))
		}
		for i := range s.gates.lanes {
			if l := &s.gates.lanes[i]; l.under != 0 || l.young.n != 0 || l.ready.head != nil || l.young.head != nil {
				t.Errorf("lane %d has %d under way and %d young", i, l.under, l.young.n)
			}
		}
		if n := len(s.self.held) + len(s.self.tasks); n > 0 {
			t.Errorf("%d are held still", n)
		}
	})
}
