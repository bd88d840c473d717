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
		try, cancel := context.WithCancel(ctx)
		l := &Long{done: make(chan struct{})}
		begun := make(chan string, 1)
		go func() {
			defer close(l.done)
			l.err = visitLong(try, client, "http://"+r.HAProxy.Front+longPath, begun)
		}()
		select {
		case l.Member = <-begun:
		case <-l.done:
			cancel()
			return nil, l.err
		}
		if l.Member == member {
			context.AfterFunc(ctx, cancel)
			return l, nil
		}
		cancel()
		<-l.done
	}
	return nil, fmt.Errorf("HAProxy sent no request to %s", member)
}

// visitLong tells begun who answers, and reads to the end.
func visitLong(ctx context.Context, client *http.Client, url string, begun chan<- string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", url, resp.StatusCode)
	}
	begun <- resp.Header.Get("X-Member")
	_, err = io.Copy(io.Discard, resp.Body)
	return err
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
