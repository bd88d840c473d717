package calendar

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCronIsPrintedInNumbers(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"stars", "* * * * *", "* * * * *"},
		{"lists, ranges and steps", " 0,30  1-5/2 \t*/10,31 1,6-8 0-6/3 ", "0,30 1-5/2 */10,31 1,6-8 0-6/3"},
		{"names in any case", "0 0 * JAN-mar,Dec Mon", "0 0 * 1-3,12 1"},
		{"sunday has two numbers", "0 0 * * 0,7", "0 0 * * 0,7"},
		{"and may end the week", "0 0 * * sat-sun", "0 0 * * 6-7"},
		{"or start it", "0 0 * * sun-mon", "0 0 * * 0-1"},
		{"or be all of the range", "0 0 * * sun-sun", "0 0 * * 0"},
		{"zeros in front", "05 00 09 01 *", "5 0 9 1 *"},
		{"a step of one", "*/1 0-0/1 * * *", "* 0 * * *"},
		{"a step over one value", "5-5/2 0 * * *", "5-5/2 0 * * *"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseCron(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if s.String() != tt.want {
				t.Errorf("%q, want %q", s, tt.want)
			}
		})
	}
}

func TestCronMatchesTheSameBySeveralNames(t *testing.T) {
	for _, tt := range [][2]string{
		{"0 0 * * 0", "0 0 * * 7"},
		{"0 0 * * 5-7", "0 0 * * fri-sun"},
		{"*/15 * * * *", "0,15,30,45 * * * *"},
		{"0 0 * */6 *", "0 0 * jan,jul *"},
	} {
		a, errA := parseCron(tt[0])
		b, errB := parseCron(tt[1])
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for _, sets := range [][2]field{{a.minute, b.minute}, {a.hour, b.hour}, {a.dom, b.dom}, {a.month, b.month}, {a.dow, b.dow}} {
			if sets[0].set != sets[1].set {
				t.Errorf("%q is %b, %q is %b", tt[0], sets[0].set, tt[1], sets[1].set)
			}
		}
	}
}

func TestCronRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", `"" has 0 fields: write five, minute, hour, day of month, month and day of week, such as 30 2 * * sun`},
		{"nicknames", "@daily", `"@daily" has 1 fields: write five`},
		{"minute 60", "60 0 * * *", `minute "60": write *, numbers from 0 to 59, ranges, and commas between`},
		{"hour 24", "0 24 * * *", `hour "24": write *, numbers from 0 to 23`},
		{"day 0", "0 0 0 * *", `day of month "0": write *, numbers from 1 to 31`},
		{"month 13", "0 0 * 13 *", `month "13": write *, numbers from 1 to 12 or a name such as feb`},
		{"a long name", "0 0 * * monday", `day of week "monday": write *, numbers from 0 to 7 or a name such as mon`},
		{"the last day", "0 0 l * *", `day of month "l": write *`},
		{"an empty entry", "0,,1 0 * * *", `minute "0,,1": write *`},
		{"a sign", "+5 0 * * *", `minute "+5": write *`},
		{"a negative number", "-5 0 * * *", `minute "-5": write *`},
		{"an open range", "5- 0 * * *", `minute "5-": write *`},
		{"a range from a star", "*-5 0 * * *", `minute "*-5": write *`},
		{"backwards", "0 22-6 * * *", `hour "22-6": 22-6 runs backwards: write two ranges, with a comma between`},
		{"a step without a range", "5/10 0 * * *", `minute "5/10": a step wants a range before it: write 5-59/10`},
		{"no step", "*/ 0 * * *", `minute "*/": a step is a number from 1 to 60`},
		{"a step of nothing", "*/0 0 * * *", `minute "*/0": a step is`},
		{"a step with a sign", "*/+2 0 * * *", `minute "*/+2": a step is`},
		{"a step beyond the field", "0 */25 * * *", `hour "*/25": a step is a number from 1 to 24`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseCron(tt.text); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestCronThatNeverFires(t *testing.T) {
	for text, want := range map[string]bool{
		"0 0 29 2 *":       true,
		"0 0 29 2 */6":     true,
		"0 0 30 2 *":       false,
		"0 0 31 2,4 *":     false,
		"0 0 31 2-4 *":     true,
		"0 0 */31,30 2 *":  true,
		"0 0 30 2 mon":     true, // either day will do
		"0 0 31 4 */2,mon": false,
	} {
		s, err := parseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		if s.fires() != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, text := range []string{"* * * * *", "*/5 1-3 1,15 jan-mar mon", "0 0 29 2 7", "0 0 * * sat-sun", "5-5/2 * * * *", "", "*/0 * * * *", "1-2-3 , / - x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseCron(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("not one line: %q", err)
			}
			return
		}
		again, err := parseCron(s.String())
		if err != nil {
			t.Fatalf("%q is printed as %q: %v", text, s, err)
		}
		if diff := cmp.Diff(s, again, cmp.AllowUnexported(schedule{}, field{}, term{})); diff != "" {
			t.Error(diff)
		}
		if len(s.minute.terms) == 0 || s.minute.set == 0 || s.hour.set == 0 || s.dom.set == 0 || s.month.set == 0 || s.dow.set == 0 {
			t.Errorf("%q matches nothing in a field", text)
		}
	})
}
