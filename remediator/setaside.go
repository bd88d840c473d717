package remediator

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator/audit"
	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/journal"
)

// EventWasOurs is an entry in a new journal about a member that was ours by the
// audit stream when the old journal was lost. Nobody will give it back: a person
// has to, or to see that it is well as it is.
const EventWasOurs = "was_ours"

// setAside goes on without a journal that can't be trusted: frozen, with a new
// one that says why, where the old one is kept, and what was ours by the audit
// stream (SAFETY.md I19). When that can't be done either, the remediator is
// frozen without a journal.
func (r *Remediator) setAside(o Options, why error) error {
	path := o.Config.Journal
	if _, local := r.coordinator.(coordinate.Local); !local { // the journal isn't in that file
		return r.without(path, why)
	}
	ours, err := wasOurs(o.Config.Audit.File)
	if err != nil {
		level.Error(r.logger).Log("msg", "audit stream not read to its end", "err", err)
	}
	kept, err := journal.SetAside(path, o.JournalLock, why, ours...)
	if err != nil {
		return r.without(path, err)
	}
	level.Error(r.logger).Log("msg", "journal unreadable, set aside, frozen", "path", path, "kept", kept, "ours", len(ours)-1, "err", why)
	for _, e := range ours[1:] {
		level.Error(r.logger).Log("msg", "was ours, nobody gives it back", "member", e.Member, "detail", e.Detail)
	}
	r.path = path
	r.journal, err = r.coordinator.OpenJournal(path, o.JournalLock)
	return err
}

// found tells what the audit stream knows of a journal that was there before a
// new one: somebody took the file away. A new, empty journal is no reason to
// freeze (I19), but nobody gives back what the old one held.
func (r *Remediator) found(o Options, isNew bool) error {
	if _, local := r.coordinator.(coordinate.Local); !local || !isNew {
		return nil
	}
	if _, err := os.Stat(o.Config.Audit.File); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	ours, err := wasOurs(o.Config.Audit.File)
	if err != nil {
		level.Error(r.logger).Log("msg", "audit stream not read to its end", "err", err)
	}
	if len(ours) == 1 && err == nil {
		return nil
	}
	level.Error(r.logger).Log("msg", "the journal is new, and the audit stream knows of an older one", "path", r.path, "ours", len(ours)-1)
	for _, e := range ours[1:] {
		level.Error(r.logger).Log("msg", "was ours, nobody gives it back", "member", e.Member, "detail", e.Detail)
	}
	return r.journal.Append(ours...)
}

// without goes on frozen and without a journal.
func (r *Remediator) without(path string, why error) error {
	r.broken = why
	level.Error(r.logger).Log("msg", "journal unreadable, frozen", "path", path, "err", why)
	return nil
}

// wasOurs is what the audit stream says is ours, as entries for a new journal.
// With an error comes what its sound part says. The first entry tells how much
// to believe the others.
func wasOurs(path string) ([]journal.Entry, error) {
	var standings audit.Standings
	files, err := audit.Files(path)
	if err == nil {
		_, err = audit.Read(files, func(l audit.Line) error { standings.Add(l); return nil })
	}
	ours := standings.List()
	head := journal.Entry{Event: EventWasOurs, Detail: fmt.Sprintf("by the audit stream %d members were ours", len(ours))}
	if err != nil {
		head.Detail += "; it could not be read to its end: " + oneLine(err)
	}
	entries := []journal.Entry{head}
	for _, st := range ours {
		e := journal.Entry{
			Event: EventWasOurs, Member: &st.Member, Policy: st.Policy, Admin: st.Admin, Remediation: st.Remediation,
			Detail:   fmt.Sprintf("hold %s of the old journal, since %s, last %s", st.Hold, st.Since.UTC().Format(time.RFC3339), st.Phase),
			Evidence: marshal(st),
		}
		if st.Preimage != nil {
			e.Detail += fmt.Sprintf("; before that it was %s", st.Preimage.Admin)
			if st.Preimage.Marks != "" {
				e.Detail += " (" + st.Preimage.Marks + ")"
			}
		}
		entries = append(entries, e)
	}
	return entries, err
}

// countSetAside shows how many damaged journals lie beside the one in use. It
// stays above 0, over restarts and after a thaw, until a person has looked at
// them and moved them elsewhere.
func countSetAside(reg prometheus.Registerer, path string) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: namespace + "journals_set_aside",
		Help: "Damaged journals that were set aside and still lie beside the one in use.",
	}, func() float64 {
		files, err := journal.Damaged(path)
		if err != nil {
			return 1 // only a wrong pattern is an error: there is something to look at
		}
		return float64(len(files))
	}))
}
