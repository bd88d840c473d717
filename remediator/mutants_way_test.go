package remediator

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// A device that takes the state and not the weight has not done what was asked:
// nobody goes on from there as if it had (I10, I20).
func TestI20AWeightThatWasNotTakenIsNoStepOnTheWayBack(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.again(func(o *Options) {
			o.Devices["edge1"] = watched{device: w.device, after: func(edge.Order) {
				w.device.touch(s1, func(s *edge.State) { s.Share = 100 })
			}}
		}, nil)
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		if h := w.hold(s1); h != nil && h.Stage == stageProbation {
			t.Errorf("%+v: it goes on from a weight that was never there", h)
		}
	})
}

// What was held for max_hold isn't taken out again under the old hold (I13).
func TestI13WhatADeviceForgotAfterTheHardEndIsANewHold(t *testing.T) {
	inWorld(t, func(c *Config) {
		p := &c.Policies[0]
		p.Lease, p.MaxHold = model.Duration(10*time.Minute), model.Duration(20*time.Minute)
	}, func(w *world) {
		w.fail(s1)
		w.wait(25 * time.Minute)
		w.want(s1, "FDRAIN")
		w.device.restart()
		w.wait(time.Minute)
		if h := w.hold(s1); h == nil || h.Reapplied != 0 || !h.MaxUntil.After(time.Now()) {
			t.Errorf("%+v; want a hold with an end of its own", h)
		}
	})
}

// A mode that became careful takes nothing out again (I7: a person said so).
func TestI7ACarefulModeTakesNothingOutAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.cfg.Mode, w.cfg.Policies[0].Mode = DryRun, DryRun
		w.restart()
		w.wait(time.Second)
		w.device.restart()
		w.wait(time.Minute)
		w.want(s1, "")
		w.wantWrites(1)
	})
}

// A device that restarts while a member is on its way back has it in, as it is
// configured: nothing of ours is left there (I17).
func TestI17ARestartEndsTheWayBack(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.device.restart()
		w.device.touch(s1, func(s *edge.State) { s.Share = 100 })
		w.wait(10 * time.Minute)
		w.wantSent("s1 drain", "s1 ready 10")
		if h := w.hold(s1); h != nil {
			t.Errorf("the hold stands: %+v", h)
		}
	})
}

// I8: a state file keeps the weight that the device had, which is ours to take back.
func TestI8ARestartThatKeepsAWeightOfOursDoesNotEndTheWayBack(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.device.restart()
		w.device.touch(s1, func(s *edge.State) { s.Share = 10 })
		w.wait(10 * time.Minute)
		snap, err := w.device.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st := snap.States[s1]; st.Share != 100 {
			t.Errorf("it has weight %d for good, had 100; sent %v", st.Share, w.device.writes())
		}
		if h := w.hold(s1); h != nil {
			t.Errorf("the hold stands: %+v", h)
		}
	})
}

// What a pool in panic needs comes back whole (I5).
func TestI5APoolInPanicGetsTheWholeMember(t *testing.T) {
	inWorldWith(t, weighed, func(c *Config) {
		bySteps(c)
		c.Policies[0].HoldDown = model.Duration(10 * time.Minute)
	}, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(time.Minute)
		w.device.touch(s2, func(s *edge.State) { s.Serving = false })
		w.wait(10 * time.Second)
		w.wantSent("s1 drain", "s1 ready")
	})
}

// An intent is committed under a lead alone (I16).
func TestI16WhoLostTheLeadCommitsNoIntent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := newOffice(true)
		w.again(func(opts *Options) { opts.Coordinator = o }, nil)
		o.turn(false) // and nobody has noticed yet
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "leader/standby")
		if got := w.phases(s1); slices.Contains(got, "intent") {
			t.Errorf("went through %v", got)
		}
	})
}

// What was counted in another life of the device, or before its counters were
// cleared, is no evidence (I6).
func TestI6CountersThatBeganAnewSayNothing(t *testing.T) {
	start := time.Now()
	look := func(process string, after time.Duration, answers, errors uint64) edge.Snapshot {
		return edge.Snapshot{Process: process, At: start.Add(after), States: map[edge.Member]edge.State{
			s1: {Member: s1, Answers: answers, Errors: errors},
			s2: {Member: s2, Answers: answers},
		}}
	}
	rules := &Traffic{Share: 10, Ratio: 3, Requests: 50}
	for _, c := range []struct {
		name string
		then edge.Snapshot
		want edge.Answer
	}{
		{"they went on", look("a", 10*time.Second, 300, 200), edge.No},
		{"another life", look("b", 10*time.Second, 300, 200), edge.Unknown},
		{"cleared", look("a", 10*time.Second, 60, 60), edge.Unknown},
		{"errors cleared", look("a", 10*time.Second, 300, 0), edge.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := new(flow)
			f.see(look("a", 0, 100, 10))
			f.see(c.then)
			if e := f.evidence(rules, s1, start, c.then.At); e.Answer != c.want {
				t.Errorf("%+v; want %s", e, c.want)
			}
		})
	}
}

// What the device's own check finds bad goes out again, whatever our probe says (I20).
func TestI20TheDevicesOwnCheckIsHeardOnTheWayBack(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.device.touch(s1, func(s *edge.State) { s.Check = edge.No })
		w.wait(5 * time.Second)
		if got := w.device.writes(); len(got) < 3 || got[2] != "s1 drain 100" {
			t.Errorf("the device got %q", got)
		}
	})
}

// A journal that somebody took away leaves what was ours to nobody: the audit
// stream still knows, and people are told (I26).
func TestI26WhatWasOursIsToldWhenTheJournalIsGone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
		w.stream()
		w.stop()
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		w.start()
		ours := w.wereOurs()
		if len(ours) != 2 || ours[1].Member == nil || *ours[1].Member != s1 {
			t.Errorf("%+v; want a word on s1", ours)
		}
		w.restart() // and once
		if again := w.wereOurs(); len(again) != len(ours) {
			t.Errorf("%d entries after a restart, there were %d", len(again), len(ours))
		}
	})
}
