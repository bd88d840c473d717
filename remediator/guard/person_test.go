package guard

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

// Every guard has said what its no means to people, and each that isn't moot is
// asked.
func TestEachGuardHasALineForPeople(t *testing.T) {
	names := map[string]bool{}
	for _, g := range slices.Concat(guards, bypassGuards, furtherGuards) {
		names[g.name] = true
		bearing, known := Bearings[g.name]
		if !known {
			t.Errorf("%s: no line in Bearings", g.name)
		}
		asked := slices.ContainsFunc(personGuards, func(p row) bool { return p.name == g.name })
		if asked == (bearing == Moot) {
			t.Errorf("%s: asked %v, and its bearing is %d", g.name, asked, bearing)
		}
	}
	for name := range Bearings {
		if !names[name] {
			t.Errorf("%s is no guard", name)
		}
	}
	if diff := cmp.Diff([]string{"maintenance", "hours", "brake", "damping", "budget", "min_serving", "load"}, SoftGuards()); diff != "" {
		t.Errorf("guards that people may override (-want +got):\n%s", diff)
	}
}

func TestAPersonsStep(t *testing.T) {
	drain := Step{Member: s1, To: edge.Drain, Person: true}
	for _, c := range []struct {
		name   string
		step   Step
		change func(*World)
		want   string
		over   string // the guard by whose override the step is let through; empty when nothing can
	}{
		{"out of three one may go", drain, func(*World) {}, "", ""},
		{"no claim and no evidence is asked for", drain, func(w *World) { w.Claims, w.Own = nil, nil }, "", ""},
		{"I7: what they took out before", drain, func(w *World) {
			state(*w, s1, func(st *edge.State) { st.Admin, st.Marks = edge.Maint, "FMAINT" })
		}, "", ""},
		{"I7: what is held by us", drain, func(w *World) { *w = held() }, "", ""},
		{"I19: a freeze is of automation", drain, func(w *World) { w.Freeze = "work on the site" }, "", ""},
		{"a silence is of automation", drain, func(w *World) { w.Claims[0].Suppressed = true }, "", ""},
		{"an approval isn't wanted of who orders", drain, func(w *World) { w.Policy.Approve = true }, "", ""},
		{"steps that didn't help want a person, and here is one", drain, func(w *World) { w.Ineffective = 2 }, "", ""},

		{"I16: only through the replica that leads", drain, func(w *World) { w.Standing.Standby = "b leads" }, "leader/standby", ""},
		{"I16: only while the lease is long enough", drain, func(w *World) { w.Standing = Standing{Leased: true, Left: time.Second, Need: time.Minute} }, "leader/lease_short", ""},
		{"I2: nothing on a device that can't be read", drain, func(w *World) { w.Blind = "time-out" }, "inventory/device_blind", ""},
		{"nothing on a device that takes no step", drain, func(w *World) { w.Snapshot.ReadOnly = "standby" }, "inventory/read_only", ""},
		{"I21: no pool that the device doesn't list", Step{Member: edge.Member{Device: "edge1", Pool: "x", Name: "s1"}, Person: true}, func(*World) {}, "inventory/unknown_pool", ""},
		{"I21: no member that the device doesn't list", Step{Member: named("x"), Person: true}, func(*World) {}, "inventory/unknown_member", ""},
		{"I21: no switch", Step{Member: named("application:a"), Person: true}, func(w *World) {
			w.Snapshot.Switches = map[edge.Member]edge.State{named("application:a"): {Member: named("application:a"), Marks: "ACTIVE"}}
		}, "inventory/unknown_member", ""},
		{"I17: not on an old look", drain, func(w *World) { w.Snapshot.At = now.Add(-time.Minute) }, "inventory/device_stale", ""},
		{"not on what follows another", drain, func(w *World) { state(*w, s1, func(st *edge.State) { st.Tracks = "a/b" }) }, "inventory/tracking", ""},
		{"not against an agent", drain, func(w *World) { state(*w, s1, func(st *edge.State) { st.Agent = true }) }, "agent/agent_check", ""},
		{"no weight against an agent", Step{Member: s1, Share: 5, Person: true}, func(w *World) { state(*w, s1, func(st *edge.State) { st.Agent = true }) }, "agent/agent_check", ""},

		{"others may be at work on it", drain, func(w *World) { w.Windows = []string{"move"} }, "maintenance/window", "maintenance"},
		{"others may be at work on it, and don't want it in", Step{Member: s1, Person: true}, func(w *World) { w.Windows = []string{"move"} }, "maintenance/window", "maintenance"},
		{"not outside the hours", drain, func(w *World) { w.Closed = "night" }, "hours/outside", "hours"},
		{"I4: not in a storm", drain, func(w *World) {
			w.Policy.Brake = Brake{Share: 50, Least: 2, Window: time.Minute}
			w.Onsets = map[edge.Member]Onset{s2: {At: now}, s3: {At: now}}
		}, "brake/storm", "brake"},
		{"I15: a flapper stays", drain, func(w *World) {
			w.Policy.Damping = Damping{Penalty: 1000, Suppress: 2000, Reuse: 750, HalfLife: 15 * time.Minute, Max: time.Hour}
			w.Outs = []time.Time{now.Add(-3 * time.Minute), now.Add(-2 * time.Minute), now.Add(-time.Minute)}
		}, "damping/flapping", "damping"},
		{"I3: not beside one that we hold", drain, func(w *World) { w.Held[s2] = Held{} }, "budget/max_held", "budget"},
		{"I1: not when too few are left", drain, func(w *World) { state(*w, s2, func(st *edge.State) { st.Serving = false }) }, "min_serving/too_few_left", "min_serving"},
		{"I1: not when the others can't carry it", drain, func(w *World) {
			w.Policy.MaxSessions = 1
			state(*w, s1, func(st *edge.State) { st.Sessions = 9 })
		}, "load/overload", "load"},

		{"I1: what is out takes nothing more", Step{Member: s1, To: edge.Maint, Person: true}, func(w *World) {
			state(*w, s1, func(st *edge.State) { st.Admin, st.Marks, st.Serving = edge.Drain, "FDRAIN", false })
			state(*w, s2, func(st *edge.State) { st.Serving = false })
		}, "", ""},
		{"back in is more, whatever serves", Step{Member: s1, Person: true}, func(w *World) {
			state(*w, s1, func(st *edge.State) { st.Admin, st.Marks, st.Serving = edge.Drain, "FDRAIN", false })
			state(*w, s2, func(st *edge.State) { st.Serving = false })
			w.Closed, w.Held[s3] = "night", Held{}
		}, "", ""},
		{"a weight takes nobody out", Step{Member: s1, Share: 5, Person: true}, func(w *World) {
			state(*w, s2, func(st *edge.State) { st.Serving = false })
		}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.change(&w)
			d := Decide(c.step, w)
			want(t, d, c.want)
			w.Override = SoftGuards()
			if all := Decide(c.step, w); all.Allowed() != (c.want == "" || c.over != "") {
				t.Errorf("with all soft guards overridden: %+v", all.Refusal)
			}
			if c.over == "" {
				return
			}
			w.Override = slices.DeleteFunc(SoftGuards(), func(name string) bool { return name == c.over })
			want(t, Decide(c.step, w), c.want) // by name, and by no other
			w.Override = []string{c.over}
			d = Decide(c.step, w)
			want(t, d, "")
			for _, f := range d.Findings { // I23: it stays in the record
				if f.Guard == c.over && (f.OK || !f.Overridden || f.Reason == "") {
					t.Errorf("I23: the override isn't told: %+v", f)
				}
			}
		})
	}
}

func TestAnOverrideIsOfSoftGuardsOnly(t *testing.T) {
	w := good()
	for name := range Bearings {
		w.Override = append(w.Override, name)
	}
	w.Snapshot.ReadOnly = "standby"
	want(t, Decide(Step{Member: s1, To: edge.Drain, Person: true}, w), "inventory/read_only")
}

func TestAnOverrideIsOfPeopleOnly(t *testing.T) { // I1
	w := good()
	w.Override = SoftGuards()
	state(w, s2, func(st *edge.State) { st.Serving = false })
	want(t, Decide(Step{Member: s1, To: edge.Drain}, w), "min_serving/too_few_left")
}

func TestAPersonsStepIsToldWholeAndKept(t *testing.T) { // I23
	w := good()
	w.Freeze, w.Override = "work on the site", []string{"min_serving"}
	state(w, s2, func(st *edge.State) { st.Serving = false })
	s := Step{Member: s1, To: edge.Drain, Person: true}
	d := Decide(s, w)
	if got := d.Findings[0]; got.Guard != "freeze" || !got.OK || got.Detail != "not asked: frozen, yet a person asks: work on the site" {
		t.Errorf("got %+v", got)
	}
	raw, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var again World
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, Decide(s, again)); diff != "" {
		t.Errorf("a kept world decides otherwise (-first +second):\n%s", diff)
	}
}

func TestWithoutAPolicyOneOtherHasToServe(t *testing.T) { // I1
	w := good()
	w.Policy = &Policy{MaxAge: 10 * time.Second, MaxHeld: 1}
	s := Step{Member: s1, To: edge.Drain, Person: true}
	state(w, s2, func(st *edge.State) { st.Serving = false })
	want(t, Decide(s, w), "")
	state(w, s3, func(st *edge.State) { st.Serving = false })
	want(t, Decide(s, w), "min_serving/too_few_left")
}
