package guard

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// I15: whatever was done to a member, and however often, it isn't suppressed for
// longer than max.
func TestI15APenaltyHasACeiling(t *testing.T) {
	outs := make([]time.Time, 100)
	for i := range outs {
		outs[i] = now
	}
	if wait := rfc2439.Reusable(outs, now); wait > rfc2439.Max+2*time.Second || wait < rfc2439.Max-time.Minute {
		t.Errorf("suppressed for %s; want %s", wait, rfc2439.Max)
	}
}

// I3: what the step moves along is held too.
func TestI3WhatAStepMovesAlongCountsInTheBudgetOfAll(t *testing.T) {
	along := elsewhere("app")
	for held, refusal := range map[int]string{2: "", 3: "budget/overall_held"} {
		w := good()
		w.Policy.Budget.MaxHeld, w.Spent.Held = 4, held
		for _, name := range []string{"x", "y", "z"} {
			m := edge.Member{Device: along.Device, Pool: along.Pool, Name: name}
			w.Snapshot.States[m] = edge.State{Member: m, Address: "192.0.2.9:80", Serving: true}
		}
		w.Along = map[edge.Member]*Policy{along: w.Policy}
		want(t, Decide(out, w), refusal)
	}
}

// I23: a world is kept with the budgets, and with the pools that the step moves.
func TestI23AWorldIsKeptWithAllThatItWasJudgedBy(t *testing.T) {
	w, near := good(), edge.Member{Device: "edge1", Pool: "app", Name: "y"}
	w.Snapshot.Along = map[edge.Member][]edge.Member{s1: {{Device: "edge1", Pool: "app", Name: "x"}}}
	w.Snapshot.States[near] = edge.State{Member: near}
	w.Spent.Held, w.Spent.Steps = 2, 3
	raw, err := json.Marshal(w.Around(s1))
	if err != nil {
		t.Fatal(err)
	}
	var again World
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if _, kept := again.Snapshot.States[near]; !kept || again.Spent.Held != 2 || again.Spent.Steps != 3 {
		t.Errorf("kept %+v, %+v", again.Snapshot.States, again.Spent)
	}
}

// I1: a member that is tried with little traffic can't carry that of another.
func TestI1WhatIsTriedServesNoOneElse(t *testing.T) {
	w := good()
	w.Policy.MaxHeld, w.Policy.MinServing = 3, Amount{Count: 2}
	want(t, Decide(out, w), "")
	w.Held[s2] = Held{To: edge.Drain, Trial: true}
	want(t, Decide(out, w), "min_serving/too_few_left")
}

// A further step on what we hold asks who may write, and whether it is still as
// we left it (I7, I16, I19).
func TestAFurtherStepOnWhatWeHold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"as we left it", func(*World) {}, ""},
		{"I19: not while frozen", func(w *World) { w.Freeze = "by hand" }, "freeze/frozen"},
		{"I16: not by a standby", func(w *World) { w.Standing.Standby = "another leads" }, "leader/standby"},
		{"I16: not at the end of a lease", func(w *World) { w.Standing = Standing{Leased: true, Left: 1, Need: 2} }, "leader/lease_short"},
		{"I6: not on a device that can't be read", func(w *World) { w.Blind = "no answer" }, "inventory/device_blind"},
		{"I7: not on what is somebody's", func(w *World) { w.Held[s1] = with(w.Held[s1], func(h *Held) { h.Superseded = true }) }, "foreign/superseded"},
		{"I7: not on what we don't hold", func(w *World) { delete(w.Held, s1) }, "foreign/not_ours"},
		{"I7: not on another weight than we left", func(w *World) {
			w.Held[s1] = with(w.Held[s1], func(h *Held) { h.Trial = true })
			state(*w, s1, func(s *edge.State) { s.Share += 30 })
		}, "foreign/changed"},
		{"I17: not in another life of the device", func(w *World) { w.Snapshot.Process = "another" }, "foreign/other_process"},
		{"not in maintenance", func(w *World) { w.Windows = []string{"patches"} }, "maintenance/window"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := held()
			c.change(&w)
			got := ""
			if no := Decide(Step{Member: s1, To: edge.Maint, Further: true}, w).Refusal; no != nil {
				got = no.Guard + "/" + no.Reason
			}
			if got != c.want {
				t.Errorf("refused by %q; want %q", got, c.want)
			}
		})
	}
}

// What only traffic shows is tried after a time without any, and comes back whole
// when it wasn't seen to fail (I14, I15).
func TestI14TheWayBackOfWhatOnlyTrafficShows(t *testing.T) {
	claimed := func(w *World) { w.Claims = []Claim{{Source: "am", UpdatedAt: now}} }
	trial := func(a edge.Answer) func(*World) {
		return func(w *World) {
			w.Held[s1] = with(w.Held[s1], func(h *Held) { h.Trial = true })
			w.Own[s1] = Evidence{Source: "traffic", Answer: a, At: now}
		}
	}
	out := func(ago time.Duration) func(*World) {
		return func(w *World) { w.Held[s1] = with(w.Held[s1], func(h *Held) { h.Since = now.Add(-ago) }) }
	}
	hold := held().Policy.HoldDown
	cases := []judged{
		{"out for long enough", home, out(hold), ""},
		{"not out for long enough", home, out(hold - 1), "evidence/hold_down"},
		{"out for long enough, and claimed", home, func(w *World) { out(hold)(w); claimed(w) }, "evidence/claimed"},
		{"tried, and well", home, trial(edge.Yes), ""},
		{"tried, and bad", home, trial(edge.No), "evidence/not_well"},
		{"tried, and claimed again", home, func(w *World) { trial(edge.Yes)(w); claimed(w) }, "evidence/claimed"},
	}
	for i, c := range cases {
		cases[i].change = func(w *World) { w.Policy.Confirm = "traffic"; c.change(w) }
	}
	judge(t, cases)
}
