package journal

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
)

// maxProblems bounds the list: who has twenty needs no twenty-first.
const maxProblems = 20

// Problems returns what the file said when it was opened that the state machine
// says can't happen, one line each. All of it could be read; it is for a
// person to look at. Empty is the rule.
func (j *Journal) Problems() []string { return j.problems }

func (j *Journal) problem(format string, args ...any) {
	if len(j.problems) < maxProblems {
		j.problems = append(j.problems, fmt.Sprintf(format, args...))
	}
}

// replay reads every value once, so that a damaged one is found at the start and
// not in the middle of a night, and follows each hold through its entries.
func (j *Journal) replay() error {
	return j.view("replay", func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("%w: no bucket %q: not a journal of Sluice", ErrUnreadable, name)
			}
		}
		if _, err := freezeIn(tx); err != nil {
			return err
		}
		if _, err := hintsIn(tx.Bucket(bucketHints)); err != nil {
			return err
		}
		last, err := j.replayEntries(tx)
		if err != nil {
			return err
		}
		// A sequence that fell back would give numbers twice, and write over entries.
		if k, _ := tx.Bucket(bucketEntries).Cursor().Last(); k != nil && bytes.Compare(k, seqKey(tx.Bucket(bucketEntries).Sequence())) > 0 {
			return fmt.Errorf("%w: the count of entries is damaged", ErrUnreadable)
		}
		given := tx.Bucket(bucketHolds).Sequence()
		return tx.Bucket(bucketHolds).ForEach(func(k, v []byte) error {
			var h Hold
			if err := get(v, &h); err != nil {
				return err
			}
			if key, err := holdKey(h.Member); err != nil || !bytes.Equal(k, key) {
				return fmt.Errorf("%w: hold %s stands under another member's name", ErrUnreadable, h.ID)
			}
			if n, err := h.number(); err != nil || n > given {
				return fmt.Errorf("%w: hold %q has an id that was never given", ErrUnreadable, h.ID)
			}
			if last[h.ID] != h.Phase {
				j.problem("hold %s on %s is %s, its last entry says %q", h.ID, h.Member, h.Phase, last[h.ID])
			}
			return nil
		})
	})
}

// replayEntries returns the phase in which its entries leave each hold.
func (j *Journal) replayEntries(tx *bbolt.Tx) (map[string]Phase, error) {
	last := map[string]Phase{}
	return last, tx.Bucket(bucketEntries).ForEach(func(k, v []byte) error {
		var e Entry
		if err := get(v, &e); err != nil {
			return err
		}
		if !bytes.Equal(k, seqKey(e.Seq)) {
			return fmt.Errorf("%w: entry %d stands in another's place", ErrUnreadable, e.Seq)
		}
		if e.Hold == "" || e.To == "" {
			return nil
		}
		// The entries of a hold that ended are pruned from the front: the first one
		// that is left may start anywhere.
		if have, ok := last[e.Hold]; ok && have != e.From {
			j.problem("entry %d takes hold %s from %s, where it is not: it is %s", e.Seq, e.Hold, e.From, have)
		}
		if err := e.From.check(e.To); err != nil {
			j.problem("entry %d takes hold %s %v", e.Seq, e.Hold, err)
		}
		last[e.Hold] = e.To
		return nil
	})
}
