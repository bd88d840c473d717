package calendar_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/remediator/calendar"
)

type file struct {
	Windows []calendar.Window `yaml:"windows,omitempty"`
	Hours   calendar.Hours    `yaml:"hours,omitempty"`
}

func read(text string) (file, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	var f file
	err := d.Decode(&f)
	return f, err
}

var private = cmpopts.IgnoreUnexported(calendar.Window{}, calendar.Span{})

func TestConfigurationIsReadAndPrintedAlike(t *testing.T) {
	const text = `windows:
    - name: once
      from: "2026-03-29T22:00:00+02:00"
      to: "2026-03-30T04:00:00Z"
      reason: a new kernel
    - name: nights
      days: [mon, wed-Thu, fri-mon]
      start: "22:30"
      end: "06:00"
      zone: Europe/Berlin
    - name: sundays
      cron: 30 2 * * sun
      duration: 1h30m
hours:
    - days: [mon-fri]
      start: "00:00"
      end: "24:00"
`
	quoted, err := read(text)
	if err != nil {
		t.Fatal(err)
	}
	want := file{
		Windows: []calendar.Window{
			{Name: "once", From: "2026-03-29T22:00:00+02:00", To: "2026-03-30T04:00:00Z", Reason: "a new kernel"},
			{Name: "nights", Days: calendar.Days{"mon", "wed-Thu", "fri-mon"}, Start: "22:30", End: "06:00", Zone: "Europe/Berlin"},
			{Name: "sundays", Cron: "30 2 * * sun", Duration: 3 * hour / 2},
		},
		Hours: calendar.Hours{{Days: calendar.Days{"mon-fri"}, Start: "00:00", End: "24:00"}},
	}
	if diff := cmp.Diff(want, quoted, private); diff != "" {
		t.Error(diff)
	}
	for _, w := range quoted.Windows {
		if all := w.Validate(); len(all) > 0 {
			t.Error(all)
		}
	}
	bare, err := read(strings.ReplaceAll(text, `"`, ""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, bare, private); diff != "" {
		t.Errorf("without quotes: %s", diff)
	}
	var out bytes.Buffer
	if err := yaml.NewEncoder(&out).Encode(bare); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, out.String()); diff != "" {
		t.Errorf("printed: %s", diff)
	}
}

func TestWrongTextIsRefusedWhenRead(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a number", "windows: [{start: 2230}]", `"2230" is no time of day: write hours and minutes from 00:00 to 24:00, such as 07:30`},
		{"a minute too many", "windows: [{end: 23:60}]", `"23:60" is no time of day`},
		{"letters", "windows: [{end: \"0a:00\"}]", `"0a:00" is no time of day`},
		{"beyond the clock", "windows: [{end: \":0:00\"}]", `":0:00" is no time of day`},
		{"seconds", "windows: [{end: 22:30:00}]", `"22:30:00" is no time of day`},
		{"a date", "windows: [{from: 2026-03-29}]", `"2026-03-29" is no time: write date, time and zone, such as 2026-03-29T22:00:00+02:00`},
		{"no zone", "windows: [{to: 2026-03-29T22:00:00}]", `"2026-03-29T22:00:00" is no time`},
		{"a short hour", "windows: [{to: 2026-03-29T2:00:00Z}]", `"2026-03-29T2:00:00Z" is no time`},
		{"a comma", "windows: [{to: \"2026-03-29T22:00:00,0Z\"}]", `"2026-03-29T22:00:00,0Z" is no time`},
		{"a day that is none", "windows: [{days: [mon, friday]}]", `"friday" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri`},
		{"days without a list", "windows: [{days: mon-fri}]", "cannot unmarshal !!str `mon-fri` into calendar.Days"},
		{"a list for a time", "hours: [{start: [1, 2]}]", "cannot unmarshal !!seq into string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestEmptyTextIsForValidate(t *testing.T) {
	f, err := read(`windows: [{name: patch, days: [mon, ""], start: "", end: "06:00"}]`)
	if err != nil {
		t.Fatal(err)
	}
	want := `days[1]: window patch: "" is no day: write sun, mon, tue, wed, thu, fri or sat, or a range such as mon-fri
start: window patch: is missing: start and end go together`
	if diff := cmp.Diff(want, list(f.Windows[0].Validate())); diff != "" {
		t.Error(diff)
	}
}

func FuzzText(f *testing.F) {
	for _, text := range []string{"22:30", "24:00", "mon", "fri-Mon", "2026-03-29T22:00:00+02:00", "2230", "", "~", "[a]", "\"07:30\"", "-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		alike[calendar.ClockTime](t, text)
		alike[calendar.Day](t, text)
		alike[calendar.Instant](t, text)
	})
}

// alike wants what is read to be the same when it is printed and read again.
func alike[T comparable](t *testing.T, text string) {
	var first, second T
	if yaml.Unmarshal([]byte(text), &first) != nil {
		return
	}
	out, err := yaml.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(out, &second); err != nil || second != first {
		t.Errorf("%q is %v, printed as %q and read as %v: %v", text, first, out, second, err)
	}
}
