package remediator

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator/journal"
)

// What a person had given back isn't taken out again while its claim lasts, also
// after a restart; the next claim is judged as any other (I7).
func TestI7WhatAPersonHadGivenBackStaysIn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.want(s1, "FDRAIN")
		if err := w.r.Release(t.Context(), s1, "ops", "I need it"); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Minute) // it fails on, and its alert fires
		w.want(s1, "")
		w.restart()
		w.wait(10 * time.Minute)
		w.want(s1, "")
		w.wantWrites(2)
		if got := w.results(s1); got[len(got)-1] != "foreign/released" {
			t.Errorf("the journal says %v", got)
		}
		w.recover(s1)
		w.wait(time.Minute)
		w.fail(s1)
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
	})
}

// A word that was used is kept as used, and what failed on it has to be asked for
// again (I17).
func TestI17AWordServesOnce(t *testing.T) {
	inWorld(t, approving, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.device.change(func() { w.device.deaf = true })
		if err := w.r.Answer(t.Context(), s1, true, "ops", ""); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Minute)
		w.wantWrites(1)
		wantResults(t, w.results(s1), "approval/awaiting", "drain failed", "approval/awaiting")
		w.device.change(func() { w.device.deaf = false })
		if err := w.r.Answer(t.Context(), s1, true, "ops", ""); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Second)
		if h := w.hold(s1); h == nil || h.Answer != nil || h.Approved == nil {
			t.Errorf("%+v; want the word used", h)
		}
	})
}

// A word is over after approval_ttl, also when nobody could look at it before (I17).
func TestI17AWordIsOverAfterItsTime(t *testing.T) {
	inWorld(t, approving, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.device.change(func() { w.device.dead = true })
		if err := w.r.Answer(t.Context(), s1, true, "ops", ""); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Duration(w.cfg.Policies[0].ApprovalTTL) + time.Minute)
		w.device.change(func() { w.device.dead = false })
		w.wait(time.Minute)
		w.wantWrites(0)
		if got := w.results(s1); !slices.Contains(got, "approval/expired") {
			t.Errorf("the journal says %v", got)
		}
	})
}

// Nobody says yes in advance: a word is on a step that all other guards agree to (I17).
func TestI17NoWordOnAStepThatAnotherGuardRefuses(t *testing.T) {
	inWorld(t, approving, func(w *world) {
		w.alerts.fire(s1) // and it is well
		w.r.Wake()
		w.wait(10 * time.Second)
		wantResults(t, w.results(s1), "evidence/contradicted")
		if err := w.r.Answer(t.Context(), s1, true, "ops", "when it fails"); !errors.Is(err, ErrNotAsked) {
			t.Errorf("got %v", err)
		}
	})
}

// A blind source doesn't end what was claimed: a person's no stands (I6).
func TestI6ANoStandsWhileTheSourceIsBlind(t *testing.T) {
	inWorld(t, approving, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		if err := w.r.Answer(t.Context(), s1, false, "ops", "leave it"); err != nil {
			t.Fatal(err)
		}
		w.wait(10 * time.Second)
		w.alerts.setBlind("restarted")
		w.r.Wake()
		w.wait(10 * time.Minute)
		w.alerts.setBlind("")
		w.r.Wake()
		w.wait(time.Minute)
		if got := w.results(s1); got[len(got)-1] != "approval/rejected" {
			t.Errorf("the journal says %v: it asks again", got)
		}
		if got := w.phases(s1); slices.Contains(got, "closed") {
			t.Errorf("went through %v", got)
		}
	})
}

// A stream is an audit stream in memory.
type stream struct {
	mu     sync.Mutex
	events []string
	last   uint64
	full   bool
}

func (s *stream) Sync(j *journal.Journal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errors.New("no space left on device")
	}
	entries, err := j.Entries(journal.Query{After: s.last})
	for _, e := range entries {
		s.last = e.Seq
		s.events = append(s.events, e.Event)
	}
	return err
}

func (s *stream) fill(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

func (s *stream) has(event string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.events, event)
}

// Each record goes to the audit stream at once, and what comes while the process
// stops does too (I23); that one can't be written is counted (I26).
func TestI23RecordsGoToTheAuditStream(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		s, reg := new(stream), prometheus.NewRegistry()
		w.again(func(o *Options) { o.Audit, o.Registerer = s, reg }, nil)
		w.fail(s1)
		w.wait(time.Second)
		if !s.has("intent") || !s.has(string(journal.Holding)) {
			t.Errorf("it has %v", s.events)
		}
		s.fill(true)
		w.recover(s1)
		w.wait(time.Minute)
		if n := counted(t, reg, "sluice_remediation_audit_errors_total"); n == 0 {
			t.Error("no failure is counted")
		}
		s.fill(false)
		w.wait(20 * time.Second)
		if !s.has(string(journal.Closed)) {
			t.Errorf("it has %v", s.events)
		}
	})
}

// What could not be written until then is written at the end (I23).
func TestI23TheAuditStreamIsWrittenOnceMoreWhenItStops(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		s := new(stream)
		w.again(func(o *Options) { o.Audit = s }, nil)
		s.fill(true)
		w.fail(s1)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		s.fill(false)
		w.stop()
		if !s.has(string(journal.Holding)) {
			t.Errorf("it has %v", s.events)
		}
	})
}

// What the guards were told is with each intent, refusal and further step (I23).
func TestI23EveryDecisionIsKeptWithItsWorld(t *testing.T) {
	inWorldWith(t, weighed, bySteps, func(w *world) {
		w.fail(s1)
		w.wait(10 * time.Second)
		w.fail(s2)
		w.wait(10 * time.Second)
		w.recover(s2)
		w.recover(s1)
		w.wait(time.Minute)
		seen := map[string]int{}
		for _, e := range w.entries() {
			if e.Decision == nil {
				continue
			}
			seen[e.Event]++
			if e.World == nil {
				t.Errorf("entry %d (%s %s to %s) has a decision and no world", e.Seq, e.Event, e.Admin, e.To)
			}
		}
		if seen["intent"] < 2 || seen["refusal"] < 1 {
			t.Errorf("saw %v", seen)
		}
	})
}
