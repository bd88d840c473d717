package remediator

import (
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/guard"
)

// Brake is the section "brake": how many may fall sick together before that is
// taken for a fault of something else.
type Brake struct {
	Off      bool           `yaml:"off,omitempty"`
	Share    int            `yaml:"share,omitempty"`    // percent of a pool's members; left out: 50
	Least    int            `yaml:"least,omitempty"`    // members of a pool that make a storm at all; left out: 3
	Pools    int            `yaml:"pools,omitempty"`    // pools, on as many hosts; left out: 5
	Window   model.Duration `yaml:"window,omitempty"`   // left out: 2m
	Cooldown model.Duration `yaml:"cooldown,omitempty"` // left out: 5m
	Settle   model.Duration `yaml:"settle,omitempty"`   // after our own probes were configured anew; left out: 30s
}

func (b *Brake) validate() (all edge.Mistakes) {
	fill(&b.Share, 50)
	fill(&b.Least, 3)
	fill(&b.Pools, 5)
	fill(&b.Window, model.Duration(2*time.Minute))
	fill(&b.Cooldown, model.Duration(5*time.Minute))
	fill(&b.Settle, model.Duration(30*time.Second))
	if b.Share < 1 || b.Share > 100 {
		all.Add("share", "%d: write a percentage from 1 to 100; off: true takes the brake away", b.Share)
	}
	all.Under("", positive(count{"least", b.Least}, count{"pools", b.Pools}))
	all.Under("", lasting(length{"window", b.Window}, length{"cooldown", b.Cooldown}, length{"settle", b.Settle}))
	return all
}

// limits are the brake as guards see it.
func (b *Brake) limits() guard.Brake {
	if b.Off {
		return guard.Brake{}
	}
	return guard.Brake{
		Share: b.Share, Least: b.Least, Pools: b.Pools,
		Window: time.Duration(b.Window), Cooldown: time.Duration(b.Cooldown), Settle: time.Duration(b.Settle),
	}
}

// Damping is the section "damping", in the words of RFC 2439. The defaults are
// its own, but for suppress: 2000 hurt members that failed twice for two reasons.
type Damping struct {
	Off      bool           `yaml:"off,omitempty"`
	Penalty  int            `yaml:"penalty,omitempty"`   // each time that a member is taken out; left out: 1000
	Suppress int            `yaml:"suppress,omitempty"`  // left out: 3000
	Reuse    int            `yaml:"reuse,omitempty"`     // left out: 750
	HalfLife model.Duration `yaml:"half_life,omitempty"` // left out: 15m
	Max      model.Duration `yaml:"max,omitempty"`       // left out: 1h
}

func (d *Damping) validate() (all edge.Mistakes) {
	fill(&d.Penalty, 1000)
	fill(&d.Suppress, 3000)
	fill(&d.Reuse, 750)
	fill(&d.HalfLife, model.Duration(15*time.Minute))
	fill(&d.Max, model.Duration(time.Hour))
	all.Under("", positive(count{"penalty", d.Penalty}, count{"suppress", d.Suppress}, count{"reuse", d.Reuse}))
	all.Under("", lasting(length{"half_life", d.HalfLife}, length{"max", d.Max}))
	if d.Reuse >= d.Suppress {
		all.Add("reuse", "%d is not below suppress, which is %d", d.Reuse, d.Suppress)
	}
	if len(all) == 0 && d.limits().Ceiling() < float64(d.Suppress) {
		all.Add("max", "%s is too short: no penalty would ever reach suppress", d.Max)
	}
	return all
}

func (d *Damping) limits() guard.Damping {
	if d.Off {
		return guard.Damping{}
	}
	return guard.Damping{
		Penalty: float64(d.Penalty), Suppress: float64(d.Suppress), Reuse: float64(d.Reuse),
		HalfLife: time.Duration(d.HalfLife), Max: time.Duration(d.Max),
	}
}

// Budget is the section "budget": what we do on all devices together.
type Budget struct {
	MaxHeld int            `yaml:"max_held,omitempty"` // members held at the same time; left out: 10
	Steps   int            `yaml:"steps,omitempty"`    // that take out, in window; left out: 20
	Window  model.Duration `yaml:"window,omitempty"`   // left out: 1h
}

func (b *Budget) validate() (all edge.Mistakes) {
	fill(&b.MaxHeld, 10)
	fill(&b.Steps, 20)
	fill(&b.Window, model.Duration(time.Hour))
	all.Under("", positive(count{"max_held", b.MaxHeld}, count{"steps", b.Steps}))
	all.Under("", lasting(length{"window", b.Window}))
	return all
}

func (b *Budget) limits() guard.Budget {
	return guard.Budget{MaxHeld: b.MaxHeld, Steps: b.Steps, Window: time.Duration(b.Window)}
}

// Maintenance is a time in which automation leaves some members alone: nothing
// is taken out, and nothing is given back.
type Maintenance struct {
	Members         Members `yaml:"members"`
	calendar.Window `yaml:",inline"`
}

func (m *Maintenance) validate(devices []string) (all edge.Mistakes) {
	all.Under("", m.Window.Validate())
	all.Under("members", m.Members.validate(devices))
	return all
}

// in returns the windows in force for any of the members, each with its end.
func (c *Config) in(now time.Time, members ...edge.Member) (out []string) {
	for i := range c.Maintenance {
		if text, is := c.Maintenance[i].force(now, members); is {
			out = append(out, text)
		}
	}
	return out
}

// validateLimits checks what a policy says beside its times and evidence.
func (p *Policy) validateLimits() (all edge.Mistakes) {
	add := func(key, format string, args ...any) {
		all.Add(key, "policy "+p.Name+": "+format, args...)
	}
	all.Under("active_hours", p.ActiveHours.Validate())
	if p.MaxSteps < 0 {
		add("max_steps", "%d: write 1 or more, or leave it out", p.MaxSteps)
	}
	if p.MaxSessions < 0 {
		add("max_sessions", "%d: write 1 or more, or leave it out", p.MaxSessions)
	}
	if p.panic = p.amount; p.Panic != "" {
		var err error
		if p.panic, err = guard.ParseAmount(p.Panic); err != nil {
			add("panic", "panic %v", err)
		}
	}
	if p.ApprovalTTL != 0 && p.Mode != Approve {
		add("approval_ttl", "is for mode: approve only")
	}
	fill(&p.ApprovalTTL, model.Duration(defaultApproval))
	if p.ApprovalTTL < 0 {
		add("approval_ttl", "%s: write a time above 0", p.ApprovalTTL)
	}
	return all
}

type count struct {
	key string
	n   int
}

// positive checks counts.
func positive(counts ...count) (all edge.Mistakes) {
	for _, c := range counts {
		if c.n < 1 {
			all.Add(c.key, "%d: write 1 or more", c.n)
		}
	}
	return all
}

type length struct {
	key string
	d   model.Duration
}

// lasting checks lengths of time.
func lasting(lengths ...length) (all edge.Mistakes) {
	for _, l := range lengths {
		if l.d <= 0 {
			all.Add(l.key, "%s: write a time above 0", l.d)
		}
	}
	return all
}

// closed says why a policy's steps aren't to be taken at this hour.
func (p *Policy) closed(now time.Time) string {
	open, change := p.ActiveHours.Open(now)
	switch {
	case open:
		return ""
	case change.IsZero():
		return "outside the active hours of policy " + p.Name
	}
	return "outside the active hours of policy " + p.Name + ", which begin again at " + change.UTC().Format(time.RFC3339)
}
