package remediator

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// look has somebody read the device beside the rounds.
func (w *world) look() {
	w.t.Helper()
	if _, err := w.r.Explain(w.t.Context(), map[string]string{"device": "edge1", "pool": "shop", "member": "s1", "remediation": "drain"}); err != nil {
		w.t.Fatal(err)
	}
}

// Rounds look at a held member every two seconds; what another look showed in between
// is somebody's doing also when the next round finds nothing of it.
func TestI7WhatALookBesideTheRoundShowedIsTheirs(t *testing.T) {
	for name, undone := range map[string]func(*world){
		"and it was undone": func(w *world) {
			w.device.change(func() { w.device.put(s1, edge.Drain) })
		},
		"and the device began another life": func(w *world) { w.device.restart() },
		"and the device kept it in another life": func(w *world) {
			w.device.change(func() { w.device.process += "'" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.fail(s1)
				w.wait(10*time.Second + 500*time.Millisecond) // between two rounds
				w.want(s1, "FDRAIN")
				w.device.change(func() { w.device.put(s1, edge.Ready) })
				w.look()
				undone(w)
				w.wait(5 * time.Second)
				if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
					t.Errorf("got %+v; want it superseded", h)
				}
				w.recover(s1)
				w.wait(5 * time.Minute)
				w.wantWrites(1)
			})
		})
	}
}

// Nobody saw what became of our way back, and the member is found as we had left it: it
// was in rotation meanwhile, so somebody has taken it out again. Where it wasn't, or the
// device counts nothing, it is our own drain that stands.
func TestI7WhoTakesOutAnewWhatWeGaveBackIsSomebodyElse(t *testing.T) {
	for picked, want := range map[uint64]string{7: "FDRAIN", 0: ""} {
		inWorld(t, nil, func(w *world) {
			w.device.touch(s1, func(s *edge.State) { s.Chosen = 100 })
			w.fail(s1)
			w.wait(5 * time.Second)
			w.want(s1, "FDRAIN")
			w.device.change(func() { w.device.mute = true })
			w.recover(s1)
			w.wait(time.Minute)
			w.device.change(func() {
				w.device.mute, w.device.dead = false, false
				w.device.put(s1, edge.Drain)
				st := w.device.states[s1]
				st.Chosen += picked
				w.device.states[s1] = st
			})
			w.wait(time.Minute)
			w.want(s1, want)
			if h := w.hold(s1); (picked > 0) != (h != nil && h.Phase == journal.Superseded) {
				t.Errorf("picked %d times: got %+v", picked, h)
			}
		})
	}
}

// A member that is in rotation while it comes back is picked, also while its last step
// fails: that is nobody's doing.
func TestI7WhatIsPickedOnItsWayBackIsOurs(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.device.touch(s1, func(s *edge.State) { s.Chosen = 100 })
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(80 * time.Second)
		w.wantSent("s1 drain", "s1 ready 10", "s1 ready 50")
		w.again(func(o *Options) {
			o.Failpoint = func(here string) {
				if here == "give_back.sent" {
					w.device.change(func() {
						st := w.device.states[s1]
						st.Chosen += 7
						w.device.states[s1] = st
					})
				}
			}
		}, nil)
		w.device.change(func() { w.device.deaf = true })
		w.wait(2 * time.Minute)
		w.device.change(func() { w.device.deaf = false })
		w.wait(6 * time.Minute)
		if h := w.hold(s1); h != nil {
			t.Errorf("a hold is left: %+v", h)
		}
		if got := w.device.states[s1]; got.Share != 100 || got.Admin != edge.Ready {
			t.Errorf("it is left with weight %d", got.Share)
		}
	})
}

// What a node that isn't the active one shows is no word on what we left on the active one.
func TestI7WhatAPassiveNodeShowsIsNoChange(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(5 * time.Second)
		snap, err := w.device.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		snap.ReadOnly = "passive"
		st := snap.States[s1]
		st.Admin, st.Marks = edge.Ready, ""
		snap.States[s1] = st
		newKeeper(w.r, w.r.set, "edge1", w.device).notice(snap, time.Now())
		w.recover(s1)
		w.wait(time.Minute)
		w.wantWrites(2)
		w.want(s1, "")
	})
}

// What a look shows of a command of ours that is on its way is no change of somebody else.
func TestI7OurOwnCommandIsNoChangeOfSomebodyElse(t *testing.T) {
	for _, at := range []string{"take_out.sent", "take_out.read_back", "give_back.decided", "give_back.sent", "give_back.read_back"} {
		t.Run(at, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.again(func(o *Options) {
					o.Failpoint = func(here string) {
						if here == at {
							w.look()
						}
					}
				}, nil)
				w.fail(s1)
				w.wait(30 * time.Second)
				w.recover(s1)
				w.wait(time.Minute)
				w.wantWrites(2)
				if got := w.results(s1); slices.Contains(got, "drain superseded") {
					t.Errorf("the journal says %v", got)
				}
			})
		})
	}
}

// A look that began before a command of ours, and came to its end after it, shows how it
// was before.
func TestI10ALookFromBeforeOurCommandIsNoChangeOfSomebodyElse(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		began := time.Now()
		before, err := w.device.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.fail(s1)
		w.wait(time.Second)
		newKeeper(w.r, w.r.set, "edge1", w.device).notice(before, began)
		w.recover(s1)
		w.wait(time.Minute)
		w.wantWrites(2)
		w.want(s1, "")
	})
}

// Between the round's look and the command a change may be seen and be undone: that
// it was there stops the command.
func TestI7WhatALookShowedBeforeTheCommandStopsIt(t *testing.T) {
	inWorld(t, func(c *Config) { c.Policies[0].HoldDown = model.Duration(10 * time.Second) }, func(w *world) {
		w.again(func(o *Options) {
			o.Failpoint = func(here string) {
				if here != "give_back.decided" {
					return
				}
				w.device.change(func() { w.device.put(s1, edge.Maint) })
				w.look()
				w.device.change(func() { w.device.put(s1, edge.Drain) })
			}
		}, nil)
		w.fail(s1)
		w.wait(30 * time.Second)
		w.recover(s1)
		w.wait(5 * time.Minute)
		w.wantWrites(1)
		w.want(s1, "FDRAIN")
		if got := w.results(s1); !slices.Contains(got, "foreign/superseded") || !slices.Contains(got, "drain superseded") {
			t.Errorf("I23: the journal says %v", got)
		}
	})
}

// Under the old name stands another machine: that it failed is not known, and that we held
// its name is no reason to take it out.
func TestI7AnotherAddressAfterARestartIsNoHoldOfOurs(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(5 * time.Second)
		w.want(s1, "FDRAIN")
		w.device.restart()
		w.device.touch(s1, func(s *edge.State) { s.Address = "192.0.2.99:80" })
		w.wait(time.Minute)
		w.wantWrites(1)
		if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
			t.Errorf("got %+v; want it superseded", h)
		}
	})
}

// While the device is read once more before the way back, the member may be found bad
// again: that is heard before anything is decided.
func TestI14WhatIsFoundBadWhileTheDeviceIsReadIsHeard(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(5 * time.Second)
		w.want(s1, "FDRAIN")
		found := false
		var each func()
		each = func() { // the caller holds the device's lock
			w.device.looking = each
			h, err := w.r.journal.Hold(s1)
			if err != nil || h.GoodSince.IsZero() || time.Since(h.GoodSince) < 10*time.Second || found {
				return
			}
			found = true // the round that gives back has looked, and looks once more
			w.probe.set(s1, edge.No)
		}
		w.device.change(func() { w.device.hang, w.device.looking = 1500*time.Millisecond, each })
		w.recover(s1)
		w.wait(2 * time.Minute)
		if !found {
			t.Fatal("it was never about to be given back")
		}
		w.wantWrites(1)
		w.want(s1, "FDRAIN")
	})
}

// Without a second source a release rests on the device's own check, whatever it says.
func TestI14WithoutASecondSourceTheDevicesCheckGivesBack(t *testing.T) {
	inWorld(t, func(c *Config) { c.Policies[0].Confirm = "none" }, func(w *world) {
		w.device.touch(s1, func(s *edge.State) { s.Check = edge.No })
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(5 * time.Second)
		w.want(s1, "FDRAIN")
		w.alerts.resolve(s1)
		for _, check := range []edge.Answer{edge.No, edge.Unknown} {
			w.device.touch(s1, func(s *edge.State) { s.Check = check })
			w.wait(5 * time.Minute)
			w.want(s1, "FDRAIN")
		}
		w.device.touch(s1, func(s *edge.State) { s.Check = edge.Yes })
		w.wait(time.Minute)
		w.want(s1, "")
	})
}
