package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// Two of three have to serve, so the second dead member stays in, and the
// refusal says so in metric and journal. It goes once the first one is back
// (SAFETY.md I1, I23).
func TestTheSecondDeadMemberIsRefused(t *testing.T) {
	s := start(t, rig.Options{MinServing: "2", MaxHeld: 2})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)

	s.set("app2", rig.Refuse)
	s.refused("min_serving", "app2")
	s.keeps("app2", rig.AdminReady)
	s.orders(order("app1", "drain"))

	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.holdsOnly("app2")
}

// No more than one member of a pool is held, however many could be spared
// (SAFETY.md I3).
func TestTheBudgetOfAPoolIsKept(t *testing.T) {
	s := start(t, rig.Options{Members: 4, MinServing: "1", MaxHeld: 1})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app2", rig.Refuse)
	s.refused("budget", "app2")
	s.keeps("app2", rig.AdminReady)
	s.orders(order("app1", "drain"))
	s.peopleHearOf("MemberFailing")
}

// peopleHearOf waits until people were told of an alert that the remediator got
// too: the examples' sibling route, with its 30 seconds of patience.
func (s scene) peopleHearOf(alertname string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	_, err := s.People.Next(ctx, time.Time{}, fmt.Sprintf("%q", alertname))
	s.must(err)
}

// What a person took out stays out, dead or alive (SAFETY.md I7).
func TestAPersonsDrainIsNeverReleased(t *testing.T) {
	s := start(t, rig.Options{})
	s.must(s.HAProxy.Order(t.Context(), order("app1", "drain")))
	s.set("app1", rig.Refuse)
	s.believed("app1", 0)
	s.refused("foreign", "app1")
	s.set("app1", rig.Serve)
	s.believed("app1", 1)
	s.keeps("app1", rig.AdminDrain)
	s.orders()
}

// A person who changes what we hold has taken over: the member is well again,
// and is still theirs (SAFETY.md I7).
func TestAPersonWhoChangesAHeldMemberTakesItOver(t *testing.T) {
	s := start(t, rig.Options{})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.must(s.HAProxy.Order(t.Context(), order("app1", "maint")))
	s.counts("sluice_remediation_steps_total", map[string]string{"result": "superseded"}, 1)
	now, err := s.HAProxy.Server(t.Context(), rig.Pool, "app1")
	s.must(err)
	s.set("app1", rig.Serve)
	s.believed("app1", 1)
	s.keeps("app1", now.Admin)
	s.orders(order("app1", "drain"))
}

// A freeze takes effect at once, also while the device answers nobody, and what
// waited is judged anew after it (SAFETY.md I18, I19).
func TestAFreezeStopsStepsEvenWhileTheDeviceHangs(t *testing.T) {
	s := start(t, rig.Options{})
	s.Wire.Deafen(true)
	s.set("app1", rig.Refuse)
	begin := time.Now()
	s.freeze(http.MethodPost, map[string]string{"reason": "a person is at work"})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the freeze took %v while the device hung", took)
	}
	s.counts("sluice_remediation_frozen", nil, 1)
	s.Wire.Deafen(false)

	s.believed("app1", 0)
	s.refused("freeze", "app1")
	s.keeps("app1", rig.AdminReady)
	s.orders()

	s.freeze(http.MethodDelete, nil)
	s.becomes(outWithin, "app1", rig.AdminDrain)
}

// freeze sends to the switch and wants it to be taken.
func (s scene) freeze(method string, body any) {
	s.t.Helper()
	s.asks(method, "/api/v1/freeze", body)
}
