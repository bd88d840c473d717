package alerts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/alerts/source"
)

// A kind is something that each rule must bear, and how a test of it is known.
type kind struct {
	name string
	of   func(ruleTest, string) bool
}

// A ruleTest is one of promtool's.
type ruleTest struct {
	Name   string
	Series []struct{ Series, Values string } `yaml:"input_series"`
	Alerts []struct {
		Name string   `yaml:"alertname"`
		Want []exists `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
	Queries []struct {
		Expr string
		Want []struct{ Labels string } `yaml:"exp_samples"`
	} `yaml:"promql_expr_test"`
}

type exists struct {
	Labels map[string]string `yaml:"exp_labels"`
}

var matrix = []kind{
	{"fires", func(t ruleTest, alert string) bool { return slices.Max(t.counts(alert)) > 0 }},
	{"doesn't fire", func(t ruleTest, alert string) bool { return slices.Min(t.counts(alert)) == 0 }},
	{"two of a kind have labels of their own", func(t ruleTest, alert string) bool {
		return slices.Max(t.counts(alert)) > 1 && strings.Contains(t.Name, "labels")
	}},
	{"gap", func(t ruleTest, _ string) bool { return strings.Contains(t.Name, "gap") && t.someValue(missing) }},
	{"maintenance", func(t ruleTest, _ string) bool {
		return strings.Contains(t.Name, "maintenance") && slices.ContainsFunc(t.Series, func(s struct{ Series, Values string }) bool {
			return strings.Contains(s.Series, "sluice_maintenance_active") || strings.Contains(strings.ToLower(s.Series), "maint")
		})
	}},
	{"stale series", func(t ruleTest, _ string) bool {
		return (strings.Contains(t.Name, "stale") || strings.Contains(t.Name, "vanish")) && t.someValue(stale)
	}},
	{"reload", func(t ruleTest, _ string) bool { return strings.Contains(t.Name, "reload") && t.someValue(restarted) }},
}

// exempt are cells that need no test, with their reasons.
func exempt(r source.Rule, group, kind string) string {
	switch {
	case r.Alert == "Watchdog" && kind != "fires":
		return "it fires always and rests on no series"
	case kind != "maintenance":
		return ""
	case r.About == source.Process || r.About == source.Target || r.About == source.Device:
		return "it says nothing of members"
	case group == "sluice-remediator":
		return "it tells of Sluice's own work, which a window doesn't make right"
	}
	return ""
}

// TestEveryRuleBearsEverything: a cell of the matrix without a test is a promise
// that nobody keeps.
func TestEveryRuleBearsEverything(t *testing.T) {
	t.Parallel()
	tested := map[string]map[string]bool{}
	for _, path := range testFiles(t) {
		var file struct{ Tests []ruleTest }
		readYAML(t, path, &file)
		for _, test := range file.Tests {
			for _, alert := range test.alerts() {
				if tested[alert] == nil {
					tested[alert] = map[string]bool{}
				}
				for _, k := range matrix {
					tested[alert][k.name] = tested[alert][k.name] || k.of(test, alert)
				}
			}
		}
	}
	for _, f := range source.Files() {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue
				}
				for _, k := range matrix {
					why := exempt(r, g.Name, k.name)
					if !tested[r.Alert][k.name] && why == "" {
						t.Errorf("%s: no test of the kind %q", r.Alert, k.name)
					}
				}
			}
		}
	}
}

// alerts are those that a test is about: bystanders aren't in its name.
func (t ruleTest) alerts() []string {
	var out []string
	for _, a := range t.Alerts {
		if strings.Contains(t.Name, a.Name) {
			out = append(out, a.Name)
		}
	}
	for _, q := range t.Queries {
		_, rest, found := strings.Cut(q.Expr, `ALERTS{alertname="`)
		name, _, _ := strings.Cut(rest, `"`)
		if found && strings.Contains(t.Name, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// counts are how many of an alert fire, at each time that the test looks.
func (t ruleTest) counts(alert string) []int {
	var out []int
	for _, a := range t.Alerts {
		if a.Name == alert {
			out = append(out, len(a.Want))
		}
	}
	for _, q := range t.Queries {
		if strings.Contains(q.Expr, `ALERTS{alertname="`+alert+`",alertstate="firing"}`) {
			out = append(out, len(q.Want))
		}
	}
	return out
}

func (t ruleTest) someValue(has func([]string) bool) bool {
	return slices.ContainsFunc(t.Series, func(s struct{ Series, Values string }) bool { return has(strings.Fields(s.Values)) })
}

// missing: samples, then none, then some again.
func missing(values []string) bool {
	first := slices.IndexFunc(values, func(v string) bool { return strings.HasPrefix(v, "_") })
	return first > 0 && slices.ContainsFunc(values[first:], func(v string) bool { return !strings.HasPrefix(v, "_") })
}

func stale(values []string) bool { return slices.Contains(values, "stale") }

// restarted: the series ends and comes back, as a program's do, or Prometheus
// can't scrape it for a moment.
func restarted(values []string) bool {
	away := slices.IndexFunc(values, func(v string) bool { return v == "stale" || v == "0" })
	return away > 0 && away < len(values)-1
}
