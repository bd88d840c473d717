package guard

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func named(n string) edge.Member { return edge.Member{Device: "edge1", Pool: "shop", Name: n} }

var s1, s2, s3 = named("s1"), named("s2"), named("s3")

// good is a world in which s1 may be taken out of three.
func good() World {
	w := World{
		Now: now,
		Policy: &Policy{
			Name: "drain", To: edge.Drain, MinServing: Amount{Count: 2}, MaxHeld: 1, Confirm: "probe",
			HoldDown: 10 * time.Second, Rise: 2, MaxAge: 10 * time.Second, ClaimAge: 3 * time.Minute,
		},
		Snapshot: edge.Snapshot{Device: "edge1", Process: "p1", At: now, States: map[edge.Member]edge.State{}},
		Claims:   []Claim{{Source: "am", UpdatedAt: now}},
		Held:     map[edge.Member]Held{},
		Own:      map[edge.Member]Evidence{},
	}
	for i, m := range []edge.Member{s1, s2, s3} {
		w.Snapshot.States[m] = edge.State{Member: m, Address: fmt.Sprintf("192.0.2.%d:80", i), Serving: true, Weight: 1}
		w.Own[m] = Evidence{Source: "probe:shop", Answer: edge.Yes, At: now}
	}
	w.Own[s1] = Evidence{Source: "probe:shop", Answer: edge.No, At: now}
	return w
}

// held is a world in which s1 is ours and may be given back.
func held() World {
	w := good()
	st := w.Snapshot.States[s1]
	st.Admin, st.Marks, st.Serving = edge.Drain, "FDRAIN", false
	w.Snapshot.States[s1] = st
	w.Claims, w.Own[s1] = nil, Evidence{Answer: edge.Yes, At: now}
	w.Held[s1] = Held{To: edge.Drain, Left: st, Process: "p1", GoodSince: now.Add(-time.Minute), GoodCount: 9}
	return w
}

func state(w World, m edge.Member, f func(*edge.State)) {
	st := w.Snapshot.States[m]
	f(&st)
	w.Snapshot.States[m] = st
}

func TestTakingOut(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"one of three may go", func(*World) {}, ""},
		{"I19: not while frozen", func(w *World) { w.Freeze = "release night" }, "freeze/frozen"},
		{"I2: not on a device that can't be read", func(w *World) { w.Snapshot, w.Blind = edge.Snapshot{}, "refused" }, "inventory/device_blind"},
		{"I2: not in a pool without members", func(w *World) { w.Snapshot.States = nil }, "inventory/unknown_pool"},
		{"I21: not what the device doesn't list", func(w *World) { delete(w.Snapshot.States, s1) }, "inventory/unknown_member"},
		{"not without a policy", func(w *World) { w.Policy = nil }, "inventory/no_policy"},
		{"I17: not on an old look", func(w *World) { w.Snapshot.At = now.Add(-time.Minute) }, "inventory/device_stale"},
		{"not what follows another", func(w *World) { state(*w, s1, func(s *edge.State) { s.Tracks = "a/b" }) }, "inventory/tracking"},
		{"not what others follow, where no policy rules them", func(w *World) {
			w.Snapshot.Along = map[edge.Member][]edge.Member{s1: {{Device: "edge1", Pool: "api", Name: "f1"}}}
		}, "inventory/along"},
		{"I7: not what a person drained", func(w *World) { state(*w, s1, func(s *edge.State) { s.Admin, s.Marks = edge.Drain, "FDRAIN" }) }, "foreign/taken_out"},
		{"I7: not what the configuration marks", func(w *World) { state(*w, s1, func(s *edge.State) { s.Marks = "CMAINT" }) }, "foreign/taken_out"},
		{"I7: not what somebody took over", func(w *World) { w.Held[s1] = Held{Superseded: true} }, "foreign/superseded"},
		{"not under a silence", func(w *World) { w.Claims[0].Suppressed = true }, "silence/silenced"},
		{"not against an agent", func(w *World) { state(*w, s1, func(s *edge.State) { s.Agent = true }) }, "agent/agent_check"},
		{"not without a claim", func(w *World) { w.Claims = nil }, "evidence/no_claim"},
		{"I17: not on an old claim", func(w *World) { w.Claims[0].UpdatedAt = now.Add(-time.Hour) }, "evidence/claim_stale"},
		{"I6: not without a second source", func(w *World) { delete(w.Own, s1) }, "evidence/no_second_source"},
		{"I6: not on old evidence", func(w *World) { w.Own[s1] = Evidence{Answer: edge.No, At: now.Add(-time.Minute)} }, "evidence/stale"},
		{"I6: not on unknown evidence", func(w *World) { w.Own[s1] = Evidence{At: now} }, "evidence/unknown"},
		{"I6: not against good evidence", func(w *World) { w.Own[s1] = Evidence{Answer: edge.Yes, At: now} }, "evidence/contradicted"},
		{"on the claim alone where the policy says so", func(w *World) { w.Policy.Confirm = "none"; delete(w.Own, s1) }, ""},
		{"I3: not one more than max_held", func(w *World) { w.Held[s2] = Held{}; w.Policy.MinServing.Count = 1 }, "budget/max_held"},
		{"a hold in another pool is another budget", func(w *World) { w.Held[edge.Member{Device: "edge1", Pool: "api", Name: "s1"}] = Held{} }, ""},
		{"I1: not with another down by the device's word", func(w *World) { state(*w, s2, func(s *edge.State) { s.Serving = false }) }, "min_serving/too_few_left"},
		{"I1: not with another down by our own result", func(w *World) { w.Own[s2] = Evidence{Answer: edge.No, At: now} }, "min_serving/too_few_left"},
		{"I1: unknown is not serving", func(w *World) { w.Own[s2] = Evidence{At: now} }, "min_serving/too_few_left"},
		{"I1: the device's word alone where nothing of ours covers it", func(w *World) { delete(w.Own, s2) }, ""},
		{"I1: 67% of three is rounded up to three", func(w *World) { w.Policy.MinServing = Amount{Percent: 67} }, "min_serving/too_few_left"},
		{"I1: 66% of three is two", func(w *World) { w.Policy.MinServing = Amount{Percent: 66} }, ""},
		{"a person's drain stays in the base of a share", func(w *World) {
			w.Policy.MinServing = Amount{Percent: 50}
			state(*w, s2, func(s *edge.State) { s.Admin, s.Marks, s.Serving = edge.Drain, "FDRAIN", false })
		}, "min_serving/too_few_left"},
		{"what the configuration disabled is out of the base", func(w *World) {
			w.Policy.MinServing = Amount{Percent: 50}
			state(*w, s2, func(s *edge.State) { s.Settled, s.Serving = true, false })
		}, ""},
		{"a member that the device holds down is stepped too", func(w *World) { state(*w, s1, func(s *edge.State) { s.Serving, s.Check = false, edge.No }) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Drain}, w), c.want)
		})
	}
}

func TestGivingBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		byHand bool
		change func(*World)
		want   string
	}{
		{"what is well for long enough comes back", false, func(*World) {}, ""},
		{"I19: not while frozen", false, func(w *World) { w.Freeze = "x" }, "freeze/frozen"},
		{"I19: a person may, while frozen and on any evidence", true, func(w *World) { w.Freeze = "x"; w.Own[s1] = Evidence{Answer: edge.No, At: now} }, ""},
		{"I7: not what isn't ours", false, func(w *World) { delete(w.Held, s1) }, "foreign/not_ours"},
		{"I7: not what somebody changed, by hand or not", true, func(w *World) { state(*w, s1, func(s *edge.State) { s.Admin, s.Marks = edge.Maint, "FMAINT" }) }, "foreign/changed"},
		{"I7: not another address", false, func(w *World) { state(*w, s1, func(s *edge.State) { s.Address = "192.0.2.9:80" }) }, "foreign/moved"},
		{"not in another life of the device", false, func(w *World) { w.Snapshot.Process = "p2" }, "foreign/other_process"},
		{"I14: not while a claim is seen", false, func(w *World) { w.Claims = []Claim{{UpdatedAt: now}} }, "evidence/claimed"},
		{"I14: not without own evidence", false, func(w *World) { delete(w.Own, s1) }, "evidence/no_second_source"},
		{"I14: not on a bad result", false, func(w *World) { w.Own[s1] = Evidence{Answer: edge.No, At: now} }, "evidence/not_well"},
		{"I6: not on unknown", false, func(w *World) { w.Own[s1] = Evidence{At: now} }, "evidence/not_well"},
		{"I14: not before rise good results", false, func(w *World) { w.Held[s1] = with(w.Held[s1], func(h *Held) { h.GoodSince = time.Time{} }) }, "evidence/rising"},
		{"I14: not before hold_down", false, func(w *World) {
			w.Held[s1] = with(w.Held[s1], func(h *Held) { h.GoodSince = now.Add(-9 * time.Second) })
		}, "evidence/hold_down"},
		{"I13: at its hard end good evidence is enough", false, func(w *World) { w.AtMax = true; w.Claims = []Claim{{UpdatedAt: now}} }, ""},
		{"I13: at its hard end a bad one still stays out", false, func(w *World) { w.AtMax = true; w.Own[s1] = Evidence{Answer: edge.No, At: now} }, "evidence/not_well"},
		{"I3: budgets and min_serving don't hold back what adds capacity", false, func(w *World) { w.Policy.MaxHeld, w.Policy.MinServing.Count = 0, 9 }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := held()
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Ready, ByHand: c.byHand}, w), c.want)
		})
	}
}

func with(h Held, f func(*Held)) Held {
	f(&h)
	return h
}

func want(t *testing.T, d Decision, refusal string) {
	t.Helper()
	got := ""
	if d.Refusal != nil {
		got = d.Refusal.Guard + "/" + d.Refusal.Reason
		if !slices.ContainsFunc(Reasons(), func(r Refusal) bool { return r.Guard == d.Refusal.Guard && r.Reason == d.Refusal.Reason }) {
			t.Errorf("%s is not among the reasons", got)
		}
		if d.Refusal.Detail == "" {
			t.Errorf("I23: %s explains nothing", got)
		}
	}
	if got != refusal {
		t.Errorf("got %q (%+v); want %q", got, d.Refusal, refusal)
	}
	all := len(guards)
	if d.Step.Bypass {
		all = len(bypassGuards)
	}
	if d.Step.Member.Name != "" && len(d.Findings) != all { // an object has guards of its own
		t.Errorf("%d findings of %d guards: explain shows them all", len(d.Findings), all)
	}
}

// I1, exhaustively: in every pool of up to six members, each serving, bad,
// unknown or backup, a step that is allowed leaves what min_serving wants.
func TestI1NoAllowedStepLeavesTooFew(t *testing.T) {
	amounts := []Amount{{Count: 1}, {Count: 2}, {Count: 5}, {Percent: 1}, {Percent: 50}, {Percent: 51}, {Percent: 100}}
	for size := 1; size <= 6; size++ {
		for code := range pow(4, size) {
			for _, a := range amounts {
				w := good()
				w.Policy.MinServing, w.Policy.MaxHeld = a, 6
				w.Snapshot.States, w.Own = map[edge.Member]edge.State{}, map[edge.Member]Evidence{}
				base, serving := 0, 0
				for i, c := 0, code; i < size; i, c = i+1, c/4 {
					m := named(fmt.Sprint("s", i))
					st, e := edge.State{Member: m, Serving: true}, Evidence{Answer: edge.Yes, At: now}
					switch c % 4 {
					case 1:
						st.Serving = false
					case 2:
						e.Answer = edge.Unknown
					case 3:
						st.Backup, st.Serving = true, false
					}
					if i == 0 {
						e.Answer = edge.No
					} else if c%4 == 0 {
						serving++
					}
					if !st.Backup {
						base++
					}
					w.Snapshot.States[m], w.Own[m] = st, e
				}
				need := a.Count
				if a.Percent > 0 {
					need = max(1, (base*a.Percent+99)/100)
				}
				if d := Decide(Step{Member: named("s0"), To: edge.Drain}, w); d.Allowed() != (serving >= need) {
					t.Fatalf("size %d code %d amount %s: allowed %v with %d serving of %d, want %d", size, code, a, d.Allowed(), serving, base, need)
				}
			}
		}
	}
}

func pow(b, n int) int {
	out := 1
	for range n {
		out *= b
	}
	return out
}

// Decide is a function of its arguments, and makes no exception for odd ones.
func TestDecideNeverPanicsAndAlwaysAgreesWithItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := good()
		if rapid.Bool().Draw(t, "held") {
			w = held()
		}
		if rapid.Bool().Draw(t, "no policy") {
			w.Policy = nil
		}
		if rapid.Bool().Draw(t, "no states") {
			w.Snapshot.States = nil
		}
		if rapid.Bool().Draw(t, "no evidence") {
			w.Own = nil
		}
		s := Step{Member: rapid.SampledFrom([]edge.Member{s1, s2, {}, named("a;b\n")}).Draw(t, "member"), To: edge.Admin(rapid.IntRange(0, 3).Draw(t, "to"))}
		a, b := Decide(s, w), Decide(s, w)
		if a.Allowed() != b.Allowed() {
			t.Fatal("two decisions on the same world differ")
		}
		if a.Allowed() && (w.Policy == nil || w.Snapshot.States == nil) {
			t.Fatalf("I2: allowed without policy or members: %+v", a)
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"2", "50%", "0", "-1", "101%", " 7 ", "%", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAmount(s)
		if err != nil {
			return
		}
		if again, err := ParseAmount(a.String()); err != nil || again != a {
			t.Errorf("%q becomes %v becomes %v, %v", s, a, again, err)
		}
		for base := range 10 {
			if n := a.Of(base); n < 1 {
				t.Errorf("%q of %d is %d: the whole pool could go", s, base, n)
			}
		}
	})
}
