package remediator

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
	"github.com/sluice-project/sluice/remediator/audit"
	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/guard"
)

// Config is the section "remediation". Call [Config.Validate] before anything else.
type Config struct {
	Mode             string            `yaml:"mode"`                  // observe, dry_run, approve or auto: the ceiling for every policy; no default
	ObserveNew       model.Duration    `yaml:"observe_new,omitempty"` // how long what a reload brings is only observed; left out: not at all
	Alertmanagers    []Source          `yaml:"alertmanagers,omitempty"`
	Announce         announce.Config   `yaml:"announce,omitempty"`   // off, or what people are told by the Alertmanagers
	Prometheus       []Source          `yaml:"prometheus,omitempty"` // for confirm: prometheus
	Journal          string            `yaml:"journal,omitempty"`    // left out: data/sluice.db
	JournalRetention model.Duration    `yaml:"journal_retention,omitempty"`
	Snapshots        string            `yaml:"snapshots,omitempty"`   // folder for objects as they were before a write; left out: data/snapshots
	Poll             model.Duration    `yaml:"poll,omitempty"`        // how often claims are read without a hint; left out: 15s
	ClaimTTL         model.Duration    `yaml:"claim_ttl,omitempty"`   // without alertmanagers: how long a webhook's word lasts; left out: 4m
	Coordinator      coordinate.Config `yaml:"coordinator,omitempty"` // local, or etcd for several replicas
	Audit            audit.Config      `yaml:"audit,omitempty"`
	Brake            Brake             `yaml:"brake,omitempty"`
	Damping          Damping           `yaml:"damping,omitempty"`
	Budget           Budget            `yaml:"budget,omitempty"`
	Maintenance      []Maintenance     `yaml:"maintenance,omitempty"`
	Policies         []Policy          `yaml:"policies,omitempty"`
	Claims           []ClaimMap        `yaml:"claims,omitempty"`

	manual bool // [WithoutAutomation]
}

// WithoutAutomation is what the remediator does where the configuration has no
// section: nothing by itself, as there is no policy, and what people order. Their
// steps are recorded in the journal, which is made when it isn't there; empty is
// the default one.
func WithoutAutomation(journal string) *Config {
	c := &Config{Mode: Observe, Journal: journal, manual: true}
	c.Validate(nil, nil) // fills in the rest; without a policy there is nothing to get wrong
	return c
}

// Manual says that the configuration is [WithoutAutomation].
func (c *Config) Manual() bool { return c.manual }

// A Source is an HTTP API that is asked.
type Source struct {
	URL    string                      `yaml:"url"`
	Client promconfig.HTTPClientConfig `yaml:",inline"`
}

// UnmarshalYAML fills in the client's defaults, whose zero values mean something else.
func (s *Source) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Source
	s.Client = promconfig.DefaultHTTPClientConfig
	return unmarshal((*plain)(s))
}

// A Policy says what may be done to which members, and under which limits.
// Several may share a name: the first whose members select the target rules it.
type Policy struct {
	Name       string         `yaml:"name"`
	To         string         `yaml:"to"` // drain or maint, or bypass
	Members    Members        `yaml:"members"`
	Mode       string         `yaml:"mode,omitempty"` // only more careful than the ceiling
	MinServing string         `yaml:"min_serving"`    // count or share; no default
	MaxHeld    int            `yaml:"max_held,omitempty"`
	HoldDown   model.Duration `yaml:"hold_down,omitempty"`
	Lease      model.Duration `yaml:"lease,omitempty"`
	MaxHold    model.Duration `yaml:"max_hold,omitempty"`
	AtMax      string         `yaml:"at_max,omitempty"`  // hold or release
	Confirm    string         `yaml:"confirm,omitempty"` // probe, prometheus, traffic or none
	Probe      string         `yaml:"probe,omitempty"`   // left out: every probe that covers the member
	Query      string         `yaml:"query,omitempty"`   // for confirm: prometheus
	Bypass     *Bypass        `yaml:"bypass,omitempty"`  // for to: bypass

	ActiveHours calendar.Hours `yaml:"active_hours,omitempty"` // left out: always
	MaxSteps    int            `yaml:"max_steps,omitempty"`    // that take out, in one pool, in budget.window; left out: no limit of the pool's own
	MaxSessions int            `yaml:"max_sessions,omitempty"` // that one member can carry; left out: what the device is configured for
	Panic       string         `yaml:"panic,omitempty"`        // count or share; left out: min_serving
	ApprovalTTL model.Duration `yaml:"approval_ttl,omitempty"` // how long a person's word on a step is good; left out: 10m

	DrainWait model.Duration `yaml:"drain_wait,omitempty"` // with to: maint: drain first, at most so long until sessions have ended
	Release   *Release       `yaml:"release,omitempty"`    // back by steps; left out: at once
	Traffic   *Traffic       `yaml:"traffic,omitempty"`    // for confirm: traffic

	to     edge.Admin
	bypass bool
	amount guard.Amount
	panic  guard.Amount
}

// Bypass names the way round a pool whose members all fail. To name it is the
// owner's consent; nothing else is ever brought in.
type Bypass struct {
	Standby []string `yaml:"standby,omitempty"` // members of the pool that are out: brought in
	Passive []string `yaml:"passive,omitempty"` // PTAF PRO applications: protection_mode becomes PASSIVE
}

// Members select members by anchored regular expressions; one that is left out matches all.
type Members struct {
	Device string `yaml:"device,omitempty"`
	Pool   string `yaml:"pool,omitempty"`
	Member string `yaml:"member,omitempty"`

	device, pool, member *regexp.Regexp
}

// Match says whether the members include m; never before [Config.Validate].
func (s *Members) Match(m edge.Member) bool {
	return s.device != nil && s.pool != nil && s.member != nil &&
		s.device.MatchString(m.Device) && s.pool.MatchString(m.Pool) && s.member.MatchString(m.Name)
}

// A ClaimMap makes other people's alerts claims: match selects them, and the
// other keys name the labels that hold what we need to know.
type ClaimMap struct {
	Match   []string `yaml:"match"`
	Policy  string   `yaml:"policy"`
	Address string   `yaml:"address,omitempty"`
	Device  string   `yaml:"device,omitempty"`
	Pool    string   `yaml:"pool,omitempty"`
	Member  string   `yaml:"member,omitempty"`
}

// The modes, most careful first.
const (
	Observe = "observe" // judge and record
	DryRun  = "dry_run" // and say, later, whether it passed by itself
	Approve = "approve" // each step that takes out waits for a person's word
	Auto    = "auto"
)

var modes = []string{Observe, DryRun, Approve, Auto}

// acts says whether anything is written in a mode.
func acts(mode string) bool { return mode == Approve || mode == Auto }

// What is meant where the configuration is silent.
const (
	defaultJournal   = "data/sluice.db"
	defaultRetention = 90 * 24 * time.Hour
	defaultPoll      = 15 * time.Second
	defaultHoldDown  = 30 * time.Second
	defaultLease     = time.Hour
	defaultMaxHold   = 24 * time.Hour
	defaultBypass    = 30 * time.Minute // time limit of a bypass
	defaultSnapshots = "data/snapshots"
	defaultApproval  = 10 * time.Minute
	defaultQuery     = "min by (device, pool, member) (sluice_probe_up)"
)

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) {
	c.Journal = promconfig.JoinDir(dir, c.Journal)
	c.Snapshots = promconfig.JoinDir(dir, c.Snapshots)
	c.Coordinator.SetDirectory(dir)
	c.Audit.SetDirectory(dir)
	for i := range c.Alertmanagers {
		c.Alertmanagers[i].Client.SetDirectory(dir)
	}
	for i := range c.Prometheus {
		c.Prometheus[i].Client.SetDirectory(dir)
	}
}

// Validate fills in what was left out and returns all mistakes; devices and
// probes are the names that the other sections configure.
func (c *Config) Validate(devices, probes []string) edge.Mistakes {
	var all edge.Mistakes
	all.Under("", validateMode(c.Mode, "is missing: write observe, dry_run, approve or auto; there is no default"))
	fill(&c.Journal, defaultJournal)
	fill(&c.Snapshots, filepath.Join(filepath.Dir(c.Journal), filepath.Base(defaultSnapshots)))
	fill(&c.JournalRetention, model.Duration(defaultRetention))
	fill(&c.Poll, model.Duration(defaultPoll))
	fill(&c.ClaimTTL, model.Duration(claims.DefaultTTL))
	for _, d := range []struct {
		key string
		val model.Duration
	}{{"journal_retention", c.JournalRetention}, {"poll", c.Poll}, {"claim_ttl", c.ClaimTTL}, {"observe_new", c.ObserveNew}} {
		if d.val < 0 {
			all.Add(d.key, "%s: write a time above 0", d.val)
		}
	}
	fill(&c.Audit.File, filepath.Join(filepath.Dir(c.Journal), filepath.Base(audit.DefaultFile)))
	all.Under("coordinator", c.Coordinator.Validate())
	if least := c.Coordinator.Least(); least < leaseNeed {
		all.Add("coordinator.etcd.ttl", "%s is too short: just before a renewal %s would be left, and a step may take %s", c.Coordinator.Etcd.TTL, least, leaseNeed)
	}
	all.Under("audit", c.Audit.Validate())
	all.Under("brake", c.Brake.validate())
	all.Under("damping", c.Damping.validate())
	all.Under("budget", c.Budget.validate())
	for i := range c.Maintenance {
		all.Under(fmt.Sprintf("maintenance[%d]", i), c.Maintenance[i].validate(devices))
	}
	all.Under("", validateSources("alertmanagers", c.Alertmanagers))
	all.Under("announce", c.Announce.Validate(len(c.Alertmanagers) > 0))
	all.Under("", validateSources("prometheus", c.Prometheus))
	names := map[string]bool{}
	for i := range c.Policies {
		p := &c.Policies[i]
		names[p.Name] = true
		all.Under(fmt.Sprintf("policies[%d]", i), p.validate(c, devices, probes))
	}
	for i := range c.Claims {
		all.Under(fmt.Sprintf("claims[%d]", i), c.Claims[i].validate(names))
	}
	return all
}

func fill[T comparable](v *T, with T) {
	var zero T
	if *v == zero {
		*v = with
	}
}

func validateMode(mode, missing string) (all edge.Mistakes) {
	switch {
	case mode == "":
		all.Add("mode", "%s", missing)
	case !slices.Contains(modes, mode):
		all.Add("mode", "%q: write observe, dry_run, approve or auto", mode)
	}
	return all
}

func validateSources(key string, sources []Source) (all edge.Mistakes) {
	for i := range sources {
		at := fmt.Sprintf("%s[%d]", key, i)
		u, err := url.Parse(sources[i].URL)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			all.Add(at+".url", "write the server's address, such as http://127.0.0.1:9093")
		case u.User != nil:
			all.Add(at+".url", "holds a user: write basic_auth beside url instead")
		case u.RawQuery != "" || u.Fragment != "":
			all.Add(at+".url", "holds a query or fragment: leave it out")
		}
		if err := sources[i].Client.Validate(); err != nil {
			all.Add(at, "%v", err)
		}
	}
	return all
}

func (p *Policy) validate(c *Config, devices, probes []string) edge.Mistakes {
	var all edge.Mistakes
	add := func(key, format string, args ...any) {
		all.Add(key, "policy %s: %s", p.Name, fmt.Sprintf(format, args...))
	}
	if p.Name == "" {
		all.Add("name", "is missing: write the name that alerts carry in the label remediation")
	} else if p.Name == "watchdog" {
		add("name", "watchdog is the label of the Watchdog alert: choose another name")
	}
	var err error
	if p.bypass = p.To == "bypass"; p.bypass {
		p.to = edge.Ready
		fill(&p.MinServing, "1") // so many regular members end it
		fill(&p.MaxHold, model.Duration(defaultBypass))
		fill(&p.Lease, p.MaxHold)
	} else if p.to, err = edge.ParseAdmin(p.To); err != nil || p.to == edge.Ready {
		add("to", "%q: write drain, maint or bypass", p.To)
	}
	all.Under("", p.validateBypass())
	if p.MinServing == "" {
		add("min_serving", "is missing: write how many must go on serving, such as 2 or 50%%; there is no default")
	} else if p.amount, err = guard.ParseAmount(p.MinServing); err != nil {
		add("min_serving", "min_serving %v", err)
	}
	fill(&p.MaxHeld, 1)
	if p.MaxHeld < 1 {
		add("max_held", "%d: write 1 or more", p.MaxHeld)
	}
	if p.Mode != "" {
		all.Under("", validateMode(p.Mode, ""))
	}
	fill(&p.Mode, c.Mode)
	if slices.Index(modes, p.Mode) > slices.Index(modes, c.Mode) && slices.Contains(modes, c.Mode) {
		add("mode", "%s is less careful than the section's %s: that is the ceiling", p.Mode, c.Mode)
	}
	all.Under("", p.validateLimits())
	all.Under("", p.validateTimes())
	all.Under("", p.validateConfirm(c, probes))
	all.Under("members", p.Members.validate(devices))
	return all
}

func (p *Policy) validateBypass() (all edge.Mistakes) {
	add := func(key, format string, args ...any) {
		all.Add(key, "policy %s: %s", p.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case !p.bypass && p.Bypass != nil:
		add("bypass", "is for to: bypass only")
	case !p.bypass:
	case p.Bypass == nil || len(p.Bypass.Standby)+len(p.Bypass.Passive) == 0:
		add("bypass", "to: bypass needs bypass: {standby: [names of members that are out]}; nothing else is ever brought in")
	case p.Members.Member != "":
		add("members.member", "a bypass is of a whole pool: leave it out")
	case p.Confirm == "none":
		add("confirm", "a bypass wants evidence that all members fail: write probe or prometheus")
	}
	if p.bypass && (p.AtMax == "hold" || p.MaxHeld != 0) {
		add("at_max", "a bypass always ends at max_hold, and its limit is what it names: leave out at_max and max_held")
	}
	if p.bypass && p.Bypass != nil {
		for key, names := range map[string][]string{"bypass.standby": p.Bypass.Standby, "bypass.passive": p.Bypass.Passive} {
			for i, name := range names {
				if name == "" || slices.Contains(names[:i], name) {
					add(key, "%q is empty or stands there twice", name)
				}
			}
		}
	}
	return all
}

func (p *Policy) validateTimes() (all edge.Mistakes) {
	fill(&p.HoldDown, model.Duration(defaultHoldDown))
	fill(&p.Lease, model.Duration(defaultLease))
	fill(&p.MaxHold, model.Duration(defaultMaxHold))
	fill(&p.AtMax, "hold")
	for _, d := range []struct {
		key string
		val model.Duration
	}{{"hold_down", p.HoldDown}, {"lease", p.Lease}, {"max_hold", p.MaxHold}} {
		if d.val < 0 {
			all.Add(d.key, "policy %s: %s: write a time above 0", p.Name, d.val)
		}
	}
	if p.MaxHold < p.Lease {
		all.Add("max_hold", "policy %s: %s is shorter than the lease of %s", p.Name, p.MaxHold, p.Lease)
	}
	if p.AtMax != "hold" && p.AtMax != "release" {
		all.Add("at_max", "policy %s: %q: write hold or release", p.Name, p.AtMax)
	}
	return all
}

func (p *Policy) validateConfirm(c *Config, probes []string) (all edge.Mistakes) {
	add := func(key, format string, args ...any) {
		all.Add(key, "policy %s: %s", p.Name, fmt.Sprintf(format, args...))
	}
	fill(&p.Confirm, "probe")
	switch p.Confirm {
	case "probe":
		if len(probes) == 0 {
			add("confirm", "probe needs one under probes that covers the members")
		}
	case "prometheus":
		if len(c.Prometheus) == 0 {
			add("confirm", "prometheus needs remediation.prometheus: [{url: http://127.0.0.1:9090}]")
		}
		fill(&p.Query, defaultQuery)
	case "none":
		if len(c.Alertmanagers) == 0 {
			add("confirm", "none without alertmanagers would act on a webhook alone: configure alertmanagers, or confirm: probe")
		}
		if p.to == edge.Maint {
			add("confirm", "none releases on HAProxy's own check, which maint pauses: write to: drain")
		}
	case "traffic":
		if p.Traffic == nil {
			p.Traffic = new(Traffic)
		}
		all.Under("traffic", p.Traffic.validate())
		if p.bypass {
			add("confirm", "a bypass wants evidence on each member: write probe or prometheus")
		}
		if p.Release == nil { // what only traffic shows, only traffic shows to be over
			p.Release = &Release{Weights: []string{"10%"}}
		}
	default:
		add("confirm", "%q: write probe, prometheus, traffic or none", p.Confirm)
	}
	if p.Traffic != nil && p.Confirm != "traffic" {
		add("traffic", "is for confirm: traffic only")
	}
	if p.Release != nil {
		all.Under("release", p.Release.validate())
		if p.bypass {
			add("release", "is for members that are taken out; a bypass ends at once")
		}
	}
	switch {
	case p.DrainWait < 0:
		add("drain_wait", "%s: write a time above 0", p.DrainWait)
	case p.DrainWait > 0 && p.to != edge.Maint:
		add("drain_wait", "is for to: maint, which it drains before")
	}
	if p.Query != "" && p.Confirm != "prometheus" {
		add("query", "is for confirm: prometheus only")
	}
	switch {
	case p.Probe != "" && p.Confirm != "probe":
		add("probe", "is for confirm: probe only")
	case p.Probe != "" && !slices.Contains(probes, p.Probe):
		add("probe", "there is no probe %q: write one of %s", p.Probe, strings.Join(probes, ", "))
	}
	return all
}

func (s *Members) validate(devices []string) (all edge.Mistakes) {
	compile := func(key, text string) *regexp.Regexp {
		fill(&text, ".*")
		if _, err := regexp.Compile(text); err != nil {
			all.Add(key, "%q is no regular expression (RE2): %v", text, err)
			return nil
		}
		// With s a name that holds a line break is matched, and refused by name later on.
		whole, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil { // as after a \Q that isn't ended
			all.Add(key, "%q can't be anchored: %v", text, err)
		}
		return whole
	}
	s.device, s.pool, s.member = compile("device", s.Device), compile("pool", s.Pool), compile("member", s.Member)
	if s.device != nil && !slices.ContainsFunc(devices, s.device.MatchString) {
		all.Add("device", "%q matches no device: write the name of one, or a regular expression that matches some", s.Device)
	}
	return all
}

func (m *ClaimMap) validate(policies map[string]bool) (all edge.Mistakes) {
	if _, err := claims.ParseMatchers(m.Match); err != nil {
		all.Add("match", "%v", err)
	}
	if !policies[m.Policy] {
		all.Add("policy", "there is no policy %q", m.Policy)
	}
	return all
}
