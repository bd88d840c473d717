// Package drill tries the whole way from an alert to a step, with a real alert
// through the real Alertmanager, and tells of each hop whether it works and how long
// it took. The alert bears a mark that was announced to the remediator before, so
// that no device is touched (see docs/remediation.md).
package drill

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Defaults of [Options].
const (
	// DefaultWithin covers the usual group_wait of 30s.
	DefaultWithin = time.Minute
	defaultPoll   = 300 * time.Millisecond
)

// cleanup bounds how long the end of a drill that was broken off may take.
const cleanup = 10 * time.Second

// Options of [Run].
type Options struct {
	Client *ctl.Client
	Member edge.Member
	Policy string            // empty: the first that selects the member
	Labels map[string]string // that the alert is to have besides

	Alertmanagers []string     // instead of those that the remediator asks
	HTTP          *http.Client // to ask them with; nil: without authentication

	Within time.Duration // how long each hop may take; DefaultWithin when 0
	Seen   func(Hop)     // is told of each hop as soon as it is known; may be nil
}

// A State is how a hop went.
type State string

// The states.
const (
	OK      State = "ok"
	Missing State = "missing"
	Skipped State = "skipped" // because of an earlier one, or because it can't be known
)

// A Hop is one station of the way.
type Hop struct {
	Name   string  `json:"hop" yaml:"hop"`
	State  State   `json:"state" yaml:"state"`
	After  float64 `json:"after_seconds" yaml:"after_seconds"` // since the alert was sent, or since its end was; 0 unless ok
	Detail string  `json:"detail" yaml:"detail"`
	Cause  string  `json:"likely_cause,omitempty" yaml:"likely_cause,omitempty"`
	Look   string  `json:"look,omitempty" yaml:"look,omitempty"` // the first command
}

// A Report is what came of a drill.
type Report struct {
	Drill    string           `json:"drill" yaml:"drill"`
	Member   string           `json:"member" yaml:"member"`
	Policy   string           `json:"policy" yaml:"policy"`
	Hops     []Hop            `json:"hops" yaml:"hops"`
	Complete bool             `json:"complete" yaml:"complete"` // no hop is missing
	Judged   *journal.Verdict `json:"judged,omitempty" yaml:"-"`
}

// The hops, in their order.
const (
	hopAnnounced = "announced"
	hopTaken     = "alertmanager"
	hopRouted    = "route"
	hopWebhook   = "webhook"
	hopClaim     = "claim"
	hopSelected  = "selected"
	hopJudged    = "judged"
	hopEnded     = "ended"
	hopResolved  = "resolved"
	hopGone      = "gone"
)

// ErrNoAlertmanager says that there is none to send the alert to.
var ErrNoAlertmanager = errors.New("the remediator asks no Alertmanager: name one by --alertmanager.url")

// A view is what the remediator says of a drill.
type view struct {
	journal.Drill
	Alertmanagers []string                       `json:"alertmanagers"`
	Sources       []struct{ Name, Blind string } `json:"sources"`
	Authenticates bool                           `json:"authenticates"`
	LastWebhook   time.Time                      `json:"last_webhook"`
}

// drill is one that goes on.
type drill struct {
	Options
	view   view
	ams    []alertmanager
	report Report
	since  time.Time // what hops are timed from
	before map[string]float64
}

// Run makes one drill. Its error says that it could not be begun; what doesn't work
// on the way stands in the report. The alert is ended before Run returns, also when
// ctx ends in between.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Within == 0 {
		o.Within = DefaultWithin
	}
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	d := &drill{Options: o}
	if err := d.announce(ctx); err != nil {
		return d.report, err
	}
	err := d.find()
	if err == nil {
		err = d.run(ctx)
	}
	// However it went, neither the alert nor the drill is left behind.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	end := d.end(last)
	d.report.Complete = !slices.ContainsFunc(d.report.Hops, func(h Hop) bool { return h.State == Missing })
	return d.report, errors.Join(err, end)
}

func (d *drill) announce(ctx context.Context) error {
	in := map[string]any{"device": d.Member.Device, "pool": d.Member.Pool, "member": d.Member.Name}
	if d.Policy != "" {
		in["policy"] = d.Policy
	}
	if len(d.Labels) > 0 {
		in["labels"] = d.Labels
	}
	var out struct{ Drill view }
	if err := d.Client.Post(ctx, ctl.Path("drills"), in, &out); err != nil {
		return err
	}
	d.view, d.since = out.Drill, time.Now()
	d.report = Report{Drill: d.view.ID, Member: ctl.Name(d.view.Member), Policy: d.view.Policy}
	d.ok(hopAnnounced, d.since, fmt.Sprintf("the remediator knows it as drill %s: its alert is no claim", d.view.ID))
	return nil
}

// find makes clients of the Alertmanagers.
func (d *drill) find() error {
	urls := d.Alertmanagers
	if len(urls) == 0 {
		urls = d.view.Alertmanagers
	}
	if len(urls) == 0 {
		return ErrNoAlertmanager
	}
	for _, u := range urls {
		a, err := newAlertmanager(u, d.HTTP)
		if err != nil {
			return err
		}
		d.ams = append(d.ams, a)
	}
	return nil
}

func (d *drill) run(ctx context.Context) error {
	d.before = map[string]float64{}
	for _, a := range d.ams {
		d.before[a.url] = a.failures(ctx)
	}
	d.since = time.Now()
	if !d.send(ctx) {
		d.skip("the alert is nowhere", hopRouted, hopWebhook, hopClaim, hopSelected, hopJudged, hopEnded, hopResolved, hopGone)
		return ctx.Err()
	}
	shown := d.route(ctx)
	if err := d.webhook(ctx, shown); err != nil {
		return err
	}
	if err := d.claim(ctx); err != nil {
		return err
	}
	d.judged()

	d.since = time.Now()
	if err := d.resolve(ctx); err != nil {
		d.miss(hopEnded, ctl.Line(err.Error()), "Alertmanager took the alert and not its end: it ends by itself at "+d.view.Ends.UTC().Format(time.RFC3339), "curl -s "+d.ams[0].url+"/-/ready")
		d.skip("the alert goes on", hopResolved, hopGone)
		return ctx.Err()
	}
	d.ok(hopEnded, time.Now(), "Alertmanager was told that the alert has ended")
	return d.over(ctx, shown)
}

// send tells all Alertmanagers of the alert, as Prometheus would.
func (d *drill) send(ctx context.Context) bool {
	took := 0
	for _, a := range d.ams {
		err := a.say(ctx, d.view.Labels, d.view.Ends)
		if err == nil {
			d.ok(hopTaken, time.Now(), a.url+" took the alert")
			took++
			continue
		}
		cause, look := untaken(a, err, len(d.Alertmanagers) == 0)
		d.miss(hopTaken, a.url+": "+ctl.Line(err.Error()), cause, look)
	}
	return took > 0
}

// route asks Alertmanager where the alert goes.
func (d *drill) route(ctx context.Context) *shown {
	var last error
	for _, a := range d.ams {
		s, err := a.show(ctx, d.view.ID)
		if err != nil {
			last = err
			continue
		}
		s.plan = a.plan(ctx, s.Labels)
		receivers := s.names()
		switch hooks, known := s.hooks(); {
		case known && len(hooks) == 0:
			d.miss(hopRouted, "it goes to "+listed(receivers),
				"no route sends this alert to a webhook: a route with matchers for remediation=~\".+\" is missing, or stands behind one that takes the alert first without \"continue: true\"",
				"amtool config routes test --alertmanager.url="+a.url+" "+s.asArguments())
		default:
			d.ok(hopRouted, time.Now(), "it goes to "+listed(receivers))
		}
		return &s
	}
	if last == nil {
		last = errNotShown
	}
	d.miss(hopRouted, ctl.Line(last.Error()), "Alertmanager takes alerts and doesn't show them: a proxy in front of it passes POST only, or another Alertmanager answers", "curl -s "+forShell(d.ams[0].url+"/api/v2/alerts?filter=sluice_drill="+quoted(d.view.ID)))
	return nil
}

// webhook waits until the remediator has had one.
func (d *drill) webhook(ctx context.Context, s *shown) error {
	hopeless := s != nil && s.hopeless()
	within := d.Within
	if hopeless {
		within = min(within, patience)
	}
	err := d.wait(ctx, within, func(v view) bool { return v.Fired != nil })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		d.miss(hopWebhook, ctl.Line(err.Error()), "the remediator can't be asked", "sluice ctl members")
	case d.view.Fired != nil:
		d.ok(hopWebhook, d.view.Fired.At, "Alertmanager delivered it, by receiver "+unquoted(d.view.Fired.Receiver))
	default:
		cause, look := d.unhooked(ctx, s)
		d.miss(hopWebhook, fmt.Sprintf("none came within %s", within), cause, look)
	}
	return nil
}

// patience is how long something is waited for that can't come, as far as we know.
const patience = 5 * time.Second

// claim waits until the remediator sees the alert for itself, and has judged it.
func (d *drill) claim(ctx context.Context) error {
	err := d.wait(ctx, d.Within, func(v view) bool { return v.Claimed != nil && v.Judged != nil })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		d.miss(hopClaim, ctl.Line(err.Error()), "the remediator can't be asked", "sluice ctl members")
	case d.view.Claimed != nil:
		detail := "the remediator sees it at " + d.view.Claimed.Source
		if d.view.Claimed.Suppressed {
			detail += ", silenced or inhibited"
		}
		d.ok(hopClaim, d.view.Claimed.At, detail)
	default:
		cause, look := d.unclaimed()
		d.miss(hopClaim, "the remediator doesn't see it where it reads the claims", cause, look)
	}
	return nil
}

// judged tells what would be done for the alert, if it were a claim.
func (d *drill) judged() {
	j := d.view.Judged
	if j == nil {
		d.skip("nothing was seen that could be judged", hopSelected, hopJudged)
		return
	}
	d.report.Judged = j
	if refused := inventoryRefusal(j); refused != "" {
		d.miss(hopSelected, refused, "the labels select no member that the remediator may act on", "sluice explain --labels "+forShell(explainLabels(d.view.Labels)))
	} else {
		d.ok(hopSelected, j.At, fmt.Sprintf("member %s, policy %s, mode %s", ctl.Name(d.view.Member), d.view.Policy, j.Mode))
	}
	d.ok(hopJudged, j.At, "for a real alert it would "+j.Would)
}

// over waits until the end of the alert has gone the same way.
func (d *drill) over(ctx context.Context, s *shown) error {
	hooked := d.view.Fired != nil
	within := d.Within
	if hooked && s != nil && s.plan.mute(unquoted(d.view.Fired.Receiver)) {
		within = min(within, patience)
	}
	if !hooked && d.view.Claimed == nil {
		d.skip("its beginning wasn't seen", hopResolved, hopGone)
		return nil
	}
	err := d.wait(ctx, within, func(v view) bool {
		return (v.Resolved != nil || !hooked) && (!v.Gone.IsZero() || v.Claimed == nil || blind(v) != "")
	})
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	switch {
	case d.view.Resolved != nil:
		d.ok(hopResolved, d.view.Resolved.At, "Alertmanager told of its end, by receiver "+unquoted(d.view.Resolved.Receiver))
	case !hooked:
		d.skip("its beginning didn't come either", hopResolved)
	default:
		cause, look := d.unresolved(s)
		d.miss(hopResolved, fmt.Sprintf("no webhook told of its end within %s", within), cause, look)
	}
	switch why := blind(d.view); {
	case !d.view.Gone.IsZero():
		d.ok(hopGone, d.view.Gone, "the remediator doesn't see it any more")
	case d.view.Claimed == nil:
		d.skip("it wasn't seen before", hopGone)
	case why != "":
		d.skip("that a blind source doesn't show it means nothing: "+why, hopGone)
	default:
		d.miss(hopGone, "the remediator still sees it", "another Alertmanager of the cluster wasn't told of the end", "amtool alert query --alertmanager.url="+d.ams[0].url+" sluice_drill="+d.view.ID)
	}
	return nil
}

// resolve tells all Alertmanagers that the alert has ended. One that isn't there
// any more is no reason not to tell the others.
func (d *drill) resolve(ctx context.Context) error {
	var errs []error
	for _, a := range d.ams {
		if err := a.say(ctx, d.view.Labels, time.Now()); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) < len(d.ams) {
		return nil
	}
	return errors.Join(errs...)
}

// end ends what may still be there.
func (d *drill) end(ctx context.Context) error {
	if !slices.ContainsFunc(d.report.Hops, func(h Hop) bool { return h.Name == hopEnded && h.State == OK }) && d.sent() {
		if err := d.resolve(ctx); err != nil {
			return fmt.Errorf("the alert could not be ended, it ends by itself at %s: %w", d.view.Ends.UTC().Format(time.RFC3339), err)
		}
	}
	return d.Client.Delete(ctx, ctl.Path("drills", d.view.ID), nil, new(struct{}))
}

func (d *drill) sent() bool {
	return slices.ContainsFunc(d.report.Hops, func(h Hop) bool { return h.Name == hopTaken && h.State == OK })
}

// wait asks the remediator until it says so, or time is up; the last answer stays.
func (d *drill) wait(ctx context.Context, within time.Duration, done func(view) bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	pace := time.NewTicker(defaultPoll)
	defer pace.Stop()
	for {
		var out struct{ Drill view }
		err := d.Client.Get(ctx, ctl.Path("drills", d.view.ID), nil, &out)
		switch {
		case err == nil:
			d.view = out.Drill
			if done(d.view) {
				return nil
			}
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
	}
}

func (d *drill) ok(name string, at time.Time, detail string) {
	d.tell(Hop{Name: name, State: OK, After: max(0, at.Sub(d.since).Round(time.Millisecond)).Seconds(), Detail: detail})
}

func (d *drill) miss(name, detail, cause, look string) {
	d.tell(Hop{Name: name, State: Missing, Detail: detail, Cause: cause, Look: look})
}

func (d *drill) skip(why string, names ...string) {
	for _, n := range names {
		d.tell(Hop{Name: n, State: Skipped, Detail: why})
	}
}

func (d *drill) tell(h Hop) {
	h.Detail, h.Cause = ctl.Printable(h.Detail), ctl.Printable(h.Cause)
	d.report.Hops = append(d.report.Hops, h)
	if d.Seen != nil {
		d.Seen(h)
	}
}

// listed is names for people.
func listed(names []string) string {
	switch len(names) {
	case 0:
		return "no receiver"
	case 1:
		return "receiver " + names[0]
	}
	return "receivers " + strings.Join(names, ", ")
}

// unquoted is a receiver's name as it stands in the configuration: Alertmanager
// quotes it in messages as for a regular expression.
// Source: Alertmanager, template/template.go, Template.Data: regexp.QuoteMeta.
func unquoted(name string) string { return strings.ReplaceAll(name, `\`, "") }
