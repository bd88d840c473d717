package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// lines keeps what is logged.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) with(part string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.all.String()) {
		if strings.Contains(line, part) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestACheckThatIsWantedAnewWaitsForItsOwnLastRun(t *testing.T) {
	run(t, Options{Workers: 4}, func(s *Scheduler) {
		var under, most, runs atomic.Int32
		c := check("a", 0, new(atomic.Bool))
		c.Run = func(context.Context) probe.Result {
			runs.Add(1)
			if n := under.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(10 * time.Second) // whatever its context says
			under.Add(-1)
			return probe.Result{Up: true}
		}
		s.Set([]Check{c})
		wait(time.Second)
		if runs.Load() != 1 {
			t.Fatalf("%d runs, want one under way", runs.Load())
		}
		for range 3 {
			s.Set(nil)
			s.Set([]Check{c})
			wait(2 * time.Second)
		}
		if runs.Load() != 1 {
			t.Errorf("%d runs while the first is under way", runs.Load())
		}
		s.Set(nil)
		wait(20 * time.Second)
		if runs.Load() != 1 {
			t.Errorf("%d runs of a check that is gone", runs.Load())
		}
		s.Set([]Check{c})
		s.Set(nil)
		s.Set([]Check{c})
		wait(30 * time.Second)
		if st := up(t, s); st.Runs < 2 || most.Load() != 1 {
			t.Errorf("%d runs since, and %d ran at once", st.Runs, most.Load())
		}
		wait(10 * time.Second)
	})
}

func TestAWaitingCheckRunsWhenTheOneBeforeEnds(t *testing.T) {
	run(t, Options{Workers: 4}, func(s *Scheduler) {
		first := make(chan struct{})
		var runs atomic.Int32
		c := check("a", 0, new(atomic.Bool))
		c.Run = func(context.Context) probe.Result {
			if runs.Add(1) == 1 {
				<-first
			}
			return probe.Result{Up: true}
		}
		s.Set([]Check{c})
		wait(3 * time.Second)
		s.Set(nil)
		s.Set([]Check{c})
		wait(3 * time.Second)
		close(first)
		wait(2 * time.Second)
		if st := up(t, s); st.Runs < 2 || st.Up != edge.Yes {
			t.Errorf("%d runs of the new one, and it is %s", st.Runs, st.Up)
		}
	})
}

// A dead target whose results come so seldom that each is stale before the next.
func TestUnderLastingOverloadADeadTargetIsDown(t *testing.T) {
	run(t, Options{Workers: 1}, func(s *Scheduler) {
		good := new(atomic.Bool)
		good.Store(true)
		all := []Check{check("0 dead", time.Millisecond, new(atomic.Bool))}
		for i := range 9 {
			c := check(string(rune('1'+i)), 0, good)
			c.Run = func(context.Context) probe.Result {
				time.Sleep(time.Second)
				return probe.Result{Up: true}
			}
			all = append(all, c)
		}
		s.Set(all)
		down, stale := false, false
		for range 200 {
			wait(500 * time.Millisecond)
			switch st := s.Status()[0]; {
			case st.Up == edge.Yes:
				t.Fatal("it is up")
			case st.Up == edge.No && st.Failures.Of(probe.Connect) < 3:
				t.Fatalf("down after %d bad results", st.Failures.Of(probe.Connect))
			case st.Up == edge.No:
				down = true
			case st.Runs > 0 && !st.Known:
				stale = true
			}
		}
		if !stale {
			t.Error("there was no overload: nothing was stale")
		}
		if !down {
			t.Error("it was never down")
		}
		for _, st := range s.Status()[1:] {
			if st.Up == edge.No {
				t.Errorf("%s is down, and was only late", st.Target)
			}
		}
	})
}

func TestWhatIsForgottenNeedsOneMoreBadResult(t *testing.T) {
	for _, c := range []struct {
		name    string
		results string // + good, - bad, ? forgotten
		want    edge.Answer
	}{
		{"two of three, forgotten, and the third", "+--?-", edge.No},
		{"down, forgotten", "---?", edge.Unknown},
		{"down, forgotten, and one more", "---?-", edge.No},
		{"a good one in between", "+--?+--", edge.Yes},
		{"down, a good one, forgotten", "---+?--", edge.Unknown},
		{"forgotten again and again", "-?-?-", edge.No},
		{"up, forgotten, good", "+?+", edge.Yes},
	} {
		v := Verdict{Fall: 3, Rise: 2}
		for _, r := range c.results {
			if r == '?' {
				v.Forget()
				continue
			}
			v.Observe(r == '+')
		}
		if v.Up() != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.Up(), c.want)
		}
	}
}

func TestAPanicCostsOneProbe(t *testing.T) {
	said := new(lines)
	reg := prometheus.NewPedanticRegistry()
	o := Options{Registry: reg, Logger: level.NewFilter(log.NewLogfmtLogger(said), level.AllowDebug())}
	run(t, o, func(s *Scheduler) {
		good := new(atomic.Bool)
		good.Store(true)
		bad, secret := check("bad", 0, good), check("secret", 0, good)
		bad.Run = func(context.Context) probe.Result {
			none := strings.Fields("")
			return probe.Result{Up: none[0] == ""} // out of range
		}
		secret.Run = func(context.Context) probe.Result { panic(errors.New("token=not-a-real-token")) }
		s.Set([]Check{bad, secret, check("well", 0, good)})
		wait(3 * time.Second)
		st := s.Status()
		if st[0].Up != edge.Unknown || st[0].Runs != 0 || st[1].Up != edge.Unknown || st[0].Failures != (Failures{}) || st[2].Up != edge.Yes {
			t.Errorf("%+v", st)
		}
	})
	if n := counted(t, reg); n != 6 {
		t.Errorf("%v were counted, want 6", n)
	}
	want := `level=error msg="probe panicked" probe=shop target=bad err="panic: runtime error: index out of range [0] with length 0"`
	if got := said.with(`level=error msg="probe panicked" probe=shop target=bad`); len(got) != 3 || got[0] != want {
		t.Errorf("said %q", got)
	}
	if got := said.with("level=debug"); len(got) != 6 || !strings.Contains(got[0], "schedule.TestAPanicCostsOneProbe") {
		t.Errorf("the stack: %q", got)
	}
	if got := said.with("not-a-real"); len(got) != 0 {
		t.Errorf("a panic's own words were logged: %q", got)
	}
}

func counted(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(all).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	for _, f := range all {
		if f.GetName() == "sluice_probe_unmade_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("sluice_probe_unmade_total isn't there")
	return 0
}

func TestProbesThatCannotBeMadeAreCountedAndSaidOnce(t *testing.T) {
	said := new(lines)
	reg := prometheus.NewPedanticRegistry()
	run(t, Options{Registry: reg, Logger: log.NewLogfmtLogger(said)}, func(s *Scheduler) {
		var broken atomic.Bool
		one := func(name string) Check {
			c := check(name, 0, nil)
			c.Run = func(context.Context) probe.Result {
				if broken.Load() {
					return probe.Result{Reason: probe.Unmade, Detail: "connect: too many open files"}
				}
				return probe.Result{Up: true}
			}
			return c
		}
		a, b := one("a"), one("b")
		s.Set([]Check{a, b})
		if n := counted(t, reg); n != 0 {
			t.Errorf("it begins with %v", n)
		}
		wait(3 * time.Second)
		broken.Store(true)
		wait(4 * time.Second)
		if n := counted(t, reg); n != 8 {
			t.Errorf("%v were counted, want 8", n)
		}
		if st := s.Status()[0]; st.Up != edge.Unknown || st.Failures != (Failures{}) {
			t.Errorf("I6: it is %+v", st)
		}
		s.Set([]Check{a})
		broken.Store(false)
		wait(2 * time.Second)
	})
	got := said.with("made")
	if len(got) == 2 {
		got[0] = strings.NewReplacer("target=a", "target=*", "target=b", "target=*").Replace(got[0])
	}
	if d := cmp.Diff([]string{
		`level=warn msg="probes can't be made" probe=shop target=* err="connect: too many open files"`,
		`level=info msg="probes are made again" probe=shop`,
	}, got); d != "" {
		t.Error(d)
	}
}

func TestKeptResultsAreSmall(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		c := check("a", 0, nil)
		long := strings.Repeat("x", 1<<20)
		c.Run = func(context.Context) probe.Result {
			return probe.Result{Reason: probe.Body, Detail: long, Body: []byte(long)}
		}
		s.Set([]Check{c})
		wait(20 * time.Second)
		st := s.Histories()
		if len(st[0].History) != kept {
			t.Fatalf("%d results are kept", len(st[0].History))
		}
		for _, o := range append(st[0].History, st[0].Last) {
			if o.Up || o.Reason != probe.Body || len(o.Detail) != detailKept {
				t.Errorf("it is kept as %v, %s, with %d bytes", o.Up, o.Reason, len(o.Detail))
			}
		}
		if s.Status()[0].History != nil {
			t.Error("who doesn't ask for the history gets it")
		}
	})
}

func TestThereIsRoomForEveryReason(t *testing.T) {
	var f Failures
	for i, r := range probe.Reasons {
		f.Count(r, uint32(i)+1)
	}
	for i, r := range probe.Reasons {
		if got := f.Of(r); got != uint64(i)+1 {
			t.Errorf("%s: %d", r, got)
		}
	}
}

// A hundred probes begin at once and a hundred end; goroutines are used again
// and don't grow in number.
func TestFewGoroutinesServeManyTargets(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		var good atomic.Bool
		good.Store(true)
		var all []Check
		for i := range 1000 {
			all = append(all, check(fmt.Sprint(i), time.Millisecond, &good))
		}
		before := runtime.NumGoroutine()
		s.Set(all)
		wait(10 * time.Second)
		if n := runtime.NumGoroutine() - before; n > 2*defaultStarting {
			t.Errorf("%d goroutines more", n)
		}
	})
}
