package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-project/sluice/exporter/probe"
)

// defaultModule is asked for by who names none. Source: blackbox_exporter,
// prober/handler.go.
const defaultModule = "http_2xx"

// Probe serves /probe?target=&module=&hostname=&debug=true: one probe now,
// answered with blackbox_exporter's metrics, for scrape configurations that are
// written for it. A target that is down is no error here. It is off without the
// section probe_endpoint of the configuration.
func (e *Exporter) Probe() http.Handler { return http.HandlerFunc(e.serveProbe) }

// A refusalError is why /probe makes no probe.
type refusalError struct {
	code int
	why  string
}

func (e *refusalError) Error() string { return e.why }

// An asked is one question to /probe that can be asked.
type asked struct {
	name             string // of the module
	module           probe.Module
	prober           probe.Prober
	own              bool // prober was made for this question
	target, hostname string
	debug            bool
	limit            time.Duration // how long it may take
}

func (e *Exporter) serveProbe(w http.ResponseWriter, r *http.Request) {
	g := e.generation()
	a, err := g.asked(r)
	if err != nil {
		refuse(w, err)
		return
	}
	fence := g.config.Endpoint.fence
	ctx, cancel := context.WithTimeout(r.Context(), a.limit)
	defer cancel()
	ctx, passage := fence.Enter(ctx, a.hostname)
	if err := passage.Refuse(a.module, a.target); err != nil {
		level.Warn(e.logger).Log("msg", "probe refused", "module", a.name, "target", probe.Redact(a.target), "from", r.RemoteAddr, "err", err)
		refuse(w, &refusalError{http.StatusForbidden, err.Error() + ": see probe_endpoint.allow"})
		return
	}
	result, err := e.ask(ctx, a, g.config.Endpoint.Most)
	if err != nil {
		refuse(w, err)
		return
	}
	passage.Judge(&result)
	if result.Reason == probe.Forbidden {
		level.Warn(e.logger).Log("msg", "probe refused", "module", a.name, "target", probe.Redact(a.target), "from", r.RemoteAddr, "err", result.Detail)
	}

	reg := prometheus.NewRegistry()
	reg.MustRegister(describe(a, result))
	if a.debug {
		e.serveDebug(w, g.config, a, result, reg)
		return
	}
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// ask makes the probe, unless most of them are under way.
func (e *Exporter) ask(ctx context.Context, a *asked, most int) (probe.Result, error) {
	defer e.asking.Add(-1)
	if e.asking.Add(1) > int64(most) {
		// An answer with probe_success 0 would say that the target is down.
		return probe.Result{}, &refusalError{http.StatusServiceUnavailable, fmt.Sprintf("%d probes are under way already: see probe_endpoint.max_probes", most)}
	}
	if closer, ok := a.prober.(io.Closer); ok && a.own {
		defer closer.Close() // connections that it keeps, and nobody will use again
	}
	return a.prober.Probe(ctx, a.target), nil
}

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	if r := (*refusalError)(nil); errors.As(err, &r) {
		code = r.code
	}
	http.Error(w, err.Error(), code)
}

// asked reads a question, or says why it can't be asked.
func (g *generation) asked(r *http.Request) (*asked, error) {
	endpoint := g.config.Endpoint
	if endpoint == nil {
		return nil, &refusalError{http.StatusForbidden, "/probe is off: to turn it on, write into the configuration what it may probe, as in probe_endpoint: {allow: ['*.example.com']}"}
	}
	bad := func(format string, args ...any) error {
		return &refusalError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
	}
	q := r.URL.Query()
	a := &asked{name: q.Get("module"), target: q.Get("target"), hostname: q.Get("hostname"), debug: q.Get("debug") == "true"}
	if a.name == "" {
		a.name = defaultModule
	}
	var known bool
	if a.module, known = g.config.Modules[a.name]; !known {
		if q.Get("module") == "" {
			return nil, bad("there is no module %q, which is asked for without the parameter module", defaultModule)
		}
		return nil, bad("there is no module %q", probe.Redact(a.name))
	}
	if !endpoint.offers(a.name) {
		return nil, &refusalError{http.StatusForbidden, fmt.Sprintf("module %q is not on the list of probe_endpoint.modules", a.name)}
	}
	if why := a.module.Unserved(); why != "" {
		return nil, bad("module %q can't be used: %s", a.name, why)
	}
	if a.target == "" {
		return nil, bad("parameter target is missing: want /probe?target=TARGET&module=MODULE")
	}
	a.target = asURL(a.module, a.target)
	a.prober = g.probers[a.name]
	if own, err := a.module.As(a.hostname); err != nil {
		return nil, bad("parameter hostname: %v", err)
	} else if a.hostname != "" || a.prober == nil { // a file that it wants may have come since the configuration was read
		a.own = true
		if a.prober, err = probe.New(own); err != nil {
			return nil, bad("module %q can't be used: %v", a.name, err)
		}
	}
	a.limit = min(askedTime(r.Header), timeout(a.module))
	return a, nil
}

// askedTime is how long a probe may take so that its answer still reaches who
// asks: as for a scrape of the devices, but who doesn't say how long he waits
// has the module's own time.
// Source: blackbox_exporter, prober/handler.go, getTimeout.
func askedTime(h http.Header) time.Duration {
	if s, err := strconv.ParseFloat(h.Get(timeoutHeader), 64); err != nil || s <= 0 || math.IsNaN(s) {
		return longestScrape - longestMargin
	}
	return scrapeTime(h)
}
