package announce

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

func newTestBook() *book {
	c := Config{}
	c.Validate(true)
	return newBook(Options{Config: c, Acts: func(string, edge.Member) bool { return true }, Ended: func(edge.Member) bool { return false }})
}

// What a guard says of a person's own order is the answer to that person, and a claim's
// step is refused as before.
func TestARefusedOrderOfAPersonIsNoRefusal(t *testing.T) {
	b := newTestBook()
	h := journal.Hold{ID: "h1", Member: s1, Policy: "drain", Phase: journal.Deferred, Refused: "budget/max_held/drain", Changed: start}
	for _, e := range []journal.Entry{
		{Guard: "budget", Reason: "max_held", Policy: "drain", At: start},
		{Guard: "min_serving", Reason: "too_few_left", At: start.Add(time.Second), Order: "o1"},
	} {
		e.Event, e.Hold, e.Member, e.To = eventRefusal, h.ID, &s1, journal.Deferred
		b.hear(&e)
	}
	got, _, _ := b.look(nil, []journal.Hold{h}, start.Add(time.Hour))
	if diff := cmp.Diff([]string{"SluiceRefused s1 budget"}, names(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A candidate that a person has given back isn't wanted; when it is refused again, that
// begins anew. What is known of candidates that are gone is forgotten.
func TestWhatIsNotRefusedNow(t *testing.T) {
	b := newTestBook()
	h := journal.Hold{ID: "h1", Member: s1, Policy: "drain", Phase: journal.Deferred, Refused: "budget/max_held/drain", Changed: start}
	look := func(at time.Time) []string {
		got, _, _ := b.look(nil, []journal.Hold{h}, at)
		return names(got)
	}
	look(start)
	h.Refused, h.Changed = "", start.Add(30*time.Second)
	if got := look(start.Add(2 * time.Minute)); got != nil || len(b.refusals) != 0 {
		t.Errorf("nothing is wanted, and %v is told", got)
	}
	h.Refused, h.Changed = "budget/max_held/drain", start.Add(3*time.Minute)
	if got := look(start.Add(4*time.Minute - time.Second)); got != nil {
		t.Errorf("too early: %v", got)
	}
	if diff := cmp.Diff([]string{"SluiceRefused s1 budget"}, look(start.Add(4*time.Minute))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.look(nil, nil, start.Add(5*time.Minute)); len(b.refusals) != 0 {
		t.Errorf("%d refusals of nothing are known", len(b.refusals))
	}
}

// A clock that was set back leaves beginnings that lie ahead.
func TestNothingBeginsInTheFuture(t *testing.T) {
	b := newTestBook()
	got, _, _ := b.look([]journal.Hold{{ID: "h1", Member: s1, Phase: journal.Holding, Since: start.Add(time.Hour)}}, nil, start)
	if len(got) != 1 || !got[0].Starts.Equal(start) {
		t.Errorf("got %+v", got)
	}
}

// Who spoke needn't be told what comes of it.
func TestWhatPeopleDoIsNoRefusal(t *testing.T) {
	for guard, told := range map[string]bool{
		"freeze": false, "silence": false, "foreign": false, "maintenance": false, "hours": false, "approval": false, "leader": false,
		"min_serving": true, "budget": true, "evidence": true, "brake": true, "damping": true, "inventory": true,
	} {
		b := newTestBook()
		h := journal.Hold{ID: "h1", Member: s1, Policy: "drain", Phase: journal.Deferred, Refused: guard + "/x/drain", Changed: start}
		if got, _, next := b.look(nil, []journal.Hold{h}, start.Add(time.Hour)); (len(got) == 1) != told || !next.IsZero() {
			t.Errorf("%s: %v is told, and next %s", guard, names(got), next)
		}
	}
}
