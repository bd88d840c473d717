package remediator

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/audit/syslog"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/remediator/webhook"
)

// hear hands over what a webhook said of a member.
func (w *world) hear(m edge.Member, firing bool) {
	w.t.Helper()
	a := webhook.Alert{
		Result: webhook.Wanted, Firing: firing, StartsAt: time.Now().Add(-time.Minute),
		Labels: map[string]string{"device": m.Device, "pool": m.Pool, "member": m.Name, "remediation": "drain"},
	}
	if !firing {
		a.EndsAt = time.Now()
	}
	if err := w.r.Hint(w.t.Context(), webhook.Message{Alerts: []webhook.Alert{a}}); err != nil {
		w.t.Fatal(err)
	}
}

func TestI22WithoutAlertmanagersAnAuthenticatedWebhookIsTheClaim(t *testing.T) {
	_, err := New(Options{Config: &Config{Mode: Auto, Journal: filepath.Join(t.TempDir(), "j")}})
	if !errors.Is(err, ErrUnauthenticated) {
		t.Fatalf("got %v; want ErrUnauthenticated", err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.device = newDevice(s1, s2, s3)
		w.probe = &probe{device: w.device, bad: map[edge.Member]edge.Answer{s1: edge.No}}
		w.cfg = &Config{
			Mode: Auto, Journal: filepath.Join(t.TempDir(), "j"),
			Policies: []Policy{{Name: "drain", To: "drain", MinServing: "2", HoldDown: model.Duration(10 * time.Second)}},
		}
		if m := w.cfg.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
			t.Fatal(m)
		}
		w.run(Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}, Authenticated: true}, nil)
		defer func() { w.stop() }()
		w.hear(s1, true)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		w.probe.set(s1, edge.Yes)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN") // the word still stands
		w.wait(5 * time.Minute)
		w.want(s1, "") // nobody repeated it
		w.probe.set(s2, edge.No)
		w.hear(s2, true)
		w.wait(time.Second)
		w.want(s2, "FDRAIN")
		w.probe.set(s2, edge.Yes)
		w.hear(s2, false)
		w.wait(20 * time.Second)
		w.want(s2, "")
	})
}

func TestNewSettingsTakeOverWhatIsHeld(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(time.Second)
		next := *w.cfg
		next.Policies = append([]Policy(nil), w.cfg.Policies...)
		next.Policies[0].HoldDown = model.Duration(time.Minute)
		o := Options{Config: &next, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}
		if err := w.r.Apply(o); err != nil {
			t.Fatal(err)
		}
		w.recover(s1)
		w.wait(40 * time.Second)
		w.want(s1, "FDRAIN")
		w.wait(40 * time.Second)
		w.want(s1, "")
		next.Journal = "elsewhere.db"
		if err := w.r.Apply(o); err == nil {
			t.Error("the journal moved while it was open")
		}
	})
}

// I23: what is opened at the start isn't followed, and who changes it hears so.
func TestI23WhatIsOpenedAtTheStartIsNotChangedInSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"another file":      {func(c *Config) { c.Audit.File = "elsewhere.jsonl" }, "remediation.audit: isn't changed while running: restart for that"},
		"a copy to syslog":  {func(c *Config) { c.Audit.Syslog = &syslog.Config{Address: "udp://192.0.2.5:514"} }, "remediation.audit: isn't changed while running: restart for that"},
		"nothing of it":     {func(c *Config) { c.Poll = model.Duration(time.Minute) }, ""},
		"no section before": {func(c *Config) { c.manual = true }, "remediation: the section came or went: restart for that"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.again(func(o *Options) { o.Audit = new(stream) }, nil)
				next := *w.cfg
				tt.change(&next)
				err := w.r.Apply(Options{Config: &next, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}})
				if got := fmt.Sprint(err); err != nil && got != tt.want || err == nil && tt.want != "" {
					t.Errorf("got %v; want %q", err, tt.want)
				}
			})
		})
	}
}

// I23: that something is trusted more than before is somebody's decision.
func TestAPromotionIsARecord(t *testing.T) {
	inWorld(t, func(c *Config) { c.Mode = DryRun }, func(w *world) {
		next := *w.cfg
		next.Mode = Auto
		next.Policies = append([]Policy(nil), w.cfg.Policies...)
		next.Policies[0].Mode = Approve
		more := next.Policies[0]
		more.Members.Pool, more.Mode = "api", Auto
		next.Policies = append(next.Policies, more)
		for range 2 {
			if err := w.r.Apply(Options{Config: &next, ConfigHash: "abc", Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := w.r.journal.Entries(journal.Query{Event: "mode"})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, e := range entries {
			said = append(said, e.Config+": "+e.Detail)
		}
		want := []string{
			"abc: the ceiling for all policies is auto, it was dry_run",
			"abc: the policy for drain on .*/shop/.* is in mode approve, it was in dry_run",
			"abc: a new policy for drain on .*/api/.*, in mode auto",
		}
		if d := cmp.Diff(want, said); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestI19AJournalThatCannotBeReadMeansFrozen(t *testing.T) {
	path := t.TempDir() // what can't even be looked at isn't set aside
	c := &Config{Mode: Auto, Journal: path, Alertmanagers: []Source{{URL: "http://192.0.2.1:9093"}}}
	if m := c.Validate(nil, nil); len(m) > 0 {
		t.Fatal(m)
	}
	r, err := New(Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if r.Status().Frozen == "" {
		t.Error("not frozen")
	}
	if err := r.Hint(t.Context(), webhook.Message{}); err == nil {
		t.Error("a hint was taken that nothing can keep")
	}
}

// I2
func TestWithoutASectionNothingIsDone(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if st := r.Status(); st.Mode != "" || st.Frozen == "" {
		t.Errorf("%+v", st)
	}
	if _, err := r.Explain(t.Context(), map[string]string{"remediation": "drain"}); err == nil {
		t.Error("it explains what it can't decide")
	}
}
