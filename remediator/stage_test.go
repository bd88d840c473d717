package remediator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

func (w *world) wantSent(want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.device.writes()); d != "" {
		w.t.Errorf("the device got other commands (-want +got):\n%s", d)
	}
}

// weighed gives all members a configured weight of 100.
func weighed(w *world) {
	for _, m := range []edge.Member{s1, s2, s3} {
		w.device.touch(m, func(s *edge.State) { s.Share, s.Weight = 100, 100 })
	}
}

func drainFirst(c *Config) {
	c.Policies[0].To, c.Policies[0].DrainWait = "maint", model.Duration(2*time.Minute)
}

func TestSessionsMayEndBeforeMaint(t *testing.T) {
	inWorldWith(t, func(w *world) {
		w.device.touch(s1, func(s *edge.State) { s.Sessions = 5 })
	}, drainFirst, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.restart() // the wait is no matter of one process
		w.wait(30 * time.Second)
		w.want(s1, "FDRAIN")
		w.device.touch(s1, func(s *edge.State) { s.Sessions = 0 })
		w.wait(5 * time.Second)
		w.want(s1, "FMAINT")
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		w.wantSent("s1 drain", "s1 maint", "s1 ready")
		wantPhases(t, w.phases(s1), "observed pending guarded intent applying applied holding intent applying applied holding release_pending reverting reverted closed")
	})
}

func TestSessionsThatDoNotEndGetSoLongAndNoLonger(t *testing.T) {
	inWorldWith(t, func(w *world) {
		w.device.touch(s1, func(s *edge.State) { s.Sessions = 5 })
	}, drainFirst, func(w *world) {
		w.fail(s1)
		w.wait(115 * time.Second)
		w.want(s1, "FDRAIN")
		w.wait(10 * time.Second)
		w.want(s1, "FMAINT")
	})
}

// What follows goes to maint with it, so its sessions are waited for, too.
func TestI13SessionsOfWhatFollowsMayEndBeforeMaint(t *testing.T) {
	inWorldWith(t, func(w *world) {
		twoPools(w)
		w.device.touch(other("t1"), func(s *edge.State) { s.Sessions = 5 })
	}, func(c *Config) {
		drainFirst(c)
		bothPools(c)
	}, func(w *world) {
		w.again(func(o *Options) { o.Checks = []Check{anywhere{w.probe}} }, nil)
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.device.touch(other("t1"), func(s *edge.State) { s.Sessions = 0 })
		w.wait(5 * time.Second)
		w.want(s1, "FMAINT")
	})
}

func TestAMemberThatIsWellAgainWhileItDrainsComesBackFromThere(t *testing.T) {
	inWorldWith(t, func(w *world) {
		w.device.touch(s1, func(s *edge.State) { s.Sessions = 5 })
	}, drainFirst, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(30 * time.Second)
		w.wantSent("s1 drain", "s1 ready")
	})
}

func bySteps(c *Config) {
	c.Policies[0].Release = &Release{Weights: []string{"10%", "50%"}, Watch: model.Duration(time.Minute)}
}

// I8: the weight that a member had is the weight that it gets back.
func TestAMemberComesBackBySteps(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.restart()
		w.wait(55 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10", "s1 ready 50")
		w.wait(2 * time.Minute)
		w.wantSent("s1 drain", "s1 ready 10", "s1 ready 50", "s1 ready 100")
		if h := w.hold(s1); h != nil {
			t.Errorf("a hold is left: %+v", h)
		}
		w.wait(time.Hour)
		w.wantWrites(4)
	})
}

func TestAMemberThatFailsAgainOnItsWayBackGoesOutAgain(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(30 * time.Second)
		w.probe.set(s1, edge.No)
		w.wait(5 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100")
		if h := w.hold(s1); h == nil || h.Relapses != 1 || h.Stage != "" {
			t.Fatalf("%+v", h)
		}
		w.probe.set(s1, edge.Yes)
		w.wait(10 * time.Minute)
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100", "s1 ready 10", "s1 ready 50", "s1 ready 100")
	})
}

func TestADeviceThatTakesNoWeightsGetsTheMemberBackAtOnce(t *testing.T) {
	inWorldWith(t, func(w *world) { weighed(w); w.device.static = true }, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		w.wantSent("s1 drain", "s1 ready 10", "s1 ready")
	})
}

func TestAWeightOfOneCanNotBeLowered(t *testing.T) {
	inWorld(t, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(time.Minute)
		w.wantSent("s1 drain", "s1 ready")
	})
}

// I7: a person who changes the weight on the way back has taken it over.
func TestAWeightThatAPersonSetOnTheWayBackIsLeftAlone(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.device.touch(s1, func(s *edge.State) { s.Share = 30 })
		w.wait(10 * time.Minute)
		w.wantSent("s1 drain", "s1 ready 10")
		if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
			t.Errorf("%+v", h)
		}
	})
}

// I19: a freeze stops the steps between out and in too.
func TestAFreezeStopsFurtherSteps(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.freeze()
		w.wait(time.Hour)
		w.wantSent("s1 drain", "s1 ready 10")
		if err := w.r.Release(t.Context(), s1, "ops", "now"); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10", "s1 ready 100")
	})
}

// s1Fails is how many of a hundred answers are 5xx.
func s1Fails(m edge.Member) int {
	if m == s1 {
		return 30
	}
	return 1
}

// serve counts answers of all members each second, until the world ends.
func (w *world) serve(bad func(m edge.Member) int) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			w.device.mu.Lock()
			for m, st := range w.device.states {
				if st.Serving {
					st.Answers += 100
					st.Errors += uint64(bad(m))
					st.Chosen += 100
				}
				w.device.states[m] = st
			}
			w.device.mu.Unlock()
		}
	}()
	return func() { close(done); <-ended }
}

func byTraffic(c *Config) {
	c.Policies[0].Confirm = "traffic"
	c.Policies[0].HoldDown = model.Duration(time.Minute)
}

func TestErrorsThatOnlyTrafficShows(t *testing.T) {
	inWorldWith(t, weighed, byTraffic, func(w *world) {
		bad := 30
		defer w.serve(func(m edge.Member) int {
			if m == s1 {
				return bad
			}
			return 1
		})()
		w.alerts.fire(s1) // every probe finds it well
		w.r.Wake()
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
		w.alerts.resolve(s1) // without traffic there are no errors
		w.wait(40 * time.Second)
		w.want(s1, "FDRAIN")
		w.wait(25 * time.Second) // tried after a minute, and no better
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100")
		bad = 1
		w.wait(100 * time.Second)
		w.want(s1, "FDRAIN") // twice as long
		w.wait(25 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100", "s1 ready 10")
		w.wait(time.Minute)
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100", "s1 ready 10", "s1 ready 100")
		if h := w.hold(s1); h != nil {
			t.Errorf("a hold is left: %+v", h)
		}
	})
}

func TestTrafficThatIsBadEverywhereIsNoMembersFault(t *testing.T) {
	inWorldWith(t, weighed, byTraffic, func(w *world) {
		defer w.serve(func(edge.Member) int { return 30 })()
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(10 * time.Minute)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "evidence/unknown", "evidence/contradicted")
	})
}

// effects lists what the journal says of what steps did.
func (w *world) effects() (out []string) {
	w.t.Helper()
	entries, err := w.r.journal.Entries(journal.Query{Event: eventEffect})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Result)
	}
	return out
}

// I20: a step that changes nothing for those who use the pool is no success,
// and after two of them a person has to look.
func TestTwoStepsWithoutEffectStop(t *testing.T) {
	inWorldWith(t, weighed, func(c *Config) { c.Damping.Off = true }, func(w *world) {
		stop := w.serve(func(edge.Member) int { return 1 })
		defer func() { stop() }()
		w.wait(2 * time.Minute)
		sticky := make(chan struct{})
		go func() { // picks it although it is out
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-sticky:
					return
				case <-tick.C:
					w.device.touch(s1, func(s *edge.State) { s.Chosen += 10 })
				}
			}
		}()
		for range 2 {
			w.fail(s1)
			w.wait(time.Minute)
			w.recover(s1)
			w.wait(time.Minute)
		}
		if d := cmp.Diff([]string{ineffective, ineffective}, w.effects()); d != "" {
			t.Errorf("effects (-want +got):\n%s", d)
		}
		w.restart() // it is remembered
		w.fail(s2)
		w.wait(time.Minute)
		w.want(s2, "")
		wantResults(t, w.results(s2), "damping/ineffective")
		close(sticky)
		if n := w.r.ledger.ineffective()[s1.In()]; n != 2 {
			t.Errorf("%d in a row; want 2", n)
		}
	})
}

func TestAnEffectIsMeasuredByTraffic(t *testing.T) {
	inWorldWith(t, weighed, nil, func(w *world) {
		defer w.serve(func(m edge.Member) int {
			if m == s1 {
				return 50
			}
			return 1
		})()
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(2 * time.Minute) // well by its probe: nothing is done, and all is counted
		w.probe.set(s1, edge.No)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		if d := cmp.Diff([]string{effective}, w.effects()); d != "" {
			t.Errorf("effects (-want +got):\n%s", d)
		}
		entries, err := w.r.journal.Entries(journal.Query{Event: eventEffect})
		if err != nil || !strings.Contains(entries[0].Detail, "1.0% of the pool's answers are 5xx, it was 17") {
			t.Errorf("%+v, %v", entries, err)
		}
	})
}

// I10: an order that is cut off between its weight and its state is half done, by
// us: it is tried again, and nobody is taken to have changed anything.
func TestHalfAnOrderIsOurs(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.device.mu.Lock()
		w.device.halved = true
		w.device.mu.Unlock()
		w.recover(s1)
		w.wait(5 * time.Minute)
		w.want(s1, "")
		w.device.mu.Lock()
		if st := w.device.states[s1]; st.Share != 100 {
			t.Errorf("weight %d; want the 100 that it had", st.Share)
		}
		w.device.mu.Unlock()
		if h := w.hold(s1); h != nil {
			t.Errorf("a hold is left: %+v", h)
		}
	})
}

// I7
func TestAWeightThatAPersonSetWhileItIsOutIsLeftAlone(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.device.touch(s1, func(s *edge.State) { s.Share = 40 })
		w.recover(s1)
		w.wait(5 * time.Minute)
		w.wantSent("s1 drain", "s1 ready")
	})
}

func TestATrialOfWhichNothingIsHeardHasAnEnd(t *testing.T) {
	inWorldWith(t, weighed, byTraffic, func(w *world) {
		stop := w.serve(s1Fails)
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
		stop() // night
		w.alerts.resolve(s1)
		w.wait(2 * time.Minute)
		w.wantSent("s1 drain", "s1 ready 10")
		w.wait(10 * time.Minute)
		w.wantSent("s1 drain", "s1 ready 10", "s1 ready 100")
	})
}

func TestAMemberThatIsClaimedAgainWhileItIsTriedGoesOut(t *testing.T) {
	inWorldWith(t, weighed, byTraffic, func(w *world) {
		stop := w.serve(s1Fails)
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(10 * time.Second)
		stop() // it is dead by now: no answers at all
		w.alerts.resolve(s1)
		w.wait(65 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(5 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100")
	})
}

// I20: what a member was picked for while it was tried says nothing of the step
// that takes it out again.
func TestAnEffectIsOfTheLastTimeOut(t *testing.T) {
	inWorldWith(t, weighed, func(c *Config) {
		bySteps(c)
		c.Policies[0].HoldDown = model.Duration(2 * time.Second)
	}, func(w *world) {
		defer w.serve(func(edge.Member) int { return 1 })()
		w.fail(s1)
		w.wait(5 * time.Second)
		w.recover(s1)
		w.wait(10 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10") // before the effect of the first step was judged
		w.probe.set(s1, edge.No)
		w.wait(time.Minute)
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100")
		for _, result := range w.effects() {
			if result == ineffective {
				t.Errorf("effects: %v", w.effects())
			}
		}
		if len(w.effects()) == 0 {
			t.Error("no effect was judged")
		}
	})
}

// Below approve nothing is written, not even a further step on what is held.
func TestAModeThatWasLoweredStopsFurtherSteps(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		then   func(*world)
		sent   []string
	}{
		"between two weights": {bySteps, func(w *world) { w.recover(s1); w.wait(20 * time.Second) }, []string{"s1 drain", "s1 ready 10"}},
		"before maint":        {drainFirst, func(*world) {}, []string{"s1 drain"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, func(w *world) {
				weighed(w)
				w.device.touch(s1, func(s *edge.State) { s.Sessions = 5 })
			}, c.change, func(w *world) {
				w.fail(s1)
				w.wait(10 * time.Second)
				c.then(w)
				w.wantSent(c.sent...)
				next := *w.cfg
				next.Policies = append([]Policy(nil), w.cfg.Policies...)
				next.Policies[0].Mode = DryRun
				if err := w.r.Apply(Options{Config: &next, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}); err != nil {
					t.Fatal(err)
				}
				w.wait(time.Hour)
				w.wantSent(c.sent...)
			})
		})
	}
}
