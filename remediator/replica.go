package remediator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// leaseMargin is what a lease must have left beside the time that a step may take
// (SAFETY.md I16).
const leaseMargin = time.Second

// leaseNeed is what must be left of the lease when a command is sent.
const leaseNeed = sendTimeout + leaseMargin

// Run works until ctx ends; a step in hand is finished first. Of several replicas
// the one that leads works, and the others wait.
func (r *Remediator) Run(ctx context.Context) error {
	// Before the web server waits for answers to end: those of listeners don't.
	defer context.AfterFunc(ctx, r.events.End)()
	if r.journal == nil {
		level.Warn(r.logger).Log("msg", "no step will be taken", "reason", r.broken)
		<-ctx.Done()
		return nil
	}
	// Leadership is kept until the last step has ended, so that it is still fenced.
	leading, resign := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	var failed error
	beside.Go(func() { failed = r.coordinator.Run(leading) })
	beside.Go(func() { r.keepAudit(leading) })
	defer beside.Wait()
	defer resign()
	for ctx.Err() == nil {
		term, leads := r.coordinator.Leading()
		if !leads {
			r.standBy(ctx)
			continue
		}
		r.lead(ctx, term)
	}
	resign()
	beside.Wait()
	return failed
}

// lead works until ctx or the term ends, or the settings are replaced.
func (r *Remediator) lead(ctx context.Context, term coordinate.Term) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, leased := term.Left(); leased {
		level.Info(r.logger).Log("msg", "leading", "term", term.Token())
		defer func() { level.Info(r.logger).Log("msg", "no longer leading", "term", term.Token()) }()
		go func() {
			select {
			case <-term.Done():
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	r.generation(ctx)
}

// standBy waits for anything to change. A replica that doesn't lead stores hints
// and people's orders, and does nothing else.
func (r *Remediator) standBy(ctx context.Context) {
	r.mu.Lock()
	r.keepers = map[string]*keeper{}
	r.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-r.coordinator.Changes():
	case <-r.apply:
	case <-r.hint: // is in the journal, which the leader follows
	}
	r.unlist()
}

// unlist forgets what devices listed: what came while another replica led, it has seen
// come.
func (r *Remediator) unlist() {
	r.flowing.Lock()
	defer r.flowing.Unlock()
	for _, f := range r.flows {
		f.mu.Lock()
		f.listed = nil
		f.mu.Unlock()
	}
}

// follow passes on what other replicas put into the journal that all share.
func (r *Remediator) follow(ctx context.Context) {
	if !r.coordinator.Status().Leased {
		return // nobody else writes
	}
	hints, stop := r.journal.Follow(journal.PartHints)
	defer stop()
	orders, end := r.journal.Follow(journal.PartHolds | journal.PartState)
	defer end()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hints:
			poke(r.hint)
		case <-orders:
			r.wakeKeepers()
		}
	}
}

// standing says whether this replica may write now.
func (r *Remediator) standing() guard.Standing {
	st := r.coordinator.Status()
	if !st.Leased {
		return guard.Standing{}
	}
	s := guard.Standing{Leased: true, Need: leaseNeed}
	if term, leads := r.coordinator.Leading(); leads {
		s.Left, _ = term.Left()
		return s
	}
	switch {
	case st.Leader != "":
		s.Standby = "another replica leads: " + st.Leader
	case st.Problem != "":
		s.Standby = "no replica is known to lead: " + st.Problem
	default:
		s.Standby = "no replica leads yet"
	}
	return s
}

// leads is nil while this replica may send a command now.
func (r *Remediator) leads() error {
	if lead := guard.Leads(r.standing()); lead.Reason != "" {
		return fmt.Errorf("%w: %s", ErrStandby, lead.Detail)
	}
	return nil
}

// An Audit is a second record of what the journal records, that can't be changed
// unnoticed.
type Audit interface {
	// Sync writes what the journal has and the stream doesn't.
	Sync(j *journal.Journal) error
}

// auditAgain is how soon a stream that couldn't be written is tried again.
const auditAgain = 10 * time.Second

// keepAudit follows the journal. The stream is behind it by milliseconds; what it
// lacks after a crash is written at the next start.
func (r *Remediator) keepAudit(ctx context.Context) {
	if r.audit == nil {
		return
	}
	changes, stop := r.journal.Follow(journal.PartEntries)
	defer stop()
	again := time.NewTicker(auditAgain)
	defer again.Stop()
	last := ""
	for {
		said := ""
		if err := r.audit.Sync(r.journal); err != nil {
			r.metrics.auditErrors.Inc()
			if said = oneLine(err); said != last {
				level.Error(r.logger).Log("msg", "audit stream not written", "err", err)
			}
		} else if last != "" {
			level.Info(r.logger).Log("msg", "audit stream is written again")
		}
		last = said
		retry := again.C
		if last == "" {
			retry = nil
		}
		select {
		case <-ctx.Done():
			if err := r.audit.Sync(r.journal); err != nil && last == "" {
				level.Error(r.logger).Log("msg", "audit stream not written", "err", err)
			}
			return
		case <-changes:
		case <-retry:
		}
	}
}
