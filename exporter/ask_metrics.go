package exporter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/exporter/probe"
)

// figures are the series of one probe, all of them gauges.
type figures []prometheus.Metric

// Describe says nothing: which series there are is known when the probe is over.
func (figures) Describe(chan<- *prometheus.Desc) {}

// Collect hands them over.
func (f figures) Collect(out chan<- prometheus.Metric) {
	for _, m := range f {
		out <- m
	}
}

func (f *figures) add(name, help string, value float64) { f.addLabelled(name, help, nil, value) }

func (f *figures) addLabelled(name, help string, labels map[string]string, value float64) {
	names := slices.Sorted(maps.Keys(labels))
	values := make([]string, len(names))
	for i, n := range names {
		values[i] = labels[n]
	}
	desc := prometheus.NewDesc(name, help, names, nil)
	m, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, values...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err) // the answer is an error then
	}
	*f = append(*f, m)
}

// describe gives a result blackbox_exporter's names. Where there is something
// to say only sometimes, it is absent at the same times as there, with the
// exceptions that docs/probing.md tells.
func describe(a *asked, r probe.Result) *figures {
	f := new(figures)
	f.add("probe_success", "Whether the target is up.", flag(r.Up))
	f.add("probe_duration_seconds", "How long the probe took.", r.Duration.Seconds())
	f.add("probe_timeout_seconds", "How long it might have taken.", a.limit.Seconds())
	phases := make(map[string]float64)
	for _, s := range r.Stages {
		phases[s.Name] = s.Duration.Seconds()
	}
	if took, began := phases[probe.StageResolve]; began {
		f.add("probe_dns_lookup_time_seconds", "How long it took to resolve the name.", took)
		f.add("probe_ip_protocol", "Version of the internet protocol that was used: 4 or 6; 0 when the name has no address.", ipVersion(r.IP))
		f.add("probe_ip_addr_hash", "A hash of the address, which changes with it; 0 when the name has none.", ipHash(r.IP))
	}
	if r.Reason != "" {
		f.addLabelled("probe_failure_info", "The stage that failed.", map[string]string{"reason": string(r.Reason)}, 1)
	}
	switch a.module.Prober {
	case "http":
		f.addHTTP(r, phases)
	case "tcp":
		f.addOnce(r, "probe_failed_due_to_regex", "Whether a regular expression on the answer decided.", flag(r.Reason == probe.Body))
	}
	if r.TLS != nil {
		f.addTLS(r.TLS)
	}
	for _, fig := range r.Figures {
		f.addLabelled(fig.Name, fig.Help, fig.Labels, fig.Value)
	}
	return f
}

// addOnce adds what the prober hasn't found itself.
func (f *figures) addOnce(r probe.Result, name, help string, value float64) {
	if !slices.ContainsFunc(r.Figures, func(fig probe.Figure) bool { return fig.Name == name }) {
		f.add(name, help, value)
	}
}

func (f *figures) addHTTP(r probe.Result, phases map[string]float64) {
	h := r.HTTP
	if h == nil { // it came to no request
		h = new(probe.HTTPResult)
	}
	f.add("probe_http_status_code", "Status code of the last answer; 0 without one.", float64(h.Status))
	f.add("probe_http_version", "Version of HTTP of the last answer; 0 without one.", h.Version)
	f.add("probe_http_redirects", "Redirects that were followed.", float64(h.Redirects))
	length := float64(h.ContentLength)
	if h.Status == 0 {
		length = 0
	}
	f.add("probe_http_content_length", "Length of the body as announced; -1 when it was not, 0 without an answer.", length)
	f.add("probe_http_uncompressed_body_length", "Bytes of the body that were read.", float64(h.BodyLength))
	f.add("probe_http_ssl", "Whether the last answer came over TLS.", flag(r.TLS != nil))
	f.add("probe_failed_due_to_regex", "Whether a regular expression on the answer decided.", flag(h.RegexFailed))
	if !h.LastModified.IsZero() {
		f.add("probe_http_last_modified_timestamp_seconds", "The header Last-Modified, in Unix time.", unix(h.LastModified))
	}
	if len(phases) == 0 {
		return
	}
	for _, name := range []string{probe.StageResolve, probe.StageConnect, probe.StageTLS, probe.StageProcessing, probe.StageTransfer} {
		f.addLabelled("probe_http_duration_seconds", "How long each phase took, over all redirects.", map[string]string{"phase": name}, phases[name])
	}
}

func (f *figures) addTLS(t *probe.TLSResult) {
	if !t.EarliestExpiry.IsZero() {
		f.add("probe_ssl_earliest_cert_expiry", "When the first certificate of those presented expires, in Unix time.", unix(t.EarliestExpiry))
	}
	if !t.ChainExpiry.IsZero() {
		f.add("probe_ssl_last_chain_expiry_timestamp_seconds", "When the verified chain that lasts longest expires, in Unix time.", unix(t.ChainExpiry))
	}
	f.addLabelled("probe_tls_version_info", "Version of TLS that was used.", map[string]string{"version": t.Version}, 1)
	if t.Cipher != "" {
		f.addLabelled("probe_tls_cipher_info", "Cipher suite that was used.", map[string]string{"cipher": t.Cipher}, 1)
	}
	c := t.Leaf
	if c == nil {
		return
	}
	sum := sha256.Sum256(c.Raw)
	// Labels must be UTF-8, and a certificate may hold anything.
	text := func(s string) string { return strings.ToValidUTF8(s, "?") }
	f.addLabelled("probe_ssl_last_chain_info", "The certificate that the target presented.", map[string]string{
		"fingerprint_sha256": hex.EncodeToString(sum[:]),
		"subject":            text(c.Subject.String()),
		"issuer":             text(c.Issuer.String()),
		"subjectalternative": text(strings.Join(c.DNSNames, ",")),
		"serialnumber":       fmt.Sprintf("%x", c.SerialNumber.Bytes()),
	}, 1)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.Unix()) }

func ipVersion(ip string) float64 {
	a, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return 0
	case a.Unmap().Is4():
		return 4
	}
	return 6
}

// ipHash is FNV-1a over the bytes of the address.
// Source: blackbox_exporter, prober/utils.go, ipHash.
func ipHash(ip string) float64 {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return 0
	}
	h := fnv.New32a()
	h.Write(a.Unmap().AsSlice())
	return float64(h.Sum32())
}
