package device

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
)

// onEach runs the same test on every kind of device.
func onEach(t *testing.T, f func(*testing.T, *Device)) {
	for name, start := range Kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, start(t))
		})
	}
}

func (d *Device) look(t *testing.T) edge.Snapshot {
	t.Helper()
	snap, err := d.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if snap.Device != Name || snap.At.IsZero() || snap.ReadOnly != "" {
		t.Fatalf("a look is incomplete: %+v", snap)
	}
	return snap
}

// set gives an order on what was just read.
func (d *Device) set(t *testing.T, to edge.Admin, members ...edge.Member) (edge.Receipt, error) {
	t.Helper()
	o := edge.Order{Version: d.look(t).Versions[Pool], Save: func(edge.Image) error { return nil }}
	for _, m := range members {
		o.Changes = append(o.Changes, edge.Change{Member: m, To: to})
	}
	return d.Set(t.Context(), o)
}

func (d *Device) must(t *testing.T, to edge.Admin, members ...edge.Member) {
	t.Helper()
	if _, err := d.set(t, to, members...); err != nil {
		t.Fatal(err)
	}
}

// unmoved compares two looks, without what moves by itself.
func unmoved(t *testing.T, before, after edge.Snapshot) {
	t.Helper()
	if d := cmp.Diff(before.States, after.States, cmpopts.IgnoreFields(edge.State{}, "Sessions", "Queue", "Chosen")); d != "" {
		t.Errorf("members are not as they were (-before +after):\n%s", d)
	}
}

func TestAllMembersAreThereReadyAndServing(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		snap := d.look(t)
		if len(snap.States) != len(d.Members) {
			t.Fatalf("%d members: %+v", len(snap.States), snap.States)
		}
		for _, m := range d.Members {
			st, ok := snap.State(m)
			if !ok || !st.Is(edge.Ready) || st.Marks != "" || !st.Serving || st.Share != 10 || st.Backup || st.Settled {
				t.Errorf("%s: %+v", m, st)
			}
			if _, _, err := net.SplitHostPort(st.Address); err != nil {
				t.Errorf("%s has the address %q: %v", m, st.Address, err)
			}
		}
	})
}

// I8, I12: on every kind of device the way back leads to where it began.
func TestOutAndBackLeavesEverythingAsItWas(t *testing.T) {
	for _, to := range []edge.Admin{edge.Drain, edge.Maint} {
		onEach(t, func(t *testing.T, d *Device) {
			before := d.look(t)
			m := d.Members[1]
			d.must(t, to, m)
			out := d.look(t)
			if st := out.States[m]; !st.Is(to) || st.Is(edge.Ready) || st.Serving || st.Marks == "" || st.Share != 10 {
				t.Errorf("to %s: %+v", to, st)
			}
			for _, other := range []edge.Member{d.Members[0], d.Members[2]} {
				if st := out.States[other]; !st.Is(edge.Ready) || !st.Serving {
					t.Errorf("another member moved: %+v", st)
				}
			}
			d.must(t, edge.Ready, m)
			unmoved(t, before, d.look(t))
		})
	}
}

func TestI9AnOrderIsAbsolute(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		d.must(t, edge.Drain, d.Members[0])
		once := d.look(t)
		d.must(t, edge.Drain, d.Members[0])
		unmoved(t, once, d.look(t))
	})
}

func TestSeveralChangesOfAPoolAreMade(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		d.must(t, edge.Maint, d.Members[0], d.Members[2])
		snap := d.look(t)
		if !snap.States[d.Members[0]].Is(edge.Maint) || !snap.States[d.Members[2]].Is(edge.Maint) || !snap.States[d.Members[1]].Is(edge.Ready) {
			t.Errorf("%+v", snap.States)
		}
		if _, whole := d.Whole(); whole && d.Writes() != 1 {
			t.Errorf("%d writes, want one", d.Writes())
		}
	})
}

func TestI7WhatAPersonDidIsRead(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		m := d.Members[0]
		d.Person(m, edge.Maint)
		if st := d.look(t).States[m]; st.Is(edge.Ready) || st.Marks == "" || st.Serving {
			t.Errorf("put out by a person: %+v", st)
		}
		d.Person(m, edge.Ready)
		if st := d.look(t).States[m]; !st.Is(edge.Ready) || st.Marks != "" || !st.Serving {
			t.Errorf("made ready by a person: %+v", st)
		}
	})
}

func TestI7AnOrderOnAPoolThatAPersonChangedIsNotSent(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		version := d.look(t).Versions[Pool]
		d.Person(d.Members[0], edge.Maint)
		_, err := d.Set(t.Context(), edge.Order{Version: version, Changes: []edge.Change{{Member: d.Members[0], To: edge.Ready}}})
		switch {
		case version == "" && err != nil: // one command for one member: nothing of the person's is written over
			t.Error(err)
		case version != "" && !errors.Is(err, edge.ErrChanged):
			t.Errorf("got %v", err)
		case version != "" && d.look(t).States[d.Members[0]].Is(edge.Ready):
			t.Error("the person's change was undone")
		}
	})
}

func TestI11NothingIsSentWhenTheObjectCanNotBeKept(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		full := errors.New("disk full")
		before := d.look(t)
		called := false
		_, err := d.Set(t.Context(), edge.Order{
			Changes: []edge.Change{{Member: d.Members[0], To: edge.Maint}},
			Save:    func(edge.Image) error { called = true; return full },
		})
		if !called {
			return // no objects: nothing to keep
		}
		if !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		unmoved(t, before, d.look(t))
	})
}

func TestI17NothingIsSentWhenTheLastMomentSaysNo(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		frozen := errors.New("frozen")
		before := d.look(t)
		saved, asked := false, 0
		r, err := d.Set(t.Context(), edge.Order{
			Changes: []edge.Change{{Member: d.Members[0], To: edge.Maint}, {Member: d.Members[1], To: edge.Maint}},
			Save: func(edge.Image) error {
				if saved = true; asked > 0 {
					t.Error("the object was kept after the last moment")
				}
				return nil
			},
			Last: func() error { asked++; return frozen },
		})
		if !errors.Is(err, frozen) || r.Written || asked != 1 {
			t.Errorf("got %v, written %t, asked %d times", err, r.Written, asked)
		}
		if d.Writes != nil && (d.Writes() > 0 || !saved) {
			t.Errorf("%d writes, saved %t", d.Writes(), saved)
		}
		unmoved(t, before, d.look(t))
	})
}

func TestI21NoNameIsACommand(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		before := d.look(t)
		known := d.Members[0].Name
		for _, name := range []string{
			"", "nobody", known + "\n", known + ";", known + "\x00", known + " state maint\nset server " + Pool + "/" + known, "../" + known, known + "?x=1", known + "#2", "*", ".*",
		} {
			for _, m := range []edge.Member{{Device: Name, Pool: Pool, Name: name}, {Device: Name, Pool: name, Name: known}} {
				if _, err := d.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: m, To: edge.Maint}}}); err == nil {
					t.Errorf("%q was taken", m)
				} else if strings.Contains(err.Error(), "\n") {
					t.Errorf("%q is more than a line", err)
				}
			}
		}
		unmoved(t, before, d.look(t))
	})
}

func TestAnotherDevicesMemberIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		m := d.Members[0]
		m.Device = "dev2"
		if _, err := d.Set(t.Context(), edge.Order{Changes: []edge.Change{{Member: m, To: edge.Maint}}}); !errors.Is(err, fleet.ErrDevice) {
			t.Errorf("got %v", err)
		}
	})
}

func TestACallThatIsCalledOffEnds(t *testing.T) {
	onEach(t, func(t *testing.T, d *Device) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Look(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("look: %v", err)
		}
		if _, err := d.Set(ctx, edge.Order{Changes: []edge.Change{{Member: d.Members[0], To: edge.Maint}}}); !errors.Is(err, context.Canceled) {
			t.Errorf("set: %v", err)
		}
	})
}
