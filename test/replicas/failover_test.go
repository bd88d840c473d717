package replicas

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFailover kills the leader again and again (SIGKILL), each time with a
// claim that nobody has seen yet, and reports how long it takes until HAProxy
// shows that member drained, by the other replica's hand. The lease is 10 s, the
// default.
//
//	go test -run '^$' -bench Failover -benchtime 20x ./test/replicas
func BenchmarkFailover(b *testing.B) {
	s := newScene(b, b.N+2)
	s.claimed.add("s1")
	s.drained("s1")
	var took []time.Duration
	for i := range b.N {
		leads, other := s.leader()
		member := fmt.Sprintf("s%d", i+2)
		killed := time.Now()
		leads.end(syscall.SIGKILL)
		s.claimed.add(member)
		s.drained(member)
		took = append(took, time.Since(killed))
		leads.start()
		if now, _ := s.leader(); now != other {
			b.Fatalf("%s leads", now.name)
		}
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // one kill is no operation of ours
	b.ReportMetric(took[0].Seconds(), "best-s")
	b.ReportMetric(took[len(took)/2].Seconds(), "median-s")
	b.ReportMetric(took[len(took)-1].Seconds(), "worst-s")
}
