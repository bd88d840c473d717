package remediator

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Between the last look at what stops a step and its command stands a durable write,
// which may take long: what comes during that counts, too.
func TestI17WhatHappensWhileTheStepIsRecordedStopsIt(t *testing.T) {
	for name, in := range map[string]func(*world) error{
		"freeze/frozen": func(w *world) error {
			return w.r.journal.SetFreeze(journal.Freeze{Device: "edge1", Reason: "x", Actor: "ann"})
		},
		"foreign/claimed": func(w *world) error {
			return w.r.journal.Claim(journal.Claimed{Member: s1, Reason: "x", Actor: "ann"})
		},
		"inventory/device_stale": func(*world) error {
			time.Sleep(freshest + time.Second) // virtual
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				passed := 0
				w.again(func(o *Options) {
					o.Failpoint = func(at string) {
						if at != "take_out.sending" {
							return
						}
						if passed++; passed == 1 {
							if err := in(w); err != nil {
								t.Error(err)
							}
							if sent := w.device.writes(); len(sent) > 0 {
								t.Errorf("it was sent before that: %v", sent)
							}
						}
					}
				}, nil)
				w.fail(s1)
				w.wait(time.Minute)
				if got := w.results(s1); len(got) == 0 || got[0] != name {
					t.Errorf("I23: the journal says %v", got)
				}
				stays := name != "inventory/device_stale" // that is decided anew
				if sent := w.device.writes(); stays != (len(sent) == 0) {
					t.Errorf("the device got %v", sent)
				}
				if h := w.hold(s1); stays != (h == nil) {
					t.Errorf("held: %t", h != nil)
				}
			})
		})
	}
}

// A device that is looked at before each write takes its time for that: what comes
// during those looks stops the write, of a step and of a way back.
func TestI17WhatHappensWhileTheDeviceIsLookedAtStopsTheWrite(t *testing.T) {
	for name, in := range map[string]func(*world) error{
		"freeze/frozen": func(w *world) error {
			return w.r.journal.SetFreeze(journal.Freeze{Device: "edge1", Pool: "shop", Reason: "x", Actor: "ann"})
		},
		"foreign/claimed": func(w *world) error {
			return w.r.journal.Claim(journal.Claimed{Member: s1, Reason: "x", Actor: "ann"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, whole, twoAtOnce, func(w *world) {
				looked := 0
				w.device.change(func() {
					w.device.looked = func() {
						if looked++; looked == 1 {
							if err := in(w); err != nil {
								t.Error(err)
							}
						}
					}
				})
				for _, m := range []edge.Member{s1, s2} {
					w.probe.set(m, edge.No)
					w.alerts.fire(m)
				}
				w.r.Wake()
				w.wait(time.Minute)
				if got := w.results(s1); len(got) == 0 || got[0] != name {
					t.Errorf("I23: the journal says of s1 %v", got)
				}
				w.want(s1, "")
				if h := w.hold(s1); h != nil {
					t.Errorf("held: %+v", h)
				}
				if name != "foreign/claimed" {
					wantOrders(t, w)
					w.want(s2, "")
					return
				}
				// The other of the one order that wasn't sent is nobody's: it goes alone.
				wantOrders(t, w, 1)
				w.want(s2, "DOWN")
				wantResults(t, w.results(s2), "drain replanned", "drain applied")
			})
		})
	}
	t.Run("on the way back", func(t *testing.T) {
		inWorldWith(t, whole, nil, func(w *world) {
			w.fail(s1)
			w.wait(time.Second)
			w.want(s1, "DOWN")
			w.device.change(func() { w.device.looked = w.freeze })
			w.recover(s1)
			w.wait(10 * time.Minute)
			w.want(s1, "DOWN")
			wantOrders(t, w, 1)
			if got := w.results(s1); !slices.Contains(got, "freeze/frozen") {
				t.Errorf("the journal says %v", got)
			}
			if h := w.hold(s1); h == nil || h.Phase == journal.Superseded || h.Undo {
				t.Errorf("got %+v", h)
			}
		})
	})
}

// The questions take their time: what the device says after them counts.
func TestI17AStepIsJudgedByWhatTheDeviceSaysAfterTheQuestions(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		drained := false
		w.probe.asked = func(m edge.Member) {
			if m == s1 && !drained {
				drained = true
				w.device.change(func() { w.device.put(s2, edge.Drain) })
			}
		}
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		w.wantWrites(0)
		if got := w.results(s1); len(got) == 0 || !strings.HasPrefix(got[0], "min_serving/") {
			t.Errorf("the journal says %v", got)
		}
	})
}

// The same of a further step on what is held already.
func TestI17AFurtherStepIsStoppedWhileItIsRecorded(t *testing.T) {
	inWorld(t, func(c *Config) {
		c.Policies[0].To, c.Policies[0].DrainWait = "maint", model.Duration(time.Minute)
	}, func(w *world) {
		w.device.change(func() {
			for m, st := range w.device.states {
				st.Sessions = 3
				w.device.states[m] = st
			}
		})
		passed := 0
		w.again(func(o *Options) {
			o.Failpoint = func(at string) {
				if at == "take_out.sending" {
					if passed++; passed == 2 {
						w.freeze()
					}
				}
			}
		}, nil)
		w.fail(s1)
		w.wait(5 * time.Minute)
		w.want(s1, "FDRAIN")
		if got := w.results(s1); !slices.Contains(got, "freeze/frozen") {
			t.Errorf("the journal says %v", got)
		}
		if h := w.hold(s1); h == nil || h.Phase != journal.Holding || h.Goal != nil {
			t.Errorf("got %+v", h)
		}
	})
}

// What a person did to an object by one of its names holds for its other names.
func TestI7APersonsWordOnATwinStandsForTheObject(t *testing.T) {
	for _, by := range []string{"an order", "a release"} {
		t.Run(by, func(t *testing.T) {
			inWorldWith(t, twoPools, bothPools, func(w *world) {
				w.again(func(o *Options) { o.Checks = []Check{anywhere{w.probe}} }, nil)
				w.fail(s1)
				w.wait(time.Second)
				w.want(s1, "FDRAIN")
				if by == "an order" {
					w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
				} else if err := w.r.Release(t.Context(), s1, "ann", "by hand"); err != nil {
					t.Fatal(err)
				}
				w.wait(10 * time.Second)
				w.want(s1, "")
				w.wantWrites(2)
				w.fail(other("t1")) // the same object
				w.wait(time.Minute)
				w.wantWrites(2)
				if got := w.said(other("t1")); !strings.HasPrefix(got, "foreign/released: ann") {
					t.Errorf("got %q", got)
				}
				w.recover(s1)
				w.wait(time.Minute)
				w.wantWrites(3) // nobody's word stands any more
			})
		})
	}
}

// anywhere covers all members.
type anywhere struct{ *probe }

// Covers is [Check]'s.
func (anywhere) Covers(edge.Member) bool { return true }

// A journal that gives no answer when a keeper begins is asked again: what it says of
// the time before isn't done without.
func TestI11WhatHappenedBeforeIsReadUntilItIs(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.mute = true })
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "indeterminate")
		w.stop()
		w.device.change(func() { w.device.mute, w.device.dead = false, false })

		closed, err := journal.Open(filepath.Join(t.TempDir(), "closed.db"), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := New(Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}, Logger: logTo(t)})
		if err != nil {
			t.Fatal(err)
		}
		whole := r.journal
		r.journal = closed
		ctx, cancel := context.WithCancel(w.t.Context())
		k, ended := newKeeper(r, r.set, "edge1", w.device), make(chan bool)
		go func() {
			k.run(ctx)
			close(ended)
		}()
		w.wait(10 * time.Second)
		r.journal = whole
		w.wait(2 * time.Second)
		w.r = r
		if got := w.results(s1); !slices.Equal(got, []string{"drain indeterminate", "drain applied"}) {
			t.Errorf("the journal says %v", got)
		}
		cancel()
		<-ended
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A weight that a person sets after a step of ours was cut off at its weight is theirs.
func TestI7AWeightThatAPersonSetAfterHalfAnOrderIsLeftAlone(t *testing.T) {
	for name, set := range map[string]func(*world){
		"through us": func(w *world) { w.order(PersonOrder{Member: s1, Share: 30}, "applied") },
		"at the device": func(w *world) {
			w.device.touch(s1, func(st *edge.State) { st.Share = 30 })
		},
		"between the round's look and the last one": func(w *world) {
			var last time.Time
			var look func()
			look = func() { // virtual time stands still in a round
				if last.Equal(time.Now()) {
					st := w.device.states[s1]
					st.Share = 30
					w.device.states[s1] = st
					return
				}
				last, w.device.looking = time.Now(), look
			}
			w.device.change(func() { w.device.looking = look })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, weighed, bySteps, func(w *world) {
				w.fail(s1)
				w.wait(time.Minute)
				w.device.change(func() { w.device.halved = true })
				w.recover(s1)
				for range 200 {
					if h := w.hold(s1); h != nil && h.Direct {
						break
					}
					w.wait(100 * time.Millisecond)
				}
				set(w)
				w.wait(10 * time.Minute)
				w.device.mu.Lock()
				defer w.device.mu.Unlock()
				if st := w.device.states[s1]; st.Share != 30 {
					t.Errorf("weight %d; want the 30 that a person set: %v", st.Share, w.device.sent)
				}
			})
		})
	}
}

// I19, I23: what a hold moved when it began is in the way of its end, whatever the
// device says by now, and that is found out before anything is recorded of a step.
func TestI19WhatAHoldMovedIsFrozenWithIt(t *testing.T) {
	inWorldWith(t, twoPools, bothPools, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.device.change(func() { w.device.along = nil }) // the object is in one pool alone by now
		w.freezeScope("edge1", "app", time.Time{})
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
		if got := w.entriesOf(s1, "refusal"); len(got) != 1 || got[0].Guard != "freeze" {
			t.Errorf("%d refusals, the first: %+v", len(got), got[:min(1, len(got))])
		}
		if got := w.entriesOf(s1, "intent"); len(got) != 1 {
			t.Errorf("%d intents; want the one that took it out", len(got))
		}
	})
}

// A silence on an object by one of its names is a person's word for all of them.
func TestI7ASilenceOnATwinStandsForTheObject(t *testing.T) {
	inWorldWith(t, twoPools, bothPools, func(w *world) {
		w.wait(time.Second)
		w.alerts.fire(other("t1"))
		w.alerts.silence(other("t1"))
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		if got := w.said(s1); !strings.HasPrefix(got, "silence/silenced") {
			t.Errorf("got %q", got)
		}
		w.alerts.resolve(other("t1"))
		w.r.Wake()
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.alerts.fire(other("t1"))
		w.alerts.silence(other("t1"))
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "") // it keeps nobody from coming back
	})
}

// A window of the configuration that begins between the decision and the command.
func TestI17AWindowThatBeginsAfterTheDecisionIsSeen(t *testing.T) {
	inWorld(t, func(c *Config) { // virtual time begins at midnight
		c.Maintenance = []Maintenance{{Members: Members{Pool: "shop"}, Window: calendar.Window{Name: "patch", From: "2000-01-01T00:01:00Z", To: "2000-01-01T00:02:00Z"}}}
	}, func(w *world) {
		passed := 0
		w.again(func(o *Options) {
			o.Failpoint = func(at string) {
				if at == "take_out.recorded" {
					if passed++; passed == 1 {
						w.wantWrites(0)
						time.Sleep(2 * time.Second) // virtual
					}
				}
			}
		}, nil)
		w.wait(58 * time.Second) // and the second that it takes to begin
		w.fail(s1)
		w.wait(10 * time.Second)
		w.wantWrites(0)
		if got := w.results(s1); len(got) == 0 || got[0] != "maintenance/window" {
			t.Errorf("the journal says %v", got)
		}
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
	})
}

// What a claim took over is shown as the person's, and what somebody changed before is
// let go of as it is.
func TestI7WhatAClaimTookOverIsShownAsTheirs(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.claim(s1, time.Time{})
		w.wait(time.Second)
		all, err := w.r.Members(w.t.Context(), "edge1", "shop")
		if err != nil || len(all.Members) != 3 || all.Members[0].Set == nil || all.Members[0].Set.By != "person" || all.Members[0].Set.Actor != "ann" {
			t.Errorf("got %+v, %v", all.Members, err)
		}
		w.unclaim(s1)
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		w.recover(s1)
		w.wait(20 * time.Minute) // the penalty of the first time is over
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.device.change(func() { w.device.put(s1, edge.Maint) })
		w.wait(10 * time.Second)
		h := w.hold(s1)
		if h == nil || h.Phase != journal.Superseded {
			t.Fatalf("got %+v", h)
		}
		w.claim(s1, time.Time{})
		w.wait(time.Second)
		w.want(s1, "FMAINT")
		es, err := w.r.journal.Entries(journal.Query{Hold: h.ID, Event: string(journal.Superseded)})
		if err != nil || w.hold(s1) != nil {
			t.Errorf("still held: %v", err)
		}
		if len(es) != 0 { // it is the step's outcome that says so
			t.Errorf("superseded once more: %+v", es)
		}
	})
}

// I19: a release that a person asks for while a freeze stops our own isn't lost.
func TestI19AReleaseIsAskedForWhileOursIsStopped(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		passed := 0
		w.again(func(o *Options) {
			o.Failpoint = func(at string) {
				if at == "give_back.recorded" {
					if passed++; passed == 1 {
						w.freeze()
						if err := w.r.Release(w.t.Context(), s1, "ann", "by hand"); err != nil {
							t.Error(err)
						}
					}
				}
			}
		}, nil)
		w.fail(s1)
		w.wait(time.Second)
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		w.wantWrites(2)
		if got := w.entriesOf(s1, "step"); len(got) == 0 || passed != 2 {
			t.Errorf("passed %d times: %v", passed, w.results(s1))
		}
	})
}

// I19: a window in place of another of its name is what it says, and not what that said.
func TestI19AWindowThatTookAnothersPlaceIsReadAnew(t *testing.T) {
	inHands(t, nil, func(w *world) {
		spec := func(pool string) control.WindowSpec {
			return control.WindowSpec{Name: "patch", Members: control.Selector{Pool: pool}, From: "2000-01-01T00:00:00Z", To: "2000-01-02T00:00:00Z"}
		}
		if _, err := w.r.AddWindow(spec("api"), "ann"); err != nil {
			t.Fatal(err)
		}
		if got := w.r.barriers().in(time.Now(), s1); len(got) != 0 {
			t.Errorf("got %v", got)
		}
		if err := w.r.journal.DropWindow("patch", "ann", "a slip"); err != nil {
			t.Fatal(err)
		}
		if err := w.r.journal.SetWindow(journal.Window{Name: "patch", Actor: "ann", Spec: marshal(spec("shop"))}); err != nil {
			t.Fatal(err)
		}
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
	})
}
