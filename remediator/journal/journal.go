// Package journal is the memory of the remediator: what it holds, what it did
// and refused, and whether it is frozen, durable before a call returns.
//
// The file is a bbolt database. Each value is JSON with a version and a checksum
// in front; the file's structure is checked before it is mapped, because
// a page that was cut off or overwritten makes bbolt panic or the process
// fault. A file that doesn't pass is left as it is: [ErrUnreadable], and the
// remediator starts frozen (SAFETY.md I19).
package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

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

var (
	bucketState   = []byte("state")   // freeze
	bucketHolds   = []byte("holds")   // member -> Hold
	bucketEntries = []byte("entries") // seq, big-endian -> Entry
	bucketHints   = []byte("hints")   // hash of labels -> Hint
	buckets       = [][]byte{bucketState, bucketHolds, bucketEntries, bucketHints}
)

// A Journal is one open file. Its methods may be called from any goroutine.
type Journal struct {
	path     string
	db       *bbolt.DB
	problems []string
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

func open(path string, lockTimeout time.Duration, readOnly bool) (_ *Journal, err error) {
	if lockTimeout <= 0 {
		lockTimeout = time.Second // bbolt takes 0 as for ever
	}
	deadline := time.Now().Add(lockTimeout)
	j := &Journal{path: path}
	var file *os.File
	err = guard(func() error {
		j.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:      lockTimeout,
			ReadOnly:     readOnly,
			FreelistType: bbolt.FreelistMapType,
			NoStatistics: true,
			OpenFile: func(name string, flag int, _ os.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag&^os.O_CREATE, 0)
				if err != nil {
					return nil, err
				}
				// bbolt locks the same file once more; that is no conflict.
				if err = errors.Join(lock(file, !readOnly, deadline), verify(file)); err != nil {
					return nil, errors.Join(err, file.Close())
				}
				return file, nil
			},
		})
		return err
	})
	if err == nil {
		err = j.replay()
	}
	if err == nil {
		return j, nil
	}
	if j.db != nil {
		err = errors.Join(err, j.db.Close())
	} else if file != nil {
		_ = file.Close() // closed already on most ways; after a panic in bbolt it would keep the lock
	}
	switch {
	case errors.Is(err, ErrLocked), errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("journal %s: %w (waited %s)", path, ErrLocked, lockTimeout)
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("journal %s: %w", path, os.ErrNotExist)
	case errors.Is(err, ErrUnreadable):
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return nil, fmt.Errorf("journal %s: %w: %w", path, ErrUnreadable, err)
}

// create makes an empty journal at path unless something is there. The file
// appears under its name only when it is whole: an empty or half-made file
// at path is never of our making, and so is not taken for a new journal.
func create(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return nil // there, or not to be looked at: open says which
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	fresh := f.Name()
	defer os.Remove(fresh)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(fresh, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Link, unlike rename, never replaces what another process made meanwhile.
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Path returns the path that the journal was opened by.
func (j *Journal) Path() string { return j.path }

// Close lets go of the file. Calls in progress end first.
func (j *Journal) Close() error {
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("close journal %s: %w", j.path, err)
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
	return j.change("put hold on "+h.Member.String(), h, h.Phase, e)
}

// Drop closes h, which leaves the holds, and enters e. The rules are those of
// [Journal.Put].
func (j *Journal) Drop(h *Hold, e Entry) error {
	return j.change("drop hold on "+h.Member.String(), h, Closed, e)
}

func (j *Journal) change(what string, h *Hold, to Phase, e Entry) error {
	next := *h
	err := j.update(what, func(tx *bbolt.Tx) error {
		var err error
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
// each hold, or none at all.
func (j *Journal) PutAll(holds []*Hold, entries []Entry) error {
	if len(entries) == 0 {
		entries = make([]Entry, len(holds))
	}
	next := make([]Hold, len(holds))
	err := j.update(fmt.Sprintf("put %d holds", len(holds)), func(tx *bbolt.Tx) error {
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
func change(tx *bbolt.Tx, h Hold, to Phase, e Entry) (Hold, error) {
	next := h
	next.Phase = to
	b := tx.Bucket(bucketHolds)
	key, err := holdKey(h.Member)
	if err != nil {
		return h, err
	}
	old, err := holdAt(b, key)
	if err != nil {
		return h, err
	}
	var from Phase
	switch {
	case h.ID == "" && old != nil:
		return h, fmt.Errorf("%w, by %s", ErrHeld, old.ID)
	case h.ID == "":
		n, err := b.NextSequence()
		if err != nil {
			return h, err
		}
		next.ID, next.Rev = holdID(n), 0
	case old == nil || old.ID != h.ID || old.Rev != h.Rev:
		return h, ErrConflict
	default:
		from = old.Phase
	}
	if err := from.check(to); err != nil {
		return h, err
	}
	next.Rev++
	if from != to {
		next.Changed = time.Now()
	}
	if to == Closed {
		err = b.Delete(key)
	} else {
		err = put(b, key, next)
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
func (j *Journal) Append(entries ...Entry) error {
	return j.update("append", func(tx *bbolt.Tx) error {
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

// Holds returns all holds, ordered by member.
func (j *Journal) Holds() ([]Hold, error) {
	var out []Hold
	err := j.view("read holds", func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketHolds).ForEach(func(_, v []byte) error {
			var h Hold
			if err := get(v, &h); err != nil {
				return err
			}
			out = append(out, h)
			return nil
		})
	})
	slices.SortFunc(out, func(a, b Hold) int { return a.Member.Compare(b.Member) })
	return out, err
}

// Hold returns the hold on one member, or [ErrNoHold].
func (j *Journal) Hold(m edge.Member) (Hold, error) {
	var out Hold
	err := j.view("read hold on "+m.String(), func(tx *bbolt.Tx) error {
		key, err := holdKey(m)
		if err != nil {
			return err
		}
		h, err := holdAt(tx.Bucket(bucketHolds), key)
		if err != nil {
			return err
		}
		if h == nil {
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
	err := j.view("read entries", func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketEntries).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			var e Entry
			if err := get(v, &e); err != nil {
				return err
			}
			if e.Seq <= q.After || q.Limit > 0 && len(out) == q.Limit {
				return nil
			}
			if q.selects(&e) {
				out = append(out, e)
			}
		}
		return nil
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
	var after []byte
	for {
		n := 0
		err := j.update("prune", func(tx *bbolt.Tx) error {
			open := map[string]bool{}
			err := tx.Bucket(bucketHolds).ForEach(func(_, v []byte) error {
				var h Hold
				err := get(v, &h)
				open[h.ID] = true
				return err
			})
			if err != nil {
				return err
			}
			b := tx.Bucket(bucketEntries)
			var gone [][]byte
			c := b.Cursor()
			k, v := c.First()
			if after != nil {
				k, v = c.Seek(after)
			}
			for ; k != nil && n < pruneBatch; k, v = c.Next() {
				var e Entry
				if err := get(v, &e); err != nil {
					return err
				}
				if !e.At.Before(before) {
					break
				}
				n++
				after = seqKey(e.Seq + 1)
				if e.Hold == "" || !open[e.Hold] {
					gone = append(gone, slices.Clone(k))
				}
			}
			for _, k := range gone {
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n < pruneBatch {
			return err
		}
	}
}

func appendEntry(tx *bbolt.Tx, e Entry) error {
	b := tx.Bucket(bucketEntries)
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	e.Seq = seq
	if e.At.IsZero() {
		e.At = time.Now()
	}
	return put(b, seqKey(seq), e)
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

func holdAt(b *bbolt.Bucket, key []byte) (*Hold, error) {
	v := b.Get(key)
	if v == nil {
		return nil, nil
	}
	h := new(Hold)
	return h, get(v, h)
}

func (j *Journal) view(what string, fn func(*bbolt.Tx) error) error {
	return j.wrap(what, guard(func() error { return j.db.View(fn) }))
}

// update runs fn in a transaction that is on disk (fdatasync) when it returns.
func (j *Journal) update(what string, fn func(*bbolt.Tx) error) error {
	return j.wrap(what, guard(func() error { return j.db.Update(fn) }))
}

func (j *Journal) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal %s: %s: %w", j.path, what, err)
}

// guard turns a panic of bbolt, or a fault in its memory map, into an error: a
// disk that fails under a running remediator must not look like a crash of it.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrUnreadable, r)
		}
	}()
	return fn()
}
