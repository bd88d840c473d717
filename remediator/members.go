package remediator

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A Roster is the members of devices, with who set which state when.
type Roster struct {
	Devices []Sighted   `json:"devices"`
	Members []Displayed `json:"members"`
	Count   int         `json:"count"`
}

// Sighted is one device as it was looked at for people.
type Sighted struct {
	Device   string    `json:"device"`
	At       time.Time `json:"at,omitzero"` // of what is shown of it
	ReadOnly string    `json:"read_only,omitempty"`
	Error    string    `json:"error,omitempty"` // why none of its members is listed
}

// Displayed is one member.
type Displayed struct {
	edge.State
	Set *SetBy `json:"set,omitempty"` // nil: in service, and nobody is known to have seen to that
}

// SetBy is whose doing a member's admin state is.
type SetBy struct {
	By     string        `json:"by"` // sluice, person (through us), device (its configuration or DNS), unknown
	Actor  string        `json:"actor,omitempty"`
	Since  time.Time     `json:"since,omitzero"`
	Reason string        `json:"reason,omitempty"`
	Policy string        `json:"policy,omitempty"`
	Hold   string        `json:"hold,omitempty"`
	Phase  journal.Phase `json:"phase,omitempty"`
}

// glanceAge is how old a look may be that is shown to people: however many ask,
// a device is read once in that time.
const glanceAge = time.Second

// A glance is the last look at a device for people's sake.
type glance struct {
	turn chan struct{} // has room for who reads the device: others wait for that answer
	at   time.Time
	snap edge.Snapshot
	err  error
}

func newGlance() *glance { return &glance{turn: make(chan struct{}, 1)} }

func (g *glance) look(ctx context.Context, d Device) (edge.Snapshot, error) {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return edge.Snapshot{}, ctx.Err()
	}
	if time.Since(g.at) < glanceAge {
		return g.snap, g.err
	}
	// Not the caller's end: the answer is for all who wait.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	g.snap, g.err = d.Look(ctx)
	g.at = time.Now()
	return g.snap, g.err
}

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
	out := Roster{Devices: []Sighted{}, Members: []Displayed{}}
	if r.journal == nil {
		return out, r.broken
	}
	holds, err := r.journal.Holds()
	if err != nil {
		return out, err
	}
	var mu sync.Mutex
	var looking sync.WaitGroup
	r.mu.Lock()
	for name, d := range r.set.devices {
		if device != "" && name != device {
			continue
		}
		if r.glances[name] == nil {
			r.glances[name] = newGlance()
		}
		g := r.glances[name]
		looking.Go(func() {
			snap, err := g.look(ctx, d)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Devices = append(out.Devices, Sighted{Device: name, Error: oneLine(err)})
				return
			}
			out.Devices = append(out.Devices, Sighted{Device: name, At: snap.At, ReadOnly: snap.ReadOnly})
			for m, st := range snap.States {
				if pool == "" || m.Pool == pool {
					out.Members = append(out.Members, Displayed{State: st, Set: r.whose(st, holds)})
				}
			}
		})
	}
	r.mu.Unlock()
	looking.Wait()
	slices.SortFunc(out.Devices, func(a, b Sighted) int { return cmp.Compare(a.Device, b.Device) })
	slices.SortFunc(out.Members, func(a, b Displayed) int { return a.Member.Compare(b.Member) })
	out.Count = len(out.Members)
	return out, nil
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
