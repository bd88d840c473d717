package alerts_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	match "github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// given are the labels that Prometheus puts to each series: those of the target,
// and "cluster" where prometheus.yml says so.
var given = []string{"job", "instance", "cluster"}

// foreign are labels of what other programs tell.
var foreign = map[string][]string{
	"alertmanager_notifications_failed_total": {"integration"},
}

// TestLabelsOfTheRulesExist: a matcher on a label that a series doesn't have takes
// nothing or everything, and a sum by one merges what should stay apart. Nobody
// says so at night.
func TestLabelsOfTheRulesExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	has := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		has[m[1]] = strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
		if m[2] == "histogram" {
			has[m[1]+"_bucket"] = append(slices.Clone(has[m[1]]), "le")
		}
	}
	for m, labels := range foreign {
		has[m] = labels
	}
	for _, g := range readGroups(t) {
		for _, r := range g.Rules {
			parser.Inspect(parse(t, r.Expr), func(n parser.Node, _ []parser.Node) error {
				v, ok := n.(*parser.VectorSelector)
				if !ok || v.Name == "up" || strings.Contains(v.Name, ":") {
					return nil
				}
				for _, m := range v.LabelMatchers {
					if m.Name != model.MetricNameLabel && !slices.Contains(has[v.Name], m.Name) && !slices.Contains(given, m.Name) {
						t.Errorf("%s%s asks %s for the label %s; it has %v", r.Alert, r.Record, v.Name, m.Name, has[v.Name])
					}
				}
				return nil
			})
			if left := unknownGrouping(parse(t, r.Expr), has); len(left) > 0 {
				t.Errorf("%s%s sums up by %v, which none of its metrics has", r.Alert, r.Record, left)
			}
		}
	}
}

// unknownGrouping are labels of "by" that no metric below has and no label_replace makes.
func unknownGrouping(expr parser.Expr, has map[string][]string) []string {
	var unknown []string
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		a, ok := n.(*parser.AggregateExpr)
		if !ok || a.Without {
			return nil
		}
		known := slices.Clone(given)
		parser.Inspect(a.Expr, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				known = append(known, has[n.Name]...)
				level, _, recorded := strings.Cut(n.Name, ":") // a record's name begins with its labels
				if recorded {
					known = append(known, strings.Split(level, "_")...)
				}
			case *parser.Call:
				if n.Func.Name == "label_replace" {
					known = append(known, n.Args[1].(*parser.StringLiteral).Val)
				}
			}
			return nil
		})
		for _, l := range a.Grouping {
			if !slices.Contains(known, l) {
				unknown = append(unknown, l)
			}
		}
		return nil
	})
	return unknown
}

// TestValuesOfTheRulesExist: a value that nobody writes is a rule that never fires,
// or, where it should leave something out, one that fires too much.
func TestValuesOfTheRulesExist(t *testing.T) {
	t.Parallel()
	program := programText(t)
	for _, path := range glob(t, "../edge/*/*.go") {
		if b, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(path, "_test.go") {
			program += string(b)
		}
	}
	word := regexp.MustCompile(`^[a-zA-Z_]{2,}$`)
	elsewhere := []string{
		"sluice-exporter", "sluice-remediator", // jobs: prometheus.yml
		"webhook", // Alertmanager's
		"PATCH",   // http.MethodPatch
	}
	for _, g := range readGroups(t) {
		for _, r := range g.Rules {
			parser.Inspect(parse(t, r.Expr), func(n parser.Node, _ []parser.Node) error {
				v, ok := n.(*parser.VectorSelector)
				if !ok {
					return nil
				}
				for _, m := range v.LabelMatchers {
					if m.Name == model.MetricNameLabel {
						continue
					}
					for _, value := range alternatives(m) {
						if word.MatchString(value) && !slices.Contains(elsewhere, value) && !strings.Contains(program, `"`+value+`"`) {
							t.Errorf("%s%s: %s asks for %s=%q, which the program doesn't write", r.Alert, r.Record, v.Name, m.Name, value)
						}
					}
				}
				return nil
			})
		}
	}
}

func alternatives(m *match.Matcher) []string {
	if m.Type == match.MatchEqual || m.Type == match.MatchNotEqual {
		return []string{m.Value}
	}
	return strings.Split(m.Value, "|")
}

// TestAbsenceIsSpokenOf: a rule whose series are gone is silent, so that each
// program and each device has one for its own absence.
func TestAbsenceIsSpokenOf(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"ExporterDown": "up", "RemediatorDown": "up", "DeviceUnreachable": "sluice_device_up",
		"ProbeResultStale": "sluice_probe_success", "RemediatorWatchdogMissing": "sluice_remediation_watchdog_age_seconds",
	}
	for _, r := range readRules(t) {
		if m, ok := want[r.Alert]; ok && slices.Contains(metricsIn(t, r.Expr), m) {
			delete(want, r.Alert)
		}
	}
	for alert, m := range want {
		t.Errorf("nothing like %s watches over %s", alert, m)
	}
}
