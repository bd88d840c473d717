package remediator

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// An Await is one thing that a hold waits for before its member comes back.
type Await struct {
	// Word says what: asked, claimed, unsettled, mode, superseded, frozen,
	// maintenance, claim, device_check, evidence, hold_down, held_for, probation,
	// drained, retry, due.
	Word   string    `json:"word"`
	Since  time.Time `json:"since,omitzero"` // of what is there already: evidence good since, claim last seen
	Until  time.Time `json:"until,omitzero"` // when it is there, if nothing gets worse
	Want   int       `json:"want,omitempty"` // good results in a row
	Detail string    `json:"detail,omitempty"`
}

// Awaits says what is missing until a hold is given back, by what is recorded
// and without asking a device. It is for people: the guards judge by themselves
// when it comes to that.
func (r *Remediator) Awaits(h journal.Hold) (out []Await) {
	now := time.Now()
	add := func(a Await) { out = append(out, a) }
	switch h.Phase {
	case journal.Intent, journal.Applying, journal.Indeterminate, journal.Applied, journal.Reverting, journal.Reverted, journal.Failed:
		add(Await{Word: "unsettled", Until: h.Deadline, Detail: h.Note})
		return out
	case journal.Superseded:
		add(Await{Word: "superseded", Detail: h.Superseded})
		return out
	}
	r.mu.Lock()
	set, view := r.set, r.view
	r.mu.Unlock()
	if h.Handed != "" {
		add(Await{Word: "claimed", Detail: h.Handed})
		return out
	}
	if h.ReleaseBy != "" {
		add(Await{Word: "asked", Since: h.ReleaseAt, Detail: h.ReleaseBy})
		return out
	}
	if set.cfg == nil {
		return nil
	}
	p := set.held(h.Policy, h.Member)
	stop, members := r.barriers(), append([]edge.Member{h.Member}, h.Along...)
	if why := stop.frozen(members...); why != "" {
		add(Await{Word: "frozen", Detail: why})
	}
	if !acts(p.Mode) {
		add(Await{Word: "mode", Detail: p.Mode})
	}
	for _, window := range append(set.cfg.in(now, members...), stop.in(now, members...)...) {
		add(Await{Word: "maintenance", Detail: window})
	}
	for _, c := range view.Claims {
		if c.Member == h.Member || slices.Contains(h.Claims, c.Key) {
			add(Await{Word: "claim", Since: c.UpdatedAt, Detail: c.Key})
		}
	}
	out = append(out, r.awaitsEvidence(set, p, h, now)...)
	switch h.Stage {
	case stageProbation:
		add(Await{Word: "probation", Since: h.StageAt})
	case stageDraining:
		add(Await{Word: "drained", Since: h.StageAt})
	}
	if h.RetryAt.After(now) {
		add(Await{Word: "retry", Until: h.RetryAt})
	}
	if len(out) == 0 {
		add(Await{Word: "due"})
	}
	return out
}

// awaitsEvidence is what is missing to be sure that the member is well.
func (r *Remediator) awaitsEvidence(set *settings, p *Policy, h journal.Hold, now time.Time) []Await {
	limits := set.limits(p, h.Member)
	w := guard.World{Now: now, Policy: limits, Held: map[edge.Member]guard.Held{h.Member: {GoodSince: h.GoodSince}}}
	r.ledger.tell(&w, h.Member, nil, set.cfg.horizon())
	if p.Confirm == "traffic" {
		if until := h.Since.Add(guard.HoldFor(w)); until.After(now) {
			return []Await{{Word: "held_for", Since: h.Since, Until: until}}
		}
		return nil
	}
	if h.Phase != journal.ReleasePending || h.GoodSince.IsZero() {
		word := "evidence"
		if p.Confirm == "none" {
			word = "device_check"
		}
		return []Await{{Word: word, Want: limits.Rise}}
	}
	need, why := guard.HoldDown(h.Member, w)
	if until := h.GoodSince.Add(need); until.After(now) {
		return []Await{{Word: "hold_down", Since: h.GoodSince, Until: until, Detail: why}}
	}
	return nil
}

// Records are the journal as people's interfaces read it, and freeze by it.
func (r *Remediator) Records() control.Journal {
	if r.journal == nil {
		return noJournal{r.broken}
	}
	return r.journal
}
