package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// follower is the member of the second pool that follows app1 of the first.
var follower = edge.Member{Device: rig.Device, Pool: rig.Second, Name: "app1"}

// second is a policy on the second pool, with further keys. That a member follows
// one of another pool doesn't bring it under that one's policy.
func second(minServing int, keys ...string) string {
	all := append([]string{
		"name: drain", "to: drain", fmt.Sprintf("members: {device: %s, pool: %s}", rig.Device, rig.Second), fmt.Sprintf("min_serving: %d", minServing),
	}, keys...)
	return "{" + strings.Join(all, ", ") + "}"
}

// A server that tracks another one moves with it: the step is judged in both
// pools, and what follows is never acted on by itself (SAFETY.md I1, I3).
func TestAServerAndWhatFollowsItAreOneStep(t *testing.T) {
	other := "{name: other, to: drain, members: {device: " + rig.Device + ", pool: " + rig.Second + "}, min_serving: 1}"
	s := start(t, rig.Options{
		Second: true, Policies: []string{other},
		Claims: []string{`{match: ['alertname="HostDown"'], policy: drain, address: instance}`},
	})
	ctx := t.Context()
	s.set("app1", rig.Fail)
	if e := s.refused("inventory", "app1"); e.Reason != "along" {
		t.Errorf("without a policy for the follower's pool: refused for %s, want along", e.Reason)
	}
	s.must(s.Edit(ctx, other, second(3)))
	if e := s.refused("min_serving", "app1"); e.Reason != "too_few_left" {
		t.Errorf("the follower's pool can't spare it: refused for %s, want too_few_left", e.Reason)
	}
	s.must(s.Prometheus.Stop()) // the claims that follow are made by hand
	s.must(s.Alertmanager.Say(ctx, map[string]string{
		"alertname": "Handmade", "device": rig.Device, "pool": rig.Second, "member": "app1", "remediation": "drain",
	}, time.Now().Add(5*time.Minute)))
	if e := s.refusedMember(follower, "inventory"); e.Reason != "tracking" {
		t.Errorf("a claim on the follower: refused for %s, want tracking", e.Reason)
	}
	s.orders()

	host := map[string]string{"alertname": "HostDown", "instance": s.Member("app1").Address}
	s.must(s.Alertmanager.Say(ctx, host, time.Now().Add(5*time.Minute)))
	s.must(s.Edit(ctx, second(3), second(1)))
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.follows(rig.AdminInherited)
	s.holdsOnly("app1")
	s.orders(order("app1", "drain"))
	s.oneRemediation()

	s.set("app1", rig.Serve)
	s.must(s.Alertmanager.Restart(ctx)) // and so every claim is over
	s.becomes(time.Minute, "app1", rig.AdminReady)
	s.follows(rig.AdminReady)
	s.holdsOnly()
	s.orders(order("app1", "drain"), order("app1", "ready"))
}

// What follows is moved only when the policy of its own pool agrees: one that only
// looks on, has closed or waits for a word isn't passed by.
func TestThePolicyOfWhatFollowsIsAskedToo(t *testing.T) {
	// A day that neither has begun nor begins while this runs, in no zone.
	other := strings.ToLower(time.Now().UTC().Add(-48 * time.Hour).Weekday().String()[:3])
	looks, closed, waits := second(1, "mode: observe"), second(1, "active_hours: [{days: ["+other+"]}]"), second(1, "mode: approve")
	s := start(t, rig.Options{Second: true, Policies: []string{looks}})
	s.set("app1", rig.Fail)
	s.counts("sluice_remediation_steps_total", map[string]string{"pool": rig.Pool, "result": "observed"}, 1)
	s.must(s.Edit(t.Context(), looks, closed))
	s.refused("hours", "app1")
	s.must(s.Edit(t.Context(), closed, waits))
	s.awaits("app1")
	s.follows(rig.AdminReady)
	s.orders()
	s.approve("app1")
	s.follows(rig.AdminInherited)
	s.orders(order("app1", "drain"))
}

// follows waits until HAProxy shows the follower so.
func (s scene) follows(admin int) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, "what follows app1 to move with it", s.HAProxy.WantIn(follower.Pool, follower.Name, admin)))
}

// refusedMember waits for the record that the guard refused a step on any member.
func (s scene) refusedMember(m edge.Member, guard string) (found journal.Entry) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, fmt.Sprintf("a record that guard %s refused %s", guard, m), func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Guard == guard && e.Member != nil && *e.Member == m {
				found = e
				return nil
			}
		}
		return fmt.Errorf("none in %d entries", len(entries))
	}))
	return found
}

// oneRemediation makes sure that one member was taken out, and that the journal
// says which one went along.
func (s scene) oneRemediation() {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, "the record of one step", func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err != nil {
			return err
		}
		var taken []journal.Entry
		for _, e := range entries {
			if e.To == journal.Applied {
				taken = append(taken, e)
			}
		}
		switch {
		case len(taken) != 1:
			return fmt.Errorf("%d steps were taken: %+v", len(taken), taken)
		case len(taken[0].Along) != 1 || taken[0].Along[0] != follower:
			return fmt.Errorf("along with it went %v", taken[0].Along)
		case taken[0].Remediation == "":
			return errors.New("the step belongs to no remediation")
		}
		return nil
	}))
}
