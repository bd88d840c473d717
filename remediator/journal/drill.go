package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Drill is a person's try of the way from an alert to a step: an alert that
// bears a mark goes through Alertmanager, and no step follows it. It is announced
// before the alert is made, and remembered for longer than the alert can last, so
// that no restart makes a claim of it.
type Drill struct {
	ID     string            `json:"id"` // the value of the mark
	Member edge.Member       `json:"member"`
	Policy string            `json:"policy"`
	Actor  string            `json:"actor"`
	Labels map[string]string `json:"labels"` // of the alert, all of them
	At     time.Time         `json:"at"`
	Ends   time.Time         `json:"ends"`  // of the alert, when nobody ends it before
	Until  time.Time         `json:"until"` // after that an alert with the mark is none of a drill that we know

	// What was seen of it; nil while it wasn't.
	Fired    *Delivery `json:"fired,omitempty"`    // the first webhook that said firing
	Claimed  *Sighting `json:"claimed,omitempty"`  // the first reading of the claims that showed it
	Judged   *Verdict  `json:"judged,omitempty"`   // what would be done for it
	Resolved *Delivery `json:"resolved,omitempty"` // the first webhook that said resolved, after that
	Gone     time.Time `json:"gone,omitzero"`      // the first reading that showed it no more, after it was seen

	Ended  time.Time `json:"ended,omitzero"`
	Result string    `json:"result,omitempty"` // complete or incomplete, once it has ended
}

// A Delivery is a webhook that told of a drill.
type Delivery struct {
	At       time.Time `json:"at"`
	Receiver string    `json:"receiver"` // by Alertmanager's name for us
}

// A Sighting is a drill's alert among the claims.
type Sighting struct {
	At         time.Time `json:"at"`
	Source     string    `json:"source"`
	Suppressed bool      `json:"suppressed,omitempty"` // silenced or inhibited
	SilencedBy []string  `json:"silenced_by,omitempty"`
}

// A Verdict is what would be done for a drill's alert if it were a claim.
type Verdict struct {
	At       time.Time       `json:"at"`
	Mode     string          `json:"mode,omitempty"`
	Would    string          `json:"would"`
	Decision json.RawMessage `json:"decision,omitempty"` // guard by guard
}

// EventDrill is of the entries about drills.
const EventDrill = "drill"

// Bounds on drills: how many at once may go on, and how many are remembered.
const (
	maxOpenDrills = 4
	maxDrills     = 20
)

var (
	// ErrNoDrill says that no drill of that id is remembered.
	ErrNoDrill = errors.New("no such drill")
	// ErrDrills says that as many drills go on as may.
	ErrDrills = errors.New("too many drills at once")
)

// Over says whether the drill is over: ended, or left alone until its end.
func (d *Drill) Over(now time.Time) bool { return !d.Ended.IsZero() || !now.Before(d.Until) }

var keyDrills = []byte("drill/")

func drillKey(id string) []byte { return append(bytes.Clone(keyDrills), id...) }

// Announce remembers a drill, and enters it. It isn't fenced: a drill is a
// person's, and may be announced to any replica. The oldest that are over make
// room for it.
func (j *Journal) Announce(d Drill) error {
	return j.commit("announce a drill", nil, func(tx txn) error {
		all, err := drillsIn(tx)
		if err != nil {
			return err
		}
		over := slices.DeleteFunc(slices.Clone(all), func(o Drill) bool { return !o.Over(d.At) })
		if open := len(all) - len(over); open >= maxOpenDrills {
			return fmt.Errorf("%w: %d go on", ErrDrills, open)
		}
		// Only what no alert of can be left is forgotten, so that a mark stays known.
		over = slices.DeleteFunc(over, func(o Drill) bool { return d.At.Before(o.Until) })
		slices.SortFunc(over, func(a, b Drill) int { return a.At.Compare(b.At) })
		for i := range over[:max(0, min(len(over), len(all)+1-maxDrills))] {
			if err := tx.delete(bucketState, drillKey(over[i].ID)); err != nil {
				return err
			}
		}
		if len(all)-len(over) >= maxDrills {
			return fmt.Errorf("%w: %d are not forgotten yet", ErrDrills, len(all))
		}
		if err := put(tx, bucketState, drillKey(d.ID), d); err != nil {
			return err
		}
		return appendEntry(tx, Entry{
			At: d.At, Event: EventDrill, Member: &d.Member, Policy: d.Policy, Actor: d.Actor, Result: "announced",
			Detail: "drill " + d.ID + ": its alert is no claim until " + d.Until.UTC().Format(time.RFC3339),
		})
	})
}

// Drills returns those that are remembered, oldest first.
func (j *Journal) Drills() (out []Drill, err error) {
	err = j.view("read drills", func(tx txn) (err error) {
		out, err = drillsIn(tx)
		return err
	})
	slices.SortFunc(out, func(a, b Drill) int { return a.At.Compare(b.At) })
	return out, err
}

// Drill returns one, or [ErrNoDrill].
func (j *Journal) Drill(id string) (d Drill, err error) {
	err = j.view("read drill", func(tx txn) error {
		d, err = drillIn(tx, id)
		return err
	})
	return d, err
}

// NoteDrill changes one drill by fn, which says whether there was anything to
// change, and may be called more than once. An entry that fn gives goes with it.
func (j *Journal) NoteDrill(id string, fn func(*Drill) (bool, *Entry)) error {
	return j.commit("note on a drill", nil, func(tx txn) error {
		d, err := drillIn(tx, id)
		if err != nil {
			return err
		}
		changed, e := fn(&d)
		if !changed {
			return nil
		}
		if err := put(tx, bucketState, drillKey(id), d); err != nil || e == nil {
			return err
		}
		return appendEntry(tx, *e)
	})
}

func drillIn(tx txn, id string) (d Drill, err error) {
	b, err := tx.get(bucketState, drillKey(id))
	if err != nil {
		return d, err
	}
	if b == nil {
		return d, ErrNoDrill
	}
	err = get(b, &d)
	return d, err
}

func drillsIn(tx txn) (out []Drill, err error) {
	err = tx.scan(bucketState, keyDrills, func(k, v []byte) error {
		if !strings.HasPrefix(string(k), string(keyDrills)) {
			return errEnough
		}
		var d Drill
		if err := get(v, &d); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	})
	return out, err
}
