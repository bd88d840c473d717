package journal

import (
	"bytes"
	"fmt"
)

// maxProblems bounds the list: who has twenty needs no twenty-first.
const maxProblems = 20

// Problems returns what the journal said when it was opened that the state machine
// says can't happen, one line each. All of it could be read; it is for a
// person to look at. Empty is the rule.
func (j *Journal) Problems() []string { return j.problems }

type problems []string

func (p *problems) add(format string, args ...any) {
	if len(*p) < maxProblems {
		*p = append(*p, fmt.Sprintf(format, args...))
	}
}

// replay reads every value once, so that a damaged one is found at the start and
// not in the middle of a night, and follows each hold through its entries.
func replay(s store) ([]string, error) {
	var odd problems
	err := s.view(func(tx txn) error {
		odd = nil
		if _, err := barriersIn(tx); err != nil {
			return err
		}
		if _, err := hintsIn(tx); err != nil {
			return err
		}
		if _, err := drillsIn(tx); err != nil {
			return err
		}
		given, err := tx.given(bucketEntries)
		if err != nil {
			return err
		}
		last, err := replayEntries(tx, given, &odd)
		if err != nil {
			return err
		}
		// A sequence that fell back would give numbers twice, and write over entries.
		if err := tx.scan(bucketEntries, seqKey(given+1), func(_, _ []byte) error {
			return fmt.Errorf("%w: the count of entries is damaged", ErrUnreadable)
		}); err != nil {
			return err
		}
		return replayHolds(tx, last, &odd)
	})
	return odd, err
}

func replayHolds(tx txn, last map[string]Phase, odd *problems) error {
	given, err := tx.given(bucketHolds)
	if err != nil {
		return err
	}
	return tx.scan(bucketHolds, nil, func(k, v []byte) error {
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
			odd.add("hold %s on %s is %s, its last entry says %q", h.ID, h.Member, h.Phase, last[h.ID])
		}
		return nil
	})
}

// replayEntries returns the phase in which its entries leave each hold.
func replayEntries(tx txn, given uint64, odd *problems) (map[string]Phase, error) {
	last := map[string]Phase{}
	gone, err := prunedIn(tx)
	if err != nil {
		return nil, err
	}
	before := uint64(0)
	follows := func(seq uint64) {
		if first := max(before, gone.Seq) + 1; first < seq {
			odd.add("entries %d to %d are missing", first, seq-1)
		}
		before = seq
	}
	err = tx.scan(bucketEntries, nil, func(k, v []byte) error {
		var e Entry
		if err := get(v, &e); err != nil {
			return err
		}
		if !bytes.Equal(k, seqKey(e.Seq)) {
			return fmt.Errorf("%w: entry %d stands in another's place", ErrUnreadable, e.Seq)
		}
		follows(e.Seq)
		if e.Hold == "" || e.To == "" {
			return nil
		}
		// The entries of a hold that ended are pruned from the front: the first one
		// that is left may start anywhere.
		if have, ok := last[e.Hold]; ok && have != e.From {
			odd.add("entry %d takes hold %s from %s, where it is not: it is %s", e.Seq, e.Hold, e.From, have)
		}
		if err := e.From.check(e.To); err != nil {
			odd.add("entry %d takes hold %s %v", e.Seq, e.Hold, err)
		}
		last[e.Hold] = e.To
		return nil
	})
	follows(given + 1)
	return last, err
}
