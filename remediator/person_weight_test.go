package remediator

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

func TestAShareIsOfTheConfiguredWeightWhateverIsSet(t *testing.T) {
	configured := 100
	inWorldWith(t, weighs(7), nil, func(w *world) {
		w.device.change(func() { w.device.told = func(edge.Member) edge.Told { return edge.Told{Weighted: configured} } })
		w.wait(time.Second)
		for _, c := range []struct{ of, percent, want int }{{100, 25, 25}, {100, 25, 25}, {100, 250, 250}, {3, 50, 2}, {3, 1, 1}, {10, 100, 10}} {
			configured = c.of
			before := w.share(s1)
			result := "applied"
			if before == c.want {
				result = "unchanged"
			}
			w.order(PersonOrder{Member: s1, Percent: c.percent}, result)
			if got := w.share(s1); got != c.want {
				w.t.Errorf("%d%% of %d is %d; want %d", c.percent, c.of, got, c.want)
			}
		}
		writes := len(w.device.writes())
		for _, c := range []struct{ of, percent int }{{100, 257}, {0, 50}} {
			configured = c.of
			if out, err := w.r.Order(w.t.Context(), PersonOrder{Member: s1, Percent: c.percent, Actor: "ann"}); !errors.Is(err, ErrWeight) {
				w.t.Errorf("%d%% of %d: %+v, %v", c.percent, c.of, out, err)
			}
		}
		w.order(PersonOrder{Member: member("s9"), Percent: 50}, "refused")
		w.wantWrites(writes)
	})
}

// share is the weight that is set on a member.
func (w *world) share(m edge.Member) (n int) {
	w.device.change(func() { n = w.device.states[m].Share })
	return n
}

// weighs gives each member a configured weight.
func weighs(n int) func(*world) {
	return func(w *world) {
		w.device.change(func() {
			for m, st := range w.device.states {
				st.Share = n
				w.device.states[m] = st
			}
		})
	}
}
