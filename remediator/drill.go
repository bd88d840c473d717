package remediator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

// A drill is an alert that goes the whole way and asks for nothing. What is read of
// it is set apart before anything is judged: it wakes no keeper, is no claim of any
// member, and counts nowhere. Only a drill that a person announced to us is passed
// over in silence, and only its very alert. Any other alert that bears the mark is
// refused by name: it is not acted upon, because whoever marked it meant no step and
// a drill whose announcement was lost must not become a step; and it isn't ignored
// either, because a real rule that got the mark by mistake must be heard of. A real
// alert on the same member has other labels, and counts as ever.

const (
	// drillLasts is how long a drill's alert fires when nobody ends it. A route's
	// group_wait, and a group_interval for the end, have room in it.
	drillLasts = 5 * time.Minute
	// drillKnown is how much longer its mark is known: clocks differ, and the
	// Alertmanagers of a cluster tell each other late.
	drillKnown = 10 * time.Minute
	// drillReads is how often the claims are read for somebody who waits for a drill.
	drillReads = time.Second
	// drillAlert is the name of its alert, by which no rule of anybody's is known.
	drillAlert = "SluiceDrill"
	// mostDrillLabels bounds what a person may add to the alert.
	mostDrillLabels = 16
)

// ErrDrill says that a drill can't be made as asked for.
var ErrDrill = errors.New("no such drill is possible")

// unknownDrill is the reason of the refusal, see above.
const unknownDrill = "unknown_drill"

// A DrillView is a drill as people are told of it.
type DrillView struct {
	journal.Drill
	Alertmanagers []string      `json:"alertmanagers"`         // that we ask for claims; none: the webhook is the claim
	Sources       []DrillSource `json:"sources,omitempty"`     // as they were last read
	Authenticates bool          `json:"authenticates"`         // a webhook has to say who sends it
	LastWebhook   time.Time     `json:"last_webhook,omitzero"` // of any content, since the start
	Running       bool          `json:"running"`               // it goes on
}

// A DrillSource is one place that is asked for claims.
type DrillSource struct {
	Name  string `json:"name"`
	Blind string `json:"blind,omitempty"` // why what it doesn't show means nothing
}

// drilling is what this process remembers for drills beside the journal.
type drilling struct {
	lastWebhook time.Time
	read        time.Time       // when somebody who waits last made us read the claims
	judging     map[string]bool // by id
	due         time.Time       // when the next one left alone is over; zero: none is known
}

// Announce begins a drill on a member. Its alert is to be made by the caller.
func (r *Remediator) Announce(d control.Drill) (DrillView, error) {
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	if r.journal == nil {
		return DrillView{}, r.broken
	}
	if set.cfg == nil || set.devices[d.Member.Device] == nil {
		return DrillView{}, fmt.Errorf("drill %s: %w", d.Member, ErrNoDevice)
	}
	policy, err := set.drillPolicy(d)
	if err != nil {
		return DrillView{}, fmt.Errorf("drill %s: %w", d.Member, err)
	}
	now := time.Now()
	one := journal.Drill{
		ID: drillID(), Member: d.Member, Policy: policy, Actor: d.Actor,
		At: now, Ends: now.Add(drillLasts), Until: now.Add(drillLasts + drillKnown),
	}
	if one.Labels, err = set.drillLabels(d, one); err != nil {
		return DrillView{}, fmt.Errorf("drill %s: %w", d.Member, err)
	}
	if err := r.journal.Announce(one); err != nil {
		return DrillView{}, err
	}
	r.mu.Lock()
	r.drills.due = now // the clock asks from here on
	r.mu.Unlock()
	level.Info(r.logger).Log("msg", "drill announced", "drill", one.ID, "member", one.Member, "actor", one.Actor)
	return r.drillView(set, one), nil
}

func drillID() string { return "d" + orderID()[1:] }

// drillPolicy is the one that was asked for, or the first that selects the member.
func (s *settings) drillPolicy(d control.Drill) (string, error) {
	if d.Policy != "" {
		p, err := s.rule(d.Policy, d.Member)
		if err == nil && p.bypass {
			err = errors.New("the policy is a bypass, which is of a whole pool")
		}
		if err != nil {
			return "", fmt.Errorf("policy %s: %w: %w", quote(d.Policy), ErrDrill, err)
		}
		return d.Policy, nil
	}
	for i := range s.cfg.Policies {
		if p := &s.cfg.Policies[i]; !p.bypass && p.Members.Match(d.Member) {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("%w: no policy selects it", ErrDrill)
}

// drillLabels are those of the alert: a person may add such as their routes want.
func (s *settings) drillLabels(d control.Drill, one journal.Drill) (map[string]string, error) {
	ls := map[string]string{model.AlertNameLabel: drillAlert}
	if len(d.Labels) > mostDrillLabels {
		return nil, fmt.Errorf("%w: %d labels more: want %d at most", ErrDrill, len(d.Labels), mostDrillLabels)
	}
	for name, v := range d.Labels {
		switch name {
		case edge.LabelDevice, edge.LabelPool, edge.LabelMember, edge.LabelRemediation, edge.LabelDrill:
			return nil, fmt.Errorf("%w: label %s is set by the drill itself", ErrDrill, name)
		}
		if !model.LegacyValidation.IsValidLabelName(name) || v == "" || len(v) > 200 {
			return nil, fmt.Errorf("%w: label %s: want a name of letters, digits and _, and a value", ErrDrill, quote(name))
		}
		ls[name] = v
	}
	ls[edge.LabelDevice], ls[edge.LabelPool], ls[edge.LabelMember] = one.Member.Device, one.Member.Pool, one.Member.Name
	ls[edge.LabelRemediation], ls[edge.LabelDrill] = one.Policy, one.ID
	return ls, nil
}

// Drill says how far a drill has come. The first who asks while it goes on makes us
// read the claims, so that they needn't wait for the clock, and judge what is there.
func (r *Remediator) Drill(ctx context.Context, id string) (DrillView, error) {
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	if r.journal == nil {
		return DrillView{}, r.broken
	}
	d, err := r.journal.Drill(id)
	if err != nil {
		return DrillView{}, fmt.Errorf("drill %s: %w", quote(id), err)
	}
	if !d.Over(time.Now()) {
		r.readForDrill(ctx, set)
		r.judgeDrill(ctx, id)
		if d, err = r.journal.Drill(id); err != nil {
			return DrillView{}, fmt.Errorf("drill %s: %w", quote(id), err)
		}
	}
	return r.drillView(set, d), nil
}

// Drills are those that are remembered, oldest first.
func (r *Remediator) Drills() ([]DrillView, error) {
	if r.journal == nil {
		return nil, r.broken
	}
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	all, err := r.journal.Drills()
	out := make([]DrillView, len(all))
	for i, d := range all {
		out[i] = r.drillView(set, d)
	}
	return out, err
}

func (r *Remediator) drillView(set *settings, d journal.Drill) DrillView {
	v := DrillView{Drill: d, Alertmanagers: []string{}, Authenticates: set.authenticated, Running: !d.Over(time.Now())}
	if set.cfg != nil {
		for _, a := range set.cfg.Alertmanagers {
			v.Alertmanagers = append(v.Alertmanagers, a.URL)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v.LastWebhook = r.drills.lastWebhook
	for _, s := range r.view.Sources {
		v.Sources = append(v.Sources, DrillSource(s))
	}
	return v
}

// EndDrill ends a drill, and records what was seen of it.
func (r *Remediator) EndDrill(id, actor string) (DrillView, error) {
	if r.journal == nil {
		return DrillView{}, r.broken
	}
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	if err := r.endDrill(id, actor, time.Now()); err != nil {
		return DrillView{}, fmt.Errorf("drill %s: %w", quote(id), err)
	}
	d, err := r.journal.Drill(id)
	return r.drillView(set, d), err
}

func (r *Remediator) endDrill(id, actor string, now time.Time) error {
	return r.journal.NoteDrill(id, func(d *journal.Drill) (bool, *journal.Entry) {
		if !d.Ended.IsZero() {
			return false, nil
		}
		d.Ended, d.Result = now, "incomplete"
		if d.Fired != nil && d.Claimed != nil && d.Judged != nil && d.Resolved != nil {
			d.Result = "complete"
		}
		e := journal.Entry{
			At: now, Event: journal.EventDrill, Member: &d.Member, Policy: d.Policy, Actor: actor, Result: d.Result,
			Detail: "drill " + d.ID + ": " + seenOf(d), Evidence: marshal(d),
		}
		if d.Judged != nil {
			e.Decision = d.Judged.Decision
		}
		return true, &e
	})
}

// seenOf is what was seen of a drill, in one line.
func seenOf(d *journal.Drill) string {
	var parts []string
	add := func(seen bool, what, not string) {
		if seen {
			parts = append(parts, what)
		} else {
			parts = append(parts, not)
		}
	}
	by := func(w *journal.Delivery) string {
		if w == nil {
			return ""
		}
		return fmt.Sprintf("after %s by receiver %s", w.At.Sub(d.At).Round(time.Millisecond), quote(w.Receiver))
	}
	add(d.Fired != nil, "webhook "+by(d.Fired), "no webhook came")
	add(d.Claimed != nil, "it was seen as a claim would be", "no claim was seen")
	if d.Judged != nil {
		parts = append(parts, "it would "+d.Judged.Would)
	}
	add(d.Resolved != nil, "resolved "+by(d.Resolved), "no webhook told of its end")
	return strings.Join(parts, "; ")
}

// readForDrill reads the claims for whoever waits for a drill, and wakes nobody.
func (r *Remediator) readForDrill(ctx context.Context, set *settings) {
	now := time.Now()
	r.mu.Lock()
	soon := now.Sub(r.drills.read) < drillReads
	if !soon {
		r.drills.read = now
	}
	r.mu.Unlock()
	if soon || set.reader == nil {
		return
	}
	v := set.reader.Read(ctx)
	if ctx.Err() == nil {
		r.sift(&v, false)
	}
}

// sift takes the alerts of drills out of what was read, notes those that we know,
// and refuses the others when that is the caller's business.
func (r *Remediator) sift(v *claims.View, refuse bool) {
	marked := v.SetApart()
	refused := map[string]bool{}
	known, err := r.knownDrills(len(marked) > 0)
	if err != nil {
		level.Error(r.logger).Log("msg", "drills not read", "err", err)
	}
	seen := map[string]bool{}
	for _, c := range marked {
		d, ok := known[c.Drill]
		if ok && v.At.Before(d.Until) && maps.Equal(d.Labels, c.Labels) {
			seen[d.ID] = true
			if d.Claimed == nil && d.Ended.IsZero() {
				r.noteDrill(d.ID, func(d *journal.Drill) bool {
					if d.Claimed != nil {
						return false
					}
					d.Claimed = &journal.Sighting{At: c.SeenAt, Source: c.Source, Suppressed: c.Suppressed, SilencedBy: c.SilencedBy}
					return true
				})
			}
			continue
		}
		if !refuse {
			continue
		}
		why := "nobody announced it here"
		switch {
		case err != nil:
			why = "the drills can't be read: " + oneLine(err)
		case ok && v.At.Before(d.Until):
			why = "its labels are not those that were announced"
		case ok:
			why = "it was over by " + d.Until.UTC().Format(time.RFC3339)
		}
		subject := "drill:" + c.Key
		refused[subject] = true
		r.refuse(subject, nil, c.Policy, guard.Refusal{
			Guard: "inventory", Reason: unknownDrill, Detail: "the alert is marked as drill " + quote(c.Drill) + ": " + why,
		}, nil)
	}
	if refuse {
		r.forget("drill:", refused)
	}
	if !v.AbsenceCounts() {
		return
	}
	for id, d := range known {
		if d.Claimed != nil && d.Gone.IsZero() && d.Ended.IsZero() && !seen[id] {
			r.noteDrill(id, func(d *journal.Drill) bool {
				gone := d.Gone.IsZero()
				d.Gone = v.At
				return gone
			})
		}
	}
}

// nextDrill is when the next drill left alone is over; zero: none goes on. Where there
// are several replicas one may be announced to another: then it is always now.
func (r *Remediator) nextDrill(now time.Time) time.Time {
	if r.coordinator.Status().Leased {
		return now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drills.due
}

// knownDrills are those of the journal. It isn't asked without a need: nothing is
// marked, and nobody has announced one.
func (r *Remediator) knownDrills(marked bool) (map[string]journal.Drill, error) {
	if !marked && r.nextDrill(time.Now()).IsZero() {
		return nil, nil
	}
	all, err := r.journal.Drills()
	out := map[string]journal.Drill{}
	for _, d := range all {
		out[d.ID] = d
	}
	return out, err
}

// lateDrills ends the drills that nobody ended.
func (r *Remediator) lateDrills() {
	now := time.Now()
	due := r.nextDrill(now)
	if due.IsZero() || now.Before(due) {
		return
	}
	all, err := r.journal.Drills()
	if err != nil {
		return // the next round asks again
	}
	due = time.Time{}
	for i := range all {
		switch d := &all[i]; {
		case !d.Ended.IsZero():
		case d.Over(now):
			if err := r.endDrill(d.ID, "", now); err != nil {
				level.Error(r.logger).Log("msg", "drill not recorded", "drill", d.ID, "err", err)
			}
		case due.IsZero() || d.Until.Before(due):
			due = d.Until
		}
	}
	r.mu.Lock()
	r.drills.due = due
	r.mu.Unlock()
}

// judgeDrill asks what would be done for the alert if it were a claim, once it is
// among them.
func (r *Remediator) judgeDrill(ctx context.Context, id string) {
	d, err := r.journal.Drill(id)
	if err != nil || d.Judged != nil || d.Claimed == nil && d.Fired == nil {
		return
	}
	r.mu.Lock()
	busy := r.drills.judging[id]
	r.drills.judging[id] = true
	r.mu.Unlock()
	if busy {
		return
	}
	defer func() {
		r.mu.Lock()
		delete(r.drills.judging, id)
		r.mu.Unlock()
	}()
	ls := maps.Clone(d.Labels)
	delete(ls, edge.LabelDrill)
	v := journal.Verdict{}
	as := d.Claimed
	if as == nil { // only a webhook told of it, and none does of what is suppressed
		as = new(journal.Sighting)
	}
	x, err := r.explain(ctx, ls, as)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		v.Would = "be refused: " + oneLine(err)
	case x.Refusal != nil:
		v.Would, v.Decision = "refuse: "+x.Refusal.Guard+", "+x.Refusal.Reason+": "+x.Refusal.Detail, marshal(refusal(d, *x.Refusal))
	case len(x.Members) == 0:
		v.Would = "do nothing: " + strings.Join(x.Notes, "; ")
	default:
		j := x.Members[0]
		v.Mode, v.Would = j.Mode, j.Would
		if j.Decision != nil {
			v.Decision = marshal(j.Decision)
		}
	}
	v.At = time.Now()
	r.noteDrill(id, func(d *journal.Drill) bool {
		first := d.Judged == nil
		if first {
			d.Judged = &v
		}
		return first
	})
}

// refusal is that of an alert, before any member is judged, as a decision.
func refusal(d journal.Drill, why guard.Refusal) guard.Decision {
	return guard.Decision{
		Step:     guard.Step{Member: d.Member},
		Findings: []guard.Finding{{Guard: why.Guard, Reason: why.Reason, Detail: why.Detail}},
		Refusal:  &why,
	}
}

// drillsIn notes the drills that a webhook tells of, and nothing else about them.
func (r *Remediator) drillsIn(m webhook.Message, now time.Time) {
	r.mu.Lock()
	r.drills.lastWebhook = now
	own := len(r.set.cfg.Alertmanagers) == 0
	r.mu.Unlock()
	for _, a := range m.Alerts {
		if a.Result != webhook.Drill {
			continue
		}
		id := a.Labels[edge.LabelDrill]
		err := r.journal.NoteDrill(id, func(d *journal.Drill) (bool, *journal.Entry) {
			if !maps.Equal(d.Labels, a.Labels) || d.Over(now) {
				return false, nil
			}
			by := &journal.Delivery{At: now, Receiver: m.Receiver}
			switch {
			case a.Firing && d.Fired == nil:
				d.Fired = by
				if own { // there is no API where it could be seen besides
					d.Claimed = &journal.Sighting{At: now, Source: "webhook"}
				}
			case !a.Firing && d.Fired != nil && d.Resolved == nil:
				d.Resolved = by
				if own {
					d.Gone = now
				}
			default:
				return false, nil
			}
			return true, nil
		})
		switch {
		case errors.Is(err, journal.ErrNoDrill): // the claims tell of it, with a refusal, if it really is there
			level.Warn(r.logger).Log("msg", "webhook tells of a drill that nobody announced", "drill", quote(id))
		case err != nil:
			level.Error(r.logger).Log("msg", "drill not noted", "drill", quote(id), "err", err)
		}
	}
}

func (r *Remediator) noteDrill(id string, fn func(*journal.Drill) bool) {
	err := r.journal.NoteDrill(id, func(d *journal.Drill) (bool, *journal.Entry) { return fn(d), nil })
	if err != nil {
		level.Error(r.logger).Log("msg", "drill not noted", "drill", id, "err", err)
	}
}

// drillAPI is the Remediator as the API knows it for drills.
type drillAPI struct{ *Remediator }

// Announce answers with whatever can be written as JSON. See [Remediator.Announce].
func (a drillAPI) Announce(d control.Drill) (any, error) {
	out, err := a.Remediator.Announce(d)
	return out, drillProblem(err)
}

// Drill answers with whatever can be written as JSON. See [Remediator.Drill].
func (a drillAPI) Drill(ctx context.Context, id string) (any, error) {
	out, err := a.Remediator.Drill(ctx, id)
	return out, drillProblem(err)
}

// Drills answers with whatever can be written as JSON. See [Remediator.Drills].
func (a drillAPI) Drills(may func(edge.Member) bool) (any, error) {
	out, err := a.Remediator.Drills()
	return slices.DeleteFunc(out, func(v DrillView) bool { return !may(v.Member) }), drillProblem(err)
}

// DrillOn is the member of a drill.
func (a drillAPI) DrillOn(id string) (edge.Member, error) {
	if a.journal == nil {
		return edge.Member{}, drillProblem(a.broken)
	}
	d, err := a.journal.Drill(id)
	return d.Member, drillProblem(err)
}

// EndDrill answers with whatever can be written as JSON. See [Remediator.EndDrill].
func (a drillAPI) EndDrill(id, actor string) (any, error) {
	out, err := a.Remediator.EndDrill(id, actor)
	return out, drillProblem(err)
}

func drillProblem(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoDevice), errors.Is(err, journal.ErrNoDrill):
		return control.NotFound(err)
	case errors.Is(err, ErrDrill):
		return control.BadRequest(err)
	case errors.Is(err, journal.ErrDrills):
		return control.Problem(http.StatusTooManyRequests, nil, err)
	}
	return control.Problem(http.StatusServiceUnavailable, nil, err)
}
