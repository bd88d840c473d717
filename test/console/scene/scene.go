// Package scene is a world for the console to show: an engine and a journal in
// memory, whose members, holds and refusals a test sets. It decides nothing; real
// devices and the real engine are shown by the tests that start them.
package scene

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A World is what there is to see. Change it by [World.Do].
type World struct {
	mu sync.Mutex

	Roster      control.Roster
	State       remediator.Status
	Waits       map[string][]remediator.Await // by hold
	Frozen      *journal.Freeze               // everything
	Scopes      []journal.Freeze              // parts of it
	Claimed     []journal.Claimed
	Maintenance []control.Window
	Held        []journal.Hold
	Candidate   []journal.Hold
	History     []journal.Entry
	Refuse      *guard.Decision // what guards say to the next orders that override nothing
	OrderErr    error           // of orders
	Err         error           // of everything
	Orders      []remediator.PersonOrder
	Asked       []string // other things that people asked for
	Woken       int
}

// Do changes the world while it is looked at.
func (w *World) Do(f func(*World)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// Members is the engine's.
func (w *World) Members(_ context.Context, device, pool string) (control.Roster, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.Roster
	out.Members = slices.DeleteFunc(slices.Clone(out.Members), func(m control.Member) bool {
		return device != "" && m.Member.Device != device || pool != "" && m.Member.Pool != pool
	})
	return out, w.Err
}

// Status is the engine's.
func (w *World) Status() remediator.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.State
	st.Holds, st.Candidates = w.Held, w.Candidate
	if w.Frozen != nil {
		st.Frozen = w.Frozen.Reason
	}
	return st
}

// Awaits is the engine's.
func (w *World) Awaits(h journal.Hold) []remediator.Await {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Waits[h.ID]
}

// Order is the engine's: it does as it is told, unless guards refuse.
func (w *World) Order(_ context.Context, o remediator.PersonOrder) (remediator.Ordered, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Orders = append(w.Orders, o)
	if err := cmp.Or(w.OrderErr, w.Err); err != nil {
		return remediator.Ordered{}, err
	}
	if w.Refuse != nil && len(o.Override) == 0 {
		return remediator.Ordered{Member: o.Member, Result: "refused", Decision: *w.Refuse}, nil
	}
	for i := range w.Roster.Members {
		if m := &w.Roster.Members[i]; m.Member == o.Member {
			if o.Share != 0 {
				m.Weight, m.Share = o.Share, o.Share
				continue
			}
			m.Admin, m.Serving = o.To, o.To == edge.Ready
			m.Set = &control.SetBy{By: "person", Actor: o.Actor, Since: time.Now(), Reason: o.Reason}
		}
	}
	return remediator.Ordered{Member: o.Member, Result: "applied"}, nil
}

// Release is the engine's.
func (w *World) Release(_ context.Context, m edge.Member, actor, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Asked = append(w.Asked, fmt.Sprintf("release %s by %s: %s", m, actor, reason))
	if !slices.ContainsFunc(w.Held, func(h journal.Hold) bool { return h.Holds(m) }) {
		return journal.ErrNoHold
	}
	return w.Err
}

// Answer is the engine's.
func (w *World) Answer(_ context.Context, m edge.Member, yes bool, actor, note string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Asked = append(w.Asked, fmt.Sprintf("answer %s %v by %s: %s", m, yes, actor, note))
	return w.Err
}

// AnswerTTL is the engine's.
func (w *World) AnswerTTL(string, edge.Member) time.Duration { return 10 * time.Minute }

// Wake is the engine's.
func (w *World) Wake() { w.Do(func(w *World) { w.Woken++ }) }

// Claim is the engine's.
func (w *World) Claim(_ context.Context, c journal.Claimed) error {
	w.Do(func(w *World) { w.Claimed = append(w.Claimed, c) })
	return w.Err
}

// Unclaim is the engine's.
func (w *World) Unclaim(_ context.Context, m edge.Member, actor, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Asked = append(w.Asked, fmt.Sprintf("unclaim %s by %s: %s", m, actor, reason))
	if !slices.ContainsFunc(w.Claimed, func(c journal.Claimed) bool { return c.Member == m }) {
		return journal.ErrNotClaimed
	}
	w.Claimed = slices.DeleteFunc(w.Claimed, func(c journal.Claimed) bool { return c.Member == m })
	return w.Err
}

// Knows is the engine's.
func (w *World) Knows(_ context.Context, m edge.Member) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(w.Roster.Devices, func(d control.Device) bool { return d.Device == m.Device }) {
		return remediator.ErrNoDevice
	}
	return nil
}

// Windows are the engine's.
func (w *World) Windows() ([]control.Window, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.Maintenance), w.Err
}

// AddWindow is the engine's.
func (w *World) AddWindow(s control.WindowSpec, actor string) (control.Window, error) {
	one := control.Window{WindowSpec: s, Source: control.FromAPI, Actor: actor, At: time.Now(), Active: true}
	w.Do(func(w *World) { w.Maintenance = append(w.Maintenance, one) })
	return one, w.Err
}

// DropWindow is the engine's.
func (w *World) DropWindow(name, _ string) error {
	w.Do(func(w *World) {
		w.Maintenance = slices.DeleteFunc(w.Maintenance, func(o control.Window) bool { return o.Name == name })
	})
	return w.Err
}

// Barriers are the journal's.
func (w *World) Barriers() (out journal.Barriers, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Frozen != nil {
		out.Freezes = append(out.Freezes, *w.Frozen)
	}
	out.Freezes = append(out.Freezes, w.Scopes...)
	out.Claimed = slices.Clone(w.Claimed)
	return out, w.Err
}

// SetFreeze is the journal's.
func (w *World) SetFreeze(f journal.Freeze) error {
	w.Do(func(w *World) {
		if f.Device == "" {
			w.Frozen = &f
		} else {
			w.Scopes = append(w.Scopes, f)
		}
	})
	return w.Err
}

// ThawScope is the journal's.
func (w *World) ThawScope(p edge.Pool, _ string) error {
	w.Do(func(w *World) {
		if p.Device == "" {
			w.Frozen = nil
		}
		w.Scopes = slices.DeleteFunc(w.Scopes, func(f journal.Freeze) bool { return f.Scope() == p })
	})
	return w.Err
}

// Holds is the journal's.
func (w *World) Holds() ([]journal.Hold, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Held, w.Err
}

// Candidates is the journal's.
func (w *World) Candidates() ([]journal.Hold, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Candidate, w.Err
}

// Entries is the journal's.
func (w *World) Entries(q journal.Query) (out []journal.Entry, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.History {
		m := edge.Member{}
		if e.Member != nil {
			m = *e.Member
		}
		if (q.Event == "" || q.Event == e.Event) && (q.Hold == "" || q.Hold == e.Hold) && (q.Member == edge.Member{} || q.Member == m) {
			out = append(out, e)
		}
	}
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[len(out)-q.Limit:]
	}
	return out, w.Err
}

// Page is the journal's, of the newest entries.
func (w *World) Page(p journal.Page) (out []journal.Entry, next uint64, err error) {
	q := p.Query
	q.Limit = 0
	all, err := w.Entries(q)
	for _, e := range slices.Backward(all) {
		if (p.Keep == nil || p.Keep(&e)) && (p.Limit == 0 || len(out) < p.Limit) {
			out = append(out, e)
		}
	}
	return out, 0, err
}

// Member makes one that is in service.
func Member(device, pool, name string) control.Member {
	since := time.Now().Add(-41 * time.Hour)
	return control.Member{
		State: edge.State{
			Member: edge.Member{Device: device, Pool: pool, Name: name}, Address: "192.0.2.10:8080", Serving: true, Weight: 100, Share: 100,
			Check: edge.Yes, Sessions: 20 + len(device)*7 + len(name)*3,
		},
		Op: "UP", OpSince: since,
	}
}

// Out takes one out.
func Out(m control.Member, to edge.Admin, by control.SetBy) control.Member {
	m.Admin, m.Serving, m.Set = to, false, &by
	m.Sessions /= 4
	return m
}

// Down makes one fail its device's check.
func Down(m control.Member, since time.Duration) control.Member {
	m.Serving, m.Check, m.Op, m.OpSince, m.Sessions = false, edge.No, "DOWN", time.Now().Add(-since), 0
	return m
}

// Decision is one that soft guards, or a hard one, refuse.
func Decision(no ...guard.Finding) *guard.Decision {
	d := guard.Decision{Findings: append([]guard.Finding{{Guard: "leader", OK: true, Detail: "this is the only replica"}}, no...)}
	d.Refusal = &guard.Refusal{Guard: no[0].Guard, Reason: no[0].Reason, Detail: no[0].Detail}
	return &d
}

// TooFew is what min_serving says when it says no.
var TooFew = guard.Finding{Guard: "min_serving", Reason: "too_few_left", Detail: "1 of 3 would be left in edge1/shop, fewer than 2"}

// Night is a night with something of everything.
func Night() *World {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	w := &World{Waits: map[string][]remediator.Await{}}
	w.State = remediator.Status{Mode: "auto", Claims: 2, Sources: []claims.Source{{Name: "http://192.0.2.20:9093"}}}
	add := func(ms ...control.Member) { w.Roster.Members = append(w.Roster.Members, ms...) }
	held := control.SetBy{By: "sluice", Since: ago(7 * time.Minute), Policy: "drain", Hold: "h17", Reason: "probe:shop finds it bad: status 503", Phase: journal.ReleasePending}
	for _, device := range []string{"edge1", "edge2"} {
		add(Out(Member(device, "shop", "app1"), edge.Drain, held), Member(device, "shop", "app2"), Member(device, "shop", "app3"))
		add(Member(device, "api", "api1"), Member(device, "api", "api2"))
	}
	add(Down(Member("edge1", "api", "api3"), 3*time.Minute), Member("edge2", "api", "api3"))
	light := Member("edge2", "api", "api4")
	light.Weight = 25
	add(Member("edge1", "api", "api4"), light)
	add(
		Out(Member("edge1", "search", "node1"), edge.Maint, control.SetBy{By: "person", Actor: "ann", Since: ago(95 * time.Minute), Reason: "new disks, until noon"}),
		Member("edge1", "search", "node2"), Member("edge1", "search", "node3"),
		Out(Member("edge1", "search", "node4"), edge.Drain, control.SetBy{By: "unknown"}),
	)
	backup := Member("edge1", "search", "spare")
	backup.Backup, backup.Serving, backup.Sessions = true, false, 0
	add(backup)
	for i := 1; i <= 3; i++ {
		m := Member("waf1", "shop-front", fmt.Sprintf("192.0.2.%d:443", 30+i))
		m.OnOff, m.Share, m.Check, m.Weight = true, 0, edge.Unknown, 1
		m.OpSince = time.Time{}
		add(m)
	}
	w.Roster.Devices = []control.Device{
		{Device: "edge1", Kind: "haproxy", Up: true},
		{Device: "edge2", Kind: "haproxy", Up: true},
		{Device: "edge3", Kind: "haproxy", Error: "read edge3: connect /run/haproxy/admin.sock: connection refused"},
		{Device: "waf1", Kind: "ptaf", Up: true},
	}
	w.Roster.Pools = []control.Pool{
		{Device: "edge1", Pool: "shop", MinServing: "50%"},
		{Device: "edge2", Pool: "shop", MinServing: "50%"},
		{Device: "edge1", Pool: "search", MinServing: "2", Maintenance: []string{"disks"}},
	}
	w.Maintenance = []control.Window{
		{WindowSpec: control.WindowSpec{Name: "sunday", Days: []string{"sun"}, Start: "03:00", End: "05:00", Zone: "Europe/Berlin", Reason: "backups of the databases"}, Source: control.FromConfig, Next: now.Add(13 * time.Hour)},
		{
			WindowSpec: control.WindowSpec{Name: "disks", Members: control.Selector{Device: "edge1", Pool: "search"}, From: ago(95 * time.Minute).UTC().Format(time.RFC3339), To: now.Add(3 * time.Hour).UTC().Format(time.RFC3339), Reason: "new disks"},
			Source:     control.FromAPI, Actor: "ann", Active: true, Until: now.Add(3 * time.Hour),
		},
	}
	w.Claimed = []journal.Claimed{{Member: edge.Member{Device: "edge1", Pool: "search", Name: "node1"}, Actor: "ann", Reason: "new disks", At: ago(95 * time.Minute), Until: now.Add(3 * time.Hour)}}
	w.holds(now)
	w.history(now)
	return w
}

func (w *World) holds(now time.Time) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	one := edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}
	two := edge.Member{Device: "edge2", Pool: "shop", Name: "app1"}
	w.Held = []journal.Hold{
		{
			ID: "h17", Member: one, Policy: "drain", To: edge.Drain, Phase: journal.ReleasePending, Since: ago(7 * time.Minute), Changed: ago(12 * time.Second),
			GoodSince: ago(12 * time.Second), MaxUntil: now.Add(23 * time.Hour), Reason: "probe:shop finds it bad: status 503",
		},
		{
			ID: "h18", Member: two, Policy: "drain", To: edge.Drain, Phase: journal.Holding, Since: ago(7 * time.Minute), Changed: ago(7 * time.Minute),
			MaxUntil: now.Add(23 * time.Hour), Reason: "probe:shop finds it bad: connect: connection refused",
		},
	}
	w.Waits["h17"] = []remediator.Await{{Word: "hold_down", Since: ago(12 * time.Second), Until: now.Add(48 * time.Second)}}
	w.Waits["h18"] = []remediator.Await{
		{Word: "claim", Since: ago(20 * time.Second), Detail: `{alertname="MemberFailing", device="edge2", member="app1", pool="shop"}`},
		{Word: "evidence", Want: 2},
	}
	w.Candidate = []journal.Hold{{
		ID: "h19", Member: edge.Member{Device: "edge1", Pool: "api", Name: "api3"}, Policy: "drain", To: edge.Drain, Phase: journal.AwaitingApproval,
		Changed: ago(2 * time.Minute), Refused: "approval/awaiting/drain",
	}}
}

func (w *World) history(now time.Time) {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	decision, err := json.Marshal(guard.Decision{Findings: []guard.Finding{{Guard: "evidence", OK: true, Detail: "a claim is seen, and probe:api finds it bad: timeout after 1s"}}})
	if err != nil {
		panic(err) // texts and numbers can be written
	}
	app1 := edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}
	app2 := edge.Member{Device: "edge1", Pool: "shop", Name: "app2"}
	api3 := edge.Member{Device: "edge1", Pool: "api", Name: "api3"}
	w.History = []journal.Entry{
		{Event: "order", At: ago(26 * time.Hour), Member: &app1, Admin: "drain", Actor: "ann", Detail: "kernel update"},
		{Event: "step", At: ago(26 * time.Hour), Member: &app1, Admin: "drain", Result: "applied", Actor: "ann", Detail: "read back as drain (FDRAIN); kernel update"},
		{Event: "step", At: ago(25 * time.Hour), Member: &app1, Admin: "ready", Result: "applied", Actor: "ann", Detail: "read back as ready (); kernel update done"},
		{Event: "intent", At: ago(7*time.Minute + 2*time.Second), Member: &app1, Hold: "h17", Admin: "drain", Policy: "drain", Detail: "probe:shop finds it bad: status 503"},
		{Event: "step", At: ago(7 * time.Minute), Member: &app1, Hold: "h17", Admin: "drain", Policy: "drain", Result: "applied", Detail: "read back as drain (FDRAIN)"},
		{Event: "refusal", At: ago(6 * time.Minute), Member: &app2, Policy: "drain", Result: "refused", Guard: "budget", Reason: "max_held", Detail: "1 of edge1/shop is held already, max_held is 1"},
		{Event: "refusal", At: ago(5 * time.Minute), Member: &app2, Result: "refused", Guard: "min_serving", Reason: "too_few_left", Actor: "ann", Detail: TooFew.Detail},
		{Event: "refusal", At: ago(2 * time.Minute), Member: &api3, Hold: "h19", Policy: "drain", Result: "refused", Guard: "approval", Reason: "awaiting", Detail: "nobody has answered yet", Decision: decision},
		{Event: "refusal", At: ago(90 * time.Second), Result: "refused", Guard: "inventory", Reason: "device_blind", Detail: "edge3 gives no answer: connection refused"},
	}
	for i := range w.History {
		w.History[i].Seq = uint64(i + 1)
	}
}

// FreezeFor freezes it, as a person does.
func (w *World) FreezeFor(reason string, d time.Duration) {
	now := time.Now()
	w.Do(func(w *World) {
		w.Frozen = &journal.Freeze{Reason: reason, Actor: "ann", At: now.Add(-4 * time.Minute), Until: now.Add(d)}
	})
}

// Many has n members in pools of 20 on two devices.
func Many(n int) *World {
	w := &World{State: remediator.Status{Mode: "auto"}, Roster: control.Roster{Devices: []control.Device{{Device: "edge1", Up: true}, {Device: "edge2", Up: true}}}}
	for i := range n {
		m := Member(fmt.Sprintf("edge%d", i%2+1), fmt.Sprintf("pool%d", i/40), fmt.Sprintf("app%d", i/2%20))
		if i%50 == 0 {
			m = Down(m, time.Minute)
		}
		w.Roster.Members = append(w.Roster.Members, m)
	}
	return w
}
