package remediator

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// awaited are the words for what the one hold waits for now.
func (w *world) awaited() (words []string, all []Await) {
	w.t.Helper()
	holds, err := w.r.journal.Holds()
	if err != nil || len(holds) != 1 {
		w.t.Fatalf("holds %v, %v", holds, err)
	}
	all = w.r.Awaits(holds[0])
	for _, a := range all {
		words = append(words, a.Word)
	}
	return words, all
}

func TestAHoldSaysWhatItWaitsFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(5 * time.Second)
		want := func(when string, words ...string) []Await {
			t.Helper()
			got, all := w.awaited()
			if !slices.Equal(got, words) {
				t.Errorf("%s: it waits for %v, want %v: %+v", when, got, words, all)
			}
			return all
		}
		want("failing", "claim", "evidence")
		w.freeze()
		want("frozen", "frozen", "claim", "evidence")
		if err := w.r.journal.Thaw("test"); err != nil {
			t.Fatal(err)
		}

		w.probe.set(s1, edge.Yes)
		w.alerts.resolve(s1)
		w.r.Wake()
		w.wait(4 * time.Second)
		all := want("well", "hold_down")
		if a := all[0]; a.Until.Sub(a.Since) != 10*time.Second || !a.Until.After(time.Now()) {
			t.Errorf("hold_down %+v", a)
		}

		w.freeze()
		w.wait(time.Minute)
		want("well for long, and frozen", "frozen")
		if err := w.r.Release(w.t.Context(), s1, "ann", "it is well"); err != nil {
			t.Fatal(err)
		}
		if all := want("a person wants it back", "asked"); all[0].Detail != "ann" {
			t.Errorf("got %+v", all)
		}
	})
}
