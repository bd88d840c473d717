package remediator

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/calendar"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// entries are the whole journal, as it goes through a file of JSON lines.
func (w *world) entries() []journal.Entry {
	w.t.Helper()
	list, err := w.r.journal.Entries(journal.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list {
		var again journal.Entry
		if err := json.Unmarshal(marshal(list[i]), &again); err != nil {
			w.t.Fatal(err)
		}
		list[i] = again
	}
	return list
}

// another is the world's configuration with a change.
func (w *world) another(change func(*Config)) *Config {
	w.t.Helper()
	c := *w.cfg
	c.Policies = append([]Policy(nil), w.cfg.Policies...)
	c.Policies[0].ApprovalTTL = 0 // filled in, and refused in other modes
	change(&c)
	if m := c.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
		w.t.Fatal(m)
	}
	return &c
}

// differences are what another configuration would have decided otherwise, a line each.
func (w *world) differences(change func(*Config)) (out []string) {
	w.t.Helper()
	for _, r := range Replay(w.another(change), []Check{w.probe}, w.entries()) {
		switch {
		case r.Now == nil:
			out = append(out, fmt.Sprintf("%s: %s, not decidable: %s", r.Member.Name, r.Then, r.Undecidable))
		case r.Differs():
			out = append(out, fmt.Sprintf("%s: %s -> %s", r.Member.Name, r.Then, r.Now))
		}
	}
	return out
}

func (w *world) wantDifferences(name string, change func(*Config), want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.differences(change)); d != "" {
		w.t.Errorf("%s: %s", name, d)
	}
}

// Whatever happens to the engine, its own configuration decides all of it again as
// it was decided.
func TestReplayWithTheSameConfigurationChangesNothing(t *testing.T) {
	decided := 0
	rapid.Check(t, func(rt *rapid.T) {
		members := []edge.Member{s1, s2, s3, member("s4"), member("s5")}
		mode := rapid.SampledFrom(modes).Draw(rt, "mode")
		deeds := rapid.SliceOfN(rapid.IntRange(0, 7), 1, 10).Draw(rt, "deeds")
		who := rapid.SliceOfN(rapid.SampledFrom(members), len(deeds), len(deeds)).Draw(rt, "who")
		waits := rapid.SliceOfN(rapid.IntRange(0, 60), len(deeds), len(deeds)).Draw(rt, "waits")
		inWorldWith(t, func(w *world) {
			w.device = newDevice(members...)
			w.probe.device = w.device
		}, func(c *Config) {
			c.Mode, c.Policies[0].MinServing, c.Policies[0].MaxHeld = mode, "50%", 2
			c.Budget.Steps, c.Budget.Window = 3, model.Duration(10*time.Minute)
		}, func(w *world) {
			for i, deed := range deeds {
				m := who[i]
				switch deed {
				case 0, 1, 2:
					w.fail(m)
				case 3:
					w.recover(m)
				case 4:
					w.alerts.fire(m) // and it is well, perhaps
				case 5:
					w.alerts.silence(m)
				case 6:
					w.device.touch(m, func(s *edge.State) { s.Serving = !s.Serving })
				case 7:
					if err := w.r.Answer(t.Context(), m, true, "ops", ""); err != nil && mode == Approve {
						t.Log(err) // nobody asked
					}
				}
				w.wait(time.Duration(waits[i]) * time.Second)
			}
			for _, r := range Replay(w.cfg, []Check{w.probe}, w.entries()) {
				decided++
				if r.Now == nil || r.Differs() {
					t.Errorf("entry %d on %s: %s, now %v %s", r.Seq, r.Member, r.Then, r.Now, r.Undecidable)
				}
			}
		})
		if t.Failed() {
			rt.Fatalf("deeds %v on %v after %v in mode %s", deeds, who, waits, mode)
		}
	})
	if decided == 0 {
		t.Error("nothing was ever decided")
	}
}

// What another configuration would have made of a step and two refusals.
func TestReplaySaysWhatWouldHaveBeenDecidedDifferently(t *testing.T) {
	inWorld(t, func(c *Config) { c.Brake.Off = true }, func(w *world) {
		w.fail(s1)
		w.wait(30 * time.Second)
		w.fail(s2) // max_held is 1, and one would be left
		w.wait(30 * time.Second)
		w.alerts.fire(s3) // and it is well
		w.r.Wake()
		w.wait(30 * time.Second)
		wantResults(t, w.results(s1), "drain applied")
		wantResults(t, w.results(s2), "budget/max_held")
		wantResults(t, w.results(s3), "evidence/contradicted")

		w.wantDifferences("nothing changed", func(*Config) {})
		w.wantDifferences("the step would have been refused", func(c *Config) { c.Policies[0].MinServing = "3" },
			"s1: drain allowed -> min_serving/too_few_left")
		w.wantDifferences("one refusal less", func(c *Config) { c.Policies[0].MaxHeld, c.Policies[0].MinServing = 2, "1" },
			"s2: budget/max_held -> drain allowed")
		w.wantDifferences("another guard", func(c *Config) { c.Policies[0].MaxHeld = 2 },
			"s2: budget/max_held -> min_serving/too_few_left")
		w.wantDifferences("a person is asked", func(c *Config) { c.Policies[0].Mode = Approve },
			"s1: drain allowed -> approval/awaiting")
		w.wantDifferences("nothing is sent", func(c *Config) { c.Policies[0].Mode = DryRun },
			"s1: drain allowed -> drain allowed, not sent (dry_run)")
		w.wantDifferences("another state", func(c *Config) { c.Policies[0].To = "maint" },
			"s1: drain allowed -> maint allowed")
		w.wantDifferences("closed at night", func(c *Config) { c.Policies[0].ActiveHours = calendar.Hours{{Start: "08:00", End: "18:00"}} },
			"s1: drain allowed -> hours/outside", "s2: budget/max_held -> hours/outside")
		w.wantDifferences("people at work", func(c *Config) {
			begin := time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC)
			c.Maintenance = []Maintenance{{Members: Members{Member: "s1"}, Window: calendar.Window{
				Name: "patches", From: calendar.Instant(begin.Format(time.RFC3339)), To: calendar.Instant(begin.Add(2 * time.Hour).Format(time.RFC3339)),
			}}}
		}, "s1: drain allowed -> maintenance/window")
		w.wantDifferences("no such policy", func(c *Config) { c.Policies[0].Name = "other" },
			"s1: drain allowed, not decidable: no policy of that name now",
			"s2: budget/max_held, not decidable: no policy of that name now",
			"s3: evidence/contradicted, not decidable: no policy of that name now")
		w.wantDifferences("another selection", func(c *Config) { c.Policies[0].Members.Member = "s[12]" },
			"s3: evidence/contradicted, not decidable: no policy of that name selects the member now")
		w.wantDifferences("another source", func(c *Config) {
			c.Policies[0].Confirm, c.Prometheus = "prometheus", []Source{{URL: "http://192.0.2.1:9090"}}
		},
			"s1: drain allowed, not decidable: the policy asks another source now, which was not asked then",
			"s2: budget/max_held, not decidable: the policy asks another source now, which was not asked then",
			"s3: evidence/contradicted, not decidable: the policy asks another source now, which was not asked then")
		w.wantDifferences("the claim alone", func(c *Config) { c.Policies[0].Confirm = "none" },
			"s3: evidence/contradicted -> budget/max_held")
	})
}

// What a dry run would have done is seen before it is let do it.
func TestReplayOfADryRunSaysWhatWouldHaveBeenSent(t *testing.T) {
	inWorld(t, func(c *Config) { c.Mode = DryRun }, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.wantDifferences("let loose", func(c *Config) { c.Mode, c.Policies[0].Mode = Auto, Auto },
			"s1: drain allowed, not sent (dry_run) -> drain allowed")
		w.wantDifferences("only watched", func(c *Config) { c.Mode, c.Policies[0].Mode = Observe, Observe })
	})
}

// A longer window counts steps that the recorded number left out, and a shorter
// one doesn't count what it included.
func TestReplayCountsBudgetsAndPenaltiesOverTheNewWindow(t *testing.T) {
	inWorld(t, func(c *Config) {
		c.Budget.Steps, c.Budget.Window = 2, model.Duration(30*time.Minute)
		c.Damping.HalfLife, c.Damping.Max = model.Duration(time.Minute), model.Duration(10*time.Minute)
	}, func(w *world) {
		for range 3 {
			w.fail(s1)
			w.wait(time.Minute)
			w.recover(s1)
			w.wait(time.Hour)
		}
		wantResults(t, w.results(s1), "drain applied", "ready applied", "drain applied", "ready applied", "drain applied", "ready applied")
		w.wantDifferences("a longer window", func(c *Config) { c.Budget.Window = model.Duration(24 * time.Hour) },
			"s1: drain allowed -> budget/overall_steps")
		w.wantDifferences("penalties that last", func(c *Config) {
			c.Damping = Damping{Penalty: 1000, Suppress: 1500, Reuse: 750, HalfLife: model.Duration(12 * time.Hour), Max: model.Duration(48 * time.Hour)}
		}, "s1: ready allowed -> evidence/hold_down", "s1: drain allowed -> damping/flapping", "s1: ready allowed -> evidence/hold_down")
	})
	inWorld(t, func(c *Config) { c.Budget.Steps, c.Budget.Window = 1, model.Duration(time.Hour) }, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(20 * time.Minute)
		w.fail(s2)
		w.wait(time.Minute)
		wantResults(t, w.results(s2), "budget/overall_steps")
		w.wantDifferences("a shorter window", func(c *Config) { c.Budget.Window = model.Duration(10 * time.Minute) },
			"s2: budget/overall_steps -> drain allowed")
	})
}

// A longer cooldown lasts longer after the storm that was recorded.
func TestReplayMovesTheEndOfACooldown(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	c := &Config{Mode: Auto, Journal: "x", Alertmanagers: []Source{{URL: "http://192.0.2.1:9093"}}, Policies: []Policy{
		{Name: "drain", To: "drain", MinServing: "1"},
		{Name: "bypass", To: "bypass", Bypass: &Bypass{Standby: []string{"s2"}}},
	}}
	validated := func(change func(*Config)) *Config {
		t.Helper()
		out := *c
		out.Policies = append([]Policy(nil), c.Policies...)
		change(&out)
		if m := out.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
			t.Fatal(m)
		}
		return &out
	}
	p := &probe{bad: map[edge.Member]edge.Answer{}}
	set := &settings{cfg: validated(func(*Config) {}), checks: []Check{p}}
	w := guard.World{
		Now: now, Policy: set.limits(&set.cfg.Policies[0], s1),
		Snapshot: edge.Snapshot{Device: "edge1", At: now, States: maps.Clone(newDevice(s1, s2, s3).states)},
		Claims:   []guard.Claim{{Key: "{}", UpdatedAt: now}},
		Own:      map[edge.Member]guard.Evidence{s1: {Source: "probe:shop", Answer: edge.No, At: now}},
		Storm:    guard.Storm{Until: now.Add(time.Minute), Why: "many"}, // it began four minutes ago
	}
	entry := func(s guard.Step, w guard.World, policy string) journal.Entry {
		return journal.Entry{Event: "refusal", Member: &s.Member, Policy: policy, Decision: marshal(guard.Decide(s, w)), World: record(w, s.Member)}
	}
	out := guard.Step{Member: s1, To: edge.Drain}
	in := guard.Step{Member: s2, Bypass: true}
	wrong := entry(out, w, "drain")
	wrong.World = json.RawMessage(`{"Now":1}`)
	held, forgotten := w, w
	held.Storm, forgotten.Storm = guard.Storm{}, guard.Storm{}
	held.Held = map[edge.Member]guard.Held{s1: {To: edge.Drain, Superseded: true}}
	forgotten.Held = map[edge.Member]guard.Held{s1: {To: edge.Drain}}
	standby := w
	standby.Snapshot.States = maps.Clone(w.Snapshot.States)
	standby.Snapshot.States[s2] = edge.State{Member: s2, Admin: edge.Maint, Marks: "CMAINT", Settled: true}
	for _, tt := range []struct {
		name   string
		entry  journal.Entry
		change func(*Config)
		want   string
	}{
		{"the cooldown as it was", entry(out, w, "drain"), func(*Config) {}, "brake/cooldown -> brake/cooldown"},
		{"a short one is over", entry(out, w, "drain"), func(c *Config) { c.Brake.Cooldown = model.Duration(3 * time.Minute) }, "brake/cooldown -> drain allowed"},
		{"no brake", entry(out, w, "drain"), func(c *Config) { c.Brake.Off = true }, "brake/cooldown -> drain allowed"},
		{"what is held, by a policy that is gone", entry(out, held, "gone"), func(*Config) {}, "foreign/superseded -> foreign/superseded"},
		{"what is held stays in its state", entry(out, forgotten, "drain"), func(c *Config) { c.Policies[0].To, c.Policies[0].Mode = "maint", DryRun }, "drain allowed -> drain allowed$"},
		{"a bypass", entry(in, standby, "bypass"), func(*Config) {}, "evidence/no_second_source -> evidence/no_second_source"},
		{"a bypass that is none now", entry(in, standby, "bypass"), func(c *Config) { c.Policies[1] = Policy{Name: "bypass", To: "drain", MinServing: "1"} }, "no policy of that name selects the member now"},
		{"a bypass by another", entry(in, standby, "bypass"), func(c *Config) { c.Policies[1].Bypass = &Bypass{Standby: []string{"s3"}} }, "doesn't name it as a way round"},
		{"a world of another version", wrong, func(*Config) {}, "can't be read"},
		{"a refusal without a world", journal.Entry{Event: "refusal", Guard: "inventory", Reason: "unknown_policy"}, func(*Config) {}, "not recorded"},
		{"no decision at all", journal.Entry{Event: "freeze"}, func(*Config) {}, "none"},
		{"a whole object that is put back", journal.Entry{Event: "refusal", Admin: "restore", Decision: json.RawMessage(`{}`)}, func(*Config) {}, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := "none"
			for _, r := range Replay(validated(tt.change), []Check{p}, []journal.Entry{tt.entry}) {
				got = r.Undecidable
				if r.Now != nil {
					got = r.Then.String() + " -> " + r.Now.String()
				}
			}
			if !strings.Contains(got+"$", tt.want) {
				t.Errorf("got %s; want %s", got, tt.want)
			}
		})
	}
}

func TestTotalsAreOneLine(t *testing.T) {
	drain, no := Verdict{To: "drain"}, Verdict{To: "drain", Refusal: &guard.Refusal{Guard: "freeze", Reason: "frozen"}}
	got := Sum([]Replayed{{Then: drain, Now: &drain}, {Then: drain, Now: &no}, {Then: no, Now: &no}, {Undecidable: "b"}, {Undecidable: "a"}, {Undecidable: "b"}}).String()
	if want := "3 decided again: 2 the same, 1 different; 1 not decidable: a; 2 not decidable: b"; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}
