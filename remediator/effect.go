package remediator

import (
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// eventEffect is of entries that say what a step did for those who use the pool.
const eventEffect = "effect"

// What becomes of a step (SAFETY.md I20). Unknown is not ineffective.
const (
	effective   = "effective"
	ineffective = "ineffective"
	unclear     = "unknown"
)

const (
	effectAfter   = 15 * time.Second // so long traffic has to turn to the others
	effectSettled = 5 * time.Second  // errors until then may be of requests from before the step; see below
	effectAnswers = 50               // fewer answers of the pool say nothing of its errors
	effectSlack   = 1.0              // percentage points of errors that are noise
)

// measure keeps how the pool was doing when a member was taken out.
func (k *keeper) measure(h *journal.Hold, snap edge.Snapshot, left edge.State) {
	e := &journal.Effect{Chosen: left.Chosen, Before: -1}
	pool := k.flow.pool(h.Member, snap.At.Add(-time.Minute))
	if pool.answers >= effectAnswers {
		e.Before = pool.share()
	}
	h.Effect = e
}

// judgeEffect says once, some time after the step, whether it did what it is for:
// the member isn't picked any more, and the pool fails no more often than before.
// Where a device counts nothing, that it was read back is all there is to know.
//
// HAProxy tries a server that can't be reached three times more, a second apart
// (configuration manual, "retries"): what had been sent to it before the step ends as
// 503 for some seconds after it, and isn't the step's.
func (k *keeper) judgeEffect(h *journal.Hold, snap edge.Snapshot, st edge.State) {
	if h.Effect == nil || h.Effect.Result != "" || h.Bypass || h.Stage == stageProbation || time.Since(h.Since) < effectAfter || snap.Process != h.Process {
		return
	}
	e := *h.Effect
	after := k.flow.pool(h.Member, h.Since.Add(effectSettled))
	var detail string
	switch {
	case st.OnOff:
		e.Result, detail = effective, "read back as it was set; the device counts no traffic"
	case st.Chosen > e.Chosen:
		e.Result, detail = ineffective, fmt.Sprintf("load balancing picked it %d times more although it is out", st.Chosen-e.Chosen)
	case e.Before < 0 || after.answers < effectAnswers:
		e.Result, detail = unclear, fmt.Sprintf("it is picked no more; of the pool's errors too little is known (%d answers since)", after.answers)
	case after.share() > e.Before+effectSlack:
		e.Result, detail = ineffective, fmt.Sprintf("%.1f%% of the pool's answers are 5xx, it was %.1f%% before", after.share(), e.Before)
	default:
		e.Result, detail = effective, fmt.Sprintf("it is picked no more; %.1f%% of the pool's answers are 5xx, it was %.1f%% before", after.share(), e.Before)
	}
	h.Effect = &e
	if k.put(h, journal.Entry{Event: eventEffect, Result: e.Result, Detail: detail}) != nil {
		h.Effect = nil
		return
	}
	k.r.metrics.effects.WithLabelValues(h.Member.Device, h.Member.Pool, e.Result).Inc()
	if n := k.r.ledger.effect(h.Member.In(), e.Result); e.Result == ineffective {
		level.Error(k.r.logger).Log("msg", "step had no effect", "member", h.Member, "in_a_row", n, "detail", detail)
	}
}

// effect counts steps in a row that were of no use.
func (l *ledger) effect(p edge.Pool, result string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch result {
	case ineffective:
		l.idle[p]++
	case effective:
		delete(l.idle, p)
		return 0
	}
	return l.idle[p]
}
