package remediator

import (
	"maps"
	"slices"

	"github.com/sluice-project/sluice/remediator/events"
	"github.com/sluice-project/sluice/remediator/journal"
)

// heardOf is the journal as listeners hear of it.
func (r *Remediator) heardOf() events.Journal {
	if r.journal == nil {
		return noJournal{r.broken}
	}
	return r.journal
}

// Follow is part of [noJournal], which never changes.
func (n noJournal) Follow(journal.Part) (changes <-chan struct{}, stop func()) {
	return nil, func() {}
}

// Newest is part of [noJournal].
func (n noJournal) Pruned() (uint64, error) { return 0, n.why }
func (n noJournal) Newest() (uint64, error) { return 0, n.why }

// listened are the devices as listeners hear of them.
type listened struct{ engine }

// Names are those of all devices.
func (w listened) Names() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.set.devices))
}
