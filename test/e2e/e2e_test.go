// Package e2e runs the closed loop on real parts: HAProxy, Prometheus and
// Alertmanager as Debian ships them, and the program as it is built. Each test
// has a loop of its own and asks HAProxy itself what became of it.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

const (
	outWithin  = 30 * time.Second // kill to drained; about two seconds on an idle machine
	backWithin = 30 * time.Second // good again to ready
	stays      = 6 * time.Second  // long enough for every wrong release: hold-down, two probes, two polls

	poll     = 2 * time.Second
	parallel = "4" // a scenario waits most of its time
)

var sluice string // the program under test

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if err := flag.Set("test.parallel", parallel); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if sluice, err = rig.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// A scene is a loop in one test.
type scene struct {
	*rig.Rig
	t *testing.T
}

// start starts a loop that ends with the test, and waits until it is closed.
func start(t *testing.T, o rig.Options) scene {
	t.Helper()
	t.Parallel()
	o.Sluice, o.Wire, o.Poll, o.LogLevel = sluice, true, poll, "debug"
	r, err := rig.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := scene{r, t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the parts wrote last:\n%s", r.Logs(40))
		}
		if err := r.Stop(); err != nil {
			t.Errorf("end the loop: %v", err)
		}
	})
	s.must(r.Settle(t.Context()))
	return s
}

func (s scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// set makes a member behave like that from now on.
func (s scene) set(member string, b rig.Behaviour) {
	s.t.Helper()
	s.must(s.Member(member).Set(b))
}

// becomes waits until HAProxy says that the member is in that admin state.
func (s scene) becomes(within time.Duration, member string, admin int) {
	s.t.Helper()
	what := fmt.Sprintf("HAProxy to have %s in admin state %#02x", member, admin)
	s.must(rig.Await(s.t.Context(), within, what, s.HAProxy.Want(member, admin)))
}

// keeps makes sure that the member stays in that admin state.
func (s scene) keeps(member string, admin int) {
	s.t.Helper()
	s.must(rig.Holds(s.t.Context(), stays, s.HAProxy.Want(member, admin)))
}

// believed waits until the exporter's verdict of the member is that.
func (s scene) believed(member string, up float64) {
	s.t.Helper()
	labels := map[string]string{"device": rig.Device, "pool": rig.Pool, "member": member}
	s.must(rig.Await(s.t.Context(), outWithin, fmt.Sprintf("a verdict of %v for %s", up, member), func(ctx context.Context) error {
		got, series, err := rig.Value(ctx, s.Exporter.URL, "sluice_probe_up", labels)
		if err == nil && (series != 1 || got != up) {
			err = fmt.Errorf("sluice_probe_up is %v in %d series", got, series)
		}
		return err
	}))
}

// orders makes sure that exactly these commands have reached HAProxy through
// Sluice, whatever its journal says.
func (s scene) orders(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.Wire.Orders(), cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("orders to HAProxy (-want +got):\n%s", diff)
	}
}

func order(member, state string) string {
	return fmt.Sprintf("set server %s/%s state %s", rig.Pool, member, state)
}

// counts waits until a metric of the remediator has that value in sum.
func (s scene) counts(metric string, labels map[string]string, want float64) {
	s.t.Helper()
	s.awaitMetric(metric, labels, fmt.Sprintf("to be %v", want), func(got float64) bool { return got == want })
}

// refused waits until the guard has refused a step, by metric and by record,
// and returns the record.
func (s scene) refused(guard, member string) journal.Entry {
	s.t.Helper()
	s.awaitMetric("sluice_remediation_refusals_total", map[string]string{"guard": guard}, "to count a refusal",
		func(got float64) bool { return got > 0 })
	var found journal.Entry
	s.must(rig.Await(s.t.Context(), outWithin, "a record that guard "+guard+" refused "+member, func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Guard == guard && e.Member != nil && *e.Member == named(member) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("none in %d entries", len(entries))
	}))
	if found.Reason == "" || found.Detail == "" {
		s.t.Errorf("the record of the refusal doesn't say why: %+v", found)
	}
	return found
}

func (s scene) awaitMetric(metric string, labels map[string]string, what string, ok func(float64) bool) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, fmt.Sprintf("%s%v %s", metric, labels, what), func(ctx context.Context) error {
		got, series, err := rig.Value(ctx, s.Remediator.URL, metric, labels)
		if err == nil && !ok(got) {
			err = fmt.Errorf("it is %v in %d series", got, series)
		}
		return err
	}))
}

// holdsOnly waits until the remediator holds exactly these members.
func (s scene) holdsOnly(members ...string) {
	s.t.Helper()
	want := strings.Join(members, " ")
	s.must(rig.Await(s.t.Context(), backWithin, "holds: "+want, func(ctx context.Context) error {
		holds, err := s.Holds(ctx)
		if err != nil {
			return err
		}
		var names []string
		for _, h := range holds {
			names = append(names, h.Member.Name)
		}
		if got := strings.Join(names, " "); got != want {
			return fmt.Errorf("it holds %q", got)
		}
		return nil
	}))
}

func named(member string) edge.Member {
	return edge.Member{Device: rig.Device, Pool: rig.Pool, Name: member}
}
