package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// The main thing, from end to end (SAFETY.md I8, I11, I14).
func TestADeadMemberIsTakenOutAndGivenBack(t *testing.T) {
	s := start(t, rig.Options{MinServing: "50%"})
	ctx := t.Context()
	before, err := s.HAProxy.Server(ctx, rig.Pool, "app2")
	s.must(err)
	traffic := rig.StartTraffic(ctx, s.HAProxy.Front, 20*time.Millisecond)
	defer traffic.Stop()

	s.set("app2", rig.Refuse)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.trafficIsClean(traffic, time.Now())
	s.orders(order("app2", "drain"))
	s.holdsOnly("app2")
	s.counts("sluice_remediation_steps_total", map[string]string{"device": rig.Device, "pool": rig.Pool, "to": "drain", "result": "applied"}, 1)
	s.counts("sluice_remediation_holds", map[string]string{"device": rig.Device, "pool": rig.Pool}, 1)
	s.intentCameFirst("app2")

	t.Run("explain says what would be done, and does nothing", func(t *testing.T) { explains(t, s) })

	recovered := time.Now()
	s.set("app2", rig.Serve)
	s.becomes(backWithin, "app2", rig.AdminReady)
	s.trafficIsClean(traffic, recovered)
	s.must(rig.Await(ctx, backWithin, "app2 to get traffic again", func(context.Context) error {
		if !slices.ContainsFunc(traffic.Since(recovered), func(v rig.Visit) bool { return v.Member == "app2" }) {
			return fmt.Errorf("none so far")
		}
		return nil
	}))
	s.orders(order("app2", "drain"), order("app2", "ready"))
	s.holdsOnly()
	after, err := s.HAProxy.Server(ctx, rig.Pool, "app2")
	s.must(err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("app2 isn't as it was before (-before +after):\n%s", diff)
	}
}

// A member that takes connections and never answers is as dead as one that
// refuses them, and one that answers 500 is no better.
func TestAMemberThatHangsOrAnswers500IsTakenOut(t *testing.T) {
	s := start(t, rig.Options{})
	for _, be := range []rig.Behaviour{rig.Hang, rig.Fail} {
		s.set("app3", be)
		s.becomes(outWithin, "app3", rig.AdminDrain)
		s.set("app3", rig.Serve)
		s.becomes(backWithin, "app3", rig.AdminReady)
	}
}

// In dry run the same is judged and recorded, and nothing is sent.
func TestADryRunSendsNothing(t *testing.T) {
	s := start(t, rig.Options{Mode: "dry_run"})
	s.set("app1", rig.Refuse)
	s.awaitMetric("sluice_remediation_steps_total", map[string]string{"to": "drain", "result": "dry_run"}, "to count a step",
		func(got float64) bool { return got > 0 })
	s.keeps("app1", rig.AdminReady)
	s.orders()
}

// trafficIsClean waits for a hundred requests that began at or after from, and
// wants all answered.
func (s scene) trafficIsClean(traffic *rig.Traffic, from time.Time) {
	s.t.Helper()
	var visits []rig.Visit
	s.must(rig.Await(s.t.Context(), 30*time.Second, "a hundred requests", func(context.Context) error {
		if visits = traffic.Since(from); len(visits) < 100 {
			return fmt.Errorf("%d so far", len(visits))
		}
		return nil
	}))
	for _, v := range rig.Failed(visits) {
		s.t.Errorf("a request that began %v later failed: %v", v.Start.Sub(from), v.Err)
	}
}

// intentCameFirst makes sure that the journal had the intent before the member
// was touched, and has it that the member was found out.
func (s scene) intentCameFirst(member string) {
	s.t.Helper()
	entries, err := s.Steps(s.t.Context(), 0)
	s.must(err)
	at := func(p journal.Phase) int {
		return slices.IndexFunc(entries, func(e journal.Entry) bool {
			return e.To == p && e.Member != nil && *e.Member == named(member)
		})
	}
	intent, holding := at(journal.Intent), at(journal.Holding)
	if intent < 0 || holding < intent {
		s.t.Errorf("the journal has the intent at %d and the hold at %d: %+v", intent, holding, entries)
	}
}

func explains(t *testing.T, s scene) {
	ctx := t.Context()
	before := s.Wire.Orders()
	text := runSluice(t, "explain", "--remediator.url="+s.Remediator.URL,
		"--labels", fmt.Sprintf(`alertname="MemberFailing",device=%q,pool=%q,member="app1",remediation="drain"`, rig.Device, rig.Pool))
	for _, word := range []string{"freeze", "inventory", "foreign", "evidence", "budget", "min_serving"} {
		if !strings.Contains(text, word) {
			t.Errorf("explain doesn't speak of guard %s:\n%s", word, text)
		}
	}
	if diff := cmp.Diff(before, s.Wire.Orders()); diff != "" {
		t.Errorf("explain ordered something (-before +after):\n%s", diff)
	}
	if err := s.HAProxy.Want("app1", rig.AdminReady)(ctx); err != nil {
		t.Error(err)
	}
}

// runSluice runs a command of the program that ends by itself, and wants it to
// end well.
func runSluice(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), sluice, args...).CombinedOutput()
	if err != nil {
		t.Errorf("sluice %s: %v:\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
