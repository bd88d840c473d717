package remediator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// freezeScope freezes a device, or a pool of it, as ann.
func (w *world) freezeScope(device, pool string, until time.Time) {
	w.t.Helper()
	if err := w.r.journal.SetFreeze(journal.Freeze{Device: device, Pool: pool, Reason: "a release", Actor: "ann", Until: until}); err != nil {
		w.t.Fatal(err)
	}
}

// claim makes a member ann's.
func (w *world) claim(m edge.Member, until time.Time) {
	w.t.Helper()
	if err := w.r.Claim(w.t.Context(), journal.Claimed{Member: m, Reason: "a new disk", Actor: "ann", Until: until}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) unclaim(m edge.Member) {
	w.t.Helper()
	if err := w.r.Unclaim(w.t.Context(), m, "ann", "done"); err != nil {
		w.t.Fatal(err)
	}
}

// said is the detail of the last refusal on a member.
func (w *world) said(m edge.Member) string {
	w.t.Helper()
	out := ""
	for _, e := range w.entriesOf(m, "refusal") {
		out = e.Guard + "/" + e.Reason + ": " + e.Detail
	}
	return out
}

func TestI19AScopeThatIsFrozenIsLeftAlone(t *testing.T) {
	until := "until 2000-01-01T02:00:00Z" // virtual time begins at midnight
	for _, tt := range []struct {
		name, device, pool, said string
		moves                    bool
	}{
		{"its device", "edge1", "", "freeze/frozen: device edge1 is frozen: a release (by ann, " + until + ")", false},
		{"its pool", "edge1", "shop", "freeze/frozen: pool edge1/shop is frozen: a release (by ann, " + until + ")", false},
		{"a pool beside it", "edge1", "api", "", true},
		{"a device beside it", "edge2", "shop", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.freezeScope(tt.device, tt.pool, time.Now().Add(2*time.Hour))
				w.fail(s1)
				w.wait(time.Minute)
				if tt.moves {
					w.want(s1, "FDRAIN")
					return
				}
				w.want(s1, "")
				if got := w.said(s1); got != tt.said {
					t.Errorf("got %q", got)
				}
				w.restart() // durable
				w.wait(time.Hour)
				w.want(s1, "")
				w.wait(2 * time.Hour) // it ends by itself
				w.want(s1, "FDRAIN")
			})
		})
	}
}

func TestI19AFrozenPoolGetsNothingBackAndAPersonStillReleases(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.freezeScope("edge1", "shop", time.Time{})
		w.freezeScope("edge1", "", time.Time{})
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
		if err := w.r.journal.ThawScope(edge.Pool{Device: "edge1"}, "ann"); err != nil { // each by itself
			t.Fatal(err)
		}
		w.r.Wake()
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
		if err := w.r.Release(t.Context(), s1, "ann", "by hand"); err != nil {
			t.Fatal(err)
		}
		w.wait(5 * time.Second)
		w.want(s1, "")
	})
}

func TestI19AStepAlongAFrozenPoolIsRefused(t *testing.T) {
	inWorldWith(t, twoPools, bothPools, func(w *world) {
		w.freezeScope("edge1", "app", time.Time{}) // t1 is the same object as s1
		w.fail(s1)
		w.wait(time.Minute)
		w.wantWrites(0)
		wantResults(t, w.results(s1), "freeze/frozen")
		if err := w.r.journal.ThawScope(edge.Pool{Device: "edge1", Name: "app"}, "ann"); err != nil {
			t.Fatal(err)
		}
		w.probe.set(s2, edge.Yes)
		w.r.Wake()
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
		w.freezeScope("edge1", "app", time.Time{})
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN") // nor back
	})
}

// The last moment before a command sees what came after the decision.
func TestI17WhatPeoplePutInTheWayAfterTheDecisionIsSeen(t *testing.T) {
	for name, in := range map[string]func(*world) error{
		"freeze/frozen": func(w *world) error {
			return w.r.journal.SetFreeze(journal.Freeze{Device: "edge1", Pool: "shop", Reason: "x", Actor: "ann"})
		},
		"foreign/claimed": func(w *world) error {
			return w.r.journal.Claim(journal.Claimed{Member: s1, Reason: "x", Actor: "ann"})
		},
	} {
		for _, point := range []string{"take_out.recorded", "give_back.recorded"} {
			t.Run(name+" "+point, func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					passed := 0
					w.again(func(o *Options) {
						o.Failpoint = func(at string) {
							if at == point {
								if passed++; passed == 1 {
									if err := in(w); err != nil {
										t.Error(err)
									}
								}
							}
						}
					}, nil)
					w.fail(s1)
					w.wait(time.Second)
					w.recover(s1)
					w.wait(time.Minute)
					if passed != 1 {
						t.Errorf("passed %d times; want once", passed)
					}
					if point == "take_out.recorded" {
						w.wantWrites(0)
					} else {
						w.wantWrites(1)
						w.want(s1, "FDRAIN")
					}
					if got := w.results(s1); !slices.Contains(got, name) {
						t.Errorf("I23: the journal says %v", got)
					}
					if h := w.hold(s1); strings.HasPrefix(name, "foreign") && h != nil {
						t.Errorf("I7: it is claimed, and still held: %+v", h)
					}
				})
			})
		}
	}
}

func TestI7AClaimedMemberIsNeitherTakenOutNorGivenBack(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.claim(s1, time.Time{})
		w.fail(s1)
		w.wait(time.Hour)
		w.wantWrites(0)
		if got, want := w.said(s1), "foreign/claimed: ann has claimed edge1/shop/s1: a new disk"; got != want {
			t.Errorf("got %q", got)
		}
		w.restart() // durable
		w.fail(s1)
		w.wait(time.Hour)
		w.wantWrites(0)
		w.unclaim(s1) // from claims and evidence, as if new
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
	})
}

func TestI7AClaimTakesOverWhatWeHold(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.claim(s1, time.Time{})
		w.wait(time.Second)
		if h := w.hold(s1); h != nil {
			t.Errorf("still held: %+v", h)
		}
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN") // theirs
		w.unclaim(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN") // and out before we came
		w.wantWrites(1)
		if out := w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied"); !out.Written {
			t.Errorf("got %+v", out)
		}
		w.fail(s1) // from then on it is as any other
		w.wait(time.Minute)
		if got := w.results(s1); !slices.Contains(got, "drain applied") {
			t.Errorf("got %v", got)
		}
	})
}

func TestI7AClaimEndsByItself(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.claim(s1, time.Now().Add(time.Hour))
		w.fail(s1)
		w.wait(50 * time.Minute)
		w.wantWrites(0)
		w.wait(11 * time.Minute)
		w.want(s1, "FDRAIN")
	})
}

func TestI7AClaimOnATwinTakesOverTheOneHold(t *testing.T) {
	inWorldWith(t, twoPools, bothPools, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.claim(other("t1"), time.Time{}) // the same object by its other name
		w.wait(time.Second)
		if h := w.hold(s1); h != nil {
			t.Errorf("still held: %+v", h)
		}
		w.recover(s1)
		w.wait(time.Hour)
		w.wantWrites(1)
		w.device.change(func() { w.device.put(s1, edge.Ready) })
		w.fail(s1)
		w.wait(time.Hour)
		w.wantWrites(1) // a step on s1 would move t1
		if got := w.said(s1); !strings.HasPrefix(got, "foreign/claimed: ann has claimed edge1/app/t1") {
			t.Errorf("got %q", got)
		}
	})
}

// A person's own steps go through while it is theirs, and what is remembered of them
// ends with the release.
func TestI7APersonActsOnWhatIsClaimedAndAutomationBeginsAnew(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.claim(s1, time.Time{})
		w.fail(s1)
		w.wait(time.Second)
		out := w.order(PersonOrder{Member: s1, To: edge.Drain, Reason: "mine"}, "applied")
		if !slices.ContainsFunc(out.Decision.Findings, func(f guard.Finding) bool { return strings.Contains(f.Detail, "ann has claimed") }) {
			t.Errorf("the claim isn't named: %+v", out.Decision.Findings)
		}
		w.order(PersonOrder{Member: s1, To: edge.Ready}, "applied")
		w.wait(time.Minute)
		w.want(s1, "")
		w.unclaim(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN") // its alert still fires, and it still fails
		if h := w.hold(s1); h == nil {
			t.Error("and not by us")
		}
	})
}

// A crash between the claim and its taking over leaves nothing of ours, at whatever
// point a step was.
func TestI11AClaimDuringAStepIsHandedOverAfterARestart(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.device.change(func() { w.device.mute = true }) // obeys, and gives no answer
		w.fail(s1)
		w.wait(time.Second)
		if h := w.hold(s1); h == nil || h.Phase != journal.Indeterminate {
			t.Fatalf("got %+v", h)
		}
		if err := w.r.journal.Claim(journal.Claimed{Member: s1, Reason: "x", Actor: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.stop()
		w.device.change(func() { w.device.mute, w.device.dead = false, false })
		w.start()
		w.wait(10 * time.Second)
		if h := w.hold(s1); h != nil {
			t.Errorf("still held: %+v", h)
		}
		wantResults(t, w.results(s1), "drain indeterminate", "drain applied", "foreign/claimed")
		w.recover(s1)
		w.wait(time.Hour)
		w.want(s1, "FDRAIN")
	})
}

// While the device gives no answer a claim counts all the same, and what is held is
// handed over without a look.
func TestI7AClaimWaitsForNoDevice(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.device.change(func() { w.device.hang = time.Hour })
		began := time.Now()
		w.claim(s1, time.Time{})
		if took := time.Since(began); took > knowWait {
			t.Errorf("it took %s", took)
		}
		w.wait(30 * time.Second)
		if h := w.hold(s1); h != nil {
			t.Errorf("still held: %+v", h)
		}
	})
}

func TestI2OnlyWhatIsThereCanBeClaimedOrFrozen(t *testing.T) {
	inHands(t, nil, func(w *world) {
		for _, tt := range []struct {
			m    edge.Member
			want error
		}{
			{s1, nil},
			{edge.Member{Device: "edge1"}, nil},
			{edge.Member{Device: "edge1", Pool: "shop"}, nil},
			{edge.Member{Device: "edge9", Pool: "shop", Name: "s1"}, ErrNoDevice},
			{edge.Member{Device: "edge1", Pool: "shpo"}, ErrNoMember},
			{member("s9"), ErrNoMember},
		} {
			if err := w.r.Knows(w.t.Context(), tt.m); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v; want %v", tt.m, err, tt.want)
			}
		}
		if err := w.r.Claim(w.t.Context(), journal.Claimed{Member: member("s9"), Reason: "x", Actor: "ann"}); !errors.Is(err, ErrNoMember) {
			t.Errorf("got %v", err)
		}
		w.device.change(func() { // a member that no look has shown yet
			w.device.states[member("s4")] = edge.State{Member: member("s4")}
		})
		w.wait(time.Minute)
		if err := w.r.Knows(w.t.Context(), member("s4")); err != nil {
			t.Error(err)
		}
		w.device.change(func() { w.device.dead = true })
		w.wait(time.Minute)
		if err := w.r.Knows(w.t.Context(), member("s9")); err != nil {
			t.Errorf("who stops something is kept waiting for a device: %v", err)
		}
	})
}

func TestWhatIsFrozenIsShown(t *testing.T) { // I26
	inWorld(t, nil, func(w *world) {
		reg := prometheus.NewRegistry()
		reg.MustRegister(w.r)
		w.freezeScope("edge1", "shop", time.Now().Add(time.Hour))
		w.freezeScope("edge2", "", time.Time{})
		want := []string{"sluice_remediation_frozen{} 0", "sluice_remediation_frozen_scope{edge1,shop} 1", "sluice_remediation_frozen_scope{edge2,} 1"}
		if d := cmp.Diff(want, gathered(t, reg, "sluice_remediation_frozen", "sluice_remediation_frozen_scope")); d != "" {
			t.Error(d)
		}
		w.claim(s1, time.Now().Add(time.Minute))
		w.claim(s2, time.Time{})
		if d := cmp.Diff([]string{"sluice_remediation_claimed{edge1,shop} 2"}, gathered(t, reg, "sluice_remediation_claimed")); d != "" {
			t.Error(d)
		}
		w.wait(time.Hour)
		if d := cmp.Diff([]string{"sluice_remediation_claimed{edge1,shop} 1"}, gathered(t, reg, "sluice_remediation_claimed")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(want[2:], gathered(t, reg, "sluice_remediation_frozen_scope")); d != "" {
			t.Errorf("after its end:\n%s", d)
		}
	})
}

// gathered are the series of some gauges: name, values of the labels, value. Of a
// histogram the value is how many it has seen, and their sum in seconds.
func gathered(t *testing.T, reg *prometheus.Registry, names ...string) (out []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			value := fmt.Sprint(m.GetGauge().GetValue())
			if h := m.GetHistogram(); h != nil {
				value = fmt.Sprintf("%d in %gs", h.GetSampleCount(), h.GetSampleSum())
			}
			if slices.Contains(names, f.GetName()) {
				out = append(out, fmt.Sprintf("%s{%s} %s", f.GetName(), strings.Join(labels, ","), value))
			}
		}
	}
	return out
}

// I20: who lifts a freeze has looked at what is behind it, and only at that.
func TestI20AThawForgivesItsScopeAlone(t *testing.T) {
	inHands(t, nil, func(w *world) {
		shop, api := edge.Pool{Device: "edge1", Name: "shop"}, edge.Pool{Device: "edge1", Name: "api"}
		for range 2 {
			w.r.ledger.effect(shop, ineffective)
			w.r.ledger.effect(api, ineffective)
		}
		w.freezeScope("edge1", "shop", time.Time{})
		w.r.barriers()
		if err := w.r.journal.ThawScope(shop, "ann"); err != nil {
			t.Fatal(err)
		}
		w.r.barriers()
		if got := w.r.ledger.ineffective(); got[shop] != 0 || got[api] != 2 {
			t.Errorf("got %v", got)
		}
		if err := w.r.ledger.load(w.r, w.cfg); err != nil {
			t.Fatal(err)
		}
		w.freeze()
		w.r.barriers()
		w.r.ledger.effect(api, ineffective)
		if err := w.r.journal.Thaw("ann"); err != nil {
			t.Fatal(err)
		}
		w.r.barriers()
		if got := w.r.ledger.ineffective(); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}
