package schedule

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// With a timeout as long as the interval each run ends just after the next turn.
func TestATargetThatHangsIsAskedAtEveryTurn(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		all := checks(20, time.Second, time.Second, func(int) func(context.Context) probe.Result { return hangs })
		s.Set(all)
		wait(20 * time.Second)
		for _, st := range s.Status() {
			if st.Runs < 17 || st.Up != edge.No {
				t.Errorf("%s: %d runs in 20 turns, and it is %s", st.Target, st.Runs, st.Up)
			}
		}
	})
}

// More targets hang than may be under way at all.
func TestThoseThatHangDontTakeAllPlaces(t *testing.T) {
	run(t, Options{Workers: 40}, func(s *Scheduler) {
		s.Set(checks(200, time.Second, 10*time.Second, func(i int) func(context.Context) probe.Result {
			if i%2 == 0 {
				return hangs
			}
			return func(context.Context) probe.Result {
				time.Sleep(time.Millisecond)
				return probe.Result{Up: true, Duration: time.Millisecond}
			}
		}))
		wait(time.Minute) // by then it is known who hangs
		before := s.Status()
		wait(30 * time.Second)
		for i, st := range s.Status() {
			if i%2 == 1 && (st.Up != edge.Yes || st.Runs-before[i].Runs < 29 || st.Late > before[i].Late) {
				t.Errorf("%s answers, and is %s with %d runs in 30 s, %d of them late", st.Target, st.Up, st.Runs-before[i].Runs, st.Late-before[i].Late)
			}
		}
	})
}

// Who asks something else meanwhile gets no answer to the question before.
func TestAnAnswerToAnotherQuestionCountsForNothing(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		release := make(chan struct{})
		c := check("a", 0, new(atomic.Bool))
		c.Fall, c.Fingerprint = 1, "before"
		c.Run = func(context.Context) probe.Result {
			<-release
			return probe.Result{Reason: probe.Connect}
		}
		s.Set([]Check{c})
		wait(2 * time.Second)
		c.Fingerprint, c.Run = "after", func(context.Context) probe.Result { return probe.Result{Up: true} }
		s.Set([]Check{c})
		close(release)
		wait(10 * time.Millisecond)
		if st := up(t, s); st.Runs != 0 || st.Known || st.Failures != (Failures{}) || st.Up != edge.Unknown {
			t.Errorf("%+v", st)
		}
		wait(2 * time.Second)
		if st := up(t, s); st.Up != edge.Yes || st.Failures != (Failures{}) {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// A program that ends says nothing of targets that it didn't wait for.
func TestTheEndIsNoTrouble(t *testing.T) {
	said := new(lines)
	run(t, Options{Logger: log.NewLogfmtLogger(said)}, func(s *Scheduler) {
		c := check("a", 0, nil)
		c.Timeout = time.Minute
		c.Run = func(ctx context.Context) probe.Result {
			<-ctx.Done()
			return probe.Result{Reason: probe.Unmade, Detail: "interrupted during processing"}
		}
		s.Set([]Check{c})
		wait(2 * time.Second)
	})
	if got := said.with(""); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

func TestNoMoreProbesAtOnceWhileWeAreLate(t *testing.T) {
	full := func(lag time.Duration) int {
		g := gates{workers: 4096, starting: 32, window: 1000}
		for i := range 1200 {
			g.lanes[slow].ready.push(&task{lane: slow})
			if g.next(time.Duration(i)) == nil {
				g.lanes[slow].young.remove(g.lanes[slow].young.head)
				g.next(time.Duration(i))
			}
		}
		for i := range 20 {
			g.age(time.Second+time.Duration(i)*tick, lag)
		}
		return g.window
	}
	if got := full(0); got <= 1000 {
		t.Errorf("in time there may be %d, where more than 1000 are wanted", got)
	}
	if got := full(2 * tooLate); got >= 1000 {
		t.Errorf("late there may be %d", got)
	}
}
