package remediator

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// These guard what a run of test/mutate found that no test noticed.

// watched is a device with something to do before and after each order.
type watched struct {
	*device
	before, after func(edge.Order)
}

func (d watched) Set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	if d.before != nil {
		d.before(o)
	}
	r, err := d.device.Set(ctx, o)
	if d.after != nil {
		d.after(o)
	}
	return r, err
}

// again begins another process, with other options.
func (w *world) again(change func(*Options), reader claims.Reader) {
	w.t.Helper()
	w.stop()
	o := Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}
	change(&o)
	if reader == nil {
		reader = w.alerts
	}
	w.run(o, reader)
	w.wait(time.Second)
}

func TestI11TheIntentIsInTheJournalWhenTheOrderGoesOut(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		var seen []string
		w.again(func(o *Options) {
			o.Devices["edge1"] = watched{device: w.device, before: func(edge.Order) {
				h, err := w.r.journal.Hold(s1)
				seen = append(seen, fmt.Sprint(h.Phase, " ", h.Preimage.Member == s1, " ", !h.Deadline.IsZero(), " ", len(h.Decision) > 0, " ", err))
			}}
		}, nil)
		w.fail(s1)
		w.wait(time.Second)
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		if want := []string{"applying true true true <nil>", "reverting true true true <nil>"}; !slices.Equal(seen, want) {
			t.Errorf("the journal had %q when the orders went out; want %q", seen, want)
		}
	})
}

func TestI11WhatCannotBeRecordedIsNotSent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Failpoint = func(name string) {
				if name != "take_out.decided" {
					return
				}
				// Somebody else's hold on the member: the intent can't be recorded.
				h := journal.Hold{Member: s1, Policy: "drain", To: edge.Drain, Phase: journal.Intent}
				if err := w.r.journal.Put(&h, journal.Entry{}); err != nil && !errors.Is(err, journal.ErrHeld) && !errors.Is(err, journal.ErrConflict) {
					t.Error(err)
				}
			}
		}, nil)
		w.alerts.fire(s1)
		w.probe.set(s1, edge.No)
		w.r.Wake()
		w.wait(100 * time.Millisecond)
		w.wantWrites(0)
	})
}

func TestI19AFreezeBetweenDecisionAndOrderIsSeen(t *testing.T) {
	for _, point := range []string{"take_out.recorded", "give_back.recorded"} {
		t.Run(point, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				passed := 0
				w.again(func(o *Options) {
					o.Failpoint = func(name string) {
						if name == point {
							passed++
							w.freeze()
						}
					}
				}, nil)
				w.fail(s1)
				w.wait(time.Second)
				w.recover(s1)
				w.wait(time.Minute)
				if passed != 1 {
					t.Errorf("passed %d times; want once, and frozen since", passed)
				}
				if point == "take_out.recorded" {
					w.wantWrites(0)
					w.want(s1, "")
				} else {
					w.wantWrites(1)
					w.want(s1, "FDRAIN")
				}
				if got := w.results(s1); !slices.Contains(got, "freeze/frozen") {
					t.Errorf("the journal says %v", got)
				}
			})
		})
	}
}

func TestI19AFreezeThatCannotBeReadIsOne(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		r := w.r
		w.stop() // and with it the journal's file
		if r.frozen() == "" {
			t.Error("not frozen, although nobody can tell")
		}
	})
}

func TestI20AWayBackThatDoesNothingIsAFailure(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.device.change(func() { w.device.deaf = true })
		w.recover(s1)
		w.wait(20 * time.Second)
		w.want(s1, "FDRAIN")
		if h := w.hold(s1); h == nil {
			t.Error("the hold is gone, and the member is out")
		}
		if got := w.results(s1); !slices.Contains(got, "ready failed") || slices.Contains(got, "ready applied") {
			t.Errorf("the journal says %v", got)
		}
		w.device.change(func() { w.device.deaf = false })
		w.wait(10 * time.Minute)
		w.want(s1, "")
		if h := w.hold(s1); h != nil {
			t.Errorf("the hold stands: %+v", h)
		}
	})
}

func TestI7WhatAPersonDidUnderAnOrderIsTheirs(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(o *Options) {
			o.Devices["edge1"] = watched{device: w.device, after: func(edge.Order) {
				w.device.change(func() { w.device.put(s1, edge.Maint) }) // right behind our drain
			}}
		}, nil)
		w.fail(s1)
		w.wait(time.Second)
		if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
			t.Errorf("got %+v; want a superseded hold", h)
		}
		w.recover(s1)
		w.wait(10 * time.Minute)
		w.want(s1, "FMAINT")
		w.wantWrites(1)
	})
}

func TestI7WhatSomebodyTookOverIsTheirsForAnHourAfterTheClaim(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.device.change(func() { w.device.put(s1, edge.Maint) })
		w.wait(10 * time.Second)
		w.recover(s1)
		w.wait(50 * time.Minute)
		if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
			t.Errorf("got %+v; want it superseded still", h)
		}
		w.alerts.setBlind("restarted") // I6: that no claim is seen says nothing now
		w.wait(3 * time.Hour)
		if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
			t.Errorf("got %+v; want it superseded while the source is blind", h)
		}
		w.alerts.setBlind("")
		w.wait(time.Hour)
		if h := w.hold(s1); h != nil {
			t.Errorf("got %+v; want it handed back", h)
		}
		w.want(s1, "FMAINT")
	})
}

func (a *alerts) setBlind(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blind = why
}

func TestI6ATimeLimitDoesNotEndWhileTheSourceIsBlind(t *testing.T) {
	inWorldWith(t, withStandby, withBypass, func(w *world) {
		w.failPool()
		w.wait(11 * time.Minute)
		w.want(standby, "FMAINT")
		w.alerts.setBlind("restarted")
		w.r.Wake()
		w.wait(10 * time.Minute)
		w.alerts.setBlind("")
		w.r.Wake()
		w.wait(10 * time.Minute)
		w.want(standby, "FMAINT") // the same claim, which was out of sight
		w.wantWrites(2)
	})
}

func TestI6SeveralChecksSayTheWorstAndAreAsOldAsTheOldest(t *testing.T) {
	now := time.Now()
	says := func(a edge.Answer, ago time.Duration) guard.Evidence {
		return guard.Evidence{Answer: a, At: now.Add(-ago)}
	}
	for _, c := range []struct {
		all  []guard.Evidence
		want guard.Evidence
	}{
		{[]guard.Evidence{says(edge.Yes, 1), says(edge.Yes, 2)}, says(edge.Yes, 2)},
		{[]guard.Evidence{says(edge.Yes, 9), says(edge.Unknown, 2)}, says(edge.Unknown, 9)},
		{[]guard.Evidence{says(edge.Unknown, 1), says(edge.Yes, 2)}, says(edge.Unknown, 2)},
		{[]guard.Evidence{says(edge.Yes, 1), says(edge.Unknown, 2), says(edge.No, 3)}, says(edge.No, 3)},
		{[]guard.Evidence{says(edge.No, 1), says(edge.Yes, 7)}, says(edge.No, 7)},
	} {
		if got := together(c.all); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v together are %+v; want %+v", c.all, got, c.want)
		}
	}
}

func TestI9TheOtherPoolsOfAStepAreHeldToo(t *testing.T) {
	inWorldWith(t, twoPools, func(c *Config) {
		bothPools(c)
		c.Policies[0].Confirm, c.Policies[0].MinServing = "none", "1"
	}, func(w *world) {
		w.alerts.fire(s1)
		w.r.Wake()
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.alerts.fire(other("t2"))
		w.r.Wake()
		w.wait(time.Minute)
		w.want(other("t2"), "")
		wantResults(t, w.results(other("t2")), "budget/max_held")
	})
}

func TestI1WhatGoesInTheSameWriteServesNoMore(t *testing.T) {
	inWorldWith(t, whole, func(c *Config) {
		p := &c.Policies[0]
		p.Confirm, p.MaxHeld, p.MinServing = "none", 5, "4" // nothing of ours finds a member bad
	}, func(w *world) {
		w.wait(time.Second)
		w.alerts.fire(s1)
		w.alerts.fire(s2)
		w.r.Wake()
		w.wait(time.Second)
		wantOrders(t, w, 1)
		wantResults(t, w.results(s2), "min_serving/too_few_left")
	})
}

func TestI13AtItsHardEndAHoldIsGivenBackWhereThePolicySaysSo(t *testing.T) {
	for atMax, marks := range map[string]string{"release": "", "hold": "FDRAIN"} {
		t.Run(atMax, func(t *testing.T) {
			inWorld(t, func(c *Config) {
				p := &c.Policies[0]
				p.AtMax, p.Lease, p.MaxHold = atMax, model.Duration(10*time.Minute), model.Duration(20*time.Minute)
			}, func(w *world) {
				w.fail(s1)
				w.wait(time.Second)
				w.probe.set(s1, edge.Yes) // well, and claimed all the same
				w.wait(19 * time.Minute)
				w.want(s1, "FDRAIN")
				w.wait(2 * time.Minute)
				w.want(s1, marks)
			})
		})
	}
}

// counted sums the counters of a family whose labels have all these values.
func counted(t *testing.T, reg *prometheus.Registry, family string, values ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			if !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(have, v) }) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestI26WhatEndsWithoutEvidenceIsCounted(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.fail(s1)
		w.wait(time.Second)
		if n := counted(t, reg, "sluice_remediation_expired_total", "edge1", "shop"); n != 0 {
			t.Errorf("%v from the start", n)
		}
		w.probe.set(s1, edge.Unknown)
		w.wait(90 * time.Minute)
		if n := counted(t, reg, "sluice_remediation_expired_total", "edge1", "shop"); n != 1 {
			t.Errorf("%v; want the lease's end", n)
		}
	})
}

func TestI14GoodResultsCountFromTheLastThatWasNot(t *testing.T) {
	for _, a := range []edge.Answer{edge.No, edge.Unknown} {
		t.Run(a.String(), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.fail(s1)
				w.wait(1100 * time.Millisecond)
				w.recover(s1)
				w.wait(8 * time.Second)
				w.probe.set(s1, a)
				w.wait(time.Second)
				w.probe.set(s1, edge.Yes)
				w.wait(9 * time.Second)
				w.want(s1, "FDRAIN") // hold_down is 10s
				w.wait(5 * time.Second)
				w.want(s1, "")
			})
		})
	}
}

func TestI14HoldDownBeginsWithTheLastOfRise(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.wait(time.Second)
		w.fail(s1)
		w.wait(100 * time.Millisecond) // asked at once, and each second from now on
		w.recover(s1)
		w.wait(11400 * time.Millisecond) // the first good result is ten and a half seconds ago
		w.want(s1, "FDRAIN")
		w.wait(2 * time.Second)
		w.want(s1, "")
	})
}

// late is a check whose answers are old.
type late struct {
	*probe
	by time.Duration
}

func (l late) Ask(ctx context.Context, s edge.State) guard.Evidence {
	e := l.probe.Ask(ctx, s)
	e.At = e.At.Add(-l.by)
	return e
}

// lateAlerts are claims that their source last confirmed a while ago.
type lateAlerts struct {
	*alerts
	by time.Duration
}

func (l lateAlerts) Read(ctx context.Context) claims.View {
	v := l.alerts.Read(ctx)
	for i := range v.Claims {
		v.Claims[i].UpdatedAt = v.Claims[i].UpdatedAt.Add(-l.by)
	}
	return v
}

func TestI17WhatIsTooOldIsNotActedUpon(t *testing.T) {
	t.Run("evidence", func(t *testing.T) {
		inWorld(t, nil, func(w *world) {
			w.again(func(o *Options) { o.Checks = []Check{late{w.probe, 15 * time.Second}} }, nil)
			w.fail(s1)
			w.wait(time.Minute)
			w.wantWrites(0)
			wantResults(t, w.results(s1), "evidence/stale")
		})
	})
	t.Run("a claim", func(t *testing.T) {
		inWorld(t, nil, func(w *world) {
			w.again(func(*Options) {}, lateAlerts{w.alerts, 10 * time.Minute})
			w.fail(s1)
			w.wait(time.Minute)
			w.wantWrites(0)
			wantResults(t, w.results(s1), "evidence/claim_stale")
		})
	})
}

// full is a folder of snapshots with no space left.
type full struct{}

func (full) Save(edge.Image) error { return errors.New("no space left on device") }

func TestI11WhatCannotBeKeptIsNotWritten(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		w.again(func(o *Options) { o.Images = full{} }, nil)
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		wantOrders(t, w)
		if got := w.results(s1); len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != "drain failed" }) {
			t.Errorf("the journal says %v", got)
		}
	})
}

func TestI22WithAlertmanagersAWebhookIsNoClaim(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		set, err := w.r.build(Options{Config: w.cfg, Authenticated: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, trusted := set.reader.(*claims.Webhook); trusted {
			t.Error("claims are read from what the webhook said")
		}
		w.probe.set(s1, edge.No)
		w.hear(s1, true) // forged: no Alertmanager has it
		w.wait(time.Minute)
		w.wantWrites(0)
	})
}

func TestI23ARefusalIsCounted(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.device.change(func() { w.device.put(s2, edge.Drain) })
		w.fail(s1)
		w.wait(time.Minute)
		wantResults(t, w.results(s1), "min_serving/too_few_left")
		if n := counted(t, reg, "sluice_remediation_refusals_total", "min_serving", "too_few_left"); n < 2 {
			t.Errorf("counted %v times in a minute", n)
		}
		w.alerts.claim(map[string]string{"device": "edge1", "pool": "shop", "member": "s3", "remediation": "nobody's"})
		w.r.Wake()
		w.wait(time.Minute)
		if n := counted(t, reg, "sluice_remediation_refusals_total", "unknown_policy"); n < 2 {
			t.Errorf("a claim on no policy is counted %v times in a minute", n)
		}
	})
}

// The shipped PoolBypass asks wherever a pool fails whole, also where nobody
// configured a bypass: that is no refusal, of which an alert would tell.
func TestAClaimOnAPoolForAPolicyThatThereIsNotIsCountedOnly(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.alerts.claim(map[string]string{"device": "edge1", "pool": "shop", "remediation": "bypass"})
		w.r.Wake()
		w.wait(time.Minute)
		if n := counted(t, reg, "sluice_remediation_refusals_total"); n != 0 {
			t.Errorf("refused %v times", n)
		}
		if n := counted(t, reg, "sluice_remediation_unselected_claims_total"); n < 2 {
			t.Errorf("counted %v times in a minute", n)
		}
		w.wantWrites(0)
	})
}

func TestI21TextOfAnAlertIsShownOnOneLine(t *testing.T) {
	for _, text := range []string{"a\nb", "a\x00b", "a\x1b[2J", "naïve", "\xff", strings.Repeat("x", 10_000)} {
		got := quote(text)
		if len(got) > 500 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%.20q is shown as %.600q", text, got)
		}
	}
}

func TestAModeThatBecameCarefulGivesNothingBack(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.cfg.Mode, w.cfg.Policies[0].Mode = DryRun, DryRun
		w.restart()
		w.recover(s1)
		w.wait(5 * time.Minute)
		w.want(s1, "FDRAIN")
		if got := w.results(s1); !slices.Contains(got, "ready dry_run") {
			t.Errorf("the journal says %v", got)
		}
		if err := w.r.Release(t.Context(), s1, "test", "by hand"); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Second)
		w.want(s1, "")
	})
}

func TestAPolicyIsNeverLessCarefulThanItsSection(t *testing.T) {
	careful := func(section, policy string) error {
		c := Config{
			Mode: section, Alertmanagers: []Source{{URL: "http://192.0.2.1:9093"}},
			Policies: []Policy{{Name: "drain", To: "drain", MinServing: "2", Mode: policy}},
		}
		if m := c.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
			return errors.New(fmt.Sprint(m))
		}
		return nil
	}
	modes := []string{Observe, DryRun, Auto}
	for i, section := range modes {
		for n, policy := range modes {
			err := careful(section, policy)
			if (err == nil) != (n <= i) || err != nil && !strings.Contains(err.Error(), "ceiling") {
				t.Errorf("%s under %s: %v", policy, section, err)
			}
		}
	}
}

func TestI9WhatIsHeldIsNotJudgedAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		w.again(func(o *Options) { o.Registerer = reg }, nil)
		w.fail(s1)
		w.wait(5 * time.Minute) // claimed all the while
		wantResults(t, w.results(s1), "drain applied")
		if n := counted(t, reg, "sluice_remediation_refusals_total"); n != 0 {
			t.Errorf("%v refusals of a step that was taken", n)
		}
	})
}
