package exporter

import (
	"compress/gzip"
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log/level"

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
// its own series and sluice_device_up 0.
func (e *Exporter) Metrics() http.Handler { return http.HandlerFunc(e.serveMetrics) }

func (e *Exporter) serveMetrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), scrapeTime(r.Header))
	defer cancel()
	devices := e.generation().devices
	var collectors []*collect.Collector
	for _, s := range devices {
		collectors = append(collectors, s.Collector)
	}
	outcomes := collect.All(ctx, collectors)
	for i, o := range outcomes {
		e.note(devices[i], o.Look, o.Err, true)
	}
	own, err := e.registry.Gather()
	if err != nil { // what could be gathered is served all the same
		level.Error(e.logger).Log("msg", "own metrics", "err", err)
	}

	w.Header().Set("Content-Type", promtext.ContentType)
	w.Header().Set("Vary", "Accept-Encoding")
	out := io.Writer(w)
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		w.Header().Set("Content-Encoding", "gzip")
		z, _ := gzips.Get().(*gzip.Writer)
		z.Reset(w)
		defer gzips.Put(z)
		defer z.Close() // its error says that the reader went away: nobody is left to tell
		out = z
	}
	text := promtext.New(out)
	text.Gathered(own)
	writeProbes(text, e.scheduler.Status())
	collect.Write(text, outcomes)
	if err := text.Flush(); err != nil {
		level.Debug(e.logger).Log("msg", "scrape was not read to its end", "err", err)
	}
}

// gzips are used again: each has a megabyte of tables.
var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the only error is a wrong level
	return z
}}

// takesGzip reads Accept-Encoding, where "gzip;q=0" is a refusal.
func takesGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err != nil || weight > 0
	}
	return false
}
