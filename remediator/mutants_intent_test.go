package remediator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A way back that could not be recorded isn't gone: the next round sees what has
// changed meanwhile (I11).
func TestI11AWayBackThatCannotBeRecordedIsNotGone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		var seen []string
		met := false
		w.again(func(o *Options) {
			o.Devices["edge1"] = watched{device: w.device, before: func(edge.Order) {
				h, err := w.r.journal.Hold(s1)
				seen = append(seen, fmt.Sprint(h.Phase, " ", err))
			}}
			o.Failpoint = func(name string) {
				if name != "give_back.decided" || met {
					return
				}
				met = true // a person's order, by another replica
				h, err := w.r.journal.Hold(s1)
				if err == nil {
					h.Note = "seen"
					err = w.r.journal.Order(&h, journal.Entry{Event: "note", Actor: "ops"})
				}
				if err != nil {
					t.Error(err)
				}
			}
		}, nil)
		w.fail(s1)
		w.wait(time.Second)
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		if want := []string{"applying <nil>", "reverting <nil>"}; !met || !slices.Equal(seen, want) {
			t.Errorf("the journal had %q when the orders went out; want %q", seen, want)
		}
	})
}

// An intent that a crash left alone was never sent: it ends, and what is found is
// somebody else's (I7, I11).
func TestI7AnIntentThatIsFoundAloneEnds(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		h := journal.Hold{
			Member: s1, Policy: "drain", To: edge.Drain, Phase: journal.Intent, Preimage: w.device.state(s1), Process: "pid 1 started 1",
			Intent: time.Now(), LeaseUntil: time.Now().Add(time.Hour), MaxUntil: time.Now().Add(time.Hour),
		}
		w.stop()
		j, err := journal.Open(w.path, time.Second)
		if err == nil {
			err = j.Put(&h, journal.Entry{})
		}
		if err != nil || j.Close() != nil {
			t.Fatal(err)
		}
		w.device.change(func() { w.device.put(s1, edge.Drain) })
		w.start()
		w.wait(10 * time.Second)
		if h := w.hold(s1); h != nil {
			t.Errorf("%+v; want none", h)
		}
		w.want(s1, "FDRAIN")
		w.wantWrites(0)
	})
}
