package remediator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// ErrNoMember says that a device lists no such pool or member.
var ErrNoMember = errors.New("the device doesn't list it")

// knowWait is how long somebody who wants automation to stop waits for a device to say
// what it has.
const knowWait = 2 * time.Second

// Knows says whether there is such a device, pool or member: a name with a slip in it
// would stop nothing, and who gave it would rely on it. A part that is empty is any. A
// device that gives no answer is believed to have it: who stops something isn't kept
// waiting (SAFETY.md I19).
func (r *Remediator) Knows(ctx context.Context, m edge.Member) error {
	r.mu.Lock()
	d := r.set.devices[m.Device]
	if d != nil && r.glances[m.Device] == nil {
		r.glances[m.Device] = newGlance()
	}
	g := r.glances[m.Device]
	r.mu.Unlock()
	switch {
	case d == nil:
		return fmt.Errorf("device %s: %w", quote(m.Device), ErrNoDevice)
	case m.Pool == "", r.flowOf(m.Device).lists(m):
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, knowWait)
	defer cancel()
	found := make(chan error, 1)
	go func() { // ends with the look, which has a limit of its own
		snap, err := g.look(ctx, d)
		switch {
		case err != nil:
			found <- nil
		case m.Name == "" && len(snap.Pool(m.In())) == 0:
			found <- fmt.Errorf("pool %s: %w", quote(m.In().String()), ErrNoMember)
		case m.Name != "" && snap.States[m].Member != m:
			found <- fmt.Errorf("member %s: %w", quote(m.String()), ErrNoMember)
		default:
			found <- nil
		}
	}()
	select {
	case err := <-found:
		return err
	case <-ctx.Done():
		return nil
	}
}

// lists says whether the last look showed a member; any of the pool when it has no name.
func (f *flow) lists(m edge.Member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) == 0 {
		return false
	}
	last := f.seen[len(f.seen)-1].counts
	if m.Name != "" {
		_, ok := last[m]
		return ok
	}
	for other := range last {
		if other.In() == m.In() {
			return true
		}
	}
	return false
}

// Claim makes a member a person's: automation takes no step on it until [Remediator.Unclaim]
// or its end. It is durable when Claim returns, on all replicas, and what we held of it
// is handed over.
func (r *Remediator) Claim(ctx context.Context, c journal.Claimed) error {
	if r.journal == nil {
		return r.broken
	}
	if err := r.Knows(ctx, c.Member); err != nil {
		return err
	}
	if err := r.journal.Claim(c); err != nil {
		return err
	}
	level.Info(r.logger).Log("msg", "claimed by a person", "member", c.Member, "actor", c.Actor, "reason", c.Reason, "until", c.Until)
	r.wakeKeepers()
	return nil
}

// Unclaim gives a claimed member back to automation, which begins anew.
func (r *Remediator) Unclaim(_ context.Context, m edge.Member, actor, reason string) error {
	if r.journal == nil {
		return r.broken
	}
	if err := r.journal.Unclaim(m, actor, reason); err != nil {
		return err
	}
	level.Info(r.logger).Log("msg", "released by a person", "member", m, "actor", actor, "reason", reason)
	r.Wake()
	return nil
}

// wakeKeepers makes each look at what changed in the journal, at once.
func (r *Remediator) wakeKeepers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keepers {
		poke(k.wake)
	}
}

// Knows answers with the code for the API. See [Remediator.Knows].
func (e engine) Knows(ctx context.Context, m edge.Member) error {
	return missing(e.Remediator.Knows(ctx, m))
}

// Claim answers with the code for the API. See [Remediator.Claim].
func (e engine) Claim(ctx context.Context, c journal.Claimed) error {
	return missing(e.Remediator.Claim(ctx, c))
}

// Unclaim answers with the code for the API. See [Remediator.Unclaim].
func (e engine) Unclaim(ctx context.Context, m edge.Member, actor, reason string) error {
	return missing(e.Remediator.Unclaim(ctx, m, actor, reason))
}

// Windows answers with the code for the API. See [Remediator.Windows].
func (e engine) Windows() ([]control.Window, error) {
	all, err := e.Remediator.Windows()
	return all, missing(err)
}

// AddWindow answers with the code for the API. See [Remediator.AddWindow].
func (e engine) AddWindow(s control.WindowSpec, actor string) (control.Window, error) {
	w, err := e.Remediator.AddWindow(s, actor)
	if errors.Is(err, ErrBadWindow) {
		return w, control.BadRequest(err)
	}
	return w, missing(err)
}

// DropWindow answers with the code for the API. See [Remediator.DropWindow].
func (e engine) DropWindow(name, actor string) error {
	return missing(e.Remediator.DropWindow(name, actor))
}

// missing is what isn't there, as the API says it.
func missing(err error) error {
	if errors.Is(err, ErrNoDevice) || errors.Is(err, ErrNoMember) || errors.Is(err, journal.ErrNotClaimed) || errors.Is(err, journal.ErrNoWindow) {
		return control.NotFound(err)
	}
	return standsInTheWay(err)
}

// standsInTheWay is what can't be kept, or not now, as the API says it.
func standsInTheWay(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrTooMany), errors.Is(err, journal.ErrWindow):
		return control.Problem(http.StatusConflict, nil, err)
	}
	return control.Problem(http.StatusServiceUnavailable, nil, err)
}
