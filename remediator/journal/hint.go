package journal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/bbolt"
)

// A Hint is what the webhook last said of one set of labels. Hints join (see
// [Hint.Join]): in whatever order and however often messages come, what is kept
// is the same.
type Hint struct {
	Key    string            `json:"key"` // canonical text of Labels
	Labels map[string]string `json:"labels"`

	FiringStart time.Time `json:"firing_start,omitzero"` // latest startsAt of a firing message
	FiringAt    time.Time `json:"firing_at,omitzero"`    // when the last firing message came in
	ResolvedEnd time.Time `json:"resolved_end,omitzero"` // latest endsAt of a resolved message
	ResolvedAt  time.Time `json:"resolved_at,omitzero"`  // when the last resolved message came in
}

// Join returns what both say together. It is commutative, associative and
// idempotent.
func (h Hint) Join(o Hint) Hint {
	h.FiringStart = later(h.FiringStart, o.FiringStart)
	h.FiringAt = later(h.FiringAt, o.FiringAt)
	h.ResolvedEnd = later(h.ResolvedEnd, o.ResolvedEnd)
	h.ResolvedAt = later(h.ResolvedAt, o.ResolvedAt)
	return h
}

// Last is when the last message about the labels came in.
func (h Hint) Last() time.Time { return later(h.FiringAt, h.ResolvedAt) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// maxHints bounds what a noisy or hostile sender can make us keep.
const maxHints = 20_000

// ErrFull says that the journal keeps as many hints as it will.
var ErrFull = errors.New("too many hints are kept already")

// SaveHints joins hints with those that are kept, and is durable when it
// returns. No hints at all are nothing to do.
func (j *Journal) SaveHints(hints []Hint) error {
	if len(hints) == 0 {
		return nil
	}
	return j.update("save hints", func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketHints)
		kept := -1
		for _, h := range hints {
			key := hintKey(h.Key)
			if v := b.Get(key); v != nil {
				var old Hint
				if err := get(v, &old); err != nil {
					return err
				}
				h = old.Join(h)
			} else {
				if kept < 0 {
					kept = b.Stats().KeyN
				}
				if kept++; kept > maxHints {
					return fmt.Errorf("%w: %d", ErrFull, maxHints)
				}
			}
			if err := put(b, key, h); err != nil {
				return err
			}
		}
		return nil
	})
}

// Hints returns all that are kept, by key.
func (j *Journal) Hints() (map[string]Hint, error) {
	var out map[string]Hint
	err := j.view("read hints", func(tx *bbolt.Tx) (err error) {
		out, err = hintsIn(tx.Bucket(bucketHints))
		return err
	})
	return out, err
}

// DropHints forgets hints whose last message came before the given time.
func (j *Journal) DropHints(before time.Time) error {
	hints, err := j.Hints()
	if err != nil {
		return err
	}
	maps.DeleteFunc(hints, func(_ string, h Hint) bool { return !h.Last().Before(before) })
	if len(hints) == 0 {
		return nil // the common case costs no write
	}
	return j.update("drop old hints", func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketHints)
		now, err := hintsIn(b)
		if err != nil {
			return err
		}
		for k := range hints {
			if h, ok := now[k]; ok && h.Last().Before(before) { // a message may have come in between
				if err := b.Delete(hintKey(k)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func hintsIn(b *bbolt.Bucket) (map[string]Hint, error) {
	out := map[string]Hint{}
	return out, b.ForEach(func(k, v []byte) error {
		var h Hint
		if err := get(v, &h); err != nil {
			return fmt.Errorf("hint: %w", err)
		}
		if !bytes.Equal(k, hintKey(h.Key)) {
			return fmt.Errorf("%w: hint %q stands in another's place", ErrUnreadable, h.Key)
		}
		out[h.Key] = h
		return nil
	})
}

// hintKey is a hash, because bbolt's keys end at 32 KiB and label sets don't.
func hintKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}
