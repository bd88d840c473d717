package replicas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/test/rig"
)

// tells waits until n announcements have come, and returns them.
func (s *scene) tells(n int) (out []announcement) {
	s.t.Helper()
	s.all[0].await(fmt.Sprintf("%d announcements", n), func(context.Context) error {
		s.claimed.mu.Lock()
		defer s.claimed.mu.Unlock()
		if out = slices.Clone(s.claimed.told); len(out) < n {
			return fmt.Errorf("%d so far", len(out))
		}
		return nil
	})
	return out
}

// Of two replicas the leader tells people. When it falls the other goes on before what
// was said ends by itself, with the same labels and beginning.
func TestOneReplicaTellsPeople(t *testing.T) { // I16, I26
	s := newScene(t, 4)
	first, second := s.leader()
	s.claimed.add("s1")
	s.drained("s1")
	said := s.tells(1)[0]
	if said.Labels["alertname"] != "SluiceStep" || said.Labels["member"] != "s1" {
		t.Errorf("it said %v", said)
	}
	posted := func(ctx context.Context) (float64, error) {
		n, _, err := rig.Value(ctx, second.url, "sluice_remediation_announcements_total", map[string]string{"result": "taken"})
		return n, err
	}
	if n, err := posted(t.Context()); err != nil || n != 0 {
		t.Errorf("the standby posted %v (%v)", n, err)
	}
	before := len(s.tells(1))
	first.end(syscall.SIGKILL)
	all := s.tells(before + 1)
	next := all[before]
	if diff := cmp.Diff(said.Labels, next.Labels); diff != "" {
		t.Errorf("the other says it by other labels (-want +got):\n%s", diff)
	}
	if !next.StartsAt.Equal(said.StartsAt) || !next.At.Before(said.EndsAt) {
		t.Errorf("the first said %v, the second %v", said, next)
	}
	for _, a := range all {
		if !a.EndsAt.After(a.At) {
			t.Errorf("an end was told: %v", a)
		}
	}
	second.await("to have said it", func(ctx context.Context) error { // it counts when it has the answer
		n, err := posted(ctx)
		if err == nil && n == 0 {
			err = errors.New("somebody else did")
		}
		return err
	})
	first.start() // as the clean-up ends it
}
