package announce

import (
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Results and events of the journal's entries, as the engine writes them.
const (
	eventStep    = "step"
	eventRefusal = "refusal"
	eventEffect  = "effect"

	applied       = "applied"
	failed        = "failed"
	indeterminate = "indeterminate"
	superseded    = "superseded"
	ineffective   = "ineffective"
)

// inARow is how far apart two attempts may be that are read from a journal of the
// time before: the engine tries again after five minutes at the latest, for as long
// as the claim lasts.
const inARow = 15 * time.Minute

// A streak is the steps in a row on one target that came to nothing.
type streak struct {
	bad     int
	unknown bool // the last one's outcome isn't known yet: what comes of it is no further step
	before  int  // bad, before the take-out that was applied last: its effect may show that it was for nothing
	idle    bool // that take-out had no effect: to give back is no success of it

	policy string    // of the first
	began  time.Time // when the first was seen to come to nothing
	at     time.Time // of the last outcome
	result string
	detail string
}

// step goes on with the outcome of a command of ours.
func (s *streak) step(e *journal.Entry) {
	s.at = e.At
	switch e.Result {
	case failed:
		if !s.unknown {
			s.fail(e)
		}
		s.unknown = false
		s.result, s.detail = e.Result, e.Detail
	case indeterminate:
		if !s.unknown {
			s.fail(e)
		}
		s.unknown = true
		s.result, s.detail = e.Result, e.Detail
	case applied:
		if s.unknown {
			s.bad--
		}
		s.unknown = false
		back := e.To == journal.Reverted
		switch {
		case back && s.idle:
		case back:
			s.bad, s.before = 0, 0
		default:
			s.bad, s.before, s.idle = 0, s.bad, false
		}
	}
}

func (s *streak) fail(e *journal.Entry) {
	if s.bad == 0 {
		s.began, s.policy = e.At, e.Policy
	}
	s.bad++
}

// effect goes on with what a take-out was good for. Unknown is not ineffective.
func (s *streak) effect(e *journal.Entry) {
	if e.Result != ineffective {
		s.before, s.idle = 0, false
		return
	}
	s.at = e.At
	began, policy := s.began, s.policy
	s.bad = s.before
	s.fail(e)
	if s.before > 0 {
		s.began, s.policy = began, policy
	}
	s.before, s.idle = 0, true
	s.result, s.detail = ineffective, e.Detail
}

// outcome goes on with an entry, whatever it is about.
func (b *book) outcome(e *journal.Entry) {
	if e.Member == nil {
		return
	}
	m := *e.Member
	switch {
	case e.From.Candidate() && e.To == journal.Closed, e.Result == superseded: // the claim has ended, or it is somebody else's
		delete(b.streaks, m)
		return
	case e.Order != "" || e.Actor != "" && e.Hold == "": // a person's, who was told at once
		return
	case e.Event != eventStep && e.Event != eventEffect:
		return
	}
	switch e.Result {
	case failed, indeterminate, applied, ineffective, "effective", "unknown":
	default:
		return // nothing was sent
	}
	s := b.streaks[m]
	if s == nil || b.recalling && e.At.Sub(s.at) > inARow {
		s = new(streak)
		b.streaks[m] = s
	}
	if e.Event == eventEffect {
		s.effect(e)
	} else {
		s.step(e)
	}
}

// forget drops streaks that are over: the claim is seen no more, for sure, and there
// is no record of the target.
func (b *book) forget(open map[edge.Member]bool) {
	for m := range b.streaks {
		if !open[m] && b.ended(m) {
			delete(b.streaks, m)
		}
	}
}
