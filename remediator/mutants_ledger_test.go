package remediator

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// renamed is a device under another name.
type renamed struct {
	*device
	name string
}

func (r renamed) Look(ctx context.Context) (edge.Snapshot, error) {
	snap, err := r.device.Look(ctx)
	snap.Device = r.name
	return snap, err
}

// What is spent on one device is spent on all (I3).
func TestI3StepsOnAnotherDeviceSpendTheBudgetOfAll(t *testing.T) {
	inWorld(t, func(c *Config) { c.Budget.Steps, c.Policies[0].MinServing = 1, "1" }, func(w *world) {
		there := func(name string) edge.Member { return edge.Member{Device: "edge2", Pool: "shop", Name: name} }
		second := newDevice(there("s1"), there("s2"), there("s3"))
		w.again(func(o *Options) { o.Devices["edge2"] = renamed{second, "edge2"} }, nil)
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.fail(there("s1"))
		w.wait(10 * time.Second)
		if got := second.marks(there("s1")); got != "" {
			t.Errorf("it is %q", got)
		}
		wantResults(t, w.results(there("s1")), "budget/overall_steps")
	})
}

// twoOfBothPools has members of two pools as one object each.
func twoOfBothPools(w *world) {
	twoPools(w)
	w.device.along[s2], w.device.along[other("t2")] = []edge.Member{other("t2")}, []edge.Member{s2}
}

// What a step moves along is out too (I3).
func TestI3WhatAStepMovesAlongSpendsTheBudget(t *testing.T) {
	budget := func(f func(*Budget)) func(*Config) {
		return func(c *Config) {
			bothPools(c)
			c.Policies[0].MaxHeld, c.Policies[0].MinServing, c.Policies[0].Confirm, c.Brake.Off = 3, "1", "none", true
			f(&c.Budget)
		}
	}
	second := func(w *world) {
		w.t.Helper()
		w.alerts.fire(s2)
		w.r.Wake()
		w.wait(20 * time.Second)
		w.want(s2, "")
	}
	first := func(w *world) {
		w.t.Helper()
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
	}
	t.Run("held", func(t *testing.T) {
		inWorldWith(t, twoOfBothPools, budget(func(b *Budget) { b.MaxHeld = 3 }), func(w *world) {
			first(w)
			second(w)
			wantResults(t, w.results(s2), "budget/overall_held")
		})
	})
	t.Run("steps, after a restart", func(t *testing.T) {
		inWorldWith(t, twoOfBothPools, budget(func(b *Budget) { b.Steps = 2 }), func(w *world) {
			first(w)
			w.restart()
			second(w)
			wantResults(t, w.results(s2), "budget/overall_steps")
		})
	})
	t.Run("steps of one write", func(t *testing.T) {
		inWorldWith(t, func(w *world) {
			twoOfBothPools(w)
			w.device.every = 10 * time.Second
		}, budget(func(b *Budget) { b.Steps = 2 }), func(w *world) {
			w.wait(time.Second)
			w.alerts.fire(s1)
			w.alerts.fire(s2)
			w.r.Wake()
			w.wait(time.Second)
			wantOrders(t, w, 1)
			wantResults(t, w.results(s2), "budget/overall_steps")
		})
	})
}

// What was sick already when this process came is no storm now (I4).
func TestI4WhatWasSickBeforeIsNoStorm(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.wait(time.Second)
		for _, m := range []edge.Member{s1, s2} {
			w.alerts.fire(m)
		}
		w.alerts.since(time.Now().Add(-time.Hour))
		w.r.Wake()
		w.wait(10 * time.Second)
		w.fail(s3)
		w.wait(10 * time.Second)
		w.want(s3, "FDRAIN")
	})
}

// since makes all alerts that fire now fire since then.
func (a *alerts) since(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.firing {
		c.StartsAt = at
		a.firing[k] = c
	}
}

// What fell sick a moment ago makes a storm, also when it is well by now (I4).
func TestI4WhatIsWellAgainFellSickAllTheSame(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, m := range []edge.Member{s1, s2} {
			w.alerts.fire(m)
			w.r.Wake()
			w.wait(10 * time.Second)
			w.alerts.resolve(m)
			w.r.Wake()
			w.wait(time.Second)
		}
		w.fail(s3)
		w.wait(10 * time.Second)
		w.want(s3, "")
		wantResults(t, w.results(s3), "brake/storm")
	})
}

// Nothing new right after our own probes changed: what is sick then may be our
// own doing (I4).
func TestI4NothingNewRightAfterOurOwnProbesChanged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}, EvidenceHash: "another"}
		if err := w.r.Apply(o); err != nil {
			t.Fatal(err)
		}
		w.fail(s1)
		w.wait(25 * time.Second)
		w.want(s1, "")
		wantResults(t, w.results(s1), "brake/source_changed")
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
	})
}

// A person who has something given back has looked at the pool: what was counted
// until then counts no more, also after a restart (I20).
func TestI20AReleaseEndsTheCountOfStepsThatDidNotHelp(t *testing.T) {
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
		w.restart()
		w.fail(s2)
		w.wait(10 * time.Second)
		w.want(s2, "")
		w.recover(s2)
		w.wait(time.Second)

		// What is held meanwhile, from a time when that was allowed.
		st := w.device.state(s3)
		w.device.change(func() { w.device.put(s3, edge.Drain) })
		left := w.device.state(s3)
		h := journal.Hold{Member: s3, Policy: "drain", To: edge.Drain, Phase: journal.Intent, Preimage: st}
		for _, p := range []journal.Phase{journal.Intent, journal.Applying, journal.Applied, journal.Holding} {
			h.Phase, h.Left, h.Process, h.Since = p, left, "pid 1 started 1", time.Now()
			h.LeaseUntil, h.MaxUntil = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
			if err := w.r.journal.Put(&h, journal.Entry{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.r.Release(t.Context(), s3, "ops", "looked at it"); err != nil {
			t.Fatal(err)
		}
		if n := w.r.ledger.ineffective()[s1.In()]; n != 0 {
			t.Errorf("%d in a row; want a new count", n)
		}
		w.wait(10 * time.Second)
		w.want(s3, "")
		w.restart()
		w.fail(s2)
		w.wait(10 * time.Second)
		w.want(s2, "FDRAIN")
	})
}

func (d *device) state(m edge.Member) edge.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.states[m]
}

// Whether a step helped is said by enough traffic alone (I20).
func TestI20WhatTooLittleIsKnownOfIsUnknown(t *testing.T) {
	count := func(w *world, m edge.Member, answers, errors uint64) {
		w.device.touch(m, func(s *edge.State) { s.Answers, s.Errors = s.Answers+answers, s.Errors+errors })
	}
	for _, c := range []struct {
		name           string
		before         uint64
		late           uint64 // errors right after the step, of requests that had been sent before it
		answers, wrong uint64
		want           string
	}{
		{"no traffic at all", 0, 0, 0, 0, unclear},
		{"none before", 0, 0, 1000, 0, unclear},
		{"too little since", 1000, 0, 10, 10, unclear},
		{"more errors than before", 1000, 0, 1000, 100, ineffective},
		{"no more errors than before", 1000, 0, 1000, 0, effective},
		{"errors of what was sent before the step", 1000, 100, 1000, 0, effective},
		{"nothing but those", 1000, 100, 0, 0, unclear},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.alerts.fire(s1)
				w.r.Wake()
				w.wait(10 * time.Second) // well by its probe: it is looked at
				count(w, s2, c.before, 0)
				w.wait(10 * time.Second)
				w.probe.set(s1, edge.No)
				w.wait(3 * time.Second)
				w.want(s1, "FDRAIN")
				count(w, s1, c.late, c.late)
				w.wait(6 * time.Second)
				count(w, s2, c.answers, c.wrong)
				w.wait(time.Minute)
				if got := w.effects(); !slices.Equal(got, []string{c.want}) {
					t.Errorf("got %v; want %s", got, c.want)
				}
			})
		})
	}
}
