package remediator

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// I14: a bypass isn't over because it wasn't the bypass that asked when its pool was
// found to fail again.
func TestI14WhatAnyQuestionFindsBreaksTheProofThatABypassIsOver(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  []edge.Member
		said edge.Answer
		kept bool
	}{
		{"all are well", nil, edge.No, true},
		{"one is bad, and one is enough", []edge.Member{s1}, edge.No, true},
		{"all are bad", []edge.Member{s1, s2}, edge.No, false},
		{"of none anything is known", []edge.Member{s1, s2}, edge.Unknown, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorldWith(t, withStandby, withBypass, func(w *world) {
				w.failPool()
				w.wait(time.Second)
				w.want(standby, "")
				w.recoverPool()
				w.wait(time.Second)
				for _, m := range tt.bad {
					w.probe.set(m, tt.said)
				}
				k := newKeeper(w.r, w.r.set, "edge1", w.device)
				c := &course{goodSince: time.Now()}
				k.courses[standby] = c
				snap, err := w.device.Look(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				p, err := w.r.set.rule("drain", s1)
				if err != nil {
					t.Fatal(err)
				}
				k.ask(t.Context(), p, s1, snap)
				if kept := !c.goodSince.IsZero(); kept != tt.kept {
					t.Errorf("the proof stands: %v; want %v", kept, tt.kept)
				}
			})
		})
	}
}
