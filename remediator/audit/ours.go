package audit

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A Standing is a member that is ours by the stream's word alone: a write to it
// was recorded as intended, and its hold not as closed.
type Standing struct {
	edge.Member
	Hold        string        `json:"hold"`
	Phase       journal.Phase `json:"phase"` // the last one; until it is "applied" the write may not have been made
	Admin       string        `json:"admin,omitempty"`
	Policy      string        `json:"policy,omitempty"`
	Remediation string        `json:"remediation,omitempty"`
	Since       time.Time     `json:"since"` // of the intent
	Reason      string        `json:"reason,omitempty"`
	Preimage    *edge.State   `json:"preimage,omitempty"` // what a release gives back; nil when no line has it
	Left        *edge.State   `json:"left,omitempty"`     // how we left it; nil when no line has it
	Seq         uint64        `json:"seq"`                // of the last line about it

	lost bool // its hold is of a journal that is gone
}

// A Standings follows a stream, line by line from its first, to what is ours at
// its end. The zero value is ready for use.
type Standings struct {
	at map[edge.Member]*Standing
}

// untouched are the phases in which nothing was yet sent to the device.
var untouched = []journal.Phase{
	journal.Observed, journal.Pending, journal.Guarded, journal.Deferred, journal.AwaitingApproval, journal.Quarantined,
}

// Add takes in the next line.
func (s *Standings) Add(l Line) {
	if l.Event == EventNewJournal {
		for _, st := range s.at {
			st.lost = true // ids are given again from here on
		}
	}
	if l.Hold == "" || l.Member == nil || l.To == "" {
		return
	}
	// A member has one hold at a time (SAFETY.md I9), so its last line settles it,
	// whatever the hold's id: also when a journal was lost in between.
	m := *l.Member
	old := s.at[m]
	if l.To == journal.Closed {
		delete(s.at, m)
		return
	}
	st := old
	if old == nil || old.Hold != l.Hold || old.lost {
		if slices.Contains(untouched, l.To) {
			// A hold that has done nothing yet takes no place; what stands is left.
			return
		}
		st = &Standing{Member: m, Hold: l.Hold, Since: l.At}
		if old != nil { // what the member was before all of it is still to be given back
			st.Since, st.Preimage, st.Left = old.Since, old.Preimage, old.Left
		}
	}
	st.Phase, st.Seq = l.To, l.Seq
	st.Policy = cmp.Or(l.Policy, st.Policy)
	st.Remediation = cmp.Or(l.Remediation, st.Remediation)
	if l.To == journal.Intent {
		st.Admin = cmp.Or(l.Admin, st.Admin)
		st.Reason = cmp.Or(l.Detail, detailOf(l.Evidence), l.Reason, st.Reason)
	}
	if l.Preimage != nil {
		st.Preimage = l.Preimage
	}
	if l.Left != nil {
		st.Left = l.Left
	}
	if s.at == nil {
		s.at = make(map[edge.Member]*Standing)
	}
	s.at[m] = st
}

// detailOf is what the evidence says for people. Evidence that has another
// shape says nothing.
func detailOf(evidence json.RawMessage) string {
	var in struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(evidence, &in) != nil {
		return ""
	}
	return strings.Join(strings.Fields(in.Detail), " ")
}

// List returns what is ours now, ordered by member.
func (s *Standings) List() []Standing {
	out := make([]Standing, 0, len(s.at))
	for _, st := range s.at {
		out = append(out, *st)
	}
	slices.SortFunc(out, func(a, b Standing) int { return a.Compare(b.Member) })
	return out
}

// Ours returns what is ours at the end of lines, which start at the stream's
// beginning or at least before all that is held.
func Ours(lines []Line) []Standing {
	var s Standings
	for _, l := range lines {
		s.Add(l)
	}
	return s.List()
}

// ReadOurs returns what is ours at the end of the stream whose newest file is
// path. With [ErrBroken] comes the list as it was before the first line that is
// wrong: who asks has lost the journal, and needs what there is.
func ReadOurs(path string) ([]Standing, Summary, error) {
	files, err := Files(path)
	if err != nil {
		return nil, Summary{}, err
	}
	var s Standings
	sum, err := Read(files, func(l Line) error { s.Add(l); return nil })
	return s.List(), sum, err
}
