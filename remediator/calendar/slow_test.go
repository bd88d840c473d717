package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/remediator/calendar"
)

// A slow reading of the same rules: every minute of some days is looked at, and
// a clock is read at each. It shares nothing with the package.
type slow struct {
	from   time.Time
	wall   []int64 // what the clock shows in each minute, in minutes since 1970 as if it were UTC
	active []bool
}

const (
	slowDays = 8
	margin   = 3 * dayMinutes // at both ends: what began before, and what ends after, is not known there

	dayMinutes = 24 * 60
)

func newSlow(from time.Time, zone *time.Location) *slow {
	s := &slow{from: from}
	for m := range slowDays * dayMinutes {
		at := from.Add(time.Duration(m) * time.Minute).In(zone)
		_, off := at.Zone()
		s.wall = append(s.wall, (at.Unix()+int64(off))/60)
	}
	return s
}

func (s *slow) mark(from, to int) {
	for m := max(from, 0); m < min(to, len(s.active)); m++ {
		s.active[m] = true
	}
}

// shows returns the first and last minute in which the clock shows a time, or
// the first after it where it shows none.
func (s *slow) shows(wall int64) (first, last int, ok bool) {
	first = slices.Index(s.wall, wall)
	for m := len(s.wall) - 1; m > 0; m-- {
		switch {
		case s.wall[m] == wall:
			return first, m, true
		case first < 0 && s.wall[m] > wall && s.wall[m-1] < wall:
			return m, m, true
		}
	}
	return 0, 0, false
}

// weekly marks the runs of all days that the minutes hold.
func (s *slow) weekly(days []time.Weekday, start, end int) {
	if end <= start {
		end += dayMinutes
	}
	for day := range slowDays + 1 {
		midnight := s.from.AddDate(0, 0, day)
		if !slices.Contains(days, midnight.Weekday()) {
			continue
		}
		from, _, okFrom := s.shows(midnight.Unix()/60 + int64(start))
		_, to, okTo := s.shows(midnight.Unix()/60 + int64(end))
		if okFrom && okTo {
			s.mark(from, to)
		}
	}
}

// cron marks what starts in each minute, and in each that the clock skips.
func (s *slow) cron(starts func(wall time.Time) bool, minutes int) {
	for m, wall := range s.wall {
		at := wall
		if m > 0 {
			at = min(wall, s.wall[m-1]+1) // the first that was skipped
		}
		for ; at <= wall; at++ {
			if starts(time.Unix(at*60, 0).UTC()) {
				s.mark(m, m+minutes)
				break
			}
		}
	}
}

// agree holds At and Next against the minutes, at each change and at some others.
func (s *slow) agree(t *rapid.T, w *calendar.Window) {
	asked := rapid.SliceOfN(rapid.IntRange(margin, len(s.active)-margin-1), 8, 8).Draw(t, "asked")
	for m := margin; m < len(s.active)-margin; m++ {
		if s.active[m] != s.active[m-1] && len(asked) < 40 {
			asked = append(asked, m-1, m)
		}
	}
	for _, m := range asked {
		now := s.from.Add(time.Duration(m)*time.Minute + time.Duration(rapid.IntRange(0, 59).Draw(t, "second"))*time.Second)
		until, active := w.At(now)
		if active != s.active[m] {
			t.Fatalf("%+v at %s: active is %v", w, now, active)
		}
		if end := s.change(m, false); active && end > 0 && !until.Equal(s.at(end)) {
			t.Fatalf("%+v at %s: until %s, want %s", w, now, until, s.at(end))
		}
		next, ok := w.Next(now)
		start := s.change(m, true)
		switch known := s.at(len(s.active) - margin); {
		case start > 0 && !next.Equal(s.at(start)):
			t.Fatalf("%+v at %s: next is %s (%v), want %s", w, now, next, ok, s.at(start))
		case start < 0 && ok && next.Before(known):
			t.Fatalf("%+v at %s: next is %s, want none before %s", w, now, next, known)
		}
	}
}

func (s *slow) at(m int) time.Time { return s.from.Add(time.Duration(m) * time.Minute) }

// change is the first minute after m that turns to what is asked for, and whose
// minute before is not that; -1 when it isn't known.
func (s *slow) change(m int, to bool) int {
	for m++; m < len(s.active)-margin; m++ {
		if s.active[m] == to && s.active[m-1] != to {
			return m
		}
	}
	return -1
}

type somewhere struct{ zone, day string }

// To read a clock for each minute takes long: each is read once.
var clocks = make(map[somewhere]*slow)

// Where and when clocks are set, and somewhere they are not.
var places = []somewhere{
	{"Europe/Berlin", "2026-03-29"},
	{"Europe/Berlin", "2026-10-25"},
	{"America/New_York", "2026-03-08"},
	{"America/New_York", "2026-11-01"},
	{"Australia/Lord_Howe", "2026-04-05"},
	{"Australia/Lord_Howe", "2026-10-04"},
	{"America/Santiago", "2026-04-05"},
	{"America/Santiago", "2026-09-06"},
	{"America/St_Johns", "2006-10-29"},
	{"Antarctica/Troll", "2026-03-29"},
	{"Pacific/Apia", "2011-12-30"},
	{"Asia/Kathmandu", "2028-02-29"},
	{"", "2026-12-31"},
}

func place(t *rapid.T) (*slow, string) {
	p := rapid.SampledFrom(places).Draw(t, "place")
	zone, err := time.LoadLocation(p.zone)
	if err != nil {
		t.Fatal(err)
	}
	day, err := time.Parse(time.DateOnly, p.day)
	if err != nil {
		t.Fatal(err)
	}
	if clocks[p] == nil {
		clocks[p] = newSlow(day.AddDate(0, 0, -slowDays/2), zone)
	}
	s := *clocks[p]
	s.active = make([]bool, len(s.wall))
	return &s, p.zone
}

var dayNames = []calendar.Day{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func TestWeeklyAgreesWithALookAtEveryMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, zone := place(t)
		// Most clocks are set around these hours.
		clock := rapid.OneOf(rapid.IntRange(0, dayMinutes-1), rapid.IntRange(0, 200), rapid.IntRange(dayMinutes-90, dayMinutes-1))
		start := clock.Draw(t, "start")
		end := rapid.OneOf(clock, rapid.Just(dayMinutes)).Filter(func(m int) bool { return m != start }).Draw(t, "end")
		days := rapid.SliceOfNDistinct(rapid.SampledFrom([]time.Weekday{0, 1, 2, 3, 4, 5, 6}), 1, 7, rapid.ID).Draw(t, "days")
		text := func(m int) calendar.ClockTime {
			return calendar.ClockTime(fmt.Sprintf("%02d:%02d", m/60, m%60))
		}
		w := calendar.Window{Name: "slow", Start: text(start), End: text(end), Zone: zone}
		for _, d := range days {
			w.Days = append(w.Days, dayNames[d])
		}
		if all := w.Validate(); len(all) > 0 {
			t.Fatal(all)
		}
		s.weekly(days, start, end)
		s.agree(t, &w)
	})
}

// A drawn column is its text and what it matches, by its own rules.
type drawn struct {
	text string
	has  [60]bool
}

func column(lo, hi int) *rapid.Generator[drawn] {
	return rapid.Custom(func(t *rapid.T) drawn {
		var d drawn
		var parts []string
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			from := rapid.IntRange(lo, hi).Draw(t, "from")
			to := rapid.IntRange(from, hi).Draw(t, "to")
			step := rapid.IntRange(1, min(20, hi-lo+1)).Draw(t, "step")
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				from, to, step = lo, hi, 1
				parts = append(parts, "*")
			case 1:
				from, to = lo, hi
				parts = append(parts, fmt.Sprintf("*/%d", step))
			case 2:
				to, step = from, 1
				parts = append(parts, fmt.Sprint(from))
			case 3:
				step = 1
				parts = append(parts, fmt.Sprintf("%d-%d", from, to))
			default:
				parts = append(parts, fmt.Sprintf("%d-%d/%d", from, to, step))
			}
			for v := from; v <= to; v++ {
				if (v-from)%step == 0 {
					d.has[v] = true
				}
			}
		}
		d.text = strings.Join(parts, ",")
		return d
	})
}

func TestCronAgreesWithALookAtEveryMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, zone := place(t)
		minute, hours := column(0, 59).Draw(t, "minute"), column(0, 23).Draw(t, "hour")
		dom, month, dow := column(1, 31).Draw(t, "dom"), column(1, 12).Draw(t, "month"), column(0, 6).Draw(t, "dow")
		length := rapid.OneOf(rapid.IntRange(1, 90), rapid.IntRange(1, 2*dayMinutes)).Draw(t, "length")
		w := calendar.Window{
			Name: "slow", Zone: zone, Duration: model.Duration(time.Duration(length) * time.Minute),
			Cron: strings.Join([]string{minute.text, hours.text, dom.text, month.text, dow.text}, " "),
		}
		if all := w.Validate(); len(all) > 0 {
			if strings.Contains(all[0].Text, "never comes") {
				return
			}
			t.Fatal(all)
		}
		narrow := strings.HasPrefix(dom.text, "*") || strings.HasPrefix(dow.text, "*")
		s.cron(func(wall time.Time) bool {
			byDom, byDow := dom.has[wall.Day()], dow.has[int(wall.Weekday())]
			return minute.has[wall.Minute()] && hours.has[wall.Hour()] && month.has[int(wall.Month())] &&
				(byDom && byDow || !narrow && (byDom || byDow))
		}, length)
		s.agree(t, &w)
	})
}
