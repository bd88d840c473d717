package exporter

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/probe"
)

// defaultAsked is how many probes /probe makes at once where the configuration
// is silent.
const defaultAsked = 200

// Endpoint is the section probe_endpoint: what /probe does for others. Without
// it /probe does nothing, for whoever can ask it probes from where we stand,
// with the credentials of our modules.
type Endpoint struct {
	Allow   []string `yaml:"allow"`                // names, networks, URLs and sockets that may be targets
	Deny    []string `yaml:"deny,omitempty"`       // networks that may not, whatever allow says
	Modules []string `yaml:"modules,omitempty"`    // that may be asked for; left out: all
	Most    int      `yaml:"max_probes,omitempty"` // under way at once, more are answered with 503; left out: defaultAsked

	fence *probe.Fence // set by validate
}

func (p *Endpoint) validate(modules map[string]probe.Module) edge.Mistakes {
	var all edge.Mistakes
	if len(p.Allow) == 0 {
		all.Add("allow", "is missing: write what may be probed, such as '*.example.com' or 192.0.2.0/24")
	}
	fence, wrong := probe.NewFence(p.Allow, p.Deny)
	all.Under("", wrong)
	p.fence = fence
	for i, name := range p.Modules {
		if _, known := modules[name]; !known {
			all.Add(fmt.Sprintf("modules[%d]", i), "there is no module %q: write the name of %s", name, oneOf(modules))
		}
	}
	switch {
	case p.Most < 0:
		all.Add("max_probes", "%d: write how many probes may be under way at once, 1 or more", p.Most)
	case p.Most == 0:
		p.Most = defaultAsked
	}
	return all
}

// offers says whether a module may be asked for.
func (p *Endpoint) offers(name string) bool {
	return len(p.Modules) == 0 || slices.Contains(p.Modules, name)
}

// offered are the modules that /probe serves, in order.
func (c *Config) offered() (names []string) {
	if c.Endpoint == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		if c.Endpoint.offers(name) && c.Modules[name].Unserved() == "" {
			names = append(names, name)
		}
	}
	return names
}

// asURL gives a target the scheme that blackbox_exporter gives it: its prober
// http takes HOST and HOST/PATH.
// Source: blackbox_exporter, prober/http.go, at the start of ProbeHTTP.
func asURL(m probe.Module, target string) string {
	lower := strings.ToLower(target)
	if m.Prober != "http" || strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
		return target
	}
	// What has another scheme gets none in front, and is refused for its own.
	if scheme, _, ok := strings.Cut(target, "://"); ok && !strings.ContainsAny(scheme, "/.:@?#") {
		return target
	}
	return "http://" + target
}
