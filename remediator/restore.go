package remediator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A Restorer is a device whose pools are whole objects, and that takes one back
// as it was stored.
type Restorer interface {
	// Preview says how the members of a pool would stand with a stored object.
	// other says why the object is no image of that pool; empty when it is one.
	Preview(pool string, object []byte) (after []edge.State, other string, err error)
	// Restore puts the object back: the order's changes are not looked at.
	Restore(ctx context.Context, pool string, object []byte, o edge.Order) (edge.Receipt, error)
}

// ErrNoObjects says that a device has no whole objects that could be put back.
var ErrNoObjects = errors.New("this kind of device has no objects that could be put back")

// ErrObject says that what is to be put back is no object of a pool.
var ErrObject = errors.New("no object of a pool")

// ErrNoDevice says that no device has that name.
var ErrNoDevice = errors.New("no such device")

// ErrStandby says that this replica doesn't lead, and writes to no device.
var ErrStandby = errors.New("this replica stands by")

// A Restoration is what came of a person's order to put an object back.
type Restoration struct {
	Decision guard.Decision `json:"decision"`
	Written  bool           `json:"written"`
	Result   string         `json:"result"` // applied, unchanged, failed, indeterminate, replanned, refused
	Detail   string         `json:"detail"`
}

// Restore puts a stored object back by a person's word, through guards and
// journal. It waits for the device's keeper, which does it between two rounds.
func (r *Remediator) Restore(ctx context.Context, p edge.Pool, object []byte, actor, reason string) (Restoration, error) {
	if r.journal == nil {
		return Restoration{}, r.broken
	}
	fail := func(err error) (Restoration, error) { return Restoration{}, fmt.Errorf("restore %s: %w", p, err) }
	if why := r.standing().Standby; why != "" {
		return fail(fmt.Errorf("%w: %s", ErrStandby, why))
	}
	var out Restoration
	var err error
	missed := r.inTurn(ctx, p.Device, func(ctx context.Context, k *keeper) {
		dev, ok := k.dev.(Restorer)
		if !ok {
			err = fmt.Errorf("restore %s: %w", p, ErrNoObjects)
			return
		}
		out, err = k.restore(ctx, dev, p, object, actor, reason)
	})
	if missed != nil {
		return fail(missed)
	}
	return out, err
}

func (k *keeper) restore(ctx context.Context, dev Restorer, p edge.Pool, object []byte, actor, reason string) (Restoration, error) {
	after, other, err := dev.Preview(p.Name, object)
	if err != nil {
		return Restoration{}, fmt.Errorf("restore %s: %w: %w", p, ErrObject, err)
	}
	for i := range after {
		after[i].Member.Device, after[i].Member.Pool = p.Device, p.Name
	}
	snap, err := k.look(ctx)
	if err != nil {
		return Restoration{}, err
	}
	rules := k.set.rulesOn(snap.Pool(p))
	w, err := k.world(snap, rules, nil, edge.Member{Device: p.Device, Pool: p.Name}, nil)
	if err != nil {
		return Restoration{}, err
	}
	if rules != nil {
		w.Own = k.set.ask(ctx, rules, after)
	}
	out := Restoration{Decision: guard.DecideRestore(guard.Restore{Pool: p, After: after, Other: other}, w)}
	pool := edge.Member{Device: p.Device, Pool: p.Name}
	entry := journal.Entry{Member: &pool, Actor: actor, Decision: marshal(out.Decision), Admin: "restore", Config: k.set.hash}
	if no := out.Decision.Refusal; no != nil {
		out.Result, out.Detail = "refused", no.Detail
		k.r.metrics.refusals.WithLabelValues(no.Guard, no.Reason).Inc()
		entry.Event, entry.Result, entry.Guard, entry.Reason, entry.Detail = "refusal", "refused", no.Guard, no.Reason, no.Detail
		return out, k.r.journal.Append(entry)
	}
	if err := k.r.leads(); err != nil {
		return out, fmt.Errorf("restore %s: %w", p, err)
	}
	entry.Event, entry.Detail, entry.After = "intent", "put the object back: "+reason, object
	if err := k.r.journal.Append(entry); err != nil {
		return out, err // never act without a record
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	receipt, err := dev.Restore(ctx, p.Name, object, edge.Order{Version: snap.Versions[p.Name], Save: k.save, Last: k.r.leads})
	k.written(p, receipt, err)
	out.Written = receipt.Written
	switch {
	case err == nil && !receipt.Written:
		out.Result, out.Detail = "unchanged", "the device has these backends already"
	case err == nil:
		out.Result, out.Detail = "applied", "its backends are put back, and read back as they were stored"
	case errors.Is(err, edge.ErrChanged):
		out.Result, out.Detail = "replanned", oneLine(err)
	case receipt.Written && !errors.Is(err, edge.ErrNotKept):
		out.Result, out.Detail = "indeterminate", oneLine(err)
	default:
		out.Result, out.Detail = "failed", oneLine(err)
	}
	k.r.metrics.step("person", pool, "restore", out.Result)
	level.Warn(k.r.logger).Log("msg", "object put back by hand", "device", p.Device, "pool", p.Name, "actor", actor, "result", out.Result, "detail", out.Detail)
	return out, k.r.journal.Append(journal.Entry{
		Event: "step", Member: &pool, Actor: actor, Admin: "restore", Result: out.Result, Detail: out.Detail, At: time.Now(), Config: k.set.hash,
	})
}

// rulesOn finds a policy that takes members of a pool out; nil when none selects
// any of them: then the configuration doesn't name the pool.
func (s *settings) rulesOn(states []edge.State) *Policy {
	for i := range s.cfg.Policies {
		p := &s.cfg.Policies[i]
		for _, st := range states {
			if !p.bypass && p.Members.Match(st.Member) {
				return p
			}
		}
	}
	return nil
}
