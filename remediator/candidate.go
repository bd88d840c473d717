package remediator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// What is claimed and not held is a candidate: its way through the state machine
// is in the journal from the first look on, each refusal with what the guards
// were told, and how it ended when nothing was done (SAFETY.md I23).

// candidates reads those of this device.
func (k *keeper) readCandidates() error {
	all, err := k.r.journal.Candidates()
	if err != nil {
		return err
	}
	clear(k.candidates)
	for _, c := range all {
		if c.Member.Device == k.name {
			k.candidates[c.Member] = c
		}
	}
	return nil
}

// candidate finds the record of a claimed member, or begins one.
func (k *keeper) candidate(t *target) *journal.Hold {
	c, known := k.candidates[t.member]
	if !known {
		c = journal.Hold{Member: t.member}
	}
	c.Policy, c.To, c.Mark, c.Bypass = t.policy.Name, t.policy.to, t.mark, t.policy.bypass
	c.Claims = nil
	for _, one := range t.claims {
		c.Claims = append(c.Claims, one.Key)
	}
	if c.Remediation == "" {
		c.Remediation = k.r.episode(c.Claims)
	}
	return &c
}

// keep puts a candidate and remembers it.
func (k *keeper) keep(c *journal.Hold, e journal.Entry) error {
	err := k.put(c, e)
	if err == nil {
		k.candidates[c.Member] = *c
	}
	return err
}

// refused records that a guard said no, when it says so for the first time.
func (k *keeper) refused(t *target, c *journal.Hold, w guard.World, d guard.Decision) {
	why := *d.Refusal
	if _, known := w.Snapshot.State(t.member); !known {
		k.refuse(t, d) // nothing that is there: an alert's text makes no record
		return
	}
	count := k.r.metrics.refusals.WithLabelValues(why.Guard, why.Reason)
	phase := journal.Deferred
	switch {
	case why.Guard == "approval" && why.Reason != "rejected":
		phase = journal.AwaitingApproval
	case why.Guard == "damping":
		phase = journal.Quarantined
	}
	word := why.Guard + "/" + why.Reason + "/" + t.policy.Name
	if c.Phase == phase && c.Refused == word {
		count.Inc()
		return
	}
	if c.Phase != phase {
		c.Via = c.Phase.Judge()
	}
	if c.Answer != nil && c.Answer.Yes {
		c.Answer = nil // a word that was judged against, or came too late, is used up; a no stands
	}
	c.Phase, c.Refused = phase, word
	e := journal.Entry{
		Event: "refusal", Admin: d.Step.To.String(), Result: "refused", Guard: why.Guard, Reason: why.Reason, Detail: why.Detail,
		Evidence: marshal(k.own[t.member]), Decision: marshal(d), World: record(w, t.member), Row: row(w, t.member),
	}
	if k.keep(c, e) != nil {
		return // a person spoke in between, as a rule: the next round judges again
	}
	count.Inc()
	level.Warn(k.r.logger).Log("msg", "step refused", "member", t.member, "policy", t.policy.Name, "guard", why.Guard, "reason", why.Reason, "detail", why.Detail)
}

// wouldTakeOut records what a mode that acts would have done, once.
func (k *keeper) wouldTakeOut(t *target, c *journal.Hold, w guard.World, d guard.Decision) {
	if c.Would != "" {
		return
	}
	result := "dry_run"
	if t.mode == Observe {
		result = "observed"
	}
	if c.Phase != journal.Deferred {
		c.Via = c.Phase.Judge()
	}
	c.Phase, c.Would, c.WouldAt, c.Refused = journal.Deferred, t.mode, time.Now(), ""
	detail := "mode is " + t.mode + ": nothing was sent"
	if why := k.novel(t.policy, t.member, w); why != "" {
		detail = why + ": nothing was sent"
	}
	e := journal.Entry{
		Event: "step", Admin: d.Step.To.String(), Result: result,
		Detail: detail, Evidence: marshal(k.own[t.member]), Decision: marshal(d), World: record(w, t.member), Row: row(w, t.member),
	}
	if k.keep(c, e) != nil {
		return
	}
	k.count(t.member, d.Step.To, result)
	level.Info(k.r.logger).Log("msg", "step not taken", "member", t.member, "to", d.Step.To, "mode", t.mode)
}

// endCandidates closes those whose claim has ended. A blind source ends none
// (SAFETY.md I6). Where a step would have been taken, it is told in hindsight
// that the fault passed without one.
func (k *keeper) endCandidates(targets map[edge.Member]*target) {
	k.r.mu.Lock()
	ended := k.r.view.AbsenceCounts()
	k.r.mu.Unlock()
	if !ended {
		return
	}
	for m, c := range k.candidates {
		if targets[m] != nil {
			continue
		}
		e := journal.Entry{Detail: "the claim has ended"}
		if c.Would == DryRun {
			took := time.Since(c.WouldAt).Round(time.Second)
			e.Event, e.Result = "hindsight", "passed"
			e.Detail = fmt.Sprintf("the claim ended by itself, %s after the step that mode %s did not take; our own evidence says now: %s", took, c.Would, k.own[m].Answer)
			e.Evidence = marshal(k.own[m])
		}
		k.drop(&c, e)
		delete(k.candidates, m)
	}
}

// released ends a hold that was given back. One that a person asked for goes on as
// a candidate: their word stands for as long as the claim does.
func (k *keeper) released(h *journal.Hold) {
	if h.ReleaseBy == "" {
		k.drop(h, journal.Entry{})
		return
	}
	c := journal.Hold{
		ID: h.ID, Rev: h.Rev, Member: h.Member, Policy: h.Policy, To: h.To, Mark: h.Mark, Bypass: h.Bypass,
		Remediation: h.Remediation, Claims: h.Claims, Changed: h.Changed,
		Phase: journal.Deferred, Via: []journal.Phase{journal.Guarded}, Released: h.ReleaseBy,
	}
	_ = k.keep(&c, journal.Entry{Actor: h.ReleaseBy, Detail: "given back by " + h.ReleaseBy + ": hands off while the claim lasts"}) // logged; the next round reads what stands
}

// ErrNotAsked says that no step on the member waits for a person's word.
var ErrNotAsked = errors.New("no step on it waits for an approval")

// Answer is a person's word on the step that waits for one. It is durable when
// Answer returns; the guards are asked again before anything is done.
func (r *Remediator) Answer(_ context.Context, m edge.Member, yes bool, actor, note string) error {
	if r.journal == nil {
		return r.broken
	}
	for range 5 { // the keeper may write the same record in between
		all, err := r.journal.Candidates()
		if err != nil {
			return err
		}
		var c *journal.Hold
		for i := range all {
			if all[i].Member == m && (all[i].Phase == journal.AwaitingApproval || all[i].Answer != nil) {
				c = &all[i] // also one who said no may think again
			}
		}
		if c == nil {
			return fmt.Errorf("%s: %w", m, ErrNotAsked)
		}
		ttl := defaultApproval
		r.mu.Lock()
		if p, err := r.set.rule(c.Policy, m); err == nil {
			ttl = time.Duration(p.ApprovalTTL)
		}
		r.mu.Unlock()
		now := time.Now()
		c.Answer = &journal.Answer{By: actor, At: now, Until: now.Add(ttl), Yes: yes, Note: note}
		e := journal.Entry{Event: "approved", Actor: actor, Detail: note, Admin: c.To.String()}
		if !yes {
			e.Event = "rejected"
		}
		err = r.journal.Order(c, e)
		if errors.Is(err, journal.ErrConflict) {
			continue
		}
		if err == nil {
			r.Wake()
		}
		return err
	}
	return fmt.Errorf("answer for %s: %w", m, journal.ErrConflict)
}
