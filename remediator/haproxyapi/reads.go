package haproxyapi

import (
	"context"
	"errors"
	"sync"
)

// reads lets many callers share the looks at one instance: one is under way at a
// time, and who comes meanwhile gets the next one. So what a caller is told is
// never older than its question, and a HAProxy that hangs, or a thousand callers,
// cost one connection.
type reads struct {
	read func(ctx context.Context, instance string) (Reading, error)

	mu    sync.Mutex
	under map[string]*look // under way, by instance
	next  map[string]*look // begins when that has ended
}

type look struct {
	done    chan struct{}
	reading Reading
	err     error
}

var errBroke = errors.New("the look at the instance broke off")

// of returns a look that began after the call, by this caller or by another. A
// caller that goes away doesn't end it for the others: the engine bounds it.
func (r *reads) of(ctx context.Context, instance string) (Reading, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next, r.under = map[string]*look{}, map[string]*look{}
	}
	if l := r.next[instance]; l != nil {
		r.mu.Unlock()
		select {
		case <-l.done:
			return l.reading, l.err
		case <-ctx.Done():
			return Reading{}, &UnreachableError{instance, context.Cause(ctx)}
		}
	}
	l := &look{done: make(chan struct{}), err: errBroke}
	before := r.under[instance]
	if before == nil {
		r.under[instance] = l
	} else {
		r.next[instance] = l
	}
	r.mu.Unlock()

	if before != nil {
		<-before.done
		r.mu.Lock()
		delete(r.next, instance)
		r.under[instance] = l
		r.mu.Unlock()
	}
	defer func() {
		r.mu.Lock()
		if r.under[instance] == l {
			delete(r.under, instance)
		}
		r.mu.Unlock()
		close(l.done)
	}()
	l.reading, l.err = r.read(context.WithoutCancel(ctx), instance)
	return l.reading, l.err
}
