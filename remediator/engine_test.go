package remediator

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

func wantResults(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the journal says something else (-want +got):\n%s", d)
	}
}

func TestI14AFailingMemberIsDrainedAndComesBackWhenItHasProvedWell(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.wait(time.Minute)
		w.wantWrites(0)
		w.fail(s1)
		w.wait(100 * time.Millisecond)
		w.want(s1, "FDRAIN")
		w.recover(s1)
		w.wait(9 * time.Second)
		w.want(s1, "FDRAIN") // well, and not for long enough
		w.wait(10 * time.Second)
		w.want(s1, "")
		if h := w.hold(s1); h != nil {
			t.Errorf("a hold is left: %+v", h)
		}
		wantResults(t, w.results(s1), "drain applied", "ready applied")
		w.wait(time.Hour) // I25: the world stands still, and so do we
		w.wantWrites(2)
	})
}

func TestI1TooFewWouldBeLeft(t *testing.T) {
	inWorld(t, func(c *Config) { c.Policies[0].MaxHeld = 3 }, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.fail(s2)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.want(s2, "")
		wantResults(t, w.results(s2), "min_serving/too_few_left") // once, however often it is refused
	})
}

func TestI3OneAtATimeUnlessThePolicySaysMore(t *testing.T) {
	inWorld(t, func(c *Config) { c.Policies[0].MinServing = "1" }, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.fail(s2)
		w.wait(time.Minute)
		w.want(s2, "")
		wantResults(t, w.results(s2), "budget/max_held")
		w.restart() // a restart brings no new budget
		w.wait(time.Minute)
		w.want(s2, "")
	})
}

func TestI6OwnGoodOrUnknownEvidenceDefers(t *testing.T) {
	for answer, reason := range map[edge.Answer]string{edge.Yes: "evidence/contradicted", edge.Unknown: "evidence/unknown"} {
		t.Run(answer.String(), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.probe.set(s1, answer)
				w.alerts.fire(s1)
				w.r.Wake()
				w.wait(time.Minute)
				w.wantWrites(0)
				wantResults(t, w.results(s1), reason)
				w.probe.set(s1, edge.No)
				w.wait(2 * time.Second) // asked again each interval, without another hint
				w.want(s1, "FDRAIN")
			})
		})
	}
}

func TestI7APersonsDrainIsNeverTouched(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.device.change(func() { w.device.put(s1, edge.Drain) })
		w.fail(s1)
		w.wait(time.Minute)
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
		w.wantWrites(0)
		wantResults(t, w.results(s1), "foreign/taken_out")
	})
}

func TestI7APersonsChangeOfWhatWeHoldMeansHandsOff(t *testing.T) {
	for name, to := range map[string]edge.Admin{"made ready": edge.Ready, "put in maintenance": edge.Maint} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.fail(s1)
				w.wait(time.Second)
				w.device.change(func() { w.device.put(s1, to) })
				w.wait(time.Hour)
				w.wantWrites(1)
				if h := w.hold(s1); h == nil || h.Phase != journal.Superseded {
					t.Errorf("got %+v; want a superseded hold", h)
				}
				w.recover(s1)
				w.wait(2 * time.Hour)
				w.wantWrites(1)
				if h := w.hold(s1); h != nil {
					t.Errorf("an hour after its claim ended the hold still stands: %+v", h)
				}
			})
		})
	}
}

func TestI7AChangeBetweenReadAndWriteIsSeen(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		looks := 0
		var second func()
		second = func() {
			if looks++; looks == 3 {
				w.device.put(s1, edge.Maint)
				return
			}
			w.device.looking = second
		}
		w.device.change(func() { w.device.looking = second })
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		w.want(s1, "FMAINT")
	})
}

func TestI9TheSameHintAHundredTimesIsOneStep(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for range 100 {
			w.fail(s1)
			w.wait(10 * time.Millisecond)
		}
		w.wait(time.Minute)
		w.wantWrites(1)
	})
}

func TestI10AnAnswerThatIsLostIsReadBackAndNotRepeated(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.device.change(func() { w.device.mute = true })
		w.fail(s1)
		w.wait(5 * time.Second)
		if h := w.hold(s1); h == nil || h.Phase != journal.Indeterminate {
			t.Fatalf("got %+v; want an indeterminate hold", h)
		}
		w.device.change(func() { w.device.mute, w.device.dead = false, false })
		w.wait(5 * time.Second)
		if h := w.hold(s1); h == nil || h.Phase != journal.Holding {
			t.Errorf("got %+v; want holding", h)
		}
		w.wantWrites(1)
		wantResults(t, w.results(s1), "drain indeterminate", "drain applied")
	})
}

func TestI20ADeviceThatSaysYesAndDoesNothingIsAFailure(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.device.change(func() { w.device.deaf = true })
		w.fail(s1)
		w.wait(10 * time.Minute)
		got := w.results(s1)
		if len(got) < 2 || slices.ContainsFunc(got, func(s string) bool { return s != "drain failed" }) {
			t.Errorf("got %v; want failures only", got)
		}
		if n := len(w.device.writes()); n > 10 {
			t.Errorf("%d commands in ten minutes: it is not left alone longer each time", n)
		}
		if h := w.hold(s1); h != nil {
			t.Errorf("a hold on what was never taken out: %+v", h)
		}
	})
}

// I9, I17
func TestARestartedDeviceIsPlannedAgain(t *testing.T) {
	t.Run("still bad: drained again", func(t *testing.T) {
		inWorld(t, nil, func(w *world) {
			w.fail(s1)
			w.wait(time.Second)
			w.device.restart()
			w.wait(3 * time.Second)
			w.want(s1, "FDRAIN")
			w.wantWrites(2)
			w.recover(s1)
			w.wait(30 * time.Second)
			w.want(s1, "")
		})
	})
	t.Run("bad, and others as well: the guards refuse", func(t *testing.T) {
		inWorld(t, nil, func(w *world) {
			w.fail(s1)
			w.wait(time.Second)
			w.probe.set(s2, edge.No)
			w.device.restart()
			w.wait(time.Minute)
			w.want(s1, "")
			w.wantWrites(1)
		})
	})
	t.Run("well: the hold ends without a command", func(t *testing.T) {
		inWorld(t, nil, func(w *world) {
			w.fail(s1)
			w.wait(time.Second)
			w.recover(s1)
			w.device.restart()
			w.wait(time.Minute)
			w.wantWrites(1)
			if h := w.hold(s1); h != nil {
				t.Errorf("the hold stands: %+v", h)
			}
		})
	})
}

func TestI14ClaimsThatVanishReleaseNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.alerts.resolve(s1) // Prometheus stopped, and Alertmanager ended the alert by itself
		w.wait(10 * time.Minute)
		w.want(s1, "FDRAIN")
		w.alerts.mu.Lock()
		w.alerts.blind = "restarted"
		w.alerts.mu.Unlock()
		w.wait(10 * time.Minute)
		w.want(s1, "FDRAIN")
		w.probe.set(s1, edge.Yes) // own evidence doesn't need the blind source
		w.wait(20 * time.Second)
		w.want(s1, "")
	})
}

// I14
func TestAClaimThatIsSeenHoldsUpTheRelease(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.probe.set(s1, edge.Yes)
		w.wait(10 * time.Minute)
		w.want(s1, "FDRAIN")
	})
}

func TestI19AFreezeStopsStepsBothWaysAndAPersonStillReleases(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		if err := w.r.journal.SetFreeze(journal.Freeze{Reason: "release night", Actor: "test"}); err != nil {
			t.Fatal(err)
		}
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
		w.restart() // durable
		w.fail(s2)
		w.wait(time.Minute)
		w.want(s2, "")
		if err := w.r.Release(t.Context(), s1, "test", "by hand"); err != nil {
			t.Fatal(err)
		}
		w.wait(5 * time.Second)
		w.want(s1, "")
		wantResults(t, w.results(s2), "freeze/frozen")
	})
}

// I7
func TestSilenceOnTheClaimMeansHandsOff(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		w.alerts.silence(s1)
		w.r.Wake()
		w.wait(time.Minute)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "silence/silenced")
	})
}

// I23
func TestCarefulModesSendNothingAndSayWhatTheyWouldDo(t *testing.T) {
	for mode, result := range map[string]string{DryRun: "drain dry_run", Observe: "drain observed"} {
		t.Run(mode, func(t *testing.T) {
			inWorld(t, func(c *Config) { c.Mode = mode }, func(w *world) {
				w.fail(s1)
				w.wait(time.Hour)
				w.wantWrites(0)
				wantResults(t, w.results(s1), result)
			})
		})
	}
}

func TestI13AHoldWithoutEvidenceIsNotForgotten(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.probe.set(s1, edge.Unknown)
		w.wait(90 * time.Minute)
		w.want(s1, "FDRAIN")
		if h := w.hold(s1); h == nil || h.Phase != journal.Expiring {
			t.Fatalf("got %+v; want an expiring hold", h)
		}
		w.wait(24 * time.Hour)
		if h := w.hold(s1); h == nil || h.Paged.IsZero() {
			t.Errorf("got %+v; want an escalation at max_hold", h)
		}
		w.want(s1, "FDRAIN")
	})
}

// What is recorded as sent is read back. An intent alone was never sent: what is
// found then was somebody else's doing, and is nothing of ours (I7).
func TestI11AProcessThatEndsAnywhereGoesOnFromTheJournal(t *testing.T) {
	for _, phase := range []journal.Phase{journal.Intent, journal.Applying, journal.Indeterminate} {
		for _, applied := range []bool{true, false} {
			t.Run(string(phase), func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					h := journal.Hold{Member: s1, Policy: "drain", To: edge.Drain, Phase: journal.Intent, Preimage: w.device.states[s1], Process: w.device.process}
					if err := w.r.journal.Put(&h, journal.Entry{}); err != nil {
						t.Fatal(err)
					}
					if h.Phase = phase; phase != journal.Intent {
						if err := w.r.journal.Put(&h, journal.Entry{}); err != nil {
							t.Fatal(err)
						}
					}
					if applied {
						w.device.change(func() { w.device.put(s1, edge.Drain) })
					}
					w.probe.set(s1, edge.No)
					w.restart()
					w.wait(5 * time.Second)
					got := w.hold(s1)
					ours := applied && phase != journal.Intent
					if ours != (got != nil && got.Phase == journal.Holding) {
						t.Errorf("applied %v, the hold is %+v", applied, got)
					}
					w.probe.set(s1, edge.Yes)
					w.wait(time.Minute) // well, without a claim: given back
					want := ""
					if applied && !ours {
						want = "FDRAIN"
					}
					w.want(s1, want)
				})
			})
		}
	}
}

func TestI11ARestartBetweenDrainAndReleaseStillReleases(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.stop()
		w.recover(s1)
		w.start()
		w.wait(30 * time.Second)
		w.want(s1, "")
	})
}

func TestI21OddLabelsAreRecordedAndReachNoDevice(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, odd := range []string{"s1;disable server shop/s2", "s1\nshow env", "s1\x00x", "s1 <<", "nope"} {
			w.alerts.claim(map[string]string{"device": "edge1", "pool": "shop", "member": odd, "remediation": "drain"})
			w.alerts.claim(map[string]string{"device": "edge1", "pool": "shop", "member": "s1", "remediation": odd})
			w.alerts.claim(map[string]string{"device": odd, "pool": "shop", "member": "s1", "remediation": "drain"})
		}
		w.alerts.claim(map[string]string{"member": "s1", "remediation": "drain"})
		w.r.Wake()
		w.wait(time.Minute)
		w.wantWrites(0)
		entries, err := w.r.journal.Entries(journal.Query{Event: "refusal"})
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, e := range entries {
			count[e.Guard+"/"+e.Reason]++
		}
		want := map[string]int{"inventory/unknown_member": 5, "inventory/unknown_policy": 5, "inventory/unknown_device": 5, "inventory/missing_labels": 1}
		if d := cmp.Diff(want, count); d != "" {
			t.Error(d)
		}
	})
}

// I6, I23
func TestADeviceThatIsDeadIsARefusalAndNoStep(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.device.change(func() { w.device.dead = true })
		w.fail(s1)
		w.wait(time.Minute)
		wantResults(t, w.results(s1), "inventory/device_blind")
		w.device.change(func() { w.device.dead = false })
		w.wait(5 * time.Second)
		w.want(s1, "FDRAIN")
	})
}
