package rig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Webhook is one message of Alertmanager, as it came.
type Webhook struct {
	At     time.Time
	Body   []byte
	Status int // what the receiver answered; 502 when it could not be reached
}

// A Tap stands where Alertmanager sends its webhooks, notes when each came and
// hands it on unchanged. Without a receiver behind it, it is the people's end.
type Tap struct {
	Address string

	to     string // base URL of the receiver; empty: answer 200
	server *http.Server
	mu     sync.Mutex
	seen   []Webhook
	came   chan struct{} // closed at the next message
}

func newTap(to string) (*Tap, error) {
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	t := &Tap{Address: ln.Addr().String(), to: to, came: make(chan struct{})}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_ = t.server.Serve(ln) // ends by Close, and then there is nobody to tell
	}()
	return t, nil
}

func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.note(Webhook{At: at, Body: body})
	status := http.StatusOK
	if t.to != "" {
		if status, err = Post(r.Context(), t.to+r.URL.Path, body); err != nil {
			status = http.StatusBadGateway
		}
	}
	t.answered(at, status)
	w.WriteHeader(status)
}

func (t *Tap) note(h Webhook) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = append(t.seen, h)
	close(t.came)
	t.came = make(chan struct{})
}

func (t *Tap) answered(at time.Time, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.seen {
		if t.seen[i].At.Equal(at) {
			t.seen[i].Status = status
		}
	}
}

// Seen returns the messages so far, oldest first.
func (t *Tap) Seen() []Webhook {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.seen)
}

// Next returns the first message after from whose body holds every one of the
// given texts; it waits for it until ctx ends.
func (t *Tap) Next(ctx context.Context, from time.Time, texts ...string) (Webhook, error) {
	for {
		t.mu.Lock()
		came, seen := t.came, slices.Clone(t.seen)
		t.mu.Unlock()
		for _, h := range seen {
			if h.At.After(from) && !slices.ContainsFunc(texts, func(s string) bool { return !bytes.Contains(h.Body, []byte(s)) }) {
				return h, nil
			}
		}
		select {
		case <-came:
		case <-ctx.Done():
			return Webhook{}, fmt.Errorf("wait for a webhook with %q: %w", texts, ctx.Err())
		}
	}
}

func (t *Tap) close() error { return t.server.Close() }
