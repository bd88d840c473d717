package journal

import "math"

// A Page selects entries from one place on. The zero Page is all of them, oldest
// first.
type Page struct {
	Query                        // Limit: at most so many, where there is one
	Keep     func(e *Entry) bool // of those that the query selects; nil keeps all
	Newest   bool                // newest first
	From     uint64              // goes on behind this seq; 0 begins at the end that comes first
	Look     int                 // at most at so many entries; 0 is no limit
	MaxBytes int                 // no more of them than have so many bytes in the journal, but one at least; 0 is no limit
}

// Page returns a page of entries, and from where the next one goes on: 0 when there
// are no more. A page may be empty and not the last, where Look ends it.
//
// Entries may be appended and pruned between pages: each that was there all the
// time is on one of them.
func (j *Journal) Page(p Page) (out []Entry, next uint64, err error) {
	err = j.view("read entries", func(tx txn) error {
		out, next = nil, 0
		looked, size := 0, 0
		var last uint64 // that was looked at
		take := func(v []byte) error {
			if p.Limit > 0 && len(out) == p.Limit || p.Look > 0 && looked == p.Look {
				next = last
				return errEnough
			}
			var e Entry
			if err := get(v, &e); err != nil {
				return err
			}
			if looked++; p.selects(&e) && (p.Keep == nil || p.Keep(&e)) {
				if size += len(v); p.MaxBytes > 0 && size > p.MaxBytes && len(out) > 0 {
					next = last
					return errEnough
				}
				out = append(out, e)
			}
			last = e.Seq
			return nil
		}
		if from := max(p.From, p.After); !p.Newest {
			if from == math.MaxUint64 {
				return nil
			}
			return tx.scan(bucketEntries, seqKey(from+1), func(_, v []byte) error { return take(v) })
		}
		highest := p.From - 1 // of 0: the last that there is
		if highest <= p.After {
			return nil
		}
		return tx.scanBack(bucketEntries, p.After+1, highest, take)
	})
	return out, next, err
}

// Newest is the seq of the entry that was appended last, pruned or not; 0 in a new
// journal.
func (j *Journal) Newest() (seq uint64, err error) {
	err = j.view("read entries", func(tx txn) (err error) {
		seq, err = tx.given(bucketEntries)
		return err
	})
	return seq, err
}

// Pruned is the seq up to which entries may have been pruned; all behind it are
// there. 0: none were.
func (j *Journal) Pruned() (seq uint64, err error) {
	err = j.view("read entries", func(tx txn) error {
		p, err := prunedIn(tx)
		seq = p.Seq
		return err
	})
	return seq, err
}
