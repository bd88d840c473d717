package calendar

import "time"

// once is from a moment to another.
type once struct{ from, to int64 }

// on gives the part of the day in UTC; the parts touch and are joined.
func (o once) on(day int64, to []run) []run {
	return appendRun(to, max(o.from, day*daySeconds), min(o.to, (day+1)*daySeconds))
}

func (o once) longest() time.Duration { return 0 }

// at is asked instead of the days: its end may lie behind all that are looked at.
func (o once) at(now time.Time) (time.Time, bool) {
	if t := now.Unix(); t < o.from || t >= o.to {
		return time.Time{}, false
	}
	return time.Unix(min(o.to, lastSecond), 0).UTC(), true
}

// lastSecond is the last one that JSON has a text for. Source: time.Time.MarshalJSON.
var lastSecond = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// weekly is a part of the week. A run belongs to the day that it starts on.
type weekly struct {
	days          uint8 // a bit for each, sunday in the lowest
	start, length int   // minutes
	zone          *time.Location
}

// on: a start or end that clocks skip is the first instant after; of one that
// comes twice, the run starts at the first and ends at the last. A run that
// clocks skip altogether does not take place.
func (w weekly) on(day int64, to []run) []run {
	if w.days>>date(day).Weekday()&1 == 0 {
		return to
	}
	wall := day*daySeconds + int64(w.start)*60
	start, _ := instants(wall, w.zone)
	_, end := instants(wall+int64(w.length)*60, w.zone)
	return appendRun(to, start, end)
}

func (w weekly) longest() time.Duration { return 24 * time.Hour }

// cronRuns are runs of one length whose starts a schedule gives.
type cronRuns struct {
	schedule schedule
	length   time.Duration
	zone     *time.Location

	minutes []int64 // of the day that start a run, in order
	solid   bool    // the runs of a day overlap or touch from first to last
}

func newCron(s schedule, length time.Duration, zone *time.Location) cronRuns {
	c := cronRuns{schedule: s, length: length, zone: zone, solid: true}
	for m := range int64(dayMinutes) {
		if !s.hour.has(int(m/60)) || !s.minute.has(int(m%60)) {
			continue
		}
		if n := len(c.minutes); n > 0 && time.Duration(m-c.minutes[n-1])*time.Minute > length {
			c.solid = false
		}
		c.minutes = append(c.minutes, m)
	}
	return c
}

// on: a start that clocks skip is the first instant after; one that comes twice
// starts a run both times, as what is done every few minutes goes on all along.
func (c cronRuns) on(day int64, to []run) []run {
	if !c.schedule.on(date(day)) {
		return to
	}
	length := int64(c.length / time.Second)
	if off, ok := steady(day, c.zone); ok {
		midnight := day*daySeconds - off
		if c.solid {
			return appendRun(to, midnight+c.minutes[0]*60, midnight+c.minutes[len(c.minutes)-1]*60+length)
		}
		for _, m := range c.minutes {
			to = appendRun(to, midnight+m*60, midnight+m*60+length)
		}
		return to
	}
	for _, m := range c.minutes {
		first, last := instants(day*daySeconds+m*60, c.zone)
		to = appendRun(to, first, first+length)
		if last != first {
			to = appendRun(to, last, last+length)
		}
	}
	return to
}

func (c cronRuns) longest() time.Duration { return c.length }

func appendRun(to []run, start, end int64) []run {
	if start >= end {
		return to
	}
	return append(to, run{start, end})
}

// steady returns the offset from UTC of a day on which nobody sets clocks, nor
// on the days around it: every wall time of it comes once.
func steady(day int64, zone *time.Location) (offset int64, ok bool) {
	t := time.Unix(day*daySeconds, 0).In(zone)
	start, end := t.ZoneBounds()
	if !start.IsZero() && start.Unix() > (day-2)*daySeconds || !end.IsZero() && end.Unix() < (day+3)*daySeconds {
		return 0, false
	}
	_, off := t.Zone()
	return int64(off), true
}

// instants are when clocks in the zone show a wall time, given in seconds as if
// it were UTC: the first and the last, mostly the same. For a time that they
// skip it is the first instant after.
func instants(wall int64, zone *time.Location) (first, last int64) {
	var skipped int64
	found := false
	for from := wall - farthest; ; {
		t := time.Unix(from, 0).In(zone)
		_, off := t.Zone()
		_, end := t.ZoneBounds()
		shown := wall - int64(off) // were this offset in force
		switch {
		case !end.IsZero() && shown >= end.Unix():
			skipped = end.Unix() // if the next offset begins behind it
		case shown >= from && !found:
			first, last, found = shown, shown, true
		case shown >= from:
			last = shown
		}
		if end.IsZero() || end.Unix() > wall+farthest {
			break
		}
		from = end.Unix()
	}
	if !found {
		return skipped, skipped
	}
	return first, last
}
