package replicas

import (
	"fmt"
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
	report(b, took)
}
