package schedule

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// figures are the metrics of the schedule as a whole, by probe; what is known of
// each target is a [Status].
type figures struct {
	unmade, skipped, ignored *prometheus.CounterVec
	lag, duration            *prometheus.HistogramVec
	probes                   map[string]*probeFigures
}

// probeFigures are those of one probe. They stay when it goes, as counters do.
type probeFigures struct {
	unmade, overload, running prometheus.Counter
	lag, duration             prometheus.Observer
	ignored                   map[string]prometheus.Counter
}

// Why a turn was left out.
const (
	skippedOverload = "overload" // it waited for us until the next one was due
	skippedRunning  = "running"  // the run before it took longer than the interval
)

func newFigures(reg prometheus.Registerer, s *Scheduler) *figures {
	with := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return with.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"probe"}, labels...))
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return with.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help,
			Buckets:                         []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"probe"})
	}
	f := &figures{
		unmade:   counter("sluice_probe_unmade_total", "Probes that could not be made, for a reason on our side. They say nothing of the target."),
		skipped:  counter("sluice_probe_skipped_total", "Turns that were left out, as the one before waited for us (overload) or took longer than the interval (running).", "reason"),
		ignored:  counter("sluice_probe_ignored_total", "Bad results that count for nothing, for something is wrong on our side.", "reason"),
		lag:      histogram("sluice_probe_lag_seconds", "How late probes began."),
		duration: histogram("sluice_probe_run_duration_seconds", "How long probes took, good and bad."),
		probes:   make(map[string]*probeFigures),
	}
	if reg != nil {
		reg.MustRegister(state{s})
	}
	return f
}

// of returns the figures of a probe, all of which begin at 0: a counter that
// appears with 1 has no rate.
func (f *figures) of(probe string) *probeFigures {
	if p, ok := f.probes[probe]; ok {
		return p
	}
	p := &probeFigures{
		unmade:   f.unmade.WithLabelValues(probe),
		overload: f.skipped.WithLabelValues(probe, skippedOverload),
		running:  f.skipped.WithLabelValues(probe, skippedRunning),
		lag:      f.lag.WithLabelValues(probe),
		duration: f.duration.WithLabelValues(probe),
		ignored: map[string]prometheus.Counter{
			reasonLag:          f.ignored.WithLabelValues(probe, reasonLag),
			reasonConnectivity: f.ignored.WithLabelValues(probe, reasonConnectivity),
		},
	}
	f.probes[probe] = p
	return p
}

// state shows how the scheduler is now. Without checks it shows nothing.
type state struct{ s *Scheduler }

var (
	suspendedDesc = prometheus.NewDesc("sluice_probe_suspended", "Whether bad results count for nothing now, and why.", []string{"reason"}, nil)
	underDesc     = prometheus.NewDesc("sluice_probe_under_way", "Probes that are under way now.", nil, nil)
	waitingDesc   = prometheus.NewDesc("sluice_probe_waiting", "Probes that are due and wait for others to end.", nil, nil)
)

// Describe is a collector's.
func (c state) Describe(out chan<- *prometheus.Desc) {
	out <- suspendedDesc
	out <- underDesc
	out <- waitingDesc
}

// Collect is a collector's.
func (c state) Collect(out chan<- prometheus.Metric) {
	s := c.s
	s.mu.Lock()
	now := s.now()
	s.self.review(s, now)
	lag, unconnected := s.self.lag, s.self.unconnected
	under, waiting, checks, self := s.gates.under, s.gates.ready(), len(s.order), len(s.self.tasks)
	s.mu.Unlock()
	if checks == 0 {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	flag := map[bool]float64{true: 1}
	gauge(suspendedDesc, flag[lag], reasonLag)
	if self > 0 {
		gauge(suspendedDesc, flag[unconnected], reasonConnectivity)
	}
	gauge(underDesc, float64(under))
	gauge(waitingDesc, float64(waiting))
}
