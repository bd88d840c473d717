package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Limits on what is asked of etcd, and for how long.
const (
	callTimeout   = 2 * time.Second
	tryTimeout    = 600 * time.Millisecond // of one try to read, of a few in the time of a call
	tryPause      = 100 * time.Millisecond
	silentStill   = 100 * time.Millisecond // after a silence: nobody asks again so soon
	updateTimeout = 3 * callTimeout        // the turn, reading, and starting again included
	updateTries   = 50
	patientAfter  = 3 // tries that lost; from then on there is a pause between them
	longestPause  = 20 * time.Millisecond
	rewatch       = time.Second

	// etcd refuses more than 128 operations in one transaction (--max-txn-ops) and
	// more than 1.5 MiB in one request (--max-request-bytes).
	// Source: etcd 3.4, embed/config.go: DefaultMaxTxnOps, DefaultMaxRequestBytes.
	maxOps   = 120
	maxBytes = 1280 << 10
	keyBatch = 100
)

// An etcdStore is all keys of an etcd below one prefix:
//
//	PREFIX/journal/BUCKET/KEY     a record; keys of entries and hints are in hexadecimal
//	PREFIX/journal/numbers/BUCKET the last number that the bucket gave
//
// The coordinator's key beside them, PREFIX/leader, is the fence.
type etcdStore struct {
	client *clientv3.Client
	prefix string
	ctx    context.Context // ends when the store is closed
	cancel context.CancelFunc
	done   sync.WaitGroup
	turn   chan struct{} // updates of one process never lose to each other
	silent atomic.Pointer[silence]
}

// A silence is that a read had no answer in all its time, and none has had one since.
type silence struct {
	at    time.Time
	cause error
}

// OpenEtcd opens the journal below prefix, such as "/sluice", in an etcd. There
// is nothing to make first: no keys are an empty journal. [Journal.Close] leaves
// the client open.
//
// Several processes may have it open. What a leader alone may write is committed
// only while f stands (see [Fence]); a nil f writes no such thing. What people
// put in the way (SetFreeze, Thaw, Claim, Unclaim, windows), SaveHints, Order and
// AppendUnfenced are anybody's. Reads are linearizable: they
// see all that was committed anywhere before they began.
//
// Each call ends within a few seconds; without an answer of etcd with
// [ErrUnavailable]. Then OpenEtcd itself fails too, which is no reason to call the
// journal unreadable: try again.
func OpenEtcd(client *clientv3.Client, prefix string, f Fence) (*Journal, error) {
	if f == nil {
		f = nobody{}
	}
	s := newEtcd(client, prefix)
	j := &Journal{store: s, fence: f, followers: new(followers), known: new(decoded)}
	var err error
	if j.problems, err = replay(s); err != nil {
		return nil, errors.Join(j.wrap("open", err), s.close())
	}
	s.done.Go(func() { s.watch(j.followers.tell) })
	return j, nil
}

func newEtcd(client *clientv3.Client, prefix string) *etcdStore {
	s := &etcdStore{client: client, prefix: strings.TrimRight(prefix, "/") + "/journal/", turn: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *etcdStore) name() string { return "etcd:" + strings.TrimSuffix(s.prefix, "/journal/") }
func (s *etcdStore) batch() int   { return keyBatch }

func (s *etcdStore) close() error {
	s.cancel()
	s.done.Wait()
	return nil
}

func (s *etcdStore) view(fn func(txn) error) error {
	var err error
	for range updateTries {
		// Every key is read as it stood at the revision of the first one. When
		// that is compacted meanwhile, all is read again.
		if err = fn(&etcdTxn{s: s, ctx: s.ctx}); !errors.Is(err, rpctypes.ErrCompacted) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// update is optimistic: fn reads at one revision, and the commit says "if none of
// that has changed since". When something has, fn runs again.
func (s *etcdStore) update(f Fence, fn func(txn) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, updateTimeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%w: the update before this one has no answer after %s", ErrUnavailable, updateTimeout)
	}
	var fence clientv3.Cmp
	var key string
	var created int64
	if f != nil {
		// Asked once: a term that begins while this update runs isn't its own.
		var ok bool
		if key, created, ok = f.Fence(); !ok {
			return ErrFenced
		}
		fence = clientv3.Compare(clientv3.CreateRevision(key), "=", created)
	}
	for try := range updateTries {
		t := &etcdTxn{s: s, ctx: ctx, update: true}
		err := fn(t)
		switch {
		case errors.Is(err, rpctypes.ErrCompacted):
			continue
		case err != nil:
			return err
		case len(t.order) == 0:
			return nil
		}
		if f == nil {
			err = t.commit(nil, "", 0)
		} else {
			err = t.commit(&fence, key, created)
		}
		if !errors.Is(err, errLost) {
			return err
		}
		if try >= patientAfter {
			select {
			case <-time.After(rand.N(longestPause)):
			case <-ctx.Done():
			}
		}
	}
	return ErrBusy
}

// watch tells what others changed, and this process too, until the store is closed.
func (s *etcdStore) watch(tell func(Part)) {
	for s.ctx.Err() == nil {
		// Without a leader an etcd that is cut off from the others would be
		// silent for ever; so it ends the watch.
		ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(s.ctx))
		events := s.client.Watch(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		for {
			var r clientv3.WatchResponse
			var open bool
			select {
			case r, open = <-events:
			case <-s.ctx.Done(): // the channel is closed only when etcd could be told
			}
			if !open {
				break
			}
			if r.Created { // what came before the watch may have been missed
				tell(PartState | PartHolds | PartEntries | PartHints)
			}
			var changed Part
			for _, e := range r.Events {
				name, _, _ := strings.Cut(strings.TrimPrefix(string(e.Kv.Key), s.prefix), "/")
				changed |= partOf[bucket(name)]
			}
			tell(changed)
		}
		cancel()
		select {
		case <-time.After(rewatch):
		case <-s.ctx.Done():
		}
	}
}

// unavailable is the error of a call that etcd didn't grant.
func (s *etcdStore) unavailable(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, rpctypes.ErrRequestTooLarge):
		return err
	case s.ctx.Err() != nil:
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	// The cause is told by gRPC even when time ran out: a certificate that isn't
	// known, a connection that is refused.
	return fmt.Errorf("%w: etcd: %s", ErrUnavailable, strings.Join(strings.Fields(err.Error()), " "))
}

// inHex says which buckets have keys that people couldn't read.
func (b bucket) inHex() bool { return b == bucketEntries || b == bucketHints }

func (s *etcdStore) bucket(b bucket) string { return s.prefix + string(b) + "/" }

func (s *etcdStore) number(b bucket) string { return s.prefix + "numbers/" + string(b) }

func (s *etcdStore) key(b bucket, key []byte) string {
	if b.inHex() {
		return s.bucket(b) + fmt.Sprintf("%x", key) // keeps the order
	}
	return s.bucket(b) + string(key)
}

// bare is the inverse of key.
func (s *etcdStore) bare(b bucket, key []byte) ([]byte, error) {
	short := slices.Clone(key[len(s.bucket(b)):])
	if !b.inHex() {
		return short, nil
	}
	var out []byte
	if n, err := fmt.Sscanf(string(short), "%x", &out); n != 1 || err != nil {
		return nil, fmt.Errorf("%w: key %q is not one of Sluice's", ErrUnreadable, key)
	}
	return out, nil
}
