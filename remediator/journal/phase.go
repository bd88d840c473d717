package journal

import (
	"fmt"
	"slices"
)

// A Phase is where one remediation stands. The names and the ways between them
// are the state machine of SAFETY.md.
type Phase string

// The zero Phase is that of a hold which isn't in the journal yet.
const (
	Observed         Phase = "observed"
	Pending          Phase = "pending"
	Guarded          Phase = "guarded"
	Deferred         Phase = "deferred"
	AwaitingApproval Phase = "awaiting_approval"
	Intent           Phase = "intent"
	Applying         Phase = "applying"
	Indeterminate    Phase = "indeterminate"
	Applied          Phase = "applied"
	Holding          Phase = "holding" // "verified" in SAFETY.md's table
	ReleasePending   Phase = "release_pending"
	Reverting        Phase = "reverting"
	Reverted         Phase = "reverted"
	Superseded       Phase = "superseded"
	Expiring         Phase = "expiring"
	Quarantined      Phase = "quarantined"
	Failed           Phase = "failed"
	Orphaned         Phase = "orphaned"
	Closed           Phase = "closed" // has left the journal's holds; its entries stay
)

// legal lists for each phase those that may follow it. To stay in a phase (a
// lease renewed, a counter raised) is always legal, except in Closed.
//
// Six kinds of way are not in SAFETY.md's table and stand here because the
// engine can't do without them; each leads to less being done, or through all
// guards again:
//   - any phase in which the member is out may find it changed by somebody else
//     (Superseded) or gone from the device (Orphaned);
//   - an Intent whose guards refuse just before the write is closed unsent, and
//     one that a crash left behind is Indeterminate until it is read back;
//   - a device that forgot a hold (new process) gets a new Intent for it;
//   - Indeterminate serves the way back too, so it may turn out Reverted;
//   - a Superseded hold whose member only got another address is out by us alone:
//     by a person's word it is given back (ReleasePending);
//   - a Superseded hold that a person took over through us goes on as a candidate
//     (Guarded), so that their word stands while the claim lasts.
var legal = map[Phase][]Phase{
	"":               {Observed, Intent},
	Observed:         {Pending, Closed},
	Pending:          {Guarded, Closed},
	Guarded:          {AwaitingApproval, Intent, Deferred, Quarantined, Closed},
	Deferred:         {Guarded, Closed},
	AwaitingApproval: {Guarded, Closed},
	Intent:           {Applying, Indeterminate, Failed, Superseded, Orphaned, Closed},
	Applying:         {Applied, Failed, Indeterminate, Superseded, Orphaned},
	Indeterminate:    {Applied, Failed, Reverted, Superseded, Orphaned},
	Applied:          {Holding, Failed, Superseded, Orphaned},
	Holding:          {ReleasePending, Superseded, Expiring, Intent, Orphaned},
	ReleasePending:   {Reverting, Holding, Superseded, Expiring, Intent, Orphaned},
	Reverting:        {Reverted, Indeterminate, Failed, Superseded, Orphaned},
	Reverted:         {Closed, Guarded, Orphaned},
	Superseded:       {Closed, Orphaned, ReleasePending, Guarded},
	Expiring:         {ReleasePending, Holding, Superseded, Intent, Orphaned},
	Quarantined:      {Guarded, Closed},
	Failed:           {Deferred, Intent, ReleasePending, Holding, Superseded, Orphaned, Closed},
	Orphaned:         {Closed},
	Closed:           {},
}

// Candidate says that nothing has been done to the member yet.
func (p Phase) Candidate() bool {
	switch p {
	case Observed, Pending, Guarded, Deferred, AwaitingApproval, Quarantined:
		return true
	}
	return false
}

// Judge returns the phases by which a candidate in phase p comes to Guarded, where
// all guards are asked. None is left out, and none leads past the guards.
func (p Phase) Judge() []Phase {
	switch p {
	case "":
		return []Phase{Observed, Pending, Guarded}
	case Observed:
		return []Phase{Pending, Guarded}
	case Guarded:
		return nil
	}
	return []Phase{Guarded}
}

// CanBecome says whether the state machine has a way from p to next.
func (p Phase) CanBecome(next Phase) bool {
	if p == next {
		return p != Closed && p != ""
	}
	return slices.Contains(legal[p], next)
}

// check returns [ErrIllegal] for a step that the state machine doesn't have.
func (p Phase) check(next Phase) error {
	if p.CanBecome(next) {
		return nil
	}
	from := p
	if from == "" {
		from = "nothing"
	}
	return fmt.Errorf("from %s to %s: %w", from, next, ErrIllegal)
}
