package calendar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A schedule is the five fields of a cron expression.
type schedule struct {
	minute, hour, dom, month, dow field
}

// A field is what stands in one column.
type field struct {
	terms []term
	set   uint64 // a bit for each value that matches
}

// A term is one part of a list: *, 5, 1-5, each range with a step.
type term struct {
	star         bool
	lo, hi, step int
}

// A column says what may stand in a field.
type column struct {
	name   string
	lo, hi int
	names  []string // of the values from lo on
	week   bool     // 7 is sunday too
}

var columns = [5]column{
	{name: "minute", lo: 0, hi: 59},
	{name: "hour", lo: 0, hi: 23},
	{name: "day of month", lo: 1, hi: 31},
	{name: "month", lo: 1, hi: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of week", lo: 0, hi: 6, names: weekdays, week: true},
}

// parseCron reads "30 2 * * sun".
func parseCron(text string) (schedule, error) {
	var s schedule
	parts := strings.Fields(text)
	if len(parts) != len(columns) {
		return s, fmt.Errorf("%q has %d fields: write five, minute, hour, day of month, month and day of week, such as 30 2 * * sun", text, len(parts))
	}
	for i, into := range []*field{&s.minute, &s.hour, &s.dom, &s.month, &s.dow} {
		var err error
		if *into, err = columns[i].parse(strings.ToLower(parts[i])); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (c column) parse(text string) (field, error) {
	var f field
	for part := range strings.SplitSeq(text, ",") {
		t, err := c.term(part)
		if err != nil {
			return f, fmt.Errorf("%s %q: %w", c.name, text, err)
		}
		f.terms = append(f.terms, t)
		for v := t.lo; v <= t.hi; v += t.step {
			if c.week {
				f.set |= 1 << (v % len(weekdays))
				continue
			}
			f.set |= 1 << v
		}
	}
	return f, nil
}

func (c column) term(text string) (term, error) {
	body, step, stepped := strings.Cut(text, "/")
	first, last, isRange := strings.Cut(body, "-")
	t := term{star: body == "*", lo: c.lo, hi: c.hi, step: 1}
	var err error
	if !t.star {
		if t.lo, err = c.value(first); err != nil {
			return t, err
		}
		t.hi = t.lo
	}
	if isRange {
		if t.hi, err = c.value(last); err != nil {
			return t, err
		}
		if c.week && last == "sun" && t.lo > 0 {
			t.hi = 7 // the week may end with it
		}
		if t.hi < t.lo {
			return t, fmt.Errorf("%s runs backwards: write two ranges, with a comma between", body)
		}
	}
	if !stepped {
		return t, nil
	}
	if !t.star && !isRange {
		return t, fmt.Errorf("a step wants a range before it: write %s-%d/%s", body, c.hi, step)
	}
	if t.step, err = strconv.Atoi(step); err != nil || step[0] == '+' || t.step < 1 || t.step > c.hi-c.lo+1 {
		return t, fmt.Errorf("a step is a number from 1 to %d", c.hi-c.lo+1)
	}
	return t, nil
}

func (c column) value(text string) (int, error) {
	if i := slices.Index(c.names, text); i >= 0 {
		return c.lo + i, nil
	}
	most := c.hi
	if c.week {
		most = 7 // sunday again
	}
	n, err := strconv.Atoi(text)
	if err != nil || text[0] == '+' || n < c.lo || n > most {
		hint := ""
		if c.names != nil {
			hint = " or a name such as " + c.names[1]
		}
		return 0, fmt.Errorf("write *, numbers from %d to %d%s, ranges, and commas between", c.lo, most, hint)
	}
	return n, nil
}

// String returns the expression in numbers, which parseCron reads.
func (s schedule) String() string {
	return fmt.Sprintf("%s %s %s %s %s", s.minute, s.hour, s.dom, s.month, s.dow)
}

func (f field) String() string {
	var out []string
	for _, t := range f.terms {
		text := strconv.Itoa(t.lo)
		switch {
		case t.star:
			text = "*"
		case t.hi > t.lo || t.step > 1:
			text += "-" + strconv.Itoa(t.hi)
		}
		if t.step > 1 {
			text += "/" + strconv.Itoa(t.step)
		}
		out = append(out, text)
	}
	return strings.Join(out, ",")
}

func (f field) has(v int) bool { return f.set>>v&1 == 1 }

// restricted: a field that starts with a star is not, even as */2.
// Source: crontab(5) of Vixie cron, the note under the field table.
func (f field) restricted() bool { return !f.terms[0].star }

// on says whether the schedule has the day; each day field rules by itself when
// both are restricted, else both must match. Source: as above.
func (s schedule) on(day time.Time) bool {
	_, month, dom := day.Date()
	byDom, byDow := s.dom.has(dom), s.dow.has(int(day.Weekday()))
	if s.dom.restricted() && s.dow.restricted() {
		return s.month.has(int(month)) && (byDom || byDow)
	}
	return s.month.has(int(month)) && byDom && byDow
}

// fires is false for the 30th of february and its like.
func (s schedule) fires() bool {
	if s.dom.restricted() && s.dow.restricted() {
		return true // some day of the week always comes
	}
	// Every day of the year, 29 february too, falls on every day of the week at
	// some time in the calendar's 400 years, so days of the week take none away.
	for month, days := range []int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} {
		if s.month.has(month+1) && s.dom.set&(1<<(days+1)-1) != 0 {
			return true
		}
	}
	return false
}
