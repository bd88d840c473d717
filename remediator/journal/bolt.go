package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A boltStore is one file that one process has.
type boltStore struct {
	path string
	db   *bbolt.DB
}

// openBolt opens the file and has check look at it before anybody else does.
func openBolt(path string, lockTimeout time.Duration, readOnly bool, check func(store) error) (_ store, err error) {
	if lockTimeout <= 0 {
		lockTimeout = time.Second // bbolt takes 0 as for ever
	}
	deadline := time.Now().Add(lockTimeout)
	s := &boltStore{path: path}
	var file *os.File
	err = guard(func() error {
		s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
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
		err = s.whole()
	}
	if err == nil {
		err = check(s)
	}
	if err == nil {
		return s, nil
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
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

// whole says whether the file has all buckets.
func (s *boltStore) whole() error {
	return guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			for _, name := range buckets {
				if tx.Bucket([]byte(name)) == nil {
					return fmt.Errorf("%w: no bucket %q: not a journal of Sluice", ErrUnreadable, name)
				}
			}
			return nil
		})
	})
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
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
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

func (s *boltStore) view(fn func(txn) error) error {
	return guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error { return fn(boltTxn{tx}) })
	})
}

// update asks no fence: who has the file's lock leads. It is on disk (fdatasync)
// when it returns.
func (s *boltStore) update(_ Fence, fn func(txn) error) error {
	return guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error { return fn(boltTxn{tx}) })
	})
}

func (s *boltStore) batch() int   { return 0 }
func (s *boltStore) name() string { return s.path }
func (s *boltStore) close() error { return s.db.Close() }

type boltTxn struct{ tx *bbolt.Tx }

func (t boltTxn) bucket(b bucket) *bbolt.Bucket { return t.tx.Bucket([]byte(b)) }

func (t boltTxn) get(b bucket, key []byte) ([]byte, error) { return t.bucket(b).Get(key), nil }
func (t boltTxn) put(b bucket, key, value []byte) error    { return t.bucket(b).Put(key, value) }
func (t boltTxn) delete(b bucket, key []byte) error        { return t.bucket(b).Delete(key) }

func (t boltTxn) scan(b bucket, from []byte, fn func(key, value []byte) error) error {
	c := t.bucket(b).Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if err := fn(k, v); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (t boltTxn) scanBack(b bucket, lowest, highest uint64, fn func(value []byte) error) error {
	c := t.bucket(b).Cursor()
	k, v := c.Seek(seqKey(highest))
	switch {
	case k == nil:
		k, v = c.Last()
	case len(k) == 8 && binary.BigEndian.Uint64(k) > highest:
		k, v = c.Prev()
	}
	for ; len(k) == 8 && binary.BigEndian.Uint64(k) >= lowest; k, v = c.Prev() {
		if err := fn(v); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (t boltTxn) next(b bucket) (uint64, error)  { return t.bucket(b).NextSequence() }
func (t boltTxn) given(b bucket) (uint64, error) { return t.bucket(b).Sequence(), nil }
func (t boltTxn) count(b bucket) (int, error)    { return t.bucket(b).Stats().KeyN, nil }
func (t boltTxn) expect(bucket, [][]byte) error  { return nil }
func (t boltTxn) room() int                      { return math.MaxInt }

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
