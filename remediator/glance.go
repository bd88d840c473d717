package remediator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// glanceAge is how old a look may be that is shown to people: however many ask,
// a device is read once in that time.
const glanceAge = time.Second

// lateAge is how old the answer before may be for who doesn't wait for the next.
const lateAge = 30 * time.Second

const (
	countedFor = time.Minute      // over how long a member's errors are told, when people looked before
	tallyEvery = 10 * time.Second // how often what was counted is kept for that
)

// A glance is the last look at a device for people's sake.
type glance struct {
	turn chan struct{} // has room for who reads the device: others wait for that answer
	old  atomic.Bool   // a person's step came after it: who asks wants to see what it did
	at   time.Time
	seen glimpse
	err  error
	last atomic.Pointer[glimpse] // the last answer; nil when it is known to be over

	past tally
	told map[edge.Member]edge.Told // of the last look that succeeded
}

// A glimpse is what one look at a device has for people. It is never changed.
type glimpse struct {
	edge.Snapshot
	pools  []string // names of the last look that succeeded; all that there is after one that didn't
	told   map[edge.Member]edge.Told
	errors map[edge.Member]errorShare
}

// errorShare is a part of a member's answers.
type errorShare struct {
	share float64
	over  time.Duration // 0: since the device began to count
}

func newGlance() *glance { return &glance{turn: make(chan struct{}, 1)} }

// look waits for an answer of the device, its own or somebody else's, as long as ctx
// lasts: who goes away doesn't end the look, whose answer is for all who wait. Who
// didn't wait for it gets the one before, if it isn't too old: its time tells.
func (g *glance) look(ctx context.Context, d Device) (glimpse, error) {
	late := func() (glimpse, error) {
		if last := g.last.Load(); last != nil && time.Since(last.At) < lateAge {
			return *last, nil
		}
		return glimpse{}, fmt.Errorf("no answer yet: %w", context.Cause(ctx))
	}
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return late()
	}
	type answer struct {
		seen glimpse
		err  error
	}
	found := make(chan answer, 1)
	go func() { // ends with the look, which has a limit of its own
		defer func() { <-g.turn }()
		if g.old.Swap(false) || time.Since(g.at) >= glanceAge {
			g.read(context.WithoutCancel(ctx), d)
		}
		found <- answer{g.seen, g.err}
	}()
	select {
	case a := <-found:
		return a.seen, a.err
	case <-ctx.Done():
		return late()
	}
}

// read looks at the device. The caller has the turn.
func (g *glance) read(ctx context.Context, d Device) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	snap, err := d.Look(ctx)
	if g.seen, g.err = (glimpse{pools: g.seen.pools}), err; err == nil {
		g.seen = g.take(snap)
		last := g.seen
		g.last.Store(&last)
	}
	g.at = time.Now()
}

// ages has the device read again by who looks next.
func (r *Remediator) ages(device string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.glances[device]; g != nil {
		g.old.Store(true)
		g.last.Store(nil)
	}
}

// take works out, once for all who ask, what a look has for people.
func (g *glance) take(snap edge.Snapshot) glimpse {
	out := glimpse{Snapshot: snap, told: make(map[edge.Member]edge.Told, len(snap.States)), errors: map[edge.Member]errorShare{}}
	from, pools := g.past.since(snap), map[string]bool{}
	for m, st := range snap.States {
		if snap.Told != nil {
			out.told[m] = steady(snap.Told(m), g.told[m])
		}
		pools[m.Pool] = true
		if e, ok := errorsOf(st, from, snap.At); ok {
			out.errors[m] = e
		}
	}
	g.told, out.pools = out.told, slices.Collect(maps.Keys(pools))
	return out
}

// steady keeps a moment that the device tells as an age in whole seconds from
// wandering by one from look to look.
func steady(now, before edge.Told) edge.Told {
	if now.Op == before.Op && now.Since.Sub(before.Since).Abs() <= 2*time.Second {
		now.Since = before.Since
	}
	return now
}

// A tally is what a device has counted of its members, at some moments of the last
// minute. Only its glance's turn touches it.
type tally struct {
	process string
	seen    []sighting // at least tallyEvery apart
}

// since is the oldest of what is kept, after a look was added; another life of the
// device begins at zero.
func (t *tally) since(snap edge.Snapshot) sighting {
	if snap.Process != t.process {
		t.process, t.seen = snap.Process, nil
	}
	for len(t.seen) > 1 && snap.At.Sub(t.seen[1].at) >= countedFor {
		t.seen = t.seen[1:]
	}
	if n := len(t.seen); n == 0 || snap.At.Sub(t.seen[n-1].at) >= tallyEvery {
		now := sighting{at: snap.At, counts: make(map[edge.Member]counts, len(snap.States))}
		for m, st := range snap.States {
			now.counts[m] = counts{st.Answers, st.Errors}
		}
		t.seen = append(t.seen, now)
	}
	return t.seen[0]
}

// errorsOf is the share of a member's answers that were errors since a moment, or
// since the device began to count; ok is false when there were none.
func errorsOf(st edge.State, from sighting, at time.Time) (e errorShare, ok bool) {
	c := counts{st.Answers, st.Errors}
	was, known := from.counts[st.Member]
	if over := at.Sub(from.at); known && over > 0 && c.answers >= was.answers && c.errors >= was.errors {
		c, e.over = counts{c.answers - was.answers, c.errors - was.errors}, over
	}
	e.share = c.share() / 100
	return e, c.answers > 0
}
