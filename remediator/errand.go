package remediator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// An errand is a person's order in hand: its intent is in the journal, its
// outcome isn't. It is no hold: what comes of it is the person's, and never ours
// to give back.
type errand struct {
	id     string
	member edge.Member
	to     edge.Admin
	share  int // above 0: a weight, and to doesn't count
	actor  string
	reason string
	before edge.State
	along  []edge.Member
}

func (e *errand) goal() string { return PersonOrder{To: e.to, Share: e.share}.goal() }

// reached says whether the member stands as the person wants it.
func (e *errand) reached(st edge.State) bool {
	switch {
	case e.share != 0:
		return st.Share == e.share
	case e.to == edge.Ready:
		return st.Admin == edge.Ready
	}
	return st.Is(e.to) && st.Marks != ""
}

// unmoved says whether the member stands as before the order.
func (e *errand) unmoved(st edge.State) bool {
	return st.Marks == e.before.Marks && st.Admin == e.before.Admin && (e.share == 0 || st.Share == e.before.Share)
}

func (e *errand) entry(result, detail, config string) journal.Entry {
	m := e.member
	return journal.Entry{Event: "step", Member: &m, Admin: e.goal(), Result: result, Detail: detail, Actor: e.actor, Order: e.id, Share: e.share, Along: e.along, Config: config}
}

// outcome decides by what is read what became of an errand (SAFETY.md I10, I20);
// sent is what the device answered.
func (k *keeper) outcome(out *Ordered, e *errand, snap edge.Snapshot, sent error) error {
	st, known := snap.States[e.member]
	if known {
		out.After = &st
	}
	switch {
	case !known:
		return k.conclude(out, e, snap, "failed", "the device doesn't list it any more")
	case e.reached(st):
		detail := readBack(st)
		if e.share != 0 {
			detail = fmt.Sprintf("read back with weight %d", st.Share)
		}
		return k.conclude(out, e, snap, "applied", detail)
	case e.unmoved(st) && sent != nil:
		var silent *edge.NoAnswerError
		out.NoAnswer = errors.As(sent, &silent)
		return k.conclude(out, e, snap, "failed", oneLine(sent))
	case e.unmoved(st):
		return k.conclude(out, e, snap, "failed", "the device took the command and did nothing")
	}
	return k.conclude(out, e, snap, "superseded", fmt.Sprintf("found %s (%s), weight %d: somebody else changed it", st.Admin, st.Marks, st.Share))
}

// conclude records what became of an errand and, in the same transaction, hands
// over what we held of its member: the two are never apart, so that automation
// doesn't undo what a person did (SAFETY.md I7).
func (k *keeper) conclude(out *Ordered, e *errand, snap edge.Snapshot, result, detail string) error {
	out.Result, out.Detail = result, detail
	entry := e.entry(result, detail, k.set.hash)
	if e.reason != "" {
		entry.Detail += "; " + e.reason
	}
	entry.Left = out.After
	var err error
	for range 5 { // a person may write to the same records through another replica
		err = k.write(e, entry, snap)
		if !errors.Is(err, journal.ErrConflict) {
			break
		}
	}
	if err != nil {
		k.r.metrics.journalFailed(err)
		level.Error(k.r.logger).Log("msg", "not recorded", "member", e.member, "order", e.id, "result", result, "err", err)
		return fmt.Errorf("%s, and not recorded: %w", result, err) // it stays in hand
	}
	k.errands = slices.DeleteFunc(k.errands, func(o *errand) bool { return o == e })
	if result == "applied" || result == "unchanged" {
		delete(k.failures, e.member)
		if out.After != nil && e.share == 0 {
			k.r.noteHand(e, *out.After, time.Now())
		}
	}
	k.r.metrics.step("person", e.member, e.goal(), result)
	level.Info(k.r.logger).Log("msg", "person's step", "member", e.member, "to", e.goal(), "weight", e.share, "actor", e.actor, "result", result, "detail", entry.Detail)
	k.r.passes("order.outcome")
	return nil
}

// write puts the outcome, and what it hands over, into the journal.
func (k *keeper) write(e *errand, entry journal.Entry, snap edge.Snapshot) error {
	var theirs []*journal.Hold
	if entry.Result == "applied" || entry.Result == "unchanged" {
		var err error
		if theirs, err = k.handsOff(e, snap); err != nil {
			return err
		}
	}
	if len(theirs) == 0 {
		return k.r.journal.Append(entry)
	}
	entries := []journal.Entry{entry}
	for range theirs[1:] {
		entries = append(entries, journal.Entry{Event: "handed_over", Actor: e.actor, Order: e.id, Config: k.set.hash, Detail: "it is theirs with " + e.member.String()})
	}
	return k.r.journal.PutAll(theirs, entries)
}

// handsOff are the records by which automation leaves alone what a person's step
// moved, for as long as the claims of the moment last: holds of ours, which end,
// and candidates. A weight ends only what it would be in the way of, a way back
// by weights.
func (k *keeper) handsOff(e *errand, snap edge.Snapshot) (out []*journal.Hold, err error) {
	holds, err := k.holds()
	if err != nil {
		return nil, err
	}
	if err := k.readCandidates(); err != nil {
		return nil, err
	}
	members := append([]edge.Member{e.member}, e.along...)
	noted := map[edge.Member]bool{}
	for _, h := range holds {
		if !slices.ContainsFunc(members, h.Holds) || e.share != 0 && !lowered(&h) {
			continue
		}
		c := journal.Hold{
			ID: h.ID, Rev: h.Rev, Member: h.Member, Policy: h.Policy, To: h.To, Mark: h.Mark, Bypass: h.Bypass,
			Remediation: h.Remediation, Claims: h.Claims, Changed: h.Changed, Phase: journal.Deferred, Released: e.actor,
		}
		if h.Phase != journal.Superseded {
			c.Via = []journal.Phase{journal.Superseded}
		}
		c.Via = append(c.Via, journal.Guarded)
		out, noted[h.Member] = append(out, &c), true
	}
	if e.share != 0 {
		return out, nil
	}
	for _, m := range members {
		if noted[m] {
			continue
		}
		c, known := k.candidates[m]
		if !known {
			p, mark := k.couldTouch(m, snap)
			if p == nil {
				continue
			}
			c = journal.Hold{Member: m, Policy: p.Name, To: p.to, Mark: mark, Bypass: p.bypass, Phase: journal.Deferred, Via: journal.Phase("").Judge()}
		}
		c.Released, c.Answer = e.actor, nil
		out = append(out, &c)
	}
	return out, nil
}

// couldTouch finds the policy by which automation would act on a member now: one
// that a claim asks for or, while a blind source may hide a claim, any.
func (k *keeper) couldTouch(m edge.Member, snap edge.Snapshot) (*Policy, string) {
	for _, c := range k.r.on(k.set, k.name) {
		found, _ := k.set.targets(c, snap) // what isn't selected is nobody's business
		for _, t := range found {
			if t.member == m && t.policy != nil {
				return t.policy, t.mark
			}
		}
	}
	k.r.mu.Lock()
	blind := !k.r.view.AbsenceCounts()
	k.r.mu.Unlock()
	for i := range k.set.cfg.Policies {
		p := &k.set.cfg.Policies[i]
		if blind && p.Members.Match(m) && (!p.bypass || slices.Contains(p.Bypass.Standby, m.Name)) {
			return p, ""
		}
	}
	return nil, ""
}

// finishErrands finds out what became of errands that a crash, or a device
// without an answer, left in hand. Nothing is sent again, and nothing that is
// found becomes a hold of ours (SAFETY.md I10, I11).
func (k *keeper) finishErrands(snap edge.Snapshot) error {
	for _, e := range slices.Clone(k.errands) {
		if err := k.outcome(new(Ordered), e, snap, errInterrupted); err != nil {
			return err
		}
	}
	return nil
}

// rememberErrands reads from the journal which orders have no outcome yet.
func (k *keeper) rememberErrands() error {
	device := edge.Member{Device: k.name}
	orders, err := k.r.journal.Entries(journal.Query{Event: eventOrder, Member: device})
	if err != nil || len(orders) == 0 {
		return err
	}
	steps, err := k.r.journal.Entries(journal.Query{Event: "step", Member: device, After: orders[0].Seq})
	if err != nil {
		return err
	}
	var open []*errand
	known := map[string]bool{}
	last := map[string]journal.Entry{} // by order, what came of it where that is how the member was left
	for _, s := range steps {
		known[s.Order] = known[s.Order] || s.Order != "" && s.Result != "indeterminate"
		if s.Order != "" && s.Left != nil && s.Share == 0 && (s.Result == "applied" || s.Result == "unchanged") {
			last[s.Order] = s
		}
	}
	for _, o := range orders {
		if s, done := last[o.Order]; done {
			k.r.noteHand(&errand{member: *o.Member, actor: o.Actor, reason: o.Detail}, *s.Left, s.At)
		}
		if known[o.Order] || o.Preimage == nil {
			continue
		}
		e := &errand{id: o.Order, member: *o.Member, share: o.Share, actor: o.Actor, reason: o.Detail, before: *o.Preimage, along: o.Along}
		if e.share == 0 {
			if e.to, err = edge.ParseAdmin(o.Admin); err != nil {
				return err
			}
		}
		open = append(open, e)
	}
	k.errands = open
	return nil
}

// readBack says how a member was found after a step, with the device's own word for
// it where there is one.
func readBack(st edge.State) string {
	if st.Marks == "" {
		return "read back as " + st.Admin.String()
	}
	return fmt.Sprintf("read back as %s (%s)", st.Admin, st.Marks)
}
