package calendar

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// A run is one time from start to before end, in seconds since 1970.
type run struct{ start, end int64 }

// A plan gives runs by the day they start on.
type plan interface {
	// on adds the runs of a day to those given. Days are of the wall calendar,
	// counted from 1970-01-01.
	on(day int64, to []run) []run
	// longest is what no run of a day is longer than, counted from the day's end.
	longest() time.Duration
}

const (
	daySeconds = 24 * 60 * 60
	// No zone is or was further from UTC, the date line in the Pacific included.
	farthest = 16 * 60 * 60
)

// at says whether a run of the plans is in force, and until when.
func at(now time.Time, plans ...plan) (time.Time, bool) {
	t := now.Unix()
	for r := range joined(now, plans) {
		if r.start > t {
			break
		}
		if r.end > t {
			return time.Unix(min(r.end, t+int64(horizon/time.Second)), 0).UTC(), true
		}
	}
	return time.Time{}, false
}

// next is the first start after now.
func next(now time.Time, plans ...plan) (time.Time, bool) {
	t := now.Unix()
	for r := range joined(now, plans) {
		if r.start > t {
			if r.start > t+int64(horizon/time.Second) {
				break
			}
			return time.Unix(r.start, 0).UTC(), true
		}
	}
	return time.Time{}, false
}

// joined gives the runs from now to the horizon in order; those that overlap or
// touch are one. The first may have begun before it says.
func joined(now time.Time, plans []plan) iter.Seq[run] {
	var back time.Duration
	for _, p := range plans {
		back = max(back, p.longest())
	}
	first, last := dayOf(now.Add(-back))-2, dayOf(now.Add(horizon))+2
	return func(yield func(run) bool) {
		var due []run // of days that were asked, in order
		var one run   // that others may still join
		for day := first; day <= last; day++ {
			for _, p := range plans {
				due = p.on(day, due)
			}
			slices.SortFunc(due, func(a, b run) int { return cmp.Compare(a.start, b.start) })
			// Where clocks are set back over midnight, a later day starts before
			// an earlier one ends: nothing of the next day starts before this.
			settled := (day+1)*daySeconds - farthest
			for len(due) > 0 && (due[0].start < settled || day == last) {
				r := due[0]
				due = due[1:]
				switch {
				case one.end > one.start && r.start <= one.end:
					one.end = max(one.end, r.end)
					continue
				case one.end > one.start && !yield(one):
					return
				}
				one = r
			}
		}
		if one.end > one.start {
			yield(one)
		}
	}
}

func dayOf(t time.Time) int64 {
	s := t.Unix()
	day := s / daySeconds
	if s%daySeconds < 0 {
		day--
	}
	return day
}

// date is the day as time knows it, for its fields only.
func date(day int64) time.Time { return time.Unix(day*daySeconds, 0).UTC() }
