package schedule

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/exporter/probe"
)

// kept is how many of a target's last results are kept.
const kept = 10

// detailKept is how much of a result's detail is kept, in bytes.
const detailKept = 512

// An Outcome is what is kept of one result. Of 10,000 targets ten results each
// are kept: what else a prober found is for those who ask it themselves.
type Outcome struct {
	Up       bool
	Reason   probe.Reason
	Detail   string // one line for people; empty when Up
	Start    time.Time
	Duration time.Duration
}

// A history is the last results of one target: 16 bytes for a good one.
type history struct {
	all     [kept]result
	next    uint8 // where the next one goes
	n       uint8
	details *[kept]string // nil before the first bad one
}

type result struct {
	start  time.Duration // since the scheduler's epoch
	micros uint32
	up     bool
	reason uint8 // place in reasons
}

// reasons has all that a kept result can have.
var reasons = append([]probe.Reason{""}, probe.Reasons...)

// reasonIndex is the place of a reason in reasons; one that isn't there is kept as none.
func reasonIndex(r probe.Reason) uint8 {
	return uint8(max(slices.Index(reasons, r), 0)) // there are seven
}

func (h *history) add(start, took time.Duration, r *probe.Result) {
	h.all[h.next] = result{
		start: start, micros: uint32(min(max(took.Microseconds(), 0), math.MaxUint32)),
		up: r.Up, reason: reasonIndex(r.Reason),
	}
	if r.Detail != "" && h.details == nil {
		h.details = new([kept]string)
	}
	if h.details != nil {
		detail := r.Detail
		if len(detail) > detailKept {
			detail = strings.ToValidUTF8(detail[:detailKept], "")
		}
		if before := h.details[(h.next+kept-1)%kept]; before == detail {
			detail = before // a target that stays down says the same again and again
		} else {
			detail = strings.Clone(detail) // it may be a part of something large
		}
		h.details[h.next] = detail
	}
	h.next = (h.next + 1) % kept
	h.n = min(h.n+1, kept)
}

// last is the newest result, where there is one.
func (h *history) last() result { return h.all[(h.next+kept-1)%kept] }

// ago returns the i-th result from the end, with 0 for the last.
func (h *history) ago(i int, epoch time.Time) Outcome {
	at := (int(h.next) + 2*kept - 1 - i) % kept
	r := h.all[at]
	o := Outcome{
		Up: r.up, Reason: reasons[r.reason],
		Start: epoch.Add(r.start), Duration: time.Duration(r.micros) * time.Microsecond,
	}
	if h.details != nil {
		o.Detail = h.details[at]
	}
	return o
}

func (h *history) clone() history {
	c := *h
	if h.details != nil {
		details := *h.details
		c.details = &details
	}
	return c
}

func (h *history) outcomes(epoch time.Time) []Outcome {
	out := make([]Outcome, 0, h.n)
	for i := int(h.n) - 1; i >= 0; i-- {
		out = append(out, h.ago(i, epoch))
	}
	return out
}
