package main

import (
	"fmt"
	"strconv"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/remediator"
)

// fleetOptions are what devices are built with.
type fleetOptions struct {
	logger log.Logger
	calls  *apiCalls // counts calls of HTTP APIs; nil: nobody does
	write  bool      // steps may be taken
}

// newFleet builds the devices of a configuration, with each call logged and
// counted.
func newFleet(l *loaded, o fleetOptions) (*fleet.Fleet, error) {
	logged := newDeviceLog(o.logger)
	f, err := fleet.New(l.Devices, fleet.Options{Write: o.write, Trace: func(c fleet.Call) {
		logged.call(c)
		o.calls.count(c)
	}})
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	return f, nil
}

// forRemediator hands the devices over by the small interface that the
// remediator knows them by.
func forRemediator(f *fleet.Fleet) map[string]remediator.Device {
	out := make(map[string]remediator.Device)
	for _, d := range f.Devices() {
		out[d.Name()] = d
	}
	return out
}

// apiCalls counts the calls of devices that are reached by HTTP.
type apiCalls struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newAPICalls(reg prometheus.Registerer) *apiCalls {
	f := promauto.With(reg)
	return &apiCalls{
		total: f.NewCounterVec(prometheus.CounterOpts{
			Name: "ptaf_api_requests_total", Help: "Calls of a PTAF's API by method and status code; code is \"error\" when there was no answer.",
		}, []string{"device", "method", "code"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ptaf_api_request_duration_seconds", Help: "How long a PTAF's API took until its answer began.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"device", "method"}),
	}
}

func (a *apiCalls) count(c fleet.Call) {
	if a == nil || c.Method == "" {
		return
	}
	code := "error"
	if c.Code > 0 {
		code = strconv.Itoa(c.Code)
	}
	a.total.WithLabelValues(c.Device, c.Method, code).Inc()
	a.duration.WithLabelValues(c.Device, c.Method).Observe(c.Duration.Seconds())
}
