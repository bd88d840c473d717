package remediator

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// barriers are what people have put in automation's way, as read at one moment.
type barriers struct {
	journal.Barriers

	made   []*madeWindow // of Windows, in their order
	unread string        // why they can't be read, which is as if everything were frozen
}

// barriers reads them. Freezes that are gone since the last time had a person look
// at what is behind them.
func (r *Remediator) barriers() barriers {
	if r.journal == nil {
		return barriers{unread: r.broken.Error()}
	}
	all, err := r.journal.Barriers()
	if err != nil {
		return barriers{unread: "the freeze can't be read: " + err.Error()}
	}
	now := make([]edge.Pool, len(all.Freezes))
	for i, f := range all.Freezes {
		now[i] = f.Scope()
	}
	r.mu.Lock()
	was := r.wasFrozen
	r.wasFrozen = now
	r.mu.Unlock()
	for _, scope := range was {
		if !slices.Contains(now, scope) {
			r.ledger.forgive(scope)
		}
	}
	return barriers{Barriers: all, made: r.made(all.Windows)}
}

// frozen says why no automatic step that moves one of the members may be taken;
// empty when it may. Without members it is about everything.
func (b barriers) frozen(members ...edge.Member) string {
	if b.unread != "" {
		return b.unread
	}
	if f := b.Frozen(members...); f != nil {
		return f.String()
	}
	return ""
}

// claimed says whose the first of the members is that a person claims; empty when
// none is.
func (b barriers) claimed(members ...edge.Member) string {
	if c := b.Claims(members...); c != nil {
		return c.String()
	}
	return ""
}

// frozen says why no automatic step may be taken at all; empty when nothing stops all.
func (r *Remediator) frozen(members ...edge.Member) string { return r.barriers().frozen(members...) }

// moves are all members that a step on m would move, or one that has a hold on it did.
func moves(m edge.Member, snap edge.Snapshot, h *journal.Hold) []edge.Member {
	out := append([]edge.Member{m}, snap.Along[m]...)
	if h != nil {
		out = append(out, h.Along...)
	}
	return out
}

// stopped says what stands in the way of an act at the last moment before its
// command; it has no reason when nothing does. What a person asked for isn't stopped.
func (k *keeper) stopped(b barriers, a *act) (no guard.Refusal) {
	if a.byHand {
		return no
	}
	members := moves(a.hold.Member, a.snap, a.hold)
	if why := b.frozen(members...); why != "" {
		return guard.Refusal{Guard: "freeze", Reason: "frozen", Detail: why}
	}
	if why := b.claimed(members...); why != "" {
		return guard.Refusal{Guard: "foreign", Reason: "claimed", Detail: why}
	}
	if no = k.overtakenBy(a.hold); no.Reason != "" {
		return no
	}
	now := time.Now()
	if all := append(k.set.cfg.in(now, members...), b.in(now, members...)...); len(all) > 0 {
		return guard.Refusal{Guard: "maintenance", Reason: "window", Detail: "in maintenance: " + strings.Join(all, ", ")}
	}
	return no
}

// handOver ends the holds of ours whose members people have claimed, as soon as no
// command of them is in hand: they are theirs as they stand, and nobody puts them
// back (SAFETY.md I7). It returns those that stay.
func (k *keeper) handOver(holds []journal.Hold) []journal.Hold {
	return slices.DeleteFunc(holds, func(h journal.Hold) bool {
		if h.Handed == "" || !settled(h.Phase) {
			return false
		}
		if h.Phase != journal.Superseded {
			h.Via = []journal.Phase{journal.Superseded}
		}
		left := h.Left
		if k.drop(&h, journal.Entry{Actor: h.Handed, Detail: "it is theirs, as it was left: " + left.Admin.String() + " (" + left.Marks + ")"}) {
			k.r.noteHand(&errand{member: h.Member, actor: h.Handed, reason: "claimed while Sluice held it"}, left, time.Now())
		}
		return true // one that could not be written is tried again in the next round
	})
}
