package alerts_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/sluice-project/sluice/edge"
)

// others are the metrics that other programs make.
var others = []string{
	"up", // Prometheus' own
	"alertmanager_notifications_failed_total",
	"process_start_time_seconds", // of each of our programs, by Prometheus' client for Go
}

// TestMetricsOfTheRulesExist: a name that nobody makes is a rule that never fires.
// docs/metrics.md is held to what the remediator registers here
// (TestMetricsOfTheRemediatorAreDocumented), and for HAProxy to the collector's
// columns (exporter/collect). The others must stand in what collectors were seen to
// write, or in the program's own text.
func TestMetricsOfTheRulesExist(t *testing.T) {
	t.Parallel()
	documented := matches(t, "../docs/metrics.md", regexp.MustCompile("(?m)^\\| `(\\w+)` \\|"))
	program := programText(t)
	for _, path := range glob(t, "../exporter/collect/testdata/*.prom") {
		collected := matches(t, path, regexp.MustCompile(`(?m)^# TYPE (\w+) `))
		program += `"` + strings.Join(collected, `" "`) + `"`
	}
	var recorded []string
	for _, g := range readGroups(t) {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded = append(recorded, r.Record)
			}
		}
	}
	used := map[string]bool{}
	for _, g := range readGroups(t) {
		for _, r := range g.Rules {
			for _, m := range metricsIn(t, r.Expr) {
				used[m] = true
				if slices.Contains(others, m) || slices.Contains(recorded, m) {
					continue
				}
				m = strings.TrimSuffix(m, "_bucket")
				if !slices.Contains(documented, m) {
					t.Errorf("%s%s uses %s, which docs/metrics.md doesn't list", r.Alert, r.Record, m)
				}
				held := strings.HasPrefix(m, "haproxy_") || strings.HasPrefix(m, "sluice_remediation_")
				if !held && !strings.Contains(program, `"`+m+`"`) {
					t.Errorf("%s%s uses %s, which the program doesn't make", r.Alert, r.Record, m)
				}
			}
		}
	}
	for _, m := range append(slices.Clone(others), recorded...) {
		if !used[m] {
			t.Errorf("no rule uses %s", m)
		}
	}
}

// programText is all Go of the two programs, without tests.
func programText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"../cmd", "../exporter", "../remediator"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			all.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// TestFeedback: HAProxy counts a step that takes a server out, and a person's
// change, as going down (seen on 2.6). A rule on that count would fire by what we
// do, and ask for more of it.
func TestFeedback(t *testing.T) {
	t.Parallel()
	grows := []string{"haproxy_server_check_up_down_total", "haproxy_backend_check_up_down_total"}
	seen := false
	for _, r := range readRules(t) {
		used := metricsIn(t, r.Expr)
		if !slices.ContainsFunc(grows, func(m string) bool { return slices.Contains(used, m) }) {
			continue
		}
		seen = true
		if r.Labels[edge.LabelRemediation] != "" {
			t.Errorf("%s asks for a step by what steps change", r.Alert)
		}
		left := leftOut(t, r.Expr)
		for _, m := range []string{"sluice_member_admin_state", "sluice_remediation_steps_total"} {
			if !slices.Contains(left, m) {
				t.Errorf("%s counts what a step adds: no \"unless\" on %s", r.Alert, m)
			}
		}
	}
	if !seen {
		t.Errorf("no rule uses one of %v", grows)
	}
}

func parse(t *testing.T, expr string) parser.Expr {
	t.Helper()
	parsed, err := parser.ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return parsed
}

// metricsIn returns the metrics that an expression names, sorted.
func metricsIn(t *testing.T, expr string) []string {
	t.Helper()
	return metricsOf(parse(t, expr))
}

func metricsOf(expr parser.Expr) []string {
	var found []string
	for _, matchers := range parser.ExtractSelectors(expr) {
		for _, m := range matchers {
			if m.Name == model.MetricNameLabel {
				found = append(found, m.Value)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// leftOut are the metrics to the right of each "unless".
func leftOut(t *testing.T, expr string) []string {
	t.Helper()
	var found []string
	parser.Inspect(parse(t, expr), func(n parser.Node, _ []parser.Node) error {
		if b, ok := n.(*parser.BinaryExpr); ok && b.Op == parser.LUNLESS {
			found = append(found, metricsOf(b.RHS)...)
		}
		return nil
	})
	return found
}

// keeps returns the labels by which an expression sums up: those that its alert has.
func keeps(t *testing.T, expr string) []string {
	t.Helper()
	e := parse(t, expr)
	for {
		switch x := e.(type) {
		case *parser.BinaryExpr:
			e = x.LHS
		case *parser.ParenExpr:
			e = x.Expr
		case *parser.AggregateExpr:
			if x.Without {
				t.Fatalf("%s: by what it doesn't drop nobody knows what it keeps", expr)
			}
			return x.Grouping
		default:
			return nil
		}
	}
}

func TestKeeps(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string][]string{
		`vector(1)`:                         nil,
		`up == 0`:                           nil,
		`min by (device, pool) (a) == 0`:    {"device", "pool"},
		`(max by (member) (a) > 0) and b`:   {"member"},
		`a unless max by (member) (b) == 1`: nil,
	} {
		if diff := cmp.Diff(want, keeps(t, expr)); diff != "" {
			t.Errorf("labels of %s (-want +got):\n%s", expr, diff)
		}
	}
}
