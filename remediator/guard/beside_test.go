package guard

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

// One beside the limit, or a moment too late.

func TestI1AnOldGoodResultIsNoServing(t *testing.T) {
	w := good()
	w.Own[s3] = Evidence{Source: "probe:shop", Answer: edge.Yes, At: now.Add(-w.Policy.MaxAge)}
	want(t, Decide(out, w), "")
	w.Own[s3] = Evidence{Source: "probe:shop", Answer: edge.Yes, At: now.Add(-w.Policy.MaxAge - time.Second)}
	want(t, Decide(out, w), "min_serving/too_few_left")
}

func TestI1WhatIsTriedCarriesNoLoad(t *testing.T) {
	w := good()
	w.Policy.MinServing, w.Policy.MaxHeld, w.Policy.MaxSessions = Amount{Count: 1}, 3, 60
	state(w, s1, func(s *edge.State) { s.Sessions = 100 })
	want(t, Decide(out, w), "")
	w.Held[s2] = Held{To: edge.Drain, Trial: true}
	want(t, Decide(out, w), "load/overload")
}

func TestI1WhatGoesCarriesNoLoad(t *testing.T) {
	w := good()
	delete(w.Own, s1) // nothing of ours finds it bad: it serves until it goes
	w.Policy.Confirm, w.Policy.MaxSessions = "none", 60
	state(w, s1, func(s *edge.State) { s.Sessions = 120 })
	want(t, Decide(out, w), "")
	state(w, s1, func(s *edge.State) { s.Sessions = 121 })
	want(t, Decide(out, w), "load/overload")
}

func TestI15SuppressedIsSoUntilReuse(t *testing.T) {
	three := []time.Time{now, now, now}
	for _, c := range []struct {
		name string
		outs []time.Time
		at   time.Duration
		want bool
	}{
		{"at suppress", three, 0, true},
		{"between suppress and reuse, from above", three, 15 * time.Minute, true},
		{"between suppress and reuse, from below", three[:2], 0, false},
		{"below reuse", three, 31 * time.Minute, false},
		{"out once more, long after it was reusable", append(slices.Clone(three), now.Add(45*time.Minute)), 45 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rfc2439.Reusable(c.outs, now.Add(c.at)); got > 0 != c.want {
				t.Errorf("suppressed for %s; want that it is: %t", got, c.want)
			}
		})
	}
}

// What only traffic shows is tried later after each relapse, and at damping's max in the end.
func TestI15TheHoldTimeGrowsUpToDampingsMax(t *testing.T) {
	for _, c := range []struct {
		outs      int
		down, max time.Duration
		want      time.Duration
	}{
		{1, 10 * time.Minute, time.Hour, 10 * time.Minute},
		{2, 10 * time.Minute, time.Hour, 20 * time.Minute},
		{3, 10 * time.Minute, time.Hour, 40 * time.Minute},
		{4, 10 * time.Minute, time.Hour, time.Hour},
		{40, 10 * time.Minute, time.Hour, time.Hour},
		{2, 2 * time.Hour, time.Hour, 2 * time.Hour}, // never shorter than hold_down
		{4, 10 * time.Minute, 0, 80 * time.Minute},   // damping is off
	} {
		w := World{Now: now, Policy: &Policy{HoldDown: c.down, Damping: Damping{Max: c.max}}, Outs: slices.Repeat([]time.Time{now}, c.outs)}
		if got := HoldFor(w); got != c.want {
			t.Errorf("%d times out, hold_down %s, max %s: got %s; want %s", c.outs, c.down, c.max, got, c.want)
		}
	}
}

// A record of a large pool isn't as large as all that its members answered (I23).
func TestI23AWorldIsKeptWithoutWhatMembersAnswered(t *testing.T) {
	w := good()
	for m, e := range w.Own {
		e.Body, e.Stages = strings.Repeat("x", 1<<10), []Stage{{Name: "connect", Duration: time.Millisecond}}
		w.Own[m] = e
	}
	text, err := json.Marshal(w.Around(s1))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "xxxx") || strings.Contains(string(text), "connect") {
		t.Errorf("got %s", text)
	}
	var kept World
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Decide(out, w), Decide(out, kept)); d != "" {
		t.Errorf("it is decided otherwise (-then +now):\n%s", d)
	}
	if w.Own[s2].Body == "" {
		t.Error("the world that was decided on lost it, too")
	}
}
