package calendar

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Times and days stay the text that the user wrote: what is printed is what
// stands in the file. Each is checked when it is read, and again by Validate for
// those that no file holds.

// An Instant is a moment as text, RFC 3339 in whole seconds: 2026-03-29T22:00:00+02:00.
type Instant string

// Time returns the moment.
func (i Instant) Time() (time.Time, error) {
	t, err := time.Parse(time.RFC3339, string(i))
	// Go takes an hour of one digit too, and fractions (go.dev/issue/54580).
	const hour, second = len("2006-01-02T15"), len("2006-01-02T15:04:05")
	if err != nil || i[hour] != ':' || !strings.ContainsRune("Z+-", rune(i[second])) {
		return time.Time{}, fmt.Errorf("%q is no time: write date, time and zone, such as 2026-03-29T22:00:00+02:00", string(i))
	}
	return t.UTC(), nil
}

// UnmarshalYAML reads the text and refuses what is no time.
func (i *Instant) UnmarshalYAML(unmarshal func(any) error) error {
	return decode(i, unmarshal, func(i Instant) error { _, err := i.Time(); return err })
}

// A ClockTime is a time of day as text, from 00:00 to 24:00.
type ClockTime string

const dayMinutes = 24 * 60

// minutes since midnight, on a clock that nobody sets.
func (c ClockTime) minutes() (int, error) {
	if len(c) == len("00:00") && c[2] == ':' {
		h, okH := twoDigits(string(c[:2]))
		m, okM := twoDigits(string(c[3:]))
		if n := h*60 + m; okH && okM && m < 60 && n <= dayMinutes {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q is no time of day: write hours and minutes from 00:00 to 24:00, such as 07:30", string(c))
}

func twoDigits(s string) (int, bool) {
	tens, ones := s[0]-'0', s[1]-'0'
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

// UnmarshalYAML reads the text and refuses what is no time of day.
func (c *ClockTime) UnmarshalYAML(unmarshal func(any) error) error {
	return decode(c, unmarshal, func(c ClockTime) error { _, err := c.minutes(); return err })
}

// Days are days of the week.
type Days []Day

// A Day is a day of the week or a range of them as text: mon, mon-fri, sat-mon.
type Day string

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

const everyDay = 1<<7 - 1

// set has a bit for each day, sunday in the lowest.
func (d Day) set() (uint8, error) {
	first, last, isRange := strings.Cut(strings.ToLower(string(d)), "-")
	if !isRange {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	if from < 0 || to < 0 || isRange && from == to {
		return 0, fmt.Errorf("%q is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri", string(d))
	}
	var set uint8
	for day := from; ; day = (day + 1) % len(weekdays) {
		set |= 1 << day
		if day == to {
			return set, nil
		}
	}
}

// UnmarshalYAML reads the text and refuses what is no day.
func (d *Day) UnmarshalYAML(unmarshal func(any) error) error {
	return decode(d, unmarshal, func(d Day) error { _, err := d.set(); return err })
}

// decode takes a value as it stands in the file, quoted or not: to YAML 1.1 a
// bare 22:30 is a number to the base of 60, and a bare date is a date.
func decode[T ~string](into *T, unmarshal func(any) error, check func(T) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	if text == "" {
		return nil // as if left out; Validate knows whether it may be
	}
	if err := check(T(text)); err != nil {
		return err
	}
	*into = T(text)
	return nil
}
