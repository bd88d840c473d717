package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Visit is one request of a client.
type Visit struct {
	Start  time.Time
	Took   time.Duration
	Member string // which member answered; empty when none did
	Err    error
}

// Traffic is a client that sends requests through HAProxy at a steady rate,
// each over a connection of its own.
type Traffic struct {
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	visits []Visit
}

// StartTraffic sends a request to http://address/ every so often until Stop.
func StartTraffic(ctx context.Context, address string, every time.Duration) *Traffic {
	ctx, stop := context.WithCancel(ctx)
	t := &Traffic{stop: stop, done: make(chan struct{})}
	go t.run(ctx, "http://"+address+"/", every)
	return t
}

func (t *Traffic) run(ctx context.Context, url string, every time.Duration) {
	defer close(t.done)
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		wg.Go(func() {
			v := visit(client, url)
			t.mu.Lock()
			defer t.mu.Unlock()
			t.visits = append(t.visits, v)
		})
	}
}

// visit isn't cut off by the end of the traffic: a request that was only
// interrupted would count as an error.
func visit(client *http.Client, url string) Visit {
	v := Visit{Start: time.Now()}
	resp, err := client.Get(url)
	if err == nil {
		defer resp.Body.Close()
		if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		v.Member = resp.Header.Get("X-Member")
	}
	v.Took, v.Err = time.Since(v.Start), err
	return v
}

// Stop ends the traffic and waits for the requests that are under way.
func (t *Traffic) Stop() {
	t.stop()
	<-t.done
}

// Since returns the finished requests that began at or after from, in order.
func (t *Traffic) Since(from time.Time) []Visit {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(t.visits), func(v Visit) bool { return v.Start.Before(from) })
	slices.SortFunc(out, func(a, b Visit) int { return a.Start.Compare(b.Start) })
	return out
}

// Failed returns those of visits that ended in an error.
func Failed(visits []Visit) []Visit {
	return slices.DeleteFunc(slices.Clone(visits), func(v Visit) bool { return v.Err == nil })
}
