package guard

import (
	"maps"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// weigh gives the members of the pool their configured weights.
func weigh(w *World, s1w, s2w, s3w int) {
	for m, n := range map[edge.Member]int{s1: s1w, s2: s2w, s3: s3w} {
		state(*w, m, func(s *edge.State) { s.Share = n })
	}
}

func TestI1AShareIsOfTheCapacityToo(t *testing.T) {
	half := func(w *World) { w.Policy.MinServing = Amount{Percent: 50} }
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"equal weights are as good as none", func(w *World) { half(w); weigh(w, 10, 10, 10) }, ""},
		{"the heavy one of three carries more than half", func(w *World) { half(w); weigh(w, 5, 2, 2) }, "min_serving/too_few_left"},
		{"a light one may go", func(w *World) { half(w); weigh(w, 1, 5, 2) }, ""},
		{"just half is enough, rounded up", func(w *World) { half(w); weigh(w, 5, 3, 2) }, ""},
		{"a backup's weight is no capacity", func(w *World) {
			half(w)
			weigh(w, 1, 1, 100)
			state(*w, s3, func(s *edge.State) { s.Backup, s.Serving = true, false })
		}, ""},
		{"weights that one member lacks are not looked at", func(w *World) { half(w); weigh(w, 5, 2, 0) }, ""},
		{"a count is a count", func(w *World) { w.Policy.MinServing = Amount{Count: 2}; weigh(w, 100, 1, 1) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Drain}, w), c.want)
		})
	}
}

func TestAStepOnADeviceThatCanOnlyBeReadIsRefused(t *testing.T) {
	w := good()
	w.Snapshot.ReadOnly = "the user lacks a right"
	want(t, Decide(Step{Member: s1, To: edge.Drain}, w), "inventory/read_only")
}

func TestAStepThatMovesOtherPoolsIsJudgedInEach(t *testing.T) {
	app := func(n string) edge.Member { return edge.Member{Device: "edge1", Pool: "app", Name: n} }
	both := func() World {
		w := good()
		for _, n := range []string{"t1", "t2", "t3"} {
			w.Snapshot.States[app(n)] = edge.State{Member: app(n), Serving: true, Weight: 1}
		}
		p := *w.Policy
		w.Along = map[edge.Member]*Policy{app("t1"): &p}
		return w
	}
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"both can spare it", func(*World) {}, ""},
		{"the other can't", func(w *World) { state(*w, app("t2"), func(s *edge.State) { s.Serving = false }) }, "min_serving/too_few_left"},
		{"the other has its own limit", func(w *World) { w.Along[app("t1")].MinServing = Amount{Count: 3} }, "min_serving/too_few_left"},
		{"one of the other is held", func(w *World) { w.Held[app("t3")] = Held{} }, "budget/max_held"},
		{"nobody rules the other", func(w *World) { w.Along[app("t1")] = nil }, "inventory/along"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := both()
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Drain}, w), c.want)
		})
	}
}

// failing is a world in which s1 and s2 fail and s3, out, is their standby.
func failing() World {
	w := good()
	state(w, s3, func(s *edge.State) { s.Admin, s.Marks, s.Serving = edge.Maint, "FMAINT", false })
	w.Own[s2] = Evidence{Answer: edge.No, At: now}
	w.Standby = map[edge.Member]bool{s3: true}
	w.Policy.MinServing = Amount{Count: 1}
	return w
}

// bypassed is the same a while after the bypass, with s1 and s2 well again.
func bypassed() World {
	w := failing()
	state(w, s3, func(s *edge.State) { s.Admin, s.Marks, s.Serving = edge.Ready, "", true })
	w.Held[s3] = Held{To: edge.Ready, Left: w.Snapshot.States[s3], Process: "p1", GoodSince: now.Add(-time.Minute)}
	w.Own[s1], w.Own[s2] = Evidence{Answer: edge.Yes, At: now}, Evidence{Answer: edge.Yes, At: now}
	w.Claims = nil
	return w
}

// A member that is out and well is a better way than one round the pool, and who put
// it out is told so.
func TestABypassThatAPersonHoldsUpSaysHow(t *testing.T) {
	w := failing()
	state(w, s2, func(s *edge.State) { s.Admin, s.Marks, s.Serving = edge.Maint, "DOWN", false })
	w.Own[s2] = Evidence{Answer: edge.Yes, At: now, Source: "shop"}
	d := Decide(Step{Member: s3, To: edge.Ready, Bypass: true}, w)
	if want := "shop finds s2 well, which is out of rotation (DOWN): bring it in"; d.Refusal == nil || d.Refusal.Detail != want {
		t.Errorf("got %+v", d.Refusal)
	}
}

func TestABypass(t *testing.T) {
	in, back := Step{Member: s3, To: edge.Ready, Bypass: true}, Step{Member: s3, To: edge.Maint, Bypass: true, Back: true}
	byHand := back
	byHand.ByHand = true
	for _, c := range []struct {
		name   string
		step   Step
		world  World
		change func(*World)
		want   string
	}{
		{"is brought in when all regular members fail", in, failing(), func(*World) {}, ""},
		{"I19: not while frozen", in, failing(), func(w *World) { w.Freeze = "x" }, "freeze/frozen"},
		{"not without the device's answer", in, failing(), func(w *World) { w.Blind = "refused" }, "inventory/device_blind"},
		{"not under a silence", in, failing(), func(w *World) { w.Claims[0].Suppressed = true }, "silence/silenced"},
		{"not without a claim", in, failing(), func(w *World) { w.Claims = nil }, "evidence/no_claim"},
		{"not when one is well", in, failing(), func(w *World) { w.Own[s2] = Evidence{Answer: edge.Yes, At: now} }, "evidence/not_all_failing"},
		{"not when one is well that a person put out", in, failing(), func(w *World) {
			state(*w, s2, func(s *edge.State) { s.Admin, s.Marks, s.Serving = edge.Maint, "DOWN", false })
			w.Own[s2] = Evidence{Answer: edge.Yes, At: now}
		}, "evidence/not_all_failing"},
		{"I6: not when one is unknown", in, failing(), func(w *World) { w.Own[s2] = Evidence{At: now} }, "evidence/unknown"},
		{"I6: not when one can't be asked", in, failing(), func(w *World) { delete(w.Own, s2) }, "evidence/no_second_source"},
		{"I17: not on an old answer", in, failing(), func(w *World) { w.Own[s2] = Evidence{Answer: edge.No, At: now.Add(-time.Hour)} }, "evidence/stale"},
		{"I2: not in a pool of standbys alone", in, failing(), func(w *World) { w.Standby = map[edge.Member]bool{s1: true, s2: true, s3: true} }, "evidence/no_members"},
		{"not a standby that is bad itself", in, failing(), func(w *World) { w.Own[s3] = Evidence{Answer: edge.No, At: now} }, "evidence/standby_bad"},
		{"not what is in already", in, failing(), func(w *World) { state(*w, s3, func(s *edge.State) { s.Admin, s.Marks = edge.Ready, "" }) }, "foreign/in_already"},
		{"not again after its time limit", in, failing(), func(w *World) { w.Lapsed = true }, "budget/time_limit"},
		{"ends when members serve again", back, bypassed(), func(*World) {}, ""},
		{"I19: doesn't end while frozen", back, bypassed(), func(w *World) { w.Freeze = "x" }, "freeze/frozen"},
		{"I7: isn't ended when somebody changed it", back, bypassed(), func(w *World) { state(*w, s3, func(s *edge.State) { s.Marks = "FDRAIN" }) }, "foreign/changed"},
		{"doesn't end while no regular member serves", back, bypassed(), func(w *World) {
			for _, m := range []edge.Member{s1, s2} {
				state(*w, m, func(s *edge.State) { s.Serving = false })
			}
		}, "evidence/not_well"},
		{"doesn't end on unknown", back, bypassed(), func(w *World) { w.Own[s1], w.Own[s2] = Evidence{At: now}, Evidence{At: now} }, "evidence/not_well"},
		{"doesn't end at once", back, bypassed(), func(w *World) { w.Held[s3] = with(w.Held[s3], func(h *Held) { h.GoodSince = now }) }, "evidence/hold_down"},
		{"ends at its time limit on any evidence", back, bypassed(), func(w *World) { w.AtMax = true; w.Own = nil }, ""},
		{"ends by hand on any evidence, while frozen", byHand, bypassed(), func(w *World) { w.Freeze = "x"; w.Own = nil }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change(&c.world)
			want(t, Decide(c.step, c.world), c.want)
		})
	}
}

func TestPuttingAnObjectBack(t *testing.T) {
	all := func(w World) (after []edge.State) {
		for _, m := range []edge.Member{s1, s2, s3} {
			after = append(after, w.Snapshot.States[m])
		}
		return after
	}
	for _, c := range []struct {
		name   string
		change func(*World, *Restore)
		want   string
	}{
		{"two of three serve then", func(*World, *Restore) {}, ""},
		{"a freeze doesn't stop a person", func(w *World, _ *Restore) { w.Freeze = "x" }, ""},
		{"I7: not over a hold of ours", func(w *World, _ *Restore) { w.Held[s2] = Held{} }, "foreign/held"},
		{"not on a pool that no policy names", func(w *World, _ *Restore) { w.Policy = nil }, "inventory/no_policy"},
		{"not another pool's object", func(_ *World, r *Restore) { r.Other = "it is of upstream x" }, "inventory/other_object"},
		{"I1: not when too few would serve", func(_ *World, r *Restore) { r.After[1].Serving = false }, "min_serving/too_few_left"},
		{"I1: not on members that are bad", func(w *World, _ *Restore) { w.Own[s2] = Evidence{Answer: edge.No, At: now} }, "min_serving/too_few_left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			r := Restore{Pool: s1.In(), After: all(w)}
			c.change(&w, &r)
			want(t, DecideRestore(r, w), c.want)
		})
	}
}

func TestEveryReasonIsCountedFromZero(t *testing.T) {
	said := map[Refusal]bool{}
	for _, r := range Reasons() {
		if said[r] {
			t.Errorf("%+v stands there twice", r)
		}
		said[r] = true
	}
	for _, r := range []Refusal{{Guard: "budget", Reason: "time_limit"}, {Guard: "evidence", Reason: "not_all_failing"}, {Guard: "foreign", Reason: "held"}} {
		if !said[r] {
			t.Errorf("%+v is missing in %v", r, maps.Keys(said))
		}
	}
}
