package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// What may go wrong between the steps of a way back.

// A weight that a person sets while the member is out is theirs (SAFETY.md I7).
func TestAWeightThatAPersonSetsWhileTheMemberIsOutStays(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Keys: []string{bySteps}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.must(s.HAProxy.Order(t.Context(), weight("app1", 40)))
	s.set("app1", rig.Serve)
	s.believed("app1", 1)
	s.must(rig.Holds(t.Context(), stays+6*time.Second, func(ctx context.Context) error {
		now, err := s.HAProxy.Server(ctx, rig.Pool, "app1")
		if err == nil && now.Weight > 40 {
			err = fmt.Errorf("srv_uweight is %d: the person's was 40", now.Weight)
		}
		return err
	}))
}

// A member that fails again on its way back goes the whole way out: through the
// wait for its sessions to maint.
func TestAMemberThatFailsAgainGoesToMaintInTheEnd(t *testing.T) {
	s := start(t, rig.Options{To: "maint", Weight: 100, Keys: []string{"drain_wait: 2s", bySteps}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminMaint)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 10)
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.becomes(outWithin, "app1", rig.AdminMaint)
}

// An order with a weight is two commands on HAProxy. When the connection breaks
// between them, the half that arrived is ours, and the order is tried again
// (SAFETY.md I10).
func TestHalfAnOrderIsNobodyElsesChange(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Keys: []string{"release: {weights: [10%], watch: 4s}"}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.Wire.Cut("state ready") // in with little weight: the weight arrives
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 100)
	s.holdsOnly()

	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 10)
	s.Wire.Cut(weight("app1", 100)) // out again: the drain arrives
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 100)
	s.holdsOnly()
}

// A member that dies while it is tried gives no answers that could be counted; it
// goes out again all the same.
func TestAMemberThatDiesWhileItIsTriedGoesOutAgain(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Rules: errorsRule, Keys: []string{
		"confirm: traffic", "traffic: {share: 50, requests: 10, window: 4s}", "release: {weights: [25%], watch: 10s}",
	}})
	traffic := rig.StartTraffic(t.Context(), s.HAProxy.Front, 20*time.Millisecond)
	defer traffic.Stop()
	s.set("app1", rig.WellOnly)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.weighs(backWithin, "app1", 25)
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
}

// A member that is tried with a tenth of its weight doesn't stand for one that
// serves: what was refused while it was out is refused still (SAFETY.md I1).
func TestAMemberThatIsTriedDoesNotCountAsServing(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, MinServing: "2", MaxHeld: 2, Keys: []string{"release: {weights: [10%], watch: 1m}"}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 10)
	s.set("app2", rig.Refuse)
	s.refused("min_serving", "app2")
	s.orders(order("app1", "drain"), weight("app1", 10), order("app1", "ready"))
}
