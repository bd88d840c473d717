package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Pages of scans.
const (
	pageKeys    = 100
	widestRange = 1 << 20 // of sequence numbers whose entries are mostly gone
)

// errLost says that something read has changed before the commit.
var errLost = errors.New("read values have changed")

// An etcdTxn reads at one revision, remembers what it read, and gathers what is to
// be written.
type etcdTxn struct {
	s      *etcdStore
	ctx    context.Context
	update bool
	rev    int64 // 0 before the first read

	read    map[string]version
	scanned []stretch
	written map[string][]byte // nil: to be deleted
	order   []string          // of keys in written
	size    int
}

// A version is one key as it was read; revision 0 is that of one that isn't there.
type version struct {
	value    []byte
	revision int64
}

// A stretch is the keys from one to before another.
type stretch struct{ from, to string }

func (t *etcdTxn) get(b bucket, key []byte) ([]byte, error) { return t.value(t.s.key(b, key)) }

func (t *etcdTxn) value(key string) ([]byte, error) {
	if v, ok := t.written[key]; ok {
		return v, nil
	}
	if v, ok := t.read[key]; ok {
		return v.value, nil
	}
	r, err := t.fetch(key)
	if err != nil {
		return nil, err
	}
	t.remember(key, r.Kvs)
	return t.read[key].value, nil
}

func (t *etcdTxn) remember(key string, kvs []*mvccpb.KeyValue) {
	if t.read == nil {
		t.read = map[string]version{}
	}
	var v version
	if len(kvs) > 0 {
		v = version{kvs[0].Value, kvs[0].ModRevision}
	}
	t.read[key] = v
}

// fetch asks etcd. The first answer sets the revision for all that follow.
func (t *etcdTxn) fetch(key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	opts = append(opts, clientv3.WithRev(t.rev))
	return asked(t, func(ctx context.Context) (*clientv3.GetResponse, *pb.ResponseHeader, error) {
		r, err := t.s.client.Get(ctx, key, opts...)
		if err != nil {
			return nil, nil, err
		}
		return r, r.Header, nil
	})
}

// asked makes a call that only reads, and so can be made again: a member of etcd
// that is silent, or about to elect a leader, leaves time for another try.
func asked[R any](t *etcdTxn, call func(context.Context) (R, *pb.ResponseHeader, error)) (R, error) {
	timeout := callTimeout
	if still := t.s.silent.Load(); still != nil {
		if time.Since(still.at) < silentStill {
			var none R
			return none, t.s.unavailable(still.cause)
		}
		timeout = tryTimeout
	}
	whole, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	var cause error
	for {
		ctx, cancel := context.WithTimeout(whole, tryTimeout)
		r, h, err := call(ctx)
		late := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			t.s.silent.Store(nil)
			if t.rev == 0 {
				t.rev = h.Revision
			}
			return r, nil
		case errors.Is(err, rpctypes.ErrCompacted):
			return r, err
		case !late || cause == nil: // that time ran out says less than what went wrong before
			cause = err
		}
		select {
		case <-time.After(tryPause):
		case <-whole.Done():
			if t.ctx.Err() == nil { // else it wasn't given all its time
				t.s.silent.Store(&silence{time.Now(), cause})
			}
			return r, t.s.unavailable(cause)
		}
	}
}

func (t *etcdTxn) expect(b bucket, keys [][]byte) error {
	for some := range slices.Chunk(keys, keyBatch) {
		ops := make([]clientv3.Op, len(some))
		for i, k := range some {
			ops[i] = clientv3.OpGet(t.s.key(b, k), clientv3.WithRev(t.rev))
		}
		r, err := asked(t, func(ctx context.Context) (*clientv3.TxnResponse, *pb.ResponseHeader, error) {
			r, err := t.s.client.Txn(ctx).Then(ops...).Commit()
			if err != nil {
				return nil, nil, err
			}
			return r, r.Header, nil
		})
		if err != nil {
			return err
		}
		for i, k := range some {
			t.remember(t.s.key(b, k), r.Responses[i].GetResponseRange().Kvs)
		}
	}
	return nil
}

func (t *etcdTxn) put(b bucket, key, value []byte) error {
	return t.write(t.s.key(b, key), value)
}

func (t *etcdTxn) delete(b bucket, key []byte) error {
	return t.write(t.s.key(b, key), nil)
}

func (t *etcdTxn) write(key string, value []byte) error {
	if !t.update {
		return errors.New("written to in a view")
	}
	if t.written == nil {
		t.written = map[string][]byte{}
	}
	old, again := t.written[key]
	if !again {
		t.order = append(t.order, key)
		t.size += len(key)
	}
	t.written[key] = value
	t.size += len(value) - len(old)
	return nil
}

func (t *etcdTxn) room() int { return maxBytes - t.size }

func (t *etcdTxn) given(b bucket) (uint64, error) {
	v, err := t.value(t.s.number(b))
	if err != nil || v == nil {
		return 0, err
	}
	var n uint64
	err = get(v, &n)
	return n, err
}

func (t *etcdTxn) next(b bucket) (uint64, error) {
	n, err := t.given(b)
	if err != nil {
		return 0, err
	}
	n++
	rec, err := seal(n)
	if err != nil {
		return 0, err
	}
	return n, t.write(t.s.number(b), rec)
}

// count isn't held against the commit: a bound may be passed by as much as others
// add in one moment.
func (t *etcdTxn) count(b bucket) (int, error) {
	r, err := t.fetch(t.s.bucket(b), clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return int(r.Count), nil
}

func (t *etcdTxn) scan(b bucket, from []byte, fn func(key, value []byte) error) error {
	for _, key := range t.order {
		if strings.HasPrefix(key, t.s.bucket(b)) {
			return fmt.Errorf("bucket %s is scanned after a write to it", b)
		}
	}
	begin, end := t.s.key(b, from), clientv3.GetPrefixRangeEnd(t.s.bucket(b))
	for at := begin; ; {
		r, err := t.fetch(at, clientv3.WithRange(end), clientv3.WithLimit(pageKeys))
		if err != nil {
			return err
		}
		for _, kv := range r.Kvs {
			at = string(kv.Key) + "\x00"
			key, err := t.s.bare(b, kv.Key)
			if err == nil {
				err = fn(key, kv.Value)
			}
			if errors.Is(err, errEnough) {
				t.scanned = append(t.scanned, stretch{begin, at})
				return nil
			} else if err != nil {
				return err
			}
		}
		if !r.More {
			t.scanned = append(t.scanned, stretch{begin, end})
			return nil
		}
	}
}

// scanBack asks for ranges of numbers in ascending order and turns them round:
// asked for the last keys of a range, etcd reads and sorts the whole range.
// Source: etcd 3.4, etcdserver/apply.go: applierV3backend.Range, "fetch everything".
func (t *etcdTxn) scanBack(b bucket, lowest, highest uint64, fn func(value []byte) error) error {
	if t.update {
		return errors.New("an update is scanned backward")
	}
	top, err := t.given(b)
	if err != nil {
		return err
	}
	top = min(top, highest)
	wide := uint64(pageKeys)
	for lowest = max(lowest, 1); top >= lowest; {
		low := lowest
		if top-lowest >= wide {
			low = top - wide + 1
		}
		r, err := t.fetch(t.s.key(b, seqKey(low)), clientv3.WithRange(t.s.key(b, seqKey(top))+"\x00"), clientv3.WithLimit(pageKeys))
		switch {
		case err != nil:
			return err
		case r.More:
			wide = pageKeys // fits always
			continue
		case len(r.Kvs) < pageKeys/4:
			wide = min(2*wide, widestRange)
		}
		for _, kv := range slices.Backward(r.Kvs) {
			if err := fn(kv.Value); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
		top = low - 1
	}
	return nil
}

// commit writes all or nothing, on the condition that nothing read has changed and
// that the fence stands. Keys that are new in a scanned range, or changed, have
// a greater revision than ours; one that is gone from it goes unnoticed, so what is
// concluded from a scan must not depend on a key that others may delete.
func (t *etcdTxn) commit(fence *clientv3.Cmp, fenceKey string, created int64) error {
	var conditions []clientv3.Cmp
	var otherwise []clientv3.Op
	if fence != nil {
		conditions = append(conditions, *fence)
		otherwise = append(otherwise, clientv3.OpGet(fenceKey, clientv3.WithKeysOnly()))
	}
	for key, v := range t.read {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(key), "=", v.revision))
	}
	for _, s := range t.scanned {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(s.from), "<", t.rev+1).WithRange(s.to))
	}
	var ops []clientv3.Op
	for _, key := range t.order {
		if value := t.written[key]; value == nil {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			ops = append(ops, clientv3.OpPut(key, string(value)))
		}
	}
	if n := max(len(ops), len(conditions)); n > maxOps {
		return fmt.Errorf("%d changes at once: etcd takes %d", n, maxOps)
	}
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	r, err := t.s.client.Txn(ctx).If(conditions...).Then(ops...).Else(otherwise...).Commit()
	switch {
	case err != nil:
		return t.s.unavailable(err)
	case r.Succeeded:
		return nil
	case fence != nil:
		kvs := r.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 || kvs[0].CreateRevision != created {
			return ErrFenced
		}
	}
	return errLost
}
