package remediator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// touch changes how a member stands, as anything but a command would.
func (d *device) touch(m edge.Member, f func(*edge.State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.states[m]
	f(&st)
	d.states[m] = st
}

// phases are those that the journal's entries on a member went through.
func (w *world) phases(m edge.Member) (out []string) {
	w.t.Helper()
	entries, err := w.r.journal.Entries(journal.Query{Member: m})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if e.To != "" && e.To != e.From {
			out = append(out, string(e.To))
		}
	}
	return out
}

func wantPhases(t *testing.T, got []string, want string) {
	t.Helper()
	if have := strings.Join(got, " "); have != want {
		t.Errorf("went through\n%s; want\n%s", have, want)
	}
}

// I23: each way through the state machine is in the journal, from the first look.
func TestEveryTransitionIsARecord(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.recover(s1)
		w.wait(time.Minute)
		wantPhases(t, w.phases(s1), "observed pending guarded intent applying applied holding release_pending reverting reverted closed")
	})
}

// I23: what was refused has a record too, which ends with its claim.
func TestARefusalIsARecordThatEndsWithItsClaim(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.alerts.fire(s1) // and it is well
		w.r.Wake()
		w.wait(time.Minute)
		w.restart()
		w.wait(time.Minute)
		wantResults(t, w.results(s1), "evidence/contradicted")
		wantPhases(t, w.phases(s1), "observed pending guarded deferred")
		w.probe.set(s1, edge.No)
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
		w.recover(s1)
		w.wait(time.Minute)
		wantPhases(t, w.phases(s1), "observed pending guarded deferred guarded intent applying applied holding release_pending reverting reverted closed")
	})
}

// I23: a refusal keeps what the guards were told, and it decides the same again.
func TestARefusalCanBeDecidedAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.fail(s2)
		w.wait(time.Second)
		entries, err := w.r.journal.Entries(journal.Query{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range entries {
			if e.World == nil {
				continue
			}
			n++
			var world guard.World
			var d guard.Decision
			if err := json.Unmarshal(e.World, &world); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(e.Decision, &d); err != nil {
				t.Fatal(err)
			}
			if again := string(marshal(guard.Decide(d.Step, world))); again != string(e.Decision) {
				t.Errorf("entry %d: decided\n%s, now\n%s", e.Seq, e.Decision, again)
			}
			if e.Evidence == nil {
				t.Errorf("entry %d has no evidence", e.Seq)
			}
		}
		if n != 2 {
			t.Errorf("%d entries have a world; want the step and the refusal", n)
		}
	})
}

func TestADryRunSaysInHindsightThatItPassedByItself(t *testing.T) {
	inWorld(t, func(c *Config) { c.Mode = DryRun }, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.restart()
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		entries, err := w.r.journal.Entries(journal.Query{Event: "hindsight"})
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries, %v; want one", len(entries), err)
		}
		if e := entries[0]; e.Result != "passed" || e.To != journal.Closed || !strings.Contains(e.Detail, "2m") {
			t.Errorf("%+v", e)
		}
	})
}

func approving(c *Config) { c.Mode = Approve }

// I17
func TestAStepWaitsForAPersonsWord(t *testing.T) {
	inWorld(t, approving, func(w *world) {
		w.fail(s1)
		w.wait(time.Hour)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "approval/awaiting")
		if err := w.r.Answer(t.Context(), s2, true, "ops", ""); err == nil {
			t.Error("a word on a step that nobody asked for was taken")
		}
		if err := w.r.Answer(t.Context(), s1, true, "ops", "go"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		if h := w.hold(s1); h == nil || h.Approved == nil || h.Approved.By != "ops" {
			t.Errorf("the hold doesn't say who approved: %+v", h)
		}
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "") // back without asking
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "") // the word has served
		wantPhases(t, w.phases(s1), "observed pending guarded awaiting_approval guarded intent applying applied holding release_pending reverting reverted closed "+
			"observed pending guarded awaiting_approval")
	})
}

// I17: a word is worth nothing when another guard says no by now, or when it is late.
func TestAnApprovalIsJudgedAgain(t *testing.T) {
	inWorld(t, approving, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.probe.set(s2, edge.No) // another falls, unclaimed
		if err := w.r.Answer(t.Context(), s1, true, "ops", ""); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Minute)
		w.wantWrites(0)
		w.probe.set(s2, edge.Yes)
		w.wait(time.Minute)
		w.wantWrites(0) // it was used up
		wantResults(t, w.results(s1), "approval/awaiting", "min_serving/too_few_left", "approval/awaiting")

		w.freeze()
		if err := w.r.Answer(t.Context(), s1, true, "ops", ""); err == nil {
			w.wait(11 * time.Minute)
			if err := w.r.journal.Thaw("ops"); err != nil {
				t.Fatal(err)
			}
			w.wait(time.Minute)
		}
		w.wantWrites(0)

		if err := w.r.Answer(t.Context(), s1, false, "ops", "wait for the release"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Hour)
		w.wantWrites(0)
		if got := w.results(s1); got[len(got)-1] != "approval/rejected" {
			t.Errorf("%v: the no isn't the last", got)
		}
	})
}

// I4: the alerts of a monitoring outage move nothing, and nothing is caught up
// before the cooldown ends.
func TestManyThatFailAtOnceMoveNothing(t *testing.T) {
	inWorldWith(t, func(w *world) {
		w.device = newDevice(s1, s2, s3, member("s4"), member("s5"), member("s6"))
		w.probe.device = w.device
	}, func(c *Config) { c.Policies[0].MinServing = "1" }, func(w *world) {
		all := []edge.Member{s1, s2, s3, member("s4")}
		for _, m := range all {
			w.probe.set(m, edge.No)
			w.alerts.fire(m)
		}
		w.r.Wake()
		w.wait(time.Minute)
		w.wantWrites(0)
		if w.r.ledger.braking() == "" {
			t.Error("no brake is on")
		}
		for _, m := range all[1:] {
			w.recover(m)
		}
		w.wait(time.Minute)
		w.restart() // the brake outlives it
		w.wait(2 * time.Minute)
		w.wantWrites(0)
		w.wait(5 * time.Minute)
		w.want(s1, "FDRAIN")
		w.wantWrites(1)
	})
}

// I15
func TestAFlapperEndsOut(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for range 60 { // two hours of it
			w.fail(s1)
			w.wait(30 * time.Second)
			w.recover(s1)
			w.wait(90 * time.Second)
		}
		outs := 0
		for _, r := range w.results(s1) {
			if r == "drain applied" {
				outs++
			}
		}
		if outs > 14 {
			t.Errorf("taken out %d times in two hours", outs)
		}
		w.wait(2 * time.Hour)
		w.want(s1, "") // well for long enough, in the end
	})
}

// I3: what was spent before a restart is spent.
func TestABudgetOfStepsOutlivesARestart(t *testing.T) {
	inWorld(t, func(c *Config) { c.Budget.Steps, c.Damping.Off = 2, true }, func(w *world) {
		for range 2 {
			w.fail(s1)
			w.wait(time.Minute)
			w.want(s1, "FDRAIN")
			w.recover(s1)
			w.wait(time.Minute)
			w.want(s1, "")
			w.restart()
		}
		w.fail(s2)
		w.wait(time.Minute)
		w.want(s2, "")
		wantResults(t, w.results(s2), "budget/overall_steps")
		w.wait(time.Hour)
		w.want(s2, "FDRAIN")
	})
}

func TestNothingMovesInMaintenance(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 10, 0, 0, time.UTC) // virtual time begins at midnight
	window := calendar.Window{
		Name: "patches", From: calendar.Instant(begin.Format(time.RFC3339)), To: calendar.Instant(begin.Add(time.Hour).Format(time.RFC3339)),
	}
	inWorld(t, func(c *Config) {
		c.Maintenance = []Maintenance{{Members: Members{Pool: "shop"}, Window: window}}
	}, func(w *world) {
		w.fail(s1)
		w.wait(5 * time.Minute)
		w.want(s1, "FDRAIN")
		w.wait(6 * time.Minute) // the window has begun
		w.recover(s1)
		w.wait(30 * time.Minute)
		w.want(s1, "FDRAIN")
		w.fail(s2)
		w.wait(time.Minute)
		w.want(s2, "")
		w.recover(s2)
		w.wait(time.Hour) // it has ended
		w.want(s1, "")
		if !slices.Contains(w.results(s2), "maintenance/window") {
			t.Errorf("%v", w.results(s2))
		}
	})
}

func TestNothingIsTakenOutOutsideActiveHours(t *testing.T) {
	inWorld(t, func(c *Config) {
		c.Policies[0].ActiveHours = calendar.Hours{{Start: "08:00", End: "18:00"}}
	}, func(w *world) { // midnight
		w.fail(s1)
		w.wait(7 * time.Hour)
		w.want(s1, "")
		w.wait(61 * time.Minute)
		w.want(s1, "FDRAIN")
		w.wait(10 * time.Hour) // evening
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "") // back at any hour
	})
}

// I5: what we hold comes back first when the pool runs short.
func TestInPanicOursComesBackAtOnce(t *testing.T) {
	inWorld(t, func(c *Config) { c.Policies[0].HoldDown = model.Duration(10 * time.Minute) }, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.probe.set(s1, edge.Yes) // well, and its alert still fires
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.device.touch(s2, func(s *edge.State) { s.Serving = false })
		w.wait(10 * time.Second)
		w.want(s1, "")
	})
}

// That another wrote first, or leads by now, is no fault of the journal's.
func TestAJournalThatIsNotWrittenIsCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	r, err := New(Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{journal.ErrConflict, journal.ErrFenced, fmt.Errorf("put: %w", journal.ErrConflict)} {
		r.metrics.journalFailed(err)
	}
	if n := counted(t, reg, "sluice_remediation_journal_errors_total"); n != 0 {
		t.Errorf("%v failures", n)
	}
	r.metrics.journalFailed(journal.ErrUnavailable)
	r.metrics.journalFailed(errGone)
	if n := counted(t, reg, "sluice_remediation_journal_errors_total"); n != 2 {
		t.Errorf("%v failures; want 2", n)
	}
}
