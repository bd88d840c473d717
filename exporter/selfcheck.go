package exporter

import (
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// selfCheckName is the label probe of the self-check's own series.
const selfCheckName = "self_check"

// defaultSelfInterval is how often the self-check asks by itself; it asks at
// once, too, when a verdict waits for it.
const defaultSelfInterval = model.Duration(time.Second)

// SelfCheck says how the exporter finds out that it is itself not well. Then bad
// results count for nothing, and verdicts go stale instead of down.
type SelfCheck struct {
	Module   string         `yaml:"module,omitempty"`
	Targets  []string       `yaml:"targets,omitempty"`  // none of which answers when it is us who reach nothing; left out: we never suspect that
	Interval model.Duration `yaml:"interval,omitempty"` // left out: 1s
	MaxLag   model.Duration `yaml:"max_lag,omitempty"`  // of our own; left out: schedule.DefaultMaxLag
}

func (s *SelfCheck) validate(modules map[string]probe.Module) edge.Mistakes {
	var all edge.Mistakes
	if s.Interval == 0 {
		s.Interval = defaultSelfInterval
	}
	mod, known := modules[s.Module]
	switch {
	case len(s.Targets) == 0 && s.Module == "":
		return all
	case len(s.Targets) == 0:
		all.Add("targets", "is missing: write some that answer whenever the exporter's network is well, best of several kinds, or leave out module")
	case s.Module == "":
		all.Add("module", "is missing: write the name of %s", oneOf(modules))
	case !known:
		all.Add("module", "there is no module %q: write the name of %s", s.Module, oneOf(modules))
	case mod.Unserved() != "":
		all.Add("module", "%s can't be used: %s", s.Module, mod.Unserved())
		known = false // nothing more can be said of its targets
	}
	all.Under("", s.probe().validateTargets(mod, known))
	return all
}

// probe is the self-check as one more probe.
func (s *SelfCheck) probe() *Probe {
	return &Probe{
		Name: selfCheckName, Module: s.Module, Targets: s.Targets,
		Interval: s.Interval, FastRetry: s.Interval, Fall: DefaultFall, Rise: DefaultRise,
	}
}

// maxLag is how late the exporter may be for its bad results to count; zero
// where nobody says.
func (c *Config) maxLag() time.Duration {
	if c.SelfCheck == nil {
		return 0
	}
	return time.Duration(c.SelfCheck.MaxLag)
}
