package journal

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Claimed is a member that a person has claimed: it is theirs, and automation takes
// no step on it, neither out nor back, until they release it or its time is over. It
// has nothing to do with the claims that alerts are.
type Claimed struct {
	Member edge.Member `json:"member"`
	Reason string      `json:"reason"`
	Actor  string      `json:"actor"`
	At     time.Time   `json:"at"`
	Until  time.Time   `json:"until,omitzero"` // zero: until somebody releases it
}

// Over says whether its time is over.
func (c Claimed) Over(now time.Time) bool { return over(c.Until, now) }

// String is who, why and until when, in one line.
func (c Claimed) String() string {
	text := fmt.Sprintf("%s has claimed %s: %s", c.Actor, c.Member, c.Reason)
	if !c.Until.IsZero() {
		text += " (until " + c.Until.UTC().Format(time.RFC3339) + ")"
	}
	return text
}

// Events of the entries that Claim and Unclaim write, and of those about holds that
// were given up because of it.
const (
	EventClaimed    = "claimed"
	EventUnclaimed  = "unclaimed"
	EventHandedOver = "handed_over"
)

const (
	prefixClaimed = "claimed\x00" // device NUL pool NUL member
	mostClaimed   = 500
)

// ErrNotClaimed says that nobody has claimed the member.
var ErrNotClaimed = errors.New("nobody has claimed it")

// Claim makes a member a person's, in place of a claim that is there. At is now when
// zero.
//
// In the same transaction each hold on the member, its twins' too, is marked as
// theirs ([Hold.Handed]): the engine gives it up as soon as no command of it is in
// hand, and what it decided before finds another revision. So there is no moment at
// which the member is claimed and a hold of ours could still give it back.
//
// It isn't fenced, like a freeze: people may stop automation at any replica, also
// while none leads (SAFETY.md I7, I19); and it starts nothing, which alone a fence is
// for (I16).
func (j *Journal) Claim(c Claimed) error {
	now := time.Now()
	key, err := claimedKey(c.Member)
	switch {
	case err != nil:
		return fmt.Errorf("claim: %w", err)
	case c.Reason == "", c.Actor == "":
		return fmt.Errorf("claim %s: it is somebody's, and has a reason", c.Member)
	case c.Over(now):
		return fmt.Errorf("claim %s until %s: that is over already", c.Member, c.Until.Format(time.RFC3339))
	}
	c.At = cmp.Or(c.At, now)
	return j.commit("claim "+c.Member.String(), nil, func(tx txn) error {
		holds, err := holdsIn(tx)
		if err != nil {
			return err
		}
		if err := roomFor(tx, key, prefixClaimed, mostClaimed, now); err != nil {
			return err
		}
		if err := put(tx, bucketState, key, c); err != nil {
			return err
		}
		if err := appendEntry(tx, Entry{At: now, Event: EventClaimed, Member: &c.Member, Reason: c.Reason, Detail: untilText(c.Until), Actor: c.Actor}); err != nil {
			return err
		}
		for _, h := range holds {
			if h.Phase.Candidate() || h.Handed != "" || !h.Holds(c.Member) {
				continue
			}
			h.Handed = c.Actor
			if _, err := change(tx, h, h.Phase, Entry{Event: EventHandedOver, Actor: c.Actor, Detail: c.String()}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unclaim gives a member back to automation, which begins anew: what was remembered
// of people's steps on it, and of their words, is forgotten. [ErrNotClaimed] says
// that there is nothing to give back. Like Claim it isn't fenced: it starts nothing
// either, since whatever follows is judged by the leader.
func (j *Journal) Unclaim(m edge.Member, actor, reason string) error {
	key, err := claimedKey(m)
	if err != nil {
		return ErrNotClaimed
	}
	return j.commit("release "+m.String(), nil, func(tx txn) error {
		b, err := tx.get(bucketState, key)
		switch {
		case err != nil:
			return err
		case b == nil:
			return ErrNotClaimed
		}
		var c Claimed
		if err := get(b, &c); err != nil {
			return err
		}
		if c.Over(time.Now()) {
			return ErrNotClaimed
		}
		if err := tx.delete(bucketState, key); err != nil {
			return err
		}
		if err := appendEntry(tx, Entry{Event: EventUnclaimed, Member: &m, Reason: reason, Detail: c.String(), Actor: actor}); err != nil {
			return err
		}
		h, _, err := holdOf(tx, m)
		if err != nil || h == nil || !h.Phase.Candidate() || h.Released == "" && h.Answer == nil {
			return err
		}
		h.Released, h.Answer = "", nil
		_, err = change(tx, *h, h.Phase, Entry{})
		return err
	})
}

func claimedKey(m edge.Member) ([]byte, error) {
	if m.Name == "" {
		return nil, fmt.Errorf("member %q: a name is empty", m)
	}
	return stateKey(prefixClaimed, m.Device, m.Pool, m.Name)
}
