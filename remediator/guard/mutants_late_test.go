package guard

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Each reason of the guards on who may act, when, how often and under which
// load, on the way out, on the way back, and for a bypass.

var (
	out   = Step{Member: s1, To: edge.Drain}
	home  = Step{Member: s1, To: edge.Ready}
	hand  = Step{Member: s1, To: edge.Ready, ByHand: true}
	round = Step{Member: s3, To: edge.Ready, Bypass: true}
	ended = Step{Member: s3, To: edge.Maint, Bypass: true, Back: true}
)

// A judged is one step in a world that would allow it, but for one change.
type judged struct {
	name   string
	step   Step
	change func(*World)
	want   string
}

func judge(t *testing.T, cases []judged) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := map[Step]func() World{out: good, home: held, hand: held, round: failing, ended: bypassed}[c.step]()
			c.change(&w)
			want(t, Decide(c.step, w), c.want)
		})
	}
}

func TestI16OnlyTheLeaderWrites(t *testing.T) {
	standby := func(w *World) { w.Standing = Standing{Standby: "another replica leads"} }
	short := func(w *World) { w.Standing = Standing{Leased: true, Left: 7 * time.Second, Need: 8 * time.Second} }
	judge(t, []judged{
		{"not out by a standby", out, standby, "leader/standby"},
		{"not back by a standby", home, standby, "leader/standby"},
		{"not even by hand", hand, standby, "leader/standby"},
		{"no bypass by a standby", round, standby, "leader/standby"},
		{"not with a lease that could end before the answer", out, short, "leader/lease_short"},
		{"nor back", home, short, "leader/lease_short"},
		{"nor a bypass", round, short, "leader/lease_short"},
		{"with enough of a lease", out, func(w *World) { w.Standing = Standing{Leased: true, Left: 8 * time.Second, Need: 8 * time.Second} }, ""},
	})
}

func TestMaintenanceAndHours(t *testing.T) {
	window := func(w *World) { w.Windows = []string{"release, until 04:00"} }
	closed := func(w *World) { w.Closed = "it is night" }
	judge(t, []judged{
		{"nothing goes out in a window", out, window, "maintenance/window"},
		{"nor comes back by itself", home, window, "maintenance/window"},
		{"but by hand", hand, window, ""},
		{"no bypass in a window", round, window, "maintenance/window"},
		{"nor the end of one", ended, window, "maintenance/window"},
		{"nothing goes out at night", out, closed, "hours/outside"},
		{"no bypass at night", round, closed, "hours/outside"},
		{"what is out comes back at any hour", home, closed, ""},
		{"and a bypass ends", ended, closed, ""},
	})
}

func TestI17AnApprovalIsOfThisStepAndNotForEver(t *testing.T) {
	with := func(a *Approval) func(*World) {
		return func(w *World) { w.Policy.Approve, w.Approval = true, a }
	}
	judge(t, []judged{
		{"nobody was asked", out, with(nil), "approval/awaiting"},
		{"nobody was asked about a bypass", round, with(nil), "approval/awaiting"},
		{"somebody said no", out, with(&Approval{By: "test", Until: now.Add(time.Minute)}), "approval/rejected"},
		{"somebody said yes, and that is over", out, with(&Approval{By: "test", Yes: true, Until: now.Add(-time.Second)}), "approval/expired"},
		{"somebody said yes", out, with(&Approval{By: "test", Yes: true, Until: now.Add(time.Minute)}), ""},
		{"a yes is no word against another guard", out, func(w *World) {
			with(&Approval{By: "test", Yes: true, Until: now.Add(time.Minute)})(w)
			w.Freeze = "x"
		}, "freeze/frozen"},
		{"what is out comes back unasked", home, with(nil), ""},
	})
}

func TestI4NothingNewInAStorm(t *testing.T) {
	fell := func(ago time.Duration, ms ...edge.Member) func(*World) {
		return func(w *World) {
			w.Policy.Brake = Brake{Share: 50, Least: 2, Pools: 2, Window: time.Minute, Cooldown: time.Minute, Settle: time.Minute}
			w.Onsets = map[edge.Member]Onset{}
			for _, m := range ms {
				w.Onsets[m] = Onset{At: now.Add(-ago), Host: m.Name}
			}
		}
	}
	after := func(f func(*World)) func(*World) {
		return func(w *World) { fell(0, s1)(w); f(w) }
	}
	in := func(pool, name string) edge.Member { return edge.Member{Device: "edge1", Pool: pool, Name: name} }
	judge(t, []judged{
		{"one of three is no storm", out, fell(0, s1), ""},
		{"two of three are", out, fell(0, s1, s2), "brake/storm"},
		{"not when it was long ago", out, fell(2*time.Minute, s1, s2), ""},
		{"more pools than two, each on its host", out, fell(0, in("a", "h1"), in("b", "h2"), in("c", "h3")), "brake/storm"},
		{"two pools", out, fell(0, in("a", "h1"), in("b", "h2")), ""},
		{"one host in many pools is no storm", out, fell(0, in("a", "h1"), in("b", "h1"), in("c", "h1")), ""},
		{"not before the cooldown's end", out, after(func(w *World) { w.Storm.Until = now.Add(time.Second) }), "brake/cooldown"},
		{"after it", out, after(func(w *World) { w.Storm.Until = now }), ""},
		{"not when the evidence's source is new", out, after(func(w *World) { w.Storm.Changed = now.Add(-30 * time.Second) }), "brake/source_changed"},
		{"when it has settled", out, after(func(w *World) { w.Storm.Changed = now.Add(-time.Minute) }), ""},
		{"what is out comes back all the same", home, fell(0, s1, s2), ""},
	})
}

func TestI15AFlapperIsLeftAsItIs(t *testing.T) {
	outs := func(n int) func(*World) {
		return func(w *World) {
			w.Policy.Damping = Damping{Penalty: 1000, Suppress: 2000, Reuse: 750, HalfLife: 15 * time.Minute, Max: time.Hour}
			for i := range n {
				w.Outs = append(w.Outs, now.Add(time.Duration(i-n)*time.Minute))
			}
		}
	}
	judge(t, []judged{
		{"twice is no flapping", out, outs(2), ""},
		{"three times is: in it stays", out, outs(3), "damping/flapping"},
		{"and out it stays", home, outs(3), "evidence/hold_down"},
		{"a person may", hand, outs(3), ""},
		{"one step that didn't help", out, func(w *World) { w.Ineffective = 1 }, ""},
		{"I20: two in a row", out, func(w *World) { w.Ineffective = 2 }, "damping/ineffective"},
		{"what is out comes back all the same", home, func(w *World) { w.Ineffective = 2 }, ""},
	})
}

func TestI3TheBudgetsOfAll(t *testing.T) {
	spent := func(held, steps, pool int) func(*World) {
		return func(w *World) {
			w.Policy.Budget = Budget{MaxHeld: 3, Steps: 4, Window: time.Hour}
			w.Policy.MaxSteps = 2
			w.Spent = Spent{Held: held, Steps: steps, Pool: map[edge.Pool]int{s1.In(): pool}}
		}
	}
	judge(t, []judged{
		{"one less of each", out, spent(2, 3, 1), ""},
		{"as many held as may be", out, spent(3, 0, 0), "budget/overall_held"},
		{"as many steps as may be", out, spent(0, 4, 0), "budget/overall_steps"},
		{"as many steps on the pool as may be", out, spent(0, 0, 2), "budget/max_steps"},
		{"what is out comes back all the same", home, spent(9, 9, 9), ""},
	})
}

func TestI1TheOthersCanCarryTheLoad(t *testing.T) {
	load := func(sessions, queue, of int, limit bool) func(*World) {
		return func(w *World) {
			for _, m := range []edge.Member{s1, s2, s3} {
				state(*w, m, func(s *edge.State) {
					if s.Sessions = sessions; limit {
						s.Limit = of
					}
				})
			}
			state(*w, s1, func(s *edge.State) { s.Queue = queue })
			if !limit {
				w.Policy.MaxSessions = of
			}
		}
	}
	judge(t, []judged{
		{"just so, by the policy's limit", out, load(6, 2, 10, false), ""},
		{"one too many in the queue", out, load(6, 3, 10, false), "load/overload"},
		{"just so, by the device's limit", out, load(6, 2, 10, true), ""},
		{"one too many by the device's limit", out, load(6, 3, 10, true), "load/overload"},
		{"no limit is known", out, load(1000, 1000, 0, false), ""},
		{"a member that is bad carries nothing", out, func(w *World) {
			load(4, 0, 10, false)(w)
			w.Policy.MinServing = Amount{Count: 1}
			w.Own[s2] = Evidence{Answer: edge.No, At: now}
		}, "load/overload"},
		{"what is out comes back all the same", home, load(100, 100, 10, false), ""},
	})
}

func TestI5BelowThePanicLineOursComesBackFirst(t *testing.T) {
	line := func(n int, f func(*World)) func(*World) {
		return func(w *World) {
			w.Policy.Panic = Amount{Count: n}
			w.Held[s1] = with(w.Held[s1], func(h *Held) { h.GoodSince = now })
			w.Claims = []Claim{{Source: "am", UpdatedAt: now}}
			f(w)
		}
	}
	judge(t, []judged{
		{"well, claimed, and the pool has enough", home, line(2, func(*World) {}), "evidence/claimed"},
		{"well, claimed, and the pool is short", home, line(3, func(*World) {}), ""},
		{"short because another is down by the device's word", home, line(2, func(w *World) { state(*w, s2, func(s *edge.State) { s.Serving = false }) }), ""},
		{"not because our own evidence finds another bad", home, line(2, func(w *World) { w.Own[s2] = Evidence{Answer: edge.No, At: now} }), "evidence/claimed"},
		{"short, and it is bad itself", home, line(3, func(w *World) { w.Own[s1] = Evidence{Answer: edge.No, At: now} }), "evidence/not_well"},
		{"short, and nobody knows", home, line(3, func(w *World) { w.Own[s1] = Evidence{At: now} }), "evidence/not_well"},
		{"short, and it is somebody's", home, line(3, func(w *World) { w.Held[s1] = with(w.Held[s1], func(h *Held) { h.Superseded = true }) }), "foreign/superseded"},
	})
}
