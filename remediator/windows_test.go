package remediator

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// tonight is a window of two hours that begins now, in virtual time.
func tonight() control.WindowSpec {
	return control.WindowSpec{Name: "tonight", From: "2000-01-01T00:00:00Z", To: "2000-01-01T02:00:00Z", Members: control.Selector{Device: "edge1", Pool: "shop", Member: "s1"}}
}

func (w *world) window(s control.WindowSpec) control.Window {
	w.t.Helper()
	out, err := w.r.AddWindow(s, "ann")
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// configured is a window of the configuration that is never in force in a test.
func configured(c *Config) {
	c.Maintenance = []Maintenance{{Window: calendar.Window{Name: "backup", Cron: "0 4 * * sun", Duration: model.Duration(time.Hour)}, Members: Members{Pool: "other"}}}
}

func TestI19AWindowThatPeopleMadeIsAsOneOfTheConfiguration(t *testing.T) {
	inHands(t, configured, func(w *world) {
		w.window(tonight())
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		if got, want := w.said(s1), "maintenance/window: in maintenance: tonight until 2000-01-01T02:00:00Z"; got != want {
			t.Errorf("got %q", got)
		}
		w.restart() // durable
		w.fail(s1)
		w.wait(time.Hour)
		w.want(s1, "")
		if err := w.r.Apply(Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}); err != nil {
			t.Fatal(err)
		}
		w.r.Wake()
		w.wait(30 * time.Minute)
		w.want(s1, "")
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
	})
}

func TestI19AWindowThatPeopleMadeLetsNothingBack(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.window(tonight())
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
		if a := w.r.Awaits(*w.hold(s1)); !slices.ContainsFunc(a, func(a Await) bool { return a.Word == "maintenance" && strings.HasPrefix(a.Detail, "tonight until") }) {
			t.Errorf("it awaits %+v", a)
		}
		if err := w.r.DropWindow("tonight", "ann"); err != nil {
			t.Fatal(err)
		}
		w.r.Wake()
		w.wait(time.Minute)
		w.want(s1, "")
	})
}

func TestI17AWindowMadeAfterTheDecisionIsSeen(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Failpoint = func(at string) {
				if at == "take_out.recorded" {
					if _, err := w.r.AddWindow(tonight(), "ann"); err != nil {
						t.Error(err)
					}
				}
			}
		}, nil)
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "maintenance/window", "maintenance/window") // at the last moment, and from then on
	})
}

func TestWhatIsNoWindow(t *testing.T) { // I2
	inHands(t, configured, func(w *world) {
		for _, tt := range []struct {
			name   string
			change func(*control.WindowSpec)
			want   string
		}{
			{"no name", func(s *control.WindowSpec) { s.Name = "" }, "name: is missing"},
			{"a name that the configuration has", func(s *control.WindowSpec) { s.Name = "backup" }, "in the configuration"},
			{"no time", func(s *control.WindowSpec) { s.From, s.To = "", "" }, "says no time"},
			{"two times", func(s *control.WindowSpec) { s.Cron, s.Duration = "0 4 * * *", "1h" }, "keep one of them"},
			{"a time that is none", func(s *control.WindowSpec) { s.From = "noon" }, `from: window tonight: "noon" is no time`},
			{"a duration that is none", func(s *control.WindowSpec) { s.From, s.To, s.Cron, s.Duration = "", "", "0 4 * * *", "long" }, "duration: "},
			{"a day that is none", func(s *control.WindowSpec) { s.From, s.To, s.Days = "", "", []string{"someday"} }, "is no day"},
			{"a device that isn't", func(s *control.WindowSpec) { s.Members.Device = "edge9" }, "matches no device"},
			{"an expression that is none", func(s *control.WindowSpec) { s.Members.Pool = "(" }, "is no regular expression"},
			{"one that is over", func(s *control.WindowSpec) { s.From, s.To = "1999-01-01T00:00:00Z", "1999-01-01T02:00:00Z" }, "over already"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				s := tonight()
				tt.change(&s)
				_, err := w.r.AddWindow(s, "ann")
				if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrBadWindow) && !errors.Is(err, journal.ErrWindow) {
					t.Errorf("got %v; want %q", err, tt.want)
				}
			})
		}
		w.window(tonight())
		if _, err := w.r.AddWindow(tonight(), "bob"); !errors.Is(err, journal.ErrWindow) {
			t.Errorf("a second one of that name: %v", err)
		}
		if err := w.r.DropWindow("backup", "ann"); !errors.Is(err, journal.ErrNoWindow) {
			t.Errorf("one of the configuration: %v", err)
		}
		all, err := w.r.Windows()
		if err != nil || len(all) != 2 {
			t.Errorf("got %+v, %v", all, err)
		}
	})
}

func TestWindowsAreShown(t *testing.T) {
	inHands(t, configured, func(w *world) {
		spec := control.WindowSpec{Name: "nightly", Cron: "30 0 * * *", Duration: "1h", Reason: "dumps", Members: control.Selector{Pool: "shop"}}
		w.window(spec)
		weekly := control.WindowSpec{Name: "sundays", Days: []string{"sun"}, Start: "01:00", End: "02:00", Zone: "Europe/Berlin"}
		w.window(weekly)
		all, err := w.r.Windows()
		if err != nil {
			t.Fatal(err)
		}
		at := func(text string) time.Time {
			out, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		want := []control.Window{
			{WindowSpec: control.WindowSpec{Name: "backup", Cron: "0 4 * * sun", Duration: "1h", Members: control.Selector{Pool: "other"}}, Source: "config", Next: at("2000-01-02T04:00:00Z")},
			{WindowSpec: spec, Source: "api", Actor: "ann", Next: at("2000-01-01T00:30:00Z")},
			{WindowSpec: weekly, Source: "api", Actor: "ann", Next: at("2000-01-02T00:00:00Z")},
		}
		if d := cmp.Diff(want, all, cmpopts.IgnoreFields(control.Window{}, "At")); d != "" {
			t.Error(d)
		}
		reg := prometheus.NewRegistry()
		reg.MustRegister(w.r)
		if got := gathered(t, reg, "sluice_maintenance_active"); got != nil {
			t.Errorf("before it: %v", got)
		}
		w.wait(45 * time.Minute)
		if d := cmp.Diff([]string{"sluice_maintenance_active{edge1,nightly,shop} 1"}, gathered(t, reg, "sluice_maintenance_active")); d != "" {
			t.Error(d)
		}
		all, err = w.r.Windows()
		if err != nil || !all[1].Active || !all[1].Until.Equal(at("2000-01-01T01:30:00Z")) {
			t.Errorf("got %+v, %v", all[1], err)
		}
	})
}

func TestAWindowThatIsLongOverGoesWithAnEntry(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.window(tonight())
		later := tonight()
		later.Name, later.From, later.To = "later", "2000-01-09T00:00:00Z", "2000-01-09T01:00:00Z"
		w.window(later)
		w.window(control.WindowSpec{Name: "always again", Days: []string{"sun"}})
		w.wait(20 * time.Hour)
		if all, err := w.r.Windows(); err != nil || len(all) != 3 {
			t.Errorf("people don't see what there was: %+v, %v", all, err)
		}
		w.wait(54 * time.Hour)
		all, err := w.r.Windows()
		if err != nil || len(all) != 2 || all[0].Name != "always again" || all[1].Name != "later" {
			t.Errorf("got %+v, %v", all, err)
		}
		es, err := w.r.journal.Entries(journal.Query{Event: journal.EventWindowEnded})
		if err != nil || len(es) != 1 || es[0].Reason != "tonight" || es[0].Actor != "" || es[0].Detail != "it was over at 2000-01-01T02:00:00Z" {
			t.Errorf("the journal says %+v, %v", es, err)
		}
	})
}

// One that can't be read stops everything, rather than nothing (I6, I19).
func TestI19AWindowThatCannotBeReadIsInForce(t *testing.T) {
	for name, spec := range map[string]string{
		"no JSON of a window": `[]`, "no time": `{"name":"x"}`, "no expression": `{"name":"x","cron":"0 4 * * *","duration":"1h","members":{"pool":"("}}`,
	} {
		t.Run(name, func(t *testing.T) {
			inHands(t, nil, func(w *world) {
				if err := w.r.journal.SetWindow(journal.Window{Name: "x", Spec: json.RawMessage(spec), Actor: "ann"}); err != nil {
					t.Fatal(err)
				}
				w.fail(s1)
				w.wait(time.Minute)
				w.wantWrites(0)
				wantResults(t, w.results(s1), "maintenance/window")
				all, err := w.r.Windows()
				if err != nil || len(all) != 1 || !all[0].Active || !strings.HasPrefix(all[0].Problem, "it can't be read: ") {
					t.Errorf("got %+v, %v", all, err)
				}
			})
		})
	}
}

// What people made while Sluice ran is in the way of a recorded decision under any
// configuration.
func TestReplayKeepsWindowsThatPeopleMade(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.window(tonight())
		w.fail(s1)
		w.wait(time.Minute)
		entries, err := w.r.journal.Entries(journal.Query{Member: s1, Event: "refusal"})
		if err != nil {
			t.Fatal(err)
		}
		all := Replay(w.cfg, []Check{w.probe}, entries)
		if len(all) != 1 || all[0].Differs() || all[0].Now == nil || all[0].Now.Refusal == nil || all[0].Now.Refusal.Guard != "maintenance" {
			t.Errorf("got %+v", all)
		}
	})
}

func TestAPoolSaysWhatStandsInTheWay(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.window(tonight())
		w.freezeScope("edge1", "shop", time.Time{})
		w.freezeScope("edge2", "", time.Time{})
		w.claim(s1, time.Time{})
		roster, err := w.r.Members(w.t.Context(), "", "")
		if err != nil || len(roster.Pools) != 1 || !roster.Pools[0].Frozen || !slices.Equal(roster.Pools[0].Maintenance, []string{"tonight"}) {
			t.Errorf("got %+v, %v", roster.Pools, err)
		}
		x, err := w.r.Explain(w.t.Context(), map[string]string{"remediation": "drain", "device": "edge1", "pool": "shop", "member": "s1"})
		if err != nil || len(x.Members) != 1 || x.Members[0].Decision == nil {
			t.Fatalf("got %+v, %v", x, err)
		}
		if j := x.Members[0]; len(j.Frozen) != 1 || j.Frozen[0].Pool != "shop" || len(j.Windows) != 1 || j.Claimed == nil || j.Claimed.Actor != "ann" {
			t.Errorf("explain has %+v", j)
		}
		said := ""
		for _, f := range x.Members[0].Decision.Findings {
			if !f.OK {
				said += f.Guard + ": " + f.Detail + "\n"
			}
		}
		for _, want := range []string{"freeze: pool edge1/shop is frozen: a release (by ann)", "maintenance: in maintenance: tonight until", "foreign: ann has claimed edge1/shop/s1: a new disk"} {
			if !strings.Contains(said, want) {
				t.Errorf("explain says %q; want %q", said, want)
			}
		}
	})
}

// The names of windows are people's text: whatever it is, metrics can be scraped (I21).
func TestNamesOfWindowsHarmNoMetrics(t *testing.T) {
	inHands(t, nil, func(w *world) {
		s := tonight()
		s.Name = "a\"b\\\n"
		if err := w.r.journal.SetWindow(journal.Window{Name: s.Name, Spec: marshal(s), Actor: "ann"}); err != nil {
			t.Fatal(err)
		}
		reg := prometheus.NewRegistry()
		reg.MustRegister(w.r)
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
	})
}
