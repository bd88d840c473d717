package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Barriers are what people have put in automation's way and what is in force now,
// all as of one moment: a step is judged by it, and judged again right before the
// command (SAFETY.md I17, I19).
type Barriers struct {
	Freezes []Freeze  // that of everything first, then by device and pool
	Claimed []Claimed // by member
	Windows []Window  // by name
}

// Frozen returns the first freeze in force that covers any of the members, or nil.
// Without members only a freeze of everything counts.
func (b Barriers) Frozen(members ...edge.Member) *Freeze {
	for i, f := range b.Freezes {
		if f.Device == "" || slices.ContainsFunc(members, f.Covers) {
			return &b.Freezes[i]
		}
	}
	return nil
}

// Claims returns the first claim in force on any of the members, or nil.
func (b Barriers) Claims(members ...edge.Member) *Claimed {
	for i, c := range b.Claimed {
		if slices.Contains(members, c.Member) {
			return &b.Claimed[i]
		}
	}
	return nil
}

// ErrTooMany says that so many of a kind aren't kept.
var ErrTooMany = errors.New("there are too many already")

// Barriers returns all that is in force. A caller that gets an error doesn't know,
// and must act as if everything were frozen.
func (j *Journal) Barriers() (Barriers, error) {
	var out Barriers
	err := j.view("read what people put in the way", func(tx txn) (err error) {
		out, err = barriersIn(tx)
		return err
	})
	now := time.Now()
	out.Freezes = slices.DeleteFunc(out.Freezes, func(f Freeze) bool { return f.Over(now) })
	out.Claimed = slices.DeleteFunc(out.Claimed, func(c Claimed) bool { return c.Over(now) })
	return out, err
}

// barriersIn reads them in one go, those that are over too.
func barriersIn(tx txn) (out Barriers, err error) {
	read := func(key, value []byte, into any, own func() ([]byte, error)) error {
		if err := get(value, into); err != nil {
			return err
		}
		if want, err := own(); err != nil || !bytes.Equal(key, want) {
			return fmt.Errorf("%w: %q stands in another's place", ErrUnreadable, key)
		}
		return nil
	}
	err = tx.scan(bucketState, nil, func(k, v []byte) error {
		switch key := string(k); {
		case key == string(keyFreeze), strings.HasPrefix(key, prefixFreeze):
			var f Freeze
			if err := read(k, v, &f, func() ([]byte, error) { return freezeKey(f.Scope()) }); err != nil {
				return err
			}
			out.Freezes = append(out.Freezes, f)
		case strings.HasPrefix(key, prefixClaimed):
			var c Claimed
			if err := read(k, v, &c, func() ([]byte, error) { return claimedKey(c.Member) }); err != nil {
				return err
			}
			out.Claimed = append(out.Claimed, c)
		case strings.HasPrefix(key, prefixWindow):
			var w Window
			if err := read(k, v, &w, func() ([]byte, error) { return stateKey(prefixWindow, w.Name) }); err != nil {
				return err
			}
			out.Windows = append(out.Windows, w)
		}
		return nil
	})
	return out, err // in the order of their keys
}

// roomFor makes room for one more record below prefix: it drops those that have
// come to their end, and refuses what would be one too many.
func roomFor(tx txn, key []byte, prefix string, most int, now time.Time) error {
	n := 0
	var gone [][]byte
	err := tx.scan(bucketState, []byte(prefix), func(k, v []byte) error {
		if !bytes.HasPrefix(k, []byte(prefix)) {
			return errEnough
		}
		var one struct {
			Until time.Time `json:"until"`
		}
		if err := get(v, &one); err != nil {
			return err
		}
		switch {
		case bytes.Equal(k, key): // it is replaced
		case over(one.Until, now):
			gone = append(gone, bytes.Clone(k))
		default:
			n++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n >= most && bytes.HasPrefix(key, []byte(prefix)) {
		return fmt.Errorf("%w: %d", ErrTooMany, n)
	}
	for _, k := range gone[:min(len(gone), keyBatch/2)] { // the rest goes with the next one
		if err := tx.delete(bucketState, k); err != nil {
			return err
		}
	}
	return nil
}

// stateKey is a key of the bucket of states. No name may hold NUL, nor be missing,
// but for the last.
func stateKey(prefix string, names ...string) ([]byte, error) {
	for i, name := range names {
		if name == "" && (i == 0 || i < len(names)-1) || strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("%q: a name is empty or holds NUL", names)
		}
	}
	return []byte(prefix + strings.Join(names, "\x00")), nil
}

func over(until, now time.Time) bool { return !until.IsZero() && !now.Before(until) }

func untilText(until time.Time) string {
	if until.IsZero() {
		return "until lifted"
	}
	return "until " + until.UTC().Format(time.RFC3339)
}

// A Window is a maintenance window that people made while the remediator runs. What
// it says is the engine's business.
type Window struct {
	Name  string          `json:"name"`
	Spec  json.RawMessage `json:"spec"` // its keys, as in the configuration
	Actor string          `json:"actor,omitempty"`
	At    time.Time       `json:"at"`
}

// Events of the entries that SetWindow and DropWindow write.
const (
	EventWindow      = "maintenance"
	EventWindowEnded = "maintenance_ended"
)

const (
	prefixWindow = "window\x00" // name
	mostWindows  = 100
)

var (
	// ErrWindow says that a window of that name is there already.
	ErrWindow = errors.New("a maintenance window of that name is there already")
	// ErrNoWindow says that there is no window of that name.
	ErrNoWindow = errors.New("no such maintenance window")
)

// SetWindow adds a window. It is durable when SetWindow returns, entered, and like
// a freeze not fenced: it stops, and starts nothing.
func (j *Journal) SetWindow(w Window) error {
	key, err := stateKey(prefixWindow, w.Name)
	switch {
	case err != nil:
		return fmt.Errorf("maintenance window: %w", err)
	case w.At.IsZero():
		w.At = time.Now()
	}
	return j.commit("add maintenance window "+w.Name, nil, func(tx txn) error {
		if err := roomFor(tx, key, prefixWindow, mostWindows, w.At); err != nil {
			return err
		}
		old, err := tx.get(bucketState, key)
		switch {
		case err != nil:
			return err
		case old != nil:
			return ErrWindow
		}
		if err := put(tx, bucketState, key, w); err != nil {
			return err
		}
		return appendEntry(tx, Entry{At: w.At, Event: EventWindow, Reason: w.Name, Detail: string(w.Spec), Actor: w.Actor})
	})
}

// DropWindow takes a window away, and says why. [ErrNoWindow] says that there is
// none. Who takes one away that isn't over is a person; nobody else asks any replica.
func (j *Journal) DropWindow(name, actor, why string) error {
	key, err := stateKey(prefixWindow, name)
	if err != nil {
		return ErrNoWindow
	}
	fence := j.fence
	if actor != "" {
		fence = nil
	}
	return j.commit("drop maintenance window "+name, fence, func(tx txn) error {
		old, err := tx.get(bucketState, key)
		switch {
		case err != nil:
			return err
		case old == nil:
			return ErrNoWindow
		}
		if err := tx.delete(bucketState, key); err != nil {
			return err
		}
		return appendEntry(tx, Entry{Event: EventWindowEnded, Reason: name, Detail: why, Actor: actor})
	})
}
