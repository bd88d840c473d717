package guard

import (
	"fmt"
	"slices"

	"github.com/sluice-project/sluice/edge"
)

// A Bearing is what a guard's no means to a person's own step.
type Bearing uint8

// The zero Bearing is the careful one.
const (
	Hard Bearing = iota // stops people too, whatever they say
	Soft                // stops them unless they override it by name
	Moot                // isn't asked: it is about automation, or about what a person knows better
)

// Bearings has a line for each guard.
var Bearings = map[string]Bearing{
	"freeze":      Moot, // a person's word against automation
	"leader":      Hard, // there would be two writers
	"inventory":   Hard, // of what isn't known nothing can be read back
	"foreign":     Moot, // they are the somebody else, and take over what we hold
	"silence":     Moot, // a person's word against automation
	"agent":       Hard, // the agent would undo the step
	"evidence":    Moot, // why they want it is in their reason
	"maintenance": Soft, // others may be at work on it
	"hours":       Soft,
	"brake":       Soft,
	"damping":     Soft,
	"budget":      Soft,
	"min_serving": Soft,
	"load":        Soft,
	"approval":    Moot, // they are the person
}

// SoftGuards are the names of guards that a person may override, in the guards' order.
func SoftGuards() (out []string) {
	for _, g := range guards {
		if Bearings[g.name] == Soft {
			out = append(out, g.name)
		}
	}
	return out
}

// personGuards judge a person's step: those that aren't moot. Those of capacity
// are asked only when the step takes some away.
var personGuards = []row{
	{"leader", leader, nil},
	{"inventory", inventoryOfPerson, nil},
	{"agent", agent, nil},
	{"maintenance", maintenance, nil},
	{"hours", hours, nil},
	{"brake", brake, nil},
	{"damping", dampingOfPerson, nil},
	{"budget", budget, nil},
	{"min_serving", minServing, nil},
	{"load", load, nil},
}

// ofCapacity are guards on taking capacity away.
var ofCapacity = []string{"hours", "brake", "damping", "budget", "min_serving", "load"}

// Takes says whether a person's step takes a member out that nobody has
// restricted yet. That it is down for the moment makes no difference.
func (s Step) Takes(w World) bool {
	st, known := w.Snapshot.State(s.Member)
	return known && s.Share == 0 && s.To != edge.Ready && st.Admin == edge.Ready
}

// decidePerson asks the guards that bear on people. Each guard has a finding, so
// that it is seen which ones were left out and which were overridden.
func decidePerson(s Step, w World) Decision {
	d := Decision{Step: s}
	for _, g := range guards {
		i := slices.IndexFunc(personGuards, func(p row) bool { return p.name == g.name })
		switch {
		case i < 0:
			d.add(g.name, "", "not asked: "+mootFor(g.name, w))
			continue
		case slices.Contains(ofCapacity, g.name) && !s.Takes(w):
			d.add(g.name, "", "takes nothing from the pool")
			continue
		}
		reason, detail := personGuards[i].check(s, w)
		if reason != "" && Bearings[g.name] == Soft && slices.Contains(w.Override, g.name) {
			d.Findings = append(d.Findings, Finding{Guard: g.name, Reason: reason, Detail: detail, Overridden: true})
			continue
		}
		d.add(g.name, reason, detail)
	}
	return d
}

// mootFor is why a guard isn't asked, for people to read.
func mootFor(name string, w World) string {
	if name == "freeze" && w.Freeze != "" {
		return "frozen, yet a person asks: " + w.Freeze
	}
	if name == "foreign" && w.Taken != "" {
		return "claimed, yet a person asks: " + w.Taken
	}
	return "a person asks"
}

// inventoryOfPerson: a person's step is on members only.
func inventoryOfPerson(s Step, w World) (string, string) {
	if _, is := w.Snapshot.Switches[s.Member]; is {
		return "unknown_member", fmt.Sprintf("%s is a switch of the device and no member", s.Member)
	}
	return inventory(s, w)
}

// dampingOfPerson: steps of ours that changed nothing want a person to look, and
// here is one.
func dampingOfPerson(s Step, w World) (string, string) {
	w.Ineffective = 0
	return damping(s, w)
}
