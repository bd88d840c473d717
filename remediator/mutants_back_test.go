package remediator

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestI6AMemberOnItsWayBackThatNobodyCanSeeStaysAsItIs(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.probe.set(s1, edge.Unknown) // our prober can't reach anything
		w.wait(time.Hour)
		w.wantSent("s1 drain", "s1 ready 10")
	})
}

func TestI6AClaimAloneTakesNothingOutOnItsWayBack(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10")
		w.probe.set(s1, edge.Unknown) // our prober can't reach anything
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(time.Minute)
		w.wantSent("s1 drain", "s1 ready 10")
	})
}

func TestI15AMemberThatOnlyTheDeviceFindsBadDoesNotSwing(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Second)
		w.device.touch(s1, func(s *edge.State) { s.Check = edge.No })
		w.wait(8 * time.Second) // less than hold_down
		w.wantSent("s1 drain", "s1 ready 10", "s1 drain 100")
		w.wait(10 * time.Minute)
		t.Log(w.device.writes())
	})
}

func TestI15AFurtherStepIsNoSecondTimeOutAfterARestart(t *testing.T) {
	inWorldWith(t, func(w *world) {
		w.device.touch(s1, func(s *edge.State) { s.Sessions = 5 })
	}, drainFirst, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.device.touch(s1, func(s *edge.State) { s.Sessions = 0 })
		w.wait(5 * time.Second)
		w.want(s1, "FMAINT")
		count := func() int {
			w.r.ledger.mu.Lock()
			defer w.r.ledger.mu.Unlock()
			return len(w.r.ledger.outs[s1])
		}
		before := count()
		w.restart()
		w.wait(time.Second)
		if after := count(); after != before {
			t.Errorf("taken out %d times, and %d after a restart", before, after)
		}
	})
}

// I3, I18: a journal that can't be read at the start is no empty one.
func TestWhatCanNotBeReadAtTheStartIsNotTakenForNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		j, err := journal.Open(t.TempDir()+"/other.db", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := newLedger().load(&Remediator{journal: j}, w.cfg); err == nil {
			t.Error("a closed journal was read")
		}
	})
}

// I14: an answer that comes late, and is older than a bad one, proves nothing.
func TestI14AnOlderGoodAnswerDoesNotOutlastANewerBadOne(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		k := newKeeper(w.r, w.r.set, "edge1", w.device)
		c := new(course)
		k.courses[s1] = c
		now := time.Now()
		c.take(guard.Evidence{Answer: edge.No, At: now}, 1)
		if k.hear(result{s1, guard.Evidence{Answer: edge.Yes, At: now.Add(-time.Second)}}) || !c.goodSince.IsZero() {
			t.Errorf("it counts as well since %s", c.goodSince)
		}
		if !k.hear(result{s1, guard.Evidence{Answer: edge.Yes, At: now.Add(time.Second)}}) || c.goodSince.IsZero() {
			t.Error("a newer good answer counts for nothing")
		}
	})
}

// I14: what waits for the end of the round isn't given back when it has failed
// since; a person's order goes, and at the end of a hold a good result is enough.
func TestI14AWayBackThatWasOvertakenIsNotGone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		k := newKeeper(w.r, w.r.set, "edge1", w.device)
		back := func(change func(*act)) *act {
			a := &act{hold: &journal.Hold{Member: s1, Undo: true}}
			change(a)
			return a
		}
		for name, c := range map[string]struct {
			good bool
			own  edge.Answer
			a    *act
			want bool
		}{
			"failed since":             {false, edge.No, back(func(*act) {}), true},
			"unknown since":            {false, edge.Unknown, back(func(*act) {}), true},
			"well, and not for long":   {false, edge.Yes, back(func(*act) {}), true},
			"well":                     {true, edge.Yes, back(func(*act) {}), false},
			"by hand":                  {false, edge.No, back(func(a *act) { a.byHand = true }), false},
			"at its end and well":      {false, edge.Yes, back(func(a *act) { a.atMax = true }), false},
			"at its end and bad":       {false, edge.No, back(func(a *act) { a.atMax = true }), true},
			"a way out, not back":      {false, edge.No, back(func(a *act) { a.hold.Undo = false }), false},
			"a bypass, judged by pool": {false, edge.No, back(func(a *act) { a.hold.Bypass = true }), false},
		} {
			k.courses[s1], k.own[s1] = new(course), guard.Evidence{Answer: c.own}
			if c.good {
				k.courses[s1].goodSince = time.Now()
			}
			if got := k.overtaken(c.a); got != c.want {
				t.Errorf("%s: overtaken %v; want %v", name, got, c.want)
			}
		}
	})
}

// I14
func TestI14NothingThatWasOvertakenIsSentAtTheEndOfARound(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "DOWN")
		h := *w.hold(s1)
		h.Phase = journal.ReleasePending
		if err := w.r.journal.Put(&h, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
		snap, err := w.device.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k := newKeeper(w.r, w.r.set, "edge1", w.device)
		k.courses[s1], k.own[s1] = new(course), guard.Evidence{Answer: edge.No}
		h.Phase, h.Undo = journal.Reverting, true
		k.queue[s1.In()] = []*act{{hold: &h, snap: snap, entry: journal.Entry{Event: "intent"}}}
		k.flush(t.Context(), edge.Pool{})
		w.want(s1, "DOWN")
		wantOrders(t, w, 1)
	})
}

// slowly is a check on another pool that takes its time.
type slowly struct{ *probe }

func (slowly) Name() string              { return "slow" }
func (slowly) Covers(m edge.Member) bool { return m.Pool == "slow" }

func (slowly) Ask(context.Context, edge.State) guard.Evidence {
	time.Sleep(12 * time.Second) // virtual
	return guard.Evidence{Source: "probe:slow", Answer: edge.Yes, At: time.Now()}
}

// I17, I25: the order of one pool doesn't grow too old over questions to the next,
// round after round.
func TestI17AnOrderDoesNotWaitForOtherPools(t *testing.T) {
	slow := edge.Member{Device: "edge1", Pool: "slow", Name: "s9"}
	inWorldWith(t, func(w *world) {
		whole(w)
		w.device.states[slow] = edge.State{Member: slow, Address: "192.0.2.9:80", Serving: true, Weight: 1}
	}, func(c *Config) { c.Policies[0].Members.Pool = "shop|slow" }, func(w *world) {
		w.again(func(o *Options) { o.Checks = append(o.Checks, slowly{w.probe}) }, nil)
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		w.alerts.fire(slow)
		w.r.Wake()
		w.wait(time.Minute)
		w.want(s1, "DOWN")
		wantOrders(t, w, 1)
	})
}
