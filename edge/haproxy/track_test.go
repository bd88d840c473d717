package haproxy_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
)

// Servers in a chain: api/s1 follows shop/s1, and deep/s1 follows api/s1.
var (
	leads  = edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	middle = edge.Member{Device: "edge1", Pool: "api", Name: "s1"}
	last   = edge.Member{Device: "edge1", Pool: "deep", Name: "s1"}
	alone  = edge.Member{Device: "edge1", Pool: "api", Name: "s2"}
)

// tracking starts a real HAProxy with the chain. It tracks only what it checks,
// so somebody has to be there.
func tracking(t *testing.T) *haproxy.Client {
	t.Helper()
	ln, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := haproxy.New(haproxy.Options{Address: haproxytest.StartReal(t, fmt.Sprintf(`
backend shop
 server s1 %[1]s weight 100 check
backend api
 server s1 %[1]s weight 100 track shop/s1
 server s2 %[1]s weight 100
backend deep
 server s1 %[1]s weight 100 track api/s1
`, ln.Addr())).Socket})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func set(t *testing.T, c *haproxy.Client, m edge.Member, to edge.Admin) {
	t.Helper()
	wantErr(t, c.SetAdmin(t.Context(), m.Pool, m.Name, to), nil)
}

// marked wants these marks of the three in the chain, in its order.
func marked(t *testing.T, snap edge.Snapshot, want ...string) {
	t.Helper()
	var got []string
	for _, m := range []edge.Member{leads, middle, last} {
		got = append(got, snap.States[m].Marks)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

func TestWhatFollowsIsListedWithItsLeader(t *testing.T) {
	snap := read(t, tracking(t))
	want := map[edge.Member][]edge.Member{leads: {middle, last}, middle: {last}} // ordered by pool
	if diff := cmp.Diff(want, snap.Along); diff != "" {
		t.Errorf("along (-want +got):\n%s", diff)
	}
	for m, tracks := range map[edge.Member]string{leads: "", middle: "shop/s1", last: "api/s1", alone: ""} {
		if st := snap.States[m]; st.Tracks != tracks || !st.Serving {
			t.Errorf("%s: %+v", m, st)
		}
	}
}

// A step on a server is inherited by the whole chain, and so is the way back
// (SAFETY.md I8).
func TestI8WhatFollowsMovesAndComesBackWithItsLeader(t *testing.T) {
	c := tracking(t)
	before := read(t, c)
	for _, step := range []struct {
		to               edge.Admin
		marks, inherited string
	}{
		{edge.Drain, "FDRAIN", "IDRAIN"},
		{edge.Maint, "FMAINT", "IMAINT"},
	} {
		set(t, c, leads, step.to)
		snap := read(t, c)
		marked(t, snap, step.marks, step.inherited, step.inherited)
		for _, m := range []edge.Member{leads, middle, last} {
			if st := snap.States[m]; st.Admin != step.to || st.Serving {
				t.Errorf("%s with its leader in %s: %+v", m, step.to, st)
			}
		}
		if st := snap.States[alone]; st.Admin != edge.Ready || !st.Serving {
			t.Errorf("what follows nobody moved: %+v", st)
		}
	}
	set(t, c, leads, edge.Ready)
	// Its check, which maint stopped, may not have run again yet.
	if diff := cmp.Diff(before.States, read(t, c).States, cmpopts.IgnoreFields(edge.State{}, "Check", "Serving")); diff != "" {
		t.Errorf("not as it was (-before +after):\n%s", diff)
	}
}

// What a person did to a follower is seen beside what it inherits, and stays when
// its leader comes back (SAFETY.md I7).
func TestI7APersonsMaintOnAFollowerOutlivesItsLeadersStep(t *testing.T) {
	c := tracking(t)
	set(t, c, middle, edge.Maint)
	marked(t, read(t, c), "", "FMAINT", "IMAINT")
	set(t, c, leads, edge.Drain)
	marked(t, read(t, c), "FDRAIN", "FMAINT|IDRAIN", "IMAINT|IDRAIN")
	set(t, c, leads, edge.Ready)
	marked(t, read(t, c), "", "FMAINT", "IMAINT")
	set(t, c, middle, edge.Ready)
	marked(t, read(t, c), "", "", "")
}

// Making a follower ready undoes nothing that it inherits: no way round its leader.
func TestAFollowerCanNotBeMadeReadyByItself(t *testing.T) {
	c := tracking(t)
	set(t, c, leads, edge.Drain)
	set(t, c, middle, edge.Ready)
	marked(t, read(t, c), "FDRAIN", "IDRAIN", "IDRAIN")
}

// A weight isn't inherited: what follows comes back with its whole weight at once.
func TestAWeightIsTheServersOwn(t *testing.T) {
	c := tracking(t)
	wantErr(t, c.SetShare(t.Context(), leads.Pool, leads.Name, 10), nil)
	snap := read(t, c)
	for m, share := range map[edge.Member]int{leads: 10, middle: 100, last: 100} {
		if st := snap.States[m]; st.Share != share {
			t.Errorf("%s has the weight %d, want %d", m, st.Share, share)
		}
	}
}

// HAProxy allows no circle; an answer that has one is read to its end all the same.
func TestI2ACircleOfFollowersEnds(t *testing.T) {
	one := edge.Member{Device: "edge1", Pool: "a", Name: "s1"}
	two := edge.Member{Device: "edge1", Pool: "b", Name: "s1"}
	self := edge.Member{Device: "edge1", Pool: "c", Name: "s1"}
	address := net.JoinHostPort("127.0.0.1", "1")
	c := client(t, haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6},
		haproxytest.Server{Backend: "a", Name: "s1", Address: address, Op: 2, Tracks: "b/s1"},
		haproxytest.Server{Backend: "b", Name: "s1", Address: address, Op: 2, Tracks: "a/s1"},
		haproxytest.Server{Backend: "c", Name: "s1", Address: address, Op: 2, Tracks: "c/s1"},
	))
	snap := read(t, c)
	want := map[edge.Member][]edge.Member{one: {two}, two: {one}, self: nil}
	if diff := cmp.Diff(want, snap.Along, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("along (-want +got):\n%s", diff)
	}
}
