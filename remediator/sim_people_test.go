package remediator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// simPeople are what people have put in automation's way, as they know it: from the
// moment when the call has returned to its end.
type simPeople struct {
	scopes  map[edge.Pool]simSpan // frozen by themselves
	claimed map[edge.Member]simSpan
	windows map[string]simWindow
	made    int
	handed  map[string]time.Time // holds that were handed over
}

func newSimPeople() simPeople {
	return simPeople{scopes: map[edge.Pool]simSpan{}, claimed: map[edge.Member]simSpan{}, windows: map[string]simWindow{}, handed: map[string]time.Time{}}
}

// A simSpan is a time; one without an end lasts.
type simSpan struct{ since, until time.Time }

func (p simSpan) has(at time.Time) bool {
	return at.After(p.since) && (p.until.IsZero() || at.Before(p.until))
}

type simWindow struct {
	simSpan
	device, pool string // any when empty
}

// someEnd is when something ends, or never.
func (s *simRun) someEnd() time.Time {
	if s.oneIn(3) {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(5+s.rng.IntN(60)) * time.Second)
}

func (s *simRun) freezeScope() {
	d := simPick(s.rng, s.devices)
	f := journal.Freeze{Device: d.name, Reason: "as the simulation says", Actor: "operator", Until: s.someEnd()}
	if !s.oneIn(3) {
		f.Pool = simPick(s.rng, d.pools)
	}
	if err := s.proc.r.journal.SetFreeze(f); err != nil {
		s.blame("I19", "freeze %s: %v", f.Scope(), err)
		return
	}
	s.locked(func() {
		s.people.scopes[f.Scope()] = simSpan{time.Now(), f.Until}
		s.log("driver", "%s frozen, until %s", f.Scope(), f.Until.Sub(s.begun))
	})
}

func (s *simRun) thawScope() {
	if all := s.frozenScopes(); len(all) > 0 {
		s.thawOne(simPick(s.rng, all))
	}
}

// frozenScopes are in order: whatever the driver does follows from the seed.
func (s *simRun) frozenScopes() []edge.Pool {
	return slices.SortedFunc(maps.Keys(s.people.scopes), func(a, b edge.Pool) int { return cmp.Compare(a.String(), b.String()) })
}

func (s *simRun) thawOne(p edge.Pool) {
	s.locked(func() { delete(s.people.scopes, p) })
	if err := s.proc.r.journal.ThawScope(p, "operator"); err != nil {
		s.blame("I19", "thaw %s: %v", p, err)
	}
	s.proc.r.Wake()
	s.log("driver", "%s thawed", p)
}

// claim makes a member a person's, with what we hold of it.
func (s *simRun) claim() {
	m := simPick(s.rng, s.members()).st.Member
	c := journal.Claimed{Member: m, Reason: "as the simulation says", Actor: "operator", Until: s.someEnd()}
	if err := s.proc.r.journal.Claim(c); err != nil {
		s.blame("I7", "claim %s: %v", m, err)
		return
	}
	holds, err := s.proc.r.journal.Holds()
	if err != nil {
		s.blame("I11", "the holds can't be read: %v", err)
	}
	s.locked(func() {
		s.people.claimed[m] = simSpan{time.Now(), c.Until}
		s.log("driver", "%s claimed, until %s", m, c.Until.Sub(s.begun))
		for _, h := range holds {
			if h.Holds(m) && h.Handed == "" {
				s.violate("I7", "%s is claimed, and the hold on %s isn't handed over", m, h.Member)
			}
			if h.Handed == "" {
				continue
			}
			if s.people.handed[h.ID].IsZero() {
				s.people.handed[h.ID] = time.Now()
			}
			for _, one := range append([]edge.Member{h.Member}, h.Along...) {
				delete(s.ledger.handsOff, one) // it is theirs by their own word
				if x := s.device(one.Device).find(one); x != nil {
					if x.lowered = false; x.by == byUs {
						x.by = byPerson
					}
				}
			}
		}
	})
	s.proc.r.wakeKeepers()
}

func (s *simRun) unclaim() {
	if all := simSorted(s.people.claimed); len(all) > 0 {
		s.unclaimOne(simPick(s.rng, all))
	}
}

func (s *simRun) unclaimOne(m edge.Member) {
	over := !s.people.claimed[m].has(time.Now().Add(time.Nanosecond))
	s.locked(func() { delete(s.people.claimed, m) })
	if err := s.proc.r.journal.Unclaim(m, "operator", "as the simulation says"); err != nil && !over {
		s.blame("I7", "release %s: %v", m, err)
	}
	s.proc.r.Wake()
	s.log("driver", "%s released", m)
}

// window makes a maintenance window that comes once.
func (s *simRun) window() {
	s.people.made++
	d := simPick(s.rng, s.devices)
	w := simWindow{device: d.name}
	if !s.oneIn(3) {
		w.pool = simPick(s.rng, d.pools)
	}
	from := time.Now().Add(time.Duration(s.rng.IntN(10)) * time.Second).Truncate(time.Second)
	to := from.Add(time.Duration(10+s.rng.IntN(60)) * time.Second)
	spec := control.WindowSpec{
		Name: fmt.Sprintf("w%d", s.people.made), From: from.UTC().Format(time.RFC3339), To: to.UTC().Format(time.RFC3339),
		Members: control.Selector{Device: w.device, Pool: w.pool},
	}
	if _, err := s.proc.r.AddWindow(spec, "operator"); err != nil {
		s.blame("I19", "window %s: %v", spec.Name, err)
		return
	}
	s.locked(func() {
		w.since, w.until = time.Now(), to
		if from.After(w.since) {
			w.since = from
		}
		s.people.windows[spec.Name] = w
		s.log("driver", "window %s for %s/%s from %s to %s", spec.Name, w.device, w.pool, from.Sub(s.begun), to.Sub(s.begun))
	})
}

func (s *simRun) dropWindow() {
	if all := slices.Sorted(maps.Keys(s.people.windows)); len(all) > 0 {
		s.dropOne(simPick(s.rng, all))
	}
}

func (s *simRun) dropOne(name string) {
	s.locked(func() { delete(s.people.windows, name) })
	if err := s.proc.r.DropWindow(name, "operator"); err != nil {
		s.blame("I19", "window %s: %v", name, err)
	}
	s.proc.r.Wake()
	s.log("driver", "window %s taken away", name)
}

// clearWay takes away all that people put in automation's way.
func (s *simRun) clearWay() {
	for _, p := range s.frozenScopes() {
		s.thawOne(p)
	}
	for _, m := range simSorted(s.people.claimed) {
		s.unclaimOne(m)
	}
	for _, name := range slices.Sorted(maps.Keys(s.people.windows)) {
		s.dropOne(name)
	}
}

// inTheWay: once the call that stops automation has returned, no command of its own
// moves a member in a frozen scope (I19), one that a person claims (I7), or one in a
// window, be it by name or along with another.
func (s *simRun) inTheWay(c simStep) {
	if c.byHand() {
		return
	}
	for _, m := range c.d.moved(c.member()) {
		for p, span := range s.people.scopes {
			if (journal.Freeze{Device: p.Device, Pool: p.Name}).Covers(m) && span.has(c.sent) {
				s.violate("I19", "%v: it moves %s, and %s is frozen since %s", c, m, p, c.sent.Sub(span.since))
			}
		}
		if span := s.people.claimed[m]; span.has(c.sent) && !span.since.IsZero() {
			s.violate("I7", "%v: it moves %s, which is claimed since %s", c, m, c.sent.Sub(span.since))
		}
		for name, w := range s.people.windows {
			if w.device == m.Device && (w.pool == "" || w.pool == m.Pool) && w.has(c.sent) {
				s.violate("I19", "%v: it moves %s, which is in window %s since %s", c, m, name, c.sent.Sub(w.since))
			}
		}
	}
	if at := s.people.handed[c.hold.ID]; !at.IsZero() && c.sent.After(at) {
		s.violate("I7", "%v: it was handed over %s before", c, c.sent.Sub(at))
	}
}
