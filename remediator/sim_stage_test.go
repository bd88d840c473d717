package remediator

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// bySteps draws how a policy's steps are taken apart: a drain before maint, and a way
// back by weights. A device that knows in and out only does all of it at once.
func (s *simRun) bySteps(p *Policy, d *simDevice) {
	if p.To == "maint" && s.oneIn(2) {
		p.DrainWait = s.duration(5*time.Second, 40*time.Second)
	}
	if s.oneIn(3) || d.whole && !s.oneIn(4) {
		return
	}
	p.Release = &Release{
		Weights: simPick(s.rng, [][]string{{"10%"}, {"50%"}, {"10%", "50%"}, {"20%", "50%", "80%"}}),
		Watch:   s.duration(3*time.Second, 20*time.Second),
	}
}

// weigh gives a member the weight that a change names, and notes whose it is.
func (d *simDevice) weigh(change edge.Change) {
	x := d.members[change.Member]
	h, err := d.s.proc.r.journal.Hold(change.Member)
	if x == nil || err != nil || change.Share == 0 {
		return
	}
	x.st.Share, x.st.Weight = change.Share, change.Share
	x.lowered, x.weighed = change.Share != h.Preimage.Share, false
	x.hold, x.left.Share, x.leftIn = h.ID, change.Share, d.life
}

// tried says that a member is in again by us, with a weight of ours.
func (x *simMember) tried() bool {
	return x.lowered && x.hold != "" && x.by == byUs && x.st.Admin == edge.Ready
}

// onTrial says that a member is in with little weight, or moved along with one that is:
// it isn't counted on.
func (s *simRun) onTrial(m edge.Member) bool {
	holds, err := s.proc.r.journal.Holds()
	return err == nil && slices.ContainsFunc(holds, func(h journal.Hold) bool { return h.Stage == stageProbation && h.Holds(m) })
}

// goesOn says that the step is a further one on what is held.
func (c simStep) goesOn() bool { return c.hold.Goal != nil && !c.hold.Undo }

// comesIn says that it is the first on a way back by weights.
func (c simStep) comesIn() bool {
	return c.goesOn() && c.change.To == edge.Ready && c.hold.Stage != stageProbation
}

// further judges steps on what is held already: maint after a drain when its sessions
// have ended or had their time; back by the policy's weights, each for its time, and by
// none of them left out; out again on evidence alone (I6, I14). A weight that a person
// set is never overwritten (I7).
func (s *simRun) further(c simStep) {
	if c.hold.Bypass || len(c.policy) == 0 {
		return
	}
	st, _ := c.seen.snap.State(c.member())
	if c.change.Share > 0 && st.Share != c.hold.Left.Share {
		s.violate("I7", "%v: somebody gave it weight %d, we left it at %d", c, st.Share, c.hold.Left.Share)
	}
	switch {
	case c.hold.Undo:
		s.backAtLast(c, st)
	case !c.goesOn():
		if c.change.Share > 0 {
			s.violate("I8", "%v: a weight on its way out", c)
		}
		if c.change.To == edge.Maint && !c.hold.Preimage.OnOff && c.hold.Reapplied == 0 && !someRule(c.policy, func(p *Policy) bool { return p.first() == edge.Maint }) {
			s.violate("I20", "%v: it is to be drained before", c)
		}
	case c.change.To == edge.Ready:
		s.partOfTheWay(c)
	case c.hold.Stage == stageProbation:
		s.outAgain(c, st)
	case c.change.To != edge.Maint || c.hold.Stage != stageDraining:
		s.violate("I11", "%v: no such step follows on %q", c, c.hold.Stage)
	case st.Sessions > 0 && !someRule(c.policy, func(p *Policy) bool { return c.by.Sub(c.hold.StageAt) >= time.Duration(p.DrainWait) }):
		s.violate("I20", "%v: %d sessions are left after %s", c, st.Sessions, c.by.Sub(c.hold.StageAt))
	}
}

// partOfTheWay judges a step to a part of the weight.
func (s *simRun) partOfTheWay(c simStep) {
	h := c.hold
	if !someRule(c.policy, func(p *Policy) bool {
		return p.Release != nil && h.StageNo < len(p.Release.percents) && c.change.Share == p.share(&h, h.StageNo)
	}) {
		s.violate("I8", "%v: weight %d of %d is none of the policy's (step %d)", c, c.change.Share, h.Preimage.Share, h.StageNo)
	}
	switch {
	case h.Stage != stageProbation && h.StageNo != 0:
		s.violate("I14", "%v: it begins with step %d", c, h.StageNo)
	case h.Stage == stageProbation:
		s.watched(c)
	}
}

// watched: each weight is left for its time, with the member found well at the end.
func (s *simRun) watched(c simStep) {
	waited := c.by.Sub(c.hold.StageAt)
	if !someRule(c.policy, func(p *Policy) bool {
		return p.Release != nil && waited >= time.Duration(p.Release.Watch) || p.Release == nil && waited >= 30*time.Second
	}) {
		s.violate("I14", "%v: with weight %d for %s only", c, c.hold.Left.Share, waited)
	}
}

// outAgain: a member that was in with little weight goes out again because it was
// found bad since.
func (s *simRun) outAgain(c simStep, st edge.State) {
	bad := st.Check == edge.No
	for _, k := range s.covering(c.member()) {
		bad = bad || slices.ContainsFunc(s.ledger.answers[k.name][c.member()], func(a simAnswer) bool {
			return a.life == c.life && a.answer == edge.No && a.told.After(c.hold.StageAt) && !a.told.After(c.by)
		})
	}
	if !bad {
		s.violate("I6", "%v: nothing has found it bad since it is in again", c)
	}
}

// backAtLast: with weights in the policy a member doesn't come back at once, but for a
// person's word, the end of its hold, and a pool that is short of members.
func (s *simRun) backAtLast(c simStep, st edge.State) {
	h := c.hold
	if c.byHand() || time.Now().After(h.MaxUntil) {
		return
	}
	if h.Stage == stageProbation {
		s.watched(c)
		if !someRule(c.policy, func(p *Policy) bool { return p.Release == nil || h.StageNo+1 >= len(p.Release.percents) }) {
			s.violate("I14", "%v: it has %d steps behind it", c, h.StageNo+1)
		}
		return
	}
	atOnce := h.Direct || h.Preimage.OnOff || h.Preimage.Admin != edge.Ready || h.Preimage.Share < 2 || st.Share != h.Left.Share
	if !atOnce && !s.panics(c) && !someRule(c.policy, func(p *Policy) bool { return p.Release == nil }) {
		s.violate("I14", "%v: it comes back at once, and not by weights", c)
	}
}
