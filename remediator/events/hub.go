// Package events tells listeners over HTTP what happens: each entry of the journal,
// that something else has changed, and how members stand, as server-sent events.
//
// Everything is read once for all listeners, and only while there are any. Nothing
// waits for a listener: what there is for it stands in a queue, and one that is so
// slow that the queue is full is cut off. It comes back with the seq of the last
// entry that it got, and goes on behind that from the journal.
package events

import (
	"context"
	"errors"
	"sync"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	mostListeners = 64
	mostQueued    = 64 // batches that may wait for one listener
)

var (
	errFull   = errors.New("there are as many listeners as there may be")
	errEnding = errors.New("the server is about to stop")
)

// A Journal is the [journal.Journal], as far as it is listened to.
type Journal interface {
	Follow(parts journal.Part) (changes <-chan struct{}, stop func())
	Page(p journal.Page) (es []journal.Entry, next uint64, err error)
	Newest() (seq uint64, err error)
	Pruned() (seq uint64, err error)
}

// Devices are looked at while somebody listens.
type Devices interface {
	Names() []string
	// Members are those of one device; an empty pool is all of them. A device
	// that gives no answer is listed with its error.
	Members(ctx context.Context, device, pool string) (control.Roster, error)
}

// A Hub has the listeners, and what is read for them.
type Hub struct {
	journal Journal
	devices Devices

	mu      sync.Mutex
	ended   bool
	feed    *feed          // nil while nobody listens
	feeding sync.WaitGroup // of all feeds, those that end included
}

// New makes a hub that reads nothing before somebody listens. Close it.
func New(j Journal, d Devices) *Hub { return &Hub{journal: j, devices: d} }

// End lets go of all listeners, and takes no more.
func (h *Hub) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if h.feed != nil {
		h.feed.cancel()
	}
}

// Close is End, and waits until nothing is read any more: no longer than one look
// at a device.
func (h *Hub) Close() {
	h.End()
	h.feeding.Wait()
}

// A frame is one event as it goes out, with what tells whom it is for.
type frame struct {
	text []byte
	pool edge.Pool // whose it is; empty names: of all, or of all of a device
	open bool      // it says nothing of any pool: everybody gets it
	seq  uint64    // of an entry; 0 of anything else
}

// A listener is one connection.
type listener struct {
	frames chan []frame
	upto   uint64        // the seq from which on entries come by frames; the journal has those before
	cut    chan struct{} // closed when it was too slow
	end    <-chan struct{}
}

// join adds a listener; leave it.
func (h *Hub) join() (*listener, *feed, error) {
	l, f, err := h.joinFeed(nil)
	if f != nil || err != nil {
		return l, f, err
	}
	begun, err := h.begin() // may wait for the journal: nobody else does for that
	if err != nil {
		return nil, nil, err
	}
	l, f, err = h.joinFeed(begun)
	if f != begun { // somebody else was faster
		begun.drop()
	}
	return l, f, err
}

// joinFeed adds a listener to the feed that there is, or else to the one that was
// begun; without both it returns no feed.
func (h *Hub) joinFeed(begun *feed) (*listener, *feed, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, nil, errEnding
	case h.feed != nil:
		l, err := h.feed.add()
		return l, h.feed, err
	case begun == nil:
		return nil, nil, nil
	}
	h.feed = begun
	l, err := begun.add()
	h.feeding.Go(begun.run) // there is somebody to hear it
	return l, begun, err
}

// leave takes a listener out. What is read for them ends with the last.
func (h *Hub) leave(f *feed, l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.remove(l) == 0 {
		f.cancel()
		if h.feed == f {
			h.feed = nil
		}
	}
}

// begin makes a feed of what happens from now on. Run it, or drop it.
func (h *Hub) begin() (*feed, error) {
	ctx, cancel := context.WithCancel(context.Background())
	entries, unfollow := h.journal.Follow(journal.PartEntries)
	holds, forget := h.journal.Follow(journal.PartHolds)
	f := &feed{
		journal: h.journal, devices: h.devices, cancel: cancel, end: ctx.Done(), listeners: map[*listener]bool{}, watched: map[string]*watched{},
		drop: func() { unfollow(); forget(); cancel() },
	}
	newest, err := h.journal.Newest()
	if err != nil {
		f.drop()
		return nil, err
	}
	f.last = newest
	f.run = func() {
		defer f.drop()
		var reading sync.WaitGroup
		reading.Go(func() { f.readEntries(ctx, entries, newest) })
		reading.Go(func() { f.readHolds(ctx, holds) })
		reading.Go(func() { f.watch(ctx) })
		reading.Wait()
	}
	return f, nil
}
