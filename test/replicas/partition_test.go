package replicas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/replicas/etcdtest"
	"github.com/sluice-project/sluice/test/rig"
)

// What a lease takes to run out, the configured ttl, and how much later others are
// seen to act on it.
const (
	lease    = 10 * time.Second
	takeover = lease + 6*time.Second
)

// A network is how each replica reaches etcd.
type network struct {
	etcd      *etcdtest.Server
	endpoints []string
	cut       func(i int, cut bool)
}

// wires is a network of two wires through this process.
func wires(t testing.TB) *network {
	t.Helper()
	n := &network{etcd: etcdtest.Start(t)}
	var all []*wire
	for range 2 {
		w, address := lay(t, "tcp "+strings.TrimPrefix(n.etcd.Endpoint, "http://"), nil)
		all = append(all, w)
		n.endpoints = append(n.endpoints, "http://"+address)
	}
	n.cut = func(i int, cut bool) { all[i].set(cut) }
	return n
}

// TestAPartitionOverWires cuts connections that stay open: what was sent before
// they are whole again arrives late, as the writes of a leader of the past.
func TestAPartitionOverWires(t *testing.T) { // I9, I16
	partition(t, wires(t))
}

// partition cuts off the leader, then the standby, then both.
func partition(t *testing.T, n *network) {
	written := new(scribe)
	s := newSceneOn(t, 8, n.etcd, n.endpoints, func(i int, socket string) string {
		_, address := lay(t, "unix "+socket, written.listen(fmt.Sprintf("replica %d", i)))
		return address
	})
	index := func(r *replica) int { return slices.Index(s.all, r) }
	first, second := s.leader()
	s.claimed.add("s1")
	s.drained("s1")

	t.Log("the leader is cut off from etcd, and reaches HAProxy as before")
	n.cut(index(first), true)
	s.claimed.add("s2")
	s.drainedWithin("s2", takeover)
	if is, err := first.leads(t.Context()); err != nil || is {
		t.Errorf("who is cut off says that it leads: %v, %v", is, err)
	}
	n.cut(index(first), false)
	s.claimed.add("s3")
	s.drainedWithin("s3", takeover)
	if now, _ := s.leader(); now != second {
		t.Errorf("%s leads", now.name)
	}

	t.Log("the standby is cut off")
	n.cut(index(first), true)
	s.claimed.add("s4")
	s.drainedWithin("s4", takeover)
	if err := rig.Holds(t.Context(), lease, func(ctx context.Context) error {
		is, err := first.leads(ctx)
		if err == nil && is {
			err = errors.New("a standby that is cut off leads")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if now, err := second.leads(t.Context()); err != nil || !now {
		t.Errorf("the leader leads: %v, %v", now, err)
	}
	n.cut(index(first), false)

	t.Log("both are cut off")
	for i := range s.all {
		n.cut(i, true)
	}
	s.claimed.add("s5")
	if err := s.untouched("s5", takeover); err != nil {
		t.Error(err)
	}
	for _, r := range s.all {
		r.stopsLeading()
	}
	for i := range s.all {
		n.cut(i, false)
	}
	s.drainedWithin("s5", takeover)
	last, _ := s.leader()

	// Whose hand it was: who was cut off sent nothing, and nobody sent a thing twice.
	want := []said{
		{first.name, "s1", "drain"},
		{second.name, "s2", "drain"},
		{second.name, "s3", "drain"},
		{second.name, "s4", "drain"},
		{last.name, "s5", "drain"},
	}
	if got := written.all(); !slices.Equal(got, want) {
		t.Errorf("HAProxy was sent %v, want %v", got, want)
	}
	s.sameHistory("s1", "s2", "s3", "s4", "s5")
}

// drainedWithin waits for less long than drained.
func (s *scene) drainedWithin(member string, d time.Duration) {
	s.t.Helper()
	if err := rig.Await(s.t.Context(), d, member+" is drained", s.haproxy.WantIn("shop", member, rig.AdminDrain)); err != nil {
		s.t.Fatal(err)
	}
}

// sameHistory checks that each of the members, and no other, was recorded as going
// out once, and that all replicas tell the same.
func (s *scene) sameHistory(members ...string) {
	s.t.Helper()
	told := s.history(s.all[0])
	for _, r := range s.all[1:] {
		other := s.history(r)
		same := slices.EqualFunc(told, other, func(a, b journal.Entry) bool {
			return a.Seq == b.Seq && a.At.Equal(b.At) && a.Event == b.Event && a.Result == b.Result && a.From == b.From && a.To == b.To
		})
		if !same {
			s.t.Errorf("%s tells of %d entries, %s of others: %d", s.all[0].name, len(told), r.name, len(other))
		}
	}
	for _, phase := range []journal.Phase{journal.Intent, journal.Applying, journal.Applied} {
		seen := map[string]int{}
		for _, e := range told {
			if e.To == phase && e.From != e.To {
				seen[e.Member.Name]++
			}
		}
		for _, m := range members {
			if seen[m] != 1 {
				s.t.Errorf("%s was recorded as %s %d times", m, phase, seen[m])
			}
			delete(seen, m)
		}
		if len(seen) > 0 {
			s.t.Errorf("recorded as %s beside them: %v", phase, seen)
		}
	}
}
