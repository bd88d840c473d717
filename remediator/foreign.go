package remediator

import (
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A foreign is what a look showed of a member that somebody else changed while we
// held it.
type foreign struct {
	hold  string
	state edge.State
}

// asLeft says whether a member stands as a hold left it.
func asLeft(h *journal.Hold, st edge.State) bool {
	return st.Marks == h.Left.Marks && st.Admin == h.Left.Admin && st.Address == h.Left.Address && (!lowered(h) || st.Share == h.Left.Share)
}

// notice keeps what a look that began at one moment shows of what we hold: by the next
// round it may be undone, or the device may have begun another life, and it is somebody
// else's doing all the same (SAFETY.md I7). Holds of which a command may have been on its
// way since are left to those who read it back.
func (k *keeper) notice(snap edge.Snapshot, began time.Time) {
	if snap.ReadOnly != "" {
		return // what a node that isn't the active one shows is no word on what we left
	}
	holds, err := k.holds()
	if err != nil {
		return // without them nothing is done either
	}
	for i := range holds {
		h := &holds[i]
		st, known := snap.State(h.Member)
		if !known || !settled(h.Phase) || h.Phase == journal.Superseded || h.Changed.After(began) || snap.Process != h.Process || asLeft(h, st) {
			continue
		}
		k.r.mu.Lock()
		if k.r.foreign[h.Member].hold != h.ID {
			k.r.foreign[h.Member] = foreign{h.ID, st}
		}
		k.r.mu.Unlock()
	}
}

// noticed is what a look showed of a hold's member that somebody else did.
func (r *Remediator) noticed(h *journal.Hold) (edge.State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, is := r.foreign[h.Member]
	return f.state, is && f.hold == h.ID
}

// overlook forgets what was noticed of holds that are no more, or are known to be
// somebody else's.
func (k *keeper) overlook(holds []journal.Hold) {
	waits := map[edge.Member]string{}
	for _, h := range holds {
		if h.Phase != journal.Superseded {
			waits[h.Member] = h.ID
		}
	}
	k.r.mu.Lock()
	defer k.r.mu.Unlock()
	for m, f := range k.r.foreign {
		if m.Device == k.name && waits[m] != f.hold {
			delete(k.r.foreign, m)
		}
	}
}

// overtakenBy is why a step on a hold isn't taken any more: another look showed that
// somebody changed its member.
func (k *keeper) overtakenBy(h *journal.Hold) (no guard.Refusal) {
	if _, is := k.r.noticed(h); is {
		return guard.Refusal{Guard: "foreign", Reason: "superseded", Detail: "somebody changed it while we held it"}
	}
	return no
}
