package coordinate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	callTimeout = 2 * time.Second
	renewals    = 5  // of the lease in its time: some may be lost
	hurried     = 20 // so many in its time, when one was lost
	recheck     = 2 * time.Second
	leastPause  = 100 * time.Millisecond
	mostPause   = 500 * time.Millisecond
)

// Etcd is the coordinator of several processes. Whoever creates the key
// PREFIX/leader leads while the key stands, which hangs on its lease. The revision
// of that creation is the fencing token.
type Etcd struct {
	client   *clientv3.Client
	prefix   string
	key      string
	ttl      time.Duration
	identity string
	changes  chan struct{}
	cause    *cause

	mu      sync.Mutex
	term    *term // nil while not leading
	leader  holder
	token   int64
	problem string
}

// A holder is the value of the key.
type holder struct {
	Identity string    `json:"identity"`
	Since    time.Time `json:"since"`
}

// NewEtcd makes a coordinator with a client of its own, which [Etcd.Close] closes.
// The lease's ttl is in whole seconds.
func NewEtcd(client *clientv3.Client, prefix string, ttl time.Duration) *Etcd {
	return &Etcd{
		client: client, prefix: prefix, key: prefix + "/leader", ttl: ttl,
		identity: identity(), changes: make(chan struct{}, 1), cause: new(cause), problem: "etcd has not been asked yet",
	}
}

// identity names this process to people: host, process, and a random part, because
// containers are all process 1.
func identity() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}

// Leading implements [Coordinator].
func (e *Etcd) Leading() (Term, bool) {
	e.mu.Lock()
	t := e.term
	e.mu.Unlock()
	if t == nil || t.left() <= 0 {
		return Term{}, false
	}
	return Term{t}, true
}

// Fence implements [journal.Fence] for whatever term this process is in.
func (e *Etcd) Fence() (key string, created int64, ok bool) {
	t, ok := e.Leading()
	if !ok {
		return "", 0, false
	}
	return t.Fence()
}

// Changes implements [Coordinator].
func (e *Etcd) Changes() <-chan struct{} { return e.changes }

// Status implements [Coordinator].
func (e *Etcd) Status() Status {
	t, leading := e.Leading()
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{
		Leased: true, Leading: leading, Identity: e.identity,
		Leader: e.leader.Identity, Since: e.leader.Since, Token: e.token, Problem: e.problem,
	}
	if leading {
		s.Left, _ = t.Left()
	}
	return s
}

// OpenJournal implements [Coordinator].
func (e *Etcd) OpenJournal(string, time.Duration) (*journal.Journal, error) {
	return journal.OpenEtcd(e.client, e.prefix, e)
}

// Close implements [Coordinator].
func (e *Etcd) Close() error {
	if err := e.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("coordinator: etcd: %w", err)
	}
	return nil
}

// Run implements [Coordinator].
func (e *Etcd) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		t, lease, err := e.stand(ctx)
		switch {
		case ctx.Err() != nil:
			if t != nil {
				e.revoke(ctx, lease)
			}
		case err != nil:
			e.heard(nil, e.cause.of(err))
			pause(ctx, leastPause+mathrand.N(mostPause-leastPause))
		case t != nil:
			e.lead(ctx, t, lease)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// heard notes who leads, nil for nobody, and what is wrong.
func (e *Etcd) heard(kv *mvccpb.KeyValue, problem string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problem, e.leader, e.token = problem, holder{}, 0
	if kv == nil {
		return
	}
	if err := json.Unmarshal(kv.Value, &e.leader); err != nil {
		e.problem = "the value of " + e.key + " is not one of Sluice's"
	}
	e.token = kv.CreateRevision
}

// stand takes the key, or waits until it is worth trying again and returns no term.
func (e *Etcd) stand(ctx context.Context) (*term, clientv3.LeaseID, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := e.client.Get(call, e.key)
	if err != nil {
		return nil, 0, fmt.Errorf("ask who leads: %w", err)
	}
	if len(r.Kvs) > 0 {
		e.heard(r.Kvs[0], "")
		if e.isOurs(r.Kvs[0]) {
			// Of a term that ended by our clock, or began with an answer that was lost.
			e.revoke(ctx, clientv3.LeaseID(r.Kvs[0].Lease))
			pause(ctx, leastPause)
			return nil, 0, nil
		}
		e.await(ctx, r.Header.Revision+1)
		return nil, 0, nil
	}
	e.heard(nil, "")
	return e.take(ctx)
}

func (e *Etcd) isOurs(kv *mvccpb.KeyValue) bool {
	var h holder
	return json.Unmarshal(kv.Value, &h) == nil && h.Identity == e.identity && kv.Lease != 0
}

// await returns when the key is gone since the revision, when that can't be told,
// and soon in any case: a watch may stay silent for 10 s after an etcd that was
// stopped answers other calls again (seen with client 3.6).
func (e *Etcd) await(ctx context.Context, since int64) {
	ctx, cancel := context.WithTimeout(ctx, recheck)
	defer cancel()
	events := e.client.Watch(clientv3.WithRequireLeader(ctx), e.key, clientv3.WithRev(since))
	for {
		r, open := next(ctx, events)
		if !open || r.Err() != nil {
			return
		}
		for _, ev := range r.Events {
			if ev.Type == clientv3.EventTypeDelete {
				return
			}
		}
	}
}

// next returns what a watch tells, until ctx ends. The client closes the channel
// of a context that has ended only after it could speak to etcd again (seen with
// 3.6 and an etcd that was stopped: 10 s later).
func next(ctx context.Context, events clientv3.WatchChan) (r clientv3.WatchResponse, open bool) {
	select {
	case r, open = <-events:
		return r, open
	case <-ctx.Done():
		return r, false
	}
}

// take creates the key if nobody has.
func (e *Etcd) take(ctx context.Context) (*term, clientv3.LeaseID, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	sent := time.Now()
	grant, err := e.client.Grant(call, int64(e.ttl/time.Second))
	if err != nil {
		return nil, 0, fmt.Errorf("ask for a lease: %w", err)
	}
	h := holder{Identity: e.identity, Since: time.Now().UTC().Truncate(time.Millisecond)}
	value, err := json.Marshal(h)
	if err != nil {
		return nil, 0, err
	}
	r, err := e.client.Txn(call).
		If(clientv3.Compare(clientv3.CreateRevision(e.key), "=", 0)).
		Then(clientv3.OpPut(e.key, string(value), clientv3.WithLease(grant.ID))).
		Commit()
	if err != nil || !r.Succeeded {
		e.revoke(ctx, grant.ID) // with the key, if it was created and the answer lost
		if err != nil {
			err = fmt.Errorf("stand for leader: %w", err)
		}
		return nil, 0, err
	}
	return newTerm(e.key, r.Header.Revision, h, sent, min(e.ttl, time.Duration(grant.TTL)*time.Second)), grant.ID, nil
}

// lead keeps the lease until ctx ends or the term is lost.
func (e *Etcd) lead(ctx context.Context, t *term, lease clientv3.LeaseID) {
	e.begin(t)
	lost, stop := e.guard(ctx, t)
	defer stop()
	var problem string
	for wait := e.ttl / renewals; ; {
		select {
		case <-ctx.Done():
			problem = "resigned"
		case <-lost:
			problem = "the key " + e.key + " was taken away"
		case <-time.After(min(wait, t.left())):
			wait, problem = e.renew(ctx, t, lease)
		}
		if wait == 0 || ctx.Err() != nil || t.left() <= 0 || isClosed(lost) {
			break
		}
		e.say(problem)
	}
	e.finish(t, problem)
	e.revoke(ctx, lease)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (e *Etcd) begin(t *term) {
	e.mu.Lock()
	e.term, e.leader, e.token, e.problem = t, t.holder, t.created, ""
	e.mu.Unlock()
	e.poke()
}

func (e *Etcd) finish(t *term, problem string) {
	t.end()
	e.mu.Lock()
	e.term, e.leader, e.token, e.problem = nil, holder{}, 0, problem
	e.mu.Unlock()
	e.poke()
}

func (e *Etcd) say(problem string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problem = problem
}

func (e *Etcd) poke() {
	select {
	case e.changes <- struct{}{}:
	default: // there is one to read already
	}
}

// renew returns how long to wait for the next renewal, 0 when the lease is gone.
func (e *Etcd) renew(ctx context.Context, t *term, lease clientv3.LeaseID) (next time.Duration, problem string) {
	sent := time.Now()
	left := t.left()
	if left <= 0 { // stopped for too long, or etcd was: what it says now comes too late
		return 0, "the lease ran out"
	}
	call, cancel := context.WithTimeout(ctx, min(callTimeout, left, e.ttl/renewals))
	defer cancel()
	r, err := e.client.KeepAliveOnce(call, lease)
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return 0, "the lease ran out"
	case err != nil:
		return e.ttl / hurried, "renew the lease: " + oneLine(err)
	}
	t.renew(sent, min(e.ttl, time.Duration(r.TTL)*time.Second))
	return e.ttl / renewals, ""
}

// guard closes lost when somebody takes the key away. That only speeds things up:
// the fence holds without it.
func (e *Etcd) guard(ctx context.Context, t *term) (lost <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	c := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if e.isTaken(ctx, t) {
				close(c)
				return
			}
			pause(ctx, mostPause)
		}
	})
	return c, func() {
		cancel()
		done.Wait()
	}
}

// isTaken waits for as long as it can see that the key is that of t. False says
// that nothing is known.
func (e *Etcd) isTaken(ctx context.Context, t *term) bool {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := e.client.Get(call, e.key)
	switch {
	case err != nil:
		return false
	case len(r.Kvs) == 0 || r.Kvs[0].CreateRevision != t.created:
		return true
	}
	events := e.client.Watch(clientv3.WithRequireLeader(ctx), e.key, clientv3.WithRev(r.Header.Revision+1))
	for {
		w, open := next(ctx, events)
		if !open || len(w.Events) > 0 {
			return open
		}
	}
}

// revoke ends a lease, and the key with it. Where that can't be done the lease ends
// by itself.
func (e *Etcd) revoke(ctx context.Context, lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_, _ = e.client.Revoke(ctx, lease) // see above
}
