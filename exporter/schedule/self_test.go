package schedule

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// A world has targets that are up, a network that may break, and a self-check.
type world struct {
	network, target, mark atomic.Bool // whether each is well
}

func (w *world) checks(n int) []Check {
	ask := func(up *atomic.Bool) func(context.Context) probe.Result {
		return func(context.Context) probe.Result {
			time.Sleep(2 * time.Millisecond)
			if up.Load() && w.network.Load() {
				return probe.Result{Up: true}
			}
			return probe.Result{Reason: probe.Connect, Detail: "connect: no route"}
		}
	}
	w.network.Store(true)
	w.target.Store(true)
	w.mark.Store(true)
	all := checks(n, time.Second, time.Second, func(int) func(context.Context) probe.Result { return ask(&w.target) })
	for i := range all {
		all[i].FastRetry = 100 * time.Millisecond
	}
	return append(all, Check{
		Key: Key{Probe: "self_check", Target: "mark"}, Interval: time.Second, FastRetry: 100 * time.Millisecond,
		Timeout: time.Second, Fall: 3, Rise: 1, Self: true, Run: ask(&w.mark),
	})
}

// verdicts counts the targets by verdict, without the self-check's.
func verdicts(s *Scheduler) map[edge.Answer]int {
	n := make(map[edge.Answer]int)
	for _, st := range s.Status() {
		if st.Probe != "self_check" {
			n[st.Up]++
		}
	}
	return n
}

func TestOurOwnNetworkTakesNobodyDown(t *testing.T) {
	for phase := range 10 {
		said, reg := new(lines), prometheus.NewPedanticRegistry()
		run(t, Options{Logger: log.NewLogfmtLogger(said), Registry: reg}, func(s *Scheduler) {
			w := new(world)
			s.Set(w.checks(50))
			wait(3*time.Second + time.Duration(phase)*101*time.Millisecond)
			if n := verdicts(s)[edge.Yes]; n != 50 {
				t.Fatalf("%d are up", n)
			}
			w.network.Store(false)
			for range 100 {
				wait(100 * time.Millisecond)
				if n := verdicts(s)[edge.No]; n > 0 {
					t.Fatalf("I6: %d are down", n)
				}
			}
			if n := verdicts(s)[edge.Unknown]; n != 50 {
				t.Errorf("%d are unknown after ten seconds without a network", n)
			}
			if got := figure(t, reg, "sluice_probe_suspended", "connectivity"); got != 1 {
				t.Errorf("sluice_probe_suspended is %v", got)
			}
			if got := figure(t, reg, "sluice_probe_ignored_total", "connectivity"); got < 100 {
				t.Errorf("%v results were ignored", got)
			}
			w.network.Store(true)
			wait(3 * time.Second)
			if n := verdicts(s)[edge.Yes]; n != 50 {
				t.Errorf("%d are up again", n)
			}
			if got := figure(t, reg, "sluice_probe_suspended", "connectivity"); got != 0 {
				t.Errorf("sluice_probe_suspended is %v", got)
			}
		})
		if d := cmp.Diff([]string{
			`level=warn msg="verdicts are suspended: no target of the self-check answers" reason=connectivity`,
			`level=info msg="verdicts are given again" reason=connectivity`,
		}, said.with("verdicts are")); d != "" {
			t.Error(d)
		}
	}
}

// figure is the sum of a metric's values that have a label of this value.
func figure(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range all {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					sum, found = sum+m.GetGauge().GetValue()+m.GetCounter().GetValue(), true
				}
			}
		}
	}
	if !found {
		t.Errorf("no %s with %s", name, label)
	}
	return sum
}

// The self-check costs no time: it is asked at once when a verdict waits for it.
func TestWithASelfCheckADeadTargetIsDownAsSoonAsWithout(t *testing.T) {
	for _, fall := range []int{1, 3} {
		run(t, Options{}, func(s *Scheduler) {
			w := new(world)
			all := w.checks(20)
			for i := range all {
				all[i].Fall = fall
			}
			s.Set(all)
			wait(3 * time.Second)
			w.target.Store(false)
			wait(time.Second + time.Duration(fall-1)*110*time.Millisecond + selfGap + 4*tick)
			if n := verdicts(s)[edge.No]; n != 20 {
				t.Errorf("fall %d: %d are down", fall, n)
			}
		})
	}
}

// Who is down already stays so until that is too old, and becomes neither up nor
// down by what comes while we reach nothing.
func TestWhoIsDownIsForgottenWhileWeReachNothing(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		w := new(world)
		s.Set(w.checks(5))
		wait(3 * time.Second)
		w.target.Store(false)
		wait(3 * time.Second)
		w.network.Store(false)
		wait(time.Second)
		if n := verdicts(s)[edge.No]; n != 5 {
			t.Errorf("%d are down still", n)
		}
		wait(4 * time.Second)
		if n := verdicts(s)[edge.Unknown]; n != 5 {
			t.Errorf("%d are unknown", n)
		}
		w.network.Store(true)
		wait(3 * time.Second)
		if n := verdicts(s)[edge.No]; n != 5 {
			t.Errorf("%d are down again", n)
		}
	})
}

// A self-check that could not be made, or has never answered, is no leave either.
func TestASelfCheckThatCannotBeMadeConfirmsNothing(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		w := new(world)
		all := w.checks(5)
		all[5].Run = func(context.Context) probe.Result { return probe.Result{Reason: probe.Unmade} }
		w.target.Store(false)
		s.Set(all)
		wait(30 * time.Second)
		if n := verdicts(s)[edge.No]; n != 0 {
			t.Errorf("I6: %d are down", n)
		}
	})
}

// A verdict that waits for the self-check doesn't wait for ever when that goes and
// comes again.
func TestAHeldVerdictOutlivesTheSelfCheck(t *testing.T) {
	run(t, Options{}, func(s *Scheduler) {
		w := new(world)
		all := w.checks(5)
		answers := all[5].Run
		all[5].Run = func(context.Context) probe.Result { return probe.Result{Reason: probe.Unmade} }
		w.target.Store(false)
		s.Set(all)
		wait(10 * time.Second)
		if n := verdicts(s)[edge.No]; n != 0 {
			t.Fatalf("%d are down", n)
		}
		s.Set(all[:5])
		all[5].Run, all[5].Fingerprint = answers, "another"
		s.Set(all)
		wait(10 * time.Second)
		if n := verdicts(s)[edge.No]; n != 5 {
			t.Errorf("%d are down", n)
		}
	})
}

// Own lag can't be had in virtual time: it is noted by hand.
func TestBadResultsOfALateProgramCountForNothing(t *testing.T) {
	said, reg := new(lines), prometheus.NewPedanticRegistry()
	run(t, Options{Logger: log.NewLogfmtLogger(said), Registry: reg}, func(s *Scheduler) {
		var good atomic.Bool
		good.Store(true)
		c := check("a", time.Millisecond, &good)
		c.Run = func(context.Context) probe.Result { // what lateness of ours could make
			return probe.Result{Up: good.Load(), Reason: map[bool]probe.Reason{false: probe.Timeout}[good.Load()]}
		}
		s.Set([]Check{c})
		wait(3 * time.Second)
		good.Store(false)
		for range 50 {
			s.mu.Lock()
			s.own.note(s.now(), DefaultMaxLag)
			s.mu.Unlock()
			wait(100 * time.Millisecond)
			if st := up(t, s); st.Up == edge.No || st.Failures != (Failures{}) || st.Known && !st.Last.Up {
				t.Fatalf("I6: %+v", st)
			}
		}
		if got := figure(t, reg, "sluice_probe_suspended", "lag"); got != 1 {
			t.Errorf("sluice_probe_suspended is %v", got)
		}
		if got := figure(t, reg, "sluice_probe_ignored_total", "lag"); got < 4 {
			t.Errorf("%v results were ignored", got)
		}
		wait(lagHold + 3*time.Second)
		if st := up(t, s); st.Up != edge.No {
			t.Errorf("in time again, and it is %s", st.Up)
		}
		if got := figure(t, reg, "sluice_probe_suspended", "lag"); got != 0 {
			t.Errorf("sluice_probe_suspended is %v", got)
		}
	})
	if got := said.with("reason=lag"); len(got) != 2 || !strings.Contains(got[0], "lag=250ms") {
		t.Errorf("said %q", got)
	}
}

// A lag that is no harm to long timeouts is one to short ones.
func TestALagIsMeasuredByTheTimeoutToo(t *testing.T) {
	s := New(Options{})
	s.own.note(10*time.Second, 60*time.Millisecond)
	late := probe.Result{Reason: probe.Timeout}
	for _, c := range []struct {
		name    string
		timeout time.Duration
		began   time.Duration
		result  probe.Result
		want    string
	}{
		{"a fourth of its time", 200 * time.Millisecond, 9900 * time.Millisecond, late, reasonLag},
		{"little of its time", time.Second, 9900 * time.Millisecond, late, ""},
		{"it began later", 200 * time.Millisecond, 10300 * time.Millisecond, late, ""},
		{"a timeout below our own ticks", time.Millisecond, 10300 * time.Millisecond, late, ""},
		{"the server had enough of us", 200 * time.Millisecond, 9900 * time.Millisecond, probe.Result{Reason: probe.Status, HTTP: &probe.HTTPResult{}}, reasonLag},
		{"half of a body", 200 * time.Millisecond, 9900 * time.Millisecond, probe.Result{Reason: probe.Body, HTTP: &probe.HTTPResult{Status: 200}}, reasonLag},
		{"nobody listens, however late we are", 200 * time.Millisecond, 9900 * time.Millisecond, probe.Result{Reason: probe.Connect}, ""},
		{"a wrong status, however late we are", 200 * time.Millisecond, 9900 * time.Millisecond, probe.Result{Reason: probe.Status, HTTP: &probe.HTTPResult{Status: 503}}, ""},
	} {
		if got := s.distrust(&task{Check: Check{Timeout: c.timeout}}, &c.result, c.began, 10400*time.Millisecond); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	s.wakeAt = 11 * time.Second // and has not woken
	if got := s.distrust(&task{}, &late, 11*time.Second, 12*time.Second); got != reasonLag {
		t.Errorf("a loop that is late now: %q", got)
	}
}
