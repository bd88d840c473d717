package remediator

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// What people are shown has its types in control, whose answers they are.
type (
	// A Roster is the members of devices, with who set which state when.
	Roster = control.Roster
	// Sighted is one device as it was looked at for people.
	Sighted = control.Device
	// Displayed is one member.
	Displayed = control.Member
	// SetBy is whose doing a member's admin state is.
	SetBy = control.SetBy
)

// hand is what a person did last to a member, through us.
type hand struct {
	actor, reason string
	at            time.Time
	admin         edge.Admin
	marks         string
}

// Members looks at devices, all at once, and says who set what; an empty name is
// all of them. One that gives no answer delays the others by one look at most.
func (r *Remediator) Members(ctx context.Context, device, pool string) (Roster, error) {
	out := Roster{Devices: []Sighted{}, Pools: []control.Pool{}, Members: []Displayed{}}
	if r.journal == nil {
		return out, r.broken
	}
	holds, err := r.journal.Holds()
	if err != nil {
		return out, err
	}
	around := surroundings{holds: holds, now: time.Now(), people: r.barriers()}
	var mu sync.Mutex
	var looking sync.WaitGroup
	r.mu.Lock()
	set := r.set
	around.set = set
	for name, d := range set.devices {
		if device != "" && name != device {
			continue
		}
		if r.glances[name] == nil {
			r.glances[name] = newGlance()
		}
		g := r.glances[name]
		looking.Go(func() {
			seen, err := g.look(ctx, d)
			dev, pools, members := r.shown(around, name, d, seen, err, pool)
			mu.Lock()
			defer mu.Unlock()
			out.Devices = append(out.Devices, dev)
			out.Pools = append(out.Pools, pools...)
			out.Members = append(out.Members, members...)
		})
	}
	r.mu.Unlock()
	looking.Wait()
	slices.SortFunc(out.Devices, func(a, b Sighted) int { return cmp.Compare(a.Device, b.Device) })
	slices.SortFunc(out.Pools, func(a, b control.Pool) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Pool, b.Pool))
	})
	slices.SortFunc(out.Members, func(a, b Displayed) int { return a.Member.Compare(b.Member) })
	out.Count = len(out.Members)
	return out, nil
}

// surroundings are what is shown with members besides the devices' words.
type surroundings struct {
	set    *settings
	holds  []journal.Hold
	people barriers
	now    time.Time
}

// shown is one device with its pools and members, in no order.
func (r *Remediator) shown(around surroundings, name string, d Device, seen glimpse, err error, pool string) (dev Sighted, pools []control.Pool, members []Displayed) {
	dev = Sighted{Device: name, Kind: kindOf(d)}
	if err != nil {
		dev.Error, dev.Last = oneLine(err), seen.pools
		return dev, nil, nil
	}
	dev.Up, dev.At, dev.ReadOnly, dev.Members = true, seen.At, seen.ReadOnly, len(seen.States)
	ours := slices.DeleteFunc(slices.Clone(around.holds), func(h journal.Hold) bool {
		return h.Member.Device != name || h.Phase == journal.Superseded
	})
	by, in := map[string]*control.Pool{}, map[string][]edge.Member{}
	for m, st := range seen.States {
		p := by[m.Pool]
		if p == nil {
			p = &control.Pool{Device: name, Pool: m.Pool, Maintenance: []string{}}
			by[m.Pool] = p
		}
		held := slices.ContainsFunc(ours, func(h journal.Hold) bool { return h.Holds(m) })
		in[m.Pool] = append(in[m.Pool], m)
		p.Members++
		p.Serving += oneIf(st.Serving)
		p.Out += oneIf(st.Admin != edge.Ready)
		p.Held += oneIf(held)
		dev.Held += oneIf(held)
		if pool == "" || m.Pool == pool {
			members = append(members, r.displayed(around, seen, st))
		}
	}
	dev.Pools = len(by)
	for _, p := range by {
		if pool == "" || p.Pool == pool {
			around.tell(p, in[p.Pool])
			pools = append(pools, *p)
		}
	}
	return dev, pools, members
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// kindOf is the key that a device has in the configuration, as far as it knows.
func kindOf(d Device) string {
	if k, ok := d.(interface{ Kind() string }); ok {
		return k.Kind()
	}
	return ""
}

func (r *Remediator) displayed(around surroundings, seen glimpse, st edge.State) Displayed {
	told := seen.told[st.Member]
	out := Displayed{State: st, Set: r.whose(st, around.holds), Op: told.Op, OpSince: told.Since, Checked: told.Checked, Configured: told.Weighted}
	out.Claimed, out.Maintenance = around.people.Claims(st.Member), around.windows(st.Member)
	if e, known := seen.errors[st.Member]; known {
		share := math.Round(e.share*1e4) / 1e4 // what is shown
		out.Errors5xx = &share
		if e.over > 0 {
			out.ErrorsOver = model.Duration(e.over.Round(time.Second)).String()
		}
	}
	return out
}

// tell says how careful the configuration is with a pool.
func (s surroundings) tell(p *control.Pool, members []edge.Member) {
	p.Frozen = s.people.frozen(members...) != ""
	p.Maintenance = append(p.Maintenance, s.windows(members...)...)
	if s.set.cfg == nil {
		return
	}
	slices.SortFunc(members, edge.Member.Compare)
	for i := range s.set.cfg.Policies {
		if rules := &s.set.cfg.Policies[i]; !rules.bypass && slices.ContainsFunc(members, rules.Members.Match) {
			p.Policy, p.MinServing = rules.Name, rules.MinServing
			break
		}
	}
}

// windows are the names of those in force for any of the members.
func (s surroundings) windows(members ...edge.Member) (names []string) {
	if s.set.cfg == nil {
		return nil
	}
	for _, text := range append(s.set.cfg.in(s.now, members...), s.people.in(s.now, members...)...) {
		if end := strings.LastIndex(text, " until "); end >= 0 {
			text = text[:end]
		}
		names = append(names, text)
	}
	return names
}

// whose doing a state is. What was recorded counts only while the device shows
// just that: anything else was done by somebody.
func (r *Remediator) whose(st edge.State, holds []journal.Hold) *SetBy {
	for _, h := range holds {
		if h.Holds(st.Member) && h.Phase != journal.Superseded && (h.Member != st.Member || h.Left.Marks == st.Marks && h.Left.Admin == st.Admin) {
			return &SetBy{By: "sluice", Since: h.Since, Reason: h.Reason, Policy: h.Policy, Hold: h.ID, Phase: h.Phase}
		}
	}
	r.mu.Lock()
	last, known := r.hands[st.Member]
	r.mu.Unlock()
	switch {
	case known && last.admin == st.Admin && last.marks == st.Marks:
		return &SetBy{By: "person", Actor: last.actor, Since: last.at, Reason: last.reason}
	case st.Settled:
		return &SetBy{By: "device"}
	case st.Admin != edge.Ready:
		return &SetBy{By: "unknown"}
	}
	return nil
}

// noteHand keeps what a person did last.
func (r *Remediator) noteHand(e *errand, left edge.State, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hands[e.member] = hand{actor: e.actor, reason: e.reason, at: at, admin: left.Admin, marks: left.Marks}
}
