package schedule

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// run runs a scheduler in virtual time and ends it with the test.
func run(t *testing.T, o Options, f func(*Scheduler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(o)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		defer func() { // also after a Fatal: nothing may be left in the bubble
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		f(s)
	})
}

func wait(d time.Duration) {
	time.Sleep(d) // virtual
	synctest.Wait()
}

// check is one that takes a while and answers what good says.
func check(name string, takes time.Duration, good *atomic.Bool) Check {
	return Check{
		Key:      Key{Probe: "shop", Target: name},
		Interval: time.Second, FastRetry: 250 * time.Millisecond, Timeout: 300 * time.Millisecond, Fall: 3, Rise: 2,
		Run: func(ctx context.Context) probe.Result {
			r := probe.Result{Start: time.Now(), Up: good.Load()}
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				r.Up, r.Reason = false, probe.Timeout
			}
			if !r.Up && r.Reason == "" {
				r.Reason = probe.Connect
			}
			return r
		},
	}
}

func up(t *testing.T, s *Scheduler) Status {
	t.Helper()
	st := s.Status()
	if len(st) != 1 {
		t.Fatalf("%d checks", len(st))
	}
	return st[0]
}

func TestAVerdictComesWithinOneIntervalAndTheFastRetries(t *testing.T) {
	for phase := range 10 {
		run(t, Options{}, func(s *Scheduler) {
			var good atomic.Bool
			good.Store(true)
			s.Set([]Check{check("a", time.Millisecond, &good)})
			wait(5*time.Second + time.Duration(phase)*97*time.Millisecond)
			if up(t, s).Up != edge.Yes {
				t.Fatal("not up")
			}
			good.Store(false)
			begun := time.Now()
			for up(t, s).Up == edge.Yes {
				wait(time.Millisecond)
			}
			if took := time.Since(begun); took > time.Second+2*250*time.Millisecond+4*tick {
				t.Errorf("down after %s", took)
			}
			good.Store(true)
			wait(1100 * time.Millisecond)
			if up(t, s).Up != edge.No {
				t.Error("up again before two good results")
			}
			wait(time.Second)
			if up(t, s).Up != edge.Yes {
				t.Error("not up again after two")
			}
		})
	}
}

func TestOverloadIsLatenessAndNeverFailure(t *testing.T) {
	run(t, Options{Workers: 2}, func(s *Scheduler) {
		var good atomic.Bool
		good.Store(true)
		var checks []Check
		for i := range 40 { // 40 runs of 200 ms by two workers take four seconds; each is wanted every second
			checks = append(checks, check(fmt.Sprint(i), 200*time.Millisecond, &good))
		}
		s.Set(checks)
		wait(time.Minute)
		late := uint64(0)
		for _, st := range s.Status() {
			if st.Failures != (Failures{}) || st.Up == edge.No {
				t.Errorf("%s failed: %+v", st.Target, st)
			}
			late += st.Late
		}
		if late == 0 {
			t.Error("nothing was late")
		}
	})
}

func TestAtMostSoManyAtOnceAndOneForATarget(t *testing.T) {
	run(t, Options{Workers: 3}, func(s *Scheduler) {
		var all atomic.Int32
		var checks []Check
		for i := range 10 {
			var own atomic.Int32
			c := check(fmt.Sprint(i), 0, new(atomic.Bool))
			c.Run = func(context.Context) probe.Result {
				if all.Add(1) > 3 || own.Add(1) > 1 {
					t.Error("too many at once")
				}
				time.Sleep(2 * time.Second)
				all.Add(-1)
				own.Add(-1)
				return probe.Result{Up: true}
			}
			checks = append(checks, c)
		}
		s.Set(checks)
		wait(time.Minute)
	})
}

func TestWhatIsStaleIsUnknown(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		var good atomic.Bool
		good.Store(true)
		c := check("a", 0, &good)
		answer := c.Run
		var stuck atomic.Bool
		c.Run = func(ctx context.Context) probe.Result {
			if stuck.Load() {
				time.Sleep(time.Minute)
			}
			return answer(ctx)
		}
		s.Set([]Check{c})
		wait(3 * time.Second)
		stuck.Store(true)
		wait(10 * time.Second)
		if st := up(t, s); st.Up != edge.Unknown || st.Known {
			t.Errorf("I6: after ten seconds without a result it is %s, %v", st.Up, st.Last)
		}
	})
}

func TestNewSettingsKeepWhatIsKnown(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		var good atomic.Bool
		good.Store(true)
		a, b := check("a", 0, &good), check("b", 0, &good)
		s.Set([]Check{a, b})
		wait(3 * time.Second)
		b.Fingerprint = "another question"
		s.Set([]Check{a, b})
		st := s.Status()
		if st[0].Up != edge.Yes || st[0].Runs == 0 {
			t.Errorf("an unchanged check lost what is known: %+v", st[0])
		}
		if st[1].Up != edge.Unknown || st[1].Known {
			t.Errorf("another question has an answer already: %+v", st[1])
		}
		s.Set([]Check{a})
		if st := s.Status(); len(st) != 1 || st[0].Target != "a" {
			t.Errorf("what is gone is still there: %+v", st)
		}
		wait(3 * time.Second)
	})
}

func TestStartsAreSpreadOverTheInterval(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		var good atomic.Bool
		good.Store(true)
		var checks []Check
		for i := range 100 {
			checks = append(checks, check(fmt.Sprint(i), 0, &good))
		}
		s.Set(checks)
		for quarter := range 4 {
			wait(250 * time.Millisecond)
			runs := 0
			for _, st := range s.Status() {
				runs += int(st.Runs)
			}
			if runs < 10*(quarter+1) {
				t.Errorf("after %d quarters only %d of 100 have begun", quarter+1, runs)
			}
		}
	})
}

func TestTheVerdictNeverFlipsEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Verdict{Fall: rapid.IntRange(1, 5).Draw(t, "fall"), Rise: rapid.IntRange(1, 5).Draw(t, "rise")}
		bad, good := 0, 0 // in a row
		for _, ok := range rapid.SliceOf(rapid.Bool()).Draw(t, "results") {
			if ok {
				bad, good = 0, good+1
			} else {
				bad, good = bad+1, 0
			}
			was := v.Up()
			if changed := v.Observe(ok); changed != (was != v.Up()) {
				t.Fatal("what it says of a change isn't so")
			}
			switch {
			case was != edge.No && v.Up() == edge.No && bad < v.Fall:
				t.Fatalf("down after %d bad results, want %d", bad, v.Fall)
			case was == edge.No && v.Up() == edge.Yes && good < v.Rise:
				t.Fatalf("up after %d good results, want %d", good, v.Rise)
			case was != edge.No && v.Up() != edge.No && bad >= v.Fall:
				t.Fatalf("not down after %d bad results", bad)
			case was == edge.No && v.Up() == edge.No && good >= v.Rise:
				t.Fatalf("not up after %d good results", good)
			}
		}
	})
}
