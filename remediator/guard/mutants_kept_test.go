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
