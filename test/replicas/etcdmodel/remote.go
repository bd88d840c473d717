package etcdmodel

import (
	"context"
	"errors"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
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

type watcher struct{ remote }

func (w watcher) Watch(ctx context.Context, _ ...grpc.CallOption) (pb.Watch_WatchClient, error) {
	s := &stream{remote: w.remote, ctx: ctx, more: make(chan struct{}, 1)}
	w.e.mu.Lock()
	w.e.streams[s] = true
	w.e.mu.Unlock()
	return s, nil
}

// A stream carries the watches of one client.
type stream struct {
	grpc.ClientStream
	remote
	ctx  context.Context
	more chan struct{}

	// Under the etcd's lock.
	given   int64
	watches []*watch
	waiting []*pb.WatchResponse
}

type watch struct {
	id       int64
	key, end []byte
	next     int64 // revision of which it hasn't told
}

func (s *stream) CloseSend() error { return nil }

func (s *stream) Send(in *pb.WatchRequest) error {
	if err := s.link.Reach(s.ctx, "watch"); err != nil {
		return err
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if c := in.GetCancelRequest(); c != nil {
		s.watches = slices.DeleteFunc(s.watches, func(w *watch) bool { return w.id == c.WatchId })
		s.say(&pb.WatchResponse{Header: s.e.header(), WatchId: c.WatchId, Canceled: true})
	}
	if c := in.GetCreateRequest(); c != nil {
		w := &watch{id: s.given, key: c.Key, end: c.RangeEnd, next: c.StartRevision}
		if w.next == 0 {
			w.next = s.e.rev + 1
		}
		s.given++
		s.watches = append(s.watches, w)
		s.say(&pb.WatchResponse{Header: s.e.header(), WatchId: w.id, Created: true})
		s.e.tell()
	}
	return nil
}

func (s *stream) say(r *pb.WatchResponse) {
	s.waiting = append(s.waiting, r)
	select {
	case s.more <- struct{}{}:
	default: // it will look
	}
}

// tell puts what is new to each watch on its way.
func (e *Etcd) tell() {
	for s := range e.streams {
		if s.ctx.Err() != nil {
			delete(e.streams, s)
			continue
		}
		for _, w := range s.watches {
			var events []*mvccpb.Event
			for _, key := range e.in(w.key, w.end) {
				all := e.history[key]
				for i := len(all) - 1; i >= 0 && all[i].ModRevision >= w.next; i-- {
					ev := &mvccpb.Event{Kv: all[i].KeyValue}
					if all[i].gone {
						ev.Type = mvccpb.DELETE
					}
					events = append(events, ev)
				}
			}
			w.next = e.rev + 1
			if len(events) > 0 {
				slices.SortStableFunc(events, func(a, b *mvccpb.Event) int { return int(a.Kv.ModRevision - b.Kv.ModRevision) })
				s.say(&pb.WatchResponse{Header: e.header(), WatchId: w.id, Events: events})
			}
		}
	}
}

// errOver is of a stream whose context has ended.
var errOver = errors.New("the stream is over")

func (s *stream) Recv() (*pb.WatchResponse, error) {
	for {
		s.e.mu.Lock()
		if len(s.waiting) > 0 {
			r := s.waiting[0]
			s.waiting = s.waiting[1:]
			s.e.mu.Unlock()
			if err := s.link.Return(s.ctx, "watch"); err != nil {
				return nil, err
			}
			return r, nil
		}
		s.e.mu.Unlock()
		select {
		case <-s.more:
		case <-s.ctx.Done():
			return nil, errors.Join(errOver, s.ctx.Err())
		}
	}
}
