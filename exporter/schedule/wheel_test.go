package schedule

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The wheel beside a plain sorted list: both give out the same tasks at the same
// times, none early, and the wheel never sleeps past one.
func TestTheWheelIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		var now time.Duration
		var model []*task
		byTick := func(a, b *task) int { return cmp.Compare(tickOf(a.due), tickOf(b.due)) }
		times := rapid.Custom(func(t *rapid.T) time.Duration {
			span := rapid.SampledFrom([]time.Duration{tick / 2, 10 * tick, slots * tick, 5 * slots * tick}).Draw(t, "span")
			return time.Duration(rapid.Int64Range(0, int64(span)).Draw(t, "time"))
		})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				one := &task{due: now + 1 + times.Draw(t, "due")}
				w.add(one)
				model = append(model, one)
			},
			"remove": func(t *rapid.T) {
				if len(model) == 0 {
					return
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				w.remove(model[i])
				model = slices.Delete(model, i, i+1)
			},
			"take": func(t *rapid.T) {
				now += times.Draw(t, "later")
				var got, want []*task
				w.take(now, func(one *task) { got = append(got, one) })
				for _, one := range got {
					if one.due > now || one.in != nil {
						t.Fatalf("at %s it gave out what is due at %s", now, one.due)
					}
				}
				slices.SortStableFunc(model, byTick)
				for len(model) > 0 && time.Duration(tickOf(model[0].due))*tick <= now {
					want, model = append(want, model[0]), model[1:]
				}
				byDue := func(a, b *task) int { return cmp.Compare(a.due, b.due) }
				slices.SortFunc(got, byDue)
				slices.SortFunc(want, byDue)
				if len(got) != len(want) {
					t.Fatalf("at %s it gave out %d, want %d", now, len(got), len(want))
				}
				for i := range got {
					if got[i].due != want[i].due {
						t.Fatalf("at %s it gave out %s, want %s", now, got[i].due, want[i].due)
					}
				}
			},
			"": func(t *rapid.T) {
				if w.n != len(model) {
					t.Fatalf("it has %d, want %d", w.n, len(model))
				}
				next, ok := w.next()
				if ok != (len(model) > 0) {
					t.Fatalf("next says %v, and %d are there", ok, len(model))
				}
				if !ok {
					return
				}
				if first := slices.MinFunc(model, byTick); next > time.Duration(tickOf(first.due))*tick {
					t.Fatalf("it would sleep until %s past %s", next, first.due)
				}
			},
		})
	})
}

func TestTheWheelGoesThroughItsTicksInOrder(t *testing.T) {
	var w wheel
	for _, due := range []time.Duration{9 * tick, 3 * tick, 7*tick + 1, tick} {
		w.add(&task{due: due})
	}
	var got []time.Duration
	w.take(20*tick, func(t *task) { got = append(got, t.due) })
	if !slices.IsSorted(got) || len(got) != 4 {
		t.Errorf("got %v", got)
	}
}

func TestTheLagRecordForgetsAndFinds(t *testing.T) {
	var r lagRecord
	r.note(10*time.Second, 300*time.Millisecond)
	r.note(10*time.Second+time.Millisecond, 20*time.Millisecond)
	r.note(12*time.Second, tick/2) // nothing
	for _, c := range []struct {
		name      string
		from, now time.Duration
		want      time.Duration
	}{
		{"it ended in this time", 9 * time.Second, 11 * time.Second, 300 * time.Millisecond},
		{"before anything was", -time.Second, 11 * time.Second, 300 * time.Millisecond},
		{"it was before", 11 * time.Second, 13 * time.Second, 0},
		{"it is more than a minute ago", 0, 10*time.Second + lagSpans*lagSpan, 0},
	} {
		if got := r.since(c.from, c.now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
