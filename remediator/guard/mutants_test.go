package guard

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// What each guard of the way back and of a bypass says by itself: without these
// a branch of it could go and no test would notice.

func TestGivingBackWhatIsNotSure(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"I7: not what somebody took over and left as we had it", func(w *World) {
			w.Held[s1] = with(w.Held[s1], func(h *Held) { h.Superseded = true })
		}, "foreign/superseded"},
		{"I17: not on an old good result", func(w *World) {
			w.Own[s1] = Evidence{Answer: edge.Yes, At: now.Add(-time.Minute)}
		}, "evidence/stale"},
		{"I14: not after good results that are too few", func(w *World) {
			w.Held[s1] = with(w.Held[s1], func(h *Held) { h.GoodCount = w.Policy.Rise - 1 })
		}, "evidence/rising"},
		{"I17: not on an old look", func(w *World) { w.Snapshot.At = now.Add(-time.Minute) }, "inventory/device_stale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := held()
			c.change(&w)
			want(t, Decide(Step{Member: s1, To: edge.Ready}, w), c.want)
		})
	}
}

// turned is a world in which s1 and s2 fail and their switch stands as marks say.
func turned(marks string) (Step, World) {
	w := failing()
	delete(w.Snapshot.States, s3)
	delete(w.Own, s3)
	m := named("application:shop")
	w.Snapshot.Switches = map[edge.Member]edge.State{m: {Member: m, Marks: marks}}
	w.Standby = nil
	return Step{Member: m, Mark: "PASSIVE", Bypass: true}, w
}

func TestABypassThatIsNotOurs(t *testing.T) {
	in, back := Step{Member: s3, To: edge.Ready, Bypass: true}, Step{Member: s3, To: edge.Maint, Bypass: true, Back: true}
	for _, c := range []struct {
		name   string
		step   Step
		world  World
		change func(*World)
		want   string
	}{
		{"I7: isn't begun again over somebody's change", in, failing(), func(w *World) { w.Held[s3] = Held{Superseded: true} }, "foreign/superseded"},
		{"I7: isn't ended when it isn't ours", back, bypassed(), func(w *World) { delete(w.Held, s3) }, "foreign/not_ours"},
		{"I7: isn't brought in against an agent", in, failing(), func(w *World) { state(*w, s3, func(s *edge.State) { s.Agent = true }) }, "agent/agent_check"},
		{"I14: doesn't end before members have served at all", back, bypassed(), func(w *World) {
			w.Held[s3] = with(w.Held[s3], func(h *Held) { h.GoodSince = time.Time{} })
		}, "evidence/rising"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change(&c.world)
			want(t, Decide(c.step, c.world), c.want)
		})
	}
	for marks, refusal := range map[string]string{
		"ACTIVE_PREVENTION": "",
		"PASSIVE":           "foreign/in_already", // I7
	} {
		t.Run("a switch that is "+marks, func(t *testing.T) {
			step, w := turned(marks)
			want(t, Decide(step, w), refusal)
		})
	}
}

func TestPuttingBackWhatCannotBeSeen(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*World)
		want   string
	}{
		{"I2: not on a device that can't be read", func(w *World) { w.Blind = "refused" }, "inventory/device_blind"},
		{"not on a device that can only be read", func(w *World) { w.Snapshot.ReadOnly = "no node to write to" }, "inventory/read_only"},
		{"I2: not in a pool without members", func(w *World) { w.Snapshot.States = nil }, "inventory/unknown_pool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good()
			r := Restore{Pool: s1.In()}
			for _, m := range []edge.Member{s1, s2, s3} {
				r.After = append(r.After, w.Snapshot.States[m])
			}
			c.change(&w)
			want(t, DecideRestore(r, w), c.want)
		})
	}
}
