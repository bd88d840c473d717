package journal

import (
	"bytes"
	"errors"
)

// A store keeps keys and values in order, in buckets, and changes them in
// transactions. What they mean is the Journal's business alone.
type store interface {
	// view reads, all at one moment. fn may be run more than once, so it begins by
	// forgetting what an earlier run found.
	view(fn func(txn) error) error

	// update reads and writes, all or nothing, as if no other update ran at the same
	// time; it is durable when update returns nil. An error of fn undoes it. fn may
	// be run more than once. With a fence, nothing is written unless its holder leads
	// at the very moment of the commit: [ErrFenced]. A nil fence asks nobody.
	update(f Fence, fn func(txn) error) error

	// batch is how many keys one update may change; 0 is no limit.
	batch() int

	name() string // for errors
	close() error
}

// A bucket is one table of a store. Its name is written down in every journal.
type bucket string

const (
	bucketState   bucket = "state"   // freezes, claimed members, windows, pruned, drills
	bucketHolds   bucket = "holds"   // member -> Hold
	bucketEntries bucket = "entries" // seq, big-endian -> Entry
	bucketHints   bucket = "hints"   // hash of labels -> Hint
)

var buckets = []bucket{bucketState, bucketHolds, bucketEntries, bucketHints}

// A txn is one transaction. The bytes that it hands out are valid until it ends.
type txn interface {
	get(b bucket, key []byte) ([]byte, error) // nil when there is none
	put(b bucket, key, value []byte) error
	delete(b bucket, key []byte) error // of what isn't there is no error

	// scan calls fn for each key not before from, in order, until there is no more
	// or fn returns an error; errEnough ends it without one. In an update it comes
	// before the first write to the bucket, and keys that others add to
	// what was read make the update start again.
	scan(b bucket, from []byte, fn func(key, value []byte) error) error

	// scanBack calls fn for each sequence number from the highest wanted, or the last
	// one given, down to the lowest wanted. Only views have it.
	scanBack(b bucket, lowest, highest uint64, fn func(value []byte) error) error

	next(b bucket) (uint64, error)        // the bucket's next number, from 1; one for each call
	given(b bucket) (uint64, error)       // the last number that was given
	count(b bucket) (int, error)          // of keys; what others change meanwhile may be missed
	expect(b bucket, keys [][]byte) error // says that keys will be asked for, so that all can be fetched in one go
	room() int                            // bytes that may still be written
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// A Fence is a claim to lead, as [OpenEtcd] wants it from whoever writes. Fence
// returns the key in etcd that stands while the claimant leads, and the revision
// at which that key was created: a later leader has another, greater one. It
// answers ok false when the claimant knows that it doesn't lead (any more).
type Fence interface {
	Fence() (key string, created int64, ok bool)
}

var (
	// ErrFenced says that this process doesn't lead: another does, or nobody.
	// Nothing was written.
	ErrFenced = errors.New("not the leader")
	// ErrUnavailable says that the store gave no answer in time, or none that
	// settles anything. It says nothing about the journal's content; what was to be
	// written may or may not be there.
	ErrUnavailable = errors.New("store doesn't answer")
	// ErrBusy says that others kept writing to the same place. Nothing was written.
	ErrBusy = errors.New("others keep writing")
)

// nobody leads: the fence of a journal that was opened without one.
type nobody struct{}

func (nobody) Fence() (string, int64, bool) { return "", 0, false }

// noting remembers which parts a transaction changed.
type noting struct {
	txn
	changed Part
}

func (n *noting) put(b bucket, key, value []byte) error {
	n.changed |= part(b, key)
	return n.txn.put(b, key, value)
}

func (n *noting) delete(b bucket, key []byte) error {
	n.changed |= part(b, key)
	return n.txn.delete(b, key)
}

// part is what followers of it are told of; a drill wakes nobody.
func part(b bucket, key []byte) Part {
	if b == bucketState && bytes.HasPrefix(key, keyDrills) {
		return 0
	}
	return partOf[b]
}
