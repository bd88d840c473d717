package guard

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// freeze: a person's freeze, or a journal that can't be read, stops every
// automatic step (SAFETY.md I19). Giving back by hand stays possible.
func freeze(s Step, w World) (string, string) {
	switch {
	case w.Freeze == "":
		return "", "not frozen"
	case s.ByHand:
		return "", "frozen, yet a person asks: " + w.Freeze
	}
	return "frozen", w.Freeze
}

// inventory: the member must be there by the device's word, and ruled by a
// policy. Empty is not all (SAFETY.md I2, I21).
func inventory(s Step, w World) (string, string) {
	st, known := w.Snapshot.State(s.Member)
	switch {
	case w.Blind != "":
		return "device_blind", "the device can't be read: " + w.Blind
	case w.Snapshot.ReadOnly != "":
		return "read_only", "no step can be taken on this device: " + w.Snapshot.ReadOnly
	case w.Policy == nil:
		return "no_policy", "no policy of that name selects it"
	case len(w.Snapshot.Pool(s.Member.In())) == 0:
		return "unknown_pool", fmt.Sprintf("device %s has no pool %q", s.Member.Device, s.Member.Pool)
	case !known:
		return "unknown_member", fmt.Sprintf("pool %s has no member %q", s.Member.In(), s.Member.Name)
	case w.Now.Sub(w.Snapshot.At) > w.Policy.MaxAge:
		return "device_stale", fmt.Sprintf("the device was read %s ago", age(w.Now, w.Snapshot.At))
	case st.Tracks != "":
		return "tracking", fmt.Sprintf("it follows %s: act on that one", st.Tracks)
	}
	for _, m := range w.along(s) {
		if w.Along[m] == nil {
			return "along", fmt.Sprintf("%s would be moved too, and no policy of that name selects it", m)
		}
	}
	if w.Policy.Name == "" {
		return "", "no policy rules it, the device lists it at " + st.Address
	}
	return "", fmt.Sprintf("policy %s rules it, the device lists it at %s", w.Policy.Name, st.Address)
}

// foreign: what somebody else did is left alone. We take out only what nobody
// has restricted, and give back only what we left and how we left it (SAFETY.md I7).
// What a person has claimed isn't ours to judge, neither way.
func foreign(s Step, w World) (string, string) {
	st, known := w.Snapshot.States[s.Member]
	held, ours := w.Held[s.Member]
	switch {
	case !known:
		return "", "not known to the device"
	case w.Taken != "" && !s.ByHand:
		return "claimed", w.Taken
	case s.takesOut() && w.Released != "":
		return byHand(w)
	case s.To != edge.Ready && ours && held.Superseded:
		return "superseded", "somebody changed it while we held it: release the hold to hand it back to Sluice"
	case s.To != edge.Ready && (st.Admin != edge.Ready || st.Marks != ""):
		return "taken_out", fmt.Sprintf("it is in %s (%s), and not by us", st.Admin, st.Marks)
	case s.To != edge.Ready:
		return "", "nobody has restricted it"
	}
	return asLeft(st, held, ours, w)
}

// foreignHeld: a further step wants the member as we left it.
func foreignHeld(s Step, w World) (string, string) {
	st, known := w.Snapshot.States[s.Member]
	held, ours := w.Held[s.Member]
	switch {
	case !known:
		return "", "not known to the device"
	case w.Taken != "":
		return "claimed", w.Taken
	}
	return asLeft(st, held, ours, w)
}

// byHand: a person gave it back, and isn't contradicted while the claim lasts.
func byHand(w World) (string, string) {
	return "released", fmt.Sprintf("%s took it over, or had it given back, while it was claimed: hands off until the claim has ended", w.Released)
}

// asLeft: only what we left, and how we left it, is given back.
func asLeft(st edge.State, held Held, ours bool, w World) (string, string) {
	switch {
	case !ours:
		return "not_ours", "we don't hold it"
	case held.Superseded:
		return "superseded", "somebody changed it while we held it"
	case held.Process != w.Snapshot.Process:
		return "other_process", "the device restarted since we left it"
	case st.Marks != held.Left.Marks || st.Admin != held.Left.Admin:
		return "changed", fmt.Sprintf("it is in %s (%s), we left it in %s (%s)", st.Admin, st.Marks, held.Left.Admin, held.Left.Marks)
	case (held.Trial || held.Lowered) && st.Share != held.Left.Share:
		return "changed", fmt.Sprintf("its weight is %d, we left it at %d", st.Share, held.Left.Share)
	case st.Address != held.Left.Address:
		return "moved", fmt.Sprintf("its address is %s, it was %s", st.Address, held.Left.Address)
	}
	return "", "it is as we left it"
}

// silence: a silence on the claim is a person's word for "hands off".
func silence(s Step, w World) (string, string) {
	for _, c := range w.Claims {
		if c.Suppressed && (s.To != edge.Ready || s.Bypass && !s.Back) {
			return "silenced", "the claim is silenced or inhibited by " + c.By
		}
	}
	return "", "no silence on the claim"
}

// agent: an agent check sets the same flags as we do, again and again; we would
// fight with it.
func agent(s Step, w World) (string, string) {
	if w.Snapshot.States[s.Member].Agent && (s.To != edge.Ready || s.Bypass || s.Share > 0) {
		return "agent_check", "an agent check on the member sets its state: the two would fight"
	}
	return "", "no agent sets its state"
}

// evidence: to take out, a claim that is seen and our own bad evidence; to give
// back, our own good evidence for hold_down and no claim that is seen
// (SAFETY.md I6, I14, I17).
func evidence(s Step, w World) (string, string) {
	if w.Policy == nil {
		return "", "no policy"
	}
	if s.To == edge.Ready {
		return wellAgain(s, w)
	}
	if reason, detail := claimed(w); reason != "" {
		return reason, detail
	}
	if w.Policy.Confirm == "none" {
		return "", "a claim is seen; the policy asks for no second source"
	}
	e, asked := w.Own[s.Member]
	switch {
	case !asked:
		return "no_second_source", "nothing that we could ask covers the member"
	case w.Now.Sub(e.At) > w.Policy.MaxAge:
		return "stale", fmt.Sprintf("%s answered %s ago", e.Source, age(w.Now, e.At))
	case e.Answer == edge.Yes:
		return "contradicted", fmt.Sprintf("%s finds it well, %s ago", e.Source, age(w.Now, e.At))
	case e.Answer != edge.No:
		return "unknown", fmt.Sprintf("%s doesn't know: %s", e.Source, e.Detail)
	}
	return "", fmt.Sprintf("a claim is seen, and %s finds it bad: %s", e.Source, e.Detail)
}

// claimed: a claim that its source has confirmed lately.
func claimed(w World) (string, string) {
	if len(w.Claims) == 0 {
		return "no_claim", "no claim is seen"
	}
	for _, c := range w.Claims {
		if w.Now.Sub(c.UpdatedAt) <= w.Policy.ClaimAge {
			return "", ""
		}
	}
	return "claim_stale", fmt.Sprintf("its source last confirmed the claim %s ago", age(w.Now, w.Claims[0].UpdatedAt))
}

// wellAgain: our own good evidence, for hold_down. Where the pool is short of
// members the wait is dropped, and so is a claim that has not ended yet (SAFETY.md
// I5); the results are not: what failed last is never given back by ourselves.
func wellAgain(s Step, w World) (string, string) {
	held := w.Held[s.Member]
	e, asked := w.Own[s.Member]
	if w.Policy.Confirm == "traffic" && !s.ByHand {
		if held.Trial {
			return tried(s, w)
		}
		return timeForTrial(s, w)
	}
	switch {
	case s.ByHand:
		return "", "a person asks"
	case !asked:
		return "no_second_source", "nothing that we could ask covers the member"
	case w.Now.Sub(e.At) > w.Policy.MaxAge:
		return "stale", fmt.Sprintf("%s answered %s ago", e.Source, age(w.Now, e.At))
	case e.Answer != edge.Yes:
		return "not_well", fmt.Sprintf("%s says %s: %s", e.Source, e.Answer, e.Detail)
	case w.AtMax:
		return "", "it is well, and the hold is at its end"
	case held.GoodSince.IsZero() || held.GoodCount < w.Policy.Rise:
		return "rising", fmt.Sprintf("%d good results in a row, want %d", held.GoodCount, w.Policy.Rise)
	}
	if short := Panics(s.Member, w); short != "" {
		return "", "it is well, and " + short
	}
	need, why := HoldDown(s.Member, w)
	switch {
	case len(w.Claims) > 0:
		return "claimed", "a claim on it is still seen"
	case w.Now.Sub(held.GoodSince) < need:
		return "hold_down", fmt.Sprintf("well for %s, want %s%s", age(w.Now, held.GoodSince), need, why)
	}
	return "", fmt.Sprintf("well for %s, and no claim is seen", age(w.Now, held.GoodSince))
}

// timeForTrial: what only traffic shows can't be seen while there is none. After
// hold_down, twice as long after each relapse, the member is tried with little.
func timeForTrial(s Step, w World) (string, string) {
	held := w.Held[s.Member]
	need := HoldFor(w)
	switch {
	case len(w.Claims) > 0:
		return "claimed", "a claim on it is still seen"
	case w.Now.Sub(held.Since) < need:
		return "hold_down", fmt.Sprintf("out for %s, want %s before it is tried again", age(w.Now, held.Since), need)
	}
	return "", fmt.Sprintf("out for %s: time to try it with little traffic", age(w.Now, held.Since))
}

// tried: in with little weight the member was not seen to fail, and nobody claims
// it. That too little was seen for long is the engine's to say.
func tried(s Step, w World) (string, string) {
	e := w.Own[s.Member]
	switch {
	case e.Answer == edge.No:
		return "not_well", fmt.Sprintf("%s says %s: %s", e.Source, e.Answer, e.Detail)
	case len(w.Claims) > 0:
		return "claimed", "a claim on it is still seen"
	}
	return "", "not seen to fail while it was tried with little traffic: " + e.Detail
}

// Panics says why a member of m's pool that we hold should come back at once:
// fewer serve, by the device's word alone, than the policy's panic line. Empty
// when enough do.
func Panics(m edge.Member, w World) string {
	if w.Policy == nil || w.Policy.Panic == (Amount{}) {
		return ""
	}
	w.Own = nil
	left, base := Serving(w, m)
	if line := w.Policy.Panic.Of(base.Members); left.Members < line {
		return fmt.Sprintf("only %d of %d members serve, fewer than the panic line of %d", left.Members, base.Members, line)
	}
	return ""
}

// minServing: after the step enough others take new traffic, verified now
// (SAFETY.md I1), in every pool that the step moves. Down for whatever reason is
// down, and unknown is not serving. A share is a share of the members and, where
// the device tells their weights, of the capacity too.
func minServing(s Step, w World) (string, string) {
	if w.Policy == nil || s.To == edge.Ready {
		return "", "adds capacity"
	}
	return everywhere(s, w, func(m edge.Member, p *Policy) (string, string) {
		left, base := Serving(w, s.moves(w, m)...)
		need := p.MinServing.Of(base.Members)
		if left.Members < need {
			return "too_few_left", fmt.Sprintf("%d others would serve, min_serving %s of %d wants %d", left.Members, p.MinServing, base.Members, need)
		}
		if p.MinServing.Percent > 0 && base.Weighed && left.Weight < p.MinServing.Of(base.Weight) {
			return "too_few_left", fmt.Sprintf("%d others would serve with weight %d, min_serving %s of weight %d wants %d",
				left.Members, left.Weight, p.MinServing, base.Weight, p.MinServing.Of(base.Weight))
		}
		return "", fmt.Sprintf("%d others serve, min_serving %s of %d wants %d", left.Members, p.MinServing, base.Members, need)
	})
}

// moves are the members of m's pool that the step moves, m first.
func (s Step) moves(w World, m edge.Member) []edge.Member {
	out := []edge.Member{m}
	for _, other := range append([]edge.Member{s.Member}, w.along(s)...) {
		if other != m && other.In() == m.In() {
			out = append(out, other)
		}
	}
	return out
}

// along are the members that the step moves beside its own, in order.
func (w World) along(s Step) []edge.Member {
	out := slices.Concat(slices.Collect(maps.Keys(w.Along)), w.Snapshot.Along[s.Member])
	slices.SortFunc(out, edge.Member.Compare)
	return slices.Compact(out)
}

// everywhere judges the step in its own pool and in each that it moves along;
// the first no counts.
func everywhere(s Step, w World, judge func(edge.Member, *Policy) (string, string)) (string, string) {
	reason, detail := judge(s.Member, w.Policy)
	if reason != "" {
		return reason, detail
	}
	for _, m := range w.along(s) {
		if w.Along[m] == nil {
			continue // refused by inventory
		}
		if reason, here := judge(m, w.Along[m]); reason != "" {
			return reason, fmt.Sprintf("in pool %s: %s", m.Pool, here)
		}
	}
	return "", detail
}

// Capacity is how many members, and with how much configured weight.
type Capacity struct {
	Members, Weight int
	Weighed         bool // the device tells the weight of each
}

// Serving counts the members of a pool, those that are about to go left out,
// that take new traffic by the device's word and, where our own checks cover
// them, by a good fresh result; base is what a share is a share of: members that
// are neither backup nor out by the device's configuration or DNS, those that go
// included. The pool is that of the first that goes.
func Serving(w World, going ...edge.Member) (left, base Capacity) {
	base.Weighed = true
	for _, st := range w.Snapshot.Pool(going[0].In()) {
		if !st.Backup && !st.Settled {
			base.Members++
			base.Weight += st.Share
			base.Weighed = base.Weighed && st.Share > 0
		}
		// One that is tried with little traffic can't carry more yet.
		if !slices.Contains(going, st.Member) && st.Serving && !w.Held[st.Member].Trial && w.well(st.Member) != edge.No {
			left.Members++
			left.Weight += st.Share
		}
	}
	left.Weighed = base.Weighed
	return left, base
}

// well is what our own checks say of a member: Yes by a good fresh result, No by
// anything else, Unknown when nothing covers it.
func (w World) well(m edge.Member) edge.Answer {
	e, covered := w.Own[m]
	switch {
	case !covered:
		return edge.Unknown
	case e.Answer == edge.Yes && w.Now.Sub(e.At) <= w.Policy.MaxAge:
		return edge.Yes
	}
	return edge.No
}

func age(now, then time.Time) time.Duration { return now.Sub(then).Round(time.Millisecond) }
