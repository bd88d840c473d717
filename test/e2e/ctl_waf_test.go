package e2e

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/test/rig"
)

// ctl runs "sluice ctl" and wants it to end with a code.
func (s scene) ctl(code int, args ...string) (out, errs string) {
	s.t.Helper()
	var o, e strings.Builder
	cmd := exec.CommandContext(s.t.Context(), sluice, append([]string{"ctl"}, args...)...)
	cmd.Env = append(os.Environ(), "SLUICE_REMEDIATOR_URL="+s.Remediator.URL, "SHELL=/bin/sh")
	cmd.Stdout, cmd.Stderr = &o, &e
	exit := (*exec.ExitError)(nil)
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("sluice ctl %q ends with %d, want %d\n%s%s", args, got, code, &o, &e)
	}
	return o.String(), e.String()
}

// A PTAF knows on and off, and neither sessions nor weights: what people type says
// so, or does what can be done, and leaves nothing else changed (SAFETY.md I8, I23).
func TestPeopleSteerAPTAFByCtl(t *testing.T) {
	s := start(t, rig.Options{WAF: true, MinServing: "50%"})
	before := s.object()
	pool := rig.WAFDevice + "/" + rig.WAFUpstream
	m := pool + "/" + s.Members[0].Address

	out, _ := s.ctl(ctl.ExitDone, "members", pool)
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 1+len(s.Members) || !strings.Contains(lines[1], " ready ") || !strings.Contains(lines[1], " serving ") {
		t.Errorf("members:\n%s", out)
	}
	out, _ = s.ctl(ctl.ExitDone, "drain", m, "--reason", "a new disk")
	if out != m+": applied: drain, was ready\n" {
		t.Errorf("drain: %q", out)
	}
	s.downs(5*time.Second, s.Members[0].Name)
	s.ctl(ctl.ExitDone, "wait", m, "--state", "drain", "--timeout", "10s")
	if _, errs := s.ctl(ctl.ExitError, "wait", m, "--sessions", "0", "--timeout", "10s"); !strings.Contains(errs, "doesn't tell how many sessions") {
		t.Errorf("wait for sessions: %s", errs)
	}
	if _, errs := s.ctl(ctl.ExitError, "weight", m, "50%"); !strings.Contains(errs, "weight") || strings.Count(errs, "\n") != 1 {
		t.Errorf("weight: %s", errs)
	}
	if _, errs := s.ctl(ctl.ExitRefused, "maint", pool+"/"+s.Members[1].Address); !strings.Contains(errs, "min_serving") {
		t.Errorf("a guard's no: %s", errs)
	}
	out, _ = s.ctl(ctl.ExitDone, "members", m)
	if !strings.Contains(out, " not serving ") || !strings.Contains(out, "a new disk") {
		t.Errorf("a member that is out:\n%s", out)
	}
	out, _ = s.ctl(ctl.ExitDone, "steps", pool)
	if !strings.Contains(out, "a new disk") || !strings.Contains(out, " "+pool+"  ") || strings.Contains(out, pool+"/ ") {
		t.Errorf("steps:\n%s", out)
	}

	if _, errs := s.ctl(ctl.ExitError, "rolling-restart", pool, "--settle", "10ms", "--", "true"); !strings.Contains(errs, "out of service already: "+m) {
		t.Errorf("a rolling restart with a member that is out: %s", errs)
	}
	s.ctl(ctl.ExitDone, "ready", m, "--reason", "the disk is in")
	s.ctl(ctl.ExitDone, "wait", m, "--serving", "--timeout", "10s")
	s.downs(5 * time.Second)
	if _, errs := s.ctl(ctl.ExitError, "rolling-restart", pool, "--", "true"); !strings.Contains(errs, "--settle") {
		t.Errorf("a rolling restart without a time: %s", errs)
	}

	begun := time.Now()
	clients := rig.StartTraffic(t.Context(), s.WAF.Front, 20*time.Millisecond)
	defer clients.Stop()
	out, progress := s.ctl(ctl.ExitDone, "rolling-restart", pool, "--settle", "100ms", "--timeout", "20s", "--", `echo "at $SLUICE_ADDRESS"`)
	var at, want []string
	for line := range strings.Lines(out) {
		if rest, is := strings.CutPrefix(line, "at "); is {
			at = append(at, strings.TrimSpace(rest))
		}
	}
	for _, one := range s.Members {
		want = append(want, one.Address)
	}
	slices.Sort(at)
	slices.Sort(want)
	if d := cmp.Diff(want, at); d != "" {
		t.Errorf("restarted:\n%s\n%s", d, progress)
	}
	s.downs(5 * time.Second)
	s.trafficIsClean(clients, begun)
	if d := cmp.Diff(before, s.object()); d != "" {
		t.Errorf("the object isn't as it was, byte for byte:\n%s", d)
	}
	s.holdsOnly()
}
