package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/rig"
)

func onWAFPro(pool, address string) edge.Member {
	return edge.Member{Device: rig.WAFProDevice, Pool: pool, Name: address}
}

// A backend of a PTAF PRO stands in two traffic profiles: it is claimed in both,
// and one step, one hold takes it out of both (SAFETY.md I9).
func TestABackendInTwoTrafficProfilesIsOneStep(t *testing.T) {
	s := start(t, rig.Options{WAFPro: true})
	app2 := s.Member("app2")
	s.set("app2", rig.Hang)
	s.must(rig.Await(t.Context(), outWithin, "the backend to be out", s.WAFPro.WantEnabled(app2, false)))
	s.must(rig.Await(t.Context(), outWithin, "one hold that names both profiles", func(ctx context.Context) error {
		holds, err := s.Holds(ctx)
		if err != nil {
			return err
		}
		n := 0
		for _, h := range holds {
			if h.Member.Device != rig.WAFProDevice {
				continue
			}
			n++
			if !h.Holds(onWAFPro(rig.WAFProProfile, app2.Address)) || !h.Holds(onWAFPro(rig.WAFProOther, app2.Address)) {
				return fmt.Errorf("it holds %v and %v", h.Member, h.Along)
			}
		}
		if n != 1 {
			return fmt.Errorf("%d holds on the PTAF PRO", n)
		}
		return nil
	}))
	s.set("app2", rig.Serve)
	s.must(rig.Await(t.Context(), backWithin, "the backend to be back", s.WAFPro.WantEnabled(app2, true)))
	s.becomes(backWithin, "app2", rig.AdminReady)
	s.holdsOnly()
}

// A PTAF PRO that doesn't let its backends be switched is told of, and left
// alone; the other devices are served as before.
func TestAPTAFPROThatCanNotBeWrittenIsToldOf(t *testing.T) {
	s := start(t, rig.Options{WAFPro: true, ReadOnly: true})
	s.counts("sluice_remediation_device_read_only", map[string]string{"device": rig.WAFProDevice}, 1)
	before := len(s.WAFPro.Writes())
	s.set("app2", rig.Refuse)
	s.becomes(outWithin, "app2", rig.AdminDrain)
	s.must(rig.Await(t.Context(), outWithin, "a refusal that says why", func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		for _, e := range entries {
			if e.Reason == "read_only" && e.Member != nil && e.Member.Device == rig.WAFProDevice {
				return nil
			}
		}
		if err == nil {
			err = fmt.Errorf("none in %d entries", len(entries))
		}
		return err
	}))
	if n := len(s.WAFPro.Writes()); n != before {
		t.Errorf("%d writes after it was known that none is possible", n-before)
	}
}

// The way round a PTAF PRO: a standby backend in, and the application PASSIVE;
// back when members serve again, and at the time limit.
func TestABypassOnPTAFPRO(t *testing.T) {
	policy := func(limit string) string {
		return fmt.Sprintf(`{name: bypass, to: bypass, members: {device: %s}, hold_down: 1s, max_hold: %s, bypass: {standby: ['{{.StandbyAddress}}'], passive: [%s]}}`,
			rig.WAFProDevice, limit, rig.WAFProApplication)
	}
	t.Run("ends when members serve again", func(t *testing.T) {
		s := start(t, rig.Options{WAFPro: true, Standby: true, Policies: []string{policy("10m")}})
		s.failAll(rig.WAFProDevice, rig.WAFProProfile)
		s.must(rig.Await(t.Context(), outWithin, "the standby to be in", s.WAFPro.WantEnabled(s.Standby, true)))
		s.must(rig.Await(t.Context(), outWithin, "no protection", s.WAFPro.WantMode("PASSIVE")))
		s.recoverAll(rig.WAFProDevice, rig.WAFProProfile)
		s.must(rig.Await(t.Context(), backWithin, "the standby to be out again", s.WAFPro.WantEnabled(s.Standby, false)))
		s.must(rig.Await(t.Context(), backWithin, "protection again", s.WAFPro.WantMode("ACTIVE_PREVENTION")))
		s.holdsOnly()
	})
	t.Run("ends at its time limit", func(t *testing.T) {
		s := start(t, rig.Options{WAFPro: true, Standby: true, Policies: []string{policy("5s")}})
		s.failAll(rig.WAFProDevice, rig.WAFProProfile)
		s.must(rig.Await(t.Context(), outWithin, "no protection", s.WAFPro.WantMode("PASSIVE")))
		s.must(rig.Await(t.Context(), backWithin, "protection again", s.WAFPro.WantMode("ACTIVE_PREVENTION")))
		s.must(rig.Await(t.Context(), backWithin, "the standby to be out again", s.WAFPro.WantEnabled(s.Standby, false)))
		s.must(rig.Holds(t.Context(), stays, s.WAFPro.WantMode("ACTIVE_PREVENTION")))
	})
}

// A session that the device has ended is begun anew, with the password, once.
func TestAnExpiredSessionIsNoOutage(t *testing.T) {
	s := start(t, rig.Options{WAFPro: true})
	s.WAFPro.Expire()
	app1 := s.Member("app1")
	s.set("app1", rig.Refuse)
	s.must(rig.Await(t.Context(), outWithin, "the backend to be out", s.WAFPro.WantEnabled(app1, false)))
	if n := s.WAFPro.Logins(); n > 4 { // exporter and remediator: each logs in, and may have to once more
		t.Errorf("%d log-ins", n)
	}
	s.must(rig.Await(t.Context(), 10*time.Second, "the exporter to see it", func(ctx context.Context) error {
		got, _, err := rig.Value(ctx, s.Exporter.URL, "sluice_device_up", map[string]string{"device": rig.WAFProDevice})
		if err == nil && got != 1 {
			err = fmt.Errorf("sluice_device_up is %v", got)
		}
		return err
	}))
}
