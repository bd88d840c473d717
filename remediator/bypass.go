package remediator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Events of the journal by which a time limit outlives a restart.
const (
	eventTimeLimit  = "time_limit"
	eventClaimEnded = "claim_ended"
)

// passive is PTAF PRO's word for an application that nothing is done to, no
// protection and no events.
const passive = "PASSIVE"

// application is the name of a PTAF PRO application among the switches of a pool.
func application(name string) string { return "application:" + name }

// bypassTargets are what the policy names as the way round the claim's pool.
func (s *settings) bypassTargets(c claims.Claim) (out []*target, err error) {
	for i := range s.cfg.Policies {
		p := &s.cfg.Policies[i]
		if p.Name != c.Policy || !p.bypass {
			continue
		}
		if err = errNotSelected; !p.Members.Match(c.Member) {
			continue
		}
		for _, name := range p.Bypass.Standby {
			m := edge.Member{Device: c.Member.Device, Pool: c.Member.Pool, Name: name}
			out = append(out, &target{member: m, policy: p, claims: []claims.Claim{c}})
		}
		for _, name := range p.Bypass.Passive {
			m := edge.Member{Device: c.Member.Device, Pool: c.Member.Pool, Name: application(name)}
			out = append(out, &target{member: m, policy: p, mark: passive, claims: []claims.Claim{c}})
		}
		return out, nil
	}
	return nil, err
}

// standby are the members of a pool that the policy brings in as a way round it.
func (p *Policy) standby(pool edge.Pool) map[edge.Member]bool {
	if !p.bypass {
		return nil
	}
	out := map[edge.Member]bool{}
	for _, name := range p.Bypass.Standby {
		out[edge.Member{Device: pool.Device, Pool: pool.Name, Name: name}] = true
	}
	return out
}

// tendBypass ends a bypass when enough regular members serve again, or when its
// time is over. It returns when it is due again.
func (k *keeper) tendBypass(ctx context.Context, h *journal.Hold, snap edge.Snapshot, t *target) time.Duration {
	p := k.set.held(h.Policy, h.Member)
	if h.ReleaseBy != "" {
		return k.giveBack(ctx, h, t, p, true)
	}
	c := k.courses[h.Member]
	if c == nil {
		return shortest // watched from the end of this round on
	}
	now := time.Now()
	w, err := k.world(snap, p, t, h.Member, k.ask(ctx, p, h.Member, snap))
	if err != nil {
		return lookHeld
	}
	switch well, need := guard.Recovered(h.Member.In(), w); {
	case well < need:
		c.goodSince = time.Time{}
	case c.goodSince.IsZero():
		c.goodSince = now
	}
	if now.After(h.MaxUntil) {
		k.lapse(h)
		return k.giveBack(ctx, h, t, p, false)
	}
	if c.goodSince.IsZero() {
		if h.Phase == journal.ReleasePending {
			h.Phase = journal.Holding
			_ = k.put(h, journal.Entry{Detail: "no release yet: regular members fail again"}) // logged; tried again
		}
		return k.set.every(p, h.Member)
	}
	if h.Phase != journal.ReleasePending {
		h.Phase, h.GoodSince = journal.ReleasePending, c.goodSince
		if k.put(h, journal.Entry{}) != nil {
			return lookHeld
		}
	}
	if wait := time.Duration(p.HoldDown) - now.Sub(c.goodSince); wait > 0 {
		return min(wait, k.set.every(p, h.Member))
	}
	return k.giveBack(ctx, h, t, p, false)
}

// unproved breaks the proof that ends a bypass of the pool, when it wasn't the bypass
// that was asked about: too few of its members are well, whoever asked.
func (k *keeper) unproved(p *Policy, pool edge.Pool, own map[edge.Member]guard.Evidence, snap edge.Snapshot) {
	bad := func(e guard.Evidence) bool { return e.Answer != edge.Yes }
	if p.Confirm == "traffic" || !slices.ContainsFunc(slices.Collect(maps.Values(own)), bad) {
		return // traffic says nothing of members that get none
	}
	holds, err := k.holds()
	if err != nil {
		return // nothing is given back by who can't read them
	}
	for i := range holds {
		h := &holds[i]
		c := k.courses[h.Member]
		if !h.Bypass || h.Member.In() != pool || c == nil {
			continue
		}
		w, err := k.world(snap, k.set.held(h.Policy, h.Member), nil, h.Member, k.own)
		if well, need := guard.Recovered(pool, w); err != nil || well < need {
			c.goodSince = time.Time{}
		}
	}
}

// lapse notes, durably and once, that a bypass came to its time limit: it isn't
// begun again while the same claim lasts, and people hear of it.
func (k *keeper) lapse(h *journal.Hold) {
	if _, noted := k.lapsed[h.Member]; noted {
		return
	}
	k.lapsed[h.Member] = time.Now()
	m := h.Member
	k.r.record(journal.Entry{Event: eventTimeLimit, Member: &m, Hold: h.ID, Policy: h.Policy, Remediation: h.Remediation, Detail: "the bypass came to its time limit"})
	k.r.metrics.expired.WithLabelValues(m.Device, m.Pool).Inc()
}

// endLapses forgets time limits whose claims have ended: the next claim may
// begin a bypass again. A blind source ends none.
func (k *keeper) endLapses(claimed []claims.Claim) {
	if len(k.lapsed) == 0 {
		return
	}
	k.r.mu.Lock()
	ended := k.r.view.AbsenceCounts()
	k.r.mu.Unlock()
	for m := range k.lapsed {
		for _, c := range claimed {
			ended = ended && (!c.PoolOnly || c.Member.In() != m.In())
		}
		if ended {
			delete(k.lapsed, m)
			k.r.record(journal.Entry{Event: eventClaimEnded, Member: &m, Detail: "the claim of a bypass that came to its time limit has ended"})
		}
	}
}

// episode names the remediation that steps on these claims belong to: the same
// for all members and devices while a claim lasts.
func (r *Remediator) episode(keys []string) string {
	if id := r.begunBy(keys); id != "" {
		return id
	}
	id := ""
	if holds, err := r.journal.Holds(); err == nil { // of a time before this process
		for _, h := range holds {
			for _, key := range h.Claims {
				if id == "" && len(keys) > 0 && key == keys[0] {
					id = h.Remediation
				}
			}
		}
	}
	r.mu.Lock() // not while the journal is asked: all else waits for it
	defer r.mu.Unlock()
	for _, key := range keys {
		if known := r.episodes[key]; known != "" { // another device's keeper was quicker
			return known
		}
	}
	if id == "" {
		var b [6]byte
		rand.Read(b[:]) // never fails since Go 1.24
		id = "r" + hex.EncodeToString(b[:])
	}
	for _, key := range keys {
		r.episodes[key] = id
	}
	return id
}

// begunBy is the remediation that this process knows for one of the claims.
func (r *Remediator) begunBy(keys []string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if id := r.episodes[key]; id != "" {
			return id
		}
	}
	return ""
}
