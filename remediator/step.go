package remediator

import (
	"context"
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// world is what guards may look at, for a step on one member.
func (k *keeper) world(snap edge.Snapshot, p *Policy, t *target, m edge.Member, own map[edge.Member]guard.Evidence) (guard.World, error) {
	w := guard.World{
		Now: time.Now(), Freeze: k.r.frozen(), Snapshot: snap, Own: own,
		Held: map[edge.Member]guard.Held{},
	}
	if p != nil {
		w.Policy = k.set.limits(p, m)
	}
	if t != nil {
		for _, c := range t.claims {
			by := "an inhibition"
			if len(c.SilencedBy) > 0 {
				by = "silence " + c.SilencedBy[0]
			}
			w.Claims = append(w.Claims, guard.Claim{Source: c.Source, UpdatedAt: c.UpdatedAt, Suppressed: c.Suppressed, By: by})
		}
	}
	holds, err := k.holds()
	for _, h := range holds {
		held := guard.Held{To: h.To, Left: h.Left, Process: h.Process, Superseded: h.Phase == journal.Superseded}
		if c := k.courses[h.Member]; c != nil {
			held.GoodSince, held.GoodCount = c.goodSince, c.goodCount
		}
		w.Held[h.Member] = held
	}
	return w, err
}

// consider judges a claimed member that isn't held, and takes it out when all
// guards agree. It returns when to consider it again.
func (k *keeper) consider(ctx context.Context, t *target, asked map[edge.Pool]map[edge.Member]guard.Evidence) time.Duration {
	if t.policy == nil {
		return 0 // refused when the claims were read
	}
	if f := k.failures[t.member]; time.Now().Before(f.until) {
		return time.Until(f.until)
	}
	again := k.set.every(t.policy, t.member)
	snap, d, ok := k.judge(ctx, t, asked)
	if !ok {
		return again
	}
	if !d.Allowed() {
		k.refuse(t, d)
		return again
	}
	switch t.policy.Mode {
	case Observe, DryRun:
		k.wouldTakeOut(t, d)
		return again
	}
	k.takeOut(ctx, t, snap, d, nil)
	return again
}

// judge asks the whole pool, looks at the device after that, and decides on what
// was just seen (SAFETY.md I17). ok is false when there was no answer to judge.
func (k *keeper) judge(ctx context.Context, t *target, asked map[edge.Pool]map[edge.Member]guard.Evidence) (edge.Snapshot, guard.Decision, bool) {
	pool := t.member.In()
	own, done := asked[pool]
	if !done {
		before, err := k.look(ctx)
		if err != nil {
			return before, guard.Decision{}, false
		}
		own = k.set.ask(ctx, t.policy, before.Pool(pool))
		asked[pool] = own
		for m, e := range own {
			k.learn(m, e)
		}
	}
	snap, err := k.look(ctx)
	if err != nil || ctx.Err() != nil {
		return snap, guard.Decision{}, false
	}
	w, err := k.world(snap, t.policy, t, t.member, own)
	if err != nil {
		return snap, guard.Decision{}, false
	}
	return snap, guard.Decide(guard.Step{Member: t.member, To: t.policy.to}, w), true
}

func (k *keeper) refuse(t *target, d guard.Decision) {
	if d.Refusal == nil || t.policy == nil {
		return
	}
	k.r.refuse(subject(t.member), &t.member, t.policy.Name, *d.Refusal, &d)
}

// wouldTakeOut records what an automatic mode would have done, once.
func (k *keeper) wouldTakeOut(t *target, d guard.Decision) {
	result := "dry_run"
	if t.policy.Mode == Observe {
		result = "observed"
	}
	if !k.r.news(subject(t.member), result) {
		return
	}
	k.count(t.member, d.Step.To, result)
	k.r.record(journal.Entry{
		Event: "step", Member: &t.member, Policy: t.policy.Name, Admin: d.Step.To.String(), Result: result,
		Detail: "mode is " + t.policy.Mode + ": nothing was sent", Decision: marshal(d), Evidence: marshal(k.own[t.member]),
	})
	level.Info(k.r.logger).Log("msg", "step not taken", "member", t.member, "to", d.Step.To, "mode", t.policy.Mode)
}

func (k *keeper) count(m edge.Member, to edge.Admin, result string) {
	k.r.metrics.steps.WithLabelValues(m.Device, m.Pool, to.String(), result).Inc()
}

// takeOut records the intent, acts, and reads back. again is a hold that the
// device forgot; nil for a new one.
func (k *keeper) takeOut(ctx context.Context, t *target, snap edge.Snapshot, d guard.Decision, again *journal.Hold) {
	now := time.Now()
	h := again
	if h == nil {
		h = &journal.Hold{
			Member: t.member, LeaseUntil: now.Add(time.Duration(t.policy.Lease)), MaxUntil: now.Add(time.Duration(t.policy.MaxHold)),
		}
	} else {
		h.Reapplied++
	}
	h.Policy, h.To, h.Phase, h.Undo = t.policy.Name, t.policy.to, journal.Intent, false
	h.Preimage, h.Process = snap.States[t.member], snap.Process
	h.Intent, h.Deadline, h.ClaimSeen = now, now.Add(sendTimeout), now
	h.Config, h.Decision, h.Claims = k.set.hash, marshal(d), nil
	h.Reason = k.own[t.member].Detail
	for _, c := range t.claims {
		h.Claims = append(h.Claims, c.Key)
	}
	err := k.put(h, journal.Entry{Event: "intent", Admin: h.To.String(), Evidence: marshal(k.own[t.member]), Decision: h.Decision})
	if err != nil {
		return // never act without a record
	}
	if why := k.r.frozen(); why != "" { // the last moment in which a freeze can stop it
		k.drop(h, journal.Entry{Event: "refusal", Admin: h.To.String(), Result: "refused", Guard: "freeze", Reason: "frozen", Detail: why})
		return
	}
	err = k.send(ctx, h.Member, h.To)
	h.Phase = journal.Applying
	if k.put(h, journal.Entry{}) != nil {
		return // the next round reads back
	}
	k.verify(ctx, h, err)
}

// send gives one command, and finishes it even when we are told to stop.
func (k *keeper) send(ctx context.Context, m edge.Member, to edge.Admin) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	return k.dev.SetAdmin(ctx, m, to)
}

// verify reads back what became of a command; sent is what the command returned.
// A command without an answer is neither success nor failure (SAFETY.md I10).
func (k *keeper) verify(ctx context.Context, h *journal.Hold, sent error) {
	snap, err := k.lookBack(ctx)
	if err != nil {
		to := k.goal(h)
		h.Phase = journal.Indeterminate
		if k.put(h, journal.Entry{Event: "step", Admin: to.String(), Result: "indeterminate", Detail: "the device can't be read back: " + oneLine(err)}) == nil {
			k.count(h.Member, to, "indeterminate")
			level.Error(k.r.logger).Log("msg", "outcome unknown", "member", h.Member, "to", to, "sent", sent, "err", err)
		}
		return
	}
	k.settle(h, snap, sent)
}

// goal is the state that the command in hand asks for.
func (k *keeper) goal(h *journal.Hold) edge.Admin {
	if h.Undo {
		return h.Preimage.Admin
	}
	return h.To
}

// settle decides by what is read what became of the command in hand.
func (k *keeper) settle(h *journal.Hold, snap edge.Snapshot, sent error) {
	st, known := snap.States[h.Member]
	to := k.goal(h)
	switch {
	case !known:
		k.orphan(h, "the device doesn't list it any more")
	case h.Undo && st.Marks == h.Preimage.Marks && st.Admin == h.Preimage.Admin:
		h.Phase = journal.Reverted
		if k.put(h, journal.Entry{Event: "step", Admin: to.String(), Result: "applied", Detail: "given back, read back as it was before", Evidence: marshal(k.own[h.Member])}) == nil {
			k.count(h.Member, to, "applied")
			level.Info(k.r.logger).Log("msg", "member given back", "member", h.Member, "held", time.Since(h.Since).Round(time.Millisecond))
			k.drop(h, journal.Entry{})
			delete(k.failures, h.Member)
		}
	case h.Undo && st.Marks == h.Left.Marks && st.Admin == h.Left.Admin:
		k.failed(h, to, sent)
	case !h.Undo && st.Admin == h.To && st.Marks != "":
		k.applied(h, st, snap)
	case !h.Undo && st.Marks == h.Preimage.Marks && st.Admin == h.Preimage.Admin:
		k.failed(h, to, sent)
	default:
		k.supersede(h, st)
	}
}

// applied notes a member that was read back as we wanted it.
func (k *keeper) applied(h *journal.Hold, st edge.State, snap edge.Snapshot) {
	if h.Phase == journal.Intent { // a crash left it so
		h.Phase = journal.Indeterminate
		if k.put(h, journal.Entry{}) != nil {
			return
		}
	}
	h.Phase, h.Left, h.Process, h.Since = journal.Applied, st, snap.Process, time.Now()
	if k.put(h, journal.Entry{Event: "step", Admin: h.To.String(), Result: "applied", Detail: fmt.Sprintf("read back as %s (%s)", st.Admin, st.Marks)}) != nil {
		return
	}
	k.count(h.Member, h.To, "applied")
	level.Info(k.r.logger).Log("msg", "member taken out", "member", h.Member, "to", h.To, "policy", h.Policy, "reason", h.Reason)
	h.Phase = journal.Holding
	if k.put(h, journal.Entry{}) == nil {
		delete(k.failures, h.Member)
	}
}

// failed notes a command that changed nothing, by the device's own word. It is
// tried again later, and later each time.
func (k *keeper) failed(h *journal.Hold, to edge.Admin, sent error) {
	detail := "the device took the command and did nothing"
	if sent != nil {
		detail = oneLine(sent)
	}
	f := k.failures[h.Member]
	f.count++
	f.until = time.Now().Add(min(time.Duration(1<<min(f.count, 7))*2*time.Second, 5*time.Minute))
	k.failures[h.Member] = f
	k.count(h.Member, to, "failed")
	level.Error(k.r.logger).Log("msg", "step failed", "member", h.Member, "to", to, "tries", f.count, "err", detail)
	undo := h.Undo
	h.Phase = journal.Failed
	if k.put(h, journal.Entry{Event: "step", Admin: to.String(), Result: "failed", Detail: detail}) != nil {
		return
	}
	if !undo {
		k.drop(h, journal.Entry{})
		return
	}
	h.Phase, h.Undo, h.RetryAt = journal.Holding, false, f.until
	_ = k.put(h, journal.Entry{}) // put has logged it, and the next round reads what stands
}

// supersede notes that somebody else changed the member: hands off (SAFETY.md I7).
func (k *keeper) supersede(h *journal.Hold, st edge.State) {
	h.Phase, h.Undo = journal.Superseded, false
	h.Superseded = fmt.Sprintf("found %s (%s) at %s, we left %s (%s) at %s", st.Admin, st.Marks, st.Address, h.Left.Admin, h.Left.Marks, h.Left.Address)
	if k.put(h, journal.Entry{Event: "step", Admin: h.To.String(), Result: "superseded", Detail: h.Superseded}) == nil {
		k.count(h.Member, h.To, "superseded")
		level.Warn(k.r.logger).Log("msg", "somebody changed it, hands off", "member", h.Member, "detail", h.Superseded)
	}
}

// orphan ends a hold on something that isn't there.
func (k *keeper) orphan(h *journal.Hold, why string) {
	h.Phase = journal.Orphaned
	if k.put(h, journal.Entry{Detail: why}) == nil {
		level.Warn(k.r.logger).Log("msg", "hold ended", "member", h.Member, "reason", why)
		k.drop(h, journal.Entry{})
	}
}

// put and drop store a hold; what goes wrong is logged here, once.
func (k *keeper) put(h *journal.Hold, e journal.Entry) error {
	e.Config = k.set.hash
	err := k.r.journal.Put(h, e)
	if err != nil {
		level.Error(k.r.logger).Log("msg", "not recorded", "member", h.Member, "phase", h.Phase, "err", err)
	}
	return err
}

func (k *keeper) drop(h *journal.Hold, e journal.Entry) {
	e.Config = k.set.hash
	if err := k.r.journal.Drop(h, e); err != nil {
		level.Error(k.r.logger).Log("msg", "not recorded", "member", h.Member, "phase", h.Phase, "err", err)
	}
}
