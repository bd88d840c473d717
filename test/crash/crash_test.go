// Package crash ends the real program where it hurts: at every failpoint, with
// HAProxy restarted under it, stopped for too long, on a disk that takes nothing
// more. What is left behind is read by HAProxy's own word and from the journal's
// file; then the program is started again and has to get it right.
package crash

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/crash/scene"
	"github.com/sluice-project/sluice/test/rig"
)

const (
	soon     = 30 * time.Second // what takes a second or two, six after a step that failed
	stays    = 3 * time.Second  // long enough for two more rounds and a hold-down
	victim   = "app1"
	weight   = 7   // what a person had given the victim: part of what is to be given back
	parallel = "6" // a scene waits most of its time
)

const (
	drained = "shop/app1 state drain"
	readied = "shop/app1 state ready"
)

var sluice string // the program under test, with failpoints

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if err := flag.Set("test.parallel", parallel); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "sluice-crash-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	root, err := rig.Root()
	if err != nil {
		return 1, err
	}
	sluice = filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-tags", "failpoints", "-o", sluice, "./cmd/sluice")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build: %w: %s", err, text)
	}
	return m.Run(), nil
}

// A stage is a scene in one test.
type stage struct {
	*scene.Scene
	t *testing.T
}

// begin starts members and HAProxy; the remediator is each test's own affair.
func begin(t *testing.T) stage {
	t.Helper()
	t.Parallel()
	sc, err := scene.Start(t.Context(), scene.Options{Sluice: sluice})
	if err != nil {
		t.Fatal(err)
	}
	s := stage{sc, t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("orders: %q; what the parts wrote last:\n%s", s.Wire.Orders(), s.Logs(60))
		}
		if err := s.Stop(); err != nil {
			t.Errorf("end the scene: %v", err)
		}
	})
	s.must(s.Order(t.Context(), fmt.Sprintf("set server shop/%s weight %d", victim, weight)))
	return s
}

func (s stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// run starts the remediator, with a failpoint if one is named.
func (s stage) run(failpoint string) {
	s.t.Helper()
	var env []string
	if failpoint != "" {
		env = []string{"SLUICE_FAILPOINT=" + failpoint}
	}
	s.must(s.Run(s.t.Context(), env...))
}

func (s stage) set(b rig.Behaviour) {
	s.t.Helper()
	s.must(s.Member(victim).Set(b))
}

// sicken lets the victim fail and be claimed. An answer isn't asked for: the
// remediator may be ended before it gives one.
func (s stage) sicken() {
	s.t.Helper()
	s.set(rig.Refuse)
	s.tell(true)
}

// heal is the opposite of sicken.
func (s stage) heal() {
	s.t.Helper()
	s.set(rig.Serve)
	s.tell(false)
}

func (s stage) tell(firing bool) {
	if err := s.Say(s.t.Context(), firing, victim); err != nil {
		s.t.Logf("webhook: %v", err)
	}
}

// dies waits until the remediator has killed itself at its failpoint.
func (s stage) dies() {
	s.t.Helper()
	select {
	case <-s.Remediator.Done():
	case <-time.After(soon):
		s.t.Fatal("the failpoint was never passed")
	}
	if !s.Remediator.Killed() {
		s.t.Fatal("the remediator ended, but not at its failpoint")
	}
}

// stops waits until the remediator has stopped itself at its failpoint.
func (s stage) stops() {
	s.t.Helper()
	s.await("the remediator to stop at its failpoint", func(context.Context) error {
		if !s.Remediator.Running() {
			s.t.Fatal("the remediator ended at its failpoint")
		}
		if !s.Remediator.Stopped() {
			return fmt.Errorf("it runs")
		}
		return nil
	})
}

func (s stage) await(what string, check func(context.Context) error) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), soon, what, check))
}

// becomes waits until HAProxy has the victim in that state.
func (s stage) becomes(admin int) {
	s.t.Helper()
	s.await(fmt.Sprintf("HAProxy to have %s in admin state %#02x", victim, admin), s.Want(victim, admin))
}

func (s stage) keeps(admin int) {
	s.t.Helper()
	s.must(rig.Holds(s.t.Context(), stays, s.Want(victim, admin)))
}

// is makes sure that HAProxy has the victim in that state now.
func (s stage) is(admin int) {
	s.t.Helper()
	s.must(s.Want(victim, admin)(s.t.Context()))
}

// phase waits until the victim's hold is in that phase; empty: it has none.
func (s stage) phase(want journal.Phase) journal.Hold {
	s.t.Helper()
	var found journal.Hold
	s.await(fmt.Sprintf("the hold to be in phase %q", want), func(ctx context.Context) error {
		holds, err := s.Holds(ctx)
		if err != nil {
			return err
		}
		found = journal.Hold{}
		for _, h := range holds {
			found = h
		}
		if found.Phase != want || len(holds) > 1 {
			return fmt.Errorf("it is %q, of %d holds", found.Phase, len(holds))
		}
		return nil
	})
	return found
}

// left is what a dead remediator left: the journal's word on the victim, and
// HAProxy's. What HAProxy has otherwise than it was is explained by a hold, with
// what it was before (SAFETY.md I8, I11).
func (s stage) left(phase journal.Phase, admin int) {
	s.t.Helper()
	s.is(admin)
	holds, _ := s.read()
	if len(holds) > 1 || len(holds) == 1 != (phase != "") {
		s.t.Fatalf("the journal has %d holds, want phase %q: %+v", len(holds), phase, holds)
	}
	for _, h := range holds {
		if h.Phase != phase || h.Member != member() || h.Preimage.Admin != edge.Ready || h.Intent.IsZero() {
			s.t.Errorf("the hold that explains it is in phase %q, want %q, with its preimage: %+v", h.Phase, phase, h)
		}
	}
	if admin != rig.AdminReady && phase == "" {
		s.t.Error("HAProxy was changed, and the journal doesn't say why")
	}
}

func member() edge.Member { return edge.Member{Device: scene.Device, Pool: scene.Pool, Name: victim} }

// read opens the journal that no remediator has now.
func (s stage) read() ([]journal.Hold, []journal.Entry) {
	s.t.Helper()
	j, err := journal.OpenReadOnly(s.Journal(), time.Second)
	s.must(err)
	defer j.Close()
	if p := j.Problems(); len(p) > 0 {
		s.t.Errorf("the journal has what the state machine hasn't: %q", p)
	}
	holds, err := j.Holds()
	s.must(err)
	entries, err := j.Entries(journal.Query{})
	s.must(err)
	return holds, entries
}

// over makes sure of what settles does, and that there was one step out and one
// back, by the journal's file and by what the API shows of it.
func (s stage) over(orders ...string) {
	s.t.Helper()
	shown, kept := s.settles(orders...)
	for by, entries := range map[string][]journal.Entry{"the API": shown, "the journal": kept} {
		if applied := appliedTo(entries); !slices.Equal(applied, []string{"drain", "ready"}) {
			s.t.Errorf("applied by %s: %q", by, applied)
		}
	}
}

// settles ends the remediator and makes sure that nothing is left of it all: the
// victim is as it was, weight included, nothing is held or orphaned, and HAProxy
// was told exactly these things. It returns what the API showed before the end,
// and what the journal's file holds after it.
func (s stage) settles(orders ...string) (shown, kept []journal.Entry) {
	s.t.Helper()
	s.becomes(rig.AdminReady)
	s.phase("")
	s.keeps(rig.AdminReady)
	srv, err := s.Server(s.t.Context(), victim)
	s.must(err)
	if want := (rig.Server{Op: 2, Admin: rig.AdminReady, Weight: weight}); srv != want {
		s.t.Errorf("given back as %+v, was %+v", srv, want)
	}
	if diff := cmp.Diff(orders, s.Wire.Orders()); diff != "" {
		s.t.Errorf("orders to HAProxy (-want +got):\n%s", diff)
	}
	shown, err = s.Steps(s.t.Context())
	s.must(err)
	s.must(s.Remediator.Stop())
	holds, entries := s.read()
	if len(holds) > 0 {
		s.t.Errorf("still held: %+v", holds)
	}
	for _, e := range entries {
		if e.To == journal.Orphaned || e.To == journal.Superseded {
			s.t.Errorf("nobody else touched it, and yet: %+v", e)
		}
	}
	return shown, entries
}

func appliedTo(entries []journal.Entry) (to []string) {
	for _, e := range entries {
		if e.Event == "step" && e.Result == "applied" {
			to = append(to, e.Admin)
		}
	}
	return to
}

// says makes sure that a step's record has that result and detail.
func (s stage) says(result, detail string) {
	s.t.Helper()
	s.await(fmt.Sprintf("a record of a step that is %s: %s", result, detail), func(ctx context.Context) error {
		entries, err := s.Steps(ctx)
		for _, e := range entries {
			if e.Result == result && strings.Contains(e.Detail, detail) {
				return nil
			}
		}
		return fmt.Errorf("none in %d: %w", len(entries), err)
	})
}
