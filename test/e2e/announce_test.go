package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/rig"
)

// announced are the keys by which a test need not wait for minutes.
func announced(more ...string) []string {
	return append([]string{"announce: {repeat: 1s, refused_for: 2s}"}, more...)
}

// tells waits until Alertmanager has an alert of ours on a member, and returns it.
func (s scene) tells(name, member string) (found rig.Alert) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, "Alertmanager to have "+name+" on "+member, func(ctx context.Context) error {
		alerts, err := s.Alertmanager.Alerts(ctx)
		if err != nil {
			return err
		}
		for _, a := range alerts {
			if a.Labels["alertname"] == name && a.Labels["member"] == member {
				found = a
				return nil
			}
		}
		return fmt.Errorf("it has %d others", len(alerts))
	}))
	return found
}

// tellsNot waits until Alertmanager has no such alert.
func (s scene) tellsNot(name, member string) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), backWithin, "Alertmanager to have no "+name+" on "+member, func(ctx context.Context) error {
		alerts, err := s.Alertmanager.Alerts(ctx)
		for _, a := range alerts {
			if a.Labels["alertname"] == name && a.Labels["member"] == member {
				return fmt.Errorf("it has one until %s", a.EndsAt)
			}
		}
		return err
	}))
}

// A step is told by Alertmanager for as long as it stands, whoever restarts meanwhile.
func TestAStepIsAnnouncedUntilItIsGivenBack(t *testing.T) {
	s := start(t, rig.Options{Section: announced()})
	ctx := t.Context()
	s.set("app2", rig.Refuse)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	told := s.tells("SluiceStep", "app2")
	want := map[string]string{
		"alertname": "SluiceStep", "severity": "info", "announced_by": "sluice", "policy": "drain", "to": "drain",
		"device": rig.Device, "pool": rig.Pool, "member": "app2",
	}
	if diff := cmp.Diff(want, told.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	link := fmt.Sprintf("%s/console/member?device=%s&member=app2&pool=%s", s.Remediator.URL, rig.Device, rig.Pool)
	if told.GeneratorURL != link || told.Annotations["console_url"] != link {
		t.Errorf("links to %s and %s, want %s", told.GeneratorURL, told.Annotations["console_url"], link)
	}
	if status, page, err := rig.Do(ctx, http.MethodGet, link, nil); err != nil || status != http.StatusOK || !strings.Contains(string(page), "app2") {
		t.Errorf("the link leads to status %d, %v", status, err)
	}
	command := fmt.Sprintf(`sluice explain --labels 'remediation="drain",device=%q,pool=%q,member="app2"'`, rig.Device, rig.Pool)
	if told.Annotations["command"] != command || !strings.Contains(told.Annotations["description"], "min_serving") {
		t.Errorf("annotations %q", told.Annotations)
	}

	s.must(s.Remediator.Stop())
	s.must(s.Remediator.Start(ctx))
	s.counts("sluice_remediation_announced", map[string]string{"alert": "SluiceStep"}, 1)
	s.awaitMetric("sluice_remediation_announcements_total", map[string]string{"result": "taken"}, "to count", func(n float64) bool { return n > 0 })
	if again := s.tells("SluiceStep", "app2"); !again.StartsAt.Equal(told.StartsAt) {
		t.Errorf("after a restart it began at %s, before at %s", again.StartsAt, told.StartsAt)
	}
	s.must(s.Alertmanager.Restart(ctx))
	if again := s.tells("SluiceStep", "app2"); again.StartsAt.Sub(told.StartsAt).Abs() > time.Second {
		t.Errorf("an Alertmanager that was empty has it from %s, the other from %s", again.StartsAt, told.StartsAt)
	}
	s.set("app2", rig.Serve)
	s.becomes(backWithin, "app2", rig.AdminReady)
	s.tellsNot("SluiceStep", "app2")
}

// A refusal is told when it has lasted, and our own alert claims nothing even where
// somebody's matchers select it.
func TestARefusalIsAnnouncedAndClaimsNothing(t *testing.T) {
	s := start(t, rig.Options{
		MinServing: "3", Section: announced(),
		Claims: []string{`{match: ['alertname="SluiceRefused"'], policy: drain}`},
	})
	ctx := t.Context()
	s.set("app1", rig.Refuse)
	told := s.tells("SluiceRefused", "app1")
	if told.Labels["guard"] != "min_serving" || told.Labels["reason"] == "" || told.Labels["severity"] != "warning" {
		t.Errorf("labels %q", told.Labels)
	}
	if d := told.Annotations["description"]; !strings.Contains(d, "min_serving") || !strings.Contains(d, "probe:") {
		t.Errorf("description: %s", d)
	}
	claims := func(want float64) {
		t.Helper()
		s.counts("sluice_remediation_claims", nil, want)
	}
	claims(1) // MemberFailing's alone

	theirs := map[string]string{}
	for n, v := range told.Labels {
		if n != edge.LabelAnnouncedBy {
			theirs[n] = v
		}
	}
	s.must(s.Alertmanager.Say(ctx, theirs, time.Now().Add(4*time.Second)))
	claims(2) // the matcher does select; and when it has ended:
	claims(1)

	body := fmt.Appendf(nil, `{"version":"4","status":"firing","receiver":"x","groupKey":"x","alerts":[{"status":"firing","labels":{"alertname":"SluiceRefused","announced_by":"sluice","remediation":"drain","device":%q,"pool":%q,"member":"app2"},"startsAt":"2026-01-01T00:00:00Z"}]}`, rig.Device, rig.Pool)
	ignored, _, err := rig.Value(ctx, s.Remediator.URL, "sluice_remediation_webhook_alerts_total", map[string]string{"result": "ignored"})
	s.must(err)
	if status, err := rig.Post(ctx, s.Remediator.URL+"/webhook", body); err != nil || status != http.StatusOK {
		t.Errorf("webhook: status %d, %v", status, err)
	}
	s.counts("sluice_remediation_webhook_alerts_total", map[string]string{"result": "ignored"}, ignored+1)

	s.orders()
	s.must(s.Edit(ctx, "min_serving: 3", "min_serving: 2")) // a reload is no end of what was begun before it
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.tellsNot("SluiceRefused", "app1")
	s.tells("SluiceStep", "app1")
}

// A step that waits for a person is told at once, by a link to where the word is given.
func TestAWaitingApprovalIsAnnounced(t *testing.T) {
	s := start(t, rig.Options{Mode: "approve", Section: announced()})
	ctx := t.Context()
	s.set("app3", rig.Refuse)
	told := s.tells("SluiceApprovalWaits", "app3")
	page, _, _ := strings.Cut(told.GeneratorURL, "#")
	if status, text, err := rig.Do(ctx, http.MethodGet, page, nil); err != nil || status != http.StatusOK || !strings.Contains(string(text), `value="approve"`) {
		t.Errorf("the link %s leads to status %d, %v", told.GeneratorURL, status, err)
	}
	path := fmt.Sprintf("%s/api/v1/approvals/%s/%s/app3", s.Remediator.URL, rig.Device, rig.Pool)
	if status, err := rig.Post(ctx, path, []byte(`{"approve":true,"reason":"seen"}`)); err != nil || status != http.StatusOK {
		t.Fatalf("approve: status %d, %v", status, err)
	}
	s.becomes(outWithin, "app3", rig.AdminDrain)
	s.tellsNot("SluiceApprovalWaits", "app3")
	s.tells("SluiceStep", "app3")
}
