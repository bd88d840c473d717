package haproxyapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A slow HAProxy says which look it is in the only backend's name.
type slow struct {
	takes time.Duration
	looks atomic.Int64
	now   atomic.Int64
	most  atomic.Int64
}

func (s *slow) read(ctx context.Context, instance string) (Reading, error) {
	n := s.looks.Add(1)
	if now := s.now.Add(1); now > s.most.Load() {
		s.most.Store(now)
	}
	defer s.now.Add(-1)
	select {
	case <-time.After(s.takes):
		return Reading{Backends: map[string][]Server{fmt.Sprint(n): nil}}, nil
	case <-ctx.Done():
		return Reading{}, ctx.Err()
	}
}

func TestManyCallersShareALookThatBeganAfterTheyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 4 * time.Second}
		r := reads{read: s.read}
		start := time.Now()
		var all sync.WaitGroup
		ask := func(at time.Duration, look string, until time.Duration) {
			all.Go(func() {
				time.Sleep(at)
				got, err := r.of(t.Context(), "prod")
				if _, ok := got.Backends[look]; err != nil || !ok || time.Since(start) != until {
					t.Errorf("who asked after %s got look %v, %v after %s; want look %s after %s", at, got.Backends, err, time.Since(start), look, until)
				}
			})
		}
		ask(0, "1", 4*time.Second)
		for range 1000 {
			ask(time.Second, "2", 8*time.Second) // one is under way since before they asked
		}
		ask(3*time.Second, "2", 8*time.Second)
		ask(5*time.Second, "3", 12*time.Second)
		ask(20*time.Second, "4", 24*time.Second) // nobody waits any more
		all.Wait()
		if s.looks.Load() != 4 || s.most.Load() != 1 {
			t.Errorf("%d looks, %d at the same time at most; want 4 and 1", s.looks.Load(), s.most.Load())
		}
		if len(r.under)+len(r.next) != 0 {
			t.Errorf("something is kept: %v %v", r.under, r.next)
		}
	})
}

func TestACallerThatGoesAwayEndsNobodysLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{takes: 4 * time.Second}
		r := reads{read: s.read}
		var all sync.WaitGroup
		for i := range 4 { // the first looks, the second looks next, the others wait for that
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if i == 3 {
					ctx = t.Context()
				}
				_, err := r.of(ctx, "prod")
				if gone := (*UnreachableError)(nil); (i == 2) != errors.As(err, &gone) {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if s.looks.Load() != 2 {
			t.Errorf("%d looks, want 2", s.looks.Load())
		}
	})
}

func TestInstancesDontWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r := reads{read: func(_ context.Context, instance string) (Reading, error) {
			if instance == "stuck" {
				<-stuck
			}
			return Reading{}, nil
		}}
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if _, err := r.of(t.Context(), "stuck"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := r.of(t.Context(), "other"); err != nil {
			t.Error(err)
		}
		close(stuck)
		all.Wait()
	})
}

func TestALookThatPanicsLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		r := reads{read: func(context.Context, string) (Reading, error) {
			time.Sleep(time.Second)
			if looks++; looks == 2 {
				panic("a fault")
			}
			return Reading{}, nil
		}}
		var all sync.WaitGroup
		well := func() {
			if _, err := r.of(t.Context(), "prod"); err != nil {
				t.Error(err)
			}
		}
		all.Go(well)
		synctest.Wait()
		all.Go(func() { // the next look is this one's
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "a fault") {
					t.Errorf("recovered %v", p)
				}
			}()
			_, err := r.of(t.Context(), "prod")
			t.Errorf("no panic, %v", err)
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := r.of(t.Context(), "prod"); !errors.Is(err, errBroke) {
				t.Errorf("who waited for it got %v", err)
			}
		})
		all.Wait()
		well()
	})
}
