package remediator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/control"
)

func TestMembersSayWhoSetTheirState(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.device.change(func() {
			settled, theirs := member("s4"), member("s5")
			w.device.states[settled] = edge.State{Member: settled, Admin: edge.Maint, Marks: "CMAINT", Settled: true}
			w.device.states[theirs] = edge.State{Member: theirs, Admin: edge.Drain, Marks: "FDRAIN"}
		})
		w.fail(s1)
		w.wait(time.Second)
		began := time.Now()
		w.order(PersonOrder{Member: s2, To: edge.Maint, Reason: "a new disk", Override: []string{"min_serving", "budget"}}, "applied")
		shown := func() (out []string) {
			w.t.Helper()
			got, err := w.r.Members(w.t.Context(), "edge1", "shop")
			if err != nil || got.Count != 5 || len(got.Devices) != 1 || got.Devices[0].Error != "" {
				t.Errorf("got %+v, %v", got, err)
			}
			for _, m := range got.Members {
				line := m.Member.Name + " " + m.Marks
				if s := m.Set; s != nil {
					line += fmt.Sprintf(": %s %s %s %s %s", s.By, s.Actor, s.Reason, s.Policy, s.Phase)
				}
				if m.Set != nil && m.Set.By == "person" && !m.Set.Since.Equal(began) {
					t.Errorf("since %s; want %s", m.Set.Since, began)
				}
				out = append(out, strings.TrimSpace(line))
			}
			return out
		}
		want := []string{
			"s1 FDRAIN: sluice  as the test says drain holding", "s2 FMAINT: person ann a new disk", "s3",
			"s4 CMAINT: device", "s5 FDRAIN: unknown",
		}
		if diff := cmp.Diff(want, shown()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.restart()
		w.wait(2 * time.Second)
		if diff := cmp.Diff(want, shown()); diff != "" {
			t.Errorf("after a restart (-want +got):\n%s", diff)
		}
		w.device.change(func() { w.device.put(s2, edge.Drain) }) // somebody
		w.wait(2 * time.Second)
		want[1] = "s2 FDRAIN: unknown"
		if diff := cmp.Diff(want, shown()); diff != "" {
			t.Errorf("after somebody's change (-want +got):\n%s", diff)
		}
	})
}

func TestAStepIsSeenAtOnceByWhoTookIt(t *testing.T) {
	inHands(t, nil, func(w *world) {
		for _, to := range []edge.Admin{edge.Drain, edge.Maint, edge.Ready} {
			w.order(PersonOrder{Member: s1, To: to, Reason: "a new disk"}, "applied")
			got, err := w.r.Members(w.t.Context(), "edge1", "shop")
			if err != nil || got.Members[0].Admin != to {
				t.Errorf("after %s: %s, %v", to, got.Members[0].Admin, err)
			}
		}
	})
}

func TestDevicesAndPoolsAreCounted(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		w.freeze()
		got, err := w.r.Members(w.t.Context(), "", "")
		if err != nil {
			w.t.Fatal(err)
		}
		devices := []Sighted{{Device: "edge1", Up: true, Pools: 1, Members: 3, Held: 1}}
		pools := []control.Pool{{
			Device: "edge1", Pool: "shop", Members: 3, Serving: 2, Out: 1, Held: 1, Policy: "drain",
			MinServing: w.cfg.Policies[0].MinServing, Frozen: true, Maintenance: []string{},
		}}
		if diff := cmp.Diff(devices, got.Devices, cmpopts.IgnoreFields(Sighted{}, "At")); diff != "" {
			w.t.Errorf("devices (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(pools, got.Pools); diff != "" {
			w.t.Errorf("pools (-want +got):\n%s", diff)
		}
		w.device.change(func() { w.device.dead = true })
		w.wait(2 * glanceAge)
		got, err = w.r.Members(w.t.Context(), "", "")
		if d := got.Devices[0]; err != nil || d.Up || d.Error == "" || len(got.Pools)+len(got.Members) > 0 || !slices.Equal(d.Last, []string{"shop"}) {
			w.t.Errorf("without an answer: %+v, %v", got, err)
		}
	})
}

func TestADeviceThatHangsDelaysMembersByOneLook(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.again(func(o *Options) { o.Devices["edge2"] = renamed{newDevice(member("s1")), "edge2"} }, nil)
		w.device.change(func() { w.device.hang = time.Hour })
		began := time.Now()
		done := make(chan Roster)
		const many = 50
		for range many {
			go func() {
				got, err := w.r.Members(w.t.Context(), "", "")
				if err != nil {
					t.Error(err)
				}
				done <- got
			}()
		}
		for range many {
			if got := <-done; len(got.Devices) != 2 || got.Devices[0].Error == "" || got.Devices[1].Error != "" {
				t.Errorf("got %+v", got.Devices)
			}
		}
		if took := time.Since(began); took > lookTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWhoDoesNotWaitForADeviceThatHangsSeesTheOthers(t *testing.T) {
	inHands(t, nil, func(w *world) {
		w.again(func(o *Options) { o.Devices["edge2"] = renamed{newDevice(member("s1")), "edge2"} }, nil)
		w.device.change(func() { w.device.hang = time.Hour })
		look := func() (Roster, time.Duration) {
			began := time.Now()
			ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Second, errors.New("asked 1s ago"))
			defer cancel()
			got, err := w.r.Members(ctx, "", "")
			if err != nil {
				w.t.Fatal(err)
			}
			return got, time.Since(began)
		}
		for range 3 { // the first begins the look, the others find it under way
			got, took := look()
			if len(got.Devices) != 2 || got.Devices[0].Error != "no answer yet: asked 1s ago" || len(got.Members) != 1 || took != time.Second {
				t.Errorf("got %+v after %s", got, took)
			}
		}
		w.wait(lookTimeout)
		w.device.change(func() { w.device.hang = 0 })
		if got, _ := look(); got.Devices[0].Error != "" || len(got.Members) != 4 {
			t.Errorf("well again: %+v", got)
		}
		at := time.Now()
		w.device.change(func() { w.device.hang = time.Hour })
		w.wait(5 * time.Second)
		if got, _ := look(); got.Devices[0].Error != "" || !got.Devices[0].At.Equal(at) || len(got.Members) != 4 {
			t.Errorf("late: %+v", got)
		}
		w.wait(lateAge)
		if got, _ := look(); got.Devices[0].Error == "" {
			t.Errorf("long late: %+v", got)
		}
		w.wait(lookTimeout)
	})
}
