package remediator

import (
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// eventBrake is of entries by which a brake outlives a restart.
const eventBrake = "brake"

// eventReleaseAsked is of entries by which a person had a member given back.
const eventReleaseAsked = "release_asked"

// reasonFurther is of entries of steps on what was out already: they spend nothing.
const reasonFurther = "further"

// A ledger is what guards want to know of all devices together, and of the time
// before this process. What must not be lost is in the journal, and read from
// there.
type ledger struct {
	// deciding is held from the last look at the ledger until the step is booked:
	// two keepers never spend the same budget.
	deciding gate

	mu     sync.Mutex
	outs   map[edge.Member][]time.Time // when each member was taken out by us
	booked map[edge.Member]bool        // decided in this round, and not in the journal yet
	onsets map[edge.Member]guard.Onset
	storm  guard.Storm
	noted  time.Time // when the storm was entered last
	idle   map[edge.Pool]int
}

// A gate lets one through at a time. It isn't a mutex because the journal is asked
// behind it, which on etcd takes its time: tests in virtual time can see that wait.
type gate chan struct{}

func (g gate) enter() { g <- struct{}{} }
func (g gate) leave() { <-g }

func newLedger() *ledger {
	return &ledger{
		deciding: make(gate, 1),
		outs:     map[edge.Member][]time.Time{}, booked: map[edge.Member]bool{},
		onsets: map[edge.Member]guard.Onset{}, idle: map[edge.Pool]int{},
	}
}

// horizon is how far back the ledger looks.
func (c *Config) horizon() time.Duration {
	d := c.Damping.limits()
	return max(time.Duration(c.Budget.Window), d.Max+6*d.HalfLife)
}

// load reads what happened before this process, or under another leader. Without
// it nothing may be done: budgets and brakes would begin anew.
func (l *ledger) load(r *Remediator, c *Config) error {
	now, cooldown := time.Now(), time.Duration(c.Brake.Cooldown)
	entries, err := r.journal.Entries(journal.Query{Since: now.Add(-max(c.horizon(), cooldown))})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.outs)
	clear(l.idle)
	for _, e := range entries {
		switch e.Event {
		case "step":
			l.stepped(e)
		case eventBrake:
			if until := e.At.Add(cooldown); until.After(l.storm.Until) {
				l.storm.Until, l.storm.Why, l.noted = until, e.Detail, e.At
			}
		case eventEffect:
			if e.Member != nil && e.Result == effective {
				delete(l.idle, e.Member.In())
			}
			if e.Member != nil && e.Result == ineffective {
				l.idle[e.Member.In()]++
			}
		case eventReleaseAsked: // a person who had something given back has looked at the pool
			if e.Member != nil {
				delete(l.idle, e.Member.In())
			}
		case journal.EventThaw:
			scope := edge.Pool{}
			if e.Member != nil {
				scope = e.Member.In()
			}
			l.looked(scope)
		}
	}
	return nil
}

// stepped counts a step of the time before, when it took a member out.
func (l *ledger) stepped(e journal.Entry) {
	out := e.Admin == edge.Drain.String() || e.Admin == edge.Maint.String()
	if e.Member == nil || e.Reason == reasonFurther || e.Result != "applied" || e.To != journal.Applied || !out {
		return
	}
	for _, m := range append([]edge.Member{*e.Member}, e.Along...) {
		l.outs[m] = append(l.outs[m], e.At)
	}
}

// tell fills in what the world knows from the ledger.
func (l *ledger) tell(w *guard.World, m edge.Member, holds []journal.Hold, horizon time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.Onsets = maps.Clone(l.onsets)
	w.Storm = l.storm
	w.Ineffective = l.idle[m.In()]
	for _, t := range l.outs[m] {
		if w.Now.Sub(t) <= horizon {
			w.Outs = append(w.Outs, t)
		}
	}
	w.Spent.Pool = map[edge.Pool]int{}
	held := maps.Clone(l.booked)
	for _, h := range holds {
		if !h.Bypass && h.Phase != journal.Superseded {
			held[h.Member] = true
			for _, other := range h.Along {
				held[other] = true
			}
		}
	}
	w.Spent.Held = len(held)
	if w.Policy == nil {
		return
	}
	for m, outs := range l.outs {
		n := 0
		for _, t := range outs {
			if w.Now.Sub(t) <= w.Policy.Budget.Window {
				n++
			}
		}
		w.Spent.Steps += n
		w.Spent.Pool[m.In()] += n
	}
	for m := range l.booked {
		w.Spent.Steps++
		w.Spent.Pool[m.In()]++
	}
}

// book counts a step that is about to be recorded.
func (l *ledger) book(m edge.Member, along []edge.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range append([]edge.Member{m}, along...) {
		l.booked[m] = true
	}
}

// unbook ends a device's round: what was booked is in the journal by now, or was
// not done.
func (l *ledger) unbook(device string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.booked, func(m edge.Member, _ bool) bool { return m.Device == device })
}

// took counts a step that was read back as done.
func (l *ledger) took(m edge.Member, along []edge.Member, now time.Time, horizon time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range append([]edge.Member{m}, along...) {
		delete(l.booked, m)
		l.outs[m] = append(slices.DeleteFunc(l.outs[m], func(t time.Time) bool { return now.Sub(t) > horizon }), now)
	}
}

// fell keeps when members of one device began to be claimed. An alert that a
// person silenced says nothing new.
func (l *ledger) fell(device string, targets map[edge.Member]*target, snap edge.Snapshot, window time.Duration) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for m, t := range targets {
		st, known := snap.State(m)
		if _, noted := l.onsets[m]; noted || !known {
			continue
		}
		at, loud := now, false
		for _, c := range t.claims {
			loud = loud || !c.Suppressed
			if !c.StartsAt.IsZero() && c.StartsAt.Before(at) {
				at = c.StartsAt // it was sick before this process was there
			}
		}
		if !loud {
			continue
		}
		host, _, err := net.SplitHostPort(st.Address)
		if err != nil {
			host = st.Address
		}
		l.onsets[m] = guard.Onset{At: at, Host: host}
	}
	maps.DeleteFunc(l.onsets, func(m edge.Member, o guard.Onset) bool {
		return m.Device == device && targets[m] == nil && now.Sub(o.At) > window
	})
}

// brakes keeps a storm that the guard has seen, durably and for the cooldown.
func (k *keeper) brakes(d guard.Decision) {
	why := ""
	for _, f := range d.Findings {
		if f.Guard == "brake" && f.Reason == "storm" {
			why = f.Detail
		}
	}
	if why == "" {
		return
	}
	cooldown, now, l := time.Duration(k.set.cfg.Brake.Cooldown), time.Now(), k.r.ledger
	l.mu.Lock()
	on := now.Before(l.storm.Until)
	l.storm.Until, l.storm.Why = now.Add(cooldown), why
	due := now.Sub(l.noted) > cooldown/2
	if due {
		l.noted = now
	}
	l.mu.Unlock()
	if due {
		k.r.record(journal.Entry{Event: eventBrake, Guard: "brake", Reason: "storm", Detail: why})
	}
	if !on {
		level.Error(k.r.logger).Log("msg", "storm brake on, nothing new is taken out", "reason", why, "cooldown", cooldown)
	}
}

// braking says why nothing new is taken out; empty when no brake is on.
func (l *ledger) braking() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.storm.Until) {
		return l.storm.Why
	}
	return ""
}

// changed notes that our own evidence was configured anew.
func (l *ledger) changed(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storm.Changed = now
}

// forgive begins to count anew: a person lifted a freeze, and so has looked at what
// it was about.
func (l *ledger) forgive(scope edge.Pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked(scope)
}

// looked is forgive for who holds the lock.
func (l *ledger) looked(scope edge.Pool) {
	f := journal.Freeze{Device: scope.Device, Pool: scope.Name}
	maps.DeleteFunc(l.idle, func(p edge.Pool, _ int) bool { return f.Covers(edge.Member{Device: p.Device, Pool: p.Name}) })
}

// ineffective returns the pools on which steps in a row changed nothing for the better.
func (l *ledger) ineffective() map[edge.Pool]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.idle)
}
