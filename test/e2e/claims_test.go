package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/test/rig"
)

// The same webhook a hundred times and in any order is one step; after the
// release it is none, because Alertmanager doesn't know the alert any more
// (SAFETY.md I9, I22).
func TestTheSameWebhookAHundredTimesIsOneStep(t *testing.T) {
	s := start(t, rig.Options{})
	begin := time.Now()
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	ctx, cancel := context.WithTimeout(t.Context(), outWithin)
	defer cancel()
	firing, err := s.Webhooks.Next(ctx, begin, `"member":"app1"`, `"status":"firing"`)
	s.must(err)

	s.storm(firing.Body)
	s.keeps("app1", rig.AdminDrain)
	s.orders(order("app1", "drain"))

	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.must(rig.Await(t.Context(), outWithin, "the alert to be over", s.noClaim("app1")))
	s.storm(firing.Body)
	s.keeps("app1", rig.AdminReady)
	s.orders(order("app1", "drain"), order("app1", "ready"))
	s.counts("sluice_remediation_steps_total", map[string]string{"to": "drain", "result": "applied"}, 1)
}

// storm sends the webhook a hundred times as firing and a hundred times as
// resolved, shuffled, many at once.
func (s scene) storm(firing []byte) {
	s.t.Helper()
	resolved := bytes.ReplaceAll(firing, []byte(`"status":"firing"`), []byte(`"status":"resolved"`))
	var all [][]byte
	for range 100 {
		all = append(all, firing, resolved)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	g, ctx := errgroup.WithContext(s.t.Context())
	g.SetLimit(20)
	for _, body := range all {
		g.Go(func() error {
			status, err := rig.Post(ctx, s.Remediator.URL+"/webhook", body)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("a good webhook got status %d", status)
			}
			return err
		})
	}
	s.must(g.Wait())
}

// Nothing that stands in a label becomes a command, and one bad alert neither
// stops nor triggers another (SAFETY.md I21, I24).
func TestLabelsSelectAndNeverCommand(t *testing.T) {
	s := start(t, rig.Options{})
	ctx := t.Context()
	s.must(s.Prometheus.Stop()) // the alerts here are made by hand
	good := map[string]string{"alertname": "Handmade", "device": rig.Device, "pool": rig.Pool, "remediation": "drain"}
	with := func(n int, pairs ...string) map[string]string {
		labels := map[string]string{"n": fmt.Sprint(n)}
		for k, v := range good {
			labels[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			labels[pairs[i]] = pairs[i+1]
		}
		return labels
	}
	for i, labels := range []map[string]string{
		with(1, "member", "app1;set server shop/app2 state maint"),
		with(2, "member", "app1\nset server shop/app2 state maint"),
		with(3, "member", "app1\x00"),
		with(4, "member", "<<"),
		with(5, "member", "nobody"),
		with(6, "member", "app1", "pool", "shop/app2 state maint #"),
		with(7, "member", "app1", "device", "nowhere"),
		with(8, "member", "app1", "remediation", "reboot"),
		with(9, "member", ""),
		with(10, "member", "app1"), // all right, but the member is well
		with(11, "member", "app3"), // all right, and the member is dead
	} {
		if i == 10 {
			s.set("app3", rig.Refuse)
		}
		s.must(s.Alertmanager.Say(ctx, labels, time.Now().Add(5*time.Minute)))
	}
	s.becomes(outWithin, "app3", rig.AdminDrain)
	s.keeps("app1", rig.AdminReady)
	s.keeps("app2", rig.AdminReady)
	s.orders(order("app3", "drain"))
	s.holdsOnly("app3")
	s.recordedRefusals("nobody", "nowhere", "reboot")
}

// recordedRefusals makes sure that the journal has refusals that name these.
func (s scene) recordedRefusals(names ...string) {
	s.t.Helper()
	entries, err := s.Steps(s.t.Context(), 0)
	s.must(err)
	for _, name := range names {
		found := false
		for _, e := range entries {
			text, err := json.Marshal(e)
			s.must(err)
			found = found || e.Guard != "" && bytes.Contains(text, []byte(name))
		}
		if !found {
			s.t.Errorf("no refusal in the journal names %q: %+v", name, entries)
		}
	}
}

// What is no webhook of Alertmanager's is refused by its envelope alone.
func TestBadEnvelopesAreRefused(t *testing.T) {
	s := start(t, rig.Options{})
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"not JSON":        {`{"version":`, http.StatusBadRequest},
		"another version": {`{"version":"3","alerts":[]}`, http.StatusBadRequest},
		"too big":         {`{"version":"4","alerts":[` + string(bytes.Repeat([]byte(" "), 64<<20)) + `]}`, http.StatusRequestEntityTooLarge},
		"no alerts":       {`{"version":"4","status":"firing","alerts":[]}`, http.StatusOK},
	} {
		status, err := rig.Post(t.Context(), s.Remediator.URL+"/webhook", []byte(c.body))
		if err != nil || status != c.want {
			t.Errorf("%s: status %d, error %v; want %d", name, status, err, c.want)
		}
	}
	s.orders()
}

// Somebody else's alert, which knows only an address, is mapped to the member.
func TestAnAlertThatKnowsOnlyAnAddressSelectsTheMember(t *testing.T) {
	s := start(t, rig.Options{Claims: []string{`{match: ['alertname="HostDown"'], policy: drain, address: instance}`}})
	ctx := t.Context()
	s.must(s.Prometheus.Stop()) // no MemberFailing beside it
	s.set("app2", rig.Refuse)
	s.must(s.Alertmanager.Say(ctx, map[string]string{
		"alertname": "HostDown", "instance": s.Member("app2").Address, "job": "blackbox",
	}, time.Now().Add(5*time.Minute)))
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.orders(order("app2", "drain"))
	s.set("app2", rig.Serve)
	s.keeps("app2", rig.AdminDrain) // the claim is still seen
}

// Evidence can come from Prometheus instead of a probe.
func TestPrometheusConfirms(t *testing.T) {
	s := start(t, rig.Options{Query: `min by (device, pool, member) (sluice_probe_up)`})
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
}
