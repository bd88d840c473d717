package remediator

import (
	"context"
	"fmt"
	"time"
)

// orderWait is how long a person waits for their turn at a device: no longer than
// one look that hangs.
const orderWait = lookTimeout + 2*time.Second

// inTurn has a device's keeper do something between two of its rounds, and waits for
// it, which is bounded by the time limits of device calls. An error says that its
// turn didn't come, and that nothing was done.
func (r *Remediator) inTurn(ctx context.Context, device string, do func(context.Context, *keeper)) error {
	late := time.NewTimer(orderWait)
	defer late.Stop()
	for {
		r.mu.Lock()
		k, begun, known := r.keepers[device], r.begun, r.set.devices[device] != nil
		r.mu.Unlock()
		if !known {
			return ErrNoDevice
		}
		taken, err := k.take(ctx, late.C, do)
		if err != nil || taken {
			return err
		}
		select { // a reload replaces it, and its successor comes at once
		case <-begun:
		case <-late.C:
			return ErrBusy
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
		}
	}
}

// take waits for the keeper's turn, and until what was to be done is. It isn't taken
// by a keeper that ends, or that there isn't.
func (k *keeper) take(ctx context.Context, late <-chan time.Time, do func(context.Context, *keeper)) (taken bool, err error) {
	if k == nil {
		return false, nil
	}
	done := make(chan bool, 1)
	ask := func(ctx context.Context) {
		goes := ctx.Err() == nil
		if goes {
			do(ctx, k)
		}
		done <- goes
	}
	select {
	case k.asks <- ask:
	case <-k.gone:
		return false, nil
	case <-late:
		return false, ErrBusy
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	return <-done, nil
}
