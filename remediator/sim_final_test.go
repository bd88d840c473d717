package remediator

import (
	"fmt"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/remediator/journal"
)

// judgeStill: when the world stands still, so do we (I25). before is how many
// orders there were some minutes ago.
func (s *simRun) judgeStill(before int) {
	if n := s.stats.Orders - before; n > 0 {
		s.violate("I25", "the world stands still, and %d more orders went out", n)
	}
}

// judgeHealed: all is well for a while, so that all is given back that we took
// out, unless the journal says why not (I25).
func (s *simRun) judgeHealed() {
	holds, err := s.proc.r.journal.Holds()
	if err != nil {
		s.violate("I25", "the holds can't be read: %v", err)
		return
	}
	cfg := s.configs[len(s.configs)-1].cfg
	for _, x := range append(s.members(), s.switches()...) {
		m := x.st.Member
		i := slices.IndexFunc(holds, func(h journal.Hold) bool { return h.Holds(m) })
		out := x.by == byUs && x.moved()
		switch {
		case i < 0 && out && x.st.Address != x.left.Address:
			s.violate("I11 moved", "%s is out by us for good", m)
		case i < 0 && out:
			s.violate("I25", "%s is out by us for good", m)
		case i < 0:
		case holds[i].Phase == journal.Superseded: // somebody changed it: it is theirs
		case s.goesBack(cfg, holds[i]):
			s.violate("I25", "%s is well, and still held: %s, %s", m, holds[i].ID, holds[i].Phase)
		}
	}
}

// goesBack says whether a hold is given back by itself when all is well.
func (s *simRun) goesBack(cfg *Config, h journal.Hold) bool {
	rules := s.rules(h.Policy, h.Member)
	if len(rules) == 0 {
		return acts(cfg.Mode) && len(s.covering(h.Member)) > 0
	}
	p := rules[0]
	return acts(p.Mode) && (p.Confirm == "none" || len(s.covering(h.Member)) > 0)
}

// judgeMetrics: what a process counted, it has entered too (I23, I26). A process
// that crashed may have died between the two.
func (s *simRun) judgeMetrics(p *simProcess, families []*dto.MetricFamily) {
	entries, err := s.proc.r.journal.Entries(journal.Query{After: s.ledger.read})
	if err != nil {
		s.violate("I23", "entries can't be read: %v", err)
		return
	}
	refused := s.ledger.refused // by any process: what was said before is not said again by the next
	indeterminate, expired := 0, 0
	for _, e := range entries {
		s.ledger.read = e.Seq
		switch {
		case e.Result == "refused":
			refused[e.Guard+"/"+e.Reason]++
		case e.Result == "indeterminate":
			indeterminate++
		case e.Event == "escalation", e.Event == string(journal.Expiring), e.Event == eventTimeLimit:
			expired++
		}
	}
	unknown, ended := 0, 0
	for _, f := range families { // a counter that never counted is in none
		for _, m := range f.GetMetric() {
			n := int(m.GetCounter().GetValue())
			switch f.GetName() {
			case namespace + "refusals_total":
				what := simLabel(m, "guard") + "/" + simLabel(m, "reason")
				if n > 0 {
					simAdd(&s.stats.Refusals, map[string]int{what: n})
				}
				if n > 0 && refused[what] == 0 && !p.dead.Load() {
					s.violate("I23", "%d refusals by %s are counted, and none is entered", n, what)
				}
			case namespace + "steps_total":
				if simLabel(m, "result") == "indeterminate" {
					unknown += n
				}
			case namespace + "expired_total":
				ended += n
			}
		}
	}
	if p.dead.Load() || s.site != nil { // of several, each counts its own
		return
	}
	if unknown != indeterminate {
		s.violate("I26", "%d unknown outcomes are counted, %d are entered", unknown, indeterminate)
	}
	if ended != expired {
		s.violate("I26", "%d ends of holds are counted, %d are entered", ended, expired)
	}
}

func simLabel(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// judgeJournal reads the file once more when all is over: it replays without a
// problem, and each order that a device got has its intent before and its
// outcome after it (I11, I23).
func (s *simRun) judgeJournal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.openAgain()
	if err != nil {
		s.violate("I11", "the journal doesn't open: %v", err)
		return
	}
	for _, odd := range j.Problems() {
		s.violate("I11", "the journal is odd: %s", odd)
	}
	entries, err := j.Entries(journal.Query{})
	if err != nil {
		s.violate("I11", "entries can't be read: %v", err)
	}
	if err := j.Close(); err != nil {
		s.violate("I11", "%v", err)
	}
	type span struct{ intent, outcome []time.Time }
	byHold := map[string]*span{}
	for _, e := range entries {
		sp := byHold[e.Hold]
		if sp == nil {
			sp = new(span)
			byHold[e.Hold] = sp
		}
		switch {
		case e.Hold == "":
		case e.Event == "intent":
			sp.intent = append(sp.intent, e.At)
		case e.Result != "", e.To == journal.Orphaned, e.To == journal.Superseded:
			sp.outcome = append(sp.outcome, e.At)
		}
	}
	for _, o := range s.ledger.orders {
		sp := byHold[o.hold]
		what := fmt.Sprintf("the order on %s to %s (hold %s)", o.member, o.to, o.hold)
		if sp == nil || !slices.ContainsFunc(sp.intent, func(at time.Time) bool { return !at.After(o.at) }) {
			s.violate("I11", "%s has no intent", what)
			continue
		}
		if !slices.ContainsFunc(sp.outcome, func(at time.Time) bool { return !at.Before(o.at) }) {
			s.violate("I23", "%s has no outcome", what)
		}
	}
}
