package remediator

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// simBypass is the name of the policies that lead round a pool.
const simBypass = "bypass"

// active is how a switch of a simulated device stands by configuration.
const active = "ACTIVE_PREVENTION"

// wayRound gives a pool one or two standby members that are out, or, where the device
// has such things, a switch.
func (d *simDevice) wayRound(pool string) {
	if d.whole && d.s.oneIn(3) {
		m := edge.Member{Device: d.name, Pool: pool, Name: application("app1")}
		d.switches[m] = &simMember{st: edge.State{Member: m, Marks: active}, well: true}
		return
	}
	for i, name := range []string{"b1", "b2"}[:1+d.s.rng.IntN(2)] {
		m := edge.Member{Device: d.name, Pool: pool, Name: name}
		st := edge.State{Member: m, Address: "192.0.2." + []string{"101", "102"}[i] + ":8000", Weight: 1, OnOff: d.whole}
		d.members[m] = &simMember{st: st, well: true, standby: true}
		d.set(m, edge.Maint, byNobody)
	}
}

// turn sets a switch.
func (d *simDevice) turn(m edge.Member, mark, by string) {
	x := d.switches[m]
	if x.st.Marks != mark {
		x.by, x.changed = by, time.Now()
	}
	x.st.Marks = mark
	d.versions[m.Pool]++
}

func (d *simDevice) hasWayRound(pool string) bool {
	standby, passive := d.names(pool)
	return len(standby)+len(passive) > 0
}

// names are what a bypass of the pool may bring in.
func (d *simDevice) names(pool string) (standby, passive []string) {
	for _, x := range d.in(pool) {
		if x.standby {
			standby = append(standby, x.st.Member.Name)
		}
	}
	if d.switches[edge.Member{Device: d.name, Pool: pool, Name: application("app1")}] != nil {
		passive = []string{"app1"}
	}
	return standby, passive
}

// moved says that a member, or a switch, doesn't stand as the configuration has it.
func (x *simMember) moved() bool {
	switch {
	case x.standby:
		return x.st.Admin == edge.Ready
	case x.st.Marks == active, x.st.Marks == passive:
		return x.st.Marks == passive
	}
	return x.st.Admin != edge.Ready
}

// switches of all devices, in order.
func (s *simRun) switches() (out []*simMember) {
	for _, d := range s.devices {
		for _, m := range simSorted(d.switches) {
			out = append(out, d.switches[m])
		}
	}
	return out
}

func (s *simRun) bypassPolicy(c *Config, d *simDevice, pool string) Policy {
	p := Policy{
		Name: simBypass, To: "bypass", Members: Members{Device: d.name, Pool: pool},
		HoldDown: s.duration(5*time.Second, 30*time.Second), MaxHold: s.duration(40*time.Second, 4*time.Minute), Bypass: new(Bypass),
	}
	p.Bypass.Standby, p.Bypass.Passive = d.names(pool)
	if s.oneIn(2) {
		p.MinServing = simPick(s.rng, []string{"2", "30%", "60%"})
	}
	if s.oneIn(8) && c.Mode == Auto {
		p.Mode = simPick(s.rng, modes)
	}
	if p.Mode == Approve || p.Mode == "" && c.Mode == Approve {
		p.Mode, p.ApprovalTTL = Approve, s.duration(10*time.Second, time.Minute)
	}
	return p
}

// ill says whether a rule's condition holds: a member fails, or all the regular ones of
// a pool do.
func (s *simRun) ill(m edge.Member) bool {
	d := s.device(m.Device)
	if m.Name != "" {
		return !d.members[m].well
	}
	return !slices.ContainsFunc(d.in(m.Pool), func(x *simMember) bool { return x.well && !x.standby })
}

// poolDies makes all regular members of a pool fail that has a way round it.
func (s *simRun) poolDies() {
	s.locked(func() {
		var some []edge.Pool
		for _, d := range s.devices {
			for _, pool := range d.pools {
				if d.hasWayRound(pool) {
					some = append(some, edge.Pool{Device: d.name, Name: pool})
				}
			}
		}
		if len(some) == 0 {
			return
		}
		p := simPick(s.rng, some)
		for _, x := range s.device(p.Device).in(p.Name) {
			if x.well && !x.standby && !s.oneIn(12) {
				s.becomes(x, false)
			}
		}
	})
}

func (s *simRun) poolRecovers() {
	s.locked(func() {
		d := simPick(s.rng, s.devices)
		for _, x := range d.in(simPick(s.rng, d.pools)) {
			if !x.well && !s.oneIn(8) {
				s.becomes(x, true)
			}
		}
	})
}

// claimed is what the alert that a step rests on is about.
func (c simStep) claimed() edge.Member {
	m := c.member()
	if c.hold.Bypass {
		m.Name = ""
	}
	return m
}

// regular are the members of the step's pool that no bypass names, as they were seen.
func (c simStep) regular() (out []edge.State) {
	for _, st := range c.seen.snap.Pool(c.member().In()) {
		if x := c.d.members[st.Member]; x != nil && !x.standby {
			out = append(out, st)
		}
	}
	return out
}

// around: a bypass brings in what its policy names, and only while every regular member
// of the pool was found bad when it was asked last (I6); it ends when enough of them
// serve and were well for hold_down, or at its time limit, and before that isn't begun
// again (I13); what goes back in one order goes back before the others (I5).
func (s *simRun) around(c simStep) {
	switch {
	case !c.hold.Bypass:
		s.bypassFirst(c)
	case c.hold.Undo:
		s.roundNoMore(c)
	default:
		s.wayIn(c)
	}
}

func (s *simRun) wayIn(c simStep) {
	m := c.member()
	if !someRule(c.policy, func(p *Policy) bool {
		return p.bypass && (c.change.Mark == "" && slices.Contains(p.Bypass.Standby, m.Name) ||
			c.change.Mark == passive && slices.ContainsFunc(p.Bypass.Passive, func(name string) bool { return application(name) == m.Name }))
	}) {
		s.violate("I2", "%v: no policy names it as a way round its pool", c)
	}
	regular := c.regular()
	if len(regular) == 0 {
		s.violate("I2", "%v: the pool has no regular members", c)
	}
	for _, st := range regular {
		if !s.foundBad(c, st.Member) {
			s.violate("I6", "%v: nothing that we asked found %s bad", c, st.Member)
		}
	}
	if c.hold.Mark == "" && s.foundBad(c, m) {
		s.violate("I6", "%v: the standby itself was found bad", c)
	}
	if c.looked && c.sent.Before(c.d.down) && c.seen.began.Before(c.sent.Add(-s.maxAge(m))) {
		s.violate("I6", "%v: the device gives no answer", c)
	}
	last := func(event string) time.Time {
		es, err := s.proc.r.journal.Entries(journal.Query{Member: m, Event: event, Limit: 1})
		if err != nil {
			s.violate("I13", "entries can't be read: %v", err)
		}
		if len(es) == 0 {
			return time.Time{}
		}
		return es[0].At
	}
	if limit := last(eventTimeLimit); !limit.IsZero() && last(eventClaimEnded).Before(limit) {
		s.violate("I13", "%v: it came to its time limit %s ago, and the claim has not ended since", c, c.sent.Sub(limit))
	}
}

// foundBad says that a check found a member bad when the pool was asked last, and that
// this isn't too old.
func (s *simRun) foundBad(c simStep, m edge.Member) bool {
	return slices.ContainsFunc(s.covering(m), func(k *simCheck) bool {
		a, asked := s.ledger.at(k.name, m, c.asked, c.life)
		return asked && !a.told.After(c.by) && a.answer == edge.No && c.by.Sub(a.asked) <= s.maxAge(m)
	})
}

// roundNoMore judges the end of a bypass.
func (s *simRun) roundNoMore(c simStep) {
	if c.byHand() || !time.Now().Before(c.hold.MaxUntil) || len(c.policy) == 0 {
		return
	}
	enough := func(n int) bool {
		base := 0
		for _, st := range c.regular() {
			if !st.Backup && !st.Settled {
				base++
			}
		}
		return someRule(c.policy, func(p *Policy) bool { return n >= p.amount.Of(base) })
	}
	serve := 0
	for _, st := range c.regular() {
		if st.Serving {
			serve++
		}
	}
	if !enough(serve) {
		s.violate("I14", "%v: %d regular members serve", c, serve)
	}
	down := time.Duration(c.policy[0].HoldDown)
	for _, p := range c.policy {
		down = min(down, time.Duration(p.HoldDown))
	}
	since, asked := time.Time{}, false
	for _, at := range s.questions(c) {
		well := 0
		for _, st := range c.regular() {
			if s.wellAt(c, st.Member, at) {
				well++
			}
		}
		switch {
		case !enough(well):
			since = time.Time{}
		case since.IsZero():
			since = at
		}
		asked = true
	}
	switch {
	case !asked:
		s.violate("I14", "%v: nobody was asked", c)
	case since.IsZero():
		s.violate("I14", "%v: by the last answers too few regular members are well", c)
	case c.by.Sub(since) < down:
		s.violate("I14", "%v: regular members are well for %s, want %s", c, c.by.Sub(since), down)
	}
}

// questions are the moments at which the step's pool was asked as a whole, in this life.
func (s *simRun) questions(c simStep) (out []time.Time) {
	m := c.regular()[0].Member
	for _, k := range s.covering(m) {
		for _, a := range s.ledger.answers[k.name][m] {
			if a.life == c.life && s.whole(c, k, a.asked) && !slices.ContainsFunc(out, a.asked.Equal) {
				out = append(out, a.asked)
			}
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// wellAt says that all that was asked about a member at a moment found it well.
func (s *simRun) wellAt(c simStep, m edge.Member, at time.Time) bool {
	for _, k := range s.covering(m) {
		if a, asked := s.ledger.at(k.name, m, at, c.life); !asked || a.answer != edge.Yes {
			return false
		}
	}
	return true
}

// bypassFirst: in one order a bypass that ends stands before the members that go back,
// and no member goes back while the bypass of its pool has long been due.
func (s *simRun) bypassFirst(c simStep) {
	if !c.hold.Undo || c.byHand() {
		return
	}
	holds, err := s.proc.r.journal.Holds()
	if err != nil {
		s.violate("I11", "the holds can't be read: %v", err)
		return
	}
	place := func(m edge.Member) int {
		return slices.IndexFunc(c.order.Changes, func(o edge.Change) bool { return o.Member == m })
	}
	for _, h := range holds {
		if !h.Bypass || h.Member.In() != c.member().In() {
			continue
		}
		if at := place(h.Member); h.Undo && at > place(c.member()) {
			s.violate("I5", "%v: it goes back before the bypass by %s", c, h.Member)
		}
	}
}

// bypassesAreHeld: whatever we brought in the journal knows (I11).
func (s *simRun) bypassesAreHeld(held map[edge.Member]bool) {
	for _, x := range append(s.members(), s.switches()...) {
		if m := x.st.Member; x.by == byUs && !held[m] && x.moved() && (x.standby || x.st.Admin == edge.Ready) {
			s.violate("I11", "%s is a bypass of ours (hold %s), and the journal doesn't know", m, x.hold)
		}
	}
}

// limited: a bypass beyond its time limit was told of, once its keeper could know.
func (s *simRun) limited(h journal.Hold, looked time.Time, tell func(string, ...any)) {
	if h.ReleaseBy != "" || !looked.After(h.MaxUntil) {
		return
	}
	es, err := s.proc.r.journal.Entries(journal.Query{Member: h.Member, Event: eventTimeLimit, Limit: 1})
	if err != nil || len(es) == 0 || es[0].At.Before(h.MaxUntil) {
		tell("the bypass by %s has been at its limit for %s, and nobody was told: %v", h.Member, time.Since(h.MaxUntil), err)
	}
}

// simKind is what kind of step a command is, for the summary.
func simKind(h journal.Hold) string {
	way := "out"
	if h.Undo {
		way = "back"
	}
	switch {
	case h.Bypass && h.Undo:
		return "bypass ended"
	case h.Bypass:
		return "bypass begun"
	case h.Goal != nil && h.Goal.To == edge.Ready:
		return "in with a lower weight"
	case h.Goal != nil && h.Stage == stageProbation:
		return "out again"
	case h.Goal != nil:
		return "drained, then maint"
	case h.Undo && h.Stage == stageProbation:
		return "back by weights"
	}
	return way
}
