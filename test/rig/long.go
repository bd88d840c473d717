package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// longPath is answered by a body that goes on until [Member.Finish], however the
// member behaves otherwise: a download that a step may cut off, or wait for.
const longPath = "/long"

// trickle is shorter than HAProxy's timeouts, so that none of them ends it.
const trickle = 200 * time.Millisecond

func long(w http.ResponseWriter, r *http.Request, finish <-chan struct{}) {
	tick := time.NewTicker(trickle)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(w, "."); err != nil {
			return // the client is gone
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-finish:
			return
		}
	}
}

// Finish ends the long answers that the member is giving.
func (m *Member) Finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.finish)
	m.finish = make(chan struct{})
}

// A Long is a long request that is under way.
type Long struct {
	Member string // that answers it

	done chan struct{}
	err  error // read only after done
}

// StartLong begins a long request through HAProxy that lands on that member; it
// lasts until [Member.Finish]. Others that the way to it takes are ended.
func (r *Rig) StartLong(ctx context.Context, member string) (*Long, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 4 * len(r.Members) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.HAProxy.Front+longPath, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.Header.Get("X-Member") != member {
			if err := resp.Body.Close(); err != nil {
				return nil, err
			}
			continue
		}
		l := &Long{Member: member, done: make(chan struct{})}
		go func() {
			defer close(l.done)
			defer resp.Body.Close()
			_, l.err = io.Copy(io.Discard, resp.Body)
		}()
		return l, nil
	}
	return nil, fmt.Errorf("HAProxy sent no request to %s", member)
}

// Ended says whether the request is over.
func (l *Long) Ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Wait waits for the end, and returns what broke the answer off.
func (l *Long) Wait(ctx context.Context) error {
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("a long request to %s: %w", l.Member, ctx.Err())
	}
}
