package schedule

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// ask makes one probe. One that panics could not be made: it is our mistake,
// which costs that probe and not the others.
func (s *Scheduler) ask(ctx context.Context, c Check) (r probe.Result) {
	start := time.Now()
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// Only the runtime's own words are known to hold no secret.
		why := fmt.Sprintf("panic with %T", p)
		if err, ok := p.(runtime.Error); ok {
			why = "panic: " + err.Error()
		}
		r = probe.Result{Reason: probe.Unmade, Detail: why, Start: start, Duration: time.Since(start)}
		logger := s.about("probe panicked", c.Key)
		level.Error(logger).Log("err", why)
		level.Debug(logger).Log("stack", string(debug.Stack()))
	}()
	return c.Run(ctx)
}

// about logs something of one check.
func (s *Scheduler) about(what string, k Key) log.Logger {
	logger := log.With(s.logger, "msg", what, "probe", k.Probe, "target", k.Target)
	if k.Member != (edge.Member{}) {
		logger = log.With(logger, "member", k.Member)
	}
	return logger
}

// noteUnmade remembers whether a task's last run could be made. What keeps one
// from being made mostly keeps all, so that each probe has one line when it
// begins and one when it has ended for all its targets.
func (s *Scheduler) noteUnmade(t *task, r probe.Result, unmade bool) {
	if t.unmade == unmade {
		return
	}
	t.unmade = unmade
	before := s.blind[t.Probe]
	switch {
	case unmade:
		s.blind[t.Probe] = before + 1
		if before == 0 {
			level.Warn(s.about("probes can't be made", t.Key)).Log("err", r.Detail)
		}
	case before == 1:
		delete(s.blind, t.Probe)
		if !t.gone {
			level.Info(s.logger).Log("msg", "probes are made again", "probe", t.Probe)
		}
	default:
		s.blind[t.Probe] = before - 1
	}
}

// bodyKept is how much of an answer a kept result has, in bytes.
const bodyKept = 1 << 10

// brief is a result as it is kept: whatever a prober hands over, ten results of
// each target stay small.
func brief(r probe.Result) probe.Result {
	if cap(r.Body) > bodyKept {
		r.Body = bytes.Clone(r.Body[:min(len(r.Body), bodyKept)])
	}
	return r
}
