package announce

import (
	"strings"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
)

// A word is which guard refuses, and why.
type word struct{ guard, reason, policy string }

// byPeople are guards by which a person has spoken, or the devices' calendar: who
// froze, silenced or claimed something needn't be told what comes of it. A step that
// waits for a person's word has an alert of its own, and what another replica does
// is told by that one.
var byPeople = map[string]bool{
	"freeze": true, "silence": true, "foreign": true, "maintenance": true, "hours": true, "approval": true, "leader": true,
}

// A refusal is how long, and by whom, the step on one candidate is refused. What was
// announced keeps its guard and reason until another one has stood as long as it
// takes to be announced: guards that take turns are one trouble, and one message.
type refusal struct {
	now   word
	since time.Time // when that was first said
	began time.Time // when the first of an unbroken row of refusals was said; zero while a person's word is all there is
	said  word      // as it is announced; none while it isn't

	detail   string
	evidence string
	left     string // of the pool, by the guard that counts
}

// hear goes on with an entry of the journal.
func (r *refusal) hear(e *journal.Entry, after time.Duration) {
	r.advance(e.At, after)
	r.tell(word{e.Guard, e.Reason, e.Policy}, e.At)
	r.detail, r.evidence, r.left = e.Detail, evidence(e.Evidence), finding(e.Decision, "min_serving")
}

func (r *refusal) tell(w word, at time.Time) {
	r.now, r.since = w, at
	switch {
	case byPeople[w.guard] && r.said == (word{}):
		r.began = time.Time{}
	case r.began.IsZero():
		r.began = at
	}
}

// advance lets time pass.
func (r *refusal) advance(now time.Time, after time.Duration) {
	if due := r.due(after); !due.IsZero() && !now.Before(due) {
		r.said = r.now
	}
}

// due is when the next announcement is; zero when nothing is to be told.
func (r *refusal) due(after time.Duration) time.Time {
	switch {
	case byPeople[r.now.guard] || r.now == r.said:
		return time.Time{}
	case r.said == (word{}):
		return r.began.Add(after)
	}
	return r.since.Add(after)
}

// remembered makes a refusal of what the record of a candidate says itself, where the
// entries about it are too far back.
func remembered(c *journal.Hold) *refusal {
	r := new(refusal)
	parts := strings.SplitN(c.Refused, "/", 3)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	r.tell(word{parts[0], parts[1], parts[2]}, c.Changed)
	return r
}
