package remediator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Replay decides again, under another configuration, what a journal has recorded
// with all that the guards were told. Nothing is asked of any device, and nothing
// follows from anything: each entry stands for itself, and what earlier steps led
// to (holds, budgets spent, cooldowns) is as it was.

// A Replayed is one recorded decision and what it would have been.
type Replayed struct {
	Seq         uint64      `json:"seq"`
	At          time.Time   `json:"at"`
	Member      edge.Member `json:"member"`
	Policy      string      `json:"policy"`
	Then        Verdict     `json:"then"`
	Now         *Verdict    `json:"now,omitempty"`         // nil when it can't be decided
	Undecidable string      `json:"undecidable,omitempty"` // why not
}

// A Verdict is what came of one decision.
type Verdict struct {
	To      string         `json:"to"`                // what the step would make of the member
	Mode    string         `json:"mode,omitempty"`    // of a step that was let through: the mode, where that sends nothing
	Refusal *guard.Refusal `json:"refusal,omitempty"` // nil: let through
}

// Same says that the two lead to the same: the same guard refuses for the same
// reason, or the same is done.
func (v Verdict) Same(o Verdict) bool {
	if v.Refusal != nil && o.Refusal != nil {
		return v.Refusal.Guard == o.Refusal.Guard && v.Refusal.Reason == o.Refusal.Reason
	}
	return v.Refusal == nil && o.Refusal == nil && v.To == o.To && (v.Mode == "") == (o.Mode == "")
}

// String is the verdict in a few words, without the details of a refusal.
func (v Verdict) String() string {
	switch {
	case v.Refusal != nil:
		return v.Refusal.Guard + "/" + v.Refusal.Reason
	case v.Mode != "":
		return v.To + " allowed, not sent (" + v.Mode + ")"
	}
	return v.To + " allowed"
}

// Differs says that the other configuration decides otherwise.
func (r Replayed) Differs() bool { return r.Now != nil && !r.Then.Same(*r.Now) }

// Replay judges steps and refusals by c, which is validated, and the checks that go
// with it. The entries are those of one journal, oldest first.
func Replay(c *Config, checks []Check, entries []journal.Entry) (out []Replayed) {
	p := &rerun{set: &settings{cfg: c, checks: checks}}
	if len(c.Alertmanagers) == 0 {
		p.set.reader = new(claims.Webhook) // never read: it says whose word a claim is
	}
	for _, e := range entries {
		if r, ok := p.entry(e); ok {
			out = append(out, r)
		}
		p.note(e)
	}
	return out
}

// A rerun goes through one journal.
type rerun struct {
	set  *settings
	outs []outing // when members were taken out, as [ledger.load] reads it
}

// An outing is one member that was taken out.
type outing struct {
	member edge.Member
	at     time.Time
}

// note remembers a step that took a member out: a longer window may count it.
func (p *rerun) note(e journal.Entry) {
	if e.Event != "step" || e.Member == nil || e.Reason == reasonFurther || e.Result != "applied" || e.To != journal.Applied ||
		e.Admin != edge.Drain.String() && e.Admin != edge.Maint.String() {
		return
	}
	for _, m := range append([]edge.Member{*e.Member}, e.Along...) {
		p.outs = append(p.outs, outing{m, e.At})
	}
}

// entry judges one entry; ok is false when it is about something else.
func (p *rerun) entry(e journal.Entry) (r Replayed, ok bool) {
	r = Replayed{Seq: e.Seq, At: e.At, Policy: e.Policy}
	if e.Member != nil {
		r.Member = *e.Member
	}
	if e.World == nil || e.Decision == nil {
		// A refusal of what isn't there, or one that a store had no room for.
		r.Then = Verdict{To: e.Admin, Refusal: &guard.Refusal{Guard: e.Guard, Reason: e.Reason, Detail: e.Detail}}
		r.Undecidable = "what the guards were told is not recorded"
		return r, e.Event == "refusal" && e.Admin != restoring
	}
	var d guard.Decision
	var w guard.World
	if err := errors.Join(json.Unmarshal(e.Decision, &d), json.Unmarshal(e.World, &w)); err != nil {
		r.Undecidable = "what is recorded can't be read: " + oneLine(err)
		return r, true
	}
	if d.Step.Person {
		return r, false // what people wanted is theirs to decide again
	}
	r.Then = Verdict{To: goalOf(d.Step), Refusal: d.Refusal}
	switch e.Result {
	case "dry_run":
		r.Then.Mode = DryRun
	case "observed":
		r.Then.Mode = Observe
	}
	if w.Policy != nil {
		r.Policy = cmp.Or(r.Policy, w.Policy.Name)
	}
	rule, err := p.rule(r.Policy, d.Step, w)
	if err != nil {
		r.Undecidable = err.Error()
		return r, true
	}
	now := p.decide(rule, d.Step, w)
	r.Now = &now
	return r, true
}

// restoring is the word for a whole object that is put back, which is judged by
// other rules.
const restoring = "restore"

func goalOf(s guard.Step) string {
	if s.Mark != "" {
		return s.Mark
	}
	return s.To.String()
}

// Why a recorded decision can't be made again.
var (
	errNoPolicyNow  = errors.New("no policy of that name now")
	errNotChosenNow = errors.New("no policy of that name selects the member now")
	errNoBypassNow  = errors.New("the policy doesn't name it as a way round the pool now")
	errAsksAnother  = errors.New("the policy asks another source now, which was not asked then")
)

// rule finds the policy that would rule the step.
func (p *rerun) rule(name string, s guard.Step, w guard.World) (*Policy, error) {
	if onHeld(s, w) {
		return p.set.held(name, s.Member), nil // what we hold is looked after with or without a policy
	}
	found, err := p.set.rule(name, s.Member)
	switch {
	case errors.Is(err, errNoPolicy):
		return nil, errNoPolicyNow
	case err != nil:
		return nil, errNotChosenNow
	case found.bypass != s.Bypass:
		return nil, errNotChosenNow
	case s.Bypass && !s.Back && !found.names(s):
		return nil, errNoBypassNow
	case w.Policy != nil && found.asksAnother(w, s.Member):
		return nil, errAsksAnother
	}
	return found, nil
}

// onHeld says whether the step is on what we hold already: one more on its way, or
// the same again because the device forgot it. It stays what it was.
func onHeld(s guard.Step, w guard.World) bool {
	_, held := w.Held[s.Member]
	return !s.Bypass && (held || s.To == edge.Ready)
}

// names says whether a bypass brings in what the step is on.
func (p *Policy) names(s guard.Step) bool {
	if s.Mark == "" {
		return slices.Contains(p.Bypass.Standby, s.Member.Name)
	}
	return slices.ContainsFunc(p.Bypass.Passive, func(name string) bool { return application(name) == s.Member.Name })
}

// asksAnother says whether the recorded answers are not those that the policy
// would rest on.
func (p *Policy) asksAnother(w guard.World, m edge.Member) bool {
	if p.Confirm == "none" {
		return false
	}
	asked := w.Policy.Confirm
	if asked == "none" {
		asked = "probe" // which are asked all the same
	}
	if p.Confirm != asked {
		return true
	}
	e, answered := w.Own[m]
	return answered && p.Probe != "" && e.Source != "probe:"+p.Probe
}

// decide asks the guards again. Only what the configuration says is replaced.
func (p *rerun) decide(rule *Policy, s guard.Step, w guard.World) Verdict {
	then, m, cfg := w.Policy, s.Member, p.set.cfg
	if then == nil {
		then = new(guard.Policy)
	}
	held := onHeld(s, w)
	if !s.Bypass && !held {
		s.To = rule.to
	}
	w.Policy = p.limits(rule, m, w.Policy)
	along := map[edge.Member]*guard.Policy{}
	for _, other := range w.Snapshot.Along[m] {
		along[other] = nil
		if rules, err := p.set.rule(rule.Name, other); err == nil {
			along[other] = p.limits(rules, other, w.Along[other])
		}
	}
	w.Along = along
	w.Standby = p.standby(rule, m, w)
	w.Windows = cfg.in(w.Now, append([]edge.Member{m}, w.Snapshot.Along[m]...)...)
	w.Closed = rule.closed(w.Now)
	if old, now := then.Brake.Cooldown, w.Policy.Brake.Cooldown; !w.Storm.Until.IsZero() && old > 0 && now > 0 {
		w.Storm.Until = w.Storm.Until.Add(now - old)
	}
	p.recount(&w, m, then)
	v := Verdict{To: goalOf(s), Refusal: guard.Decide(s, w).Refusal}
	if v.Refusal == nil && !held && !acts(rule.Mode) {
		v.Mode = rule.Mode
	}
	return v
}

// limits are the policy's for one member. What rests on probes is as recorded
// when no probe covers the member now.
func (p *rerun) limits(rule *Policy, m edge.Member, then *guard.Policy) *guard.Policy {
	g := p.set.limits(rule, m)
	if then != nil && len(p.set.covering(rule, m)) == 0 {
		g.Rise, g.MaxAge = then.Rise, then.MaxAge
	}
	return g
}

// standby are what the policy brings in, and what is in already by a bypass.
func (p *rerun) standby(rule *Policy, m edge.Member, w guard.World) map[edge.Member]bool {
	out := rule.standby(m.In())
	for other := range w.Standby {
		if _, held := w.Held[other]; !held {
			continue
		}
		if out == nil {
			out = map[edge.Member]bool{}
		}
		out[other] = true
	}
	return out
}

// recount counts again what was counted over a length of time, where that is
// another now.
func (p *rerun) recount(w *guard.World, m edge.Member, then *guard.Policy) {
	old, now := then.Budget.Window, w.Policy.Budget.Window
	if old != now {
		w.Spent.Pool = maps.Clone(w.Spent.Pool)
		for _, o := range p.outs {
			n := 0
			if age := w.Now.Sub(o.at); age > old && age <= now {
				n = 1
			} else if age > now && age <= old {
				n = -1
			}
			w.Spent.Steps += n
			w.Spent.Pool[o.member.In()] += n
		}
	}
	before := max(old, then.Damping.Max+6*then.Damping.HalfLife)
	after := p.set.cfg.horizon()
	var outs []time.Time
	for _, o := range p.outs {
		if age := w.Now.Sub(o.at); o.member == m && age > before && age <= after {
			outs = append(outs, o.at)
		}
	}
	for _, t := range w.Outs {
		if w.Now.Sub(t) <= after {
			outs = append(outs, t)
		}
	}
	w.Outs = outs
}

// Totals are how many decisions came out how.
type Totals struct {
	Same        int            `json:"same"`
	Different   int            `json:"different"`
	Undecidable map[string]int `json:"undecidable"` // by the reason
}

// Sum counts decisions.
func Sum(all []Replayed) Totals {
	t := Totals{Undecidable: map[string]int{}}
	for _, r := range all {
		switch {
		case r.Now == nil:
			t.Undecidable[r.Undecidable]++
		case r.Differs():
			t.Different++
		default:
			t.Same++
		}
	}
	return t
}

// String is the totals in one line.
func (t Totals) String() string {
	line := fmt.Sprintf("%d decided again: %d the same, %d different", t.Same+t.Different, t.Same, t.Different)
	for _, why := range slices.Sorted(maps.Keys(t.Undecidable)) {
		line += fmt.Sprintf("; %d not decidable: %s", t.Undecidable[why], why)
	}
	return line
}
