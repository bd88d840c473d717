package announce

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A book is what is known of all targets: from it follows what is to fire now.
type book struct {
	cfg   Config
	base  string
	acts  func(policy string, m edge.Member) bool
	ended func(m edge.Member) bool

	recalling bool // entries come from the time before
	refusals  map[string]*refusal
	streaks   map[edge.Member]*streak
}

func newBook(o Options) *book {
	return &book{cfg: o.Config, base: o.Base, acts: o.Acts, ended: o.Ended, refusals: map[string]*refusal{}, streaks: map[edge.Member]*streak{}}
}

// hear goes on with an entry of the journal.
func (b *book) hear(e *journal.Entry) {
	b.outcome(e)
	if e.Hold == "" {
		return
	}
	switch {
	case e.To == journal.Closed, e.To == journal.Intent, e.To == journal.AwaitingApproval:
		delete(b.refusals, e.Hold) // it is over, or the guards have let it through
	}
	if !refuses(e) {
		return
	}
	r := b.refusals[e.Hold]
	if r == nil {
		r = new(refusal)
		b.refusals[e.Hold] = r
	}
	r.hear(e, time.Duration(b.cfg.RefusedFor))
}

// refuses says whether an entry is of a guard that refuses what a claim asks for.
func refuses(e *journal.Entry) bool {
	return e.Event == eventRefusal && e.To.Candidate() && e.Order == ""
}

// A topic is something to announce that isn't put into words yet: on a bad day there is
// more of it than is announced.
type topic struct {
	name   string
	member edge.Member
	policy string
	words  func() about
}

// look says what is to fire now, by the records as they stand, those first that must
// not be left out, for how much there was no room, and when it is to be asked again
// although nothing happens.
func (b *book) look(holds, candidates []journal.Hold, now time.Time) (out []Alert, left int, next time.Time) {
	open, held, known := map[edge.Member]bool{}, map[edge.Member]bool{}, map[string]bool{}
	var all []topic
	for i := range holds {
		h := &holds[i]
		if h.Phase != journal.Superseded && h.Phase != journal.Orphaned {
			open[h.Member], held[h.Member] = true, true
		}
		if isOn(b.cfg.Steps) && isOut(h) {
			all = append(all, topic{Step, h.Member, h.Policy, func() about { return standing(h) }})
		}
	}
	for i := range candidates {
		c := &candidates[i]
		open[c.Member], known[c.ID] = true, true
		if !b.acts(c.Policy, c.Member) {
			continue // nothing would be sent, whatever the guards say
		}
		switch c.Phase {
		case journal.AwaitingApproval:
			if waits(c, now) && isOn(b.cfg.Approvals) {
				all = append(all, topic{ApprovalWaits, c.Member, c.Policy, func() about { return b.waiting(c) }})
			}
		case journal.Deferred, journal.Quarantined:
			r, due := b.refused(c, now)
			if r != nil && isOn(b.cfg.Refusals) {
				all = append(all, topic{Refused, c.Member, r.said.policy, func() about { return refusing(c, r, time.Duration(b.cfg.RefusedFor)) }})
			}
			next = sooner(next, due)
		}
	}
	for id := range b.refusals {
		if !known[id] {
			delete(b.refusals, id)
		}
	}
	b.forget(open)
	if isOn(b.cfg.Failures) {
		for m, s := range b.streaks {
			// Who only looks tries no more; what is held is given back in any mode.
			if s.bad >= b.cfg.After && (held[m] || b.acts(s.policy, m)) {
				all = append(all, topic{StepFailed, m, s.policy, func() about { return failing(m, s) }})
			}
		}
	}
	slices.SortFunc(all, func(a, o topic) int {
		return cmp.Or(slices.Index(Names, a.name)-slices.Index(Names, o.name), a.member.Compare(o.member), strings.Compare(a.policy, o.policy))
	})
	left = max(0, len(all)-mostAlerts)
	for _, t := range all[:len(all)-left] {
		o := t.words()
		if o.starts.IsZero() || o.starts.After(now) {
			o.starts = now
		}
		out = append(out, o.alert(b.base))
	}
	return out, left, next
}

// sooner is the earlier of two times, of which a zero one is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// isOut says whether a hold keeps its member as we put it: from when that was read back
// until it was read back as it was before.
func isOut(h *journal.Hold) bool {
	switch h.Phase {
	case journal.Superseded, journal.Orphaned, journal.Reverted, journal.Closed:
		return false
	}
	return !h.Phase.Candidate() && !h.Since.IsZero()
}

func standing(h *journal.Hold) about {
	to := goal(h)
	o := about{
		name: Step, member: h.Member, policy: h.Policy, bypass: h.Bypass, starts: h.Since, more: map[string]string{labelTo: to},
		summary: "Sluice holds " + where(h.Member) + " in " + to,
		lines: []string{
			"Out since " + at(h.Since) + ", by policy " + clean(h.Policy) + ".",
			sentence("Why", h.Reason), sentence("What is left", finding(h.Decision, "min_serving")),
			fmt.Sprintf("Before it was %s with weight %d.", h.Preimage.Admin, h.Preimage.Weight),
		},
	}
	if h.Bypass {
		o.summary = "Sluice has a bypass round pool " + clean(h.Member.Pool) + " on " + clean(h.Member.Device) + ": " + clean(h.Member.Name)
		o.lines[0] = "Stands since " + at(h.Since) + ", by policy " + clean(h.Policy) + ", until " + at(h.MaxUntil) + " at the latest."
		o.lines[2], o.lines[3] = "", ""
	}
	if len(h.Along) > 0 {
		var names []string
		for _, m := range h.Along {
			names = append(names, m.String())
		}
		o.lines = append(o.lines, sentence("Moved along", strings.Join(names, ", ")))
	}
	if !h.Bypass {
		o.lines = append(o.lines, "It comes back by itself when it has proved well.")
	}
	return o
}

// wanted is what a claim asks for, in a sentence.
func wanted(c *journal.Hold) string {
	if c.Bypass {
		return "bring in " + where(c.Member) + " as a bypass"
	}
	return "put " + where(c.Member) + " in " + goal(c)
}

// waits says whether no person has answered yet: where one has, the guards are asked
// about the step at once.
func waits(c *journal.Hold, now time.Time) bool {
	return c.Answer == nil || !now.Before(c.Answer.Until)
}

func (b *book) waiting(c *journal.Hold) about {
	o := about{
		name: ApprovalWaits, member: c.Member, policy: c.Policy, bypass: c.Bypass, starts: c.Changed, more: map[string]string{labelTo: goal(c)},
		summary: "Sluice waits for a person's word to " + wanted(c), page: "approvals#t-" + c.ID,
		lines: []string{"All other guards agree, and the member stays in rotation until somebody approves."},
	}
	if r := b.refusals[c.ID]; r != nil {
		o.lines = append(o.lines, sentence("Evidence", r.evidence), sentence("What is left", r.left))
	}
	return o
}

// refused is what is to be told of a step that a guard keeps refusing; nil while that
// is nothing, and due is when it may be something.
func (b *book) refused(c *journal.Hold, now time.Time) (r *refusal, due time.Time) {
	if c.Refused == "" {
		delete(b.refusals, c.ID) // nothing is refused, but nothing is wanted either: a person gave it back
		return nil, due
	}
	if r = b.refusals[c.ID]; r == nil {
		r = remembered(c)
		b.refusals[c.ID] = r
	}
	after := time.Duration(b.cfg.RefusedFor)
	r.advance(now, after)
	if due = r.due(after); r.said == (word{}) {
		return nil, due
	}
	return r, due
}

func refusing(c *journal.Hold, r *refusal, after time.Duration) about {
	// It begins when it may be told. One that has lasted for longer than group_wait is
	// sent without waiting for the rest of its group, and the rest comes a
	// group_interval later. Source: Alertmanager, dispatch/dispatch.go, aggrGroup.insert.
	return about{
		name: Refused, member: c.Member, policy: r.said.policy, bypass: c.Bypass, starts: r.began.Add(after),
		more:    map[string]string{labelGuard: r.said.guard, labelReason: r.said.reason, labelTo: goal(c)},
		summary: "Sluice refuses to " + wanted(c) + ": guard " + r.said.guard,
		lines: []string{
			"An alert has asked for it since " + at(r.began) + ", and nothing was done.",
			sentence("Guard "+r.now.guard, r.detail), sentence("Evidence", r.evidence), "A person should look.",
		},
	}
}

func failing(m edge.Member, s *streak) about {
	return about{
		name: StepFailed, member: m, policy: s.policy, starts: s.began,
		summary: fmt.Sprintf("%d steps of Sluice in a row on %s came to nothing", s.bad, where(m)),
		lines: []string{
			"The first at " + at(s.began) + ", the last at " + at(s.at) + ".",
			sentence("The last one was "+s.result, s.detail), "It is tried again, more and more seldom.",
		},
	}
}
