package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Standing says whether this replica may write. The zero Standing may: where
// there is one replica, nobody has to be asked.
type Standing struct {
	Standby string        // who leads instead, in words; empty when we do
	Leased  bool          // our leadership is a lease, and Left is what is left of it
	Left    time.Duration //
	Need    time.Duration // a step's timeout and a margin
}

// Leads is the guard on leadership alone, for the moment before a command. It
// has no reason when this replica may write.
func Leads(l Standing) Refusal {
	reason, detail := leader(Step{}, World{Standing: l})
	return Refusal{Guard: "leader", Reason: reason, Detail: detail}
}

// leader: only the replica that leads writes, and only while its lease outlasts
// the step (SAFETY.md I16). A person's word doesn't change that: there would be
// two writers.
func leader(_ Step, w World) (string, string) {
	l := w.Standing
	switch {
	case l.Standby != "":
		return "standby", l.Standby
	case l.Leased && l.Left < l.Need:
		return "lease_short", fmt.Sprintf("%s of the lease are left, a step may take %s", l.Left.Round(time.Millisecond), l.Need)
	case l.Leased:
		return "", fmt.Sprintf("this replica leads, with %s of its lease left", l.Left.Round(time.Millisecond))
	}
	return "", "this is the only replica"
}

// maintenance: people are at work on the member. Nothing is taken out, and
// nothing is given back, by ourselves.
func maintenance(s Step, w World) (string, string) {
	all := strings.Join(slices.Concat(w.Windows, w.Made), ", ")
	switch {
	case all == "":
		return "", "no maintenance window is in force"
	case s.ByHand:
		return "", "in maintenance, yet a person asks: " + all
	}
	return "window", "in maintenance: " + all
}

// hours: nothing is taken out, and no bypass begun, while nobody is there to see
// it. What is out comes back at any hour.
func hours(s Step, w World) (string, string) {
	switch {
	case w.Closed == "":
		return "", "within active hours"
	case !s.takesOut() || s.ByHand:
		return "", "adds capacity, which isn't bound to hours"
	}
	return "outside", w.Closed
}

// An Approval is what a person said of one step on one member. It serves once.
type Approval struct {
	By    string
	Until time.Time // an answer that is older than this is none
	Yes   bool
	Note  string
}

// approval is the last guard: it asks nobody about a step that another refuses,
// and an answer is worth nothing when by now another does (SAFETY.md I17).
func approval(s Step, w World) (string, string) {
	a := w.Approval
	switch {
	case w.Policy == nil || !w.Policy.Approve:
		return "", "no approval is wanted"
	case !s.takesOut():
		return "", "gives back, which needs no approval"
	case a == nil:
		return "awaiting", "a person has to approve it"
	case !a.Yes:
		return "rejected", fmt.Sprintf("%s said no: %s", a.By, a.Note)
	case w.Now.After(a.Until):
		return "expired", fmt.Sprintf("the word of %s is over since %s", a.By, a.Until.UTC().Format(time.RFC3339))
	}
	return "", "approved by " + a.By
}
