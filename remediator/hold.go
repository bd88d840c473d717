package remediator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// handBack is how long a superseded hold stands after its claim ended.
const handBack = time.Hour

// tend does for one hold what is due, by what was just read. t is nil when no
// claim on the member is seen. It returns when it is due again; zero: no sooner
// than any hold.
func (k *keeper) tend(ctx context.Context, h *journal.Hold, snap edge.Snapshot, t *target) time.Duration {
	if snap.ReadOnly != "" {
		return lookHeld // what a node that isn't the active one shows is no word on what we left
	}
	st, known := snap.State(h.Member)
	if !known {
		k.orphan(h, "the device doesn't list it any more")
		return 0
	}
	switch h.Phase {
	case journal.Intent, journal.Applying, journal.Indeterminate, journal.Applied, journal.Reverting, journal.Reverted, journal.Failed:
		k.resume(h, snap, st)
		return 0
	case journal.Superseded:
		k.tendSuperseded(h, snap, st, t)
		return 0
	case journal.Orphaned:
		k.drop(h, journal.Entry{})
		return 0
	}
	if theirs, is := k.r.noticed(h); is { // whatever it looks like by now
		k.supersede(h, theirs)
		return 0
	}
	if snap.Process != h.Process {
		k.tendForgotten(ctx, h, snap, st, t)
		return 0
	}
	if !asLeft(h, st) {
		k.supersede(h, st)
		return 0
	}
	k.judgeEffect(h, snap, st)
	if h.Bypass {
		return k.tendBypass(ctx, h, snap, t)
	}
	return k.tendHolding(ctx, h, snap, t)
}

// resume goes on where a crash, or a device without an answer, left off: what is
// read decides, and nothing is sent again blindly (SAFETY.md I10, I11).
func (k *keeper) resume(h *journal.Hold, snap edge.Snapshot, st edge.State) {
	switch {
	case h.Phase == journal.Reverted:
		k.released(h)
	case h.Phase == journal.Failed && !h.Undo && h.Goal == nil:
		k.drop(h, journal.Entry{})
	case h.Phase == journal.Intent && h.Goal != nil:
		k.stays(h, journal.Entry{Detail: "interrupted before anything was sent"})
	case h.Phase == journal.Intent:
		k.drop(h, journal.Entry{Detail: fmt.Sprintf("interrupted before anything was sent; it is found %s (%s)", st.Admin, st.Marks)})
	case h.Phase == journal.Applied:
		h.Phase = journal.Holding
		_ = k.put(h, journal.Entry{}) // logged; the next round reads what stands
	case h.Phase == journal.Failed:
		h.Phase, h.Undo, h.Goal = journal.Holding, false, nil
		_ = k.put(h, journal.Entry{}) // logged; the next round reads what stands
	case snap.Process != h.Process && st.Marks == "" && h.Undo:
		k.settle(h, snap, nil)
	default:
		k.settle(h, snap, errInterrupted)
	}
}

// tendSuperseded keeps hands off until a person releases the hold, or until its
// claim has been gone for an hour with the member well.
func (k *keeper) tendSuperseded(h *journal.Hold, snap edge.Snapshot, st edge.State, t *target) {
	if h.ReleaseBy != "" && snap.Process == h.Process && st.Marks == h.Left.Marks && st.Admin == h.Left.Admin {
		// Only its address is another: that it is out is still our doing.
		h.Phase, h.Left.Address = journal.ReleasePending, st.Address
		_ = k.put(h, journal.Entry{Actor: h.ReleaseBy, Detail: "at another address than before, and out by us alone: given back by a person's word"}) // logged; tried again
		k.replan = true
		return
	}
	if h.ReleaseBy != "" {
		k.drop(h, journal.Entry{Detail: "released by " + h.ReleaseBy + "; its state is left as it was found", Actor: h.ReleaseBy})
		return
	}
	now := time.Now()
	if t != nil {
		if now.Sub(h.ClaimSeen) > time.Minute {
			h.ClaimSeen = now
			_ = k.put(h, journal.Entry{}) // logged; a later round writes it
		}
		return
	}
	k.r.mu.Lock()
	ended := k.r.view.AbsenceCounts() // a blind source doesn't say that a claim ended (SAFETY.md I6)
	k.r.mu.Unlock()
	if ended && now.Sub(h.ClaimSeen) > handBack && k.own[h.Member].Answer == edge.Yes {
		k.drop(h, journal.Entry{Detail: "its claim has ended and it is well; its state is left as it was found"})
	}
}

// tendForgotten deals with a device that restarted. What we had set may be gone:
// then it is planned again, through all guards, when it is still wanted.
func (k *keeper) tendForgotten(ctx context.Context, h *journal.Hold, snap edge.Snapshot, st edge.State, t *target) {
	switch {
	case st.Address != h.Left.Address:
		k.supersede(h, st)
		return
	case h.Stage == stageProbation && st.Share != h.Left.Share: // a state file keeps a weight too
		k.orphan(h, "the device restarted while the member came back by steps: it is in, with the weight of the configuration")
		return
	case st.Marks == h.Left.Marks && st.Admin == h.Left.Admin: // it came through, by a state file
		h.Process = snap.Process
		_ = k.put(h, journal.Entry{Event: "adopted", Detail: "the device restarted and kept the state"}) // logged; tried again
		return
	case h.Bypass && st.Marks == h.Preimage.Marks && st.Admin == h.Preimage.Admin:
		k.orphan(h, "the device restarted and forgot the bypass; it is judged anew while it is claimed")
		return
	case st.Marks != "" || h.Bypass:
		k.supersede(h, st)
		return
	}
	p, err := k.set.rule(h.Policy, h.Member)
	if err != nil || h.ReleaseBy != "" {
		k.orphan(h, "the device restarted and forgot it, and nobody wants it out")
		return
	}
	if t == nil {
		t = &target{member: h.Member, policy: p}
	}
	own := k.ask(ctx, p, h.Member, snap)
	if len(t.claims) == 0 && own[h.Member].Answer == edge.Yes {
		k.orphan(h, "the device restarted and forgot it; it is well and no claim is seen")
		return
	}
	if time.Now().Before(k.failures[h.Member].until) {
		return
	}
	w, err := k.world(snap, p, t, h.Member, own)
	if err != nil {
		return
	}
	delete(w.Held, h.Member)
	if len(w.Claims) == 0 { // our own hold stands for the claim that began it
		w.Claims = []guard.Claim{{Source: "hold " + h.ID, UpdatedAt: w.Now}}
	}
	d := guard.Decide(guard.Step{Member: h.Member, To: p.to}, w)
	switch {
	case k.mode(p, h.Member, w) != Auto:
		k.orphan(h, "the device restarted and forgot it; in mode "+k.mode(p, h.Member, w)+" it isn't taken out again without being judged as new")
	case !d.Allowed() && mayPass(*d.Refusal) && w.Now.Before(h.LeaseUntil):
		k.r.refuse(subject(h.Member), &h.Member, p.Name, *d.Refusal, &d)
	case !d.Allowed():
		k.r.refuse(subject(h.Member), &h.Member, p.Name, *d.Refusal, &d)
		k.orphan(h, "the device restarted and forgot it, and it may not be taken out again: "+d.Refusal.Detail)
	case w.Now.After(h.MaxUntil):
		k.orphan(h, "the device restarted and forgot it, and it was held for max_hold; a claim begins a new hold")
	default:
		k.takeOut(ctx, &target{member: h.Member, policy: p, claims: t.claims}, w, d, h)
	}
}

// mayPass says whether a refusal is of the moment: no answer yet, or no leader.
func mayPass(r guard.Refusal) bool {
	return r.Guard == "leader" || r.Guard == "evidence" && (r.Reason == "unknown" || r.Reason == "stale" || r.Reason == "no_second_source")
}

// tendHolding renews the lease by bad evidence, notes its end, and gives back on
// good evidence.
func (k *keeper) tendHolding(ctx context.Context, h *journal.Hold, snap edge.Snapshot, t *target) time.Duration {
	p := k.set.held(h.Policy, h.Member)
	c := k.courses[h.Member]
	if c == nil {
		return 0 // watched from the end of this round on
	}
	now := time.Now()
	k.lease(h, p, c, t, now)
	if h.ReleaseBy != "" {
		return k.giveBack(ctx, h, t, p, true)
	}
	switch {
	case h.Stage == stageProbation:
		return k.tendProbation(ctx, h, snap, t, p)
	case h.Stage == stageDraining:
		k.tendDraining(ctx, h, snap, p)
		if h.Stage != stageDraining || h.Phase == journal.Indeterminate {
			return lookHeld
		}
	}
	good := !c.goodSince.IsZero()
	atMax := !h.MaxUntil.IsZero() && now.After(h.MaxUntil)
	if atMax && p.AtMax == "release" && k.own[h.Member].Answer == edge.Yes {
		return k.giveBack(ctx, h, t, p, false)
	}
	w, err := k.world(snap, p, t, h.Member, k.own)
	if err != nil {
		return lookHeld
	}
	if p.Confirm == "traffic" && t == nil {
		if wait := guard.HoldFor(w) - now.Sub(h.Since); wait > 0 {
			return wait
		}
		return k.giveBack(ctx, h, t, p, false)
	}
	short := good && guard.Panics(h.Member, w) != ""
	if !good || t != nil && !short {
		if h.Phase == journal.ReleasePending { // bad again, or claimed again
			h.Phase = journal.Holding
			_ = k.put(h, journal.Entry{Detail: "no release yet: " + k.own[h.Member].Detail}) // logged; tried again
		}
		return 0
	}
	if h.Phase != journal.ReleasePending {
		h.Phase, h.GoodSince, h.GoodCount = journal.ReleasePending, c.goodSince, c.goodCount
		if k.put(h, journal.Entry{Evidence: marshal(k.own[h.Member])}) != nil {
			return 0
		}
		k.r.passes("release_pending.noted")
	}
	need, _ := guard.HoldDown(h.Member, w)
	if wait := need - now.Sub(c.goodSince); wait > 0 && !short {
		return wait
	}
	return k.giveBack(ctx, h, t, p, false)
}

// lease is renewed by bad evidence alone. Its end, and the hard end, never pass
// in silence (SAFETY.md I13, I26).
func (k *keeper) lease(h *journal.Hold, p *Policy, c *course, t *target, now time.Time) {
	changed := false
	if t != nil && now.Sub(h.ClaimSeen) > time.Minute {
		h.ClaimSeen, changed = now, true
	}
	if until := c.badAt.Add(time.Duration(p.Lease)); !c.badAt.IsZero() && until.Sub(h.LeaseUntil) > time.Duration(p.Lease)/2 {
		h.LeaseUntil, changed = until, true
	}
	e := journal.Entry{}
	over := now.After(h.LeaseUntil) && c.badAt.Add(time.Duration(p.Lease)).Before(now)
	switch {
	case h.Phase == journal.Holding && over && c.goodSince.IsZero():
		h.Phase, changed = journal.Expiring, true
		e.Detail = "the lease ended without evidence either way"
	case h.Phase == journal.Expiring && !over:
		h.Phase, changed = journal.Holding, true
	}
	if now.After(h.MaxUntil) && h.Paged.Before(h.MaxUntil) {
		h.Paged, changed = now, true
		e.Event, e.Detail = "escalation", "held for max_hold; at_max is "+p.AtMax
	}
	if !changed || k.put(h, e) != nil || e.Detail == "" {
		return
	}
	k.r.metrics.expired.WithLabelValues(h.Member.Device, h.Member.Pool).Inc()
	level.Error(k.r.logger).Log("msg", "hold is at its end", "member", h.Member, "detail", e.Detail)
}

// giveBack asks the guards and puts the preimage back.
func (k *keeper) giveBack(ctx context.Context, h *journal.Hold, t *target, p *Policy, byHand bool) time.Duration {
	now := time.Now()
	if now.Before(h.RetryAt) && !byHand {
		return h.RetryAt.Sub(now)
	}
	if f := k.failures[h.Member]; now.Before(f.until) {
		return f.until.Sub(now)
	}
	if wait := k.pace(h.Member.In()); wait > 0 {
		return wait
	}
	if !acts(p.Mode) && !byHand {
		if k.r.news(subject(h.Member), "would give back") {
			k.r.record(journal.Entry{Event: "step", Member: &h.Member, Policy: p.Name, Admin: edge.Ready.String(), Result: "dry_run", Detail: "mode is " + p.Mode + ": not given back"})
			k.count(h.Member, edge.Ready, "dry_run")
		}
		return lookHeld
	}
	snap, err := k.look(ctx) // again, right before the write
	if err != nil {
		return lookHeld
	}
	k.catchUp()
	if byHand {
		k.r.ledger.effect(h.Member.In(), effective) // somebody has looked at the pool
	}
	w, err := k.world(snap, p, t, h.Member, k.own)
	if err != nil {
		return lookHeld
	}
	w.AtMax = now.After(h.MaxUntil) && (h.Bypass || p.AtMax == "release")
	d := guard.Decide(k.back(h, byHand), w)
	if !d.Allowed() {
		if d.Refusal.Guard == "foreign" && d.Refusal.Reason != "claimed" {
			return shortest // the next round finds out what it is
		}
		k.r.refuse("release:"+h.Member.String(), &h.Member, p.Name, *d.Refusal, &d)
		return lookHeld
	}
	if h.Phase != journal.ReleasePending {
		h.Phase = journal.ReleasePending
		if k.put(h, journal.Entry{Actor: h.ReleaseBy}) != nil {
			return lookHeld
		}
	}
	if !byHand && !w.AtMax && guard.Panics(h.Member, w) == "" && k.begin(ctx, h, snap, p) {
		return lookHeld
	}
	h.Phase, h.Undo, h.Deadline = journal.Reverting, true, now.Add(sendTimeout)
	st, _ := snap.State(h.Member)
	h.Picked = &st.Chosen
	to := k.goal(h).To
	k.do(ctx, &act{
		hold: h, snap: snap, byHand: byHand, atMax: w.AtMax,
		entry: journal.Entry{
			Event: "intent", Admin: to.String(), Evidence: marshal(k.own[h.Member]), Decision: marshal(d), Actor: h.ReleaseBy,
			World: record(w, h.Member), Row: row(w, h.Member),
		},
	})
	k.r.forget("release:"+h.Member.String(), nil)
	return 0
}

// back is the step that gives a hold back.
func (k *keeper) back(h *journal.Hold, byHand bool) guard.Step {
	s := guard.Step{Member: h.Member, To: edge.Ready, ByHand: byHand}
	if h.Bypass {
		s.To, s.Bypass, s.Back = h.Preimage.Admin, true, true
		if h.Mark != "" {
			s.Mark = h.Preimage.Marks
		}
	}
	return s
}

// errInterrupted is why a command that a crash interrupted has no answer.
var errInterrupted = interruptedError{}

type interruptedError struct{}

func (interruptedError) Error() string { return "interrupted before its outcome was read" }

// oneLine is an error's text on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
