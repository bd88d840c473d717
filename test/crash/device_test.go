package crash

import (
	"fmt"
	"testing"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// HAProxy is restarted in the middle of a step, and has forgotten what it was
// told. What is read decides what became of the step (SAFETY.md I10): the member
// ends where it should all the same.
func TestHAProxyIsRestartedInTheMiddleOfAStep(t *testing.T) {
	for _, c := range []struct {
		at     string
		orders []string
	}{
		{"take_out.recorded", []string{drained, readied}},         // the new process is told
		{"take_out.sent", []string{drained, drained, readied}},    // told, forgotten, told again
		{"take_out.sending", []string{drained, readied}},          // the new process is told
		{"take_out.outcome", []string{drained, drained, readied}}, // applied, by a process that is gone
		{"give_back.sent", []string{drained, readied}},            // as it starts, it is as we wanted it
		{"give_back.sending", []string{drained, readied}},
	} {
		t.Run(c.at, func(t *testing.T) {
			s := begin(t)
			s.run(c.at + ":stop")
			s.sicken()
			if crashes[c.at].back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
			}
			s.stops()
			s.must(s.HAProxy.Kill())
			s.must(s.StartHAProxy(t.Context()))
			s.is(rig.AdminReady)
			s.must(s.Order(t.Context(), fmt.Sprintf("set server shop/%s weight %d", victim, weight)))
			s.must(s.Remediator.Continue())
			if !crashes[c.at].back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.keeps(rig.AdminDrain)
				s.heal()
			}
			s.settles(c.orders...)
		})
	}
}

// HAProxy is gone when the order comes, and stays away for longer than anybody
// waits: the outcome is unknown, is recorded as that, and is read back before
// anything else is done (SAFETY.md I10).
func TestHAProxyIsGoneInTheMiddleOfAStep(t *testing.T) {
	for _, c := range []struct {
		at     string
		orders []string
	}{
		{"take_out.recorded", []string{drained, readied}},
		{"take_out.sent", []string{drained, drained, readied}},
		{"give_back.sent", []string{drained, readied}},
	} {
		t.Run(c.at, func(t *testing.T) {
			s := begin(t)
			s.run(c.at + ":stop")
			s.sicken()
			if crashes[c.at].back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
			}
			s.stops()
			s.must(s.HAProxy.Kill())
			s.must(s.Remediator.Continue())
			s.phase(journal.Indeterminate)
			s.says("indeterminate", "the device can't be read back")
			s.must(s.StartHAProxy(t.Context()))
			s.must(s.Order(t.Context(), fmt.Sprintf("set server shop/%s weight %d", victim, weight)))
			if !crashes[c.at].back {
				s.becomes(rig.AdminDrain)
				s.phase(journal.Holding)
				s.heal()
			}
			s.settles(c.orders...)
		})
	}
}
