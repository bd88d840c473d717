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
	Along       []edge.Member `json:"along,omitempty"`    // members of other pools that the step moved too
	Seq         uint64        `json:"seq"`                // of the last line about it

	lost  bool      // its hold is of a journal that is gone
	out   bool      // its hold was carried out, by its own word
	under *Standing // a lost one on the same member, which stands until this one is carried out
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

// carriedOut are the phases that only a hold has whose step was read back.
var carriedOut = []journal.Phase{
	journal.Applied, journal.Holding, journal.ReleasePending, journal.Reverting, journal.Reverted, journal.Expiring, journal.Superseded,
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
	m := *l.Member
	st := s.at[m]
	same := st != nil && st.Hold == l.Hold && !st.lost
	switch {
	case l.To == journal.Closed && same && st.under != nil && !st.out:
		s.at[m] = st.under // it did nothing, so what stood before stands
		return
	case l.To == journal.Closed && same, same && st.out && slices.Contains(untouched, l.To):
		delete(s.at, m) // also one that a person had given back, and that is only judged from there on
		return
	case l.To == journal.Closed, !same && slices.Contains(untouched, l.To):
		return // a hold that has done nothing takes no place, and leaves none
	case !same:
		// A member has one hold at a time (SAFETY.md I9), so another one there is of
		// a journal that was lost. What the member was before it is still to be given back.
		next := &Standing{Member: m, Hold: l.Hold, Since: l.At, under: st}
		if st != nil {
			next.Since, next.Preimage, next.Left, next.Along = st.Since, st.Preimage, st.Left, st.Along
		}
		st = next
	}
	st.out = st.out || slices.Contains(carriedOut, l.To)
	st.Phase, st.Seq = l.To, l.Seq
	st.Policy = cmp.Or(l.Policy, st.Policy)
	st.Remediation = cmp.Or(l.Remediation, st.Remediation)
	if l.To == journal.Intent {
		st.Admin = cmp.Or(l.Admin, st.Admin)
		st.Reason = cmp.Or(l.Detail, detailOf(l.Evidence), l.Reason, st.Reason)
	}
	if l.Preimage != nil && (st.under == nil || st.under.Preimage == nil) {
		st.Preimage = l.Preimage
	}
	if l.Left != nil {
		st.Left = l.Left
	}
	if l.Along != nil {
		st.Along = l.Along
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
