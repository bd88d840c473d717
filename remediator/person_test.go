package remediator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// order gives ann's order and wants a result of it.
func (w *world) order(o PersonOrder, result string) Ordered {
	w.t.Helper()
	if o.Actor == "" {
		o.Actor = "ann"
	}
	out, err := w.r.Order(w.t.Context(), o)
	if err != nil || out.Result != result {
		w.t.Errorf("%s to %s: %q (%s), %v; want %q", o.Member, o.goal(), out.Result, out.Detail, err, result)
	}
	return out
}

// inHands is inWorld after a second, when the keepers run.
func inHands(t *testing.T, change func(*Config), f func(*world)) {
	t.Helper()
	inWorld(t, change, func(w *world) {
		w.wait(time.Second)
		f(w)
	})
}

// entries are those of a member of one event.
func (w *world) entriesOf(m edge.Member, event string) []journal.Entry {
	w.t.Helper()
	es, err := w.r.journal.Entries(journal.Query{Member: m, Event: event})
	if err != nil {
		w.t.Fatal(err)
	}
	return es
}

func TestAPersonTakesAMemberOutAndGivesItBack(t *testing.T) {
	for to, marks := range map[edge.Admin]string{edge.Drain: "FDRAIN", edge.Maint: "FMAINT"} {
		inHands(t, nil, func(w *world) {
			out := w.order(PersonOrder{Member: s1, To: to, Reason: "a new disk"}, "applied")
			w.want(s1, marks)
			if out.Before == nil || out.After == nil || out.Before.Marks != "" || out.After.Marks != marks || !out.Written || !out.Decision.Allowed() {
				t.Errorf("got %+v", out)
			}
			if h := w.hold(s1); h != nil {
				t.Errorf("I7: what a person did is held by us: %+v", h)
			}
			w.wait(10 * time.Minute) // nobody claims it, and nobody gives it back
			w.want(s1, marks)
			w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
			w.want(s1, "")
			w.wantWrites(2)
			if got := w.order(PersonOrder{Member: s1, To: edge.Ready}, "unchanged"); got.Written {
				t.Error("what is so already was written")
			}
			w.wantWrites(2)
		})
	}
}

func TestI11APersonsIntentIsInTheJournalWhenTheOrderGoesOut(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		seen := ""
		w.again(func(o *Options) {
			o.Devices["edge1"] = watched{device: w.device, before: func(edge.Order) {
				for _, e := range w.entriesOf(s1, eventOrder) {
					seen += fmt.Sprint(e.Actor, " ", e.Admin, " ", e.Detail, " ", e.Order != "", " ", e.Preimage != nil, " ", len(e.World) > 0, " ", len(e.Decision) > 0)
				}
			}}
		}, nil)
		out := w.order(PersonOrder{Member: s1, To: edge.Drain, Reason: "a new disk"}, "applied")
		if want := "ann drain a new disk true true true true"; seen != want {
			t.Errorf("the journal had %q when the order went out; want %q", seen, want)
		}
		steps := w.entriesOf(s1, "step")
		if len(steps) != 1 || steps[0].Order != out.Order || steps[0].Actor != "ann" || steps[0].Result != "applied" || steps[0].Left == nil || steps[0].Left.Marks != "FDRAIN" {
			t.Errorf("I23: the outcome is entered as %+v", steps)
		}
	})
}

func TestI11WhatAPersonOrdersIsNotSentWithoutARecord(t *testing.T) {
	inHands(t, nil, func(w *world) {
		r, device := w.r, w.device
		if err := r.journal.Close(); err != nil {
			t.Fatal(err)
		}
		if out, err := r.Order(w.t.Context(), PersonOrder{Member: s1, To: edge.Drain, Actor: "ann"}); err == nil {
			t.Errorf("got %+v", out)
		}
		if got := device.writes(); len(got) != 0 {
			t.Errorf("sent without a record: %v", got)
		}
	})
}

func TestI7WhatAPersonTakesOverIsTheirs(t *testing.T) {
	for name, c := range map[string]struct {
		to    edge.Admin
		share int
		want  string
		sent  int
	}{
		"the same state":    {edge.Drain, 0, "FDRAIN", 1},
		"a stronger one":    {edge.Maint, 0, "FMAINT", 2},
		"back into service": {edge.Ready, 0, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			inHands(t, nil, func(w *world) {
				w.fail(s1)
				w.wait(time.Second)
				w.want(s1, "FDRAIN")
				result := "applied"
				if c.sent == 1 {
					result = "unchanged"
				}
				w.order(PersonOrder{Member: s1, To: c.to}, result)
				cs, err := w.r.journal.Candidates()
				if err != nil || len(cs) != 1 || cs[0].Member != s1 || cs[0].Released != "ann" || w.hold(s1) != nil {
					t.Errorf("got %+v, %v; want it in ann's hands", cs, err)
				}
				w.wait(time.Hour) // the claim lasts, and the member is bad
				w.want(s1, c.want)
				w.restart()
				w.wait(time.Hour)
				w.want(s1, c.want)
				w.recover(s1)
				w.wait(time.Hour) // the claim is over, and the member well
				w.want(s1, c.want)
				w.wantWrites(c.sent)
				if h := w.hold(s1); h != nil {
					t.Errorf("the claim has ended, and there is %+v", h)
				}
			})
		})
	}
}

func TestI7ANewClaimIsJudgedAfterAPersonsReady(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		w.recover(s1)
		w.wait(time.Minute)
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
	})
}

func TestI7AMemberThatAPersonMadeReadyStaysInWhileItsClaimLasts(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.put(s1, edge.Maint) }) // theirs, by other means
		w.fail(s1)
		w.wait(time.Minute)
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		w.wait(time.Hour)
		w.want(s1, "")
		w.wantWrites(1)
	})
}

func TestI7ABlindSourceDoesNotUndoAPersonsReady(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.alerts.setBlind("restarted")
		w.r.Wake()
		w.wait(time.Minute)
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		w.alerts.setBlind("")
		w.wait(time.Hour)
		w.want(s1, "")
	})
}

func TestAPersonsWeightEndsAWayBackByWeights(t *testing.T) { // I7
	inWorldWith(t, weighs(10), func(c *Config) {
		c.Policies[0].Release = &Release{Weights: []string{"10%", "50%"}, Watch: model.Duration(30 * time.Second)}
	}, func(w *world) {
		w.wait(time.Second)
		w.fail(s1)
		w.wait(time.Second)
		w.recover(s1)
		w.wait(20 * time.Second)
		if h := w.hold(s1); h == nil || h.Stage != stageProbation {
			t.Fatalf("got %+v; want it on its way back", h)
		}
		w.order(PersonOrder{Member: s1, Share: 3}, "applied")
		if h := w.hold(s1); h != nil {
			t.Errorf("still held: %+v", h)
		}
		w.wait(time.Hour)
		w.device.change(func() {
			if got := w.device.states[s1].Share; got != 3 {
				t.Errorf("its weight is %d, ann gave it 3", got)
			}
		})
		w.order(PersonOrder{Member: s1, Share: 3}, "unchanged")
	})
}

func TestAPersonsWeightOfWhatIsOutLeavesTheHold(t *testing.T) {
	inWorldWith(t, weighs(10), nil, func(w *world) {
		w.wait(time.Second)
		w.fail(s1)
		w.wait(time.Second)
		w.order(PersonOrder{Member: s1, Share: 3}, "applied")
		w.want(s1, "FDRAIN")
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		w.device.change(func() {
			if got := w.device.states[s1].Share; got != 3 {
				t.Errorf("I7: its weight is %d, ann gave it 3", got)
			}
		})
	})
}

func TestWhatIsRefusedToPeople(t *testing.T) {
	for _, c := range []struct {
		name    string
		order   PersonOrder
		prepare func(*world)
		want    string
	}{
		{"I1: too few would serve", PersonOrder{Member: s1, To: edge.Drain}, func(w *world) { w.device.change(func() { w.device.put(s2, edge.Maint) }) }, "min_serving/too_few_left"},
		{"I1: too few would serve by our own evidence", PersonOrder{Member: s1, To: edge.Drain}, func(w *world) { w.probe.set(s2, edge.No) }, "min_serving/too_few_left"},
		{"I2: the device gives no answer", PersonOrder{Member: s1, To: edge.Drain}, func(w *world) { w.device.change(func() { w.device.dead = true }) }, "inventory/device_blind"},
		{"I21: no member that the device doesn't list", PersonOrder{Member: member("x; disable server shop/s1")}, func(*world) {}, "inventory/unknown_member"},
		{"an agent would fight", PersonOrder{Member: s1, To: edge.Drain}, func(w *world) {
			w.device.change(func() {
				st := w.device.states[s1]
				st.Agent = true
				w.device.states[s1] = st
			})
		}, "agent/agent_check"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			inHands(t, nil, func(w *world) {
				w.again(func(o *Options) { o.Registerer = reg }, nil)
				c.prepare(w)
				out := w.order(c.order, "refused")
				if no := out.Decision.Refusal; no == nil || no.Guard+"/"+no.Reason != c.want {
					t.Errorf("got %+v; want %s", no, c.want)
				}
				w.wantWrites(0)
				es := w.entriesOf(c.order.Member, "refusal") // I23
				if len(es) != 1 || es[0].Actor != "ann" || es[0].Guard+"/"+es[0].Reason != c.want || len(es[0].Decision) == 0 {
					t.Errorf("I23: entered as %+v", es)
				}
				name, reason, _ := strings.Cut(c.want, "/")
				if got := counted(t, reg, namespace+"refusals_total", name, reason); got != 1 {
					t.Errorf("I23: counted %v times", got)
				}
			})
		})
	}
}

func TestAPersonOverridesASoftGuardByName(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.put(s2, edge.Maint) })
		o := PersonOrder{Member: s1, To: edge.Drain, Reason: "the site is moved"}
		o.Override = []string{"budget"}
		w.order(o, "refused")
		w.wantWrites(0)
		o.Override = []string{"min_serving"}
		w.order(o, "applied")
		w.want(s1, "FDRAIN")
		var told []string
		for _, f := range w.order(PersonOrder{Member: s3, To: edge.Drain, Reason: "too", Override: o.Override}, "applied").Decision.Findings {
			if f.Overridden {
				told = append(told, f.Guard+"/"+f.Reason)
			}
		}
		if diff := cmp.Diff([]string{"min_serving/too_few_left"}, told); diff != "" {
			t.Errorf("I23: overridden (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsNoOrder(t *testing.T) {
	inHands(t, nil, func(w *world) {
		for _, c := range []struct {
			name string
			o    PersonOrder
			want error
		}{
			{"an override of a hard guard", PersonOrder{Member: s1, To: edge.Drain, Actor: "ann", Reason: "x", Override: []string{"leader"}}, ErrOverride},
			{"an override of what is no guard", PersonOrder{Member: s1, To: edge.Drain, Actor: "ann", Reason: "x", Override: []string{"nope"}}, ErrOverride},
			{"an override without a reason", PersonOrder{Member: s1, To: edge.Drain, Actor: "ann", Reason: " ", Override: []string{"load"}}, ErrOverride},
			{"a weight above HAProxy's", PersonOrder{Member: s1, Share: 257, Actor: "ann"}, ErrWeight},
			{"a weight below any", PersonOrder{Member: s1, Share: -1, Actor: "ann"}, ErrWeight},
			{"a weight where there is none", PersonOrder{Member: s1, Share: 5, Actor: "ann"}, ErrWeight},
			{"a weight and a share", PersonOrder{Member: s1, Share: 5, Percent: 5, Actor: "ann"}, ErrWeight},
			{"a share below any", PersonOrder{Member: s1, Percent: -1, Actor: "ann"}, ErrWeight},
			{"a share of what isn't told", PersonOrder{Member: s1, Percent: 50, Actor: "ann"}, ErrWeight},
			{"another state", PersonOrder{Member: s1, To: 9, Actor: "ann"}, edge.ErrAdmin},
			{"nobody's", PersonOrder{Member: s1, To: edge.Drain}, nil},
			{"on another device", PersonOrder{Member: edge.Member{Device: "x", Pool: "shop", Name: "s1"}, To: edge.Drain, Actor: "ann"}, ErrNoDevice},
		} {
			out, err := w.r.Order(w.t.Context(), c.o)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %+v, %v; want %v", c.name, out, err, c.want)
			}
		}
		w.wantWrites(0)
	})
}

func TestI19AFreezeStopsNoPerson(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.freeze()
		w.order(PersonOrder{Member: s1, To: edge.Maint}, "applied")
		w.want(s1, "FMAINT")
	})
}

func TestPeopleActInEveryModeButDryRun(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			inHands(t, func(c *Config) { c.Mode = mode }, func(w *world) {
				result, marks := "applied", "FMAINT"
				if mode == DryRun {
					result, marks = "dry_run", ""
				}
				w.order(PersonOrder{Member: s1, To: edge.Maint}, result)
				w.want(s1, marks)
				if es := w.entriesOf(s1, "step"); len(es) != 1 || es[0].Result != result || es[0].Actor != "ann" {
					t.Errorf("I23: entered as %+v", es)
				}
			})
		})
	}
}

func TestPeopleActWithoutAutomation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: t.TempDir() + "/sluice.db", device: newDevice(s1, s2)}
		w.run(Options{Config: WithoutAutomation(w.path), Devices: map[string]Device{"edge1": w.device}}, nil)
		defer func() { w.stop() }()
		w.wait(time.Second)
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "applied")
		w.want(s1, "FDRAIN")
		w.order(PersonOrder{Member: s2, To: edge.Drain}, "refused") // I1: a pool isn't emptied
		w.wait(24 * time.Hour)
		w.want(s1, "FDRAIN")
		w.want(s2, "")
	})
}

func TestI20APersonsStepCountsWhenItWasReadBack(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.deaf = true })
		out := w.order(PersonOrder{Member: s1, To: edge.Drain}, "failed")
		if out.After == nil || out.After.Marks != "" || !out.Written {
			t.Errorf("got %+v", out)
		}
	})
}

func TestI7WhatSomebodyDidUnderAPersonsOrderIsTold(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Devices["edge1"] = watched{device: w.device, after: func(edge.Order) {
				w.device.change(func() { w.device.put(s1, edge.Maint) })
			}}
		}, nil)
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "superseded")
		w.want(s1, "FMAINT")
	})
}

func TestI10WhatNobodyCouldReadBackIsFoundOutLater(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("with a restart: ", restart), func(t *testing.T) {
			inHands(t, nil, func(w *world) {
				w.fail(s1)
				w.wait(time.Second)
				w.device.change(func() { w.device.mute = true })
				out := w.order(PersonOrder{Member: s1, To: edge.Ready}, "indeterminate")
				if restart {
					w.restart()
				}
				w.wait(time.Minute)
				w.order(PersonOrder{Member: s1, To: edge.Maint}, "refused") // nothing on top of it
				w.device.change(func() { w.device.mute, w.device.dead = false, false })
				w.wait(time.Hour)
				w.want(s1, "") // the claim lasts, and ann's word stands
				w.wantWrites(2)
				var results []string
				for _, e := range w.entriesOf(s1, "step") {
					if e.Order == out.Order {
						results = append(results, e.Actor+" "+e.Result)
					}
				}
				if diff := cmp.Diff([]string{"ann indeterminate", "ann applied"}, results); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// I11, I7: a crash at each moment of a person's order leaves nothing that isn't
// found out, and nothing that becomes ours. The crash is the journal that takes
// nothing more from there on.
func TestI11ACrashInAPersonsOrderIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		at    string
		to    edge.Admin
		held  bool // by us, before
		marks string
		want  []string
	}{
		{"order.recorded", edge.Maint, false, "", []string{"maint failed"}},
		{"order.sent", edge.Maint, false, "FMAINT", []string{"maint applied"}},
		{"order.recorded", edge.Ready, true, "FDRAIN", []string{"drain applied", "ready failed"}},
		{"order.sent", edge.Ready, true, "", []string{"drain applied", "ready applied"}},
		{"order.sent", edge.Maint, true, "FMAINT", []string{"drain applied", "maint applied"}},
		{"order.outcome", edge.Ready, true, "", []string{"drain applied", "ready applied"}},
	} {
		t.Run(fmt.Sprintf("%s, to %s, held %v", c.at, c.to, c.held), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.again(func(o *Options) {
					o.Failpoint = func(name string) {
						if name != c.at {
							return
						}
						w.device.change(func() { w.device.dead = true }) // nothing more goes out,
						if err := w.r.journal.Close(); err != nil {      // and nothing is entered
							t.Error(err)
						}
					}
				}, nil)
				if c.held {
					w.fail(s1)
					w.wait(time.Second)
				}
				if out, err := w.r.Order(w.t.Context(), PersonOrder{Member: s1, To: c.to, Actor: "ann"}); err == nil && c.at != "order.outcome" {
					t.Errorf("got %+v from a process that is dead", out)
				}
				w.stop()
				w.device.change(func() { w.device.dead = false })
				w.start()
				w.wait(time.Minute)
				w.want(s1, c.marks)
				var got []string
				for _, e := range w.entriesOf(s1, "step") {
					if e.Result != "" && e.Actor != "" || e.Admin == "drain" {
						got = append(got, e.Admin+" "+e.Result)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
				h := w.hold(s1)
				if c.marks == "FDRAIN" { // nothing was sent: it is ours as before
					if h == nil {
						t.Errorf("got %+v; want it held by us", h)
					}
				} else if h != nil {
					t.Errorf("I7: it is held by us: %+v", h)
				}
				w.wait(time.Hour)
				w.want(s1, c.marks)
			})
		})
	}
}

func TestAPoolThatChangesUnderAPersonsOrderIsDecidedAnew(t *testing.T) { // I7
	inWorldWith(t, func(w *world) {
		w.device.change(func() {
			w.device.every = 10 * time.Second
			for m := range w.device.states {
				w.device.put(m, edge.Ready)
			}
		})
	}, nil, func(w *world) {
		w.wait(time.Second)
		w.device.change(func() { w.device.edit = func() { w.device.put(s2, edge.Maint) } })
		out := w.order(PersonOrder{Member: s1, To: edge.Drain}, "refused")
		if no := out.Decision.Refusal; no == nil || no.Guard != "min_serving" {
			t.Errorf("I17: got %+v", no)
		}
		w.want(s1, "")
		w.order(PersonOrder{Member: s2, To: edge.Ready}, "applied")
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "applied")
		w.want(s1, "DOWN")
		w.order(PersonOrder{Member: s1, To: edge.Maint}, "unchanged") // out is out there
	})
}

func TestWhoseStepItWasIsCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.fail(s1)
		w.wait(time.Second)
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == namespace+"steps_total" {
					got = append(got, fmt.Sprint(simLabel(m, "by"), " ", simLabel(m, "to"), " ", simLabel(m, "result"), " ", m.GetCounter().GetValue()))
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"person ready applied 1", "sluice drain applied 1"}, got); diff != "" {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
	})
}

func TestADeviceThatHangsKeepsNobodyForLong(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() { w.device.hang = time.Hour })
		begin := time.Now()
		done := make(chan error)
		const many = 20
		for range many {
			go func() {
				out, err := w.r.Order(context.Background(), PersonOrder{Member: s1, To: edge.Drain, Actor: "ann"})
				if err == nil && out.Result == "applied" {
					err = errors.New("applied")
				} else if errors.Is(err, ErrBusy) {
					err = nil
				}
				done <- err
			}()
		}
		for range many {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took > orderWait+lookTimeout {
			t.Errorf("somebody waited %s", took)
		}
	})
}

// A reload replaces the keepers; an order that comes just then waits for the new
// one, and not for one that has ended.
func TestAnOrderRightAfterAReloadIsTaken(t *testing.T) {
	inHands(t, nil, func(w *world) {
		for i, to := range []edge.Admin{edge.Drain, edge.Ready, edge.Maint, edge.Ready} {
			next := *w.cfg
			if err := w.r.Apply(Options{Config: &next, ConfigHash: fmt.Sprint(i), Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			w.order(PersonOrder{Member: s1, To: to}, "applied")
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("order %d took %s", i, took)
			}
		}
		w.restart()
		w.order(PersonOrder{Member: s1, To: edge.Drain}, "applied") // before there is any keeper
	})
}
