package remediator

import (
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// I14: nothing is given back by itself without rise good answers in a row and
// hold_down after them.
func (s *simRun) i14(c simStep) {
	if !c.hold.Undo && !c.comesIn() || c.byHand() || c.hold.Bypass {
		return
	}
	if someRule(c.policy, func(p *Policy) bool { return p.Confirm == "none" }) {
		return // the device's own check, which the ledger doesn't follow
	}
	down := defaultHoldDown
	for i, p := range c.policy {
		if d := time.Duration(p.HoldDown); i == 0 || d < down {
			down = d
		}
	}
	if s.panics(c) {
		down = 0 // the results count, the wait doesn't (I5)
	}
	atMax := time.Now().After(c.hold.MaxUntil) && someRule(c.policy, func(p *Policy) bool { return p.AtMax == "release" })
	m := c.member()
	for _, k := range s.covering(m) {
		now := c.by.Add(-50 * time.Millisecond) // what is younger was on its way to the keeper still
		why := s.ripe(c, k, down, atMax, now, false)
		switch {
		case why == "":
		case c.d.whole && s.ripe(c, k, down, atMax, c.hold.Deadline.Add(-sendTimeout), false) == "":
			s.violate("I14 queued", "%v: %s", c, why)
		case s.ripe(c, k, down, atMax, now.Add(-30*time.Second), false) == "":
			s.violate("I14 unheard", "%v: %s", c, why)
		case s.ripe(c, k, down, atMax, now, true) == "":
			s.violate("I14 asked beside", "%v: %s", c, why)
		default:
			s.violate("I14", "%v: %s", c, why)
		}
	}
}

// panics says whether fewer of the pool serve, by the device's word, than the
// panic line.
func (s *simRun) panics(c simStep) bool {
	left, base := 0, 0
	for _, x := range c.seen.snap.Pool(c.member().In()) {
		if !x.Backup && !x.Settled {
			base++
		}
		if x.Serving && x.Member != c.member() && !s.onTrial(x.Member) {
			left++
		}
	}
	return someRule(c.policy, func(p *Policy) bool {
		if p.panic.Percent > 0 {
			return left*100 < p.panic.Percent*base || left < 1
		}
		return left < max(p.panic.Count, 1)
	})
}

// ripe says why a check's answers don't yet speak for giving back. Answers that
// are not good count up to a moment; alone leaves out those that came when the
// whole pool was asked.
func (s *simRun) ripe(c simStep, k *simCheck, down time.Duration, atMax bool, bad time.Time, alone bool) string {
	good, since := 0, time.Time{}
	for _, a := range s.ledger.answers[k.name][c.member()] {
		switch {
		case a.life != c.life, a.told.After(c.by), alone && a.answer != edge.Yes && s.askedBeside(c, k, a):
		case a.answer != edge.Yes && s.heardBy(c, a, bad):
			good, since = 0, time.Time{}
		case a.answer == edge.Yes:
			if good++; good == k.rise {
				since = a.told
			}
		}
	}
	switch {
	case atMax && good > 0:
		return ""
	case good < k.rise:
		return fmt.Sprintf("%s found it well %d times in a row, want %d", k.name, good, k.rise)
	case c.sent.Sub(since) < down-time.Second:
		return fmt.Sprintf("by %s it is well for %s, want %s", k.name, c.sent.Sub(since), down)
	}
	return ""
}

// heardBy says that all checks had answered by a moment what was asked with this one:
// the engine hears them together.
func (s *simRun) heardBy(c simStep, a simAnswer, by time.Time) bool {
	for _, k := range s.covering(c.member()) {
		if other, told := s.ledger.at(k.name, c.member(), a.asked, c.life); !told || !other.told.Before(by) {
			return false
		}
	}
	return true
}

// askedBeside says whether others of the pool were asked at the same moment.
func (s *simRun) askedBeside(c simStep, k *simCheck, a simAnswer) bool {
	for _, x := range c.d.in(c.member().Pool) {
		if _, too := s.ledger.at(k.name, x.st.Member, a.asked, c.life); too && x.st.Member != c.member() {
			return true
		}
	}
	return false
}

// judgeHolds looks at the journal between events. The caller holds the lock, and
// the engine's goroutines rest.
func (s *simRun) judgeHolds() {
	holds, err := s.proc.r.journal.Holds()
	if err != nil {
		s.violate("I11", "the holds can't be read: %v", err)
		return
	}
	held := map[edge.Member]bool{}
	for _, h := range holds {
		for _, m := range append([]edge.Member{h.Member}, h.Along...) {
			if d := s.device(m.Device); held[m] && d.whole && len(d.moved(m)) > 1 {
				s.violate("I9 twins", "two holds on %s", m)
			} else if held[m] {
				s.violate("I9", "two holds on %s", m)
			}
			held[m] = true
		}
		s.i13(h)
	}
	s.bypassesAreHeld(held)
	for _, x := range s.members() {
		if x.by == byUs && x.st.Admin != edge.Ready && !held[x.st.Member] {
			id := "I11"
			if x.st.Address != x.left.Address {
				id = "I11 moved"
			}
			s.violate(id, "%s is out by us (hold %s), and the journal doesn't know", x.st.Member, x.hold)
		}
		if x.lowered && !held[x.st.Member] {
			s.violate("I11", "%s has a weight of ours, %d of %d, and the journal doesn't know", x.st.Member, x.st.Share, x.share)
		}
	}
}

// I13: no hold older than its end, and no lease that ran out, without a word;
// from the first look on that could have told.
func (s *simRun) i13(h journal.Hold) {
	switch h.Phase {
	case journal.Holding, journal.ReleasePending, journal.Expiring:
	default:
		return
	}
	const slack = 45 * time.Second // a round with late answers may take so long
	looked, ok := s.ledger.marked(h.Member.Device, time.Now().Add(-slack), s.acting())
	if !ok || time.Since(looked.at) > 2*slack {
		return
	}
	tell := func(format string, args ...any) {
		switch {
		case h.Process != looked.process, h.Reapplied > 0 && h.Since.After(h.MaxUntil):
			s.violate("I13 forgotten", format, args...)
		case h.ReleaseBy != "":
			s.violate("I13 release asked", format, args...)
		default:
			s.violate("I13", format, args...)
		}
	}
	if h.Bypass {
		s.limited(h, looked.at.Add(-slack), tell)
		return
	}
	if looked.at.After(h.MaxUntil.Add(slack)) && h.Paged.Before(h.MaxUntil) {
		tell("the hold on %s has been at its end for %s, and nobody was told", h.Member, time.Since(h.MaxUntil))
	}
	if h.Phase != journal.Holding || !looked.at.After(h.LeaseUntil.Add(slack)) {
		return
	}
	lease := defaultLease // of a hold whose policy is gone
	for i, p := range s.rules(h.Policy, h.Member) {
		if p.Confirm == "none" {
			return
		}
		if d := time.Duration(p.Lease); i == 0 || d > lease {
			lease = d
		}
	}
	for _, k := range s.covering(h.Member) {
		for _, a := range s.ledger.answers[k.name][h.Member] {
			if a.answer != edge.Unknown && time.Since(a.told) < lease+2*slack {
				return
			}
		}
	}
	tell("the lease on %s ran out %s ago, and nobody was told", h.Member, time.Since(h.LeaseUntil))
}
