package drill

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
	"go.yaml.in/yaml/v3"
)

// A plan is what Alertmanager's configuration says of receivers, as far as it
// matters here. The zero plan knows nothing: the API may be fenced off.
type plan struct {
	receivers map[string]receiver
}

type receiver struct {
	hooks  []hook
	routes []route // that lead the alert to it
}

type hook struct {
	URL          string `yaml:"url"` // <secret> from 0.26 on. Source: Alertmanager's CHANGELOG.md, 0.26.0, "url" of webhook_config
	SendResolved *bool  `yaml:"send_resolved"`
	HTTP         struct {
		BasicAuth     map[string]any `yaml:"basic_auth"`
		Authorization map[string]any `yaml:"authorization"`
		OAuth2        map[string]any `yaml:"oauth2"`
		TLS           map[string]any `yaml:"tls_config"`
	} `yaml:"http_config"`
}

// authenticates says whether it shows who sends.
func (h hook) authenticates() bool {
	return len(h.HTTP.BasicAuth)+len(h.HTTP.Authorization)+len(h.HTTP.OAuth2)+len(h.HTTP.TLS) > 0
}

type route struct {
	Receiver      string            `yaml:"receiver"`
	Matchers      []string          `yaml:"matchers"`
	Match         map[string]string `yaml:"match"`
	MatchRE       map[string]string `yaml:"match_re"`
	Continue      bool              `yaml:"continue"`
	GroupWait     string            `yaml:"group_wait"`
	GroupInterval string            `yaml:"group_interval"`
	Mute          []string          `yaml:"mute_time_intervals"`
	Active        []string          `yaml:"active_time_intervals"`
	Routes        []route           `yaml:"routes"`
}

// takes says whether a route takes an alert with these labels. A matcher that can't
// be read excludes nothing: better one route too many in what is told.
func (r route) takes(alert map[string]string) bool {
	for _, text := range r.Matchers {
		ms, err := labels.ParseMatchers(text)
		if err == nil && slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(alert[m.Name]) }) {
			return false
		}
	}
	for name, value := range r.Match {
		if alert[name] != value {
			return false
		}
	}
	for name, re := range r.MatchRE {
		m, err := labels.NewMatcher(labels.MatchRegexp, name, re)
		if err == nil && !m.Matches(alert[name]) {
			return false
		}
	}
	return true
}

// Defaults of a route. Source: Alertmanager, dispatch/route.go, DefaultRouteOpts.
var defaultRoute = route{GroupWait: "30s", GroupInterval: "5m"}

// plan reads the configuration from the API, for an alert with these labels.
func (a alertmanager) plan(ctx context.Context, alert map[string]string) plan {
	text, err := a.ask(ctx, http.MethodGet, "/api/v2/status", nil)
	if err != nil {
		return plan{}
	}
	var status struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	if json.Unmarshal(text, &status) != nil {
		return plan{}
	}
	return parsePlan(status.Config.Original, alert)
}

// parsePlan reads a configuration for an alert; one that can't be read is no plan.
func parsePlan(text string, alert map[string]string) plan {
	var config struct {
		Route     route `yaml:"route"`
		Receivers []struct {
			Name     string `yaml:"name"`
			Webhooks []hook `yaml:"webhook_configs"`
		} `yaml:"receivers"`
	}
	if yaml.Unmarshal([]byte(text), &config) != nil || len(config.Receivers) == 0 {
		return plan{}
	}
	p := plan{map[string]receiver{}}
	for _, r := range config.Receivers {
		p.receivers[r.Name] = receiver{hooks: r.Webhooks}
	}
	p.walk(config.Route, defaultRoute, alert)
	return p
}

// walk notes each route that the alert ends at, at its receiver and with what it
// inherits: the innermost ones, up to the first without "continue".
// Source: Alertmanager, dispatch/route.go, Route.Match.
func (p plan) walk(r, parent route, alert map[string]string) {
	inherit := func(own *string, from string) {
		if *own == "" {
			*own = from
		}
	}
	inner := false
	inherit(&r.Receiver, parent.Receiver)
	inherit(&r.GroupWait, parent.GroupWait)
	inherit(&r.GroupInterval, parent.GroupInterval)
	for _, child := range r.Routes {
		if !child.takes(alert) {
			continue
		}
		p.walk(child, r, alert)
		if inner = true; !child.Continue {
			break
		}
	}
	if to, ok := p.receivers[r.Receiver]; ok && !inner {
		to.routes = append(to.routes, r)
		p.receivers[r.Receiver] = to
	}
}

// urls are the webhooks of receivers that aren't hidden.
func (p plan) urls(receivers []string) (out []string) {
	for _, n := range receivers {
		for _, h := range p.receivers[n].hooks {
			if strings.HasPrefix(h.URL, "http") {
				out = append(out, h.URL)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bare says whether all webhooks of the receivers are sent without authentication.
func (p plan) bare(receivers []string) bool {
	for _, n := range receivers {
		if slices.ContainsFunc(p.receivers[n].hooks, hook.authenticates) {
			return false
		}
	}
	return true
}

// mute says that the receiver's webhooks don't tell of an end.
func (p plan) mute(receiver string) bool {
	hooks := p.receivers[receiver].hooks
	return len(hooks) > 0 && !slices.ContainsFunc(hooks, func(h hook) bool { return h.SendResolved == nil || *h.SendResolved })
}

// pace is how long the routes to the receivers wait, in words.
func (p plan) pace(receivers []string, of func(route) string) string {
	var out []string
	for _, n := range receivers {
		if len(p.receivers[n].hooks) == 0 {
			continue
		}
		for _, r := range p.receivers[n].routes {
			out = append(out, of(r))
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " or ")
}

// timed says whether a route to the receivers keeps hours.
func (p plan) timed(receivers []string) bool {
	for _, n := range receivers {
		if slices.ContainsFunc(p.receivers[n].routes, func(r route) bool { return len(r.Mute)+len(r.Active) > 0 }) {
			return true
		}
	}
	return false
}
