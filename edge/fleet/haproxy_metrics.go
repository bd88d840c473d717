package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// HAProxyMetrics say which of a HAProxy's metrics are shown, and by which labels.
// What isn't wanted isn't asked of HAProxy where it can leave it out.
type HAProxyMetrics struct {
	// Profile is builtin (names and labels of HAProxy's own exporter; the default),
	// exporter (those of the retired haproxy_exporter, and its families alone) or
	// both (all families, each series with the labels of both).
	Profile string `yaml:"profile,omitempty"`
	// Scope has kinds of objects; left out: all. See [Scopes].
	Scope []string `yaml:"scope,omitempty"`
	// Names has names of metrics that are wanted, and, with a "-" before them, that
	// are not. Where none is wanted by name, all others are.
	Names         []string `yaml:"names,omitempty"`
	Proxies       string   `yaml:"proxies,omitempty"`        // anchored regexp; left out: all
	ExceptProxies string   `yaml:"except_proxies,omitempty"` // anchored regexp; left out: none
	NoMaint       bool     `yaml:"no_maint,omitempty"`       // no servers in maintenance
	ExtraCounters bool     `yaml:"extra_counters,omitempty"` // of HAProxy's modules: h1, h2, ssl, ...
}

// Scopes are the kinds of objects that metrics are about, by the words of HAProxy's own exporter.
var Scopes = []string{"global", "frontend", "listener", "backend", "server", "sticktable"}

// Profiles of labels and names.
const (
	ProfileBuiltin  = "builtin"
	ProfileExporter = "exporter"
	ProfileBoth     = "both"
)

var metricName = regexp.MustCompile(`^-?[a-zA-Z_:][a-zA-Z0-9_:]*$`)

func (h *HAProxyMetrics) validate() (m edge.Mistakes) {
	if all := []string{"", ProfileBuiltin, ProfileExporter, ProfileBoth}; !slices.Contains(all, h.Profile) {
		m.Add("profile", "%q: write %s", h.Profile, "builtin, exporter or both")
	}
	for i, s := range h.Scope {
		if !slices.Contains(Scopes, s) {
			m.Add(fmt.Sprintf("scope[%d]", i), "%q: write one of %s", s, strings.Join(Scopes, ", "))
		}
	}
	for i, n := range h.Names {
		if !metricName.MatchString(n) {
			m.Add(fmt.Sprintf("names[%d]", i), "%q is no name of a metric: write one such as haproxy_server_status, with a - before it to leave it out", n)
		}
	}
	for _, r := range []struct{ key, text string }{{"proxies", h.Proxies}, {"except_proxies", h.ExceptProxies}} {
		_, err := regexp.Compile(r.text)
		if err == nil {
			_, err = regexp.Compile(Anchored(r.text))
		}
		if err != nil {
			m.Add(r.key, "is no regular expression (RE2): %v", err)
		}
	}
	return m
}

// Anchored makes a regular expression match whole names alone. Not each one that
// stands on its own can be: \Q without \E takes in what is put behind it.
func Anchored(text string) string { return "^(?:" + text + ")$" }
