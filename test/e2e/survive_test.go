package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// The journal knows what is held when the process doesn't any more (SAFETY.md
// I11).
func TestAKilledRemediatorReleasesAfterItsRestart(t *testing.T) {
	s := start(t, rig.Options{})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.must(s.Remediator.Kill())
	s.set("app1", rig.Serve)
	s.keeps("app1", rig.AdminDrain) // nobody is there to release it
	s.must(s.Remediator.Start(t.Context()))
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.holdsOnly()
	s.orders(order("app1", "drain"), order("app1", "ready"))
}

// A new HAProxy has forgotten what was set. The member is still dead, so it is
// taken out again.
func TestAMemberIsTakenOutAgainAfterHAProxyForgot(t *testing.T) {
	s := start(t, rig.Options{})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.must(s.HAProxy.Restart(t.Context()))
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.holdsOnly()
}

// Monitoring falls silent while the member is dead. Alertmanager resolves the
// alert by itself, then forgets everything; neither is a reason to give back.
// The member's own health is, without any of them (SAFETY.md I6, I14).
func TestSilenceOfMonitoringGivesNothingBack(t *testing.T) {
	s := start(t, rig.Options{Resend: 3 * time.Second}) // an alert ends 12 s after the last word of it
	ctx := t.Context()
	s.awaitMetric("sluice_remediation_watchdog_age_seconds", nil, "to be young: the Watchdog has come all the way",
		func(age float64) bool { return age < 2 })
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)

	s.must(s.Prometheus.Stop())
	stopped := time.Now()
	s.must(rig.Await(ctx, time.Minute, "Alertmanager to resolve the alert by itself", s.noClaim("app1")))
	resolved, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := s.Webhooks.Next(resolved, stopped, `"member":"app1"`, `"status":"resolved"`)
	s.must(err)
	s.keeps("app1", rig.AdminDrain)

	s.must(s.Alertmanager.Restart(ctx))
	s.keeps("app1", rig.AdminDrain)
	s.orders(order("app1", "drain"))

	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.orders(order("app1", "drain"), order("app1", "ready"))
}

// noClaim returns a check that Alertmanager has no claim on the member. What the
// remediator says of it itself, it goes on saying.
func (s scene) noClaim(member string) func(context.Context) error {
	return func(ctx context.Context) error {
		alerts, err := s.Alertmanager.Alerts(ctx)
		for _, a := range alerts {
			if a.Labels["member"] == member && a.Labels["announced_by"] == "" {
				return errors.Join(err, fmt.Errorf("it still has %v", a.Labels))
			}
		}
		return err
	}
}
