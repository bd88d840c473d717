package schedule

import (
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/exporter/probe"
)

// Why bad results don't count: what is wrong is on our side. Source of the idea:
// gatus' connectivity check, which stops all its verdicts; here only those
// stop that would be bad, for a good answer is true whatever state we are in.
const (
	reasonLag          = "lag"          // we get no processor, and see answers too late
	reasonConnectivity = "connectivity" // none of the self-check's targets answers
)

const (
	lagHold  = 5 * time.Second       // after the last lag, verdicts stay suspended so long
	lagPart  = 4                     // a lag of a fourth of a probe's timeout, again and again, is its timeout
	lagLeast = 10 * time.Millisecond // below it nothing is a lag, however short the timeout
	selfGap  = 50 * time.Millisecond // between two starts of the self-check that verdicts wait for
)

// self is what is known of ourselves. A target becomes down only after the
// self-check has answered to a probe that began after the bad result's: the
// network may have broken a moment ago, and the self-check's last turn may be
// older than that.
type self struct {
	tasks []*task
	good  time.Duration // when the newest one began that was answered
	any   bool          // there was one
	held  []*task       // would be down, and wait for the next

	lag, unconnected bool // suspended for that
}

// review decides whether verdicts are suspended now.
func (v *self) review(s *Scheduler, now time.Duration) {
	lag := max(s.own.since(now-lagHold, now), s.overdue(now))
	if is := lag >= s.maxLag; is != v.lag {
		v.lag = is
		if is {
			level.Warn(s.logger).Log("msg", "verdicts are suspended: this program is late itself", "reason", reasonLag, "lag", lag, "max_lag", s.maxLag)
		} else {
			level.Info(s.logger).Log("msg", "verdicts are given again", "reason", reasonLag)
		}
	}
	is := len(v.tasks) > 0 && !slices.ContainsFunc(v.tasks, func(t *task) bool {
		return t.history.n == 0 || t.history.last().up
	})
	if is == v.unconnected {
		return
	}
	v.unconnected = is
	if !is {
		level.Info(s.logger).Log("msg", "verdicts are given again", "reason", reasonConnectivity)
		return
	}
	level.Warn(s.logger).Log("msg", "verdicts are suspended: no target of the self-check answers", "reason", reasonConnectivity)
	for _, t := range s.order { // what they saw last may have been the same fault
		if !t.Self {
			t.verdict.Forgive()
			t.held = false
		}
	}
	v.held = nil
}

// distrust says why a bad result of a run that began then counts for nothing;
// it is empty for one that counts.
func (s *Scheduler) distrust(t *task, r *probe.Result, began, now time.Duration) string {
	limit := s.maxLag
	if t.Timeout > 0 {
		limit = min(limit, max(t.Timeout/lagPart, lagLeast))
	}
	switch {
	case !certain(r) && (s.self.lag || s.own.since(began, now) >= limit || s.overdue(now) >= limit):
		return reasonLag
	case s.self.unconnected && !t.Self:
		return reasonConnectivity
	}
	return ""
}

// certain says that no lateness of ours could have made a bad result: a
// connection was refused, or an HTTP answer came and was wrong. So what is down
// by these stays down, and keeps its alert, also on a machine that is too slow.
func certain(r *probe.Result) bool {
	return r.Reason == probe.Connect || r.Reason == probe.Status && r.HTTP != nil && r.HTTP.Status != 0
}

// hold keeps a verdict from becoming down until the self-check has said that we
// reach something. It says whether it did.
func (s *Scheduler) hold(t *task, r *probe.Result, began, now time.Duration) bool {
	v := &s.self
	if r.Up || t.Self || len(v.tasks) == 0 || !t.verdict.Falling() || v.any && v.good >= began {
		return false
	}
	if !t.held {
		t.held, t.heldAt = true, began
		v.held = append(v.held, t)
	}
	s.askSelf(now)
	return true
}

// askSelf brings the self-check's turns forward.
func (s *Scheduler) askSelf(now time.Duration) {
	for _, t := range s.self.tasks {
		soon := now
		if t.runs > 0 {
			soon = max(now, t.began+selfGap)
		}
		if s.waits(t) && t.due > soon {
			s.wheel.remove(t)
			t.due = soon
			s.place(t, now)
		}
	}
}

// answered is told that a probe of the self-check which began then was good.
func (s *Scheduler) answered(began, now time.Duration) {
	v := &s.self
	v.good, v.any = max(v.good, began), true
	left := v.held[:0]
	for _, t := range v.held {
		switch {
		case !t.held || t.gone || t.stale(now): // it has answered since, or nobody knows any more
			t.held = false
		case t.heldAt > v.good:
			left = append(left, t)
		default:
			t.held = false
			last := t.history.ago(0, s.epoch)
			s.judge(t, false, last.Reason, last.Detail, now)
		}
	}
	clear(v.held[len(left):])
	v.held = left
}
