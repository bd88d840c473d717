package journal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
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
// returns. No hints at all are nothing to do. It isn't fenced: a standby keeps
// what it is told, for the leader to find. When it fails on etcd, some of many
// hints may be kept; that does no harm, because they join.
func (j *Journal) SaveHints(hints []Hint) error {
	batches := batched(hints, j.store.batch())
	if len(batches) > 1 { // what won't fit is refused whole, before the first is kept
		if err := j.view("save hints", func(tx txn) error { return fits(tx, hints) }); err != nil {
			return err
		}
	}
	for _, some := range batches {
		if err := j.commit("save hints", nil, func(tx txn) error { return saveHints(tx, some) }); err != nil {
			return err
		}
	}
	return nil
}

// batchBytes bounds a batch's keys, which each hint holds twice: as text and as labels.
const batchBytes = 256 << 10

func batched(hints []Hint, most int) (out [][]Hint) {
	if most == 0 && len(hints) > 0 {
		return [][]Hint{hints}
	}
	from, size := 0, 0
	for i, h := range hints {
		if i > from && (i-from == most || size+len(h.Key) > batchBytes) {
			out, from, size = append(out, hints[from:i]), i, 0
		}
		size += len(h.Key)
	}
	if from < len(hints) {
		out = append(out, hints[from:])
	}
	return out
}

// fits returns [ErrFull] when there would be too many hints.
func fits(tx txn, hints []Hint) error {
	kept, err := tx.count(bucketHints)
	if err != nil || kept+len(hints) <= maxHints {
		return err
	}
	have, err := hintsIn(tx)
	if err != nil {
		return err
	}
	for _, h := range hints {
		have[h.Key] = Hint{}
	}
	if len(have) > maxHints {
		return fmt.Errorf("%w: %d", ErrFull, maxHints)
	}
	return nil
}

func saveHints(tx txn, hints []Hint) error {
	keys := make([][]byte, len(hints))
	for i, h := range hints {
		keys[i] = hintKey(h.Key)
	}
	if err := tx.expect(bucketHints, keys); err != nil {
		return err
	}
	kept := -1
	for i, h := range hints {
		v, err := tx.get(bucketHints, keys[i])
		if err != nil {
			return err
		}
		if v != nil {
			var old Hint
			if err := get(v, &old); err != nil {
				return err
			}
			h = old.Join(h)
		} else {
			if kept < 0 {
				if kept, err = tx.count(bucketHints); err != nil {
					return err
				}
			}
			if kept++; kept > maxHints {
				return fmt.Errorf("%w: %d", ErrFull, maxHints)
			}
		}
		if err := put(tx, bucketHints, keys[i], h); err != nil {
			return err
		}
	}
	return nil
}

// Hints returns all that are kept, by key.
func (j *Journal) Hints() (map[string]Hint, error) {
	var out map[string]Hint
	err := j.view("read hints", func(tx txn) (err error) {
		out, err = hintsIn(tx)
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
	for _, some := range batched(slices.Collect(maps.Values(hints)), j.store.batch()) {
		if err := j.update("drop old hints", func(tx txn) error { return dropHints(tx, some, before) }); err != nil {
			return err
		}
	}
	return nil
}

func dropHints(tx txn, hints []Hint, before time.Time) error {
	keys := make([][]byte, len(hints))
	for i, h := range hints {
		keys[i] = hintKey(h.Key)
	}
	if err := tx.expect(bucketHints, keys); err != nil {
		return err
	}
	for _, key := range keys {
		v, err := tx.get(bucketHints, key)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		var h Hint
		if err := get(v, &h); err != nil {
			return err
		}
		if !h.Last().Before(before) {
			continue // a message has come in between
		}
		if err := tx.delete(bucketHints, key); err != nil {
			return err
		}
	}
	return nil
}

func hintsIn(tx txn) (map[string]Hint, error) {
	out := map[string]Hint{}
	return out, tx.scan(bucketHints, nil, func(k, v []byte) error {
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
