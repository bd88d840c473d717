package events

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
)

// Entries that were pruned can't be told any more: that they can't is.
func TestAListenerThatMissedPrunedEntriesIsToldSo(t *testing.T) {
	p := newHouse(t, newDevices(s1))
	p.append(t, journal.Entry{Event: "a"}, journal.Entry{Event: "b"})
	if err := p.journal.Prune(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	p.append(t, journal.Entry{Event: "c"})
	for query, missed := range map[string]bool{"?after=0": true, "?after=1": true, "?after=2": false, "": false} {
		e := p.listen(t, query, "")
		if s := e.until(t, "changed", ""); strings.Contains(s.data, `"steps"`) != missed {
			t.Errorf("%q: begins with %+v", query, s)
		}
		if query == "" {
			continue
		}
		if s := e.until(t, "step", ""); s.id != "3" {
			t.Errorf("%q: the first entry is %+v", query, s)
		}
	}
}

// Who comes while others listen begins at the newest entry, too: with an older one
// for a place it would be told again, at its return, what it knows.
func TestWhoComesLaterBeginsAtTheNewest(t *testing.T) {
	p := newHouse(t, newDevices(s1))
	first := p.listen(t, "", "")
	first.until(t, "changed", "")
	p.append(t, journal.Entry{Event: "a"}, journal.Entry{Event: "b"})
	for first.until(t, "step", "").id != "2" {
		continue
	}
	if s := p.listen(t, "", "").until(t, "changed", ""); s.id != "2" {
		t.Errorf("begins with %+v", s)
	}
}
