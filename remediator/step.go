package remediator

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// world is what guards may look at, for a step on one member. What this round is
// about to do counts as done: steps on one pool that go in one write are judged
// as they will stand together.
func (k *keeper) world(snap edge.Snapshot, p *Policy, t *target, m edge.Member, own map[edge.Member]guard.Evidence) (guard.World, error) {
	all, err := k.r.journal.Holds()
	var before *journal.Hold // that the step goes on with
	if i := slices.IndexFunc(all, func(h journal.Hold) bool { return h.Member == m }); i >= 0 {
		before = &all[i]
	}
	b, moved := k.r.barriers(), moves(m, snap, before)
	w := guard.World{
		Now: time.Now(), Freeze: b.frozen(moved...), Taken: b.claimed(moved...), Snapshot: snap, Own: own,
		Held: map[edge.Member]guard.Held{},
	}
	if p != nil {
		w.Policy = k.set.limits(p, m)
		w.Along = k.along(p, m, snap)
		w.Standby = p.standby(m.In())
		w.Windows, w.Made = k.set.cfg.in(w.Now, moved...), b.in(w.Now, moved...)
		w.Closed = p.closed(w.Now)
		for _, other := range snap.Along[m] { // what is wanted of another pool is asked there, too
			if rules, err := k.set.rule(p.Name, other); err == nil {
				w.Closed = cmp.Or(w.Closed, rules.closed(w.Now))
				w.Policy.Approve = w.Policy.Approve || rules.Mode == Approve
			}
		}
	}
	w.Standing = k.r.standing()
	for _, one := range moved { // whose word was about any of its names
		w.Released = cmp.Or(w.Released, k.candidates[one].Released)
	}
	if a := k.candidates[m].Answer; a != nil {
		w.Approval = &guard.Approval{By: a.By, Until: a.Until, Yes: a.Yes, Note: a.Note}
	}
	_, w.Lapsed = k.lapsed[m]
	if t != nil {
		claimed := slices.Clip(t.claims)
		if before == nil {
			claimed = append(claimed, k.silenced(moved[1:], snap)...)
		}
		for _, c := range claimed {
			by := "an inhibition"
			if len(c.SilencedBy) > 0 {
				by = "silence " + c.SilencedBy[0]
			}
			w.Claims = append(w.Claims, guard.Claim{Key: c.Key, Source: c.Source, UpdatedAt: c.UpdatedAt, Suppressed: c.Suppressed, By: by})
		}
	}
	k.r.ledger.tell(&w, m, all, k.set.cfg.horizon())
	for _, h := range all {
		if h.Member.Device != k.name {
			continue
		}
		held := guard.Held{
			To: h.To, Left: h.Left, Process: h.Process, Superseded: h.Phase == journal.Superseded,
			Since: h.Since, Trial: h.Stage == stageProbation, Lowered: lowered(&h),
		}
		if c := k.courses[h.Member]; c != nil {
			held.GoodSince, held.GoodCount = c.goodSince, c.goodCount
		}
		k.hasHeld(&w, h.Member, h.Along, held)
		if h.Bypass { // never a regular member, whatever the configuration says by now
			if w.Standby == nil {
				w.Standby = map[edge.Member]bool{}
			}
			w.Standby[h.Member] = true
		}
	}
	states := maps.Clone(w.Snapshot.States)
	for _, acts := range k.queue {
		for _, a := range acts {
			if a.hold.Undo || a.hold.Bypass {
				continue // not back yet, for those who ask what serves
			}
			k.hasHeld(&w, a.hold.Member, a.hold.Along, guard.Held{To: a.hold.To})
			for _, m := range append([]edge.Member{a.hold.Member}, a.hold.Along...) {
				st := states[m]
				st.Serving = false
				states[m] = st
			}
		}
	}
	w.Snapshot.States = states
	return w, err
}

// silenced are the claims on what a step would move along that people have silenced:
// it is one object, whose hands off it is by whatever name.
func (k *keeper) silenced(along []edge.Member, snap edge.Snapshot) (out []claims.Claim) {
	if len(along) == 0 {
		return nil
	}
	for _, c := range k.r.on(k.set, k.name) {
		if !c.Suppressed || len(c.SilencedBy) == 0 || c.PoolOnly {
			continue
		}
		if slices.ContainsFunc(members(c, snap), func(m edge.Member) bool { return slices.Contains(along, m) }) {
			out = append(out, c)
		}
	}
	return out
}

func (k *keeper) hasHeld(w *guard.World, m edge.Member, along []edge.Member, h guard.Held) {
	w.Held[m] = h
	for _, other := range along {
		w.Held[other] = h
	}
}

// along finds the policy of each member of another pool that a step on m moves too.
func (k *keeper) along(p *Policy, m edge.Member, snap edge.Snapshot) map[edge.Member]*guard.Policy {
	out := map[edge.Member]*guard.Policy{}
	for _, other := range snap.Along[m] {
		out[other] = nil
		if rules, err := k.set.rule(p.Name, other); err == nil {
			out[other] = k.set.limits(rules, other)
		}
	}
	return out
}

// mode is the most careful mode of all policies that rule what a step moves.
// A step by or on what is new is only observed, whatever they say.
func (k *keeper) mode(p *Policy, m edge.Member, w guard.World) string {
	mode := p.Mode
	if k.novel(p, m, w) != "" {
		return Observe
	}
	for other := range w.Along {
		if rules, err := k.set.rule(p.Name, other); err == nil && slices.Index(modes, rules.Mode) < slices.Index(modes, mode) {
			mode = rules.Mode
		}
	}
	return mode
}

// novel is why a step is only observed for now; empty when it isn't.
func (k *keeper) novel(p *Policy, m edge.Member, w guard.World) (why string) {
	why = k.r.observed(k.set.cfg, p, w.Now, m)
	for other := range w.Along {
		if rules, err := k.set.rule(p.Name, other); err == nil && why == "" {
			why = k.r.observed(k.set.cfg, rules, w.Now, other)
		}
	}
	return why
}

// consider judges a claimed member that isn't held, and takes it out when all
// guards agree. It returns when to consider it again.
func (k *keeper) consider(ctx context.Context, t *target, seen edge.Snapshot, asked map[edge.Pool]*question) time.Duration {
	if t.policy == nil {
		return 0 // refused when the claims were read
	}
	if f := k.failures[t.member]; time.Now().Before(f.until) {
		return time.Until(f.until)
	}
	if wait := k.pace(t.member.In()); wait > 0 {
		return wait
	}
	again := k.set.every(t.policy, t.member)
	if _, known := seen.State(t.member); !known { // of what isn't there nobody needs to be asked
		if w, err := k.world(seen, t.policy, t, t.member, nil); err == nil {
			k.refuse(t, guard.Decide(t.step(), w))
		}
		return again
	}
	c := k.candidate(t)
	w, d, ok := k.judge(ctx, t, asked)
	if !ok {
		return again
	}
	k.brakes(d)
	switch {
	case !d.Allowed():
		k.refused(t, c, w, d)
		return again
	case !acts(t.mode):
		k.wouldTakeOut(t, c, w, d)
		return again
	}
	k.takeOut(ctx, t, w, d, c)
	return again
}

// A question is what was asked of a pool in this round, and the look after it.
type question struct {
	own    map[edge.Member]guard.Evidence
	before edge.Snapshot // by which it was asked
	along  []edge.Member // whose pools were asked with it
	snap   edge.Snapshot
}

// answers says whether it was also asked what a step on m would move in other pools:
// it may have been asked about a member of the pool that moves none.
func (q *question) answers(m edge.Member) bool {
	return !slices.ContainsFunc(q.before.Along[m], func(other edge.Member) bool {
		return !slices.ContainsFunc(q.along, func(asked edge.Member) bool { return asked.In() == other.In() })
	})
}

// judge asks the whole pool, looks at the device after that, and decides on what
// was just seen (SAFETY.md I17). ok is false when there was no answer to judge.
func (k *keeper) judge(ctx context.Context, t *target, asked map[edge.Pool]*question) (_ guard.World, d guard.Decision, ok bool) {
	q := asked[t.member.In()]
	if q == nil || !q.answers(t.member) {
		before, err := k.look(ctx)
		if err != nil {
			return guard.World{}, d, false
		}
		q = &question{own: k.ask(ctx, t.policy, t.member, before), before: before, along: before.Along[t.member]}
		asked[t.member.In()] = q
	}
	// Where changes of a pool go together, they are decided on one look: the order
	// names its version, and the device's client sends nothing when it is another.
	if _, whole := k.dev.Whole(); !whole || q.snap.At.IsZero() {
		var err error
		if q.snap, err = k.look(ctx); err != nil || ctx.Err() != nil {
			q.snap = edge.Snapshot{}
			return guard.World{}, d, false
		}
	}
	// Until it is booked, nobody else spends what this step counts on.
	k.r.ledger.deciding.enter()
	defer k.r.ledger.deciding.leave()
	w, err := k.world(q.snap, t.policy, t, t.member, q.own)
	if err != nil {
		return w, d, false
	}
	d = guard.Decide(t.step(), w)
	t.mode = k.mode(t.policy, t.member, w)
	if d.Allowed() && acts(t.mode) && !t.policy.bypass {
		k.r.ledger.book(t.member, q.snap.Along[t.member])
	}
	return w, d, true
}

// ask is [keeper.question], and keeps what they answered.
func (k *keeper) ask(ctx context.Context, p *Policy, m edge.Member, snap edge.Snapshot) map[edge.Member]guard.Evidence {
	own := k.question(ctx, p, m, snap)
	for m, e := range own {
		k.learn(m, e)
		// What breaks a held member's chain breaks it whoever asked; good answers
		// come at its own pace.
		if c := k.courses[m]; c != nil && e.Answer != edge.Yes {
			c.take(e, k.rise(m))
		}
	}
	k.unproved(p, m.In(), own, snap)
	return own
}

// question asks all members of the pools that a step on m would change.
func (k *keeper) question(ctx context.Context, p *Policy, m edge.Member, snap edge.Snapshot) map[edge.Member]guard.Evidence {
	states := snap.Pool(m.In())
	for _, other := range snap.Along[m] {
		states = append(states, snap.Pool(other.In())...)
	}
	slices.SortFunc(states, func(a, b edge.State) int { return a.Member.Compare(b.Member) })
	states = slices.CompactFunc(states, func(a, b edge.State) bool { return a.Member == b.Member })
	if p.Confirm == "traffic" {
		return k.askTraffic(p, m, states)
	}
	return k.set.ask(ctx, p, states)
}

func (k *keeper) refuse(t *target, d guard.Decision) {
	if d.Refusal == nil || t.policy == nil {
		return
	}
	k.r.refuse(subject(t.member), &t.member, t.policy.Name, *d.Refusal, &d)
}

func (k *keeper) count(m edge.Member, to edge.Admin, result string) {
	k.r.metrics.step("sluice", m, to.String(), result)
}

// by says by whose word the command in hand was given.
func by(h *journal.Hold) string {
	if h.Undo && h.ReleaseBy != "" {
		return "person"
	}
	return "sluice"
}

// takeOut makes the intent of a step. h is the candidate, or a hold that the
// device forgot.
func (k *keeper) takeOut(ctx context.Context, t *target, w guard.World, d guard.Decision, h *journal.Hold) {
	now := time.Now()
	if h.Phase.Candidate() || h.Phase == "" {
		h.LeaseUntil, h.MaxUntil = now.Add(time.Duration(t.policy.Lease)), now.Add(time.Duration(t.policy.MaxHold))
		h.Via, h.Refused, h.Would, h.Approved = h.Phase.Judge(), "", "", h.Answer
		h.Answer = nil // it has served
		k.asked(t)
	} else {
		h.Reapplied++
	}
	snap := w.Snapshot
	h.Policy, h.To, h.Phase, h.Undo = t.policy.Name, t.policy.to, journal.Intent, false
	h.Goal, h.Stage, h.NextStage, h.Direct, h.Effect = nil, "", "", false, nil
	h.Preimage, _ = snap.State(t.member)
	if first := t.policy.first(); first != h.To && !h.Preimage.OnOff {
		h.To, h.NextStage = first, stageDraining
	}
	h.Process, h.Along = snap.Process, snap.Along[t.member]
	h.Intent, h.Deadline, h.ClaimSeen = now, now.Add(sendTimeout), now
	h.Config, h.Decision, h.Claims = k.set.hash, marshal(d), nil
	h.Reason = k.reason(t, d)
	for _, c := range t.claims {
		h.Claims = append(h.Claims, c.Key)
	}
	if h.Remediation == "" {
		h.Remediation = k.r.episode(h.Claims)
	}
	before := h.Preimage
	e := journal.Entry{
		Event: "intent", Admin: h.To.String(), Evidence: marshal(k.own[t.member]), Decision: h.Decision,
		World: record(w, t.member), Row: row(w, t.member), Preimage: &before, Along: h.Along,
	}
	if h.Approved != nil {
		e.Actor = h.Approved.By
	}
	k.do(ctx, &act{hold: h, snap: snap, entry: e})
}

// reason is why the step is taken, in one line for people.
func (k *keeper) reason(t *target, d guard.Decision) string {
	if !t.policy.bypass {
		return k.own[t.member].Detail
	}
	for _, f := range d.Findings {
		if f.Guard == "evidence" {
			return f.Detail
		}
	}
	return ""
}

// goal is what the command in hand asks for.
func (k *keeper) goal(h *journal.Hold) edge.Change {
	c := edge.Change{Member: h.Member, To: h.To, Mark: h.Mark}
	switch {
	case h.Goal != nil:
		c.To, c.Share = h.Goal.To, h.Goal.Share
	case h.Undo:
		c.To = h.Preimage.Admin
		if h.Mark != "" {
			c.Mark = h.Preimage.Marks
		}
		if h.Left.Share != h.Preimage.Share { // it was lowered on its way back
			c.Share = h.Preimage.Share
		}
	}
	return c
}

// reached says whether the member stands as the command in hand wants it.
func (k *keeper) reached(h *journal.Hold, st edge.State) bool {
	want := k.goal(h)
	if want.Share != 0 && st.Share != want.Share {
		return false
	}
	switch {
	case h.Undo:
		return st.Marks == h.Preimage.Marks && st.Admin == h.Preimage.Admin
	case h.Mark != "":
		return st.Marks == h.Mark
	case want.To == edge.Ready:
		return st.Admin == edge.Ready
	}
	return st.Is(want.To) && st.Marks != ""
}

// unmoved says whether the member stands as before the command in hand.
func (k *keeper) unmoved(h *journal.Hold, st edge.State) bool {
	before := h.Preimage
	if h.Undo || h.Goal != nil {
		before = h.Left
	}
	return st.Marks == before.Marks && st.Admin == before.Admin && (k.goal(h).Share == 0 || st.Share == before.Share)
}

// drainedAnew says that a member which stands as we left it isn't as we left it: it was
// in rotation since its way back was begun. The way back had worked, and somebody has
// taken it out again (SAFETY.md I7). A device that doesn't count tells nothing of that.
func (k *keeper) drainedAnew(h *journal.Hold, snap edge.Snapshot, st edge.State) bool {
	return h.Undo && h.Picked != nil && h.Left.Admin != edge.Ready && snap.Process == h.Process && k.unmoved(h, st) && st.Chosen > *h.Picked
}

// half says whether the member stands as an order leaves it that was cut off
// between its state and its weight. That is our own doing, and is tried again.
func (k *keeper) half(h *journal.Hold, st edge.State) bool {
	want := k.goal(h)
	if want.Share == 0 || h.Goal == nil && !h.Undo {
		return false
	}
	before := st.Marks == h.Left.Marks && st.Admin == h.Left.Admin
	after := st.Is(want.To) && (st.Marks == "") == (want.To == edge.Ready)
	return (before || after) && (st.Share == h.Left.Share || st.Share == want.Share)
}
