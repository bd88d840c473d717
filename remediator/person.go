package remediator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// eventOrder is of entries that are the intent of a person's step.
const eventOrder = "order"

// A PersonOrder is what a person wants of one member, whoever holds it.
type PersonOrder struct {
	Member   edge.Member
	To       edge.Admin
	Share    int      // above 0: the weight that it is to get, and To doesn't count
	Percent  int      // above 0, instead of Share: of the weight of the device's own configuration
	Override []string // soft guards whose no they take upon themselves: [guard.SoftGuards]
	Reason   string   // why, in one line; an override wants one
	Actor    string   // who
}

// Ordered is what came of a person's order.
type Ordered struct {
	Member   edge.Member    `json:"member"`
	Order    string         `json:"order,omitempty"` // by which the journal's entries are found; empty when it was refused
	Decision guard.Decision `json:"decision"`
	Written  bool           `json:"written"` // something may have gone to the device
	Result   string         `json:"result"`  // applied, unchanged, dry_run, refused, failed, superseded, replanned, indeterminate
	Detail   string         `json:"detail"`
	Before   *edge.State    `json:"before,omitempty"`
	After    *edge.State    `json:"after,omitempty"` // as read back; nil when it wasn't
	NoAnswer bool           `json:"-"`               // it failed because no answer came to the command, or none in time
}

var (
	// ErrOverride says that a guard can't be overridden so.
	ErrOverride = errors.New("can't be overridden")
	// ErrWeight says that a weight is none that the member can get.
	ErrWeight = errors.New("no such weight")
	// ErrBusy says that the device gave nobody a turn in time. Nothing was done.
	ErrBusy = errors.New("the device is busy")
	// ErrUnsettled says that what became of an earlier step isn't known yet.
	ErrUnsettled = errors.New("an earlier step isn't settled yet")
)

const (
	// orderTries is how often an order is decided anew because the pool changed
	// between the decision and the write.
	orderTries = 3
	// mostWeight is HAProxy's. Source: HAProxy configuration manual, "weight".
	mostWeight = 256
)

// Order carries out a person's step on any member of any device, through guards,
// journal and read-back like an automatic one. What they did is theirs: automation
// doesn't undo it while the claims of the moment last. It waits for the device's
// keeper, which does it between two rounds.
//
// An error says that nothing was decided, or that what was done could not be
// recorded; a refusal is none, see [Ordered].Decision.
func (r *Remediator) Order(ctx context.Context, o PersonOrder) (Ordered, error) {
	fail := func(err error) (Ordered, error) {
		return Ordered{Member: o.Member}, fmt.Errorf("%s to %s: %w", o.Member, o.goal(), err)
	}
	if err := o.check(); err != nil {
		return fail(err)
	}
	if r.journal == nil {
		return fail(r.broken)
	}
	if why := r.standing().Standby; why != "" {
		return fail(fmt.Errorf("%w: %s", ErrStandby, why))
	}
	var out Ordered
	var err error
	if missed := r.inTurn(ctx, o.Member.Device, func(ctx context.Context, k *keeper) { out, err = k.order(ctx, o) }); missed != nil {
		return fail(missed)
	}
	if err != nil {
		return out, fmt.Errorf("%s to %s: %w", o.Member, o.goal(), err)
	}
	return out, nil
}

// goal is what is asked for, in a word.
func (o PersonOrder) goal() string {
	if o.Share != 0 || o.Percent != 0 {
		return "weight"
	}
	return o.To.String()
}

func (o PersonOrder) check() error {
	switch {
	case o.Actor == "":
		return errors.New("an order is somebody's")
	case o.Share < 0 || o.Share > mostWeight:
		return fmt.Errorf("%d: %w: want 1 to %d", o.Share, ErrWeight, mostWeight)
	case o.Percent < 0 || o.Percent > 0 && o.Share > 0:
		return fmt.Errorf("%d%%: %w: want 1%% on, or a weight instead", o.Percent, ErrWeight)
	case o.To > edge.Maint:
		return edge.ErrAdmin
	case len(o.Override) > 0 && strings.TrimSpace(o.Reason) == "":
		return fmt.Errorf("%s %w without a reason", strings.Join(o.Override, ", "), ErrOverride)
	}
	for _, name := range o.Override {
		if !slices.Contains(guard.SoftGuards(), name) {
			return fmt.Errorf("guard %s %w: one of %s can", quote(name), ErrOverride, strings.Join(guard.SoftGuards(), ", "))
		}
	}
	return nil
}

// shareOf is the weight that a person means by so many percent: of what the device's
// configuration says, whatever is set now, so that the same word always means the
// same weight. A member that isn't listed is for a guard to refuse.
func shareOf(o PersonOrder, snap edge.Snapshot) (int, error) {
	if _, known := snap.States[o.Member]; !known {
		return 1, nil
	}
	whole := 0
	if snap.Told != nil {
		whole = snap.Told(o.Member).Weighted
	}
	if whole <= 0 {
		return 0, fmt.Errorf("%d%%: %w: the device tells of no configured weight that it could be a part of", o.Percent, ErrWeight)
	}
	share := math.Round(float64(whole) * float64(o.Percent) / 100)
	if share > mostWeight {
		return 0, fmt.Errorf("%d%% of %d: %w: at most %d", o.Percent, whole, ErrWeight, mostWeight)
	}
	return max(int(share), 1), nil
}

// order decides anew while the pool changes under it.
func (k *keeper) order(ctx context.Context, o PersonOrder) (out Ordered, err error) {
	defer poke(k.wake) // what it changed is looked at soon
	defer k.r.ages(o.Member.Device)
	for range orderTries {
		var again bool
		if out, again, err = k.orderOnce(ctx, o); !again {
			break
		}
	}
	return out, err
}

// orderOnce looks, asks the guards, records, acts, reads back and records. It says
// whether the pool changed before anything was sent.
func (k *keeper) orderOnce(ctx context.Context, o PersonOrder) (out Ordered, again bool, err error) {
	out = Ordered{Member: o.Member}
	p := k.set.forPerson(o.Member)
	snap, err := k.look(ctx)
	if err != nil {
		return k.blindFor(p, o, err)
	}
	if err := k.settleFor(o.Member, snap); err != nil {
		return out, false, err
	}
	if o.Percent != 0 {
		if o.Share, err = shareOf(o, snap); err != nil {
			return out, false, err
		}
	}
	step := guard.Step{Member: o.Member, To: o.To, Share: o.Share, Person: true}
	var own map[edge.Member]guard.Evidence
	if step.Takes(guard.World{Snapshot: snap}) {
		own = k.ask(ctx, p, o.Member, snap)
		if snap, err = k.look(ctx); err != nil { // again, after the answers (SAFETY.md I17)
			return k.blindFor(p, o, err)
		}
	}
	w, err := k.worldFor(snap, p, o, own)
	if err != nil {
		return out, false, err
	}
	out.Decision = guard.Decide(step, w)
	entry := journal.Entry{
		Member: &o.Member, Policy: p.Name, Admin: o.goal(), Actor: o.Actor, Detail: o.Reason, Config: k.set.hash, Share: o.Share,
		Decision: marshal(out.Decision), World: record(w, o.Member), Row: row(w, o.Member), Along: snap.Along[o.Member],
	}
	if out.Decision.Refusal != nil {
		err := k.refuseFor(&out, entry)
		return out, false, err
	}
	before := snap.States[o.Member]
	out.Before = &before
	if o.Share != 0 && (before.OnOff || before.Share == 0 || before.Settled) {
		return out, false, fmt.Errorf("%w: the device has none of it that could be set", ErrWeight)
	}
	entry.Order, entry.Preimage = orderID(), &before
	out.Order = entry.Order
	if k.set.cfg.Mode == DryRun {
		out.Result, out.Detail = "dry_run", "mode is dry_run: nothing was sent"
		entry.Event, entry.Result = "step", out.Result
		k.r.metrics.step("person", o.Member, o.goal(), out.Result)
		return out, false, k.r.journal.Append(entry)
	}
	entry.Event = eventOrder
	if err := k.r.journal.Append(entry); err != nil {
		k.r.metrics.journalFailed(err)
		return out, false, err // never act without a record
	}
	e := &errand{
		id: entry.Order, member: o.Member, to: o.To, share: o.Share, actor: o.Actor, reason: o.Reason, before: before, along: entry.Along,
	}
	k.errands = append(k.errands, e) // until its outcome is in the journal
	k.r.passes("order.recorded")
	again, err = k.runErrand(ctx, &out, e, snap)
	return out, again, err
}

// runErrand sends what is recorded, and reads back what became of it.
func (k *keeper) runErrand(ctx context.Context, out *Ordered, e *errand, snap edge.Snapshot) (again bool, err error) {
	if e.reached(e.before) {
		out.After = out.Before
		return false, k.conclude(out, e, snap, "unchanged", "it is so already")
	}
	// The last moment before a command, as in [keeper.unlessStopped].
	if err := k.r.leads(); err != nil {
		return false, errors.Join(err, k.conclude(out, e, snap, "failed", "nothing was sent: "+err.Error()))
	}
	if age := time.Since(snap.At); age > freshest {
		return true, k.conclude(out, e, snap, "replanned", fmt.Sprintf("nothing was sent: the device was read %s ago", age.Round(time.Millisecond)))
	}
	receipt, sent := k.sendFor(ctx, e, snap)
	k.r.passes("order.sent")
	if errors.Is(sent, edge.ErrChanged) {
		return true, k.conclude(out, e, snap, "replanned", oneLine(sent))
	}
	if errors.Is(sent, ErrStandby) {
		return false, errors.Join(sent, k.conclude(out, e, snap, "failed", oneLine(sent)))
	}
	out.Written = receipt.Written || sent != nil
	after, err := k.lookBack(ctx)
	if err != nil {
		out.Result, out.Detail = "indeterminate", "the device can't be read back: "+oneLine(err)
		k.r.metrics.step("person", e.member, e.goal(), out.Result)
		level.Error(k.r.logger).Log("msg", "outcome unknown", "member", e.member, "to", e.goal(), "actor", e.actor, "sent", sent, "err", err)
		return false, k.r.journal.Append(e.entry(out.Result, out.Detail, k.set.hash)) // it stays in hand
	}
	return false, k.outcome(out, e, after, sent)
}

// sendFor gives the order, and finishes it even when the person is gone.
func (k *keeper) sendFor(ctx context.Context, e *errand, snap edge.Snapshot) (edge.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	c := edge.Change{Member: e.member, To: e.to}
	if e.share != 0 {
		c.To, c.Share = e.before.Admin, e.share
	}
	receipt, err := k.dev.Set(ctx, edge.Order{Changes: []edge.Change{c}, Version: snap.Versions[e.member.Pool], Save: k.save, Last: k.r.leads})
	k.written(e.member.In(), receipt, err)
	return receipt, err
}

// blindFor refuses a step on a device that gives no answer.
func (k *keeper) blindFor(p *Policy, o PersonOrder, why error) (Ordered, bool, error) {
	w := guard.World{
		Now: time.Now(), Freeze: k.r.frozen(o.Member), Blind: oneLine(why), Policy: k.set.limits(p, o.Member), Standing: k.r.standing(), Override: o.Override,
	}
	out := Ordered{Member: o.Member, Decision: guard.Decide(guard.Step{Member: o.Member, To: o.To, Share: o.Share, Person: true}, w)}
	err := k.refuseFor(&out, journal.Entry{
		Member: &o.Member, Policy: p.Name, Admin: o.goal(), Actor: o.Actor, Config: k.set.hash, Share: o.Share, Decision: marshal(out.Decision),
	})
	return out, false, err
}

// refuseFor records a guard's no, each time: somebody asked.
func (k *keeper) refuseFor(out *Ordered, e journal.Entry) error {
	no := *out.Decision.Refusal
	out.Result, out.Detail = "refused", no.Detail
	k.r.metrics.refusals.WithLabelValues(no.Guard, no.Reason).Inc()
	level.Warn(k.r.logger).Log("msg", "person's step refused", "member", out.Member, "to", e.Admin, "actor", e.Actor, "guard", no.Guard, "reason", no.Reason, "detail", no.Detail)
	e.Event, e.Result, e.Guard, e.Reason, e.Detail = "refusal", "refused", no.Guard, no.Reason, no.Detail
	return k.r.journal.AppendUnfenced(e)
}

// worldFor is what guards may look at, for a person's step.
func (k *keeper) worldFor(snap edge.Snapshot, p *Policy, o PersonOrder, own map[edge.Member]guard.Evidence) (guard.World, error) {
	w, err := k.world(snap, p, nil, o.Member, own)
	w.Override = o.Override
	w.Along = map[edge.Member]*guard.Policy{}
	for _, other := range snap.Along[o.Member] {
		rules := k.set.forPerson(other)
		w.Along[other] = k.set.limits(rules, other)
		if w.Closed == "" {
			w.Closed = rules.closed(w.Now)
		}
	}
	return w, err
}

// forPerson finds the limits that a person's step on a member is judged by: of the
// first policy that takes such members out, in whatever mode; where there is none,
// one other member has to serve.
func (s *settings) forPerson(m edge.Member) *Policy {
	for i := range s.cfg.Policies {
		if p := &s.cfg.Policies[i]; !p.bypass && p.Members.Match(m) {
			return p
		}
	}
	return &Policy{MaxHeld: 1, Confirm: "probe", amount: guard.Amount{Count: 1}}
}

// settleFor brings to an end what isn't settled of a member: nothing is done on
// top of a step whose outcome isn't known (SAFETY.md I10).
func (k *keeper) settleFor(m edge.Member, snap edge.Snapshot) error {
	if snap.ReadOnly != "" {
		return nil // a guard refuses
	}
	if err := k.finishErrands(snap); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	holds, err := k.holds()
	for i := range holds {
		h := &holds[i]
		if st, known := snap.State(h.Member); known && h.Holds(m) && !settled(h.Phase) {
			k.resume(h, snap, st)
		}
	}
	if err == nil {
		holds, err = k.holds()
	}
	if err != nil {
		return err
	}
	for _, h := range holds {
		if h.Holds(m) && !settled(h.Phase) {
			return fmt.Errorf("%w: hold %s is %s", ErrUnsettled, h.ID, h.Phase)
		}
	}
	return nil
}

// settled says that no command of a hold is in hand.
func settled(p journal.Phase) bool {
	switch p {
	case journal.Holding, journal.ReleasePending, journal.Expiring, journal.Superseded:
		return true
	}
	return false
}

func orderID() string {
	var b [6]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return "o" + hex.EncodeToString(b[:])
}
