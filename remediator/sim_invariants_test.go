package remediator

import (
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A simStep is one change of an order, with what can be known of it.
type simStep struct {
	life   int // of the remediator
	d      *simDevice
	change edge.Change
	order  edge.Order
	sent   time.Time
	by     time.Time // when it was decided
	hold   journal.Hold
	policy []*Policy // that may have ruled it
	seen   simLook   // the last look before
	looked bool
	asked  time.Time // when its pool was asked
}

func (c simStep) member() edge.Member { return c.change.Member }

// byHand says that a person asked for it.
func (c simStep) byHand() bool { return c.hold.ReleaseBy != "" }

func (c simStep) String() string {
	return fmt.Sprintf("%s to %s (hold %s, %s)", c.change.Member, c.change.To, c.hold.ID, c.hold.Phase)
}

// judgeOrder asks all invariants about an order that reaches a device. The
// caller holds the lock.
func (s *simRun) judgeOrder(l simLink, o edge.Order, sent time.Time) {
	if len(o.Changes) == 0 {
		s.violate("I2", "an order without changes")
	}
	for _, change := range o.Changes {
		c := simStep{life: l.life.life, d: l.d, change: change, order: o, sent: sent, by: sent}
		h, err := s.proc.r.journal.Hold(change.Member)
		if err != nil {
			s.violate("I11", "%s is told to be %s, and no hold is in the journal: %v", change.Member, change.To, err)
			continue
		}
		if c.hold = h; l.d.whole {
			if c.by = h.Deadline.Add(-sendTimeout); h.Undo {
				c.by = sent
			}
		}
		c.policy = s.rules(h.Policy, change.Member)
		c.asked = s.question(c)
		c.seen, c.looked = s.ledger.seen(l.d.name, c.by, c.life)
		s.log("judged", "%v", c)
		for _, judge := range []func(simStep){
			s.i1, s.i2, s.i3, s.i6, s.i7, s.i8, s.i10, s.i11, s.i14, s.i17, s.i19, s.inTheWay, s.modes, s.around, s.further,
		} {
			judge(c)
		}
		s.ledger.orders = append(s.ledger.orders, simOrder{time.Now(), h.ID, change.Member, change.To, h.Undo})
	}
}

// someRule says whether any of the policies that may have ruled a step allows it.
func someRule(of []*Policy, allows func(*Policy) bool) bool {
	for _, p := range of {
		if allows(p) {
			return true
		}
	}
	return false
}

// I1: after a step out, min_serving others of each pool that it moves serve, by
// the last look and by the last own answers: more can't be known.
func (s *simRun) i1(c simStep) {
	if c.hold.Undo || c.hold.Bypass || c.goesOn() {
		return
	}
	for _, m := range c.d.moved(c.member()) {
		left, base, weightLeft, weight, weighed := 0, 0, 0, 0, true
		for _, x := range c.seen.snap.Pool(m.In()) {
			if !x.Backup && !x.Settled {
				base++
				weight += x.Share
				weighed = weighed && x.Share > 0
			}
			if x.Serving && !c.takes(x.Member) && !s.onTrial(x.Member) && s.foundWell(c, x.Member) {
				left++
				weightLeft += x.Share
			}
		}
		policies := c.policy
		if m != c.member() {
			policies = s.rules(c.hold.Policy, m)
		}
		enough := someRule(policies, func(p *Policy) bool {
			a := p.amount
			if a.Percent == 0 {
				return left >= max(a.Count, 1)
			}
			return left*100 >= a.Percent*base && left >= 1 && (!weighed || weightLeft*100 >= a.Percent*weight)
		})
		if !enough {
			s.violate("I1", "%v: %d of %d would serve (weight %d of %d) in %s, by what was known", c, left, base, weightLeft, weight, m.In())
		}
	}
}

// takes says whether the order takes this member out.
func (c simStep) takes(m edge.Member) bool {
	for _, o := range c.order.Changes {
		for _, moved := range c.d.moved(o.Member) {
			if moved == m && o.To != edge.Ready {
				return true
			}
		}
	}
	return false
}

// foundWell says that nothing that we asked speaks against a member.
func (s *simRun) foundWell(c simStep, m edge.Member) bool {
	if someRule(c.policy, func(p *Policy) bool { return p.Confirm == "none" }) {
		return true // the checks that there are were asked all the same, or not
	}
	for _, k := range s.covering(m) {
		a, asked := s.ledger.at(k.name, m, c.asked, c.life)
		if !asked || a.told.After(c.by) || a.answer != edge.Yes || c.by.Sub(a.asked) > s.maxAge(c.member()) {
			return false
		}
	}
	return true
}

// question is when the pool was last asked as a whole: that is what a step out is
// decided on, and not what watchers of single members hear at the same time.
func (s *simRun) question(c simStep) time.Time {
	one := c.member() // that was asked with the others
	if c.hold.Mark != "" {
		one = c.d.in(c.member().Pool)[0].st.Member
	}
	for _, k := range s.covering(one) {
		all := s.ledger.answers[k.name][one]
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].life == c.life && s.whole(c, k, all[i].asked) {
				return all[i].asked
			}
		}
	}
	return time.Time{}
}

// whole says that at a moment the pool was asked as a whole, with all answers there
// when the step was decided.
func (s *simRun) whole(c simStep, k *simCheck, asked time.Time) bool {
	for _, x := range c.d.in(c.member().Pool) {
		if a, ok := s.ledger.at(k.name, x.st.Member, asked, c.life); !ok || a.told.After(c.by) {
			return false
		}
	}
	return true
}

// I2: an order names one member that is there, that a policy selects, and on
// which an alert has fired.
func (s *simRun) i2(c simStep) {
	switch m := c.member(); {
	case c.d.find(m) == nil:
		s.violate("I2", "%v: there is no such member", c)
	case len(c.policy) == 0 && !c.hold.Undo:
		s.violate("I2", "%v: no policy selects it", c)
	case !s.ledger.alerted[c.claimed()] && !c.hold.Undo:
		s.violate("I2", "%v: no alert on it has ever fired", c)
	case !c.d.whole && len(c.order.Changes) != 1:
		s.violate("I2", "%v: %d changes in one order", c, len(c.order.Changes))
	}
}

// I3: never more of a pool out by us than max_held, whatever crashed meanwhile.
func (s *simRun) i3(c simStep) {
	if c.hold.Undo || c.hold.Bypass || c.goesOn() {
		return
	}
	for _, m := range c.d.moved(c.member()) {
		n := 0
		for _, x := range c.d.in(m.Pool) {
			if x.by == byUs && x.st.Admin != edge.Ready && x.st.Address == x.left.Address || x.tried() || c.takes(x.st.Member) {
				n++
			}
		}
		policies := c.policy
		if m != c.member() {
			policies = s.rules(c.hold.Policy, m)
		}
		if !someRule(policies, func(p *Policy) bool { return n <= p.MaxHeld }) {
			s.violate("I3", "%v: %d of %s would be out by us", c, n, m.In())
		}
	}
}

// I6: a step out rests on a fresh bad answer of a second source.
func (s *simRun) i6(c simStep) {
	if c.hold.Undo || c.hold.Bypass || c.goesOn() || someRule(c.policy, func(p *Policy) bool { return p.Confirm == "none" }) {
		return
	}
	for _, k := range s.covering(c.member()) {
		a, asked := s.ledger.at(k.name, c.member(), c.asked, c.life)
		if asked && a.answer == edge.No && c.by.Sub(a.asked) <= s.maxAge(c.member()) {
			return
		}
	}
	s.violate("I6", "%v: nothing that we asked found it bad", c)
}

// I7: no order on what somebody else changed, as far as a look has shown it, and
// none on what a silence or an agent stands for.
func (s *simRun) i7(c simStep) {
	m := c.member()
	if at, off := s.ledger.handsOff[m]; off && time.Since(at) < handBack {
		id := "I7"
		if st, _ := c.seen.snap.State(m); c.hold.Undo && st.Marks == c.hold.Left.Marks {
			id = "I7 put back"
		}
		if !c.hold.Undo && c.hold.Reapplied > 0 && at.Before(c.hold.Intent) {
			id = "I7 restarted"
		}
		s.violate(id, "%v: somebody changed it, and that was seen %s ago", c, time.Since(at))
	}
	st, known := c.seen.snap.State(m)
	switch {
	case !known:
		s.violate("I7", "%v: the last look doesn't show it", c)
	case (c.hold.Undo || c.goesOn()) && (st.Marks != c.hold.Left.Marks || st.Admin != c.hold.Left.Admin || st.Address != c.hold.Left.Address || c.seen.snap.Process != c.hold.Process):
		s.violate("I7", "%v: it is not as we left it: %s (%s) at %s", c, st.Admin, st.Marks, st.Address)
	case c.hold.Bypass && !c.hold.Undo && (c.hold.Mark == "" && st.Admin == edge.Ready || c.hold.Mark != "" && st.Marks == c.hold.Mark):
		s.violate("I7", "%v: somebody had brought it in", c)
	case !c.hold.Bypass && !c.hold.Undo && !c.goesOn() && (st.Admin != edge.Ready || st.Marks != ""):
		s.violate("I7", "%v: somebody had put it in %s (%s)", c, st.Admin, st.Marks)
	case !c.hold.Undo && st.Agent:
		s.violate("I7", "%v: an agent sets its state", c)
	case !c.hold.Undo && st.Tracks != "":
		s.violate("I7", "%v: it follows %s", c, st.Tracks)
	case c.seen.snap.ReadOnly != "" && !c.byHand() && !c.d.whole: // what goes in one piece was decided on an earlier look
		s.violate("I7", "%v: the device is read only", c)
	}
	if since := s.ledger.silent[c.claimed()]; !c.hold.Undo && !c.goesOn() && !since.IsZero() && c.sent.Sub(since) > s.maxAge(m) && c.hold.Reapplied == 0 {
		s.violate("I7", "%v: its claim is silenced, and that was read %s before", c, c.sent.Sub(since))
	}
}

// I8: what is given back becomes what it was.
func (s *simRun) i8(c simStep) {
	x := c.d.find(c.member())
	if !c.hold.Undo || x == nil {
		return
	}
	if want := c.hold.Preimage.Marks; c.hold.Mark != "" && c.change.Mark != want {
		s.violate("I8", "%v: it was %s before", c, want)
	}
	if c.change.To != c.hold.Preimage.Admin {
		s.violate("I8", "%v: it was %s before", c, c.hold.Preimage.Admin)
	}
	if x.hold == c.hold.ID && c.change.To != x.before.Admin {
		s.violate("I8", "%v: in truth it was %s before", c, x.before.Admin)
	}
}

// I9: one effective transition of a hold in each direction, for each life of the
// device. The caller counts those that change something.
func (s *simRun) i9(c simStep) {
	key := fmt.Sprintf("%s %v %d %s %d", c.hold.ID, c.hold.Undo, c.d.life, c.change.To, c.hold.Relapses)
	if s.ledger.effect[key]++; s.ledger.effect[key] > 1 {
		s.violate("I9", "%v: it changed the member %d times", c, s.ledger.effect[key])
	}
}

// I10: after an order without an answer, no other on the member before a look.
func (s *simRun) i10(c simStep) {
	if at, unread := s.ledger.unread[c.member()]; unread {
		s.violate("I10", "%v: the outcome of the order %s ago was not read back", c, time.Since(at))
	}
}

// I11: the intent is durable, as a hold in the right phase and as an entry.
func (s *simRun) i11(c simStep) {
	h := c.hold
	to := h.To
	if h.Goal != nil {
		to = h.Goal.To
	}
	if out := (h.Phase == journal.Intent || h.Phase == journal.Applying) && !h.Undo && to == c.change.To; !out && (h.Phase != journal.Reverting || !h.Undo) {
		s.violate("I11", "%v: the journal says %s to %s (undo: %v)", c, h.Phase, h.To, h.Undo)
	}
	es, err := s.proc.r.journal.Entries(journal.Query{Hold: h.ID, Event: "intent", Limit: 1})
	if err != nil || len(es) == 0 || es[0].Admin != c.change.To.String() {
		s.violate("I11", "%v: no entry says that it is intended: %v", c, err)
	}
	if h.Preimage.Member != h.Member || h.Deadline.IsZero() {
		s.violate("I11", "%v: preimage or deadline is missing", c)
	}
}

// I17: no order on a look that is too old.
func (s *simRun) i17(c simStep) {
	if limit := s.maxAge(c.member()); !c.looked || c.sent.Sub(c.seen.at) > limit {
		id := "I17"
		if c.d.whole && c.by.Sub(c.seen.at) <= limit {
			id = "I17 queued"
		}
		s.violate(id, "%v: the last look is %s old, at most %s", c, c.sent.Sub(c.seen.at), limit)
	}
}

// I19: once the call that freezes has returned, nothing goes out by itself.
func (s *simRun) i19(c simStep) {
	over := !s.thawsAt.IsZero() && !c.sent.Before(s.thawsAt)
	if !s.frozen.IsZero() && c.sent.After(s.frozen) && !over && !c.byHand() {
		s.violate("I19", "%v: frozen since %s", c, c.sent.Sub(s.frozen))
	}
}

// modes: only auto acts by itself, and approve by a person's word: one that said
// yes, is not too old, and was not used before (I17).
func (s *simRun) modes(c simStep) {
	in := func(mode string) bool {
		return someRule(c.policy, func(p *Policy) bool { return p.Mode == mode })
	}
	switch {
	case c.byHand(), in(Auto), (c.hold.Undo || c.goesOn()) && in(Approve):
		return
	case len(c.policy) == 0 && (c.hold.Undo || c.goesOn()): // the policy is gone; the ceiling counts
		return
	case !in(Approve):
		s.violate("I23", "%v: its policy doesn't act by itself", c)
		return
	}
	w, said := s.ledger.words[c.member()]
	fresh := someRule(c.policy, func(p *Policy) bool { return c.by.Sub(w.at) <= time.Duration(p.ApprovalTTL) })
	if !said || !w.yes || !fresh || w.hold != "" {
		s.violate("I17", "%v: the word on it: %+v", c, w)
	}
	w.hold = c.hold.ID
	s.ledger.words[c.member()] = w
}

// applied carries out a change at the device and counts what it did.
func (s *simRun) applied(l simLink, change edge.Change) {
	d := l.d
	x := d.find(change.Member)
	h, err := s.proc.r.journal.Hold(change.Member)
	if x == nil || err != nil {
		return // said already
	}
	was, by := x.st, x.by
	whose := byUs
	if !s.people.handed[h.ID].IsZero() { // it was on its way when somebody claimed the member
		whose = byPerson
	}
	if change.Mark != "" {
		d.turn(change.Member, change.Mark, whose)
	} else {
		d.put(change.Member, change.To, whose)
	}
	moves := x.st.Admin != was.Admin || x.st.Marks != was.Marks
	d.weigh(change)
	if moves && by != byPerson {
		s.i9(simStep{life: l.life.life, d: d, change: change, hold: h})
	}
	if moves || x.st.Share != was.Share {
		s.stats.Steps++
		s.stats.Kinds[simKind(h)]++
	}
	for _, m := range d.moved(change.Member) {
		one := d.find(m)
		if h.Undo {
			one.lowered = one.lowered && one.st.Share != h.Preimage.Share
			if one.hold = ""; h.Bypass || one.standby {
				one.by = byNobody // as somebody had it before us
			}
			continue
		}
		one.hold, one.left, one.leftIn, one.before = h.ID, one.st, d.life, h.Preimage
	}
}

// judgeMessage: what a good alert says is kept, whatever stands beside it (I24).
func (s *simRun) judgeMessage(m simMessage, posted time.Time, code int) {
	if code != 200 {
		s.blame("I24", "a message is answered with %d", code)
		return
	}
	hints, err := s.proc.r.journal.Hints()
	if err != nil {
		s.blame("I24", "hints can't be read: %v", err)
	}
	for key, firing := range m.keys {
		if h := hints[key]; h.Key != key || firing && h.FiringAt.Before(posted) || !firing && h.ResolvedAt.Before(posted) {
			s.blame("I24", "what an alert said was not kept: %s, firing: %v, kept: %+v", key, firing, h)
		}
	}
}

// blame is violate for those who don't hold the lock.
func (s *simRun) blame(id, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violate(id, format, args...)
}
