package exporter

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sluice-project/sluice/exporter/collect"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// timeoutHeader is how Prometheus says how long it will wait, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

const (
	defaultScrape = 10 * time.Second // where nobody says; Prometheus' own default
	longestScrape = 2 * time.Minute
	longestMargin = 500 * time.Millisecond
)

// scrapeTime is how long devices or targets may take, so that what was found
// still reaches Prometheus in its time: a tenth of it, at most half a second, is
// kept for writing.
func scrapeTime(h http.Header) time.Duration {
	scrape := defaultScrape
	if s, err := strconv.ParseFloat(h.Get(timeoutHeader), 64); err == nil && s > 0 && !math.IsInf(s, 1) {
		scrape = longestScrape
		if s < longestScrape.Seconds() {
			scrape = time.Duration(s * float64(time.Second))
		}
	}
	return scrape - min(scrape/10, longestMargin)
}

// Metrics serves all metrics: of the program, of the probes, and of the devices,
// which are asked now, all at once. A device that doesn't answer in time costs
// its own series and sluice_device_up 0. The URL's parameters cut what devices
// say; see [collect.ParseCut].
func (e *Exporter) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, cut, ok := parameters(w, r)
		if !ok {
			return
		}
		own, err := e.registry.Gather()
		if err != nil { // what could be gathered is served all the same
			level.Error(e.logger).Log("msg", "own metrics", "err", err)
		}
		probes := promtext.NewSheet()
		writeProbes(probes, e.scheduler.Status())
		e.scrape(w, r, promtext.Page{Gathered: own, Sheets: []*promtext.Sheet{probes}}, e.generation().devices, cut)
	})
}

// parameters reads those of a scrape, or answers why they can't be read.
func parameters(w http.ResponseWriter, r *http.Request) (q url.Values, cut collect.Cut, ok bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		cut, err = collect.ParseCut(q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, cut, false
	}
	return q, cut, true
}

// Scrape serves /scrape?device=NAME: what one device says, without the label
// device, for jobs of Prometheus in which each device is a target of its own.
func (e *Exporter) Scrape() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, cut, ok := parameters(w, r)
		if !ok {
			return
		}
		name := q.Get("device")
		devices := e.generation().devices
		i := slices.IndexFunc(devices, func(s *source) bool { return s.Device().Name() == name })
		switch {
		case name == "":
			http.Error(w, "parameter device is missing: want /scrape?device=NAME", http.StatusBadRequest)
			return
		case i < 0:
			http.Error(w, fmt.Sprintf("there is no device %.64q", name), http.StatusNotFound)
			return
		}
		cut.Bare = true
		e.scrape(w, r, promtext.Page{}, devices[i:i+1], cut)
	})
}

// scrape asks the devices and answers with page and what they said.
func (e *Exporter) scrape(w http.ResponseWriter, r *http.Request, page promtext.Page, devices []*source, cut collect.Cut) {
	for _, o := range e.askDevices(r.Context(), scrapeTime(r.Header), devices, cut) {
		page.Sheets = append(page.Sheets, o.Sheet)
	}
	if err := page.Answer(w, r); err != nil {
		level.Debug(e.logger).Log("msg", "scrape was not read to its end", "err", err)
	}
}

// askDevices asks devices, all at once, and notes how that went.
func (e *Exporter) askDevices(ctx context.Context, limit time.Duration, devices []*source, cut collect.Cut) []collect.Outcome {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	collectors := make([]*collect.Collector, len(devices))
	for i, s := range devices {
		collectors[i] = s.Collector
	}
	outcomes := collect.All(ctx, collectors, cut)
	for i, o := range outcomes {
		e.note(devices[i], o.Refused, o.Err, true)
	}
	return outcomes
}

// Gatherer is all that /metrics serves as objects, for embedding and for tests.
// It costs many times what the text does.
func (e *Exporter) Gatherer() prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		own, err := e.registry.Gather()
		if err != nil {
			return nil, err
		}
		probes := promtext.NewSheet()
		writeProbes(probes, e.scheduler.Status())
		page := promtext.Page{Gathered: own, Sheets: []*promtext.Sheet{probes}}
		for _, o := range e.askDevices(context.Background(), defaultScrape, e.generation().devices, collect.Cut{}) {
			page.Sheets = append(page.Sheets, o.Sheet)
		}
		return page.Families()
	})
}
