package alerts_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-jsonnet"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/alerts/source"
)

// render evaluates Jsonnet that may import the mixin, and reads groups from it.
func render(t *testing.T, snippet string) []group {
	t.Helper()
	out, err := jsonnet.MakeVM().EvaluateAnonymousSnippet("test.jsonnet", snippet)
	if err != nil {
		t.Fatal(err)
	}
	var groups []group
	if err := yaml.Unmarshal([]byte(out), &groups); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	return groups
}

func byName(groups []group) map[string]group {
	out := map[string]group{}
	for _, g := range groups {
		out[g.Name] = g
	}
	return out
}

const imported = "local sluice = import 'mixin.libsonnet'; "

func TestTheMixinGivesTheSameRules(t *testing.T) {
	t.Parallel()
	got := render(t, imported+"sluice.prometheusRules.groups + sluice.prometheusAlerts.groups")
	if diff := cmp.Diff(byName(readGroups(t)), byName(got)); diff != "" {
		t.Errorf("rules of the mixin (-files +mixin):\n%s", diff)
	}
	for _, g := range render(t, imported+"sluice.prometheusRules.groups") {
		for _, r := range g.Rules {
			if r.Alert != "" {
				t.Errorf("%s is under prometheusRules", r.Alert)
			}
		}
	}
}

// TestTheMixinIsMixedIn uses it as others do: with settings of their own, and
// beside another mixin.
func TestTheMixinIsMixedIn(t *testing.T) {
	t.Parallel()
	groups := render(t, imported+`
		({ prometheusAlerts+:: { groups+: [{ name: 'other', rules: [] }] } } + sluice {
			_config+:: { errorShare: 0.25, dashboards: 'https://boards.example.com', 'for'+: { HAProxyBackendErrorRateHigh: '1m' } },
		}).prometheusAlerts.groups`)
	if _, ok := byName(groups)["other"]; !ok {
		t.Error("the groups of another mixin are gone")
	}
	for _, r := range byName(groups)["sluice-haproxy"].Rules {
		if r.Alert != "HAProxyBackendErrorRateHigh" {
			continue
		}
		if strings.Count(r.Expr, "> 0.25") != 2 || r.For != "1m" ||
			!strings.Contains(r.Annotations["description"], "0.25") || !strings.HasPrefix(r.Annotations["dashboard_url"], "https://boards.example.com/d/") {
			t.Errorf("settings have no effect: %+v", r)
		}
		return
	}
	t.Error("there is no HAProxyBackendErrorRateHigh")
}

func TestTheManifestHasTheSameRules(t *testing.T) {
	t.Parallel()
	var manifest struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       struct{ Groups []group }
	}
	readYAML(t, "prometheusrule.yml", &manifest)
	if manifest.APIVersion != "monitoring.coreos.com/v1" || manifest.Kind != "PrometheusRule" {
		t.Errorf("it is a %s of %s", manifest.Kind, manifest.APIVersion)
	}
	if diff := cmp.Diff(byName(readGroups(t)), byName(manifest.Spec.Groups)); diff != "" {
		t.Errorf("rules of the manifest (-files +manifest):\n%s", diff)
	}
}

// TestEverySettingIsUsed: a setting without effect is a promise that isn't kept.
func TestEverySettingIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, f := range source.Files() {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				for _, name := range source.Names(fmt.Sprint(r, g.Annotations(r))) {
					used[name] = true
				}
			}
		}
	}
	for _, s := range source.Settings {
		if !used[s.Name] {
			t.Errorf("nothing uses %s", s.Name)
		}
	}
	// And in the mixin each value reaches a rule, and each "for" its alert.
	groups := render(t, imported+`
		local other = sluice { _config+:: {
			[name]: 'other-' + name
			for name in std.objectFields(sluice._config) if name != 'for'
		} + { 'for': { [alert]: '77m' for alert in std.objectFields(sluice._config['for']) } } };
		other.prometheusRules.groups + other.prometheusAlerts.groups`)
	for _, s := range source.Settings {
		if !strings.Contains(fmt.Sprint(groups), "other-"+s.Name) {
			t.Errorf("_config.%s of the mixin has no effect", s.Name)
		}
	}
	for _, g := range readGroups(t) {
		for i, r := range g.Rules {
			if got := byName(groups)[g.Name].Rules[i]; r.For != "" && got.For != "77m" || r.For == "" && got.For != "" {
				t.Errorf("with 77m for all of _config['for'] %s has %q", r.Alert, got.For)
			}
		}
	}
	if _, err := source.Expand("%(nothing)s"); err == nil {
		t.Error("a setting that isn't there goes unnoticed")
	}
}

// TestBoardsOfTheRulesExist: a link to nowhere costs time when there is none.
func TestBoardsOfTheRulesExist(t *testing.T) {
	t.Parallel()
	var uids []string
	for _, path := range glob(t, "../dashboards/*.json") {
		var board struct{ UID string }
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(b, &board); err != nil { // JSON is YAML
			t.Fatal(err)
		}
		uids = append(uids, board.UID)
	}
	for _, r := range readRules(t) {
		url := r.Annotations["dashboard_url"]
		path, found := strings.CutPrefix(url, "https://grafana.example.com/d/")
		uid, _, _ := strings.Cut(path, "?")
		if !found || !slices.Contains(uids, uid) {
			t.Errorf("%s: dashboard_url %s is none of the boards %v", r.Alert, url, uids)
		}
	}
}
