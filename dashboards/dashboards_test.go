package dashboards

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
)

func boards(t *testing.T) map[string]board {
	t.Helper()
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("there are no boards")
	}
	return all
}

// queries are those of all boards.
func queries(t *testing.T) []Query {
	t.Helper()
	all, err := Queries()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range special {
		of, err := Of(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(of) == 0 {
			t.Fatalf("%s asks nothing", name)
		}
		all = append(all, of...)
	}
	if len(all) == 0 {
		t.Fatal("the boards ask nothing")
	}
	return all
}

// marks are the queries of all annotations.
func marks(t *testing.T) []Query {
	t.Helper()
	var all []Query
	for name := range boards(t) {
		of, err := Marks(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(of) == 0 {
			t.Errorf("%s marks nothing", name)
		}
		all = append(all, of...)
	}
	return all
}

func TestQueriesUseDocumentedMetrics(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(page), -1) {
		known = append(known, m[1])
		if m[2] == "histogram" {
			known = append(known, m[1]+"_bucket", m[1]+"_sum", m[1]+"_count")
		}
	}
	if len(known) == 0 {
		t.Fatal("docs/metrics.md lists no metrics")
	}
	// Prometheus' own, of its rules; and the library's, of the process.
	known = append(known, "ALERTS", "ALERTS_FOR_STATE", "process_resident_memory_bytes")
	ask := func(where, expr string) {
		var used int
		parser.Inspect(parsed(t, where, expr), func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				used++
				if !slices.Contains(known, v.Name) {
					t.Errorf("%s: %q is not in docs/metrics.md", where, v.Name)
				}
			}
			return nil
		})
		if used == 0 {
			t.Errorf("%s asks for no metric: %s", where, expr)
		}
	}
	for _, q := range append(queries(t), marks(t)...) {
		ask(q.String(), q.Resolve(time.Minute))
	}
	values := regexp.MustCompile(`^label_values\((.+), \w+\)$`)
	for file, b := range boards(t) {
		for _, v := range b.Templating.List {
			if v.Type != "query" {
				continue
			}
			m := values.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Errorf("%s: variable %s: %s isn't label_values of something", file, v.Name, v.Definition)
				continue
			}
			ask(file+": variable "+v.Name, Query{Expr: m[1]}.Resolve(time.Minute))
		}
	}
}

// parsed is the expression, which Prometheus must understand.
func parsed(t *testing.T, where, expr string) parser.Expr {
	t.Helper()
	e, err := parser.ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v: %s", where, err, expr)
	}
	return e
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ expr, want string }{
		"a query without variables stays":   {`sum(a)`, `sum(a)`},
		"a variable of the board means all": {`a{pool=~"$pool",device=~"${device}"}`, `a{pool=~".*",device=~".*"}`},
		"a group of a regexp stays":         {`label_replace(a, "b", "$1", "c", "(.*)")`, `label_replace(a, "b", "$1", "c", "(.*)")`},
		"an interval is the given one":      {`rate(a[$__rate_interval]) + b offset ${__interval}`, `rate(a[10000ms]) + b offset 10000ms`},
		"a range is 360 of them":            {`c[$__range] / $__range_s`, `c[3600000ms] / 3600`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Query{Expr: tt.expr}.Resolve(10*time.Second)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, q := range queries(t) {
		if got := q.Resolve(time.Minute); grafana.MatchString(got) || strings.Contains(got, "${") {
			t.Errorf("%v: a variable is left: %s", q, got)
		}
	}
}
