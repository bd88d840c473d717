package guard

import (
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Budget bounds what we do everywhere, whatever each policy allows.
type Budget struct {
	MaxHeld int           // members held by us at the same time, on all devices; 0: no limit
	Steps   int           // that take out, in Window, on all devices; 0: no limit
	Window  time.Duration // over which steps are counted
}

// Spent is what of the budgets is used. It comes from the journal, so a restart
// or another replica brings no new budget (SAFETY.md I3).
type Spent struct {
	Held  int               // members held by us, or about to be, on all devices
	Steps int               // that took out, in the window, on all devices
	Pool  map[edge.Pool]int // the same, of the pools that the step moves
}

// budget: at most max_held members of a pool are out by us, and no more steps in
// the window than the policy and the whole budget allow, in every pool that the
// step moves (SAFETY.md I3).
func budget(s Step, w World) (string, string) {
	if w.Policy == nil || !s.takesOut() {
		return "", "gives back"
	}
	moved := 1 + len(w.along(s))
	switch b := w.Policy.Budget; {
	case b.MaxHeld > 0 && w.Spent.Held+moved > b.MaxHeld:
		return "overall_held", fmt.Sprintf("%d members are held by us on all devices, remediation.budget allows %d", w.Spent.Held, b.MaxHeld)
	case b.Steps > 0 && w.Spent.Steps >= b.Steps:
		return "overall_steps", fmt.Sprintf("%d members were taken out in %s on all devices, remediation.budget allows %d", w.Spent.Steps, b.Window, b.Steps)
	}
	return everywhere(s, w, func(m edge.Member, p *Policy) (string, string) {
		going := s.moves(w, m)
		n := len(going) - 1
		for other := range w.Held {
			if other.In() == m.In() && !contains(going, other) {
				n++
			}
		}
		detail := fmt.Sprintf("%d others of the pool are held by us, max_held is %d", n, p.MaxHeld)
		switch spent := w.Spent.Pool[m.In()]; {
		case n >= p.MaxHeld:
			return "max_held", detail
		case p.MaxSteps > 0 && spent >= p.MaxSteps:
			return "max_steps", fmt.Sprintf("%d members of the pool were taken out in %s, max_steps is %d", spent, p.Budget.Window, p.MaxSteps)
		}
		return "", detail
	})
}
