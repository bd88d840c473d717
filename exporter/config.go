package exporter

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// What a probe does where its configuration is silent.
const (
	DefaultInterval = 5 * time.Second
	DefaultFall     = 3
	DefaultRise     = 2

	defaultFastRetry = time.Second // or the interval, when that is shorter
)

// Config is the read side's part of the configuration file. Its keys stand at
// the root of the file. Call [Config.Validate] before anything else.
type Config struct {
	Modules map[string]probe.Module `yaml:"modules,omitempty"` // how to probe
	Probes  []Probe                 `yaml:"probes,omitempty"`  // what to probe, how often, and when to believe it

	SelfCheck *SelfCheck `yaml:"self_check,omitempty"` // when not to believe what we see; nil: own lag only

	Endpoint *Endpoint `yaml:"probe_endpoint,omitempty"` // what /probe does for others; nil: nothing

	// Shown is the whole file, fit to be shown: /probe?debug=true quotes modules
	// from it. It is empty where there is no file.
	Shown string `yaml:"-"`
}

// A Probe asks one question of many targets, again and again.
type Probe struct {
	Name      string         `yaml:"name"`
	Module    string         `yaml:"module"`
	Interval  model.Duration `yaml:"interval,omitempty"`   // from start to start; left out: DefaultInterval
	FastRetry model.Duration `yaml:"fast_retry,omitempty"` // from the end of a bad result to the next try while the verdict is in doubt; left out: 1s, at most the interval
	Fall      int            `yaml:"fall,omitempty"`       // bad results in a row that make it down; left out: DefaultFall
	Rise      int            `yaml:"rise,omitempty"`       // good results in a row that make it up again; left out: DefaultRise
	Targets   []string       `yaml:"targets,omitempty"`    // fixed ones, as the module's prober wants them
	Members   *Members       `yaml:"members,omitempty"`    // discovered from the devices, addresses included
}

// Members select members of pools by anchored regular expressions; one that is
// left out matches all.
type Members struct {
	Device string `yaml:"device,omitempty"`
	Pool   string `yaml:"pool,omitempty"`
	Member string `yaml:"member,omitempty"`
	Scheme string `yaml:"scheme,omitempty"` // http or https, for prober http; left out: http
	Port   int    `yaml:"port,omitempty"`   // left out: the member's own

	device, pool, member *regexp.Regexp // set by Validate
}

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) {
	for name, m := range c.Modules {
		m.SetDirectory(dir)
		c.Modules[name] = m
	}
}

// Validate fills in what was left out and returns all mistakes. devices are the
// names of the configured devices.
func (c *Config) Validate(devices []string) edge.Mistakes {
	var all edge.Mistakes
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		all.Under("modules."+name, c.Modules[name].Validate())
	}
	if c.SelfCheck != nil {
		all.Under("self_check", c.SelfCheck.validate(c.Modules))
		if i := slices.IndexFunc(c.Probes, func(p Probe) bool { return p.Name == selfCheckName }); i >= 0 {
			all.Add(fmt.Sprintf("probes[%d].name", i), "%q is the name of the self-check's series: write another", selfCheckName)
		}
	}
	if c.Endpoint != nil {
		all.Under("probe_endpoint", c.Endpoint.validate(c.Modules))
	}
	names := make(map[string]int)
	for i := range c.Probes {
		p := &c.Probes[i]
		at := fmt.Sprintf("probes[%d]", i)
		all.Under(at, p.validate(c.Modules, devices))
		if first, twice := names[p.Name]; twice && p.Name != "" {
			all.Add(at+".name", "%q is taken by probes[%d]: give each probe its own name", p.Name, first)
			continue
		}
		names[p.Name] = i
	}
	return all
}

// uses says whether something is probed by a module.
func (c *Config) uses(module string) bool {
	return c.SelfCheck != nil && c.SelfCheck.Module == module ||
		slices.ContainsFunc(c.Probes, func(p Probe) bool { return p.Module == module })
}

// wantName keeps a probe's name usable as a label, on a command line and in a path.
var wantName = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

func (p *Probe) validate(modules map[string]probe.Module, devices []string) edge.Mistakes {
	var all edge.Mistakes
	switch {
	case p.Name == "":
		all.Add("name", "is missing: write a short name, it becomes the label probe")
	case !wantName.MatchString(p.Name):
		all.Add("name", "%q: use letters, digits and _ . : - only", p.Name)
	}
	mod, known := modules[p.Module]
	switch {
	case p.Module == "":
		all.Add("module", "is missing: write the name of %s", oneOf(modules))
	case !known:
		all.Add("module", "there is no module %q: write the name of %s", p.Module, oneOf(modules))
	case mod.Unserved() != "":
		all.Add("module", "%s can't be used: %s", p.Module, mod.Unserved())
		known = false // nothing more can be said of its targets
	}
	all.Under("", p.validateTimes())
	if len(p.Targets) == 0 && p.Members == nil {
		all.Add("", "probes nothing: write targets, or members to take them from the devices")
	}
	all.Under("", p.validateTargets(mod, known))
	if p.Members != nil {
		all.Under("members", p.Members.validate(mod, known, devices))
	}
	return all
}

// oneOf says which modules there are.
func oneOf(modules map[string]probe.Module) string {
	if len(modules) == 0 {
		return "a module, and describe it under modules"
	}
	return "one of " + strings.Join(slices.Sorted(maps.Keys(modules)), ", ")
}

func (p *Probe) validateTimes() edge.Mistakes {
	var all edge.Mistakes
	if p.Interval == 0 {
		p.Interval = model.Duration(DefaultInterval)
	}
	if p.FastRetry == 0 {
		p.FastRetry = min(model.Duration(defaultFastRetry), p.Interval)
	}
	if p.FastRetry > p.Interval {
		all.Add("fast_retry", "%s is longer than the interval of %s: write a shorter one, or leave it out", p.FastRetry, p.Interval)
	}
	if p.Fall == 0 {
		p.Fall = DefaultFall
	}
	if p.Rise == 0 {
		p.Rise = DefaultRise
	}
	if p.Fall < 0 {
		all.Add("fall", "%d: write how many bad results in a row mean down, 1 or more", p.Fall)
	}
	if p.Rise < 0 {
		all.Add("rise", "%d: write how many good results in a row mean up, 1 or more", p.Rise)
	}
	return all
}

// validateTargets looks for targets that can't be asked, and for two that would
// be one series. A target's text never stands in a mistake whole: it may hold a
// password.
func (p *Probe) validateTargets(mod probe.Module, known bool) edge.Mistakes {
	var all edge.Mistakes
	seen := make(map[string]int)
	for i, target := range p.Targets {
		at := fmt.Sprintf("targets[%d]", i)
		if known {
			if err := mod.CheckTarget(target); err != nil {
				all.Add(at, "%v", err)
				continue
			}
		}
		shown := probe.Redact(target)
		if first, twice := seen[shown]; twice {
			all.Add(at, "looks like targets[%d] without user and query, which metrics never show: give one of them its own probe", first)
			continue
		}
		seen[shown] = i
	}
	return all
}

func (m *Members) validate(mod probe.Module, known bool, devices []string) edge.Mistakes {
	var all edge.Mistakes
	compile := func(key, text string) *regexp.Regexp {
		if text == "" {
			text = ".*"
		}
		// The text alone first: "a)(b" must not become right by our parentheses.
		if _, err := regexp.Compile(text); err != nil {
			all.Add(key, "%q is no regular expression (RE2): %v", text, err)
			return nil
		}
		whole, err := regexp.Compile("^(?:" + text + ")$")
		if err != nil { // as after a \Q that isn't ended
			all.Add(key, "%q can't be anchored: %v", text, err)
		}
		return whole
	}
	m.device, m.pool, m.member = compile("device", m.Device), compile("pool", m.Pool), compile("member", m.Member)
	if m.device != nil && !slices.ContainsFunc(devices, m.device.MatchString) {
		all.Add("device", "%q matches no device: write the name of one under devices, or a regular expression that matches some", m.Device)
	}
	if known && !mod.AsksMembers() {
		all.Add("", "prober %s can't ask members of a pool: write targets", mod.Prober)
	}
	if m.Port < 0 || m.Port > 65535 {
		all.Add("port", "%d: write a port from 1 to 65535, or leave it out for the member's own", m.Port)
	}
	switch {
	case m.Scheme == "":
	case m.Scheme != "http" && m.Scheme != "https":
		all.Add("scheme", "%q: write http or https", m.Scheme)
	case known && mod.Prober != "http":
		all.Add("scheme", "prober %s has no scheme: leave it out", mod.Prober)
	}
	return all
}

// Covers says whether p probes the member m. It is false before [Config.Validate].
func (p *Probe) Covers(m edge.Member) bool {
	s := p.Members
	return s != nil && s.device != nil && s.pool != nil && s.member != nil &&
		s.device.MatchString(m.Device) && s.pool.MatchString(m.Pool) && s.member.MatchString(m.Name)
}

// MemberTarget returns what to probe for a member that p covers: the address
// that the device gave for it, with the scheme and port of p. mod is p's module.
func (p *Probe) MemberTarget(mod probe.Module, s edge.State) (string, error) {
	if p.Members == nil {
		return "", fmt.Errorf("probe %s: it probes no members", p.Name)
	}
	if s.Address == "" {
		return "", fmt.Errorf("probe %s: %s gives no address for %s/%s", p.Name, s.Member.Device, s.Member.Pool, s.Member.Name)
	}
	host, own, err := net.SplitHostPort(s.Address)
	if err != nil {
		return "", fmt.Errorf("probe %s: address of %s: %w", p.Name, s.Member, err)
	}
	port := p.Members.Port
	if port == 0 {
		if port, err = strconv.Atoi(own); err != nil || port < 1 || port > 65535 {
			return "", fmt.Errorf("probe %s: %s has no port of its own: write port under members", p.Name, s.Member)
		}
	}
	scheme := p.Members.Scheme
	if scheme == "" {
		scheme = "http"
	}
	return mod.MemberTarget(scheme, host, port)
}
