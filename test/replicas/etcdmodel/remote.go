package etcdmodel

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// A remote is an Etcd over a link.
type remote struct {
	e    *Etcd
	link Link
}

// call carries a call there and its answer back.
func call[R any](ctx context.Context, r remote, name string, do func(*Etcd) (R, error)) (out R, err error) {
	if err := r.link.Reach(ctx, name); err != nil {
		return out, err
	}
	r.e.mu.Lock()
	out, err = do(r.e)
	r.e.mu.Unlock()
	if lost := r.link.Return(ctx, name); lost != nil {
		var none R
		return none, lost
	}
	return out, err
}

type kv struct {
	pb.KVClient // what nobody uses
	remote
}

func (k kv) Range(ctx context.Context, in *pb.RangeRequest, _ ...grpc.CallOption) (*pb.RangeResponse, error) {
	return call(ctx, k.remote, "range", func(e *Etcd) (*pb.RangeResponse, error) { return e.get(in) })
}

func (k kv) Put(ctx context.Context, in *pb.PutRequest, _ ...grpc.CallOption) (*pb.PutResponse, error) {
	return call(ctx, k.remote, "put", func(e *Etcd) (*pb.PutResponse, error) {
		e.write(func(rev int64) bool { return e.set(string(in.Key), in.Value, in.Lease, rev, false) })
		return &pb.PutResponse{Header: e.header()}, nil
	})
}

func (k kv) DeleteRange(ctx context.Context, in *pb.DeleteRangeRequest, _ ...grpc.CallOption) (*pb.DeleteRangeResponse, error) {
	return call(ctx, k.remote, "delete", func(e *Etcd) (*pb.DeleteRangeResponse, error) {
		out := new(pb.DeleteRangeResponse)
		e.write(func(rev int64) bool {
			out.Deleted = e.deleteRange(in, rev)
			return out.Deleted > 0
		})
		out.Header = e.header()
		return out, nil
	})
}

func (k kv) Txn(ctx context.Context, in *pb.TxnRequest, _ ...grpc.CallOption) (*pb.TxnResponse, error) {
	return call(ctx, k.remote, "txn", func(e *Etcd) (*pb.TxnResponse, error) { return e.txn(in) })
}

type leaser struct {
	pb.LeaseClient // what nobody uses
	remote
}

func (l leaser) LeaseGrant(ctx context.Context, in *pb.LeaseGrantRequest, _ ...grpc.CallOption) (*pb.LeaseGrantResponse, error) {
	return call(ctx, l.remote, "grant", func(e *Etcd) (*pb.LeaseGrantResponse, error) {
		return &pb.LeaseGrantResponse{Header: e.header(), ID: e.grant(in.TTL), TTL: in.TTL}, nil
	})
}

func (l leaser) LeaseRevoke(ctx context.Context, in *pb.LeaseRevokeRequest, _ ...grpc.CallOption) (*pb.LeaseRevokeResponse, error) {
	return call(ctx, l.remote, "revoke", func(e *Etcd) (*pb.LeaseRevokeResponse, error) {
		if !e.revoke(in.ID) {
			return nil, rpctypes.ErrGRPCLeaseNotFound
		}
		return &pb.LeaseRevokeResponse{Header: e.header()}, nil
	})
}

func (l leaser) LeaseKeepAlive(ctx context.Context, _ ...grpc.CallOption) (pb.Lease_LeaseKeepAliveClient, error) {
	return &keeping{ctx: ctx, remote: l.remote}, nil
}

// keeping is a stream for one renewal, as KeepAliveOnce uses it.
type keeping struct {
	grpc.ClientStream
	remote
	ctx context.Context
	id  int64
}

func (k *keeping) Send(in *pb.LeaseKeepAliveRequest) error {
	k.id = in.ID
	return nil
}

func (k *keeping) CloseSend() error { return nil }

func (k *keeping) Recv() (*pb.LeaseKeepAliveResponse, error) {
	return call(k.ctx, k.remote, "renew", func(e *Etcd) (*pb.LeaseKeepAliveResponse, error) {
		out := &pb.LeaseKeepAliveResponse{Header: e.header(), ID: k.id}
		if l := e.leases[k.id]; l != nil {
			e.renew(l)
			out.TTL = int64(l.ttl.Seconds())
		}
		return out, nil
	})
}

// A watcher stands in the place of the client's own, whose contexts wait for a channel
// that belongs to no test and so stops virtual time.
// Source: etcd client 3.6, watch.go: valCtxCh.
type watcher struct {
	remote
	ctx   context.Context
	close context.CancelFunc
}

// Close is [clientv3.Watcher]'s.
func (w *watcher) Close() error {
	w.close()
	return nil
}

// RequestProgress is [clientv3.Watcher]'s; nobody asks for it.
func (w *watcher) RequestProgress(context.Context) error { return nil }

// A watch is what one channel tells of.
type watch struct {
	key, end []byte
	more     chan struct{}

	// Under the etcd's lock.
	next    int64 // revision of which it hasn't told
	waiting []clientv3.WatchResponse
}

// Watch is [clientv3.Watcher]'s. It says that it was made, asked for or not.
func (w *watcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	op := clientv3.OpGet(key, opts...)
	one := &watch{key: op.KeyBytes(), end: op.RangeBytes(), next: op.Rev(), more: make(chan struct{}, 1)}
	out := make(chan clientv3.WatchResponse)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.ctx, cancel)
	go func() {
		defer close(out)
		defer cancel()
		defer stop()
		w.follow(ctx, one, out)
	}()
	return out
}

// follow passes on what a watch tells until ctx ends or the link breaks.
func (w *watcher) follow(ctx context.Context, one *watch, out chan<- clientv3.WatchResponse) {
	if w.link.Reach(ctx, "watch") != nil {
		return
	}
	w.e.mu.Lock()
	if one.next == 0 {
		one.next = w.e.rev + 1
	}
	w.e.watches[one] = true
	one.say(clientv3.WatchResponse{Header: *w.e.header(), Created: true})
	one.tell(w.e, w.e.in(one.key, one.end))
	w.e.mu.Unlock()
	defer func() {
		w.e.mu.Lock()
		delete(w.e.watches, one)
		w.e.mu.Unlock()
	}()
	for {
		select {
		case <-one.more:
		case <-ctx.Done():
			return
		}
		w.e.mu.Lock()
		waiting := one.waiting
		one.waiting = nil
		w.e.mu.Unlock()
		for _, r := range waiting {
			if w.link.Return(ctx, "watch") != nil {
				return
			}
			select {
			case out <- r:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (w *watch) say(r clientv3.WatchResponse) {
	w.waiting = append(w.waiting, r)
	select {
	case w.more <- struct{}{}:
	default: // it will look
	}
}

// tell puts what is new of some keys, in their order, on its way.
func (w *watch) tell(e *Etcd, keys []string) {
	var events []*clientv3.Event
	for _, key := range keys {
		if key < string(w.key) || len(w.end) == 0 && key != string(w.key) || len(w.end) > 0 && key >= string(w.end) {
			continue
		}
		all := e.history[key]
		for i := len(all) - 1; i >= 0 && all[i].ModRevision >= w.next; i-- {
			ev := &clientv3.Event{Kv: all[i].KeyValue}
			if all[i].gone {
				ev.Type = mvccpb.DELETE
			}
			events = append(events, ev)
		}
	}
	w.next = e.rev + 1
	if len(events) > 0 {
		slices.SortStableFunc(events, func(a, b *clientv3.Event) int { return int(a.Kv.ModRevision - b.Kv.ModRevision) })
		w.say(clientv3.WatchResponse{Header: *e.header(), Events: events})
	}
}
