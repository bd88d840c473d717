package alerts_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/alerts/source"
	"github.com/sluice-project/sluice/edge"
)

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
		want := []string{edge.LabelDevice, edge.LabelPool, edge.LabelMember}
		switch r.Alert {
		case "Watchdog":
			want = nil // speaks of nobody
		case "PoolBypass":
			want = want[:2] // a claim without a member is on the pool
		}
		if diff := cmp.Diff(want, keeps(t, r.Expr)); diff != "" {
			t.Errorf("labels that the alert of %s has (-want +got):\n%s", r.Alert, diff)
		}
		for _, m := range metricsIn(t, r.Expr) {
			if !slices.Contains(observed, m) {
				t.Errorf("%s asks for a step by %s, which is none of %v", r.Alert, m, observed)
			}
		}
	}
	if diff := cmp.Diff([]string{"MemberFailing", "PoolBypass", "Watchdog"}, asking); diff != "" {
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
	about := map[string][]string{}
	for _, f := range source.Files() {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				about[r.Alert] = []string{edge.LabelDevice, edge.LabelPool, edge.LabelMember}[:max(0, int(r.About-source.Process))]
			}
		}
	}
	fires, quiet, vanishes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, path := range testFiles(t) {
		var file struct {
			Tests []struct {
				Name   string
				Alerts []struct {
					Name string `yaml:"alertname"`
					Want []struct {
						Labels map[string]string `yaml:"exp_labels"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, path, &file)
		for _, test := range file.Tests {
			for _, a := range test.Alerts {
				if !strings.Contains(test.Name, a.Name) {
					continue // a bystander of a test on another rule
				}
				for _, alert := range a.Want {
					for _, name := range about[a.Name] {
						if alert.Labels[name] == "" {
							t.Errorf("%s: an alert without the label %s", test.Name, name)
						}
					}
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

// noFigures are the alerts that have none to tell.
var noFigures = map[string]bool{
	"PoolBypass":           true, // speaks to the remediator
	"Watchdog":             true, // the same
	"RemediatorStormBrake": true, // how many are too many stands in the remediator's configuration
}

func TestEveryRuleIsExplained(t *testing.T) {
	t.Parallel()
	const runbooks = "https://github.com/sluice-project/sluice/blob/main/alerts/runbooks/"
	sections := headings(t, "../docs/alerts.md")
	seen := map[string]bool{}
	for _, r := range readRules(t) {
		if seen[r.Alert] {
			t.Errorf("%s: two rules with one name", r.Alert)
		}
		seen[r.Alert] = true
		if !slices.Contains([]string{"critical", "warning", "info", "none"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q, want critical, warning, info or none", r.Alert, r.Labels["severity"])
		}
		for _, name := range []string{"summary", "description"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s: no %s", r.Alert, name)
			}
		}
		if !strings.ContainsAny(r.Annotations["description"], "0123456789") && !strings.Contains(r.Annotations["description"], "$value") && !noFigures[r.Alert] {
			t.Errorf("%s: a description without a figure: %s", r.Alert, r.Annotations["description"])
		}
		// The forge tells upper case from lower: TestEachAlertHasItsRunbooks holds the files.
		if want := runbooks + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !slices.Contains(sections, r.Alert) {
			t.Errorf("%s: docs/alerts.md has no section of that name", r.Alert)
		}
	}
}

// headings returns the second-level headings of a Markdown page.
func headings(t *testing.T, path string) []string {
	t.Helper()
	return matches(t, path, regexp.MustCompile("(?m)^## (.+)$"))
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
