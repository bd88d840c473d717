// Package calendar says when something is in force: the windows in which
// automation keeps still, and the hours in which it may act. It is pure: it is
// given the time and never reads a clock, and it never means the machine's own
// zone, because each replica must come to the same answer.
package calendar

import (
	"fmt"
	"time"
	_ "time/tzdata" // zones are known on machines that have none installed

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

const (
	horizon     = 2 * 366 * 24 * time.Hour // how far ahead we look; a leap day may lie beyond
	maxDuration = model.Duration(31 * 24 * time.Hour)
)

// A Window is a time in which automation keeps still for some members, in one
// of three ways: from and to, once; days, start and end, weekly; cron and
// duration. Call [Window.Validate] before anything else: until then, and with
// mistakes, a window is always in force.
type Window struct {
	Name     string         `yaml:"name"`
	From     Instant        `yaml:"from,omitempty"`
	To       Instant        `yaml:"to,omitempty"`
	Days     Days           `yaml:"days,omitempty,flow"` // on which it starts; left out: every day
	Start    ClockTime      `yaml:"start,omitempty"`     // left out with end: the whole day
	End      ClockTime      `yaml:"end,omitempty"`       // not after start: on the next day
	Cron     string         `yaml:"cron,omitempty"`      // minute, hour, day of month, month, day of week: when it starts
	Duration model.Duration `yaml:"duration,omitempty"`  // of each run that cron starts
	Zone     string         `yaml:"zone,omitempty"`      // IANA name; left out: UTC
	Reason   string         `yaml:"reason,omitempty"`

	plan plan
}

// Validate returns all mistakes and makes the window ready for use.
func (w *Window) Validate() edge.Mistakes {
	var all edge.Mistakes
	var add note = func(key, format string, args ...any) {
		all.Add(key, "window %s: %s", w.Name, fmt.Sprintf(format, args...))
	}
	w.plan = nil
	if w.Name == "" {
		all.Add("name", "is missing: write the name by which people know the window")
	}
	var ways []way
	if w.From != "" || w.To != "" {
		ways = append(ways, way{"from", "from and to", w.validateOnce})
	}
	if w.Days != nil || w.Start != "" || w.End != "" {
		ways = append(ways, way{"start", "days, start and end", w.validateWeekly})
	}
	if w.Cron != "" || w.Duration != 0 {
		ways = append(ways, way{"cron", "cron and duration", w.validateCron})
	}
	zone, err := loadZone(w.Zone)
	if err != nil {
		add("zone", "%v", err)
		zone = time.UTC // finds the other mistakes
	}
	var made plan
	for i, one := range ways {
		if i > 0 {
			add(one.key, "%s stand beside %s: keep one of them", one.keys, ways[0].keys)
		}
		made = one.validate(zone, add)
	}
	if len(ways) == 0 {
		add("", "says no time: write from and to, or days, start and end, or cron and duration")
	}
	if len(all) == 0 {
		w.plan = made
	}
	return all
}

// A note takes down a mistake.
type note func(key, format string, args ...any)

// A way is how a window says when it is.
type way struct {
	key, keys string
	validate  func(*time.Location, note) plan
}

func (w *Window) validateOnce(_ *time.Location, add note) plan {
	bounds := make([]time.Time, 2)
	for i, at := range []struct {
		key string
		val Instant
	}{{"from", w.From}, {"to", w.To}} {
		if at.val == "" {
			add(at.key, "is missing: from and to go together")
			return nil
		}
		var err error
		if bounds[i], err = at.val.Time(); err != nil {
			add(at.key, "%v", err)
			return nil
		}
	}
	if w.Zone != "" {
		add("zone", "is not for from and to, which say their own: leave it out")
	}
	if !bounds[0].Before(bounds[1]) {
		add("to", "%s is not after %s: write the later time here", w.To, w.From)
	}
	return once{bounds[0].Unix(), bounds[1].Unix()}
}

func (w *Window) validateWeekly(zone *time.Location, add note) plan {
	s := Span{Days: w.Days, Start: w.Start, End: w.End}
	return s.weekly(zone, add)
}

func (w *Window) validateCron(zone *time.Location, add note) plan {
	switch {
	case w.Duration == 0:
		add("duration", "is missing: write how long each run lasts, such as 2h")
	case w.Duration < 0:
		add("duration", "-%s: write a time above 0", -w.Duration)
	case w.Duration%model.Duration(time.Second) != 0:
		add("duration", "%s: write whole seconds", w.Duration)
	case w.Duration > maxDuration:
		add("duration", "%s is longer than a month: write %s at most, or from and to", w.Duration, maxDuration)
	}
	if w.Cron == "" {
		add("cron", "is missing: write when the window starts, such as 30 2 * * sun")
		return nil
	}
	s, err := parseCron(w.Cron)
	if err != nil {
		add("cron", "%v", err)
		return nil
	}
	if !s.fires() {
		add("cron", "%q never comes: no month that it names has such a day", w.Cron)
	}
	return newCron(s, time.Duration(w.Duration), zone)
}

// At says whether the window is in force, and until when: the end of all runs
// that overlap or touch this one, in UTC. A window that comes again and again
// without a break is given two years; one that comes once has an end of its own.
func (w *Window) At(now time.Time) (until time.Time, active bool) {
	if w.plan == nil {
		return now.Add(horizon).UTC(), true // to keep still is the safe side
	}
	if o, is := w.plan.(once); is {
		return o.at(now)
	}
	return at(now, w.plan)
}

// Next is when the window comes into force after now, in UTC; one that is in
// force now ends first. False: not within two years.
func (w *Window) Next(now time.Time) (time.Time, bool) {
	if w.plan == nil {
		return time.Time{}, false
	}
	return next(now, w.plan)
}

// A Span is a part of the week in which automation may act.
type Span struct {
	Days  Days      `yaml:"days,omitempty,flow"` // on which it starts; left out: every day
	Start ClockTime `yaml:"start,omitempty"`     // left out with end: the whole day
	End   ClockTime `yaml:"end,omitempty"`       // not after start: on the next day
	Zone  string    `yaml:"zone,omitempty"`      // IANA name; left out: UTC

	plan plan
}

// Hours are when automation may act: in any of the spans. None is always. Call
// [Hours.Validate] before anything else: until then, and with mistakes, the
// spans are closed.
type Hours []Span

// Validate returns all mistakes and makes the hours ready for use.
func (h Hours) Validate() edge.Mistakes {
	var all edge.Mistakes
	for i := range h {
		all.Under(fmt.Sprintf("[%d]", i), h[i].validate())
	}
	return all
}

func (s *Span) validate() edge.Mistakes {
	var all edge.Mistakes
	var add note = func(key, format string, args ...any) { all.Add(key, format, args...) }
	s.plan = nil
	zone, err := loadZone(s.Zone)
	if err != nil {
		add("zone", "%v", err)
		zone = time.UTC
	}
	if s.Days == nil && s.Start == "" && s.End == "" {
		add("", "says no time: write days, start and end; no span at all is always")
		return all
	}
	if made := s.weekly(zone, add); len(all) == 0 {
		s.plan = made
	}
	return all
}

// weekly checks what windows and hours have in common.
func (s *Span) weekly(zone *time.Location, add note) plan {
	out := weekly{zone: zone}
	if s.Days != nil && len(s.Days) == 0 {
		add("days", "is empty: name some, such as [mon-fri], or leave it out for every day")
	}
	for i, d := range s.Days {
		set, err := d.set()
		if err != nil {
			add(fmt.Sprintf("days[%d]", i), "%v", err)
		}
		out.days |= set
	}
	if s.Days == nil {
		out.days = everyDay
	}
	switch {
	case s.Start == "" && s.End == "":
		out.length = dayMinutes
		return out
	case s.Start == "":
		add("start", "is missing: start and end go together")
		return out
	case s.End == "":
		add("end", "is missing: start and end go together")
		return out
	}
	start, err := s.Start.minutes()
	if err != nil {
		add("start", "%v", err)
		return out
	}
	end, err := s.End.minutes()
	switch {
	case err != nil:
		add("end", "%v", err)
	case start == dayMinutes:
		add("start", "24:00 is an end: write 00:00 and the next day")
	case start == end:
		add("end", "is %s as start is, so it would last no time: write 00:00 and 24:00 for the whole day", s.End)
	case end < start:
		end += dayMinutes
	}
	out.start, out.length = start, end-start
	return out
}

// Open says whether automation may act now, and when that changes next, in UTC:
// the end of the spans that overlap or touch while open, else the next start. It
// is zero when nothing changes within two years.
func (h Hours) Open(now time.Time) (open bool, change time.Time) {
	if len(h) == 0 {
		return true, time.Time{}
	}
	var plans []plan
	for _, s := range h {
		if s.plan != nil {
			plans = append(plans, s.plan)
		}
	}
	if until, open := at(now, plans...); open {
		if !until.Before(now.Add(horizon)) {
			until = time.Time{}
		}
		return true, until
	}
	change, _ = next(now, plans...)
	return false, change
}

func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // Go's name for the machine's own zone
		return nil, fmt.Errorf("%q is no zone: write an IANA name such as Europe/Berlin, or leave it out for UTC", name)
	}
	return zone, nil
}
