// Package etcdmodel is an etcd in memory, as far as Sluice uses one, on the clock of
// the test: for simulations in virtual time. It speaks below the client of etcd, so
// that nearly all of that client and of what stands on it is the real thing. A test here asks
// it and a real etcd the same.
package etcdmodel

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// An Etcd holds keys and leases. It forgets no revision.
type Etcd struct {
	mu      sync.Mutex
	rev     int64
	keys    []string // all that ever were, in order
	history map[string][]version
	leases  map[int64]*lease
	watches map[*watch]bool
	changed []string // by the write that is made
	given   int64    // the last number of a lease
	stopped bool
}

// A version is a key as a write left it.
type version struct {
	*mvccpb.KeyValue
	gone bool
}

type lease struct {
	ttl  time.Duration
	ends time.Time
	end  *time.Timer
}

// New makes an empty one. Stop it at the end: leases have clocks.
func New() *Etcd {
	return &Etcd{rev: 1, history: map[string][]version{}, leases: map[int64]*lease{}, watches: map[*watch]bool{}}
}

// A Link is a client's way to it. Both may wait, and return an error for a way that
// is cut; ctx is the call's.
type Link interface {
	Reach(ctx context.Context, call string) error  // before the call arrives
	Return(ctx context.Context, call string) error // before its answer does
}

// Client returns a client that uses a link. Close it.
func (e *Etcd) Client(link Link) *clientv3.Client {
	c := clientv3.NewCtxClient(context.Background())
	r := remote{e: e, link: link}
	c.KV = clientv3.NewKVFromKVClient(kv{remote: r}, c)
	c.Lease = clientv3.NewLeaseFromLeaseClient(leaser{remote: r}, c, time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	c.Watcher = &watcher{r, ctx, cancel}
	return c
}

// Stop ends all clocks.
func (e *Etcd) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	for _, l := range e.leases {
		l.end.Stop()
	}
}

// Extend gives every lease its whole time again, as etcd does when another of its
// members begins to lead. Source: etcd 3.4, lease/lessor.go: Promote.
func (e *Etcd) Extend() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.leases {
		e.renew(l)
	}
}

// Holder returns the value of a key, and how long the lease lasts that it hangs on.
func (e *Etcd) Holder(key string) (value []byte, left time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.at(key, e.rev)
	if v == nil {
		return nil, 0
	}
	if l := e.leases[v.Lease]; l != nil {
		left = time.Until(l.ends)
	}
	return v.Value, left
}

func (e *Etcd) header() *pb.ResponseHeader { return &pb.ResponseHeader{Revision: e.rev} }

// at is a key at a revision; nil when it wasn't there.
func (e *Etcd) at(key string, rev int64) *mvccpb.KeyValue {
	all := e.history[key]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].ModRevision <= rev {
			if all[i].gone {
				return nil
			}
			return all[i].KeyValue
		}
	}
	return nil
}

// in are the keys of a range, which is one key when it has no end.
func (e *Etcd) in(key, end []byte) []string {
	from, found := slices.BinarySearch(e.keys, string(key))
	if len(end) == 0 {
		if !found {
			return nil
		}
		return e.keys[from : from+1]
	}
	if len(end) == 1 && end[0] == 0 {
		return e.keys[from:]
	}
	to, _ := slices.BinarySearch(e.keys, string(end))
	return e.keys[min(from, to):to]
}

func (e *Etcd) get(in *pb.RangeRequest) (*pb.RangeResponse, error) {
	rev := e.rev
	if in.Revision > rev {
		return nil, rpctypes.ErrGRPCFutureRev
	}
	if in.Revision > 0 {
		rev = in.Revision
	}
	out := &pb.RangeResponse{Header: e.header()}
	for _, key := range e.in(in.Key, in.RangeEnd) {
		v := e.at(key, rev)
		if v == nil {
			continue
		}
		out.Count++
		switch {
		case in.CountOnly:
		case in.Limit > 0 && int64(len(out.Kvs)) == in.Limit:
			out.More = true
		default:
			one := *v
			if in.KeysOnly {
				one.Value = nil
			}
			out.Kvs = append(out.Kvs, &one)
		}
	}
	return out, nil
}

// set writes a key at a revision; nil takes it away.
func (e *Etcd) set(key string, value []byte, leaseID, rev int64, deleted bool) (changed bool) {
	before := e.at(key, rev)
	if deleted && before == nil {
		return false
	}
	kv := &mvccpb.KeyValue{Key: []byte(key), ModRevision: rev}
	if !deleted {
		kv.Value, kv.Lease, kv.CreateRevision, kv.Version = slices.Clone(value), leaseID, rev, 1
		if before != nil {
			kv.CreateRevision, kv.Version = before.CreateRevision, before.Version+1
		}
	}
	if i, known := slices.BinarySearch(e.keys, key); !known {
		e.keys = slices.Insert(e.keys, i, key)
	}
	e.history[key] = append(e.history[key], version{kv, deleted})
	e.changed = append(e.changed, key)
	return true
}

// write makes all changes at one revision, and tells of them.
func (e *Etcd) write(changes func(rev int64) (changed bool)) {
	e.changed = e.changed[:0]
	if changes(e.rev + 1) {
		e.rev++
		slices.Sort(e.changed)
		for w := range e.watches {
			w.tell(e, e.changed)
		}
	}
}

// deleteRange takes keys away.
func (e *Etcd) deleteRange(in *pb.DeleteRangeRequest, rev int64) (n int64) {
	for _, key := range slices.Clone(e.in(in.Key, in.RangeEnd)) {
		if e.set(key, nil, 0, rev, true) {
			n++
		}
	}
	return n
}

// txn compares, and does one or the other; a write of what hangs on no lease that
// stands is refused before anything is done.
func (e *Etcd) txn(in *pb.TxnRequest) (*pb.TxnResponse, error) {
	out := &pb.TxnResponse{Succeeded: !slices.ContainsFunc(in.Compare, func(c *pb.Compare) bool { return !e.holds(c) })}
	ops := in.Failure
	if out.Succeeded {
		ops = in.Success
	}
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil && p.Lease != 0 && e.leases[p.Lease] == nil {
			return nil, rpctypes.ErrGRPCLeaseNotFound
		}
	}
	var err error
	e.write(func(rev int64) (changed bool) {
		for _, op := range ops {
			one := new(pb.ResponseOp)
			switch {
			case op.GetRequestRange() != nil:
				r, wrong := e.get(op.GetRequestRange())
				if wrong != nil {
					err = wrong
					return changed
				}
				one.Response = &pb.ResponseOp_ResponseRange{ResponseRange: r}
			case op.GetRequestPut() != nil:
				p := op.GetRequestPut()
				changed = e.set(string(p.Key), p.Value, p.Lease, rev, false) || changed
				one.Response = &pb.ResponseOp_ResponsePut{ResponsePut: &pb.PutResponse{Header: &pb.ResponseHeader{Revision: rev}}}
			case op.GetRequestDeleteRange() != nil:
				n := e.deleteRange(op.GetRequestDeleteRange(), rev)
				changed = changed || n > 0
				one.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &pb.DeleteRangeResponse{Header: &pb.ResponseHeader{Revision: rev}, Deleted: n}}
			}
			out.Responses = append(out.Responses, one)
		}
		return changed
	})
	out.Header = e.header()
	return out, err
}

// holds says whether a comparison does, for every key of its range.
func (e *Etcd) holds(c *pb.Compare) bool {
	keys := e.in(c.Key, c.RangeEnd)
	if len(c.RangeEnd) == 0 && len(keys) == 0 {
		keys = []string{string(c.Key)} // compared as one that isn't there
	}
	for _, key := range keys {
		v := e.at(key, e.rev)
		if v == nil {
			if len(c.RangeEnd) > 0 {
				continue
			}
			v = new(mvccpb.KeyValue)
		}
		var have, want int64 = math.MaxInt64, 0 // of a kind that nobody asks for
		switch c.Target {
		case pb.Compare_CREATE:
			have, want = v.CreateRevision, c.GetCreateRevision()
		case pb.Compare_MOD:
			have, want = v.ModRevision, c.GetModRevision()
		case pb.Compare_VERSION:
			have, want = v.Version, c.GetVersion()
		}
		switch c.Result {
		case pb.Compare_EQUAL:
			if have != want {
				return false
			}
		case pb.Compare_NOT_EQUAL:
			if have == want {
				return false
			}
		case pb.Compare_LESS:
			if have >= want {
				return false
			}
		case pb.Compare_GREATER:
			if have <= want {
				return false
			}
		}
	}
	return true
}

func (e *Etcd) grant(ttl int64) int64 {
	e.given++
	id := e.given
	l := &lease{ttl: time.Duration(ttl) * time.Second}
	e.leases[id] = l
	e.renew(l)
	l.end = time.AfterFunc(l.ttl, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.leases[id] == l && !e.stopped && !time.Now().Before(l.ends) {
			e.revoke(id)
		}
	})
	return id
}

func (e *Etcd) renew(l *lease) {
	l.ends = time.Now().Add(l.ttl)
	if l.end != nil && !e.stopped {
		l.end.Reset(l.ttl)
	}
}

// revoke ends a lease, and all keys that hang on it.
func (e *Etcd) revoke(id int64) bool {
	l := e.leases[id]
	if l == nil {
		return false
	}
	l.end.Stop()
	delete(e.leases, id)
	e.write(func(rev int64) (changed bool) {
		for _, key := range slices.Clone(e.keys) {
			if v := e.at(key, e.rev); v != nil && v.Lease == id {
				changed = e.set(key, nil, 0, rev, true) || changed
			}
		}
		return changed
	})
	return true
}
