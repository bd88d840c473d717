package remediator

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/journal"
)

// whole makes the device one that writes pools in one piece, as PTAF does, with
// members s1 to s5.
func whole(w *world) {
	w.device = newDevice(s1, s2, s3, member("s4"), member("s5"))
	w.device.every = 10 * time.Second
	w.probe.device = w.device
}

func wantOrders(t *testing.T, w *world, want ...int) {
	t.Helper()
	w.device.mu.Lock()
	defer w.device.mu.Unlock()
	if d := cmp.Diff(want, w.device.orders); d != "" {
		t.Errorf("changes in each order (-want +got):\n%s", d)
	}
}

func twoAtOnce(c *Config) {
	c.Policies[0].MaxHeld = 2
	c.Brake.Off = true // three that fail together would be a storm
}

func TestI3SeveralStepsOnOnePoolAreOneWriteAndEachCounts(t *testing.T) {
	inWorldWith(t, whole, twoAtOnce, func(w *world) {
		for _, m := range []edge.Member{s1, s2, s3} { // three fail, two may be held
			w.probe.set(m, edge.No)
			w.alerts.fire(m)
		}
		w.r.Wake()
		w.wait(100 * time.Millisecond)
		wantOrders(t, w, 2)
		w.want(s1, "DOWN")
		w.want(s2, "DOWN")
		w.want(s3, "")
		wantResults(t, w.results(s3), "budget/max_held")
	})
}

// I11: the intents of one write are one transaction. One of them that can't be
// recorded, here because its record is another by now, leaves none of the others.
func TestI11TheIntentsOfOneWriteAreRecordedTogetherOrNotAtAll(t *testing.T) {
	for _, m := range []edge.Member{s1, s2} { // whichever comes first
		t.Run(m.Name, func(t *testing.T) {
			inWorldWith(t, whole, twoAtOnce, func(w *world) {
				intents := func() []journal.Entry {
					all, err := w.r.journal.Entries(journal.Query{Event: "intent"})
					if err != nil {
						t.Error(err)
					}
					return all
				}
				decided := 0
				w.again(func(o *Options) {
					o.Failpoint = func(at string) {
						switch at {
						case "take_out.decided":
							if decided++; decided > 1 {
								return
							}
							other := journal.Hold{Member: m, Policy: "drain", Phase: journal.Deferred, Via: journal.Phase("").Judge()}
							if err := w.r.journal.Put(&other, journal.Entry{}); err != nil {
								t.Error(err)
							}
						case "take_out.recorded":
							if got := intents(); decided < 2 || len(got) != 2 {
								t.Errorf("at decision %d: %d intents", decided, len(got))
							}
						}
					}
				}, nil)
				for _, m := range []edge.Member{s1, s2} {
					w.probe.set(m, edge.No)
					w.alerts.fire(m)
				}
				w.r.Wake()
				w.wait(30 * time.Second)
				wantOrders(t, w, 2)
				if got := intents(); len(got) != 2 {
					t.Errorf("%d intents", len(got))
				}
			})
		})
	}
}

func TestI1OneWriteIsJudgedAfterAllOfItsSteps(t *testing.T) {
	inWorldWith(t, whole, func(c *Config) {
		c.Policies[0].MaxHeld, c.Policies[0].MinServing = 5, "3"
	}, func(w *world) {
		for _, m := range []edge.Member{s1, s2} {
			w.probe.set(m, edge.No)
			w.alerts.fire(m)
		}
		w.probe.set(s3, edge.No) // bad, and not claimed: it isn't serving either
		w.r.Wake()
		w.wait(time.Minute)
		wantOrders(t, w)
		wantResults(t, w.results(s1), "min_serving/too_few_left")
	})
}

func TestAPoolThatIsWrittenWholeIsLeftAloneForAWhile(t *testing.T) {
	inWorldWith(t, whole, twoAtOnce, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.fail(s2)
		w.wait(8 * time.Second)
		w.want(s2, "") // ten seconds have not gone by
		w.wait(3 * time.Second)
		w.want(s2, "DOWN")
		wantOrders(t, w, 1, 1)
	})
}

// I3, I18
func TestARestartIsNoWayRoundThePaceOfWrites(t *testing.T) {
	inWorldWith(t, whole, twoAtOnce, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.fail(s2)
		w.restart()
		w.wait(5 * time.Second)
		w.want(s2, "")
		w.wait(6 * time.Second)
		w.want(s2, "DOWN")
	})
}

func TestI7APoolThatSomebodyChangedMeanwhileIsPlannedAgain(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		w.device.change(func() {
			w.device.edit = func() { w.device.put(s2, edge.Maint) } // between the decision and the write
		})
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "DOWN")
		w.want(s2, "DOWN") // theirs
		wantResults(t, w.results(s1), "drain replanned", "drain applied")
		w.recover(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		w.want(s2, "DOWN") // an administrator's DOWN is never undone
	})
}

func TestI7AnAdministratorsDownIsNeverUndone(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		w.device.change(func() { w.device.put(s1, edge.Maint) })
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "DOWN")
		wantOrders(t, w)
		wantResults(t, w.results(s1), "foreign/taken_out")
	})
}

func TestI11BothImagesOfAWriteAreInTheJournal(t *testing.T) {
	inWorldWith(t, whole, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		images, err := w.r.journal.Entries(journal.Query{Event: "image"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range images {
			got = append(got, string(e.Before)+string(e.After))
		}
		if d := cmp.Diff([]string{"before", "after"}, got); d != "" {
			t.Error(d)
		}
		all, err := w.r.journal.Entries(journal.Query{})
		if err != nil {
			t.Fatal(err)
		}
		var events []string
		for _, e := range all {
			events = append(events, e.Event)
		}
		if intent, image := slices.Index(events, "intent"), slices.Index(events, "image"); intent < 0 || image < intent {
			t.Errorf("the order of entries is %v: the intent comes first", events)
		}
	})
}

func TestI2WhenEveryMemberFailsNothingIsWritten(t *testing.T) {
	inWorldWith(t, whole, func(c *Config) { c.Policies[0].MaxHeld, c.Policies[0].MinServing = 5, "1" }, func(w *world) {
		for _, m := range []edge.Member{s1, s2, s3, member("s4"), member("s5")} {
			w.probe.set(m, edge.No)
			w.alerts.fire(m)
		}
		w.r.Wake()
		w.wait(time.Hour)
		wantOrders(t, w)
		wantResults(t, w.results(s1), "brake/storm", "brake/cooldown", "min_serving/too_few_left")
	})
}

func TestDrainAndMaintAreOneOnADeviceThatKnowsInAndOutOnly(t *testing.T) {
	for _, to := range []string{"drain", "maint"} {
		inWorldWith(t, whole, func(c *Config) { c.Policies[0].To = to }, func(w *world) {
			w.fail(s1)
			w.wait(time.Second)
			w.want(s1, "DOWN")
			w.recover(s1)
			w.wait(time.Minute)
			w.want(s1, "")
			wantResults(t, w.results(s1), to+" applied", "ready applied")
		})
	}
}

func TestI10AWholeWriteWithoutAnAnswerIsReadBack(t *testing.T) {
	inWorldWith(t, whole, twoAtOnce, func(w *world) {
		w.device.change(func() { w.device.mute = true })
		w.probe.set(s2, edge.No)
		w.alerts.fire(s2)
		w.fail(s1)
		w.wait(time.Second)
		w.device.change(func() { w.device.dead, w.device.mute = false, false })
		w.wait(time.Minute)
		wantOrders(t, w, 2) // and not sent again
		wantResults(t, w.results(s1), "drain indeterminate", "drain applied")
		wantResults(t, w.results(s2), "drain indeterminate", "drain applied")
	})
}

// twoPools has s1 of pool shop and t1 of pool app as one object.
func twoPools(w *world) {
	w.device = newDevice(s1, s2, s3, other("t1"), other("t2"), other("t3"))
	w.device.along = map[edge.Member][]edge.Member{s1: {other("t1")}, other("t1"): {s1}}
	w.probe.device = w.device
}

func other(name string) edge.Member { return edge.Member{Device: "edge1", Pool: "app", Name: name} }

func bothPools(c *Config) { c.Policies[0].Members.Pool = "shop|app" }

func TestI1AStepThatMovesTwoPoolsIsJudgedInEach(t *testing.T) {
	inWorldWith(t, twoPools, bothPools, func(w *world) {
		w.device.change(func() { w.device.put(other("t2"), edge.Drain) }) // the other pool can spare none
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "")
		wantResults(t, w.results(s1), "min_serving/too_few_left")
	})
}

// What was asked for another member of the pool says nothing of the other pool.
func TestI1AStepThatMovesTwoPoolsIsJudgedByWhatIsAskedInBoth(t *testing.T) {
	third := edge.Member{Device: "edge1", Pool: "third", Name: "u1"}
	for name, first := range map[string][]edge.Member{"the first moves none": nil, "the first moves a third": {third}} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, func(w *world) {
				w.device = newDevice(s1, s2, s3, other("t2"), other("t3"), other("t4"), third)
				w.device.along = map[edge.Member][]edge.Member{s1: first, s2: {other("t2")}}
				w.probe.device, w.probe.all = w.device, true
			}, func(c *Config) { c.Policies[0].Members.Pool = "shop|app|third" }, func(w *world) {
				for _, m := range []edge.Member{s2, other("t2"), other("t3"), other("t4")} {
					w.probe.set(m, edge.No) // the device doesn't know
				}
				w.alerts.fire(s1) // which is well, and judged first
				w.alerts.fire(s2)
				w.r.Wake()
				w.wait(time.Minute)
				w.wantWrites(0)
				wantResults(t, w.results(s2), "min_serving/too_few_left")
			})
		})
	}
}

func TestI9OneHoldNamesAllPoolsThatAStepMoves(t *testing.T) {
	inWorldWith(t, twoPools, bothPools, func(w *world) {
		w.fail(s1)
		w.alerts.fire(other("t1")) // the same object, claimed by its other name
		w.r.Wake()
		w.wait(time.Minute)
		w.wantWrites(1)
		h := w.hold(s1)
		if h == nil || !slices.Equal(h.Along, []edge.Member{other("t1")}) {
			t.Fatalf("got %+v; want one hold that names both", h)
		}
		w.alerts.fire(other("t2"))
		w.r.Wake()
		w.wait(time.Minute)
		wantResults(t, w.results(other("t2")), "evidence/no_second_source") // nothing covers it: and it would be over budget
	})
}

func TestI21AStepMovesNoPoolThatNoPolicyNames(t *testing.T) {
	inWorldWith(t, twoPools, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "inventory/along")
	})
}

// The bypass.

var standby = member("s9")

func withStandby(w *world) {
	w.device = newDevice(s1, s2, standby)
	w.device.put(standby, edge.Maint)
	w.probe.device = w.device
}

func withBypass(c *Config) {
	c.Policies = append(c.Policies, Policy{
		Name: "bypass", To: "bypass", Members: Members{Pool: "shop"},
		HoldDown: model.Duration(10 * time.Second), MaxHold: model.Duration(10 * time.Minute),
		Bypass: &Bypass{Standby: []string{"s9"}},
	})
}

func (w *world) failPool() {
	w.probe.set(s1, edge.No)
	w.probe.set(s2, edge.No)
	w.alerts.claim(poolClaim)
	w.r.Wake()
}

func (w *world) recoverPool() {
	w.probe.set(s1, edge.Yes)
	w.probe.set(s2, edge.Yes)
	w.alerts.drop(poolClaim)
	w.r.Wake()
}

var poolClaim = map[string]string{"alertname": "PoolAllFailing", "device": "edge1", "pool": "shop", "remediation": "bypass"}

func TestABypassIsBroughtInWhenAllMembersFailAndEndsWhenTheyServeAgain(t *testing.T) {
	inWorldWith(t, withStandby, withBypass, func(w *world) {
		w.failPool()
		w.wait(time.Second)
		w.want(standby, "")
		w.recoverPool()
		w.wait(8 * time.Second)
		w.want(standby, "")
		w.wait(10 * time.Second)
		w.want(standby, "FMAINT")
		wantResults(t, w.results(standby), "ready applied", "maint applied")
		w.wait(time.Hour)
		w.wantWrites(2)
	})
}

// I13
func TestABypassEndsAtItsTimeLimitAndIsNotBegunAgainForTheSameClaim(t *testing.T) {
	inWorldWith(t, withStandby, withBypass, func(w *world) {
		w.failPool()
		w.wait(11 * time.Minute)
		w.want(standby, "FMAINT")
		w.restart() // the limit outlives the process
		w.wait(time.Hour)
		w.want(standby, "FMAINT")
		w.wantWrites(2)
		wantResults(t, w.results(standby), "ready applied", "maint applied", "budget/time_limit") // once, whatever restarts
		w.recoverPool()
		w.wait(time.Minute)
		w.failPool()
		w.wait(time.Second)
		w.want(standby, "") // another claim, another time
	})
}

// I6
func TestNoBypassWhile(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*world)
		why     string
	}{
		"one member is well":                {func(w *world) { w.probe.set(s2, edge.Yes) }, "evidence/not_all_failing"},
		"of one member nothing is known":    {func(w *world) { w.probe.set(s2, edge.Unknown) }, "evidence/unknown"},
		"the standby is bad too":            {func(w *world) { w.probe.set(standby, edge.No) }, "evidence/standby_bad"},
		"somebody brought it in":            {func(w *world) { w.device.change(func() { w.device.put(standby, edge.Ready) }) }, "foreign/in_already"},
		"automation is frozen":              {func(w *world) { w.freeze() }, "freeze/frozen"},
		"the device gives no answer at all": {func(w *world) { w.device.change(func() { w.device.dead = true }) }, "inventory/device_blind"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorldWith(t, withStandby, withBypass, func(w *world) {
				w.probe.set(s1, edge.No)
				w.probe.set(s2, edge.No)
				c.prepare(w)
				w.alerts.claim(poolClaim)
				w.r.Wake()
				w.wait(time.Minute)
				w.wantWrites(0)
				wantResults(t, w.results(standby), c.why)
			})
		})
	}
}

func TestI7APersonWhoEndsABypassIsLeftAlone(t *testing.T) {
	inWorldWith(t, withStandby, withBypass, func(w *world) {
		w.failPool()
		w.wait(time.Second)
		w.device.change(func() { w.device.put(standby, edge.Maint) })
		w.wait(time.Hour)
		w.wantWrites(1)
		if h := w.hold(standby); h == nil || h.Phase != journal.Superseded {
			t.Errorf("got %+v; want a superseded hold", h)
		}
	})
}

// I8, I12
func TestABypassTurnsASwitchAndBack(t *testing.T) {
	protection := member("application:shop")
	inWorldWith(t, func(w *world) {
		withStandby(w)
		w.device.switches = map[edge.Member]edge.State{protection: {Member: protection, Marks: "ACTIVE_PREVENTION"}}
	}, func(c *Config) {
		withBypass(c)
		c.Policies[1].Bypass = &Bypass{Passive: []string{"shop"}}
	}, func(w *world) {
		w.probe.set(standby, edge.No) // not named, so a regular member
		w.failPool()
		w.wait(time.Second)
		if got := w.device.writes(); !slices.Equal(got, []string{"application:shop PASSIVE"}) {
			t.Errorf("sent %v", got)
		}
		w.recoverPool()
		w.wait(time.Minute)
		if got := w.device.writes(); !slices.Equal(got, []string{"application:shop PASSIVE", "application:shop ACTIVE_PREVENTION"}) {
			t.Errorf("sent %v; want the preimage back", got)
		}
	})
}

func TestAnAddressIsTheSameHoweverItIsSpelled(t *testing.T) {
	for _, c := range []struct {
		device, claim string
		want          bool
	}{
		{"192.0.2.1:80", "192.0.2.1:80", true},
		{"192.0.2.1:80", "192.0.2.1:8080", false},
		{"192.0.2.1:80", "192.0.2.1", false}, // an address has a port: a host may have many members
		{"192.0.2.1:80", "192.0.2.11:80", false},
		{"[2001:DB8:0:0::1]:80", "[2001:db8::1]:80", true},
		{"[2001:db8::1]:80", "[2001:db8::2]:80", false},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1:80", true},
		{"App1.example.com:80", "app1.example.com:80", true},
		{"app1.example.com:80", "app1.example.com.evil:80", false},
		{"", "192.0.2.1:80", false},
	} {
		m := edge.Member{Device: "waf1", Pool: "shop", Name: "a"}
		got := members(claims.Claim{Address: c.claim}, edge.Snapshot{States: map[edge.Member]edge.State{m: {Member: m, Address: c.device}}})
		if (len(got) == 1) != c.want {
			t.Errorf("%s and %s: %v", c.device, c.claim, got)
		}
	}
}

func TestOneClaimOnAnAddressIsOneRemediation(t *testing.T) {
	inWorldWith(t, func(w *world) {
		w.device = newDevice(s1, s2, s3, other("s1"), other("s2"), other("s3"))
		w.probe.device = w.device
	}, func(c *Config) {
		bothPools(c)
		c.Policies[0].Confirm = "none"
	}, func(w *world) {
		w.alerts.add(claims.Claim{Labels: map[string]string{"alertname": "HostDown"}, Key: "k", Policy: "drain", Address: "192.0.2.1:801"})
		w.r.Wake()
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.want(other("s1"), "FDRAIN")
		one, two := w.hold(s1), w.hold(other("s1"))
		if one == nil || two == nil || one.Remediation == "" || one.Remediation != two.Remediation {
			t.Errorf("want two holds of one remediation: %+v, %+v", one, two)
		}
		w.restart()
		if id := w.r.episode([]string{"k"}); id != one.Remediation {
			t.Errorf("after a restart it is %q, was %q", id, one.Remediation)
		}
	})
}
