package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// The ways out and back that have more than one step.

// With drain_wait, maint comes when the sessions have ended, and when they had
// their time at the latest.
func TestARequestIsFinishedBeforeMaint(t *testing.T) {
	s := start(t, rig.Options{To: "maint", Keys: []string{"drain_wait: 7s"}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	long, err := s.StartLong(ctx, "app1")
	s.must(err)
	s.set("app1", rig.Fail)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.must(rig.Holds(ctx, 2*time.Second, s.HAProxy.Want("app1", rig.AdminDrain)))
	if long.Ended() {
		t.Fatalf("the request was broken off by the drain: %v", long.Wait(ctx))
	}
	s.Member("app1").Finish()
	if err := long.Wait(ctx); err != nil {
		t.Errorf("the request was broken off: %v", err)
	}
	s.becomes(outWithin, "app1", rig.AdminMaint)
	s.entered("app1", "its sessions ended")
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.orders(order("app1", "drain"), order("app1", "maint"), order("app1", "ready"))

	long, err = s.StartLong(ctx, "app1")
	s.must(err)
	s.set("app1", rig.Fail)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.becomes(outWithin, "app1", rig.AdminMaint)
	if long.Ended() {
		t.Errorf("the request ended before its time was over: %v", long.Wait(ctx))
	}
	s.entered("app1", "sessions are left after drain_wait")
	s.Member("app1").Finish()
	s.must(long.Wait(ctx)) // HAProxy's maint lets what is there go on
}

// entered makes sure that the journal has an entry on the member that says this.
func (s scene) entered(member, says string) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, fmt.Sprintf("an entry on %s with %q", member, says), func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Member != nil && *e.Member == named(member) && strings.Contains(e.Detail, says) {
				return nil
			}
		}
		return fmt.Errorf("none in %d entries", len(entries))
	}))
}

func weight(member string, n int) string {
	return fmt.Sprintf("set server %s/%s weight %d", rig.Pool, member, n)
}

// weighs waits until HAProxy says that the member is in with that weight.
func (s scene) weighs(within time.Duration, member string, weight int) {
	s.t.Helper()
	what := fmt.Sprintf("%s to be in with weight %d", member, weight)
	s.must(rig.Await(s.t.Context(), within, what, func(ctx context.Context) error {
		now, err := s.HAProxy.Server(ctx, rig.Pool, member)
		if err == nil && (now.Admin != rig.AdminReady || now.Weight != weight) {
			err = fmt.Errorf("srv_admin_state is %#02x, srv_uweight is %d", now.Admin, now.Weight)
		}
		return err
	}))
}

const bySteps = "release: {weights: [10%, 50%], watch: 3s}"

// A member comes back by steps, and in the end it has its whole weight (SAFETY.md
// I8).
func TestAMemberComesBackByWeights(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Keys: []string{bySteps}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 10)
	s.weighs(backWithin, "app1", 50)
	s.weighs(backWithin, "app1", 100)
	s.holdsOnly()
	s.orders(order("app1", "drain"), weight("app1", 10), order("app1", "ready"), weight("app1", 50), order("app1", "ready"), weight("app1", 100), order("app1", "ready"))
}

// A person who gives the member another weight on its way back has taken it over
// (SAFETY.md I7).
func TestAPersonsWeightOnTheWayBackTakesOver(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Keys: []string{bySteps}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 10)
	s.must(s.HAProxy.Order(t.Context(), weight("app1", 40)))
	s.counts("sluice_remediation_steps_total", map[string]string{"result": "superseded"}, 1)
	s.keeps("app1", rig.AdminReady)
	s.weighs(backWithin, "app1", 40)
	s.orders(order("app1", "drain"), weight("app1", 10), order("app1", "ready"))
}

// A killed remediator goes on with the weights where it was; a freeze stops that
// too (SAFETY.md I11, I19).
func TestAKilledRemediatorGoesOnWithTheWeights(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Keys: []string{"release: {weights: [10%], watch: 4s}"}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 10)
	s.freeze(http.MethodPost, map[string]string{"reason": "a person is at work"})
	s.must(s.Remediator.Kill())
	s.must(s.Remediator.Start(t.Context()))
	s.keeps("app1", rig.AdminReady)
	s.weighs(backWithin, "app1", 10)
	s.orders(order("app1", "drain"), weight("app1", 10), order("app1", "ready"))
	s.freeze(http.MethodDelete, nil)
	s.weighs(backWithin, "app1", 100)
	s.holdsOnly()
}

// HAProxy refuses weights where a hash decides who gets a request: the member
// comes back at once rather than never.
func TestWhereHAProxyRefusesWeightsAMemberComesBackAtOnce(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Balance: "source", Keys: []string{bySteps}})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 100)
	s.holdsOnly()
	if n := len(slices.DeleteFunc(s.Wire.Orders(), func(o string) bool { return !strings.Contains(o, " weight ") })); n != 1 {
		t.Errorf("a weight was tried %d times, want once: %q", n, s.Wire.Orders())
	}
	s.entered("app1", "given back")
}

// errorsRule claims a member by what HAProxy counts: most of its answers are 5xx.
const errorsRule = `groups:
  - name: own
    interval: 1s
    rules:
      - alert: MemberErrors
        expr: |
          label_replace(label_replace(
            sum by (device, proxy, server) (rate(haproxy_server_http_responses_total{code="5xx"}[5s]))
              / sum by (device, proxy, server) (rate(haproxy_server_http_responses_total[5s])) > 0.5,
            "pool", "$1", "proxy", "(.*)"), "member", "$1", "server", "(.*)")
        labels: {severity: warning, remediation: drain}
`

// A member that passes its health check and fails what users ask is out by what
// HAProxy counts, tried with little, out again while it is bad, and back when it
// is good.
func TestAMemberThatFailsOnlyForUsersIsOutByItsTraffic(t *testing.T) {
	s := start(t, rig.Options{Weight: 100, Rules: errorsRule, Keys: []string{
		"confirm: traffic", "traffic: {share: 50, requests: 10, window: 4s}", "release: {weights: [25%], watch: 3s}",
	}})
	traffic := rig.StartTraffic(t.Context(), s.HAProxy.Front, 20*time.Millisecond)
	defer traffic.Stop()
	s.set("app1", rig.WellOnly)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.weighs(backWithin, "app1", 25)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.entered("app1", "fails again")
	s.set("app1", rig.Serve)
	s.weighs(backWithin, "app1", 25)
	s.weighs(backWithin, "app1", 100)
	s.holdsOnly()
	s.believed("app1", 1) // its check never said anything else
}
