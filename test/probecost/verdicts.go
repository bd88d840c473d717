package main

import (
	"context"
	"math"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/test/rig"
)

// A snapshot is what Sluice says of all its probes at one moment.
type snapshot map[string]*dto.MetricFamily

func look(ctx context.Context, base string) (snapshot, error) { return rig.Families(ctx, base) }

// Verdicts are of the targets of one kind: those that answer, or those that hang.
type Verdicts struct {
	Up, Down, Unknown int
	Failures          float64 // single results that were bad
}

// of counts those whose URL is on that port, out of so many.
func (s snapshot) of(port string, targets int) Verdicts {
	var v Verdicts
	each := func(name string, do func(float64)) {
		for _, m := range s[name].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "target" && strings.Contains(l.GetValue(), ":"+port+"/") {
					do(m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue())
				}
			}
		}
	}
	each("sluice_probe_up", func(up float64) {
		if up == 1 {
			v.Up++
			return
		}
		v.Down++
	})
	v.Unknown = targets - v.Up - v.Down
	each("sluice_probe_failures_total", func(n float64) { v.Failures += n })
	return v
}

// value is the sum of all series of one metric.
func (s snapshot) value(name string) (sum float64) {
	for _, m := range s[name].GetMetric() {
		sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	}
	return sum
}

// lag returns the p99 of how late probes began between two snapshots by Sluice's
// own count, as the bound of a histogram's bucket, in seconds; false where there
// is no such histogram.
func lag(before, after snapshot) (float64, bool) {
	const name = "sluice_probe_lag_seconds"
	counts := make(map[float64]float64) // by upper bound
	add := func(s snapshot, sign float64) {
		for _, m := range s[name].GetMetric() {
			h := m.GetHistogram()
			for _, b := range h.GetBucket() {
				if !math.IsInf(b.GetUpperBound(), 1) { // the text has that bucket, other forms have only the count
					counts[b.GetUpperBound()] += sign * float64(b.GetCumulativeCount())
				}
			}
			counts[math.Inf(1)] += sign * float64(h.GetSampleCount())
		}
	}
	add(before, -1)
	add(after, 1)
	return quantile(counts, 0.99)
}

func quantile(counts map[float64]float64, q float64) (float64, bool) {
	total := 0.0
	for _, n := range counts {
		total = max(total, n)
	}
	if total == 0 {
		return 0, false
	}
	bound := math.Inf(1)
	for b, n := range counts {
		if n >= q*total {
			bound = min(bound, b)
		}
	}
	return bound, true
}
