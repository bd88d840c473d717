// Package alerts_test holds the rules and examples of this folder to what users
// rely on: the real promtool and amtool accept them, each rule has been seen
// to fire, to keep quiet and to lose its series, and no rule asks for a step
// by something that the step changes.
package alerts_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
)

const rulesFile = "sluice.rules.yml"

// A rule is one alerting rule, as Prometheus reads it.
type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func readRules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	readYAML(t, rulesFile, &file)
	var rules []rule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) == 0 {
		t.Fatalf("%s has no rules", rulesFile)
	}
	return rules
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// run runs a real program and returns what it printed. A program that isn't
// there is a failure that names the package to install.
func run(t *testing.T, debianPackage, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed: apt-get install %s", name, debianPackage)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &out, &diagnostics)
	}
	return out.String()
}

func TestPromtool(t *testing.T) {
	t.Parallel()
	t.Run("accepts the rules", func(t *testing.T) {
		t.Parallel()
		run(t, "prometheus", "promtool", "check", "rules", rulesFile)
	})
	t.Run("accepts the example configuration", func(t *testing.T) {
		t.Parallel()
		run(t, "prometheus", "promtool", "check", "config", "prometheus.yml")
	})
	t.Run("passes the rules' own tests", func(t *testing.T) {
		t.Parallel()
		run(t, "prometheus", "promtool", append([]string{"test", "rules"}, testFiles(t)...)...)
	})
}

func testFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("tests/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("tests/ holds no promtool tests")
	}
	return files
}

func TestAmtool(t *testing.T) {
	t.Parallel()
	t.Run("accepts the example configuration", func(t *testing.T) {
		t.Parallel()
		run(t, "prometheus-alertmanager", "amtool", "check-config", "alertmanager.yml")
	})

	for name, tt := range map[string]struct {
		labels []string
		want   string
	}{
		"a claim reaches the remediator and people": {
			[]string{"alertname=MemberFailing", "remediation=drain", "device=edge1", "pool=shop", "member=s1"}, "sluice,people",
		},
		"the Watchdog reaches the remediator and nobody else": {
			[]string{"alertname=Watchdog", "remediation=watchdog"}, "sluice,nobody",
		},
		"an alert without a claim reaches people alone": {
			[]string{"alertname=PoolNoMemberServing", "device=edge1", "pool=shop"}, "people",
		},
		"an empty remediation label is no claim": {
			[]string{"alertname=HostDown", "remediation="}, "people",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, "prometheus-alertmanager", "amtool",
				append([]string{"config", "routes", "test", "--config.file=alertmanager.yml"}, tt.labels...)...)
			if diff := cmp.Diff(tt.want, strings.TrimSpace(got)); diff != "" {
				t.Errorf("receivers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRouteToTheRemediator holds the settings that a lost or late webhook would
// be the price of.
func TestRouteToTheRemediator(t *testing.T) {
	t.Parallel()
	type route struct {
		Receiver       string
		Matchers       []string
		Continue       bool
		GroupBy        []string `yaml:"group_by"`
		GroupWait      string   `yaml:"group_wait"`
		GroupInterval  string   `yaml:"group_interval"`
		RepeatInterval string   `yaml:"repeat_interval"`
	}
	type webhook struct {
		URL          string
		SendResolved *bool `yaml:"send_resolved"`
		MaxAlerts    *int  `yaml:"max_alerts"`
		HTTPConfig   struct {
			FollowRedirects *bool `yaml:"follow_redirects"`
		} `yaml:"http_config"`
	}
	var file struct {
		Route     struct{ Routes []route }
		Receivers []struct {
			Name     string
			Webhooks []webhook `yaml:"webhook_configs"`
		}
	}
	readYAML(t, "alertmanager.yml", &file)

	if len(file.Route.Routes) != 3 {
		t.Fatalf("%d routes, want 3", len(file.Route.Routes))
	}
	wantRoute := route{
		Receiver: "sluice", Matchers: []string{`remediation=~".+"`}, Continue: true,
		GroupBy: []string{"..."}, GroupWait: "0s", GroupInterval: "1s", RepeatInterval: "1m",
	}
	if diff := cmp.Diff(wantRoute, file.Route.Routes[0]); diff != "" {
		t.Errorf("first route (-want +got):\n%s", diff)
	}

	wantWebhook := webhook{URL: "http://127.0.0.1:11011/webhook", SendResolved: new(true), MaxAlerts: new(0)}
	wantWebhook.HTTPConfig.FollowRedirects = new(false)
	for _, r := range file.Receivers {
		switch r.Name {
		case "sluice":
			if diff := cmp.Diff([]webhook{wantWebhook}, r.Webhooks); diff != "" {
				t.Errorf("webhooks of the remediator's receiver (-want +got):\n%s", diff)
			}
		case "nobody":
			if len(r.Webhooks) != 0 {
				t.Errorf("the Watchdog's receiver isn't empty: %+v", r.Webhooks)
			}
		}
	}
}

// observed are the metrics that a step never changes: what the exporter found by
// its own probes and by reading the device.
var observed = []string{
	"sluice_device_up",
	"sluice_probe_duration_seconds",
	"sluice_probe_success",
	"sluice_probe_up",
}

func TestRulesThatAskForAStep(t *testing.T) {
	t.Parallel()
	var asking []string
	for _, r := range readRules(t) {
		policy, asks := r.Labels[edge.LabelRemediation]
		if !asks {
			continue
		}
		asking = append(asking, r.Alert)
		if policy == "" {
			t.Errorf("%s: an empty remediation label asks for nothing", r.Alert)
		}
		for name, value := range r.Labels {
			if strings.Contains(value, "{{") {
				t.Errorf("%s: label %s is a template: %s", r.Alert, name, value)
			}
		}
		for _, name := range []string{edge.LabelDevice, edge.LabelPool, edge.LabelMember} {
			if value, ok := r.Labels[name]; ok {
				t.Errorf("%s: label %s is set to %q, so the one of the series is lost", r.Alert, name, value)
			}
		}
		for _, m := range metricsIn(r.Expr) {
			if !slices.Contains(observed, m) {
				t.Errorf("%s asks for a step by %s, which is none of %v", r.Alert, m, observed)
			}
		}
	}
	if diff := cmp.Diff([]string{"MemberFailing", "Watchdog"}, asking); diff != "" {
		t.Errorf("rules with a remediation label (-want +got):\n%s", diff)
	}
}

func TestMemberFailingIsTheRuleOfTheDesign(t *testing.T) {
	t.Parallel()
	for _, r := range readRules(t) {
		if r.Alert != "MemberFailing" {
			continue
		}
		if want := `min by (device, pool, member) (sluice_probe_up{member!=""}) == 0`; r.Expr != want {
			t.Errorf("expr %s, want %s", r.Expr, want)
		}
		if r.For != "" {
			t.Errorf("for: %s delays a verdict that the probe has already debounced", r.For)
		}
		if r.Labels[edge.LabelRemediation] != "drain" {
			t.Errorf("remediation: %q, want drain", r.Labels[edge.LabelRemediation])
		}
		return
	}
	t.Error("there is no MemberFailing")
}

// TestEveryRuleIsTested asks for three tests of each rule. promtool itself is
// content with none.
func TestEveryRuleIsTested(t *testing.T) {
	t.Parallel()
	fires, quiet, vanishes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, path := range testFiles(t) {
		var file struct {
			Tests []struct {
				Name   string
				Alerts []struct {
					Name string `yaml:"alertname"`
					Want []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, path, &file)
		for _, test := range file.Tests {
			for _, a := range test.Alerts {
				if !strings.Contains(test.Name, a.Name) {
					continue // a bystander of a test on another rule
				}
				fires[a.Name] = fires[a.Name] || len(a.Want) > 0
				quiet[a.Name] = quiet[a.Name] || len(a.Want) == 0
				vanishes[a.Name] = vanishes[a.Name] || strings.Contains(test.Name, "vanish")
			}
		}
	}
	for _, r := range readRules(t) {
		if !fires[r.Alert] {
			t.Errorf("%s: no test in which it fires", r.Alert)
		}
		if !vanishes[r.Alert] {
			t.Errorf("%s: no test in which its series vanish", r.Alert)
		}
		if !quiet[r.Alert] && r.Alert != "Watchdog" { // which has no quiet moment
			t.Errorf("%s: no test in which it doesn't fire", r.Alert)
		}
	}
}

func TestEveryRuleIsExplained(t *testing.T) {
	t.Parallel()
	const page = "https://github.com/sluice-project/sluice/blob/main/docs/alerts.md#"
	runbooks := headings(t, "../docs/alerts.md")
	documented := documentedMetrics(t)
	seen := map[string]bool{}
	for _, r := range readRules(t) {
		if seen[r.Alert] {
			t.Errorf("%s: two rules with one name", r.Alert)
		}
		seen[r.Alert] = true
		if !slices.Contains([]string{"critical", "warning", "none"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q, want critical, warning or none", r.Alert, r.Labels["severity"])
		}
		for _, name := range []string{"summary", "description"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s: no %s", r.Alert, name)
			}
		}
		if want := page + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !slices.Contains(runbooks, r.Alert) {
			t.Errorf("%s: docs/alerts.md has no section of that name", r.Alert)
		}
		for _, m := range metricsIn(r.Expr) {
			if m != "up" && !slices.Contains(documented, m) { // up is Prometheus' own
				t.Errorf("%s uses %s, which docs/metrics.md doesn't list", r.Alert, m)
			}
		}
	}
}

// headings returns the second-level headings of a Markdown page.
func headings(t *testing.T, path string) []string {
	t.Helper()
	return matches(t, path, regexp.MustCompile("(?m)^## (.+)$"))
}

// documentedMetrics returns the names in the tables of docs/metrics.md.
func documentedMetrics(t *testing.T) []string {
	t.Helper()
	return matches(t, "../docs/metrics.md", regexp.MustCompile("(?m)^\\| `(\\w+)` \\|"))
}

// matches returns what the first group of re finds in a file.
func matches(t *testing.T, path string, re *regexp.Regexp) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range re.FindAllSubmatch(b, -1) {
		found = append(found, string(m[1]))
	}
	if len(found) == 0 {
		t.Fatalf("%s: nothing matches %s", path, re)
	}
	return found
}

var (
	// aside is all of an expression that can hold a name but no metric's:
	// strings, selectors, label lists, comments, ranges and offsets.
	aside = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|#.*|\[[^\]]*\]|\boffset\s+\w+`)
	// name is an identifier, and what comes after it when that is a parenthesis.
	name = regexp.MustCompile(`\b[a-zA-Z_:][\w:]*\b(\s*\()?`)
	// words are the operators that look like names.
	words = []string{"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "inf", "nan"}
)

// metricsIn returns the metrics that an expression of PromQL names, sorted. It
// sees what our own rules use, not the whole language.
func metricsIn(expr string) []string {
	var found []string
	for _, m := range name.FindAllStringSubmatch(aside.ReplaceAllString(expr, " "), -1) {
		isWord := slices.Contains(words, strings.ToLower(strings.TrimRight(m[0], " \n\t(")))
		if isWord || m[1] != "" { // a word, or a function or aggregation
			continue
		}
		found = append(found, m[0])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestMetricsIn(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string][]string{
		`vector(1)`: nil,

		"# about b\na and (c or d)":               {"a", "c", "d"},
		`sum by (x) (up == 0 unless up{job="y"})`: {"up"},

		`min by (device, pool) (sluice_probe_up{member!=""}) == 0`:                  {"sluice_probe_up"},
		`sum(rate(a_total[5m])) by (x) / on (x) group_left (y) (b offset 5m) > 0.5`: {"a_total", "b"},
		`label_replace(a > 0, "pool", "$1", "proxy", "(b)") unless on (pool) c`:     {"a", "c"},
	} {
		if diff := cmp.Diff(want, metricsIn(expr)); diff != "" {
			t.Errorf("metrics in %s (-want +got):\n%s", expr, diff)
		}
	}
}
