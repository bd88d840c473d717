package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// ordersOf hands orders that came over the HAProxy REST API to the engine.
func ordersOf(r *remediator.Remediator) personOrders {
	return func(ctx context.Context, m edge.Member, o haproxyapi.Order) (haproxyapi.Result, error) {
		out, err := r.Order(ctx, remediator.PersonOrder{Member: m, To: o.To, Override: o.Override, Reason: o.Reason, Actor: o.Actor})
		if err != nil {
			return haproxyapi.Result{}, notOrdered(m, o, out, err)
		}
		return ordered(m, out)
	}
}

// notOrdered is what it means that an order ended with an error of ours.
func notOrdered(m edge.Member, o haproxyapi.Order, out remediator.Ordered, err error) error {
	switch {
	case errors.Is(err, remediator.ErrOverride):
		return &haproxyapi.OverrideError{Guard: strings.Join(o.Override, ", "), Detail: err.Error()}
	case out.Written:
		return &haproxyapi.OutcomeError{Instance: m.Device, Err: err}
	}
	return &haproxyapi.UnavailableError{Err: err}
}

// ordered is what came of an order that was decided.
func ordered(m edge.Member, out remediator.Ordered) (haproxyapi.Result, error) {
	fail := func(err error) (haproxyapi.Result, error) { return haproxyapi.Result{}, err }
	detail := errors.New(out.Detail)
	switch out.Result {
	case "applied":
		return haproxyapi.Result{Changed: true}, nil
	case "unchanged":
		return haproxyapi.Result{}, nil
	case "dry_run":
		return fail(haproxyapi.ErrDryRun)
	case "refused":
		return fail(refusal(m, *out.Decision.Refusal))
	case "indeterminate":
		return fail(&haproxyapi.OutcomeError{Instance: m.Device, Err: detail})
	case "replanned":
		return fail(&haproxyapi.UnavailableError{Err: detail})
	case "failed", "superseded":
		if out.NoAnswer { // and it stands as before
			return fail(&haproxyapi.UnreachableError{Instance: m.Device, Err: detail})
		}
		// HAProxy was read back, and stands otherwise.
		return fail(&haproxyapi.RefusedError{Instance: m.Device, Err: detail})
	}
	return fail(fmt.Errorf("order on %s: unknown result %q", m, out.Result))
}

// refusal is a guard's no. Some of the inventory's are no judgement: there is
// nothing, or nobody answers.
func refusal(m edge.Member, no guard.Refusal) error {
	if no.Guard == "inventory" {
		switch no.Reason {
		case "device_blind":
			return &haproxyapi.UnreachableError{Instance: m.Device, Err: errors.New(no.Detail)}
		case "unknown_pool":
			return &haproxyapi.NotFoundError{Kind: "backend", Name: m.Pool}
		case "unknown_member":
			return &haproxyapi.NotFoundError{Kind: "server", Name: m.Pool + "/" + m.Name}
		}
	}
	return &haproxyapi.GuardError{Guard: no.Guard, Reason: no.Reason, Detail: no.Detail, Soft: guard.Bearings[no.Guard] == guard.Soft}
}
