// Package journal is the memory of the remediator: what it holds, what it did
// and refused, and whether it is frozen, durable before a call returns.
//
// It stands in a file, or in an etcd that several replicas share. Each value is
// JSON with a version and a checksum in front.
//
// The file is a bbolt database; its structure is checked before it is mapped, because
// a page that was cut off or overwritten makes bbolt panic or the process
// fault. A file that doesn't pass is left as it is: [ErrUnreadable], and the
// remediator starts frozen (SAFETY.md I19).
//
// In etcd every write of the leader is made on the condition that it leads at that
// moment, whatever its clock says (I16): [Fence].
package journal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
)

var (
	// ErrLocked says that another process has the file.
	ErrLocked = errors.New("in use by another process")
	// ErrUnreadable says that the file is there and can't be trusted. It was
	// not changed.
	ErrUnreadable = errors.New("unreadable journal")
	// ErrIllegal says that the state machine has no such step.
	ErrIllegal = errors.New("no such transition")
	// ErrConflict says that the hold has changed since it was read, or is gone.
	ErrConflict = errors.New("hold has changed meanwhile")
	// ErrHeld says that the member has another hold.
	ErrHeld = errors.New("member is held already")
	// ErrNoHold says that the member has no hold.
	ErrNoHold = errors.New("no such hold")
)

// A Journal is one open file, or one prefix of an etcd. Its methods may be called
// from any goroutine.
type Journal struct {
	store     store
	fence     Fence
	followers *followers
	problems  []string
	known     *decoded
}

// decoded are the holds as they were read last. A hold is read many times for
// each time that it changes; one whose bytes are the same needs no decoding.
type decoded struct {
	mu    sync.Mutex
	holds map[string]decodedHold // by key
}

type decodedHold struct {
	raw  []byte
	hold Hold
}

// in returns the holds of one transaction, which nobody may change in place. Nobody
// waits for another's answer from etcd.
func (d *decoded) in(tx txn) (out []Hold, err error) {
	var keys []string
	var raws [][]byte // good while the transaction lasts
	err = tx.scan(bucketHolds, nil, func(k, v []byte) error {
		keys, raws = append(keys, string(k)), append(raws, v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := make(map[string]decodedHold, len(d.holds))
	for i, k := range keys {
		one := d.holds[k]
		if one.raw == nil || !bytes.Equal(one.raw, raws[i]) {
			one = decodedHold{raw: bytes.Clone(raws[i])}
			if err := get(raws[i], &one.hold); err != nil {
				return out, err
			}
		}
		now[k] = one
		out = append(out, one.hold.clone())
	}
	d.holds = now
	return out, nil
}

// Open opens the journal for one process, and makes it (0600) and its directory
// (0700) if there is none. It waits at most lockTimeout, 1 s when that is not
// positive, then returns [ErrLocked]. A file that is there but can't be trusted,
// an empty one included, is [ErrUnreadable].
func Open(path string, lockTimeout time.Duration) (*Journal, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return open(path, lockTimeout, false)
}

// OpenReadOnly opens a journal that no running remediator has, to look into it.
// Writing to it is an error. It makes no file.
func OpenReadOnly(path string, lockTimeout time.Duration) (*Journal, error) {
	return open(path, lockTimeout, true)
}

func open(path string, lockTimeout time.Duration, readOnly bool) (*Journal, error) {
	j := &Journal{fence: nobody{}, followers: new(followers), known: new(decoded)}
	s, err := openBolt(path, lockTimeout, readOnly, func(s store) (err error) {
		j.problems, err = replay(s)
		return err
	})
	if err != nil {
		return nil, err
	}
	j.store = s
	return j, nil
}

// Under returns the same journal for one term of leadership: what is written
// through it is refused with [ErrFenced] when that term is over, even if another
// one of the same process has begun. Close only one of the two.
func (j *Journal) Under(f Fence) *Journal {
	under := *j
	under.fence = f
	return &under
}

// Path returns the path that the journal was opened by; on etcd, a name for it.
func (j *Journal) Path() string { return j.store.name() }

// Close lets go of the file. Calls in progress end first.
func (j *Journal) Close() error {
	if err := j.store.close(); err != nil {
		return fmt.Errorf("close journal %s: %w", j.Path(), err)
	}
	return nil
}

// Put records h and the entry about it together. A hold without ID is new;
// any other must carry the Rev that Put gave it last, or the answer is
// [ErrConflict]. A step that the state machine doesn't have is [ErrIllegal]. The
// ID, Rev and Changed of h are set when Put succeeds; after an error h is
// as it was, and what it says may or may not be on disk.
//
// An entry without Event takes the name of the new phase; when the phase stays
// the same, an entry without Event is not written.
func (j *Journal) Put(h *Hold, e Entry) error {
	if h.Phase == Closed {
		return fmt.Errorf("put hold on %s: %w: closing is for Drop", h.Member, ErrIllegal)
	}
	return j.change("put hold on "+h.Member.String(), j.fence, h, h.Phase, e)
}

// Order is [Journal.Put] for what a person asked for: e.Actor says who, and the
// phase stays. People may ask any replica, so it isn't fenced; the revision
// sees to it that the leader's own change in between isn't lost.
func (j *Journal) Order(h *Hold, e Entry) error {
	what := "order on " + h.Member.String()
	if e.Actor == "" || h.ID == "" {
		return j.wrap(what, fmt.Errorf("%w: an order is somebody's, and of a hold that is there", ErrIllegal))
	}
	return j.change(what, nil, h, h.Phase, e)
}

// Drop closes h, which leaves the holds, and enters e. The rules are those of
// [Journal.Put].
func (j *Journal) Drop(h *Hold, e Entry) error {
	return j.change("drop hold on "+h.Member.String(), j.fence, h, Closed, e)
}

func (j *Journal) change(what string, f Fence, h *Hold, to Phase, e Entry) error {
	next := *h
	err := j.commit(what, f, func(tx txn) (err error) {
		if f == nil { // an order
			if old, _, err := holdOf(tx, h.Member); err != nil || old == nil || old.Phase != to {
				return cmp.Or(err, ErrConflict)
			}
		}
		next, err = change(tx, *h, to, e)
		return err
	})
	if err == nil {
		*h = next
	}
	return err
}

// PutAll is [Journal.Put] for several holds in one transaction: all or none. It
// is for a write that changes several members at once. There is one entry for
// each hold, or none at all. An etcd takes some 50 holds at once, and refuses more.
func (j *Journal) PutAll(holds []*Hold, entries []Entry) error {
	if len(entries) == 0 {
		entries = make([]Entry, len(holds))
	}
	next := make([]Hold, len(holds))
	err := j.update(fmt.Sprintf("put %d holds", len(holds)), func(tx txn) error {
		for i, h := range holds {
			if h.Phase == Closed {
				return fmt.Errorf("hold on %s: closing is for Drop: %w", h.Member, ErrIllegal)
			}
			var err error
			if next[i], err = change(tx, *h, h.Phase, entries[i]); err != nil {
				return fmt.Errorf("hold on %s: %w", h.Member, err)
			}
		}
		return nil
	})
	if err == nil {
		for i, h := range holds {
			*h = next[i]
		}
	}
	return err
}

// change writes one hold in phase to and the entry about it.
func change(tx txn, h Hold, to Phase, e Entry) (Hold, error) {
	next := h
	next.Phase = to
	old, key, err := holdOf(tx, h.Member)
	if err != nil {
		return h, err
	}
	var from Phase
	switch {
	case h.ID == "" && old != nil:
		return h, fmt.Errorf("%w, by %s", ErrHeld, old.ID)
	case h.ID == "":
		n, err := tx.next(bucketHolds)
		if err != nil {
			return h, err
		}
		next.ID, next.Rev = holdID(n), 0
	case old == nil || old.ID != h.ID || old.Rev != h.Rev:
		return h, ErrConflict
	default:
		from = old.Phase
	}
	since := from
	for _, p := range h.Via {
		if err := from.check(p); err != nil {
			return h, err
		}
		gone := Entry{Event: string(p), Hold: next.ID, From: from, To: p, Policy: next.Policy, Remediation: next.Remediation, Member: &next.Member, Config: e.Config, Actor: e.Actor}
		if err := appendEntry(tx, gone); err != nil {
			return h, err
		}
		from = p
	}
	next.Via = nil
	if err := from.check(to); err != nil {
		return h, err
	}
	next.Rev++
	if since != to {
		next.Changed = time.Now()
	}
	if to == Closed {
		err = tx.delete(bucketHolds, key)
	} else {
		err = put(tx, bucketHolds, key, next)
	}
	if err != nil || from == to && e.Event == "" {
		return next, err
	}
	e.Hold, e.From, e.To = next.ID, from, to
	e.Event = cmp.Or(e.Event, string(to))
	e.Policy = cmp.Or(e.Policy, next.Policy)
	e.Remediation = cmp.Or(e.Remediation, next.Remediation)
	if e.Member == nil {
		e.Member = &next.Member
	}
	return next, appendEntry(tx, e)
}

// Append records entries that change no hold, all or none.
func (j *Journal) Append(entries ...Entry) error { return j.append(j.fence, entries) }

// AppendUnfenced is [Journal.Append] for what any replica may record, the leader
// or not: what befell the process itself, or what a person asked it for.
func (j *Journal) AppendUnfenced(entries ...Entry) error { return j.append(nil, entries) }

func (j *Journal) append(f Fence, entries []Entry) error {
	return j.commit("append", f, func(tx txn) error {
		for _, e := range entries {
			if e.Event == "" {
				return errors.New("entry without event")
			}
			if err := appendEntry(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Holds returns all holds, ordered by member. Candidates are none.
func (j *Journal) Holds() ([]Hold, error) {
	return j.pick("read holds", func(h Hold) bool { return !h.Phase.Candidate() })
}

// Candidates returns what is claimed, and judged, and not held, ordered by member.
func (j *Journal) Candidates() ([]Hold, error) {
	return j.pick("read candidates", func(h Hold) bool { return h.Phase.Candidate() })
}

func (j *Journal) pick(what string, want func(Hold) bool) ([]Hold, error) {
	var out []Hold
	err := j.view(what, func(tx txn) (err error) {
		out, err = j.known.in(tx)
		return err
	})
	out = slices.DeleteFunc(out, func(h Hold) bool { return !want(h) })
	slices.SortFunc(out, func(a, b Hold) int { return a.Member.Compare(b.Member) })
	return out, err
}

func holdsIn(tx txn) (out []Hold, err error) {
	err = tx.scan(bucketHolds, nil, func(_, v []byte) error {
		var h Hold
		if err := get(v, &h); err != nil {
			return err
		}
		out = append(out, h)
		return nil
	})
	return out, err
}

// Hold returns the hold on one member, or [ErrNoHold]. A candidate is none.
func (j *Journal) Hold(m edge.Member) (Hold, error) {
	var out Hold
	err := j.view("read hold on "+m.String(), func(tx txn) error {
		h, _, err := holdOf(tx, m)
		if err != nil {
			return err
		}
		if h == nil || h.Phase.Candidate() {
			return ErrNoHold
		}
		out = *h
		return nil
	})
	return out, err
}

// Entries returns the selected entries in the order in which they were written.
func (j *Journal) Entries(q Query) ([]Entry, error) {
	var out []Entry
	err := j.view("read entries", func(tx txn) error {
		out = nil
		return tx.scanBack(bucketEntries, q.After+1, math.MaxUint64, func(v []byte) error {
			var e Entry
			if err := get(v, &e); err != nil {
				return err
			}
			if q.Limit > 0 && len(out) == q.Limit {
				return errEnough
			}
			if q.selects(&e) {
				out = append(out, e)
			}
			return nil
		})
	})
	slices.Reverse(out)
	return out, err
}

// pruneBatch bounds how long one deletion keeps a step waiting for the file.
const pruneBatch = 500

// Prune forgets entries written before the given time, but none of a hold that
// is still there. It ends at the first younger entry, so a clock that was set
// back makes it keep more, not less.
func (j *Journal) Prune(before time.Time) error {
	batch := cmp.Or(j.store.batch(), pruneBatch)
	var after []byte
	for {
		var n int
		var next []byte
		err := j.update("prune", func(tx txn) (err error) {
			n, next, err = prune(tx, before, after, batch)
			return err
		})
		if err != nil || n < batch {
			return err
		}
		after = next
	}
}

// prune looks at no more than batch entries. It returns how many were old, and
// where to go on.
func prune(tx txn, before time.Time, after []byte, batch int) (n int, next []byte, err error) {
	holds, err := holdsIn(tx)
	if err != nil {
		return 0, nil, err
	}
	open := map[string]bool{}
	for _, h := range holds {
		open[h.ID] = true
	}
	var gone [][]byte
	err = tx.scan(bucketEntries, after, func(k, v []byte) error {
		if n == batch {
			return errEnough
		}
		var e Entry
		if err := get(v, &e); err != nil {
			return err
		}
		if !e.At.Before(before) {
			return errEnough
		}
		n++
		next = seqKey(e.Seq + 1)
		if e.Hold == "" || !open[e.Hold] {
			gone = append(gone, slices.Clone(k))
		}
		return nil
	})
	if err != nil {
		return n, next, err
	}
	for _, k := range gone {
		if err := tx.delete(bucketEntries, k); err != nil {
			return n, next, err
		}
	}
	if len(gone) == 0 {
		return n, next, nil
	}
	return n, next, notePruned(tx, binary.BigEndian.Uint64(gone[len(gone)-1]))
}

func notePruned(tx txn, seq uint64) error {
	p, err := prunedIn(tx)
	if err != nil || seq <= p.Seq { // of a hold that ended long after its time
		return err
	}
	return put(tx, bucketState, keyPruned, pruned{Seq: seq})
}

// pruned says which entries may be missing by our own doing: none behind Seq.
type pruned struct {
	Seq uint64 `json:"seq"`
}

var keyPruned = []byte("pruned")

func prunedIn(tx txn) (p pruned, err error) {
	b, err := tx.get(bucketState, keyPruned)
	if err != nil || b == nil {
		return p, err
	}
	err = get(b, &p)
	return p, err
}

func appendEntry(tx txn, e Entry) error {
	seq, err := tx.next(bucketEntries)
	if err != nil {
		return err
	}
	e.Seq = seq
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e, err = fit(e, tx.room()); err != nil {
		return err
	}
	return put(tx, bucketEntries, seqKey(seq), e)
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// holdKey is the member's three names with NUL between them, which no name may
// hold. A member that lacks a name is nobody's: never the key of a hold (I2).
func holdKey(m edge.Member) ([]byte, error) {
	for _, part := range []string{m.Device, m.Pool, m.Name} {
		if part == "" || strings.ContainsRune(part, 0) {
			return nil, fmt.Errorf("member %q: a name is empty or holds NUL", m.String())
		}
	}
	return []byte(m.Device + "\x00" + m.Pool + "\x00" + m.Name), nil
}

// holdOf returns the hold on m and its key, or nil.
func holdOf(tx txn, m edge.Member) (*Hold, []byte, error) {
	key, err := holdKey(m)
	if err != nil {
		return nil, nil, err
	}
	v, err := tx.get(bucketHolds, key)
	if err != nil || v == nil {
		return nil, key, err
	}
	h := new(Hold)
	return h, key, get(v, h)
}

func (j *Journal) view(what string, fn func(txn) error) error {
	return j.wrap(what, j.store.view(fn))
}

// update commits what only a leader may write.
func (j *Journal) update(what string, fn func(txn) error) error { return j.commit(what, j.fence, fn) }

func (j *Journal) commit(what string, f Fence, fn func(txn) error) error {
	var changed Part
	err := j.store.update(f, func(tx txn) error {
		n := &noting{txn: tx}
		err := fn(n)
		changed = n.changed
		return err
	})
	if err == nil {
		j.followers.tell(changed)
	}
	return j.wrap(what, err)
}

func (j *Journal) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal %s: %s: %w", j.Path(), what, err)
}
