package crash

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// A crash is what the remediator leaves behind when it dies at a failpoint.
type crash struct {
	passing string        // which one, where it isn't the first
	back    bool          // on the way back
	phase   journal.Phase // of the hold, by the journal; empty: no hold
	admin   int           // of the member, by HAProxy
}

var crashes = map[string]crash{
	"hint.saved":            {},
	"claims.read":           {passing: "@2"}, // the first is before anything is claimed
	"take_out.decided":      {},
	"take_out.recorded":     {phase: journal.Intent},
	"take_out.sending":      {phase: journal.Applying},
	"take_out.sent":         {phase: journal.Applying, admin: rig.AdminDrain},
	"take_out.read_back":    {phase: journal.Applying, admin: rig.AdminDrain},
	"take_out.outcome":      {phase: journal.Applied, admin: rig.AdminDrain},
	"release_pending.noted": {back: true, phase: journal.ReleasePending, admin: rig.AdminDrain},
	"give_back.decided":     {back: true, phase: journal.ReleasePending, admin: rig.AdminDrain},
	"give_back.recorded":    {back: true, phase: journal.Reverting, admin: rig.AdminDrain},
	"give_back.sending":     {back: true, phase: journal.Reverting, admin: rig.AdminDrain},
	"give_back.sent":        {back: true, phase: journal.Reverting},
	"give_back.read_back":   {back: true, phase: journal.Reverting},
	"give_back.outcome":     {back: true, phase: journal.Reverted},
}

// Whatever the moment, HAProxy is told twice in all: out and back. The claim is
// not repeated after the crash: it was durable (SAFETY.md I9, I10, I11).
func TestACrashAtEveryFailpointLosesNothing(t *testing.T) {
	for _, name := range remediator.Failpoints {
		if ofAPerson(name) {
			continue // not on the way of a step of ours
		}
		t.Run(name, func(t *testing.T) {
			c, known := crashes[name]
			if !known {
				t.Fatal("a new failpoint: say in the table what is left behind there")
			}
			s := begin(t)
			s.run(name + c.passing)
			s.sicken()
			if c.back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
			}
			s.dies()
			s.left(c.phase, c.admin)

			s.run("")
			if !c.back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.keeps(rig.AdminDrain)
				s.heal()
			}
			s.over(drained, readied)
		})
	}
}

// A second crash, in the midst of clearing up after the first.
func TestACrashWhileAnotherIsClearedUp(t *testing.T) {
	for first, second := range map[string]string{
		"take_out.sent":      "take_out.outcome", // the outcome is found by reading, not by sending
		"take_out.recorded":  "take_out.sent",
		"give_back.recorded": "give_back.sent",
		"give_back.sent":     "give_back.outcome",
	} {
		t.Run(first+" and "+second, func(t *testing.T) {
			s := begin(t)
			s.run(first)
			s.sicken()
			if crashes[first].back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
			}
			s.dies()
			s.run(second)
			s.dies()
			s.left(crashes[second].phase, crashes[second].admin)
			s.run("")
			if !crashes[second].back {
				s.phase(journal.Holding)
				s.heal()
			}
			s.over(drained, readied)
		})
	}
}

// What a person changed while we were dead stays as they left it, and is given
// to them for good when they say so (SAFETY.md I7).
func TestAPersonsChangeWhileWeWereDeadStands(t *testing.T) {
	for _, c := range []struct {
		at    string
		order string
		admin int
	}{
		{"take_out.sent", "maint", rig.AdminMaint},
		{"take_out.sending", "maint", rig.AdminMaint},
		{"take_out.outcome", "ready", rig.AdminReady},
		{"give_back.recorded", "maint", rig.AdminMaint},
		{"give_back.sent", "maint", rig.AdminMaint},
		{"release_pending.noted", "ready", rig.AdminReady},
	} {
		t.Run(fmt.Sprintf("%s, then %s", c.at, c.order), func(t *testing.T) {
			s := begin(t)
			s.run(c.at)
			s.sicken()
			if crashes[c.at].back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
			}
			s.dies()
			before := s.Wire.Orders()
			s.must(s.Order(t.Context(), "set server shop/"+victim+" state "+c.order))
			s.run("")
			h := s.phase(journal.Superseded)
			if h.Superseded == "" {
				t.Errorf("it doesn't say what was found: %+v", h)
			}
			s.keeps(c.admin)
			if !crashes[c.at].back {
				s.heal() // or it would be taken out anew once it is released, and rightly
			}
			s.release()
			s.phase("")
			s.keeps(c.admin)
			if now := s.Wire.Orders(); len(now) != len(before) {
				t.Errorf("orders after a person's: %q", now[len(before):])
			}
		})
	}
}

// release is a person's word that we may let go.
func (s stage) release() {
	s.t.Helper()
	status, answer, err := rig.Do(s.t.Context(), http.MethodPost, s.URL+"/api/v1/holds/edge1/shop/"+victim+"/release", []byte(`{"reason":"test"}`))
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("release: status %d, %v: %s", status, err, answer)
	}
}
