package guard

import (
	"fmt"

	"github.com/sluice-project/sluice/edge"
)

// A Restore is a person's order to put back a whole object of a device as it was
// stored: After is how the pool's members would stand then.
type Restore struct {
	Pool  edge.Pool
	After []edge.State
	Other string // why the stored object is no image of the pool as it is; empty when it is one
}

// DecideRestore judges a [Restore]. A freeze doesn't stop a person; a hold of
// ours does, because its way back would undo part of the restore; and the pool
// must serve afterwards as the policy wants.
func DecideRestore(r Restore, w World) Decision {
	d := Decision{Step: Step{Member: edge.Member{Device: r.Pool.Device, Pool: r.Pool.Name}, To: edge.Ready, ByHand: true}}
	add := d.add
	_, detail := freeze(d.Step, w)
	add("freeze", "", detail)
	switch {
	case w.Blind != "":
		add("inventory", "device_blind", "the device can't be read: "+w.Blind)
	case w.Snapshot.ReadOnly != "":
		add("inventory", "read_only", "no step can be taken on this device: "+w.Snapshot.ReadOnly)
	case len(w.Snapshot.Pool(r.Pool)) == 0:
		add("inventory", "unknown_pool", fmt.Sprintf("device %s has no pool %q", r.Pool.Device, r.Pool.Name))
	case w.Policy == nil:
		add("inventory", "no_policy", fmt.Sprintf("no policy selects any member of %s", r.Pool))
	case r.Other != "":
		add("inventory", "other_object", r.Other)
	default:
		add("inventory", "", fmt.Sprintf("policy %s rules the pool", w.Policy.Name))
	}
	held := ""
	for m := range w.Held {
		if m.In() == r.Pool {
			held = m.String()
		}
	}
	if held != "" {
		add("foreign", "held", held+" is held by us: release it first")
	} else {
		add("foreign", "", "nothing in the pool is held by us")
	}
	if w.Policy == nil {
		return d
	}
	left, base := 0, 0
	for _, st := range r.After {
		if st.Backup || st.Settled {
			continue
		}
		base++
		if st.Serving && w.well(st.Member) != edge.No {
			left++
		}
	}
	reason := ""
	need := w.Policy.MinServing.Of(base)
	if left < need {
		reason = "too_few_left"
	}
	add("min_serving", reason, fmt.Sprintf("%d members would serve, min_serving %s of %d wants %d", left, w.Policy.MinServing, base, need))
	return d
}
