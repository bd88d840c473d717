package calendar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
)

const (
	hour  = model.Duration(time.Hour)
	never = "never"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func valid(t *testing.T, w calendar.Window) *calendar.Window {
	t.Helper()
	w.Name = "patch"
	if all := w.Validate(); len(all) > 0 {
		t.Fatalf("%+v: %v", w, all)
	}
	return &w
}

// say is what At and Next answer, in one line.
func say(until time.Time, active bool) string {
	if !active {
		if !until.IsZero() {
			return "not active, yet until " + until.Format(time.RFC3339Nano)
		}
		return never
	}
	if until.Location() != time.UTC {
		return "not in UTC: " + until.String()
	}
	return until.Format(time.RFC3339Nano)
}

var windows = []struct {
	name       string
	w          calendar.Window
	now        string
	until, nxt string
}{
	{
		"before it, once is still to come",
		calendar.Window{From: "2026-03-01T22:00:00+01:00", To: "2026-03-02T04:00:00Z"},
		"2026-03-01T20:59:59.9Z", never, "2026-03-01T21:00:00Z",
	},
	{
		"from belongs to it",
		calendar.Window{From: "2026-03-01T22:00:00+01:00", To: "2026-03-02T04:00:00Z"},
		"2026-03-01T21:00:00Z", "2026-03-02T04:00:00Z", never,
	},
	{
		"to does not",
		calendar.Window{From: "2026-03-01T22:00:00+01:00", To: "2026-03-02T04:00:00Z"},
		"2026-03-02T04:00:00Z", never, never,
	},
	{
		"long after its start once is in force to its end",
		calendar.Window{From: "1960-01-01T12:00:00Z", To: "2026-12-31T00:00:00Z"},
		"2026-03-02T04:00:00Z", "2026-12-31T00:00:00Z", never,
	},
	{
		"one that ends beyond the horizon ends then all the same",
		calendar.Window{From: "0001-01-01T00:00:00Z", To: "9999-12-31T23:59:59Z"},
		"2026-03-02T04:00:00.5Z", "9999-12-31T23:59:59Z", never,
	},
	{
		"no end is later than what can be told",
		calendar.Window{From: "2020-01-01T00:00:00Z", To: "9999-12-31T23:59:59-12:00"},
		"2026-03-02T04:00:00Z", "9999-12-31T23:59:59Z", never,
	},
	{
		"one that starts beyond the horizon is not seen",
		calendar.Window{From: "2028-03-04T05:00:00Z", To: "2028-03-05T00:00:00Z"},
		"2026-03-02T04:00:00Z", never, never,
	},
	{
		"over midnight it belongs to the day it starts on",
		calendar.Window{Days: calendar.Days{"fri"}, Start: "22:30", End: "06:00"},
		"2026-11-21T05:59:59Z", "2026-11-21T06:00:00Z", "2026-11-27T22:30:00Z",
	},
	{
		"so the early hours of its day are free",
		calendar.Window{Days: calendar.Days{"fri"}, Start: "22:30", End: "06:00"},
		"2026-11-20T05:00:00Z", never, "2026-11-20T22:30:00Z",
	},
	{
		"without days it is every day",
		calendar.Window{Start: "01:00", End: "02:00"},
		"2026-11-21T02:00:00Z", never, "2026-11-22T01:00:00Z",
	},
	{
		"whole days that follow each other are one run",
		calendar.Window{Days: calendar.Days{"sat", "sun"}},
		"2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-28T00:00:00Z",
	},
	{
		"a range of days may go over the end of the week",
		calendar.Window{Days: calendar.Days{"Fri-Mon"}},
		"2026-11-22T12:00:00Z", "2026-11-24T00:00:00Z", "2026-11-27T00:00:00Z",
	},
	{
		"24:00 touches 00:00",
		calendar.Window{Days: calendar.Days{"sat-mon"}, Start: "00:00", End: "24:00", Zone: "Asia/Kathmandu"},
		"2026-11-21T00:00:00Z", "2026-11-23T18:15:00Z", "2026-11-27T18:15:00Z",
	},
	{
		"every day, all day goes on and on",
		calendar.Window{Start: "00:00", End: "24:00", Zone: "Europe/Berlin"},
		"2026-11-21T08:00:00Z", "2028-11-22T08:00:00Z", never,
	},
	{
		"an odd zone counts its own days",
		calendar.Window{Days: calendar.Days{"mon"}, Start: "00:10", End: "00:20", Zone: "Asia/Kathmandu"},
		"2026-11-22T18:25:00Z", "2026-11-22T18:35:00Z", "2026-11-29T18:25:00Z",
	},
	// Berlin 2026: 29 March 02:00 becomes 03:00 at 01:00Z, 25 October 03:00 becomes 02:00 at 01:00Z.
	{
		"a start in the gap is the first instant after it",
		calendar.Window{Start: "02:30", End: "04:00", Zone: "Europe/Berlin"},
		"2026-03-28T12:00:00Z", never, "2026-03-29T01:00:00Z",
	},
	{
		"and the end is on the new clock",
		calendar.Window{Start: "02:30", End: "04:00", Zone: "Europe/Berlin"},
		"2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z", "2026-03-30T00:30:00Z",
	},
	{
		"an end in the gap is the first instant after it",
		calendar.Window{Start: "01:30", End: "02:30", Zone: "Europe/Berlin"},
		"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T23:30:00Z",
	},
	{
		"what lies in the gap does not take place",
		calendar.Window{Start: "02:10", End: "02:40", Zone: "Europe/Berlin"},
		"2026-03-28T12:00:00Z", never, "2026-03-30T00:10:00Z",
	},
	{
		"a start that comes twice is the first",
		calendar.Window{Start: "02:30", End: "04:00", Zone: "Europe/Berlin"},
		"2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z", "2026-10-26T01:30:00Z",
	},
	{
		"an end that comes twice is the last",
		calendar.Window{Start: "01:00", End: "02:30", Zone: "Europe/Berlin"},
		"2026-10-25T00:45:00Z", "2026-10-25T01:30:00Z", "2026-10-26T00:00:00Z",
	},
	{
		"between both it goes on",
		calendar.Window{Start: "02:15", End: "02:30", Zone: "Europe/Berlin"},
		"2026-10-25T00:50:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:15:00Z",
	},
	// New York 2026: 8 March 02:00 becomes 03:00 at 07:00Z, 1 November 02:00 becomes 01:00 at 06:00Z.
	{
		"the night before clocks go forward is an hour short",
		calendar.Window{Days: calendar.Days{"sat"}, Start: "22:00", End: "06:00", Zone: "America/New_York"},
		"2026-03-08T03:00:00Z", "2026-03-08T10:00:00Z", "2026-03-15T02:00:00Z",
	},
	{
		"the night before they go back is an hour long",
		calendar.Window{Days: calendar.Days{"sat"}, Start: "22:00", End: "06:00", Zone: "America/New_York"},
		"2026-11-01T02:00:00Z", "2026-11-01T11:00:00Z", "2026-11-08T03:00:00Z",
	},
	{
		"clocks that move by half an hour",
		calendar.Window{Start: "02:10", End: "02:40", Zone: "Australia/Lord_Howe"}, // 2026-10-04 02:00 becomes 02:30 at 15:30Z
		"2026-10-03T15:00:00Z", never, "2026-10-03T15:30:00Z",
	},
	{
		"a midnight that clocks skip",
		calendar.Window{Days: calendar.Days{"sun"}, Zone: "America/Santiago"}, // 2026-09-06 00:00 becomes 01:00 at 04:00Z
		"2026-09-05T00:00:00Z", never, "2026-09-06T04:00:00Z",
	},
	{
		"a day that the calendar skipped leaves the night after it",
		calendar.Window{Days: calendar.Days{"fri"}, Start: "22:00", End: "06:00", Zone: "Pacific/Apia"}, // 30 December 2011 was not
		"2011-12-30T10:00:00Z", "2011-12-30T16:00:00Z", "2012-01-06T08:00:00Z",
	},
	{
		"a run of cron lasts as long as it says",
		calendar.Window{Cron: "30 2 * * sun", Duration: 2 * hour, Zone: "Europe/Berlin"},
		"2026-03-22T01:30:00Z", "2026-03-22T03:30:00Z", "2026-03-29T01:00:00Z",
	},
	{
		"a cron start in the gap is the first instant after it",
		calendar.Window{Cron: "30 2 * * sun", Duration: 2 * hour, Zone: "Europe/Berlin"},
		"2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z", "2026-04-05T00:30:00Z",
	},
	{
		"one that comes twice starts a run both times, here as one",
		calendar.Window{Cron: "30 2 * * sun", Duration: 2 * hour, Zone: "Europe/Berlin"},
		"2026-10-25T00:30:00Z", "2026-10-25T03:30:00Z", "2026-11-01T01:30:00Z",
	},
	{
		"every few minutes goes on through the hour that comes twice",
		calendar.Window{Cron: "*/10 * * * *", Duration: hour / 12, Zone: "Europe/Berlin"},
		"2026-10-25T01:21:00Z", "2026-10-25T01:25:00Z", "2026-10-25T01:30:00Z",
	},
	{
		"the day of the month or the day of the week",
		calendar.Window{Cron: "0 4 13 * fri", Duration: hour},
		"2026-11-08T00:00:00Z", never, "2026-11-13T04:00:00Z",
	},
	{
		"either will do",
		calendar.Window{Cron: "0 4 13 * fri", Duration: hour},
		"2026-12-11T05:00:00Z", never, "2026-12-13T04:00:00Z",
	},
	{
		"a field that starts with a star narrows the other: the first sunday",
		calendar.Window{Cron: "0 4 1-7 * */7", Duration: hour},
		"2026-11-21T00:00:00Z", never, "2026-12-06T04:00:00Z",
	},
	{
		"leap days come",
		calendar.Window{Cron: "0 0 29 feb *", Duration: 24 * hour},
		"2026-11-21T00:00:00Z", never, "2028-02-29T00:00:00Z",
	},
	{
		"the leap day after the next is beyond the horizon",
		calendar.Window{Cron: "0 0 29 2 *", Duration: 24 * hour},
		"2028-02-29T23:59:59Z", "2028-03-01T00:00:00Z", never,
	},
	{
		"runs that touch are one, up to the horizon",
		calendar.Window{Cron: "* * * * *", Duration: hour / 60},
		"2026-11-21T08:00:00Z", "2028-11-22T08:00:00Z", never,
	},
	{
		"a month is not too long",
		calendar.Window{Cron: "15 3 1 1 *", Duration: 31 * 24 * hour},
		"2027-02-01T03:14:59Z", "2027-02-01T03:15:00Z", "2028-01-01T03:15:00Z",
	},
	{
		"before 1970 days count down",
		calendar.Window{Days: calendar.Days{"wed"}, Start: "22:00", End: "06:00"},
		"1969-12-31T23:00:00Z", "1970-01-01T06:00:00Z", "1970-01-07T22:00:00Z",
	},
	{
		"when clocks go back over midnight, days overlap",
		calendar.Window{Cron: "0,50 0,23 * * *", Duration: hour / 6, Zone: "America/St_Johns"}, // 2006-10-29 00:01 became 23:01 at 02:31Z
		"2006-10-29T02:31:00Z", "2006-10-29T02:40:00Z", "2006-10-29T03:20:00Z",
	},
}

func TestWindows(t *testing.T) {
	for _, tt := range windows {
		t.Run(tt.name, func(t *testing.T) {
			w, now := valid(t, tt.w), moment(t, tt.now)
			if got := say(w.At(now)); got != tt.until {
				t.Errorf("at %s: in force until %s, want %s", tt.now, got, tt.until)
			}
			if got := say(w.Next(now)); got != tt.nxt {
				t.Errorf("after %s: next is %s, want %s", tt.now, got, tt.nxt)
			}
		})
	}
}

func TestWithoutValidateWindowsAreInForceAndHoursClosed(t *testing.T) {
	now := moment(t, "2026-11-21T08:00:00Z")
	wrong := calendar.Window{Name: "patch", Start: "01:00", End: "01:00"}
	if all := wrong.Validate(); len(all) != 1 {
		t.Fatal(all)
	}
	for name, w := range map[string]*calendar.Window{"not validated": {Start: "01:00", End: "02:00"}, "wrong": &wrong} {
		if until, active := w.At(now); !active || !until.After(now) {
			t.Errorf("%s: %v until %s", name, active, until)
		}
		if at, ok := w.Next(now); ok {
			t.Errorf("%s: next is %s", name, at)
		}
	}
	if open, change := (calendar.Hours{{}}).Open(now); open || !change.IsZero() {
		t.Errorf("hours are %v until %s", open, change)
	}
}

func TestAWindowMadeRightIsReadyAndMadeWrongIsNot(t *testing.T) {
	now := moment(t, "2026-11-21T08:00:00Z")
	w := valid(t, calendar.Window{Start: "01:00", End: "02:00"})
	if _, active := w.At(now); active {
		t.Error("in force at 08:00")
	}
	w.End = "26:00"
	if all := w.Validate(); len(all) != 1 {
		t.Error(all)
	}
	if _, active := w.At(now); !active {
		t.Error("a window with mistakes is not in force")
	}
}

var mistakes = []struct {
	name string
	w    calendar.Window
	want string
}{
	{"says nothing", calendar.Window{}, "window patch: says no time: write from and to, or days, start and end, or cron and duration"},
	{"from alone", calendar.Window{From: "2026-03-01T22:00:00Z"}, "to: window patch: is missing: from and to go together"},
	{"to alone", calendar.Window{To: "2026-03-01T22:00:00Z"}, "from: window patch: is missing: from and to go together"},
	{"from is no time", calendar.Window{From: "2026-03-01 22:00", To: "2026-03-01T22:00:00Z"}, `from: window patch: "2026-03-01 22:00" is no time: write date, time and zone, such as 2026-03-29T22:00:00+02:00`},
	{"fractions", calendar.Window{From: "2026-03-01T22:00:00Z", To: "2026-03-01T22:00:00.5Z"}, `to: window patch: "2026-03-01T22:00:00.5Z" is no time: write date, time and zone, such as 2026-03-29T22:00:00+02:00`},
	{"to is from", calendar.Window{From: "2026-03-01T22:00:00Z", To: "2026-03-01T23:00:00+01:00"}, "to: window patch: 2026-03-01T23:00:00+01:00 is not after 2026-03-01T22:00:00Z: write the later time here"},
	{"from with a zone", calendar.Window{From: "2026-03-01T22:00:00Z", To: "2026-03-01T23:00:00Z", Zone: "UTC"}, "zone: window patch: is not for from and to, which say their own: leave it out"},
	{"no days", calendar.Window{Days: calendar.Days{}, Start: "01:00", End: "02:00"}, "days: window patch: is empty: name some, such as [mon-fri], or leave it out for every day"},
	{"wrong days", calendar.Window{Days: calendar.Days{"mon", "today", "fri-fri", "", "mon-"}, Start: "01:00", End: "02:00"}, `days[1]: window patch: "today" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri
days[2]: window patch: "fri-fri" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri
days[3]: window patch: "" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri
days[4]: window patch: "mon-" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri`},
	{"start alone", calendar.Window{Start: "01:00"}, "end: window patch: is missing: start and end go together"},
	{"end alone", calendar.Window{End: "01:00"}, "start: window patch: is missing: start and end go together"},
	{"start is no time of day", calendar.Window{Start: "1:00", End: "02:00"}, `start: window patch: "1:00" is no time of day: write hours and minutes from 00:00 to 24:00, such as 07:30`},
	{"end is no time of day", calendar.Window{Start: "01:00", End: "24:01"}, `end: window patch: "24:01" is no time of day: write hours and minutes from 00:00 to 24:00, such as 07:30`},
	{"start is an end", calendar.Window{Start: "24:00", End: "02:00"}, "start: window patch: 24:00 is an end: write 00:00 and the next day"},
	{"no time at all", calendar.Window{Start: "02:00", End: "02:00"}, "end: window patch: is 02:00 as start is, so it would last no time: write 00:00 and 24:00 for the whole day"},
	{"no such zone", calendar.Window{Start: "01:00", End: "02:00", Zone: "Europe/Berln"}, `zone: window patch: "Europe/Berln" is no zone: write an IANA name such as Europe/Berlin, or leave it out for UTC`},
	{"the machine's zone", calendar.Window{Start: "01:00", End: "02:00", Zone: "Local"}, `zone: window patch: "Local" is no zone: write an IANA name such as Europe/Berlin, or leave it out for UTC`},
	{"cron alone", calendar.Window{Cron: "0 0 * * *"}, "duration: window patch: is missing: write how long each run lasts, such as 2h"},
	{"duration alone", calendar.Window{Duration: hour}, "cron: window patch: is missing: write when the window starts, such as 30 2 * * sun"},
	{"a run that goes back", calendar.Window{Cron: "0 0 * * *", Duration: -hour}, "duration: window patch: -1h: write a time above 0"},
	{"a run below a second", calendar.Window{Cron: "0 0 * * *", Duration: model.Duration(time.Millisecond)}, "duration: window patch: 1ms: write whole seconds"},
	{"a run longer than a month", calendar.Window{Cron: "0 0 1 1 *", Duration: 31*24*hour + hour}, "duration: window patch: 31d1h is longer than a month: write 31d at most, or from and to"},
	{"too many fields", calendar.Window{Cron: "0 0 0 * * *", Duration: hour}, `cron: window patch: "0 0 0 * * *" has 6 fields: write five, minute, hour, day of month, month and day of week, such as 30 2 * * sun`},
	{"a day that never comes", calendar.Window{Cron: "0 0 30 feb *", Duration: hour}, `cron: window patch: "0 0 30 feb *" never comes: no month that it names has such a day`},
	{"nor do these", calendar.Window{Cron: "0 0 31 2,4,6,9,11 */2", Duration: hour}, `cron: window patch: "0 0 31 2,4,6,9,11 */2" never comes: no month that it names has such a day`},
	{"two ways, and all mistakes at once", calendar.Window{From: "2026-03-01T22:00:00Z", Start: "25:00", End: "02:00", Cron: "x 0 * * *", Zone: "x"}, `zone: window patch: "x" is no zone: write an IANA name such as Europe/Berlin, or leave it out for UTC
to: window patch: is missing: from and to go together
start: window patch: days, start and end stand beside from and to: keep one of them
start: window patch: "25:00" is no time of day: write hours and minutes from 00:00 to 24:00, such as 07:30
cron: window patch: cron and duration stand beside from and to: keep one of them
duration: window patch: is missing: write how long each run lasts, such as 2h
cron: window patch: minute "x": write *, numbers from 0 to 59, ranges, and commas between`},
}

func list(all edge.Mistakes) string {
	var out []string
	for _, m := range all {
		out = append(out, m.Error())
	}
	return strings.Join(out, "\n")
}

func TestMistakes(t *testing.T) {
	for _, tt := range mistakes {
		t.Run(tt.name, func(t *testing.T) {
			tt.w.Name = "patch"
			if diff := cmp.Diff(tt.want, list(tt.w.Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("no name", func(t *testing.T) {
		w := calendar.Window{Start: "01:00", End: "02:00"}
		if diff := cmp.Diff("name: is missing: write the name by which people know the window", list(w.Validate())); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("in hours", func(t *testing.T) {
		h := calendar.Hours{{Start: "01:00", End: "02:00"}, {Zone: "UTC"}, {Zone: "x", Days: calendar.Days{"x"}}, {Start: "08:00"}}
		want := `[1]: says no time: write days, start and end; no span at all is always
[2].zone: "x" is no zone: write an IANA name such as Europe/Berlin, or leave it out for UTC
[2].days[0]: "x" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri
[3].end: is missing: start and end go together`
		if diff := cmp.Diff(want, list(h.Validate())); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHours(t *testing.T) {
	office := calendar.Span{Days: calendar.Days{"mon-fri"}, Start: "09:00", End: "17:00", Zone: "Europe/Berlin"}
	coast := calendar.Span{Days: calendar.Days{"mon-fri"}, Start: "09:00", End: "17:00", Zone: "America/New_York"}
	for _, tt := range []struct {
		name  string
		hours calendar.Hours
		now   string
		want  string
	}{
		{"no hours are always", nil, "2026-11-21T08:00:00Z", "true never"},
		{"an empty list too", calendar.Hours{}, "2026-11-21T08:00:00Z", "true never"},
		{"open until the end", calendar.Hours{office}, "2026-11-20T08:00:00Z", "true 2026-11-20T16:00:00Z"},
		{"closed over the weekend", calendar.Hours{office}, "2026-11-20T16:00:00Z", "false 2026-11-23T08:00:00Z"},
		{"spans that overlap are open to the last end", calendar.Hours{coast, office}, "2026-11-20T08:00:00Z", "true 2026-11-20T22:00:00Z"},
		{"one inside another ends nothing", calendar.Hours{office, {Start: "10:00", End: "12:00"}}, "2026-11-20T11:00:00Z", "true 2026-11-20T16:00:00Z"},
		{"the first of several opens", calendar.Hours{coast, office}, "2026-11-20T23:00:00Z", "false 2026-11-23T08:00:00Z"},
		{"in the week between two clock changes they are still joined", calendar.Hours{coast, office}, "2026-10-27T09:00:00Z", "true 2026-10-27T21:00:00Z"},
		{"spans that touch for ever never change", calendar.Hours{{Start: "00:00", End: "12:00"}, {Start: "12:00", End: "24:00"}}, "2026-11-20T23:00:00Z", "true never"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if all := tt.hours.Validate(); len(all) > 0 {
				t.Fatal(all)
			}
			open, change := tt.hours.Open(moment(t, tt.now))
			text := never
			if !change.IsZero() {
				text = say(change, true)
			}
			if got := fmt.Sprint(open, " ", text); got != tt.want {
				t.Errorf("open and until %s, want %s", got, tt.want)
			}
		})
	}
}
