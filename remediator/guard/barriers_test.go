package guard

import (
	"encoding/json"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

// What a person has claimed gets no step of automation, whichever kind it is (SAFETY.md I7).
func TestI7WhatIsClaimedIsLeftAlone(t *testing.T) {
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	w := World{
		Taken:    "ann has claimed edge1/shop/s1: a new disk",
		Snapshot: edge.Snapshot{Process: "1", States: map[edge.Member]edge.State{m: {Member: m}}},
		Held:     map[edge.Member]Held{m: {Process: "1", Left: edge.State{Member: m}}},
	}
	for name, tt := range map[string]struct {
		check check
		step  Step
		want  string
	}{
		"out":                       {foreign, Step{To: edge.Drain}, "claimed"},
		"back":                      {foreign, Step{To: edge.Ready}, "claimed"},
		"back by hand":              {foreign, Step{To: edge.Ready, ByHand: true}, ""},
		"a further step":            {foreignHeld, Step{To: edge.Maint, Further: true}, "claimed"},
		"a bypass in":               {foreignBypass, Step{To: edge.Ready, Bypass: true}, "claimed"},
		"a bypass back":             {foreignBypass, Step{To: edge.Maint, Bypass: true, Back: true}, "claimed"},
		"a bypass back, by hand":    {foreignBypass, Step{To: edge.Maint, Bypass: true, Back: true, ByHand: true}, ""},
		"of what isn't there":       {foreign, Step{Member: edge.Member{Name: "s9"}, To: edge.Drain}, ""},
		"further, of what isn't":    {foreignHeld, Step{Member: edge.Member{Name: "s9"}}, ""},
		"a bypass of what is there": {foreignBypass, Step{Member: edge.Member{Name: "s9"}, Bypass: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.step.Member == (edge.Member{}) {
				tt.step.Member = m
			}
			reason, detail := tt.check(tt.step, w)
			if reason != tt.want || reason != "" && detail != w.Taken {
				t.Errorf("got %q, %q; want %q", reason, detail, tt.want)
			}
			free := w
			free.Taken = ""
			if reason, _ := tt.check(tt.step, free); reason == "claimed" {
				t.Error("and nobody has claimed it")
			}
		})
	}
}

func TestWindowsThatPeopleMadeCountAsConfiguredOnes(t *testing.T) {
	for name, tt := range map[string]struct {
		w    World
		want string
	}{
		"none":             {World{}, ""},
		"configured":       {World{Windows: []string{"a until 1"}}, "in maintenance: a until 1"},
		"made":             {World{Made: []string{"b until 2"}}, "in maintenance: b until 2"},
		"both are told of": {World{Windows: []string{"a until 1"}, Made: []string{"b until 2"}}, "in maintenance: a until 1, b until 2"},
	} {
		t.Run(name, func(t *testing.T) {
			reason, detail := maintenance(Step{}, tt.w)
			if (reason == "window") != (tt.want != "") || tt.want != "" && detail != tt.want {
				t.Errorf("got %q, %q", reason, detail)
			}
			if reason, _ := maintenance(Step{ByHand: true}, tt.w); reason != "" {
				t.Errorf("by hand: %q", reason)
			}
		})
	}
}

// I23: what stood in the way is recorded with the decision.
func TestBarriersAreRecorded(t *testing.T) {
	w := World{Taken: "ann", Made: []string{"b until 2"}, Windows: []string{"a"}, Freeze: "pool edge1/shop is frozen: x"}
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var got World
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Taken != w.Taken || len(got.Made) != 1 || len(got.Windows) != 1 || got.Freeze != w.Freeze {
		t.Errorf("got %+v", got)
	}
}
