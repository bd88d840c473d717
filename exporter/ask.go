package exporter

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-project/sluice/exporter/probe"
)

// Probe serves /probe?target=&module=: one probe now, answered with
// blackbox_exporter's metrics, for scrape configurations that are written for
// it. A target that is down is no error here.
func (e *Exporter) Probe() http.Handler { return http.HandlerFunc(e.serveProbe) }

func (e *Exporter) serveProbe(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	g := e.generation()
	name, target := q.Get("module"), q.Get("target")
	prober, known := g.probers[name]
	switch {
	case name == "":
		http.Error(w, "parameter module is missing: want /probe?target=TARGET&module=MODULE", http.StatusBadRequest)
		return
	case !known:
		http.Error(w, fmt.Sprintf("there is no module %q", probe.Redact(name)), http.StatusBadRequest)
		return
	case target == "":
		http.Error(w, "parameter target is missing: want /probe?target=TARGET&module=MODULE", http.StatusBadRequest)
		return
	}
	module := g.config.Modules[name]
	// blackbox_exporter takes HOST and HOST/PATH for http://.
	if module.Prober == "http" && !strings.Contains(target, "://") {
		target = "http://" + target
	}
	limit := min(scrapeTime(r.Header), timeout(module))
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	result := prober.Probe(ctx, target)

	reg := prometheus.NewRegistry()
	describe(reg, result, limit)
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// describe fills a registry with blackbox_exporter's names.
func describe(reg *prometheus.Registry, r probe.Result, limit time.Duration) {
	set := func(name, help string, v float64) {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		g.Set(v)
		reg.MustRegister(g)
	}
	set("probe_success", "Whether the target is up.", flag(r.Up))
	set("probe_duration_seconds", "How long the probe took.", r.Duration.Seconds())
	set("probe_timeout_seconds", "How long it might have taken.", limit.Seconds())
	phases := make(map[string]float64)
	for _, s := range r.Stages {
		phases[s.Name] = s.Duration.Seconds()
	}
	set("probe_dns_lookup_time_seconds", "How long it took to resolve the name.", phases[probe.StageResolve])
	if r.IP != "" {
		set("probe_ip_protocol", "Version of the internet protocol that was used: 4 or 6.", ipVersion(r.IP))
	}
	if h := r.HTTP; h != nil {
		describeHTTP(reg, set, h, phases)
		set("probe_http_ssl", "Whether the last answer came over TLS.", flag(r.TLS != nil))
	}
	if r.Reason != "" {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "probe_failure_info", Help: "The stage that failed.",
		}, []string{"reason"})
		g.WithLabelValues(string(r.Reason)).Set(1)
		reg.MustRegister(g)
	}
	if t := r.TLS; t != nil {
		if !t.EarliestExpiry.IsZero() {
			set("probe_ssl_earliest_cert_expiry", "When the first certificate of those presented expires, in Unix time.", unix(t.EarliestExpiry))
		}
		if !t.ChainExpiry.IsZero() {
			set("probe_ssl_last_chain_expiry_timestamp_seconds", "When the verified chain that lasts longest expires, in Unix time.", unix(t.ChainExpiry))
		}
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "probe_tls_version_info", Help: "Version of TLS that was used.",
		}, []string{"version"})
		g.WithLabelValues(t.Version).Set(1)
		reg.MustRegister(g)
	}
}

func describeHTTP(reg *prometheus.Registry, set func(name, help string, v float64), h *probe.HTTPResult, phases map[string]float64) {
	set("probe_http_status_code", "Status code of the last answer; 0 without one.", float64(h.Status))
	set("probe_http_version", "Version of HTTP of the last answer.", h.Version)
	set("probe_http_redirects", "Redirects that were followed.", float64(h.Redirects))
	set("probe_http_content_length", "Length of the body as announced; -1 when it was not.", float64(h.ContentLength))
	set("probe_http_uncompressed_body_length", "Bytes of the body that were read.", float64(h.BodyLength))
	set("probe_failed_due_to_regex", "Whether a regular expression on the answer decided.", flag(h.RegexFailed))
	if !h.LastModified.IsZero() {
		set("probe_http_last_modified_timestamp_seconds", "The header Last-Modified, in Unix time.", unix(h.LastModified))
	}
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "probe_http_duration_seconds", Help: "How long each phase took, over all redirects.",
	}, []string{"phase"})
	for _, name := range []string{probe.StageResolve, probe.StageConnect, probe.StageTLS, probe.StageProcessing, probe.StageTransfer} {
		g.WithLabelValues(name).Set(phases[name])
	}
	reg.MustRegister(g)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.Unix()) }

func ipVersion(ip string) float64 {
	if strings.Contains(ip, ":") {
		return 6
	}
	return 4
}
