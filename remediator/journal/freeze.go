package journal

import (
	"errors"
	"fmt"
	"time"
)

// A Freeze stops every automatic step until it is lifted or ends. It is durable
// (SAFETY.md I19): a restart doesn't lift it.
type Freeze struct {
	Reason string    `json:"reason"`
	Actor  string    `json:"actor,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until somebody lifts it
}

// Over says whether the freeze has come to its end by itself.
func (f Freeze) Over(now time.Time) bool { return !f.Until.IsZero() && !now.Before(f.Until) }

// Events of the entries that SetFreeze and Thaw write.
const (
	EventFreeze = "freeze"
	EventThaw   = "thaw"
)

var keyFreeze = []byte("freeze")

// Freeze returns the freeze in force, or nil. One that is over is no freeze. A
// caller that gets an error doesn't know, and must act as if frozen.
func (j *Journal) Freeze() (*Freeze, error) {
	var f *Freeze
	err := j.view("read the freeze", func(tx txn) (err error) {
		f, err = freezeIn(tx)
		return err
	})
	if err != nil || f == nil || f.Over(time.Now()) {
		return nil, err
	}
	return f, nil
}

// SetFreeze freezes, in place of a freeze that is there. At is now when zero.
// It is durable when SetFreeze returns, and entered. It isn't fenced: people may
// stop all replicas at any of them (I19).
func (j *Journal) SetFreeze(f Freeze) error {
	now := time.Now()
	switch {
	case f.Reason == "":
		return errors.New("freeze: no reason given")
	case f.At.IsZero():
		f.At = now
	}
	if f.Over(now) {
		return fmt.Errorf("freeze until %s: that is over already", f.Until.Format(time.RFC3339))
	}
	return j.commit("freeze", nil, func(tx txn) error {
		if err := put(tx, bucketState, keyFreeze, f); err != nil {
			return err
		}
		detail := "until lifted"
		if !f.Until.IsZero() {
			detail = "until " + f.Until.UTC().Format(time.RFC3339)
		}
		return appendEntry(tx, Entry{At: now, Event: EventFreeze, Reason: f.Reason, Detail: detail, Actor: f.Actor})
	})
}

// Thaw lifts the freeze. Without one it does nothing, and enters nothing. Like
// SetFreeze it isn't fenced.
func (j *Journal) Thaw(actor string) error {
	return j.commit("thaw", nil, func(tx txn) error {
		f, err := freezeIn(tx)
		if err != nil || f == nil {
			return err
		}
		if err := tx.delete(bucketState, keyFreeze); err != nil {
			return err
		}
		if f.Over(time.Now()) {
			return nil // it had ended by itself: nobody lifted anything
		}
		return appendEntry(tx, Entry{Event: EventThaw, Reason: f.Reason, Actor: actor})
	})
}

func freezeIn(tx txn) (*Freeze, error) {
	b, err := tx.get(bucketState, keyFreeze)
	if err != nil || b == nil {
		return nil, err
	}
	f := new(Freeze)
	return f, get(b, f)
}
