package exporter

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/collect"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/exporter/schedule"
)

const (
	discoverEvery = 10 * time.Second
	discoverAgain = time.Second // after an error
)

// A source is one device and the members that it listed when it last answered.
type source struct {
	*collect.Collector
	look   func(context.Context) (*collect.Look, error)
	wanted bool // some probe covers members of it

	mu      sync.Mutex
	members []edge.State // ordered; only Member and Address are set
	told    map[string]bool
	asked   time.Time // when an answer or a failure last came; zero before
	failed  error     // why there was no answer then
	said    said      // in the log
}

func newSource(c *collect.Collector, wanted bool) *source {
	return &source{Collector: c, wanted: wanted, look: c.Look}
}

// covers says whether a probe may cover members of the device.
func (c *Config) covers(device string) bool {
	return slices.ContainsFunc(c.Probes, func(p Probe) bool {
		return p.Members != nil && p.Members.device != nil && p.Members.device.MatchString(device)
	})
}

// inherit takes over what devices of the same name listed, so that a reload
// stops no probe of a device that can't be read just now, and says nothing twice.
func (g *generation) inherit(old *generation) {
	for _, s := range g.devices {
		i := slices.IndexFunc(old.devices, func(o *source) bool { return o.Device().Name() == s.Device().Name() })
		if i >= 0 {
			s.members, s.said = old.devices[i].left()
			s.Succeed(old.devices[i].Collector)
		}
	}
}

func (s *source) known() []edge.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members
}

// left is what a successor takes over.
func (s *source) left() ([]edge.State, said) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members, s.said.clone()
}

func (s *source) noted() (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.failed
}

// learn takes what a device lists now, and says whether it differs.
func (s *source) learn(snapshot edge.Snapshot) bool {
	members := make([]edge.State, 0, len(snapshot.States))
	for m, st := range snapshot.States {
		members = append(members, edge.State{Member: m, Address: st.Address})
	}
	slices.SortFunc(members, func(a, b edge.State) int { return a.Member.Compare(b.Member) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.members, members) {
		return false
	}
	s.members = members
	return true
}

// discover reads the devices whose members are probed, each at its own pace,
// until ctx ends.
func (e *Exporter) discover(ctx context.Context, g *generation) {
	var all sync.WaitGroup
	for _, s := range g.devices {
		if s.wanted {
			all.Go(func() { e.follow(ctx, g, s) })
		}
	}
	all.Wait()
}

// follow keeps the members of one device up to date. While the device can't be
// read, those that it last listed are probed on.
func (e *Exporter) follow(ctx context.Context, g *generation, s *source) {
	for {
		wait := discoverEvery
		look, err := s.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			look = new(collect.Look)
		}
		e.note(s, look.Refused, err, false)
		switch {
		case err != nil:
			wait = discoverAgain
		case s.learn(look.Snapshot):
			e.reschedule(g)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// reschedule gives the scheduler what there is to ask, unless g is history.
func (e *Exporter) reschedule(g *generation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == g {
		e.scheduler.Set(e.checks(g))
	}
}

// checks returns all that there is to ask now.
func (e *Exporter) checks(g *generation) []schedule.Check {
	var all []schedule.Check
	for i := range g.config.Probes {
		p := &g.config.Probes[i]
		module := g.config.Modules[p.Module]
		asks := question(module)
		ask := func(m edge.Member, target string) {
			all = append(all, newCheck(p, module, g.probers[p.Module], m, target, asks))
		}
		for _, target := range p.Targets {
			ask(edge.Member{}, target)
		}
		for _, s := range g.devices {
			for _, m := range s.known() {
				if !p.Covers(m.Member) {
					continue
				}
				target, err := p.MemberTarget(module, m)
				if err != nil {
					e.tell(s, err)
					continue
				}
				ask(m.Member, target)
			}
		}
	}
	if s := g.config.SelfCheck; s != nil {
		p, module := s.probe(), g.config.Modules[s.Module]
		for _, target := range s.Targets {
			c := newCheck(p, module, g.probers[s.Module], edge.Member{}, target, question(module))
			c.Self = true
			all = append(all, c)
		}
	}
	return all
}

// tell logs a member that can't be probed, once.
func (e *Exporter) tell(s *source, err error) {
	s.mu.Lock()
	told := s.told[err.Error()]
	if !told {
		if s.told == nil {
			s.told = make(map[string]bool)
		}
		s.told[err.Error()] = true
	}
	s.mu.Unlock()
	if !told {
		level.Warn(e.logger).Log("msg", "member is not probed", "err", err)
	}
}

func newCheck(p *Probe, m probe.Module, prober probe.Prober, member edge.Member, target string, asks []byte) schedule.Check {
	shown := probe.Redact(target)
	if shown == target {
		shown = target // one text in memory, not two
	}
	return schedule.Check{
		Key:         schedule.Key{Probe: p.Name, Target: shown, Member: member},
		Interval:    time.Duration(p.Interval),
		FastRetry:   time.Duration(p.FastRetry),
		Timeout:     timeout(m),
		Fall:        p.Fall,
		Rise:        p.Rise,
		Run:         func(ctx context.Context) probe.Result { return prober.Probe(ctx, target) },
		Fingerprint: fingerprint(asks, target),
	}
}

func timeout(m probe.Module) time.Duration {
	if m.Timeout == 0 {
		return probe.DefaultTimeout
	}
	return time.Duration(m.Timeout)
}

// question is what a module asks. Secrets are written as "<secret>" here: a new
// password is the same question.
func question(m probe.Module) []byte {
	out, err := yaml.Marshal(m)
	if err != nil { // it came from YAML
		return fmt.Appendf(nil, "%+v", m)
	}
	return out
}

// fingerprint changes with the question that is asked of a target.
func fingerprint(asks []byte, target string) string {
	h := sha256.New()
	_, _ = h.Write(asks) // a hash takes everything
	_, _ = h.Write([]byte(target))
	return string(h.Sum(nil)[:16]) // of 10,000 targets none is another's
}
