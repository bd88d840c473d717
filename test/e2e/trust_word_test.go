package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// What people say beforehand, or while a step waits: approvals, silences and
// maintenance windows.

// In mode approve a step waits for a person's word. It serves once, and what
// gives back needs none (SAFETY.md I17).
func TestAStepWaitsForAPersonsWordAndTheWordServesOnce(t *testing.T) {
	s := start(t, rig.Options{Mode: "approve"})
	s.set("app1", rig.Refuse)
	if e := s.refused("approval", "app1"); e.Reason != "awaiting" {
		t.Errorf("refused for %s, want awaiting", e.Reason)
	}
	s.awaits("app1")
	s.orders()

	s.approve("app1")
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.awaits()
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.holdsOnly()
	s.must(rig.Await(t.Context(), outWithin, "the alert to be over", s.noClaim("app1")))

	s.set("app1", rig.Refuse)
	s.awaits("app1")
	s.keeps("app1", rig.AdminReady)
	s.orders(order("app1", "drain"), order("app1", "ready"))
}

// approvals is the path of those that wait, and the start of each one's own.
const approvals = "/api/v1/approvals"

// awaits waits until these members, and no others, wait for a person's word, and
// it is said why.
func (s scene) awaits(members ...string) {
	s.t.Helper()
	what := fmt.Sprintf("%v to wait for a word", members)
	s.must(rig.Await(s.t.Context(), outWithin, what, func(ctx context.Context) error {
		var answer struct {
			Data struct {
				Approvals []struct {
					Member string
					Phase  journal.Phase
					Reason string
				}
			}
		}
		if err := rig.GetJSON(ctx, s.Remediator.URL+approvals, &answer); err != nil {
			return err
		}
		waiting := answer.Data.Approvals
		if len(waiting) != len(members) {
			return fmt.Errorf("%+v wait", waiting)
		}
		for i, w := range waiting {
			if w.Member != members[i] || w.Phase != journal.AwaitingApproval || w.Reason == "" {
				return fmt.Errorf("%+v waits", w)
			}
		}
		return nil
	}))
}

// approve says yes to the step that waits; reject says no.
func (s scene) approve(member string) { s.t.Helper(); s.answer(member, `{"approve": true}`) }

func (s scene) reject(member string) {
	s.t.Helper()
	s.answer(member, `{"approve": false, "reason": "a release is under way"}`)
}

func (s scene) answer(member, word string) {
	s.t.Helper()
	url := s.Remediator.URL + approvals + "/" + rig.Device + "/" + rig.Pool + "/" + member
	status, answer, err := rig.Do(s.t.Context(), http.MethodPost, url, []byte(word))
	s.must(err)
	if status != http.StatusOK {
		s.t.Fatalf("answer %s for %s: status %d: %s", word, member, status, answer)
	}
}

// A no stands while the claim lasts, over a crash too, until a person thinks again.
func TestANoStandsUntilAPersonThinksAgain(t *testing.T) {
	s := start(t, rig.Options{Mode: "approve"})
	s.set("app1", rig.Refuse)
	s.awaits("app1")
	s.reject("app1")
	s.awaits()
	s.must(s.Remediator.Kill())
	s.must(s.Remediator.Start(t.Context()))
	s.keeps("app1", rig.AdminReady)
	s.awaits()
	s.orders()
	s.approve("app1")
	s.becomes(outWithin, "app1", rig.AdminDrain)
}

// A silence is a person's "hands off"; the step is taken once it is lifted.
func TestASilenceOnTheClaimStopsTheStep(t *testing.T) {
	s := start(t, rig.Options{})
	id := s.silence("app1")
	s.set("app1", rig.Refuse)
	if e := s.refused("silence", "app1"); e.Reason != "silenced" {
		t.Errorf("refused for %s, want silenced", e.Reason)
	}
	s.orders()

	status, answer, err := rig.Do(t.Context(), http.MethodDelete, s.Alertmanager.URL+"/api/v2/silence/"+id, nil)
	s.must(err)
	if status != http.StatusOK {
		t.Fatalf("lift the silence: status %d: %s", status, answer)
	}
	s.becomes(outWithin, "app1", rig.AdminDrain)
}

// silence silences all claims on the member, and returns the silence's id.
func (s scene) silence(member string) string {
	s.t.Helper()
	now := time.Now().UTC()
	body, err := json.Marshal(map[string]any{
		"matchers": []any{
			map[string]any{"name": "member", "value": member, "isRegex": false, "isEqual": true},
			map[string]any{"name": "remediation", "value": ".+", "isRegex": true, "isEqual": true},
		},
		"startsAt": now.Add(-time.Minute).Format(time.RFC3339), "endsAt": now.Add(time.Hour).Format(time.RFC3339),
		"createdBy": "somebody", "comment": "a person is at work",
	})
	s.must(err)
	status, answer, err := rig.Do(s.t.Context(), http.MethodPost, s.Alertmanager.URL+"/api/v2/silences", body)
	s.must(err)
	var made struct{ SilenceID string }
	if err := json.Unmarshal(answer, &made); err != nil || status != http.StatusOK || made.SilenceID == "" {
		s.t.Fatalf("silence %s: status %d: %s: %v", member, status, answer, err)
	}
	return made.SilenceID
}

// While people are at work on a pool nothing is taken out there, and nothing is
// given back.
func TestInAMaintenanceWindowNothingMoves(t *testing.T) {
	now := time.Now()
	window := func(from, to time.Time) string {
		return fmt.Sprintf("maintenance: [{name: move, members: {device: %s, pool: %s}, from: %s, to: %s}]",
			rig.Device, rig.Pool, from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	over, open := window(now.Add(-2*time.Hour), now.Add(-time.Hour)), window(now.Add(-time.Hour), now.Add(time.Hour))
	s := start(t, rig.Options{Section: []string{open}})
	ctx := t.Context()

	s.set("app1", rig.Refuse)
	if e := s.refused("maintenance", "app1"); e.Reason != "window" {
		t.Errorf("refused for %s, want window", e.Reason)
	}
	s.orders()
	s.must(s.Edit(ctx, open, over))
	s.becomes(outWithin, "app1", rig.AdminDrain)

	s.must(s.Edit(ctx, over, open))
	s.set("app1", rig.Serve)
	s.believed("app1", 1)
	s.keeps("app1", rig.AdminDrain)
	s.holdsOnly("app1")
	s.orders(order("app1", "drain"))

	s.must(s.Edit(ctx, open, over))
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.holdsOnly()
}
