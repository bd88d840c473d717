package remediator

import (
	"context"
	"fmt"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Release is the section "release" of a policy: a member comes back by steps.
type Release struct {
	Weights []string       `yaml:"weights,omitempty"` // shares of its configured weight, rising: [10%, 50%]
	Watch   model.Duration `yaml:"watch,omitempty"`   // at each of them; left out: 30s

	percents []int
}

func (r *Release) validate() (all edge.Mistakes) {
	fill(&r.Watch, model.Duration(30*time.Second))
	all.Under("", lasting(length{"watch", r.Watch}))
	if len(r.Weights) == 0 {
		all.Add("weights", "is missing: write shares of the weight, rising, such as [10%%, 50%%]")
	}
	r.percents = nil
	for i, text := range r.Weights {
		a, err := guard.ParseAmount(text)
		if err != nil || a.Percent == 0 || a.Percent == 100 || i > 0 && a.Percent <= r.percents[i-1] {
			all.Add(fmt.Sprintf("weights[%d]", i), "%q: write shares of 1%% to 99%%, rising; the last step to the whole weight comes by itself", text)
			return all
		}
		r.percents = append(r.percents, a.Percent)
	}
	return all
}

// The stages of a hold beside plainly holding.
const (
	stageDraining  = journal.StageDraining
	stageProbation = journal.StageProbation
)

// lowered says that the weight of what is held is of our making: it comes back by
// weights, or a step of that was cut off.
func lowered(h *journal.Hold) bool {
	return h.Stage == stageProbation || !h.Since.IsZero() && h.Left.Share != h.Preimage.Share
}

// first is the state that a step begins with: a drain, where sessions may end first.
func (p *Policy) first() edge.Admin {
	if p.to == edge.Maint && p.DrainWait > 0 {
		return edge.Drain
	}
	return p.to
}

// tendDraining goes on from drain to maint when the sessions have ended, or when
// they have had their time.
func (k *keeper) tendDraining(ctx context.Context, h *journal.Hold, snap edge.Snapshot, p *Policy) {
	st, _ := snap.State(h.Member)
	if p.to != edge.Maint { // the policy says otherwise by now
		h.Stage = ""
		_ = k.put(h, journal.Entry{}) // logged; tried again
		return
	}
	sessions := st.Sessions
	for _, m := range h.Along { // what follows it goes to maint with it
		sessions += snap.States[m].Sessions
	}
	waited := time.Since(h.StageAt)
	limit := time.Duration(p.DrainWait)
	if sessions > 0 && waited < limit || time.Now().Before(h.RetryAt) {
		return
	}
	why := fmt.Sprintf("its sessions ended after %s", waited.Round(time.Second))
	if sessions > 0 {
		why = fmt.Sprintf("%d sessions are left after drain_wait of %s", sessions, p.DrainWait)
	}
	k.goOn(ctx, h, snap, p, journal.Goal{To: edge.Maint}, "", why)
}

// begin is the first step of a way back by steps. It returns false where there is
// none: not asked for, a device without weights, or a weight that can't be lowered.
func (k *keeper) begin(ctx context.Context, h *journal.Hold, snap edge.Snapshot, p *Policy) bool {
	if p.Release == nil || h.Bypass || h.Direct || h.Stage == stageProbation || h.Preimage.OnOff || h.Preimage.Admin != edge.Ready {
		return false
	}
	st, _ := snap.State(h.Member)
	switch {
	case st.Share != h.Left.Share: // a person weighed it meanwhile: no weight of ours
		return false
	case h.Preimage.Share == 0, h.Preimage.Share == 1 && p.Confirm != "traffic":
		return false
	}
	h.StageNo = 0
	share := p.share(h, 0)
	k.goOn(ctx, h, snap, p, journal.Goal{To: edge.Ready, Share: share}, stageProbation, fmt.Sprintf("back with weight %d of %d, for %s", share, h.Preimage.Share, p.Release.Watch))
	return true
}

// tendProbation watches a member that is in again with little weight: out again
// when it fails, more when it has been well for long enough.
func (k *keeper) tendProbation(ctx context.Context, h *journal.Hold, snap edge.Snapshot, t *target, p *Policy) time.Duration {
	now := time.Now()
	if now.Before(h.RetryAt) {
		return h.RetryAt.Sub(now)
	}
	e, watch := k.own[h.Member], 30*time.Second
	if p.Release != nil {
		watch = time.Duration(p.Release.Watch)
	}
	if p.Confirm == "traffic" {
		e = k.flow.evidence(p.Traffic, h.Member, h.StageAt, now)
		k.learn(h.Member, e)
		k.courses[h.Member].take(e, 1) // nobody else watches it
	}
	st, _ := snap.State(h.Member)
	atMax := now.After(h.MaxUntil) && p.AtMax == "release"
	switch why := fails(p, e, st, t, h.StageAt); {
	case why != "":
		h.Relapses++
		if c := k.courses[h.Member]; c != nil { // whoever found it bad: it has to prove well again
			c.goodCount, c.goodSince = 0, time.Time{}
		}
		goal, next := journal.Goal{To: p.first()}, ""
		if h.Left.Share != h.Preimage.Share {
			goal.Share = h.Preimage.Share
		}
		if p.first() != p.to {
			next = stageDraining
		}
		k.goOn(ctx, h, snap, p, goal, next, "fails again: "+why)
		return lookHeld
	case t != nil:
		return lookHeld
	case e.Answer == edge.Yes && atMax:
	case now.Sub(h.StageAt) < watch:
		return lookHeld
	case e.Answer != edge.Yes && p.Confirm != "traffic": // blind means still
		return lookHeld
	case e.Answer != edge.Yes && now.Sub(h.StageAt) < max(patience*watch, leastPatience) && !atMax:
		return lookHeld
	case p.Release != nil && h.StageNo+1 < len(p.Release.percents):
		h.StageNo++
		share := p.share(h, h.StageNo)
		k.goOn(ctx, h, snap, p, journal.Goal{To: edge.Ready, Share: share}, stageProbation, fmt.Sprintf("weight %d of %d after %s: %s", share, h.Preimage.Share, now.Sub(h.StageAt).Round(time.Second), e.Detail))
		return lookHeld
	}
	return k.giveBack(ctx, h, t, p, false)
}

// A member of which too little traffic is heard, at night for one, isn't kept at a
// little weight for ever: nobody claims it, and after so many times its watch it
// goes on.
const (
	patience      = 10
	leastPatience = 5 * time.Minute
)

// fails says why a member on its way back has to go out again; empty when it
// doesn't: our own evidence since it came in, the device's check, or, where only
// traffic shows it, a claim that no traffic contradicts.
func fails(p *Policy, e guard.Evidence, st edge.State, t *target, since time.Time) string {
	switch {
	case e.Answer == edge.No && e.At.After(since):
		return e.Detail
	case st.Check == edge.No:
		return "the device's own check finds it bad"
	case t != nil && p.Confirm == "traffic" && e.Answer != edge.Yes:
		return "it is claimed again, and nothing of ours finds it well: " + e.Detail
	}
	return ""
}

// goOn makes a further step on a member that we hold. The guards that ask whether
// a member may be taken out were asked when it was; these are about who may write,
// and whether it is still as we left it.
func (k *keeper) goOn(ctx context.Context, h *journal.Hold, snap edge.Snapshot, p *Policy, goal journal.Goal, stage, why string) {
	if !acts(p.Mode) { // lowered since: the hold waits where it is
		if k.r.news("further:"+h.Member.String(), "mode "+p.Mode) {
			k.r.record(journal.Entry{Event: "step", Member: &h.Member, Hold: h.ID, Policy: p.Name, Admin: goal.To.String(), Result: "dry_run", Detail: "mode is " + p.Mode + ": no further step; " + why})
		}
		return
	}
	w, err := k.world(snap, p, nil, h.Member, k.own)
	if err != nil {
		return
	}
	d := guard.Decide(guard.Step{Member: h.Member, To: goal.To, Share: goal.Share, Further: true}, w)
	if !d.Allowed() {
		k.r.refuse("further:"+h.Member.String(), &h.Member, p.Name, *d.Refusal, &d)
		return
	}
	h.Goal, h.NextStage, h.Phase, h.Undo, h.Deadline = &goal, stage, journal.Intent, false, time.Now().Add(sendTimeout)
	level.Info(k.r.logger).Log("msg", "further step", "member", h.Member, "to", goal.To, "weight", goal.Share, "reason", why)
	k.do(ctx, &act{
		hold: h, snap: snap,
		entry: journal.Entry{Event: "intent", Admin: goal.To.String(), Detail: why, Evidence: marshal(k.own[h.Member]), Decision: marshal(d), World: record(w, h.Member), Row: row(w, h.Member)},
	})
}

// share is the configured weight at one of a policy's steps, never 0.
func (p *Policy) share(h *journal.Hold, step int) int {
	return max(1, h.Preimage.Share*p.Release.percents[min(step, len(p.Release.percents)-1)]/100)
}
