package remediator

import (
	"errors"
	"fmt"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
)

// settings are one configuration, ready for use. They are never changed.
type settings struct {
	cfg      *Config // nil without a section remediation
	hash     string
	evidence string // hash of what our own evidence rests on
	devices  map[string]Device
	checks   []Check
	images   Images
	mapping  *claims.Mapping
	reader   claims.Reader
	queries  []querier // the Prometheus servers, for confirm: prometheus
	posters  []announce.Poster

	authenticated bool // a webhook has to say who sends it
}

func (r *Remediator) build(o Options) (*settings, error) {
	s := &settings{cfg: o.Config, hash: o.ConfigHash, evidence: o.EvidenceHash, devices: o.Devices, checks: o.Checks, images: o.Images, mapping: new(claims.Mapping), authenticated: o.Authenticated}
	if o.Config == nil {
		return s, nil
	}
	if len(o.Config.Alertmanagers) == 0 && !o.Authenticated {
		if !o.Config.manual { // a webhook leads to nothing there
			return nil, ErrUnauthenticated
		}
	}
	var entries []claims.Entry
	for _, c := range o.Config.Claims {
		entries = append(entries, claims.Entry(c))
	}
	var err error
	if s.mapping, err = claims.NewMapping(entries); err != nil {
		return nil, err
	}
	if err := s.buildReader(r); err != nil {
		return nil, err
	}
	if err := s.buildPosters(); err != nil {
		return nil, err
	}
	for i, p := range o.Config.Prometheus {
		c, err := promconfig.NewClientFromConfig(p.Client, "prometheus")
		if err != nil {
			return nil, fmt.Errorf("prometheus[%d]: %w", i, err)
		}
		q, err := newQuerier(p.URL, c)
		if err != nil {
			return nil, fmt.Errorf("prometheus[%d]: %w", i, err)
		}
		s.queries = append(s.queries, q)
	}
	if r.built != nil {
		r.built(s)
	}
	return s, nil
}

func (s *settings) buildReader(r *Remediator) error {
	if len(s.cfg.Alertmanagers) == 0 {
		if r.journal == nil {
			return nil
		}
		s.reader = claims.NewWebhook(r.journal, s.mapping, time.Duration(s.cfg.ClaimTTL))
		return nil
	}
	o := claims.AlertmanagerOptions{Mapping: s.mapping}
	for _, a := range s.cfg.Alertmanagers {
		o.Alertmanagers = append(o.Alertmanagers, claims.Alertmanager{URL: a.URL, HTTP: a.Client})
	}
	var err error
	s.reader, err = claims.NewAlertmanagers(o)
	return err
}

// errNoPolicy and errNotSelected differ: a name that nobody configured is a
// refusal, a member that no policy of that name selects is nobody's business.
var (
	errNoPolicy    = errors.New("no policy has that name")
	errNotSelected = errors.New("no policy of that name selects it")
)

// rule finds the policy that rules a member: the first of that name that selects it.
func (s *settings) rule(name string, m edge.Member) (*Policy, error) {
	err := errNoPolicy
	for i := range s.cfg.Policies {
		p := &s.cfg.Policies[i]
		if p.Name != name {
			continue
		}
		if err = errNotSelected; p.Members.Match(m) {
			return p, nil
		}
	}
	return nil, err
}

// held finds the policy of a hold; a policy that is gone from the configuration
// leaves the hold with the most careful limits, to be given back only.
func (s *settings) held(name string, m edge.Member) *Policy {
	if p, err := s.rule(name, m); err == nil {
		return p
	}
	p := &Policy{Name: name, Mode: s.cfg.Mode, MaxHeld: 1, Confirm: "probe", AtMax: "hold"}
	fill(&p.HoldDown, model.Duration(defaultHoldDown))
	fill(&p.Lease, model.Duration(defaultLease))
	fill(&p.MaxHold, model.Duration(defaultMaxHold))
	return p
}

// covering are the checks that a policy asks for a member.
func (s *settings) covering(p *Policy, m edge.Member) (out []Check) {
	for _, c := range s.checks {
		if (p.Probe == "" || p.Probe == c.Name()) && c.Covers(m) {
			out = append(out, c)
		}
	}
	return out
}

// Ages beyond which something isn't acted upon (SAFETY.md I17).
const (
	freshest = 10 * time.Second
	claimAge = claims.QuietAfter
)

// limits is a policy as guards see it, for one member.
func (s *settings) limits(p *Policy, m edge.Member) *guard.Policy {
	g := &guard.Policy{
		Name: p.Name, To: p.to, MinServing: p.amount, MaxHeld: p.MaxHeld, Confirm: p.Confirm,
		HoldDown: time.Duration(p.HoldDown), Rise: 1, MaxAge: freshest, ClaimAge: claimAge,
		Panic: p.panic, MaxSteps: p.MaxSteps, MaxSessions: p.MaxSessions, Approve: p.Mode == Approve,
		Brake: s.cfg.Brake.limits(), Damping: s.cfg.Damping.limits(), Budget: s.cfg.Budget.limits(),
	}
	if _, own := s.reader.(*claims.Webhook); own {
		g.ClaimAge = time.Duration(s.cfg.ClaimTTL)
	}
	for _, c := range s.covering(p, m) {
		g.Rise = max(g.Rise, c.Rise())
		g.MaxAge = max(g.MaxAge, 2*c.Interval()+freshest)
	}
	return g
}

// every is how often a member is asked again.
func (s *settings) every(p *Policy, m edge.Member) time.Duration {
	every := time.Duration(0)
	for _, c := range s.covering(p, m) {
		if every == 0 || c.Interval() < every {
			every = c.Interval()
		}
	}
	if every == 0 {
		return lookHeld
	}
	return max(every, shortest)
}

// shortest bounds how often anything is asked.
const shortest = 100 * time.Millisecond
