package guard

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
)

var (
	rfc2439 = Damping{Penalty: 1000, Suppress: 3000, Reuse: 750, HalfLife: 15 * time.Minute, Max: time.Hour}
	careful = Brake{Share: 50, Least: 2, Pools: 2, Window: 2 * time.Minute, Cooldown: 5 * time.Minute, Settle: 30 * time.Second}
)

func fell(w *World, ago time.Duration, ms ...edge.Member) {
	if w.Onsets == nil {
		w.Onsets = map[edge.Member]Onset{}
	}
	for _, m := range ms {
		w.Onsets[m] = Onset{At: now.Add(-ago), Host: "host of " + m.String()}
	}
}

func elsewhere(pool string) edge.Member { return edge.Member{Device: "edge2", Pool: pool, Name: "x"} }

// Guards: I1 (load), I3 (budgets), I4 (brake), I15 (damping), I16 (leadership),
// I17 (approvals), I20 (ineffective steps), and the times at which people want no step.
func TestTakingOutWithinLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"I16: not by a replica that doesn't lead", func(w *World) { w.Standing.Standby = "another leads" }, "leader/standby"},
		{"I16: not with less of the lease than a step takes", func(w *World) {
			w.Standing = Standing{Leased: true, Left: 6 * time.Second, Need: 7 * time.Second}
		}, "leader/lease_short"},
		{"I16: with enough of it", func(w *World) { w.Standing = Standing{Leased: true, Left: 8 * time.Second, Need: 7 * time.Second} }, ""},
		{"not in maintenance", func(w *World) { w.Windows = []string{"patches until noon"} }, "maintenance/window"},
		{"not outside active hours", func(w *World) { w.Closed = "it is night" }, "hours/outside"},
		{"I4: not when half of the pool and more falls at once", func(w *World) { fell(w, time.Minute, s1, s2) }, "brake/storm"},
		{"I4: exactly the share is no storm", func(w *World) {
			w.Policy.Brake.Share = 67
			fell(w, time.Minute, s1, s2)
		}, ""},
		{"I4: what fell long ago is no storm", func(w *World) { fell(w, time.Hour, s1, s2) }, ""},
		{"I4: fewer than the least are no storm", func(w *World) {
			w.Policy.Brake.Least = 3
			fell(w, time.Minute, s1, s2)
		}, ""},
		{"I4: members of too many pools on as many hosts", func(w *World) {
			fell(w, time.Minute, s1, elsewhere("a"), elsewhere("b"))
		}, "brake/storm"},
		{"I4: one host in many pools is no storm", func(w *World) {
			fell(w, time.Minute, s1, elsewhere("a"), elsewhere("b"))
			for m, o := range w.Onsets {
				o.Host = "192.0.2.1"
				w.Onsets[m] = o
			}
		}, ""},
		{"I4: not while the last storm cools down", func(w *World) { w.Storm = Storm{Until: now.Add(time.Minute), Why: "it was bad"} }, "brake/cooldown"},
		{"I4: not right after our own evidence changed", func(w *World) { w.Storm.Changed = now.Add(-29 * time.Second) }, "brake/source_changed"},
		{"I4: some time after it changed", func(w *World) { w.Storm.Changed = now.Add(-30 * time.Second) }, ""},
		{"I4: no brake where it is off", func(w *World) { w.Policy.Brake = Brake{}; fell(w, time.Minute, s1, s2, s3) }, ""},
		{"I15: not what flaps", func(w *World) { w.Outs = []time.Time{now, now, now} }, "damping/flapping"},
		{"I15: below suppress", func(w *World) { w.Outs = []time.Time{now, now} }, ""},
		{"I15: what was suppressed and is below reuse", func(w *World) {
			w.Outs = []time.Time{now.Add(-time.Hour), now.Add(-time.Hour), now.Add(-time.Hour)}
		}, ""},
		{"I20: not after two steps without effect", func(w *World) { w.Ineffective = 2 }, "damping/ineffective"},
		{"I20: after one", func(w *World) { w.Ineffective = 1 }, ""},
		{"I3: not one more than all devices may hold", func(w *World) { w.Policy.Budget.MaxHeld, w.Spent.Held = 4, 4 }, "budget/overall_held"},
		{"I3: the last that all devices may hold", func(w *World) { w.Policy.Budget.MaxHeld, w.Spent.Held = 4, 3 }, ""},
		{"I3: not one more step than all devices may take", func(w *World) { w.Policy.Budget.Steps, w.Spent.Steps = 4, 4 }, "budget/overall_steps"},
		{"I3: not one more step than the pool may take", func(w *World) {
			w.Policy.MaxSteps, w.Spent.Pool = 2, map[edge.Pool]int{s1.In(): 2}
		}, "budget/max_steps"},
		{"I3: steps in another pool are of its own budget", func(w *World) {
			w.Policy.MaxSteps, w.Spent.Pool = 2, map[edge.Pool]int{{Device: "edge1", Name: "api"}: 9}
		}, ""},
		{"I1: not when the others can't carry the sessions", func(w *World) {
			w.Policy.MaxSessions = 10
			for _, m := range []edge.Member{s1, s2, s3} {
				state(*w, m, func(s *edge.State) { s.Sessions = 7 })
			}
		}, "load/overload"},
		{"I1: what waits counts as load", func(w *World) {
			w.Policy.MaxSessions = 10
			state(*w, s2, func(s *edge.State) { s.Sessions, s.Queue = 10, 11 })
		}, "load/overload"},
		{"I1: just enough room", func(w *World) {
			w.Policy.MaxSessions = 10
			state(*w, s1, func(s *edge.State) { s.Sessions, s.Queue = 15, 5 })
		}, ""},
		{"I1: by the device's own limits", func(w *World) {
			for _, m := range []edge.Member{s1, s2, s3} {
				state(*w, m, func(s *edge.State) { s.Sessions, s.Limit = 7, 10 })
			}
		}, "load/overload"},
		{"without a limit there is nothing to compare", func(w *World) {
			state(*w, s1, func(s *edge.State) { s.Sessions, s.Limit = 1000, 10 })
			state(*w, s2, func(s *edge.State) { s.Limit = 10 })
		}, ""},
		{"I17: not without the approval that the policy wants", func(w *World) { w.Policy.Approve = true }, "approval/awaiting"},
		{"I17: not on a no", func(w *World) { w.Policy.Approve, w.Approval = true, &Approval{By: "ops", Until: now.Add(1)} }, "approval/rejected"},
		{"I17: not on a word that is over", func(w *World) {
			w.Policy.Approve, w.Approval = true, &Approval{By: "ops", Until: now.Add(-1), Yes: true}
		}, "approval/expired"},
		{"I17: on a person's word", func(w *World) {
			w.Policy.Approve, w.Approval = true, &Approval{By: "ops", Until: now.Add(1), Yes: true}
		}, ""},
		{"I17: an approval stops no other guard", func(w *World) {
			w.Policy.Approve, w.Approval = true, &Approval{By: "ops", Until: now.Add(1), Yes: true}
			w.Policy.MinServing.Count = 3
		}, "min_serving/too_few_left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			w.Policy.Brake, w.Policy.Damping = careful, rfc2439
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Drain}, w), c.want)
		})
	}
}

// Guards: I5, I15, I16.
func TestGivingBackWithinLimits(t *testing.T) {
	short := func(w *World) { // s2 and s3 don't serve
		w.Policy.Panic = Amount{Count: 2}
		for _, m := range []edge.Member{s2, s3} {
			state(*w, m, func(s *edge.State) { s.Serving = false })
		}
	}
	justWell := func(w *World) { w.Held[s1] = with(w.Held[s1], func(h *Held) { h.GoodSince = now }) }
	for _, c := range []struct {
		name   string
		byHand bool
		change func(*World)
		want   string
	}{
		{"I16: not by a replica that doesn't lead, and not by hand either", true, func(w *World) { w.Standing.Standby = "another leads" }, "leader/standby"},
		{"not in maintenance", false, func(w *World) { w.Windows = []string{"patches"} }, "maintenance/window"},
		{"in maintenance by hand", true, func(w *World) { w.Windows = []string{"patches"} }, ""},
		{"at any hour", false, func(w *World) { w.Closed = "it is night" }, ""},
		{"in a storm", false, func(w *World) { fell(w, 0, s1, s2, s3); w.Storm.Until = now.Add(time.Hour) }, ""},
		{"over every budget", false, func(w *World) { w.Policy.Budget, w.Spent = Budget{1, 1, time.Hour}, Spent{Held: 9, Steps: 9} }, ""},
		{"without an approval", false, func(w *World) { w.Policy.Approve = true }, ""},
		{"I15: not before a flapper's penalty is low", false, func(w *World) { w.Outs = []time.Time{now, now, now} }, "evidence/hold_down"},
		{"I15: a flapper by hand", true, func(w *World) { w.Outs = []time.Time{now, now, now} }, ""},
		{"I5: in panic without hold_down", false, func(w *World) { short(w); justWell(w) }, ""},
		{"I5: in panic while a claim is seen", false, func(w *World) { short(w); w.Claims = []Claim{{UpdatedAt: now}} }, ""},
		{"I5: in panic although it flaps", false, func(w *World) { short(w); w.Outs = []time.Time{now, now, now} }, ""},
		{"I5: in panic not on a bad result", false, func(w *World) { short(w); w.Own[s1] = Evidence{Answer: edge.No, At: now} }, "evidence/not_well"},
		{"I5: in panic not before rise good results", false, func(w *World) { short(w); w.Held[s1] = with(w.Held[s1], func(h *Held) { h.GoodCount = 1 }) }, "evidence/rising"},
		{"I5: no panic while enough serve", false, func(w *World) { w.Policy.Panic = Amount{Count: 2}; justWell(w) }, "evidence/hold_down"},
		{"I19: a freeze stops panic too", false, func(w *World) { short(w); w.Freeze = "x" }, "freeze/frozen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := held()
			w.Policy.Brake, w.Policy.Damping = careful, rfc2439
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Ready, ByHand: c.byHand}, w), c.want)
		})
	}
}

// I1: two followers in one pool go together, and both are missing afterwards.
func TestAllThatAStepMovesInAPoolAreMissingThere(t *testing.T) {
	w := good()
	api := func(n string) edge.Member { return edge.Member{Device: "edge1", Pool: "api", Name: n} }
	w.Along = map[edge.Member]*Policy{}
	for _, n := range []string{"a", "b", "c"} {
		w.Snapshot.States[api(n)] = edge.State{Member: api(n), Serving: true, Weight: 1}
	}
	for _, m := range []edge.Member{api("a"), api("b")} {
		w.Along[m] = &Policy{Name: "drain", MinServing: Amount{Count: 2}, MaxHeld: 2, MaxAge: time.Minute}
	}
	w.Snapshot.Along = map[edge.Member][]edge.Member{s1: {api("a"), api("b")}}
	want(t, Decide(Step{Member: s1, To: edge.Drain}, w), "min_serving/too_few_left")
	for _, p := range w.Along {
		p.MinServing.Count = 1
	}
	want(t, Decide(Step{Member: s1, To: edge.Drain}, w), "")
	for _, p := range w.Along {
		p.MaxHeld = 1
	}
	want(t, Decide(Step{Member: s1, To: edge.Drain}, w), "budget/max_held")
}

// I15: whatever a member does, it isn't moved often, and no suppression lasts
// longer than max.
func TestDampingBoundsEveryFlapper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var outs []time.Time
		clock := now
		for range rapid.IntRange(1, 60).Draw(t, "tries") {
			clock = clock.Add(time.Duration(rapid.IntRange(1, 1200).Draw(t, "seconds")) * time.Second)
			if wait := rfc2439.Reusable(outs, clock); wait > 0 {
				if wait > rfc2439.Max+2*time.Second {
					t.Fatalf("suppressed for %s", wait)
				}
				continue
			}
			outs = append(outs, clock)
		}
		for i, from := range outs {
			n := 0
			for _, o := range outs[i:] {
				if o.Sub(from) < time.Hour {
					n++
				}
			}
			if n > 10 { // two bursts, the second when the first has decayed
				t.Fatalf("taken out %d times in an hour: %v", n, outs)
			}
		}
	})
}

// I23: what is kept of a decision decides the same again.
func TestAWorldThatWasKeptDecidesTheSame(t *testing.T) {
	worlds := map[string]World{"out": good(), "back": held()}
	far := edge.Member{Device: "edge1", Pool: "far", Name: "x"}
	for name, w := range worlds {
		w.Policy.Brake, w.Policy.Damping = careful, rfc2439
		fell(&w, time.Second, s1)
		w.Snapshot.States[far] = edge.State{Member: far}
		w.Snapshot.Along = map[edge.Member][]edge.Member{s1: {elsewhere("a")}, s2: {far}}
		w.Along = map[edge.Member]*Policy{elsewhere("a"): {Name: "drain"}, elsewhere("b"): nil}
		w.Spent.Pool = map[edge.Pool]int{s1.In(): 1}
		w.Approval, w.Outs = &Approval{By: "ops", Until: now}, []time.Time{now}
		raw, err := json.Marshal(w.Around(s1))
		if err != nil {
			t.Fatal(err)
		}
		var again World
		if err := json.Unmarshal(raw, &again); err != nil {
			t.Fatal(err)
		}
		for _, to := range []edge.Admin{edge.Drain, edge.Ready} {
			s := Step{Member: s1, To: to}
			if d := cmp.Diff(Decide(s, w.Around(s1)), Decide(s, again)); d != "" {
				t.Errorf("%s, %s: decided otherwise (-then +now):\n%s", name, to, d)
			}
		}
		if d := cmp.Diff(w.Around(s1), again, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-kept +read):\n%s", name, d)
		}
		if _, kept := again.Snapshot.States[far]; kept {
			t.Error("a member of another pool was kept")
		}
	}
}

// I23: each reason that a guard gives is one that it is known to give, so that
// its counter is there before it is needed.
func TestReasonsAreAllKnown(t *testing.T) {
	known := map[string]bool{}
	for _, r := range Reasons() {
		if known[fmt.Sprint(r.Guard, "/", r.Reason)] {
			t.Errorf("%s/%s is there twice", r.Guard, r.Reason)
		}
		known[r.Guard+"/"+r.Reason] = true
	}
	for _, word := range []string{"leader/standby", "brake/storm", "damping/flapping", "load/overload", "approval/awaiting", "maintenance/window", "hours/outside"} {
		if !known[word] {
			t.Errorf("%s isn't among %v", word, slices.Sorted(func(yield func(string) bool) {
				for k := range known {
					if !yield(k) {
						return
					}
				}
			}))
		}
	}
}
