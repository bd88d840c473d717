package remediator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

var s4 = member("s4")

// observingNew has what a reload brings observed for ten minutes.
func observingNew(c *Config) { c.ObserveNew = model.Duration(10 * time.Minute) }

// grow has the device come back from a reload of its own with one member more.
func (w *world) grow() {
	w.device.restart()
	w.device.change(func() {
		st := w.device.states[s1]
		st.Member, st.Address = s4, "192.0.2.1:804"
		w.device.states[s4] = st
	})
}

// reload replaces the settings, and leaves the source of claims as it is.
func (w *world) reload(next *Config, devices map[string]Device) {
	w.t.Helper()
	if err := w.r.Apply(Options{Config: next, Devices: devices, Checks: []Check{w.probe}}); err != nil {
		w.t.Fatal(err)
	}
	w.cfg = next
	w.wait(time.Second)
}

// told lists what the journal says of what appeared, and of its end.
func (w *world) told() (out []string) {
	w.t.Helper()
	es, err := w.r.journal.Entries(journal.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range es {
		switch {
		case e.Event == eventAppeared && e.Member != nil:
			out = append(out, "appeared "+e.Member.String())
		case e.Event == eventAppeared:
			out = append(out, "appeared "+e.Detail)
		case e.Event == "mode" && e.Reason == reasonObserved:
			out = append(out, "trusted "+noveltyOf(e).String())
		}
	}
	return out
}

// SAFETY.md, "Modes to earn trust": what a reload brings is observed at first, and the
// end of that is recorded.
func TestAMemberThatAppearsIsObservedAtFirst(t *testing.T) {
	for name, between := range map[string]func(*world){
		"":                    func(*world) {},
		"also over a restart": func(w *world) { w.restart() },
		"also when it comes by two looks": func(w *world) {
			w.grow()
			w.wait(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, observingNew, func(w *world) {
				w.fail(s1) // so that the device is looked at
				w.wait(time.Second)
				w.want(s1, "FDRAIN")
				w.recover(s1)
				w.wait(time.Minute)
				w.want(s1, "")
				w.grow()
				w.fail(s4)
				w.wait(5 * time.Second)
				between(w)
				w.wait(8 * time.Minute)
				w.want(s4, "")
				if got := w.results(s4); !slices.Contains(got, "drain observed") {
					t.Errorf("I23: the journal says %v", got)
				}
				w.wait(3 * time.Minute)
				w.want(s4, "FDRAIN")
				if got := strings.Join(w.told(), ", "); got != "appeared edge1/shop/s4, trusted edge1/shop/s4" {
					t.Errorf("I23: the journal says %s", got)
				}
			})
		})
	}
}

// Who was there before is nobody new, and while one is observed the others aren't.
func TestWhatWasThereIsNotNew(t *testing.T) {
	inWorld(t, observingNew, func(w *world) {
		w.grow()
		w.restart() // whoever is found at the start was there
		w.fail(s4)
		w.wait(time.Second)
		w.want(s4, "FDRAIN")
		if got := w.told(); len(got) > 0 {
			t.Errorf("the journal says %v", got)
		}
	})
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.recover(s1)
		w.wait(time.Minute)
		w.grow()
		w.fail(s4)
		w.wait(5 * time.Second)
		w.want(s4, "FDRAIN") // observe_new is 0
		if got := w.told(); len(got) > 0 {
			t.Errorf("the journal says %v", got)
		}
	})
}

func TestAPolicyThatAppearsIsObservedAtFirst(t *testing.T) {
	inWorld(t, observingNew, func(w *world) {
		next := *w.cfg
		next.Policies = []Policy{{Name: "drain", To: "drain", MinServing: "2", HoldDown: model.Duration(10 * time.Second), Members: Members{Pool: "sh.*"}}}
		if m := next.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
			t.Fatal(m)
		}
		w.reload(&next, map[string]Device{"edge1": w.device})
		w.fail(s1)
		w.wait(9 * time.Minute)
		w.want(s1, "")
		w.wait(2 * time.Minute)
		w.want(s1, "FDRAIN")
		if got := strings.Join(w.told(), ", "); got != "appeared drain on .*/sh.*/.*, trusted the policy for drain on .*/sh.*/.*" {
			t.Errorf("I23: the journal says %s", got)
		}
		again := next // the same once more is nothing new
		w.reload(&again, map[string]Device{"edge1": w.device})
		if got := w.told(); len(got) != 2 {
			t.Errorf("the journal says %v", got)
		}
	})
}

func TestADeviceThatAppearsIsObservedAtFirst(t *testing.T) {
	inWorld(t, observingNew, func(w *world) {
		second := newDevice()
		for _, name := range []string{"s1", "s2", "s3"} {
			m := edge.Member{Device: "edge2", Pool: "shop", Name: name}
			second.states[m] = edge.State{Member: m, Address: "192.0.2.2:80" + name[1:], Serving: true, Weight: 1, Check: edge.Unknown}
		}
		next := *w.cfg
		w.reload(&next, map[string]Device{"edge1": w.device, "edge2": second})
		w.fail(edge.Member{Device: "edge2", Pool: "shop", Name: "s1"})
		w.fail(s1)
		w.wait(9 * time.Minute)
		w.want(s1, "FDRAIN") // of the device that was there
		if got := second.writes(); len(got) > 0 {
			t.Errorf("the new device got %v", got)
		}
		w.wait(2 * time.Minute)
		if got := second.writes(); len(got) != 1 {
			t.Errorf("the device that isn't new any more got %v", got)
		}
	})
}
