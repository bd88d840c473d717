package remediator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// An act is a change that all guards agreed to and that is about to be made:
// record, act, verify, record.
type act struct {
	hold   *journal.Hold
	entry  journal.Entry // of the intent
	snap   edge.Snapshot // that was decided on
	byHand bool          // a person asked: a freeze doesn't stop it
	atMax  bool          // the hold is at its end: a good result is enough
}

// pace returns how long a pool that is written whole has to be left alone still.
func (k *keeper) pace(p edge.Pool) time.Duration {
	every, whole := k.dev.Whole()
	if !whole || k.wrote[p].IsZero() {
		return 0
	}
	return max(0, every-time.Since(k.wrote[p]))
}

// do carries out an act now, or at the round's end together with the others of
// its pool, where the device writes pools whole.
func (k *keeper) do(ctx context.Context, a *act) {
	if _, whole := k.dev.Whole(); whole {
		p := a.hold.Member.In()
		k.queue[p] = append(k.queue[p], a)
		return
	}
	k.carryOut(ctx, []*act{a})
}

// flush carries out what the round has gathered: one order a pool. What a pool
// that is being judged still gathers is kept; the zero Pool keeps nothing.
func (k *keeper) flush(ctx context.Context, keep edge.Pool) {
	pools := make([]edge.Pool, 0, len(k.queue))
	for p := range k.queue {
		if p != keep {
			pools = append(pools, p)
		}
	}
	slices.SortFunc(pools, func(a, b edge.Pool) int { return strings.Compare(a.Name, b.Name) })
	k.catchUp()
	for _, p := range pools {
		acts := slices.DeleteFunc(k.queue[p], k.overtaken)
		delete(k.queue, p)
		if len(acts) > 0 {
			k.carryOut(ctx, acts)
		}
	}
}

// overtaken says that a member was to be given back, and has failed again while
// the order was gathered. Nothing is recorded of that yet: it goes on being held.
func (k *keeper) overtaken(a *act) bool {
	c := k.courses[a.hold.Member]
	switch {
	case !a.hold.Undo, a.byHand, a.hold.Bypass, c == nil:
		return false
	case a.atMax, a.hold.Stage == stageProbation:
		return k.own[a.hold.Member].Answer == edge.No
	}
	return c.goodSince.IsZero()
}

// carryOut records all intents in one transaction, sends one order, and reads
// back what became of it.
func (k *keeper) carryOut(ctx context.Context, acts []*act) {
	undo := acts[0].hold.Undo
	k.passes(undo, "decided")
	if k.record(acts, true) != nil {
		return // never act without a record
	}
	k.passes(undo, "recorded")
	acts = k.unlessStopped(acts)
	if len(acts) == 0 {
		return
	}
	// From here on something may have been sent: after a crash only a read-back tells.
	// An intent that is found alone was never sent.
	var out []*act // on the way back the intent itself says so
	for _, a := range acts {
		if !a.hold.Undo {
			a.hold.Phase = journal.Applying
			out = append(out, a)
		}
	}
	if len(out) > 0 && k.record(out, false) != nil {
		return
	}
	k.passes(undo, "sending")
	if len(out) > 0 { // to record it may have taken long
		if acts = k.unlessStopped(acts); len(acts) == 0 {
			return
		}
	}
	sent := k.send(ctx, acts)
	k.passes(undo, "sent")
	if stop := (*stoppedError)(nil); errors.As(sent, &stop) {
		for _, a := range acts {
			if no, ok := stop.why[a]; ok {
				k.stop(a, no)
			} else {
				k.unsent(a, sent) // it was in one order with one that was stopped
			}
		}
		return
	}
	if errors.Is(sent, edge.ErrChanged) {
		for _, a := range acts {
			k.unsent(a, sent)
		}
		return
	}
	k.verify(ctx, acts, sent)
}

// record puts all holds at once; with their entries where these are due.
func (k *keeper) record(acts []*act, entries bool) error {
	var holds []*journal.Hold
	var es []journal.Entry
	for _, a := range acts {
		holds = append(holds, a.hold)
		if entries {
			a.entry.Config = k.set.hash
			es = append(es, a.entry)
		}
	}
	err := k.r.journal.PutAll(holds, es)
	if err != nil {
		k.r.metrics.journalFailed(err)
		level.Error(k.r.logger).Log("msg", "not recorded", "member", holds[0].Member, "holds", len(holds), "phase", holds[0].Phase, "err", err)
	}
	return err
}

// unlessStopped is the last moment before a command: in which a freeze, or a claim
// of a person, stops what nobody asked for by hand, a lease must outlast the step (SAFETY.md I16), and
// what was decided on must still be fresh (I17), however long this process stood
// still since.
func (k *keeper) unlessStopped(acts []*act) (going []*act) {
	why := k.inTheWay(acts)
	for _, a := range acts {
		no, stopped := why[a]
		if age := time.Since(a.snap.At); !stopped && age > freshest {
			no, stopped = guard.Refusal{
				Guard: "inventory", Reason: "device_stale", Detail: fmt.Sprintf("the device was read %s ago: the step is decided anew", age.Round(time.Millisecond)),
			}, true
			k.replan = true
		}
		if stopped {
			k.stop(a, no)
			continue
		}
		going = append(going, a)
	}
	return going
}

// inTheWay says which acts a lease that is too short, or what people have put in
// their way, stops now.
func (k *keeper) inTheWay(acts []*act) map[*act]guard.Refusal {
	b := k.r.barriers()
	lead := guard.Leads(k.r.standing())
	out := map[*act]guard.Refusal{}
	for _, a := range acts {
		switch stop := k.stopped(b, a); {
		case lead.Reason != "":
			out[a] = lead
		case stop.Reason != "":
			out[a] = stop
		}
	}
	return out
}

// stop ends an act that something came in the way of before its command.
func (k *keeper) stop(a *act, no guard.Refusal) {
	k.reread(a.hold)
	k.r.metrics.refusals.WithLabelValues(no.Guard, no.Reason).Inc()
	k.notSent(a.hold, journal.Entry{
		Event: "refusal", Admin: a.entry.Admin, Result: "refused", Guard: no.Guard, Reason: no.Reason, Detail: no.Detail,
	})
}

// A stoppedError says that something came in the way of an order while the device
// was looked at for it. Nothing was sent.
type stoppedError struct{ why map[*act]guard.Refusal }

func (e *stoppedError) Error() string {
	for _, no := range e.why {
		return "stopped at the last moment: " + no.Detail
	}
	return "stopped at the last moment"
}

// last is the very last moment of an order: on a device that is looked at before
// each write, its looks lie between [keeper.unlessStopped] and the write. How old
// the decision is isn't asked again: those looks were compared with it, and are
// bounded by the order's time limit.
func (k *keeper) last(acts []*act) func() error {
	return func() error {
		if why := k.inTheWay(acts); len(why) > 0 {
			return &stoppedError{why}
		}
		return nil
	}
}

// notSent ends what was recorded of a command that didn't go out.
func (k *keeper) notSent(h *journal.Hold, e journal.Entry) {
	if h.Undo || h.Goal != nil {
		k.stays(h, e)
		return
	}
	if h.Phase != journal.Intent { // of which it is known that nothing was sent
		h.Phase = journal.Failed
		if k.put(h, e) != nil {
			return
		}
		e = journal.Entry{}
	}
	k.drop(h, e)
}

// reread takes over what a person's claim has written on a hold since we did, so that
// why its step isn't taken can be entered.
func (k *keeper) reread(h *journal.Hold) {
	now, err := k.r.journal.Hold(h.Member)
	if err == nil && now.ID == h.ID && now.Phase == h.Phase && now.Handed != "" {
		h.Rev, h.Handed = now.Rev, now.Handed
	}
}

// stays goes back to holding, when a way back, or a further step, was not gone.
func (k *keeper) stays(h *journal.Hold, e journal.Entry) {
	h.Phase = journal.Failed
	if k.put(h, e) == nil {
		h.Phase, h.Undo, h.Goal = journal.Holding, false, nil
		_ = k.put(h, journal.Entry{}) // put has logged it, and the next round reads what stands
	}
}

// unsent ends an act that the device's client didn't send, because somebody has
// changed the pool since it was decided: it is planned again at once.
func (k *keeper) unsent(a *act, why error) {
	to := k.goal(a.hold).To
	e := journal.Entry{Event: "step", Admin: to.String(), Result: "replanned", Detail: oneLine(why)}
	k.count(a.hold.Member, to, "replanned")
	level.Warn(k.r.logger).Log("msg", "changed under us, planned again", "member", a.hold.Member, "err", why)
	k.replan = true
	k.notSent(a.hold, e)
}

// send gives one order, and finishes it even when we are told to stop.
func (k *keeper) send(ctx context.Context, acts []*act) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	pool := acts[0].hold.Member.In()
	o := edge.Order{Version: acts[0].snap.Versions[pool.Name], Save: k.save, Last: k.last(acts)}
	for _, a := range acts {
		o.Changes = append(o.Changes, k.goal(a.hold))
		k.sending(a.hold.Member)
	}
	receipt, err := k.dev.Set(ctx, o)
	k.written(pool, receipt, err)
	return err
}

// save keeps an object as it was before a write, in the journal and, where there
// is one, in the folder of snapshots. What can't be kept isn't changed.
func (k *keeper) save(i edge.Image) error {
	pool := edge.Member{Device: i.Device, Pool: i.Pool}
	err := k.r.journal.Append(journal.Entry{Event: "image", Member: &pool, Before: i.Bytes, Config: k.set.hash, Detail: "object " + i.Object + " before the write"})
	if err == nil && k.set.images != nil {
		err = k.set.images.Save(i)
	}
	if err != nil {
		return fmt.Errorf("keep the object as it was: %w", err)
	}
	return nil
}

// written notes that a pool was written, and what its object is now.
func (k *keeper) written(p edge.Pool, receipt edge.Receipt, err error) {
	if !receipt.Written || errors.Is(err, edge.ErrChanged) {
		return
	}
	k.wrote[p] = time.Now()
	if receipt.After == nil {
		return
	}
	pool := edge.Member{Device: p.Device, Pool: p.Name}
	k.r.record(journal.Entry{
		Event: "image", Member: &pool, After: receipt.After,
		Detail: fmt.Sprintf("after the write; %s between the last look and the write", receipt.Gap.Round(time.Microsecond)),
	})
}

// recall is remember until it succeeds: without it the same claim would begin a bypass
// again that came to its limit, and nobody would find out what became of a person's
// order. False says that ctx has ended.
func (k *keeper) recall(ctx context.Context) bool {
	for last := ""; ; {
		err := k.remember()
		if err == nil {
			return true
		}
		if said := oneLine(err); said != last {
			last = said
			level.Error(k.r.logger).Log("msg", "journal not read, nothing is done", "device", k.name, "err", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(loadAgain):
		}
	}
}

// remember reads from the journal what a keeper needs to know of the time before
// it: when each pool was written last, which bypasses came to their limit, and which
// orders of people have no outcome.
func (k *keeper) remember() error {
	every, _ := k.dev.Whole()
	images, err := k.r.journal.Entries(journal.Query{Event: "image", Since: time.Now().Add(-every), Member: edge.Member{Device: k.name}})
	ended, err2 := k.r.journal.Entries(journal.Query{Member: edge.Member{Device: k.name}, Event: eventTimeLimit})
	gone, err3 := k.r.journal.Entries(journal.Query{Member: edge.Member{Device: k.name}, Event: eventClaimEnded})
	if err := errors.Join(err, err2, err3, k.rememberErrands()); err != nil {
		return err
	}
	for _, e := range images {
		k.wrote[e.Member.In()] = e.At
	}
	for _, e := range ended {
		k.lapsed[*e.Member] = e.At
	}
	for _, e := range gone {
		if !e.At.Before(k.lapsed[*e.Member]) {
			delete(k.lapsed, *e.Member)
		}
	}
	return nil
}

// verify reads back what became of an order; sent is what the device answered.
// An order without an answer is neither success nor failure (SAFETY.md I10).
func (k *keeper) verify(ctx context.Context, acts []*act, sent error) {
	snap, err := k.lookBack(ctx)
	k.passes(acts[0].hold.Undo, "read_back")
	for _, a := range acts {
		h := a.hold
		if err == nil {
			k.settle(h, snap, sent)
			continue
		}
		to := k.goal(h).To
		h.Phase = journal.Indeterminate
		if k.put(h, journal.Entry{Event: "step", Admin: to.String(), Result: "indeterminate", Detail: "the device can't be read back: " + oneLine(err)}) == nil {
			k.r.metrics.step(by(h), h.Member, to.String(), "indeterminate")
			level.Error(k.r.logger).Log("msg", "outcome unknown", "member", h.Member, "to", to, "sent", sent, "err", err)
		}
	}
}

// settle decides by what is read what became of the command in hand.
func (k *keeper) settle(h *journal.Hold, snap edge.Snapshot, sent error) {
	st, known := snap.State(h.Member)
	to := k.goal(h).To
	switch {
	case !known:
		k.orphan(h, "the device doesn't list it any more")
	case h.Undo && k.reached(h, st):
		h.Phase = journal.Reverted
		if k.put(h, journal.Entry{Event: "step", Admin: to.String(), Result: "applied", Detail: "given back, read back as it was before", Evidence: marshal(k.own[h.Member])}) == nil {
			k.passes(true, "outcome")
			k.r.metrics.step(by(h), h.Member, to.String(), "applied")
			k.confirmed(h, to)
			level.Info(k.r.logger).Log("msg", "member given back", "member", h.Member, "held", time.Since(h.Since).Round(time.Millisecond))
			k.released(h)
			delete(k.failures, h.Member)
		}
	case k.drainedAnew(h, snap, st):
		k.theirs(h, fmt.Sprintf("found %s (%s) as we had left it, and picked %d times since it was to be given back: somebody took it out anew", st.Admin, st.Marks, st.Chosen-*h.Picked))
	case k.unmoved(h, st):
		k.failed(h, to, sent)
	case !h.Undo && k.reached(h, st):
		k.applied(h, st, snap)
	case k.half(h, st):
		h.Left = st // what we left is what stands: half of what we wanted, and nobody else's
		k.failed(h, to, sent)
	default:
		k.supersede(h, st)
	}
}

// applied notes a member that was read back as we wanted it.
func (k *keeper) applied(h *journal.Hold, st edge.State, snap edge.Snapshot) {
	to, further := k.goal(h).To, h.Goal != nil
	out := !further || h.Stage == stageProbation && to != edge.Ready // for the first time, or again
	h.Phase, h.Left, h.Process = journal.Applied, st, snap.Process
	detail := readBack(st)
	if h.Goal != nil && h.Goal.Share != 0 {
		detail += fmt.Sprintf(", with weight %d", st.Share)
	}
	if len(h.Along) > 0 {
		detail += fmt.Sprintf(", and with it %v", h.Along)
	}
	h.Stage, h.StageAt, h.NextStage, h.Goal = h.NextStage, time.Now(), "", nil
	if out {
		h.Since = h.StageAt
		k.measure(h, snap, st)
	}
	if to != edge.Ready {
		h.To = to
	}
	left := st
	e := journal.Entry{Event: "step", Admin: to.String(), Result: "applied", Detail: detail, Left: &left, Along: h.Along}
	if !out {
		e.Reason = reasonFurther
	}
	if k.put(h, e) != nil {
		return
	}
	k.passes(false, "outcome")
	if !h.Bypass && out {
		k.r.ledger.took(h.Member, h.Along, h.Since, k.set.cfg.horizon())
	}
	k.count(h.Member, to, "applied")
	k.confirmed(h, to)
	msg := "member taken out"
	switch {
	case h.Bypass:
		msg = "bypass brought in"
	case further:
		msg = "further step done"
	}
	level.Info(k.r.logger).Log("msg", msg, "member", h.Member, "to", to, "policy", h.Policy, "reason", h.Reason)
	h.Phase = journal.Holding
	if k.put(h, journal.Entry{}) == nil {
		delete(k.failures, h.Member)
	}
}

// failed notes a command that changed nothing, by the device's own word. It is
// tried again later, and later each time.
func (k *keeper) failed(h *journal.Hold, to edge.Admin, sent error) {
	detail := "the device took the command and did nothing"
	if sent != nil {
		detail = oneLine(sent)
	}
	f := k.failures[h.Member]
	f.count++
	f.until = time.Now().Add(min(time.Duration(1<<min(f.count, 7))*2*time.Second, 5*time.Minute))
	k.failures[h.Member] = f
	k.r.metrics.step(by(h), h.Member, to.String(), "failed")
	level.Error(k.r.logger).Log("msg", "step failed", "member", h.Member, "to", to, "tries", f.count, "err", detail)
	e := journal.Entry{Event: "step", Admin: to.String(), Result: "failed", Detail: detail}
	if h.Undo || h.Goal != nil {
		h.RetryAt = f.until
		h.Direct = h.Direct || h.Goal != nil && h.Goal.Share != 0 // back at once then, rather than never
		k.stays(h, e)
		return
	}
	h.Phase = journal.Failed
	if k.put(h, e) == nil {
		k.drop(h, journal.Entry{})
	}
}

// supersede notes that somebody else changed the member: hands off (SAFETY.md I7).
func (k *keeper) supersede(h *journal.Hold, st edge.State) {
	k.theirs(h, fmt.Sprintf("found %s (%s) at %s, we left %s (%s) at %s", st.Admin, st.Marks, st.Address, h.Left.Admin, h.Left.Marks, h.Left.Address))
}

func (k *keeper) theirs(h *journal.Hold, why string) {
	h.Phase, h.Undo, h.Superseded = journal.Superseded, false, why
	if k.put(h, journal.Entry{Event: "step", Admin: h.To.String(), Result: "superseded", Detail: h.Superseded}) == nil {
		k.count(h.Member, h.To, "superseded")
		level.Warn(k.r.logger).Log("msg", "somebody changed it, hands off", "member", h.Member, "detail", h.Superseded)
	}
}

// orphan ends a hold on something that isn't there.
func (k *keeper) orphan(h *journal.Hold, why string) {
	h.Phase = journal.Orphaned
	if k.put(h, journal.Entry{Detail: why}) == nil {
		level.Warn(k.r.logger).Log("msg", "hold ended", "member", h.Member, "reason", why)
		k.drop(h, journal.Entry{})
	}
}

// put and drop store a hold; what goes wrong is logged here, once.
func (k *keeper) put(h *journal.Hold, e journal.Entry) error {
	e.Config = k.set.hash
	err := k.r.journal.Put(h, e)
	if err != nil {
		k.r.metrics.journalFailed(err)
		level.Error(k.r.logger).Log("msg", "not recorded", "member", h.Member, "phase", h.Phase, "err", err)
	}
	return err
}

func (k *keeper) drop(h *journal.Hold, e journal.Entry) (done bool) {
	e.Config = k.set.hash
	err := k.r.journal.Drop(h, e)
	if err != nil {
		k.r.metrics.journalFailed(err)
		level.Error(k.r.logger).Log("msg", "not recorded", "member", h.Member, "phase", h.Phase, "err", err)
	}
	return err == nil
}
