package remediator

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
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
