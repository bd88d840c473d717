package events

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-project/sluice/remediator/journal"
)

// behind is a journal of which entries are read late, as by a replica that hears of
// them after the one that wrote them.
type behind struct {
	*journal.Journal
	late atomic.Bool
	mute atomic.Bool // not even how many there are is known
}

func (b *behind) Page(p journal.Page) ([]journal.Entry, uint64, error) {
	if b.late.Load() {
		return nil, 0, journal.ErrUnavailable
	}
	return b.Journal.Page(p)
}

func (b *behind) Newest() (uint64, error) {
	if b.mute.Load() {
		return 0, journal.ErrUnavailable
	}
	return b.Journal.Newest()
}

func TestWhatAnotherReplicaToldIsNotToldAgain(t *testing.T) {
	p := newHouse(t, newDevices(s1))
	b := &behind{Journal: p.journal}
	p.hub.journal = b
	first := p.listen(t, "", "")
	first.until(t, "changed", "")
	b.late.Store(true)
	p.append(t, journal.Entry{Event: "a"}, journal.Entry{Event: "b"}, journal.Entry{Event: "c"})
	e := p.listen(t, "", "2")
	if s := e.until(t, "changed", ""); s.id != "2" || strings.Contains(s.data, "steps") {
		t.Errorf("begins with %+v", s)
	}
	b.mute.Store(true)
	if again := p.listen(t, "?after=2", ""); again.resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d while nobody knows what there is", again.resp.StatusCode)
	}
	b.mute.Store(false)
	b.late.Store(false)
	if s := e.until(t, "step", ""); s.id != "3" {
		t.Errorf("got %+v", s)
	}
	if s := first.until(t, "step", ""); s.id != "1" {
		t.Errorf("who hears from the start got %+v", s)
	}
}
