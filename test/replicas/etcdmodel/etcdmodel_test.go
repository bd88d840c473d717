package etcdmodel_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-project/sluice/test/replicas/etcdmodel"
	"github.com/sluice-project/sluice/test/replicas/etcdtest"
)

// open is a link that nothing is wrong with.
type open struct{}

func (open) Reach(ctx context.Context, _ string) error  { return ctx.Err() }
func (open) Return(ctx context.Context, _ string) error { return ctx.Err() }

// a session asks one etcd; what it hears is compared with what another says.
type session struct {
	c    *clientv3.Client
	base int64 // revision of the beginning: those of etcd differ
	last int64
	ids  []clientv3.LeaseID
}

func (s *session) kvs(all []*mvccpb.KeyValue) (out string) {
	for _, kv := range all {
		out += fmt.Sprintf(" %s=%q c%d m%d v%d", kv.Key, kv.Value, kv.CreateRevision-s.base, kv.ModRevision-s.base, kv.Version)
	}
	return out
}

// ask does one random thing, the same for the same dice, and says what came of it.
func (s *session) ask(ctx context.Context, dice *rand.Rand) (string, error) {
	key := func() string { return "/m/" + string(rune('a'+dice.IntN(5))) }
	switch dice.IntN(7) {
	case 0:
		r, err := s.c.Put(ctx, key(), fmt.Sprint(dice.IntN(100)))
		if err != nil {
			return "", err
		}
		s.last = r.Header.Revision
		return fmt.Sprintf("put at %d", s.last-s.base), nil
	case 1:
		var opts []clientv3.OpOption
		if dice.IntN(2) == 0 {
			opts = append(opts, clientv3.WithPrefix())
		}
		r, err := s.c.Delete(ctx, "/m/"+string(rune('a'+dice.IntN(5))), opts...)
		if err != nil {
			return "", err
		}
		s.last = r.Header.Revision
		return fmt.Sprintf("deleted %d at %d", r.Deleted, s.last-s.base), nil
	case 2, 3:
		opts := []clientv3.OpOption{clientv3.WithRange("/m/" + string(rune('a'+dice.IntN(6))))}
		if dice.IntN(2) == 0 {
			opts = []clientv3.OpOption{clientv3.WithPrefix()}
		}
		opts = append(opts, clientv3.WithLimit(int64(dice.IntN(4))))
		if back := dice.Int64N(6); s.last-back > s.base {
			opts = append(opts, clientv3.WithRev(s.last-back))
		}
		switch dice.IntN(4) {
		case 0:
			opts = append(opts, clientv3.WithCountOnly())
		case 1:
			opts = append(opts, clientv3.WithKeysOnly())
		}
		r, err := s.c.Get(ctx, "/m/", opts...)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d, more %v:%s", r.Count, r.More, s.kvs(r.Kvs)), nil
	case 4:
		r, err := s.c.Grant(ctx, 60)
		if err != nil {
			return "", err
		}
		s.ids = append(s.ids, r.ID)
		return fmt.Sprintf("a lease of %d", r.TTL), nil
	case 5:
		if len(s.ids) == 0 {
			return "no lease", nil
		}
		i := dice.IntN(len(s.ids))
		if dice.IntN(2) == 0 {
			r, err := s.c.KeepAliveOnce(ctx, s.ids[i])
			if err != nil {
				return "renewed: " + err.Error(), nil //nolint:nilerr // an answer like others: the two are compared
			}
			return fmt.Sprintf("renewed to %d", r.TTL), nil
		}
		_, err := s.c.Revoke(ctx, s.ids[i])
		return fmt.Sprintf("revoked: %v", err), nil
	}
	return s.txn(ctx, dice, key)
}

func (s *session) txn(ctx context.Context, dice *rand.Rand, key func() string) (string, error) {
	compare := clientv3.Compare(clientv3.ModRevision(key()), []string{"=", "<", ">", "!="}[dice.IntN(4)], max(0, s.last-dice.Int64N(5)))
	if dice.IntN(2) == 0 {
		compare = clientv3.Compare(clientv3.CreateRevision(key()), "=", 0)
	}
	if dice.IntN(3) == 0 {
		compare = clientv3.Compare(clientv3.ModRevision("/m/"), "<", s.last-dice.Int64N(3)).WithPrefix()
	}
	var opts []clientv3.OpOption
	if len(s.ids) > 0 && dice.IntN(2) == 0 {
		opts = append(opts, clientv3.WithLease(s.ids[dice.IntN(len(s.ids))]))
	}
	a := "/m/" + string(rune('a'+dice.IntN(4))) // etcd refuses two writes of one key
	r, err := s.c.Txn(ctx).If(compare).
		Then(clientv3.OpPut(a, fmt.Sprint(dice.IntN(100)), opts...), clientv3.OpDelete("/m/e")).
		Else(clientv3.OpGet("/m/", clientv3.WithPrefix())).Commit()
	if err != nil {
		return "txn: " + err.Error(), nil //nolint:nilerr // as above
	}
	s.last = r.Header.Revision
	out := fmt.Sprintf("%v at %d", r.Succeeded, s.last-s.base)
	for _, one := range r.Responses {
		out += "; " + s.kvs(one.GetResponseRange().GetKvs()) + fmt.Sprint(one.GetResponseDeleteRange().GetDeleted())
	}
	return out, nil
}

func begin(t *testing.T, c *clientv3.Client) *session {
	t.Helper()
	r, err := c.Put(t.Context(), "/other", "")
	if err != nil {
		t.Fatal(err)
	}
	return &session{c: c, base: r.Header.Revision, last: r.Header.Revision}
}

// The model and a real etcd are asked the same, and say the same, also to who watches.
func TestTheModelAnswersAsEtcd(t *testing.T) {
	model := etcdmodel.New()
	defer model.Stop()
	a, b := begin(t, model.Client(open{})), begin(t, etcdtest.Start(t).Client(t))
	watched := func(s *session) <-chan string {
		out := make(chan string, 4096)
		events := s.c.Watch(t.Context(), "/m/", clientv3.WithPrefix(), clientv3.WithRev(s.base+1), clientv3.WithCreatedNotify())
		go func() {
			for r := range events {
				for _, e := range r.Events {
					out <- fmt.Sprintf("%s %s m%d", e.Type, e.Kv.Key, e.Kv.ModRevision-s.base)
				}
			}
		}()
		return out
	}
	heard, want := watched(a), watched(b)
	for i := range uint64(1500) {
		x, err := a.ask(t.Context(), rand.New(rand.NewPCG(1, i)))
		y, err2 := b.ask(t.Context(), rand.New(rand.NewPCG(1, i)))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if x != y {
			t.Fatalf("question %d: the model says\n\t%s\netcd\n\t%s", i, x, y)
		}
	}
	// Within one revision etcd tells in the order of the writes, the model in that of
	// the keys: what is compared is what changed at which.
	var told, wanted []string
	for end := a.last - a.base; len(wanted) == 0 || !done(wanted, end); {
		select {
		case e := <-want:
			wanted = append(wanted, e)
		case <-time.After(10 * time.Second):
			t.Fatalf("etcd tells no more after %d events", len(wanted))
		}
		select {
		case e := <-heard:
			told = append(told, e)
		case <-time.After(10 * time.Second):
			t.Fatalf("the model tells no more after %d events", len(told))
		}
	}
	slices.Sort(told)
	slices.Sort(wanted)
	if !slices.Equal(told, wanted) {
		t.Errorf("the model tells %d events, etcd %d, or others", len(told), len(wanted))
	}
}

// done says that the last revision was told of; it may have changed nothing below the prefix.
func done(events []string, rev int64) bool {
	return slices.ContainsFunc(events, func(e string) bool {
		var at int64
		var kind, key string
		n, err := fmt.Sscanf(e, "%s %s m%d", &kind, &key, &at)
		return n == 3 && err == nil && at >= rev-5
	})
}

// A lease ends by itself, and what hangs on it, at its time and no sooner.
func TestALeaseOfTheModelEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := etcdmodel.New()
		defer e.Stop()
		c := e.Client(open{})
		defer c.Close() // says that its context has ended
		g, err := c.Grant(t.Context(), 5)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(t.Context(), "/k", "v", clientv3.WithLease(g.ID)); err != nil {
			t.Fatal(err)
		}
		is := func(there bool) {
			t.Helper()
			r, err := c.Get(t.Context(), "/k")
			if err != nil || (r.Count == 1) != there {
				t.Errorf("it is there %d times, %v; want it there: %v", r.Count, err, there)
			}
		}
		time.Sleep(4 * time.Second)
		if _, err := c.KeepAliveOnce(t.Context(), g.ID); err != nil {
			t.Error(err)
		}
		time.Sleep(4 * time.Second)
		is(true)
		if v, left := e.Holder("/k"); string(v) != "v" || left != time.Second {
			t.Errorf("%q for %s", v, left)
		}
		time.Sleep(1001 * time.Millisecond)
		is(false)
		if _, err := c.KeepAliveOnce(t.Context(), g.ID); err == nil {
			t.Error("a lease that ended was renewed")
		}
	})
}
