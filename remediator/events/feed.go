package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	lookEvery = 2 * time.Second // at each device
	holdsOnce = time.Second     // holds change with each result of a probe: told no more often
	readAgain = time.Second     // entries that couldn't be read

	pageEntries = 200
	pageBytes   = 256 << 10 // what a slow listener keeps in memory is so many of these
)

// A feed is what is read for listeners, from when the first comes until the last goes.
type feed struct {
	journal Journal
	devices Devices
	run     func() // reads until it is cancelled
	cancel  context.CancelFunc
	drop    func() // instead of running it
	end     <-chan struct{}

	mu        sync.Mutex
	listeners map[*listener]bool
	last      uint64 // seq of the entry that was handed out last

	watched map[string]*watched // by device; of the goroutine that watches
}

func (f *feed) add() (*listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) >= mostListeners {
		return nil, errFull
	}
	l := &listener{frames: make(chan []frame, mostQueued), cut: make(chan struct{}), end: f.end, upto: f.last}
	f.listeners[l] = true
	return l, nil
}

// remove returns how many there still are.
func (f *feed) remove(l *listener) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
	return len(f.listeners)
}

// hand gives frames to all listeners, and cuts off those that don't keep up. A
// listener that joins at the same time gets them either here or from the journal.
func (f *feed) hand(last uint64, frames ...frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = max(f.last, last)
	if len(frames) == 0 {
		return
	}
	for l := range f.listeners {
		select {
		case l.frames <- frames:
		default:
			close(l.cut)
			delete(f.listeners, l)
		}
	}
}

// readEntries hands out entries behind one as they are appended.
func (f *feed) readEntries(ctx context.Context, changes <-chan struct{}, from uint64) {
	for {
		es, next, err := f.journal.Page(journal.Page{From: from, Query: journal.Query{Limit: pageEntries}, MaxBytes: pageBytes})
		var again <-chan time.Time
		switch {
		case err != nil:
			again = time.After(readAgain)
		case len(es) > 0:
			from = es[len(es)-1].Seq
			f.hand(from, entryFrames(es)...)
		}
		if next > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
		case <-again:
		}
	}
}

// entryFrames are entries as events, each with what else it says has changed.
func entryFrames(es []journal.Entry) (out []frame) {
	var what []string
	for i := range es {
		e := &es[i]
		e.Before, e.After = nil, nil
		out = append(out, entryFrame(e))
		if changed := changedBy(e.Event); changed != "" {
			what = append(what, changed)
		}
	}
	if len(what) > 0 {
		out = append(out, changedFrame(what...))
	}
	return out
}

func entryFrame(e *journal.Entry) frame {
	f := frame{text: event("step", strconv.FormatUint(e.Seq, 10), e), seq: e.Seq}
	if e.Member != nil {
		f.pool = e.Member.In()
	}
	return f
}

// changedBy is which of the lists that people make an event is about.
func changedBy(event string) string {
	switch event {
	case journal.EventFreeze, journal.EventThaw:
		return "freeze"
	case journal.EventClaimed, journal.EventUnclaimed:
		return "claims"
	case journal.EventWindow, journal.EventWindowEnded:
		return "maintenance"
	}
	return ""
}

// changedFrame tells which lists to ask for again.
func changedFrame(what ...string) frame {
	list := []string{}
	for _, w := range what {
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return frame{open: true, text: event("changed", "", struct {
		What []string `json:"what"`
	}{list})}
}

// event is one event as it goes out. JSON has no line break in it.
func event(name, id string, data any) []byte {
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	text, err := json.Marshal(data)
	if err != nil {
		text = []byte(strconv.Quote(err.Error()))
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, text)
	return b.Bytes()
}

// readHolds tells that holds and candidates have changed.
func (f *feed) readHolds(ctx context.Context, changes <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			f.hand(0, changedFrame("holds"))
		}
		select { // what changes meanwhile is told after it
		case <-ctx.Done():
			return
		case <-time.After(holdsOnce):
		}
	}
}

// watched is one device as listeners know it.
type watched struct {
	looking chan struct{} // has room while nobody looks
	seen    bool          // members is what listeners were told
	known   bool          // up is
	up      bool
	members map[edge.Member]control.Member
}

// watch looks at all devices again and again. One that hangs delays no other.
func (f *feed) watch(ctx context.Context) {
	var looks sync.WaitGroup
	defer looks.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	before := f.devices.Names()
	for {
		names := f.devices.Names()
		if !slices.Equal(names, before) { // another configuration
			maps.DeleteFunc(f.watched, func(name string, _ *watched) bool { return !slices.Contains(names, name) })
			f.hand(0, changedFrame("devices", "members"))
		}
		before = names
		for _, name := range names {
			w := f.watched[name]
			if w == nil {
				w = &watched{looking: make(chan struct{}, 1)}
				f.watched[name] = w
			}
			select {
			case w.looking <- struct{}{}:
				looks.Go(func() {
					defer func() { <-w.looking }()
					f.look(ctx, name, w)
				})
			default: // it hasn't answered yet
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look hands out what has changed on one device since the last look. After the first
// that is everything: nobody knows what was shown before.
func (f *feed) look(ctx context.Context, name string, w *watched) {
	roster, err := f.devices.Members(ctx, name, "")
	if ctx.Err() != nil {
		return
	}
	up := err == nil && len(roster.Devices) > 0 && roster.Devices[0].Up
	var frames []frame
	var what []string
	if w.known && up != w.up {
		what = append(what, "devices")
	}
	if w.known, w.up = true, up; up {
		now := make(map[edge.Member]control.Member, len(roster.Members))
		for _, m := range roster.Members {
			was, known := w.members[m.Member]
			if now[m.Member] = m; !known || !same(was, m) {
				frames = append(frames, frame{pool: m.Member.In(), text: event("member", "", m)})
			}
			if !known && w.seen {
				what = append(what, "members")
			}
		}
		for m := range w.members {
			if _, still := now[m]; !still {
				what = append(what, "members")
				break
			}
		}
		w.members, w.seen = now, true
	}
	if len(what) > 0 {
		frames = append(frames, changedFrame(what...))
	}
	f.hand(0, frames...)
}

// same says whether a member looks the same to people. What only counts up is no
// change, and the share of errors is one when it is worth a look. It is asked for
// each member at each look, so nothing is taken apart by reflection.
func same(a, b control.Member) bool {
	a.Chosen, a.Answers, a.Errors = b.Chosen, b.Answers, b.Errors
	return a.State == b.State && a.Op == b.Op && a.OpSince.Equal(b.OpSince) && a.Checked == b.Checked && a.Configured == b.Configured &&
		thousandths(a.Errors5xx) == thousandths(b.Errors5xx) && sameSetBy(a.Set, b.Set) && sameClaim(a.Claimed, b.Claimed) &&
		slices.Equal(a.Maintenance, b.Maintenance)
}

func thousandths(share *float64) int {
	if share == nil {
		return -1
	}
	return int(*share*1000 + .5)
}

func sameSetBy(a, b *control.SetBy) bool {
	if a == nil || b == nil {
		return a == b
	}
	is, was := *a, *b
	is.Since = was.Since
	return is == was && a.Since.Equal(b.Since)
}

func sameClaim(a, b *journal.Claimed) bool {
	if a == nil || b == nil {
		return a == b
	}
	is, was := *a, *b
	is.At, is.Until = was.At, was.Until
	return is == was && a.At.Equal(b.At) && a.Until.Equal(b.Until)
}
