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
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// A rule is one alerting or recording rule, as Prometheus reads it.
type rule struct {
	Alert       string            `yaml:",omitempty"`
	Record      string            `yaml:",omitempty"`
	Expr        string            `yaml:",omitempty"`
	For         string            `yaml:",omitempty"`
	Labels      map[string]string `yaml:",omitempty"`
	Annotations map[string]string `yaml:",omitempty"`
}

type group struct {
	Name     string
	Interval string
	Rules    []rule
}

// readGroups reads all rule files, in the order of their names.
func readGroups(t *testing.T) []group {
	t.Helper()
	var groups []group
	for _, path := range ruleFiles(t) {
		var file struct{ Groups []group }
		readYAML(t, path, &file)
		if len(file.Groups) == 0 {
			t.Fatalf("%s has no groups", path)
		}
		groups = append(groups, file.Groups...)
	}
	return groups
}

func ruleFiles(t *testing.T) []string { t.Helper(); return glob(t, "*.rules.yml") }

// readRules returns the rules that make alerts.
func readRules(t *testing.T) []rule {
	t.Helper()
	var rules []rule
	for _, g := range readGroups(t) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				rules = append(rules, r)
			}
		}
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

// promtools are the one in PATH and those that SLUICE_PROMTOOL names, separated as
// in PATH: the rules are for Prometheus 2.42 and for the newest. A distribution has
// one of them; set the variable to another for the other.
func promtools() []string {
	return append([]string{"promtool"}, filepath.SplitList(os.Getenv("SLUICE_PROMTOOL"))...)
}

func TestPromtool(t *testing.T) {
	t.Parallel()
	for _, promtool := range promtools() {
		t.Run(promtool+" accepts the rules", func(t *testing.T) {
			t.Parallel()
			run(t, "prometheus", promtool, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles(t)...)...)
		})
		t.Run(promtool+" accepts the example configuration", func(t *testing.T) {
			t.Parallel()
			run(t, "prometheus", promtool, "check", "config", "prometheus.yml")
		})
		t.Run(promtool+" passes the rules' own tests", func(t *testing.T) {
			t.Parallel()
			run(t, "prometheus", promtool, append([]string{"test", "rules"}, testFiles(t)...)...)
		})
	}
}

func testFiles(t *testing.T) []string { t.Helper(); return glob(t, "tests/*.yml") }

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("there is no %s", pattern)
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
		"a bypass is asked of the remediator; people hear of the pool by another alert": {
			[]string{"alertname=PoolBypass", "remediation=bypass", "severity=none", "device=edge1", "pool=shop"}, "sluice,nobody",
		},
		"an alert without a claim reaches people alone": {
			[]string{"alertname=PoolNoMemberServing", "device=edge1", "pool=shop"}, "people",
		},
		"a waiting approval reaches people": {
			[]string{"alertname=SluiceApprovalWaits", "announced_by=sluice", "severity=warning", "device=edge1", "pool=shop", "member=s1"}, "people",
		},
		"a refusal reaches people": {
			[]string{"alertname=SluiceRefused", "announced_by=sluice", "severity=warning", "device=edge1", "pool=shop", "member=s1", "guard=budget"}, "people",
		},
		"a step goes where nobody is woken": {
			[]string{"alertname=SluiceStep", "announced_by=sluice", "severity=info", "device=edge1", "pool=shop", "member=s1"}, "quiet",
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

	if len(file.Route.Routes) != 4 {
		t.Fatalf("%d routes, want 4", len(file.Route.Routes))
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
