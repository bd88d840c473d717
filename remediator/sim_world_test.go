package remediator

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// A simRun is one simulated world: devices, an Alertmanager, people, and the
// remediator in between. All of it follows from the seed: the driver draws from
// one generator, and whatever happens on the engine's own goroutines draws from
// one that is made of the seed, what it is about and the time (see [simRun.roll]).
type simRun struct {
	seed uint64
	rng  *rand.Rand // the driver's alone
	path string     // of the journal
	tell func(string)
	line sync.Mutex // of tell

	apis    bool // claims come from Alertmanager's API; else from the webhook
	devices []*simDevice
	checks  []*simCheck
	am      *simAlerts
	site    *simSite // of several replicas; nil: one process

	mu      sync.Mutex // of all that follows, and of what devices and checks remember
	begun   time.Time
	calm    bool // no faults, no mistakes, nobody interferes
	configs []simConfig
	proc    *simProcess
	lives   int
	frozen  time.Time // when the call that froze returned; zero: not frozen
	thawsAt time.Time // zero: until lifted
	people  simPeople
	ledger  simLedger
	broken  []string // violations
	stats   simStats
}

// A simConfig is a configuration and when it came into force.
type simConfig struct {
	cfg   *Config
	since time.Time
}

// simStats is what runs did, summed up.
type simStats struct {
	Runs, Events, Orders, Steps, Crashes, Restarts, Messages, Looks int
	Refusals                                                        map[string]int
	Kinds                                                           map[string]int // steps by kind
	Points                                                          map[string]int // crashes by failpoint
	Allowed                                                         map[string]int // see simAllowances
}

func (s *simStats) add(o simStats) {
	s.Runs += o.Runs
	s.Events += o.Events
	s.Orders += o.Orders
	s.Steps += o.Steps
	s.Crashes += o.Crashes
	s.Restarts += o.Restarts
	s.Messages += o.Messages
	s.Looks += o.Looks
	simAdd(&s.Refusals, o.Refusals)
	simAdd(&s.Kinds, o.Kinds)
	simAdd(&s.Points, o.Points)
	simAdd(&s.Allowed, o.Allowed)
}

func simAdd(to *map[string]int, from map[string]int) {
	if *to == nil {
		*to = map[string]int{}
	}
	for k, n := range from {
		(*to)[k] += n
	}
}

// newSimRun makes a world. Its journal lies in dir; tell gets the event log and
// may be nil.
func newSimRun(seed uint64, dir string, tell func(string)) *simRun {
	s := &simRun{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), tell: tell, begun: time.Now(),
		path: filepath.Join(dir, strconv.FormatUint(seed, 10)+".db"), ledger: newSimLedger(), people: newSimPeople(),
	}
	s.stats = simStats{Runs: 1, Kinds: map[string]int{}, Points: map[string]int{}, Allowed: map[string]int{}}
	s.apis = s.rng.IntN(2) == 0
	for i := range simPick(s.rng, []int{1, 1, 1, 2, 2, 3}) {
		s.devices = append(s.devices, newSimDevice(s, fmt.Sprintf("edge%d", i+1)))
	}
	for i := range 1 + s.rng.IntN(2) {
		s.checks = append(s.checks, newSimCheck(s, fmt.Sprintf("probe%d", i+1), i == 0))
	}
	s.am = newSimAlerts(s)
	if replicated(seed) {
		s.site = newSimSite(s)
	}
	s.configs = []simConfig{{s.config(), s.begun}}
	return s
}

// config draws a configuration. A new key of a policy is one more line in [simRun.policy].
func (s *simRun) config() *Config {
	c := &Config{
		Mode: Auto, Journal: s.path, Poll: model.Duration(13*time.Second + 7*time.Millisecond),
		ClaimTTL: model.Duration(150 * time.Second),
	}
	s.limits(c)
	if s.apis {
		c.Alertmanagers = []Source{{URL: "http://192.0.2.1:9093"}, {URL: "http://192.0.2.2:9093"}}
	}
	if s.oneIn(12) {
		c.Mode = simPick(s.rng, modes)
	}
	var names, probes []string
	for _, d := range s.devices {
		names = append(names, d.name)
		for i, pool := range d.pools {
			if s.oneIn(25) && len(c.Policies) > 0 {
				continue // a pool that no policy rules, or no longer
			}
			c.Policies = append(c.Policies, s.policy(c, d, pool, d.policies[i]))
			if d.hasWayRound(pool) && !s.oneIn(10) {
				c.Policies = append(c.Policies, s.bypassPolicy(c, d, pool))
			}
		}
	}
	for _, k := range s.checks {
		probes = append(probes, k.name)
	}
	bad := c.Validate(names, probes)
	for _, p := range c.Policies {
		s.log("config", "%s/%s %s %q: mode %s, min_serving %s, max_held %d, hold_down %s, lease %s, max_hold %s then %s, confirm %s",
			p.Members.Device, p.Members.Pool, p.Name, p.Members.Member, p.Mode, p.MinServing, p.MaxHeld, p.HoldDown, p.Lease, p.MaxHold, p.AtMax, p.Confirm)
	}
	if len(bad) > 0 {
		panic(fmt.Sprintf("seed %d: the simulation's configuration is wrong: %v", s.seed, bad))
	}
	return c
}

// limits draws what holds for all policies together. The times are short, so that
// all of them come to their end in a run.
func (s *simRun) limits(c *Config) {
	c.Brake = Brake{
		Off: s.oneIn(2), Share: 50 + s.rng.IntN(51), Least: 2 + s.rng.IntN(3), Pools: 2 + s.rng.IntN(4),
		Window: s.duration(20*time.Second, time.Minute), Cooldown: s.duration(10*time.Second, time.Minute), Settle: s.duration(time.Second, 10*time.Second),
	}
	c.Damping = Damping{Off: s.oneIn(3), HalfLife: s.duration(20*time.Second, 40*time.Second), Max: s.duration(100*time.Second, 150*time.Second)}
	c.Budget = Budget{MaxHeld: 1 + s.rng.IntN(8), Steps: 2 + s.rng.IntN(12), Window: s.duration(time.Minute, 5*time.Minute)}
}

// policy draws one policy for a pool.
func (s *simRun) policy(c *Config, d *simDevice, pool, name string) Policy {
	n := len(d.in(pool))
	p := Policy{
		Name: name, To: name,
		Members:    Members{Device: d.name, Pool: pool},
		MinServing: strconv.Itoa(1 + s.rng.IntN(max(n/2, 1))),
		MaxHeld:    1 + s.rng.IntN(3),
		HoldDown:   s.duration(5*time.Second, 40*time.Second),
		Lease:      s.duration(40*time.Second, 2*time.Minute),
		AtMax:      simPick(s.rng, []string{"hold", "release"}),
	}
	p.MaxHold = p.Lease + s.duration(time.Second, 3*time.Minute)
	if s.oneIn(2) {
		p.MinServing = fmt.Sprintf("%d%%", 1+s.rng.IntN(80))
	}
	if s.oneIn(10) {
		p.Members.Member = "s[1-4]" // the others are nobody's business
	}
	if s.oneIn(8) && c.Mode == Auto {
		p.Mode = simPick(s.rng, modes)
	}
	if p.Mode == Approve || p.Mode == "" && c.Mode == Approve {
		p.Mode, p.ApprovalTTL = Approve, s.duration(10*time.Second, time.Minute)
	}
	if s.apis && d.checks && !d.whole && name == "drain" && s.oneIn(4) {
		p.Confirm = "none"
	}
	s.bySteps(&p, d)
	return p
}

func (s *simRun) duration(from, to time.Duration) model.Duration {
	return model.Duration((from + time.Duration(s.rng.Int64N(int64(to-from)))).Truncate(time.Millisecond))
}

func (s *simRun) oneIn(n int) bool { return s.rng.IntN(n) == 0 }

func simPick[T any](rng *rand.Rand, of []T) T { return of[rng.IntN(len(of))] }

// roll is a generator for what happens at this moment to one thing: it doesn't
// depend on the order in which goroutines come to ask.
func (s *simRun) roll(about string, m edge.Member) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%d", about, m, time.Since(s.begun)) // never fails
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// log tells what happened, when somebody listens.
func (s *simRun) log(about, format string, args ...any) {
	if s.tell != nil {
		s.line.Lock()
		defer s.line.Unlock()
		s.tell(fmt.Sprintf("%12s  %-9s %s", time.Since(s.begun).Round(time.Millisecond), about, fmt.Sprintf(format, args...)))
	}
}

// violate notes that an invariant doesn't hold. The caller holds the lock.
func (s *simRun) violate(id, format string, args ...any) {
	if why, known := simAllowances[id]; known {
		s.log("allowed", "%s: %s: %s", id, why, fmt.Sprintf(format, args...))
		s.stats.Allowed[id]++
		return
	}
	text := fmt.Sprintf("%s at %s: %s", id, time.Since(s.begun).Round(time.Millisecond), fmt.Sprintf(format, args...))
	s.log("VIOLATION", "%s", text)
	if len(s.broken) < 5 {
		s.broken = append(s.broken, text)
	}
}

// rules are the policies by which an order of now may have been decided: after a
// reload those of before count too, as a step in hand is finished first.
func (s *simRun) rules(name string, m edge.Member) (out []*Policy) {
	for i := len(s.configs) - 1; i >= 0; i-- {
		c := s.configs[i]
		for j := range c.cfg.Policies {
			if p := &c.cfg.Policies[j]; p.Name == name && p.Members.Match(m) {
				out = append(out, p)
				break
			}
		}
		if time.Since(c.since) > 20*time.Second {
			break
		}
	}
	return out
}

func (s *simRun) device(name string) *simDevice {
	for _, d := range s.devices {
		if d.name == name {
			return d
		}
	}
	return nil
}

// members of all devices, in order.
func (s *simRun) members() (out []*simMember) {
	for _, d := range s.devices {
		for _, m := range simSorted(d.members) {
			out = append(out, d.members[m])
		}
	}
	return out
}

func simSorted[V any](of map[edge.Member]V) (out []edge.Member) {
	for m := range of {
		out = append(out, m)
	}
	slices.SortFunc(out, edge.Member.Compare)
	return out
}

// covering are the checks that ask a member.
func (s *simRun) covering(m edge.Member) (out []*simCheck) {
	for _, c := range s.checks {
		if c.Covers(m) {
			out = append(out, c)
		}
	}
	return out
}

// maxAge is how old an answer about a member may be to be acted on.
func (s *simRun) maxAge(m edge.Member) time.Duration {
	age := freshest
	for _, c := range s.covering(m) {
		age = max(age, 2*c.interval+freshest)
	}
	return age
}

// simLog passes the engine's own log on to the event log.
type simLog struct{ s *simRun }

func (l simLog) Write(b []byte) (int, error) {
	l.s.log("engine", "%s", strings.TrimPrefix(string(bytes.TrimSpace(b)), "level="))
	return len(b), nil
}

// simPause waits, or until ctx ends.
func simPause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
