package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Freeze stops every automatic step, or those in its scope, until it is lifted or
// ends. It is durable (SAFETY.md I19): a restart doesn't lift it.
type Freeze struct {
	Device string    `json:"device,omitempty"` // empty: everything
	Pool   string    `json:"pool,omitempty"`   // empty: all of the device
	Reason string    `json:"reason"`
	Actor  string    `json:"actor,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until somebody lifts it
}

// Over says whether the freeze has come to its end by itself.
func (f Freeze) Over(now time.Time) bool { return over(f.Until, now) }

// Scope is what the freeze is about: a pool, a device when the pool has no name, or
// everything.
func (f Freeze) Scope() edge.Pool { return edge.Pool{Device: f.Device, Name: f.Pool} }

// Covers says whether steps that move m are stopped by it.
func (f Freeze) Covers(m edge.Member) bool {
	return f.Device == "" || f.Device == m.Device && (f.Pool == "" || f.Pool == m.Pool)
}

// String is the freeze in one line: its scope, unless that is everything, why, by
// whom and until when.
func (f Freeze) String() string {
	text := fmt.Sprintf("%s (by %s)", f.Reason, f.Actor)
	if !f.Until.IsZero() {
		text = fmt.Sprintf("%s (by %s, until %s)", f.Reason, f.Actor, f.Until.UTC().Format(time.RFC3339))
	}
	switch {
	case f.Device == "":
		return text
	case f.Pool == "":
		return "device " + f.Device + " is frozen: " + text
	}
	return "pool " + f.Scope().String() + " is frozen: " + text
}

// Events of the entries that SetFreeze and Thaw write. Those of a scope carry it
// as a member without a name.
const (
	EventFreeze = "freeze"
	EventThaw   = "thaw"
)

var (
	keyFreeze    = []byte("freeze")
	prefixFreeze = "freeze\x00" // of those with a scope: device NUL pool
)

// mostFreezes bounds how many scopes are frozen at once: who needs more wants
// everything frozen.
const mostFreezes = 200

// Freeze returns the freeze of everything, or nil. One that is over is no freeze. A
// caller that gets an error doesn't know, and must act as if frozen.
func (j *Journal) Freeze() (*Freeze, error) {
	var f *Freeze
	err := j.view("read the freeze", func(tx txn) (err error) {
		f, err = freezeIn(tx, edge.Pool{})
		return err
	})
	if err != nil || f == nil || f.Over(time.Now()) {
		return nil, err
	}
	return f, nil
}

// SetFreeze freezes, in place of a freeze of the same scope. At is now when zero.
// It is durable when SetFreeze returns, and entered. It isn't fenced: people may
// stop all replicas at any of them (I19).
func (j *Journal) SetFreeze(f Freeze) error {
	now := time.Now()
	key, err := freezeKey(f.Scope())
	switch {
	case err != nil:
		return fmt.Errorf("freeze: %w", err)
	case f.Reason == "":
		return errors.New("freeze: no reason given")
	case f.At.IsZero():
		f.At = now
	}
	if f.Over(now) {
		return fmt.Errorf("freeze until %s: that is over already", f.Until.Format(time.RFC3339))
	}
	return j.commit("freeze", nil, func(tx txn) error {
		if err := roomFor(tx, key, prefixFreeze, mostFreezes, now); err != nil {
			return err
		}
		if err := put(tx, bucketState, key, f); err != nil {
			return err
		}
		return appendEntry(tx, Entry{At: now, Event: EventFreeze, Member: about(f.Scope()), Reason: f.Reason, Detail: untilText(f.Until), Actor: f.Actor})
	})
}

// Thaw lifts the freeze of everything. Without one it does nothing, and enters
// nothing. Like SetFreeze it isn't fenced.
func (j *Journal) Thaw(actor string) error { return j.ThawScope(edge.Pool{}, actor) }

// ThawScope lifts the freeze of one scope alone: not those that are wider or
// narrower. Without one it does nothing, and enters nothing.
func (j *Journal) ThawScope(p edge.Pool, actor string) error {
	key, err := freezeKey(p)
	if err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	return j.commit("thaw", nil, func(tx txn) error {
		f, err := freezeIn(tx, p)
		if err != nil || f == nil {
			return err
		}
		if err := tx.delete(bucketState, key); err != nil {
			return err
		}
		if f.Over(time.Now()) {
			return nil // it had ended by itself: nobody lifted anything
		}
		return appendEntry(tx, Entry{Event: EventThaw, Member: about(p), Reason: f.Reason, Actor: actor})
	})
}

func freezeKey(p edge.Pool) ([]byte, error) {
	switch {
	case p == edge.Pool{}:
		return keyFreeze, nil
	case p.Device == "":
		return nil, fmt.Errorf("pool %q: of which device?", p.Name)
	}
	return stateKey(prefixFreeze, p.Device, p.Name)
}

func freezeIn(tx txn, p edge.Pool) (*Freeze, error) {
	key, err := freezeKey(p)
	if err != nil {
		return nil, err
	}
	b, err := tx.get(bucketState, key)
	if err != nil || b == nil {
		return nil, err
	}
	f := new(Freeze)
	return f, get(b, f)
}

// about is a scope as an entry carries it; nil for everything.
func about(p edge.Pool) *edge.Member {
	if p == (edge.Pool{}) {
		return nil
	}
	return &edge.Member{Device: p.Device, Pool: p.Name}
}
