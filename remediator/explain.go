package remediator

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// An Explanation is what the remediator would do now for an alert.
type Explanation struct {
	Labels  map[string]string `json:"labels"`
	Policy  string            `json:"policy,omitempty"`  // that the alert asks for
	Refusal *guard.Refusal    `json:"refusal,omitempty"` // of the alert itself, before any member
	Members []Judged          `json:"members"`
	Notes   []string          `json:"notes,omitempty"`
}

// Judged is one member that the alert is on.
type Judged struct {
	Member   edge.Member     `json:"member"`
	Policy   string          `json:"policy,omitempty"` // that rules it
	Mode     string          `json:"mode,omitempty"`
	State    *edge.State     `json:"state,omitempty"`  // by the device, now
	Row      string          `json:"row,omitempty"`    // the device's own words for it, now
	Claims   []string        `json:"claims,omitempty"` // labels of the alerts behind it
	Hold     *journal.Hold   `json:"hold,omitempty"`   // ours, when there is one
	Evidence *guard.Evidence `json:"evidence,omitempty"`
	Decision *guard.Decision `json:"decision,omitempty"`
	Would    string          `json:"would"` // the outcome in one line

	Candidate *journal.Hold  `json:"candidate,omitempty"` // the record of it, while it is claimed and not held
	Refused   *guard.Refusal `json:"refused,omitempty"`   // the last refusal of it that was recorded
	RefusedAt time.Time      `json:"refused_at,omitzero"`

	Frozen  []journal.Freeze `json:"frozen,omitempty"`  // freezes in force that cover what a step would move
	Claimed *journal.Claimed `json:"claimed,omitempty"` // whose any of that is
	Windows []string         `json:"windows,omitempty"` // maintenance windows in force for any of that, with their ends
}

// engine is the Remediator as the API knows it.
type engine struct{ *Remediator }

// Explain answers with whatever can be written as JSON. See [Remediator.Explain].
func (e engine) Explain(ctx context.Context, labels map[string]string) (any, error) {
	x, err := e.Remediator.Explain(ctx, labels)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// Restore answers with whatever can be written as JSON. See [Remediator.Restore].
func (e engine) Restore(ctx context.Context, p edge.Pool, object []byte, actor, reason string) (any, error) {
	out, err := e.Remediator.Restore(ctx, p, object, actor, reason)
	switch {
	case errors.Is(err, ErrNoDevice):
		return nil, control.NotFound(err)
	case errors.Is(err, ErrNoObjects), errors.Is(err, ErrObject):
		return nil, control.BadRequest(err)
	case errors.Is(err, ErrBusy), errors.Is(err, ErrStandby):
		return nil, control.Problem(http.StatusServiceUnavailable, nil, err)
	case err != nil:
		return nil, err
	}
	return out, nil
}

// Answer is a person's word on a step. See [Remediator.Answer].
func (e engine) Answer(ctx context.Context, m edge.Member, yes bool, actor, note string) error {
	err := e.Remediator.Answer(ctx, m, yes, actor, note)
	if errors.Is(err, ErrNotAsked) {
		return control.NotFound(err)
	}
	return err
}

// Order answers with whatever can be written as JSON, and with the code that tells
// people whose turn it is. See [Remediator.Order].
func (e engine) Order(ctx context.Context, o control.Order) (any, error) {
	out, err := e.Remediator.Order(ctx, PersonOrder{
		Member: o.Member, To: o.To, Share: o.Weight, Percent: o.Percent, Override: o.Override, Reason: o.Reason, Actor: o.Actor,
	})
	switch {
	case errors.Is(err, ErrNoDevice):
		return nil, control.NotFound(err)
	case errors.Is(err, ErrOverride), errors.Is(err, ErrWeight):
		return nil, control.BadRequest(err)
	case err != nil && out.Result == "":
		return nil, control.Problem(http.StatusServiceUnavailable, nil, err)
	case err != nil: // done, and not recorded
		return nil, control.Problem(http.StatusServiceUnavailable, out, err)
	}
	if code := codeOf(out); code != http.StatusOK {
		return nil, control.Problem(code, out, errors.New(out.problem()))
	}
	return out, nil
}

// Members answers with the code that says whose turn it is. See [Remediator.Members].
func (e engine) Members(ctx context.Context, device, pool string) (control.Roster, error) {
	out, err := e.Remediator.Members(ctx, device, pool)
	if err != nil {
		return out, control.Problem(http.StatusServiceUnavailable, nil, err)
	}
	return out, nil
}

// codeOf is what an order is answered with.
func codeOf(out Ordered) int {
	switch out.Result {
	case "applied", "unchanged", "dry_run":
		return http.StatusOK
	case "failed": // the device's word, where it gave one
		if out.NoAnswer {
			return http.StatusServiceUnavailable
		}
		return http.StatusBadGateway
	case "indeterminate":
		return http.StatusServiceUnavailable
	case "superseded", "replanned":
		return http.StatusConflict
	}
	switch no := out.Decision.Refusal; {
	case no == nil:
		return http.StatusInternalServerError
	case no.Reason == "unknown_pool", no.Reason == "unknown_member":
		return http.StatusNotFound
	case no.Reason == "device_blind", no.Guard == "leader":
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// problem is why an order wasn't carried out, in one line: a guard's name first.
func (o Ordered) problem() string {
	if no := o.Decision.Refusal; no != nil {
		return no.Guard + ": " + no.Detail
	}
	return o.Result + ": " + o.Detail
}

// AnswerTTL is how long a word on a step by this policy is worth something.
func (r *Remediator) AnswerTTL(policy string, m edge.Member) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set.cfg == nil {
		return defaultApproval
	}
	p, err := r.set.rule(policy, m)
	if err != nil {
		return defaultApproval
	}
	return time.Duration(p.ApprovalTTL)
}

// Candidates is part of [noJournal].
func (n noJournal) Candidates() ([]journal.Hold, error) { return nil, n.why }

// Page is part of [noJournal].
func (n noJournal) Page(journal.Page) ([]journal.Entry, uint64, error) { return nil, 0, n.why }

// Explain looks at the devices and asks the second source as a round would,
// decides by the same guards, and changes nothing.
func (r *Remediator) Explain(ctx context.Context, labels map[string]string) (Explanation, error) {
	return r.explain(ctx, labels, nil)
}

// explain is Explain; as is how a source shows the alert, where the caller knows that
// one does.
func (r *Remediator) explain(ctx context.Context, labels map[string]string, as *journal.Sighting) (Explanation, error) {
	x := Explanation{Labels: labels, Members: []Judged{}}
	r.mu.Lock()
	set, seen := r.set, r.view
	r.mu.Unlock()
	if set.cfg == nil || r.journal == nil {
		return x, r.broken
	}
	c, ok := set.mapping.Claim(labels)
	if !ok {
		x.Notes = append(x.Notes, "the alert asks for nothing: it has no label remediation, and no entry under remediation.claims matches it")
		return x, nil
	}
	x.Policy = c.Policy
	if c.Drill != "" {
		x.Notes = append(x.Notes, "the alert is marked as a drill's: it asks for nothing")
		return x, nil
	}
	if x.Refusal = set.unfit(c); x.Refusal != nil {
		return x, nil
	}
	if as == nil && !slices.ContainsFunc(seen.Claims, func(o claims.Claim) bool { return o.Key == c.Key }) {
		x.Notes = append(x.Notes, "no source shows this alert now: the answer is for the case that one did")
	}
	c.Source, c.UpdatedAt, c.SeenAt = "explain", time.Now(), time.Now()
	if as != nil {
		c.Suppressed, c.SilencedBy = as.Suppressed, as.SilencedBy
	}
	for name, d := range set.devices {
		if c.Address == "" && name != c.Member.Device {
			continue
		}
		x.Members = append(x.Members, r.explainOn(ctx, newKeeper(r, set, name, d), c)...)
	}
	slices.SortFunc(x.Members, func(a, b Judged) int { return a.Member.Compare(b.Member) })
	if len(x.Members) == 0 {
		x.Notes = append(x.Notes, "no member has the address "+quote(c.Address))
	}
	return x, nil
}

// explainOn judges the members of one device that the claim is on. The keeper
// is a throw-away one: it is asked, and never run.
func (r *Remediator) explainOn(ctx context.Context, k *keeper, c claims.Claim) (out []Judged) {
	snap, err := k.look(ctx)
	if err != nil {
		if c.Address != "" {
			return nil
		}
		return []Judged{{Member: c.Member, Would: "be refused: the device can't be read: " + oneLine(err)}}
	}
	if err := k.readCandidates(); err != nil {
		return []Judged{{Member: c.Member, Would: "be refused: " + oneLine(err)}}
	}
	found, err := k.set.targets(c, snap)
	if err != nil && len(found) == 0 {
		if c.Address != "" {
			return nil
		}
		return []Judged{{Member: c.Member, Would: "do nothing: " + err.Error()}}
	}
	for _, t := range found {
		m, p := t.member, t.policy
		j := Judged{Member: m, Claims: []string{c.Key}}
		if st, known := snap.State(m); known {
			j.State = &st
		}
		if snap.Row != nil {
			j.Row = snap.Row(m)
		}
		r.remembered(&j, k)
		j.inTheWay(k, moves(m, snap, nil))
		j.Policy, j.Mode = p.Name, p.Mode
		own := k.question(ctx, p, m, snap)
		if e, asked := own[m]; asked {
			j.Evidence = &e
		}
		if h, held, err := k.hold(m); err == nil && held {
			j.Hold, j.Claims = &h, h.Claims
			j.Would = "do nothing: it holds the member already (" + string(h.Phase) + ")"
			out = append(out, j)
			continue
		}
		w, err := k.world(snap, p, t, m, own)
		if err != nil {
			j.Would = "be refused: " + oneLine(err)
			out = append(out, j)
			continue
		}
		d := guard.Decide(t.step(), w)
		j.Decision = &d
		switch {
		case d.Refusal != nil && d.Refusal.Guard == "approval" && d.Refusal.Reason != "rejected":
			j.Would = "ask for an approval to put it in " + t.goal()
		case !d.Allowed():
			j.Would = "refuse: " + d.Refusal.Guard + ", " + d.Refusal.Reason + ": " + d.Refusal.Detail
		case !acts(k.mode(p, m, w)):
			j.Would = "record a step to " + t.goal() + " and send nothing: the mode is " + k.mode(p, m, w)
		default:
			j.Would = "put it in " + t.goal()
		}
		out = append(out, j)
	}
	return out
}

// remembered fills in what the journal knows of a candidate, and of its last refusal.
func (r *Remediator) remembered(j *Judged, k *keeper) {
	c, known := k.candidates[j.Member]
	if !known {
		return
	}
	j.Candidate, j.Claims = &c, c.Claims
	last, err := r.journal.Entries(journal.Query{Hold: c.ID, Event: "refusal", Limit: 1})
	if err != nil || len(last) == 0 {
		return // the answer is whole without it
	}
	j.Refused, j.RefusedAt = &guard.Refusal{Guard: last[0].Guard, Reason: last[0].Reason, Detail: last[0].Detail}, last[0].At
}

// inTheWay fills in what people have put in automation's way, also where a hold of
// ours needs no decision.
func (j *Judged) inTheWay(k *keeper, members []edge.Member) {
	b, now := k.r.barriers(), time.Now()
	for _, f := range b.Freezes {
		if f.Device == "" || slices.ContainsFunc(members, f.Covers) {
			j.Frozen = append(j.Frozen, f)
		}
	}
	j.Claimed = b.Claims(members...)
	j.Windows = append(k.set.cfg.in(now, members...), b.in(now, members...)...)
}

// goal is what the step would make of the member, as people say it.
func (t *target) goal() string {
	if t.mark != "" {
		return t.mark
	}
	return t.policy.to.String()
}
