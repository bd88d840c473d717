package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// shared lets those who ask the same within a short time have one answer.
type shared[K comparable, V any] struct {
	// read asks the device, when it may; wanted says whether anybody still waits.
	read func(key K, wanted func() bool) (V, error)
	// usual says that a question is none of those that somebody makes up: it has a
	// place, however many wait. Nil: none is.
	usual func(key K) bool

	mu      sync.Mutex
	current map[K]*reading[V]
	closed  bool
}

// A reading is under way, or done and kept for a moment.
type reading[V any] struct {
	done    chan struct{}
	value   V
	err     error
	waiting int         // who wait for it
	timer   *time.Timer // forgets it
}

// most bounds the different questions about one device that wait at once: each
// combination of a scrape's parameters is one.
const most = 64

var (
	errTooMany = fmt.Errorf("more than %d scrapes of it with different parameters wait already", most)
	errNobody  = errors.New("nobody waits for it any more")
)

// get returns what the device says now, or said a moment ago to somebody else.
// Only the wait ends with ctx.
func (s *shared[K, V]) get(ctx context.Context, c *Collector, key K) (v V, err error) {
	for {
		r, err := s.join(c, key)
		if err != nil {
			return v, err
		}
		select {
		case <-r.done:
			s.leave(r)
		case <-ctx.Done():
			s.leave(r)
			return v, fmt.Errorf("%w: %w", ErrNoAnswerYet, context.Cause(ctx))
		}
		if !errors.Is(r.err, errNobody) { // given up just before we came
			return r.value, r.err
		}
	}
}

func (s *shared[K, V]) leave(r *reading[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.waiting--
}

func (s *shared[K, V]) join(c *Collector, key K) (*reading[V], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.current[key]; r != nil {
		r.waiting++
		return r, nil
	}
	if len(s.current) >= most && !s.forget() && (s.usual == nil || !s.usual(key)) {
		return nil, errTooMany
	}
	if err := c.ctx.Err(); err != nil || s.closed {
		return nil, context.Canceled
	}
	r := &reading[V]{done: make(chan struct{}), waiting: 1}
	if s.current == nil {
		s.current = make(map[K]*reading[V])
	}
	s.current[key] = r
	c.reads.Go(func() {
		r.value, r.err = s.read(key, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return r.waiting > 0
		})
		s.mu.Lock()
		defer s.mu.Unlock()
		defer close(r.done)
		if s.closed || errors.Is(r.err, errNobody) {
			s.drop(key, r)
			return
		}
		r.timer = time.AfterFunc(share, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.drop(key, r)
		})
	})
	return r, nil
}

// forget makes room by an answer that is kept for others, and says whether there
// was one: a device that answers is not to look as if it didn't.
func (s *shared[K, V]) forget() bool {
	for key, r := range s.current {
		if r.timer != nil {
			r.timer.Stop()
			s.drop(key, r)
			return true
		}
	}
	return false
}

// drop lets the next one ask anew. The answer of a large device is large, so it
// isn't kept longer than it is of use.
func (s *shared[K, V]) drop(key K, r *reading[V]) {
	if s.current[key] == r {
		delete(s.current, key)
	}
}

// close forgets what was read; what is under way is forgotten when it ends.
func (s *shared[K, V]) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for key, r := range s.current {
		if r.timer != nil {
			r.timer.Stop()
			s.drop(key, r)
		}
	}
}
