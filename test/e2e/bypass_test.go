package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// The way in, the way back and the time limit of a bypass, on a HAProxy. Those
// on PTAF are in waf_test.go and wafpro_test.go.

// bypassed waits until HAProxy's standby is in. That the configuration has it
// "disabled" stays in srv_admin_state, as the bit 0x04: seen on 2.6.
func (s scene) bypassed() {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, "the standby to be in", func(ctx context.Context) error {
		now, err := s.HAProxy.Server(ctx, rig.Pool, "standby")
		if err == nil && now.Admin&(rig.AdminMaint|rig.AdminDrain) != 0 {
			err = fmt.Errorf("srv_admin_state is %#02x", now.Admin)
		}
		return err
	}))
}

// A bypass on a HAProxy ends at its time limit, and isn't begun again while the
// claim lasts.
func TestABypassOnHAProxyEndsAtItsTimeLimit(t *testing.T) {
	s := start(t, rig.Options{Standby: true, Policies: []string{bypass("standby", "4s")}})
	before, err := s.HAProxy.Server(t.Context(), rig.Pool, "standby")
	s.must(err)
	s.failAll(rig.Device, rig.Pool)
	s.bypassed()
	s.becomes(backWithin, "standby", before.Admin)
	s.counts("sluice_remediation_expired_total", map[string]string{"device": rig.Device, "pool": rig.Pool}, 1)
	s.refusedOn(named("standby"), "budget")
	s.must(rig.Holds(t.Context(), stays, s.HAProxy.Want("standby", before.Admin)))
	s.orders(order("standby", "ready"), order("standby", "maint"))
	s.holdsOnly()
}

// Nothing is brought in while one member is well, whoever claims the pool: the
// remediator's own probes decide.
func TestNoBypassOnHAProxyWhileAMemberIsWell(t *testing.T) {
	s := start(t, rig.Options{Standby: true, Policies: []string{bypass("standby", "10m")}})
	s.must(s.Prometheus.Stop()) // the claim here is made by hand
	s.set("app1", rig.Refuse)
	s.set("app2", rig.Refuse)
	s.claimPool(rig.Device, rig.Pool, time.Now().Add(5*time.Minute))
	s.refusedOn(named("standby"), "evidence")
	s.orders()
	s.set("app3", rig.Refuse)
	s.bypassed()
}

// When members recover, the bypass ends as soon as enough of them serve: it
// doesn't wait for a member that is held for its own sake, for longer here.
func TestABypassIsGivenBackFirst(t *testing.T) {
	s := start(t, rig.Options{Standby: true, HoldDown: 4 * time.Second, Policies: []string{bypass("standby", "10m")}})
	before, err := s.HAProxy.Server(t.Context(), rig.Pool, "standby")
	s.must(err)
	s.must(s.Prometheus.Stop()) // the claims here are made by hand
	app1 := func(ends time.Time) {
		s.must(s.Alertmanager.Say(t.Context(), map[string]string{
			"alertname": "Handmade", "device": rig.Device, "pool": rig.Pool, "member": "app1", "remediation": "drain",
		}, ends))
	}
	s.set("app1", rig.Refuse)
	app1(time.Now().Add(5 * time.Minute))
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app2", rig.Refuse)
	s.set("app3", rig.Refuse)
	s.claimPool(rig.Device, rig.Pool, time.Now().Add(5*time.Minute))
	s.bypassed()

	app1(time.Now())
	s.recoverAll(rig.Device, rig.Pool)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.becomes(backWithin, "standby", before.Admin)
	s.orders(order("app1", "drain"), order("standby", "ready"), order("standby", "maint"), order("app1", "ready"))
	s.holdsOnly()
}

// The same on a PTAF PRO, whose standby stands in two traffic profiles: one write
// brings it in, one takes it out at the limit, and the claim brings it in no more.
func TestABypassOnPTAFPROIsNotBegunAgain(t *testing.T) {
	s := start(t, rig.Options{WAFPro: true, Standby: true, Policies: []string{bypass("{{.StandbyAddress}}", "4s")}})
	before := len(s.WAFPro.Writes()) // by which the remediator found out that it may write
	s.failAll(rig.WAFProDevice, rig.WAFProProfile)
	s.must(rig.Await(t.Context(), outWithin, "the standby to be in", s.WAFPro.WantEnabled(s.Standby, true)))
	s.must(rig.Await(t.Context(), backWithin, "the standby to be out again", s.WAFPro.WantEnabled(s.Standby, false)))
	s.refusedOn(onWAFPro(rig.WAFProProfile, s.Standby.Address), "budget")
	s.must(rig.Holds(t.Context(), stays, s.WAFPro.WantEnabled(s.Standby, false)))
	if n := len(s.WAFPro.Writes()) - before; n != 2 {
		t.Errorf("%d PATCHes, want 2", n)
	}
	s.holdsOnly()
}
