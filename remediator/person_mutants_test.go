package remediator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// These guard what test/mutate takes out of the way of a person's step.

func TestI16WhoLostTheLeadSendsNoPersonsOrder(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := newOffice(true)
		w.again(func(opts *Options) {
			opts.Coordinator = o
			opts.Failpoint = func(name string) {
				if name == "order.recorded" {
					o.turn(false)
				}
			}
		}, nil)
		out, err := w.r.Order(w.t.Context(), PersonOrder{Member: s1, To: edge.Drain, Actor: "ann"})
		if !errors.Is(err, ErrStandby) {
			t.Errorf("got %+v, %v", out, err)
		}
		w.wait(time.Second)
		if out, err := w.r.Order(w.t.Context(), PersonOrder{Member: s1, To: edge.Drain, Actor: "ann"}); !errors.Is(err, ErrStandby) {
			t.Errorf("from a replica that stands by: %+v, %v", out, err)
		}
		w.wantWrites(0)
	})
}

func TestI16WhoLosesTheLeadWhileTheDeviceIsLookedAtSendsNoPersonsOrder(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		o := newOffice(true)
		w.again(func(opts *Options) { opts.Coordinator = o }, nil)
		w.device.change(func() { w.device.looked = func() { o.turn(false) } })
		out, err := w.r.Order(w.t.Context(), PersonOrder{Member: s1, To: edge.Maint, Actor: "ann"})
		if !errors.Is(err, ErrStandby) || out.Written || out.Result != "failed" {
			t.Errorf("got %+v, %v", out, err)
		}
		wantOrders(t, w)
	})
}

func TestI17APersonsOrderDoesNotGoOutLongAfterItsDecision(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		slept := 0
		w.again(func(o *Options) {
			o.Failpoint = func(name string) {
				if name == "order.recorded" && slept == 0 { // this process stands still
					slept++
					time.Sleep(time.Minute)
					w.device.change(func() { w.device.put(s2, edge.Maint) })
				}
			}
		}, nil)
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "refused") // as it is by now
		w.wantWrites(0)
	})
}

func TestI17APersonsStepIsDecidedOnTheLookAfterTheQuestions(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Checks = []Check{asked{w.probe, func() {
				w.device.change(func() { w.device.put(s2, edge.Maint) })
			}}}
		}, nil)
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "refused")
		w.wantWrites(0)
	})
}

// asked is a probe with something to do when it is asked.
type asked struct {
	*probe
	before func()
}

func (a asked) Ask(ctx context.Context, st edge.State) guard.Evidence {
	a.before()
	return a.probe.Ask(ctx, st)
}

// asking has something to do when it is asked for a member's row, which is after the
// decision and before its record.
type asking struct {
	*device
	asked func()
}

func (d asking) Look(ctx context.Context) (edge.Snapshot, error) {
	snap, err := d.device.Look(ctx)
	snap.Row = func(edge.Member) string { d.asked(); return "" }
	return snap, err
}

func TestI11WhatAPersonOrdersIsNotSentWhenItsIntentIsNotRecorded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Devices["edge1"] = asking{w.device, func() {
				if err := w.r.journal.Close(); err != nil {
					t.Error(err)
				}
			}}
		}, nil)
		if out, err := w.r.Order(w.t.Context(), PersonOrder{Member: s1, To: edge.Drain, Actor: "ann"}); err == nil {
			t.Errorf("got %+v", out)
		}
		w.wantWrites(0)
	})
}

func TestI12TheObjectBeforeAPersonsWriteIsKept(t *testing.T) {
	inWorldWith(t, writesWhole, nil, func(w *world) {
		w.wait(time.Second)
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "applied")
		var before []string
		for _, e := range w.entries() {
			if e.Event == "image" && len(e.Before) > 0 {
				before = append(before, string(e.Before))
			}
		}
		if diff := cmp.Diff([]string{"before"}, before); diff != "" {
			t.Errorf("objects in the journal (-want +got):\n%s", diff)
		}
	})
}

// writesWhole makes the device one that writes pools whole.
func writesWhole(w *world) {
	w.device.change(func() {
		w.device.every = 10 * time.Second
		for m := range w.device.states {
			w.device.put(m, edge.Ready)
		}
	})
}

func TestI1APersonsStepIsJudgedInEachPoolThatItMoves(t *testing.T) {
	for name, change := range map[string]func(*Config){"both ruled by a policy": bothPools, "the other by none": nil} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, twoPools, change, func(w *world) {
				w.wait(time.Second)
				w.device.change(func() {
					w.device.put(other("t2"), edge.Maint)
					w.device.put(other("t3"), edge.Maint)
				})
				w.order(PersonOrder{Member: s1, To: edge.Drain}, "refused")
				w.wantWrites(0)
			})
		})
	}
}

func TestI7WhatAPersonsStepMovesAlongIsTheirsToo(t *testing.T) {
	t.Run("a hold of ours", func(t *testing.T) {
		inWorldWith(t, twoPools, bothPools, func(w *world) {
			w.fail(s1)
			w.wait(time.Second)
			w.want(s1, "FDRAIN")
			w.order(PersonOrder{Member: other("t1"), To: edge.Ready}, "unchanged") // the fake moved s1 alone
			w.recover(s1)
			w.wait(time.Hour)
			if h := w.hold(s1); h != nil {
				t.Errorf("still held: %+v", h)
			}
			w.wantWrites(1)
		})
	})
	t.Run("a claim", func(t *testing.T) {
		inWorldWith(t, twoPools, bothPools, func(w *world) {
			w.device.change(func() { w.device.put(s1, edge.Maint) })
			w.fail(s1)
			w.wait(time.Second)
			w.order(PersonOrder{Member: other("t1"), To: edge.Ready}, "unchanged")
			w.device.change(func() { w.device.put(s1, edge.Ready) }) // which is the same object
			w.wait(time.Hour)
			w.want(s1, "")
			w.wantWrites(0)
		})
	})
}

// A crash between a way back by hand and the word that goes on standing (I7).
func TestI7ACrashDoesNotForgetThatAPersonHadItGivenBack(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Failpoint = func(name string) {
				if name == "give_back.outcome" {
					if err := w.r.journal.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}, nil)
		w.fail(s1)
		w.wait(time.Second)
		if err := w.r.Release(w.t.Context(), s1, "ann", "I need it"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.want(s1, "")
		w.restart()
		w.wait(time.Hour)
		w.want(s1, "")
		w.wantWrites(2)
	})
}

func TestI7AClaimThatABlindSourceHidesDoesNotUndoAPersonsReady(t *testing.T) { // I6
	inHands(t, nil, func(w *world) {
		w.alerts.setBlind("restarted")
		w.r.Wake()
		w.wait(time.Second)
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "unchanged")
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		w.alerts.setBlind("")
		w.wait(time.Hour)
		w.want(s1, "")
	})
}

func TestI7AClaimThatNoRoundHasJudgedDoesNotUndoAPersonsReady(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.put(s1, edge.Maint) })
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		w.r.mu.Lock()
		w.r.view = w.alerts.Read(w.t.Context())
		w.r.mu.Unlock()
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		w.wait(time.Hour)
		w.want(s1, "")
		w.wantWrites(1)
	})
}

func TestI10ARoundWaitsForAPersonsOrder(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.mute = true })
		w.order(PersonOrder{Member: s1, To: edge.Maint}, "indeterminate")
		w.device.change(func() { w.device.mute, w.device.dead = false, false })
		w.wait(time.Minute) // nothing is claimed or held
		steps := w.entriesOf(s1, "step")
		if len(steps) != 2 || steps[1].Result != "applied" {
			t.Errorf("got %+v; want it found out", steps)
		}
	})
}

// I7: the hold that a person's step ends is ended by that, and never found
// changed by somebody first.
func TestI7APersonsOrderIsFoundOutBeforeTheHoldIsLookedAt(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.device.change(func() { w.device.mute = true })
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "indeterminate")
		w.device.change(func() { w.device.mute, w.device.dead = false, false })
		w.wait(time.Minute)
		for _, e := range w.entries() {
			if e.Event == "step" && e.Result == "superseded" {
				t.Errorf("somebody: %+v", e)
			}
		}
		cs, err := w.r.journal.Candidates()
		if err != nil || len(cs) != 1 || cs[0].Released != "ann" || cs[0].Phase != journal.Deferred {
			t.Errorf("got %+v, %v", cs, err)
		}
	})
}
