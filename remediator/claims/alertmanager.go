package claims

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/client/general"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/alertmanager"
)

// Defaults of [AlertmanagerOptions].
const (
	// DefaultYoung covers Prometheus' resend delay (1 m), its evaluation interval
	// and a margin: after that a new Alertmanager knows all that fires.
	DefaultYoung   = 3 * time.Minute
	DefaultTimeout = 5 * time.Second
)

// An Alertmanager is where to ask.
type Alertmanager = alertmanager.Server

// AlertmanagerOptions of [NewAlertmanagers].
type AlertmanagerOptions struct {
	Alertmanagers []Alertmanager
	Mapping       *Mapping      // nil: our own labels only
	Timeout       time.Duration // of all questions to one Alertmanager; DefaultTimeout when 0
	Young         time.Duration // an Alertmanager that runs for less is blind; DefaultYoung when 0
}

// Alertmanagers reads the claims of several Alertmanagers, each asked at once.
// A claim that any of them has is a claim.
type Alertmanagers struct {
	mapping *Mapping
	timeout time.Duration
	young   time.Duration
	peers   []peer
}

// A peer is one Alertmanager that is asked.
type peer struct{ alertmanager.API }

// NewAlertmanagers makes a reader and asks nothing yet.
func NewAlertmanagers(o AlertmanagerOptions) (*Alertmanagers, error) {
	r := &Alertmanagers{
		mapping: o.Mapping,
		timeout: cmp.Or(o.Timeout, DefaultTimeout),
		young:   cmp.Or(o.Young, DefaultYoung),
	}
	if r.mapping == nil {
		r.mapping = new(Mapping)
	}
	for i, a := range o.Alertmanagers {
		api, err := alertmanager.Open(a)
		if err != nil {
			return nil, fmt.Errorf("alertmanagers[%d]: %w", i, err)
		}
		r.peers = append(r.peers, peer{api})
	}
	return r, nil
}

// Read implements [Reader]. It takes at most the timeout.
func (r *Alertmanagers) Read(ctx context.Context) View {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answers := make([]answer, len(r.peers))
	var wg sync.WaitGroup
	for i, p := range r.peers {
		wg.Go(func() { answers[i] = p.ask(ctx, r.mapping, r.young) })
	}
	wg.Wait()

	var v View
	claims := map[string]Claim{}
	for _, a := range answers {
		v.Sources = append(v.Sources, a.source)
		v.Watchdog = later(v.Watchdog, a.watchdog)
		for _, c := range a.claims {
			if have, ok := claims[c.Key]; ok {
				c = merge(have, c)
			}
			claims[c.Key] = c
		}
	}
	for _, c := range claims {
		v.Claims = append(v.Claims, c)
	}
	v.finish(time.Now())
	return v
}

// merge joins what two sources say of one alert: it fires if either says so, and
// is suppressed only if both say that.
func merge(a, b Claim) Claim {
	out := a
	if b.UpdatedAt.After(a.UpdatedAt) {
		out.Source, out.UpdatedAt = b.Source, b.UpdatedAt
	}
	if b.StartsAt.Before(a.StartsAt) {
		out.StartsAt = b.StartsAt
	}
	out.SeenAt = later(a.SeenAt, b.SeenAt)
	out.Suppressed = a.Suppressed && b.Suppressed
	out.SilencedBy = nil
	if out.Suppressed {
		out.SilencedBy = slices.Concat(a.SilencedBy, b.SilencedBy)
		slices.Sort(out.SilencedBy)
		out.SilencedBy = slices.Compact(out.SilencedBy)
	}
	return out
}

type answer struct {
	source   Source
	claims   []Claim
	known    map[string]bool // keys of claims
	watchdog time.Time
}

// ask puts all questions to one Alertmanager. What it said before a question
// failed still counts: a claim that was seen is a claim.
func (p peer) ask(ctx context.Context, mapping *Mapping, young time.Duration) answer {
	out := answer{source: Source{Name: p.Name}, known: map[string]bool{}}
	for _, filter := range mapping.filters() {
		got, err := p.Alerts.GetAlerts(alert.NewGetAlertsParamsWithContext(ctx).WithFilter(filter))
		if err != nil {
			out.source.Blind = alertmanager.Reason(err)
			return out
		}
		now := time.Now()
		for _, a := range got.Payload {
			out.take(a, mapping, now)
		}
	}
	// The age is asked last: were it asked first, an Alertmanager that restarts in
	// between would pass for an old one that has no alerts.
	out.source.Blind = p.blind(ctx, young)
	return out
}

// take adds one alert. Entries may have asked for what another question brought
// already, and a server may know less of filters than it was asked: so the
// mapping decides here once more, and equal alerts become one.
func (a *answer) take(g *models.GettableAlert, mapping *Mapping, now time.Time) {
	if g == nil {
		return
	}
	ls := map[string]string(g.Labels)
	if ls[edge.LabelRemediation] == Watchdog && ls[edge.LabelDrill] == "" {
		a.watchdog = later(a.watchdog, at(g.UpdatedAt))
		return
	}
	c, ok := mapping.Claim(ls)
	if !ok || a.known[c.Key] {
		return
	}
	a.known[c.Key] = true
	c.Source = a.source.Name
	c.StartsAt, c.UpdatedAt, c.SeenAt = at(g.StartsAt), at(g.UpdatedAt), now
	if s := g.Status; s != nil {
		c.Suppressed = s.State != nil && *s.State == models.AlertStatusStateSuppressed || len(s.SilencedBy)+len(s.InhibitedBy) > 0
		c.SilencedBy = slices.Clone(s.SilencedBy)
	}
	a.claims = append(a.claims, c)
}

func at(t *strfmt.DateTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Time(*t)
}

// blind says why the silence of an Alertmanager means nothing, or "".
func (p peer) blind(ctx context.Context, young time.Duration) string {
	got, err := p.General.GetStatus(general.NewGetStatusParamsWithContext(ctx))
	if err != nil {
		return alertmanager.Reason(err)
	}
	s := got.Payload
	if s == nil || s.Uptime == nil || s.Cluster == nil || s.Cluster.Status == nil {
		return "doesn't say since when it runs"
	}
	if age := time.Since(at(s.Uptime)); age < young {
		return fmt.Sprintf("runs for less than %s: it may not know all that fires", young)
	}
	if st := *s.Cluster.Status; st == models.ClusterStatusStatusSettling {
		return "its cluster is settling"
	}
	return ""
}
