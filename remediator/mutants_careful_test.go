package remediator

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
)

// A step that moves two pools is taken as the most careful of their policies
// wants it (I17, I7).
func TestI17TheMostCarefulPolicyOfAStepDecides(t *testing.T) {
	for _, c := range []struct {
		name   string
		there  func(*Policy)
		writes int
		want   []string
	}{
		{"as free as the first", func(*Policy) {}, 1, []string{"drain applied"}},
		{"one that only looks", func(p *Policy) { p.Mode = Observe }, 0, []string{"drain observed"}},
		{"one that wants an approval", func(p *Policy) { p.Mode = Approve }, 0, []string{"approval/awaiting"}},
		{"one with hours", func(p *Policy) { p.ActiveHours = calendar.Hours{{Start: "08:00", End: "18:00"}} }, 0, []string{"hours/outside"}}, // it is midnight
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorldWith(t, twoPools, func(cfg *Config) {
				there := cfg.Policies[0]
				there.Members = Members{Pool: "app"}
				c.there(&there)
				cfg.Policies = append(cfg.Policies, there)
			}, func(w *world) {
				w.fail(s1)
				w.wait(10 * time.Second)
				w.wantWrites(c.writes)
				wantResults(t, w.results(s1), c.want...)
			})
		})
	}
}

// A person who lifts a freeze has looked: steps that didn't help count anew, also
// after a restart (I20).
func TestI20AThawEndsTheCountOfStepsThatDidNotHelp(t *testing.T) {
	inWorld(t, func(c *Config) { c.Damping.Off = true }, func(w *world) {
		for range 2 {
			w.fail(s1)
			w.wait(time.Second)
			w.device.touch(s1, func(s *edge.State) { s.Chosen += 10 })
			w.wait(20 * time.Second)
			w.recover(s1)
			w.wait(time.Minute)
		}
		if d := cmp.Diff([]string{ineffective, ineffective}, w.effects()); d != "" {
			t.Fatalf("effects (-want +got):\n%s", d)
		}
		w.freeze()
		if err := w.r.journal.Thaw("ops"); err != nil {
			t.Fatal(err)
		}
		w.restart()
		w.fail(s2)
		w.wait(10 * time.Second)
		w.want(s2, "FDRAIN")
	})
}

// rowed is a device that shows its own words.
type rowed struct{ *device }

func (r rowed) Look(ctx context.Context) (edge.Snapshot, error) {
	snap, err := r.device.Look(ctx)
	snap.Row = func(m edge.Member) string { return "the line of " + m.Name }
	return snap, err
}

// What the device itself said of the member is with each intent and refusal (I23).
func TestI23TheDevicesOwnWordsAreRecorded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) { o.Devices["edge1"] = rowed{w.device} }, nil)
		w.fail(s1)
		w.wait(10 * time.Second)
		w.fail(s2)
		w.wait(10 * time.Second)
		n := 0
		for _, e := range w.entries() {
			if e.Decision == nil {
				continue
			}
			n++
			if e.Row != "the line of "+e.Member.Name {
				t.Errorf("entry %d (%s on %s) has the row %q", e.Seq, e.Event, e.Member, e.Row)
			}
		}
		if n < 2 {
			t.Errorf("%d decisions", n)
		}
	})
}
