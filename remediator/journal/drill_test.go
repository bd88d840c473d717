package journal

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

func drillAt(id string, at time.Time) Drill {
	return Drill{
		ID: id, Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}, Policy: "drain", Actor: "ann",
		At: at, Ends: at.Add(time.Minute), Until: at.Add(2 * time.Minute), Labels: map[string]string{edge.LabelDrill: id},
	}
}

// I11, I23: what is announced outlives the process, wherever the journal stands.
func TestADrillIsRemembered(t *testing.T) {
	for name, make := range places(t) {
		t.Run(name, func(t *testing.T) {
			at := make(t)
			j := opened(t, at)
			now := time.Now()
			ok(t, j.Announce(drillAt("d1", now)))
			j = again(t, at, j)
			ok(t, j.NoteDrill("d1", func(d *Drill) (bool, *Entry) {
				d.Fired = &Delivery{At: now, Receiver: "sluice"}
				return true, &Entry{Event: EventDrill, Result: "noted"}
			}))
			ok(t, j.NoteDrill("d1", func(d *Drill) (bool, *Entry) {
				d.Fired = nil
				return false, &Entry{Event: EventDrill}
			}))
			d, err := j.Drill("d1")
			ok(t, err)
			if d.Fired == nil || d.Fired.Receiver != "sluice" || d.Labels[edge.LabelDrill] != "d1" {
				t.Errorf("remembered: %+v", d)
			}
			es, err := j.Entries(Query{Event: EventDrill})
			ok(t, err)
			if len(es) != 2 || es[0].Result != "announced" || es[0].Actor != "ann" || es[1].Result != "noted" {
				t.Errorf("entered: %+v", es)
			}
			if _, err := j.Drill("d2"); !errors.Is(err, ErrNoDrill) {
				t.Errorf("another: %v", err)
			}
			if err := j.NoteDrill("d2", nil); !errors.Is(err, ErrNoDrill) {
				t.Errorf("a note on another: %v", err)
			}
			if f, err := j.Freeze(); err != nil || f != nil {
				t.Errorf("it is taken for a freeze: %v, %v", f, err)
			}
		})
	}
}

// I3: what a person can make us remember is bounded, and no mark whose alert may be
// left is forgotten.
func TestDrillsAreFewAndForgottenInTime(t *testing.T) {
	for name, make := range places(t) {
		t.Run(name, func(t *testing.T) {
			j := opened(t, make(t))
			now := time.Now()
			for i := range maxOpenDrills {
				ok(t, j.Announce(drillAt(fmt.Sprint("open", i), now)))
			}
			if err := j.Announce(drillAt("more", now)); !errors.Is(err, ErrDrills) {
				t.Errorf("one more: %v", err)
			}
			later := now
			for i := range 2 * maxDrills {
				later = later.Add(3 * time.Minute)
				ok(t, j.Announce(drillAt(fmt.Sprint("later", i), later)))
			}
			all, err := j.Drills()
			ok(t, err)
			if len(all) != maxDrills || all[len(all)-1].ID != fmt.Sprint("later", 2*maxDrills-1) {
				t.Errorf("%d are remembered, the last is %s", len(all), all[len(all)-1].ID)
			}

			// Ended ones are remembered until their alerts are gone for sure.
			for i := range maxDrills {
				id := fmt.Sprint("ended", i)
				err := j.Announce(drillAt(id, later.Add(3*time.Minute)))
				if err != nil {
					if i == 0 || !errors.Is(err, ErrDrills) {
						t.Fatalf("%d: %v", i, err)
					}
					return
				}
				ok(t, j.NoteDrill(id, func(d *Drill) (bool, *Entry) {
					d.Ended = d.At
					return true, nil
				}))
			}
			if err := j.Announce(drillAt("last", later.Add(3*time.Minute))); !errors.Is(err, ErrDrills) {
				t.Errorf("a mark was forgotten too soon: %v", err)
			}
		})
	}
}

// I19: a drill's note is nothing that wakes those who follow the state.
func TestADrillWakesNobody(t *testing.T) {
	j := opened(t, func() (*Journal, error) { return Open(t.TempDir()+"/sluice.db", time.Second) })
	changes, stop := j.Follow(PartState | PartHolds | PartHints)
	defer stop()
	ok(t, j.Announce(drillAt("d1", time.Now())))
	select {
	case <-changes:
		t.Error("followers were told")
	default:
	}
}
