// Package guard decides whether a step is safe to take now. Guards are pure:
// they read the world they are given, never a device, a clock or a file. The
// engine, explain, dry run and the property tests share the one function
// [Decide].
package guard

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Evidence is one answer to "is the member well?".
type Evidence struct {
	Source   string        `json:"source"` // "probe:shop", "prometheus", "device"
	Answer   edge.Answer   `json:"answer"` // yes: well; no: bad; unknown never acts (SAFETY.md I6)
	At       time.Time     `json:"at"`     // when the answer was there
	Duration time.Duration `json:"duration"`
	Reason   string        `json:"reason,omitempty"` // a word: connect, timeout, status, ...
	Detail   string        `json:"detail,omitempty"` // one line
	Body     string        `json:"body,omitempty"`   // at most 1 KiB
	Stages   []Stage       `json:"stages,omitempty"` // how long each part took, as far as it got
}

// A Stage is a part of a probe: resolve, connect, tls, ...
type Stage struct {
	Name     string        `json:"name"`
	Duration time.Duration `json:"duration"`
}

// A Policy is what the configuration allows, as far as guards ask.
type Policy struct {
	Name       string
	To         edge.Admin
	MinServing Amount
	MaxHeld    int           // by us, in one pool
	Confirm    string        // probe, prometheus, none
	HoldDown   time.Duration // of good evidence before a release
	Rise       int           // good results in a row that begin it
	MaxAge     time.Duration // of evidence and of a device's answer, to be acted upon
	ClaimAge   time.Duration // since the claim's source last confirmed it

	Panic       Amount // fewer members of the pool serving than this: ours come back without hold_down
	MaxSteps    int    // that take out, in one pool, in the budget's window; 0: no limit of the pool's own
	MaxSessions int    // that one member can carry; 0: what the device is configured for
	Approve     bool   // a person has to approve each step that takes out

	Brake   Brake
	Damping Damping
	Budget  Budget
}

// A Claim is a firing alert on the member, as far as guards ask.
type Claim struct {
	Key        string // its labels
	Source     string
	UpdatedAt  time.Time // when its source last confirmed it
	Suppressed bool      // silenced, inhibited or muted by a person
	By         string    // by what
}

// A Held is one hold of ours on the device.
type Held struct {
	To         edge.Admin
	Left       edge.State // what we left
	Process    string     // of the device that we left it in
	Superseded bool       // somebody else changed it since
	GoodSince  time.Time  // good evidence without a break since; zero when there is none
	GoodCount  int
	Since      time.Time // when it went out the last time
	Trial      bool      // it is in again, with little weight
	Lowered    bool      // its weight is of our making
}

// A Step is what is asked for: To Drain or Maint takes a member out, To Ready
// gives it back. ByHand is a person's order, which freeze and evidence don't stop.
//
// Bypass is the other way round: it brings a standby member in, or turns a
// switch, because all regular members of the pool fail; Back ends that.
type Step struct {
	Member edge.Member `json:"member"`
	To     edge.Admin  `json:"to"`
	Mark   string      `json:"mark,omitempty"` // of a switch, instead of To
	ByHand bool        `json:"by_hand,omitempty"`
	Bypass bool        `json:"bypass,omitempty"`
	Back   bool        `json:"back,omitempty"`

	// Further is a step on a member that we hold already: from drain to maint, or
	// back by a little. Share is the configured weight that it gets; 0 leaves it.
	Further bool `json:"further,omitempty"`
	Share   int  `json:"share,omitempty"`

	// Person is a person's own step, on whatever member: to a state, or with Share
	// to a weight.
	Person bool `json:"person,omitempty"`
}

// A World is all that guards may look at.
type World struct {
	Now      time.Time
	Policy   *Policy // nil: no policy selects the member
	Freeze   string  // why automation is frozen, or what the step would move is; empty when it isn't
	Taken    string  // whose it is, when a person has claimed what the step would move
	Snapshot edge.Snapshot
	Blind    string // why the device's answer can't be had; empty when Snapshot is one
	Claims   []Claim
	Held     map[edge.Member]Held
	Own      map[edge.Member]Evidence // of the pool's members; a member that nothing covers has none
	AtMax    bool                     // the hold is at its hard end: good evidence suffices, without hold_down and claims

	// Along are the members of other pools that the step moves too, each with the
	// policy that rules it; nil when none does. The step is judged in every pool.
	Along map[edge.Member]*Policy

	Standby map[edge.Member]bool // of a bypass: what it brings in, which is no regular member of the pool
	Lapsed  bool                 // the claim's last bypass came to its time limit, and the claim has not ended since

	Standing Standing              // whether this replica may write at all
	Windows  []string              // maintenance windows in force for what the step moves: name and end
	Made     []string              // others that people made while Sluice runs, as Windows
	Closed   string                // why automation isn't to act now, by the policy's active hours; empty when it may
	Onsets   map[edge.Member]Onset // members of all devices that fell sick lately
	Storm    Storm                 // what is remembered of the brake
	Outs     []time.Time           // when we took the member out before, as far back as damping looks
	Spent    Spent                 // of the budgets

	Released    string    // who had the member given back by hand, while the claim that it was held for lasts
	Ineffective int       // steps in a row on the pool that changed nothing for the better
	Approval    *Approval // what a person said of the step; nil: nobody was asked, or nobody has answered
	Override    []string  // of a person's own step: the guards whose no they take upon themselves
}

// A Refusal says which guard said no, by a word for metrics and a line for people.
type Refusal struct {
	Guard  string `json:"guard"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// A Finding is what one guard said.
type Finding struct {
	Guard  string `json:"guard"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail"`

	Overridden bool `json:"overridden,omitempty"` // it said no, and a person's word stands above it
}

// A Decision is what all guards said, in their order. Refusal is the first no.
type Decision struct {
	Step     Step      `json:"step"`
	Findings []Finding `json:"findings"`
	Refusal  *Refusal  `json:"refusal,omitempty"`
}

// Allowed says that no guard refused.
func (d Decision) Allowed() bool { return d.Refusal == nil }

// A check returns a reason and a line; the reason is empty when the step may go on.
type check func(Step, World) (reason, detail string)

// takesOut says whether the step takes capacity away, or a bypass in: what
// brake, damping, budgets, hours and approval are about.
func (s Step) takesOut() bool { return s.To != edge.Ready && !s.Back || s.Bypass && !s.Back }

// A row is a guard with all the reasons that it can give.
type row struct {
	name    string
	check   check
	reasons []string
}

// guards in their order (SAFETY.md, "Order of guards"): one line each.
var guards = []row{
	{"freeze", freeze, []string{"frozen"}},
	{"leader", leader, []string{"standby", "lease_short"}},
	{"inventory", inventory, []string{"device_blind", "read_only", "no_policy", "unknown_pool", "unknown_member", "device_stale", "tracking", "along"}},
	{"foreign", foreign, []string{"claimed", "released", "superseded", "taken_out", "not_ours", "other_process", "changed", "moved"}},
	{"silence", silence, []string{"silenced"}},
	{"agent", agent, []string{"agent_check"}},
	{"evidence", evidence, []string{"no_claim", "claim_stale", "no_second_source", "stale", "contradicted", "unknown", "not_well", "claimed", "rising", "hold_down"}},
	{"maintenance", maintenance, []string{"window"}},
	{"hours", hours, []string{"outside"}},
	{"brake", brake, []string{"storm", "cooldown", "source_changed"}},
	{"damping", damping, []string{"flapping", "ineffective"}},
	{"budget", budget, []string{"max_held", "max_steps", "overall_held", "overall_steps"}},
	{"min_serving", minServing, []string{"too_few_left"}},
	{"load", load, []string{"overload"}},
	{"approval", approval, []string{"awaiting", "rejected", "expired"}},
}

// bypassGuards judge the way round a pool, in and back.
var bypassGuards = []row{
	{"freeze", freeze, nil},
	{"leader", leader, nil},
	{"inventory", inventory, nil},
	{"foreign", foreignBypass, []string{"in_already"}},
	{"silence", silence, nil},
	{"agent", agent, nil},
	{"evidence", allFailing, []string{"no_members", "not_all_failing", "standby_bad"}},
	{"maintenance", maintenance, nil},
	{"hours", hours, nil},
	{"budget", timeLimit, []string{"time_limit"}},
	{"approval", approval, nil},
}

// furtherGuards judge a further step on what we hold.
var furtherGuards = []row{
	{"freeze", freeze, nil},
	{"leader", leader, nil},
	{"inventory", inventory, nil},
	{"foreign", foreignHeld, nil},
	{"maintenance", maintenance, nil},
}

// Reasons returns every refusal that guards can give, without details, so that
// counters can start at zero.
func Reasons() (out []Refusal) {
	for _, g := range slices.Concat(guards, bypassGuards) {
		for _, r := range g.reasons {
			if one := (Refusal{Guard: g.name, Reason: r}); !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
	}
	return append(out, Refusal{Guard: "foreign", Reason: "held"}, Refusal{Guard: "inventory", Reason: "other_object"})
}

// Decide asks all guards. It is a function of its arguments alone.
func Decide(s Step, w World) Decision {
	switch {
	case s.Person:
		return decidePerson(s, w)
	case s.Bypass:
		return decide(s, w, bypassGuards)
	case s.Further:
		return decide(s, w, furtherGuards)
	}
	return decide(s, w, guards)
}

func decide(s Step, w World, by []row) Decision {
	d := Decision{Step: s}
	for _, g := range by {
		reason, detail := g.check(s, w)
		d.add(g.name, reason, detail)
	}
	return d
}

func (d *Decision) add(guard, reason, detail string) {
	d.Findings = append(d.Findings, Finding{Guard: guard, OK: reason == "", Reason: reason, Detail: detail})
	if reason != "" && d.Refusal == nil {
		d.Refusal = &Refusal{guard, reason, detail}
	}
}
