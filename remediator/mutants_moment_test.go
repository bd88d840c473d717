package remediator

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A process that stood still between decision and order decides anew (I17).
func TestI17AnOrderDoesNotGoOutLongAfterItsDecision(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		stood := false
		w.again(func(o *Options) {
			o.Failpoint = func(name string) {
				if name == "take_out.recorded" && !stood {
					stood = true
					time.Sleep(15 * time.Second) // virtual
				}
			}
		}, nil)
		w.fail(s1)
		w.wait(time.Minute)
		got := w.results(s1)
		if len(got) == 0 || got[0] != "inventory/device_stale" || !slices.Contains(got, "drain applied") {
			t.Errorf("the journal says %v; want it decided anew", got)
		}
		w.wantWrites(1)
	})
}

// What is decided in one round and not in the journal yet spends the budget (I3).
func TestI3StepsOfOneWriteSpendOneBudget(t *testing.T) {
	inWorldWith(t, whole, func(c *Config) {
		twoAtOnce(c)
		c.Budget.Steps = 1
	}, func(w *world) {
		w.wait(time.Second)
		for _, m := range []edge.Member{s1, s2} {
			w.probe.set(m, edge.No)
			w.alerts.fire(m)
		}
		w.r.Wake()
		w.wait(time.Second)
		wantOrders(t, w, 1)
		wantResults(t, w.results(s2), "budget/overall_steps")
	})
}

// Holds of the journal spend the budget of all devices (I3).
func TestI3HoldsSpendTheBudgetOfAll(t *testing.T) {
	inWorld(t, func(c *Config) {
		c.Policies[0].MaxHeld, c.Policies[0].MinServing, c.Budget.MaxHeld = 3, "1", 1
	}, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
		w.restart()
		w.fail(s2)
		w.wait(10 * time.Second)
		w.want(s2, "")
		wantResults(t, w.results(s2), "budget/overall_held")
	})
}

// What a person silenced is known to people, and no storm (I4).
func TestI4WhatIsSilencedIsNoStorm(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.wait(time.Second)
		for _, m := range []edge.Member{s1, s2} {
			w.alerts.fire(m)
			w.alerts.silence(m)
		}
		w.r.Wake()
		w.wait(10 * time.Second)
		w.fail(s3)
		w.wait(10 * time.Second)
		w.want(s3, "FDRAIN")
	})
}
