package remediator

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// errorsAt is what a glance tells of the share of s1's errors.
func errorsAt(g *glance, at time.Time, process string, answers, errors uint64) (float64, time.Duration, bool) {
	st := edge.State{Member: s1, Answers: answers, Errors: errors}
	e, ok := g.take(edge.Snapshot{At: at, Process: process, States: map[edge.Member]edge.State{s1: st}}).errors[s1]
	return e.share, e.over, ok
}

func TestErrorsAreToldOfTheLastMinute(t *testing.T) {
	g, began := newGlance(), time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name            string
		after           time.Duration
		process         string
		answers, errors uint64
		share           float64
		over            time.Duration
		known           bool
	}{
		{"nothing yet", 0, "a", 0, 0, 0, 0, false},
		{"nothing in a second", time.Second, "a", 0, 0, 0, 0, false},
		{"since the first look", 10 * time.Second, "a", 100, 50, .5, 10 * time.Second, true},
		{"a minute", time.Minute, "a", 200, 50, .25, time.Minute, true},
		{"what is older doesn't count", 70 * time.Second, "a", 200, 50, 0, time.Minute, true},
		{"cleared counters count from zero", 71 * time.Second, "a", 10, 1, .1, 0, true},
		{"another life of the device", 80 * time.Second, "b", 300, 30, .1, 0, true},
		{"and what came after", 81 * time.Second, "b", 310, 35, .5, time.Second, true},
	} {
		share, over, known := errorsAt(g, began.Add(c.after), c.process, c.answers, c.errors)
		if share != c.share || over != c.over || known != c.known {
			t.Errorf("%s: got %v over %s, %t; want %v over %s, %t", c.name, share, over, known, c.share, c.over, c.known)
		}
	}
	if n := len(g.past.seen); n > 8 {
		t.Errorf("%d looks are kept", n)
	}
}

func TestAnAgeInWholeSecondsDoesNotWander(t *testing.T) {
	g, at := newGlance(), time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	look := func(op string, since time.Time) edge.Told {
		return g.take(edge.Snapshot{
			At: at, States: map[edge.Member]edge.State{s1: {Member: s1}},
			Told: func(edge.Member) edge.Told { return edge.Told{Op: op, Since: since} },
		}).told[s1]
	}
	first := look("UP", at)
	if got := look("UP", at.Add(time.Second)); got != first {
		t.Errorf("got %+v; want %+v", got, first)
	}
	if got := look("DOWN", at.Add(time.Second)); !got.Since.Equal(at.Add(time.Second)) {
		t.Errorf("got %+v after a change", got)
	}
	if got := look("DOWN", at.Add(9*time.Second)); !got.Since.Equal(at.Add(9 * time.Second)) {
		t.Errorf("got %+v after down, up and down again", got)
	}
}
