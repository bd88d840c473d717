package replicas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// BenchmarkSilence stops etcd for longer than the lease, for three different times,
// with a claim that comes meanwhile, and reports how long after it goes on HAProxy
// shows that member drained.
//
//	go test -run '^$' -bench Silence -benchtime 3x ./test/replicas
func BenchmarkSilence(b *testing.B) {
	for _, silent := range []time.Duration{11 * time.Second, 14 * time.Second, 25 * time.Second} {
		b.Run(silent.String(), func(b *testing.B) {
			s := newScene(b, b.N+2)
			s.claimed.add("s1")
			s.drained("s1")
			var took []time.Duration
			for i := range b.N {
				s.leader()
				member := fmt.Sprintf("s%d", i+2)
				s.etcd.Pause(b)
				s.claimed.add(member)
				ok(b, s.untouched(member, silent))
				resumed := time.Now()
				s.etcd.Resume(b)
				s.drained(member)
				took = append(took, time.Since(resumed))
			}
			report(b, took)
		})
	}
}

// BenchmarkHealing cuts both replicas off from etcd for a minute, with a claim that
// comes meanwhile, and reports how long after the network is whole again HAProxy
// shows that member drained. In a network that is really cut:
//
//	go test -c -o replicas.test ./test/replicas
//	cd test/replicas && SLUICE_TEST_INSIDE=1 unshare -rn ../../replicas.test -test.run '^$' -test.bench Healing -test.benchtime 3x
func BenchmarkHealing(b *testing.B) {
	n := toCut(b)
	s := newSceneOn(b, b.N+2, n.etcd, n.endpoints, nil)
	s.claimed.add("s1")
	s.drained("s1")
	var took []time.Duration
	for i := range b.N {
		s.leader()
		member := fmt.Sprintf("s%d", i+2)
		for r := range s.all {
			n.cut(r, true)
		}
		s.claimed.add(member)
		ok(b, s.untouched(member, time.Minute))
		healed := time.Now()
		for r := range s.all {
			n.cut(r, false)
		}
		s.drained(member)
		took = append(took, time.Since(healed))
	}
	report(b, took)
}

// report is of times that aren't those of one operation of ours.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[0].Seconds(), "best-s")
	b.ReportMetric(took[len(took)/2].Seconds(), "median-s")
	b.ReportMetric(took[len(took)-1].Seconds(), "worst-s")
}

// stopsLeading waits until the replica says that it doesn't lead.
func (r *replica) stopsLeading() {
	r.t.Helper()
	r.await("it stops leading", func(ctx context.Context) error {
		is, err := r.leads(ctx)
		if err == nil && is {
			err = errors.New("it leads")
		}
		return err
	})
}

// untouched checks that the member stays as it was.
func (s *scene) untouched(member string, during time.Duration) error {
	return rig.Holds(s.t.Context(), during, func(ctx context.Context) error {
		now, err := s.haproxy.Server(ctx, "shop", member)
		if err == nil && now.Admin != rig.AdminReady {
			err = fmt.Errorf("%s was touched: %d", member, now.Admin)
		}
		return err
	})
}
