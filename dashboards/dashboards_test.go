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

func TestBoardsAreImportable(t *testing.T) {
	t.Parallel()
	uids := map[string]string{}
	for name, b := range boards(t) {
		if b.Title == "" || b.UID == "" {
			t.Errorf("%s: title %q, uid %q: want both", name, b.Title, b.UID)
		}
		if other, twice := uids[b.UID]; twice {
			t.Errorf("%s and %s share the uid %s", name, other, b.UID)
		}
		uids[b.UID] = name
		// 39 is Grafana 11. A newer Grafana lifts an older board by itself, an older
		// Grafana refuses none but draws it wrong.
		if b.SchemaVersion < 39 || b.SchemaVersion > 42 {
			t.Errorf("%s: schemaVersion %d, want 39 to 42", name, b.SchemaVersion)
		}
	}
}

func TestEachPanelTakesTheChosenDataSource(t *testing.T) {
	t.Parallel()
	want := source{Type: "prometheus", UID: "${datasource}"}
	for name, b := range boards(t) {
		vars := b.Templating.List
		if len(vars) == 0 || vars[0].Name != "datasource" || vars[0].Type != "datasource" {
			t.Errorf("%s: the first variable isn't the data source", name)
			continue
		}
		for _, v := range vars[1:] {
			if v.Type == "constant" || v.Type == "custom" {
				continue // ask nobody
			}
			if diff := cmp.Diff(want, v.Datasource); diff != "" {
				t.Errorf("%s: variable %s (-want +got):\n%s", name, v.Name, diff)
			}
			// "All" must also match series without the label, such as probes of fixed targets.
			if v.AllValue != ".*" {
				t.Errorf("%s: variable %s: All means %q, want .*", name, v.Name, v.AllValue)
			}
		}
		walk(b.Panels, func(p panel) {
			if p.Type == "row" {
				return
			}
			if diff := cmp.Diff(want, p.Datasource); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", name, p.Title, diff)
			}
			for _, q := range p.Targets {
				if diff := cmp.Diff(want, q.Datasource); diff != "" {
					t.Errorf("%s: %s: %s (-want +got):\n%s", name, p.Title, q.RefID, diff)
				}
			}
		})
	}
}

// units are those of Grafana that our boards need. "none" is a plain count.
var units = []string{"none", "s", "percentunit", "cps", "bytes", "Bps"}

func TestEachPanelSaysWhatItShows(t *testing.T) {
	t.Parallel()
	for name, b := range boards(t) {
		ids, titles := map[int]bool{}, map[string]bool{}
		walk(b.Panels, func(p panel) {
			if ids[p.ID] {
				t.Errorf("%s: two panels with the id %d", name, p.ID)
			}
			ids[p.ID] = true
			if p.Title == "" || titles[p.Title] {
				t.Errorf("%s: panel %d: title %q is empty or taken", name, p.ID, p.Title)
			}
			titles[p.Title] = true
			if p.Type == "row" {
				return
			}
			if p.Description == "" {
				t.Errorf("%s: %s: no description", name, p.Title)
			}
			if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
				t.Errorf("%s: %s: unit %q, want one of %v", name, p.Title, p.FieldConfig.Defaults.Unit, units)
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s: %s asks nothing", name, p.Title)
			}
		})
	}
}

func TestPanelsDontOverlap(t *testing.T) {
	t.Parallel()
	for name, b := range boards(t) {
		taken := map[[2]int]string{}
		for _, p := range b.Panels {
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s: %s doesn't fit the 24 columns: %+v", name, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok {
						t.Fatalf("%s: %s lies over %s", name, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// TestRatesFollowTheZoom: a fixed window shows gaps when it is shorter than four
// scrapes, and hides peaks when one zooms in.
func TestRatesFollowTheZoom(t *testing.T) {
	t.Parallel()
	rate := regexp.MustCompile(`\b(?:rate|irate|increase)\s*\([^\[]*\[([^\]]*)\]`)
	for _, q := range queries(t) {
		for _, m := range rate.FindAllStringSubmatch(q.Expr, -1) {
			if m[1] != "$__rate_interval" {
				t.Errorf("%v: window %s, want $__rate_interval", q, m[1])
			}
		}
	}
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
	known = append(known, "ALERTS", "process_resident_memory_bytes")
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
		"an interval is the given one":      {`rate(a[$__rate_interval]) + b offset ${__range}`, `rate(a[10000ms]) + b offset 10000ms`},
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
