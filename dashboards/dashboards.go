// Package dashboards holds the Grafana boards that ship with Sluice, and lists
// the queries in them, so that tests can put each one to a real Prometheus: a
// board that shows nothing looks like a system with nothing wrong.
package dashboards

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"time"
)

// The files are made by "make boards" from dashboards/source.
//
//go:embed *.json
var files embed.FS

// A Query is one query of one panel, as it stands in the board.
type Query struct {
	Board   string // file name, "overview.json"
	Panel   string // title
	Ref     string // refId within the panel
	Expr    string // PromQL with Grafana's variables
	Instant bool   // asks for one moment; else for the board's time range

	chosen map[string]string // values of the board's variables
}

// String says where the query stands.
func (q Query) String() string { return fmt.Sprintf("%s: %s: %s", q.Board, q.Panel, q.Ref) }

// A board is what we read of Grafana's dashboard model.
type board struct {
	Title         string   `json:"title"`
	UID           string   `json:"uid"`
	SchemaVersion int      `json:"schemaVersion"`
	Panels        []panel  `json:"panels"`
	Tags          []string `json:"tags"`
	Links         []struct {
		Type string   `json:"type"`
		Tags []string `json:"tags"`
		URL  string   `json:"url"`
	} `json:"links"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Inputs []struct {
		Name string `json:"name"`
	} `json:"__inputs"`
}

type annotation struct {
	Name       string `json:"name"`
	Expr       string `json:"expr"`
	Datasource source `json:"datasource"`
}

type panel struct {
	ID          int      `json:"id"`
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Datasource  source   `json:"datasource"`
	Targets     []target `json:"targets"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit  string `json:"unit"`
			Links []link `json:"links"`
		} `json:"defaults"`
		Overrides []struct {
			Properties []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Panels []panel `json:"panels"` // of a collapsed row
}

type link struct {
	URL string `json:"url"`
}

type target struct {
	RefID      string `json:"refId"`
	Expr       string `json:"expr"`
	Instant    bool   `json:"instant"`
	Datasource source `json:"datasource"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type variable struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	AllValue   string `json:"allValue"`
	Definition string `json:"definition"`
	Datasource source `json:"datasource"`
	Current    struct {
		Value any `json:"value"`
	} `json:"current"`
}

// read returns every board by its file name.
func read() (map[string]board, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	boards := make(map[string]board, len(names))
	for _, name := range names {
		b, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var d board
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, fmt.Errorf("read board %s: %w", name, err)
		}
		boards[name] = d
	}
	return boards, nil
}

// walk calls visit for each panel, those inside rows included.
func walk(panels []panel, visit func(panel)) {
	for _, p := range panels {
		visit(p)
		walk(p.Panels, visit)
	}
}

// special are the boards about what not everybody has.
var special = []string{"ptaf.json"}

// Queries returns the queries of the boards that show something wherever Sluice
// runs, panel by panel.
func Queries() ([]Query, error) {
	names, err := fs.Glob(files, "*.json") // sorted
	if err != nil {
		return nil, err
	}
	var all []Query
	for _, name := range names {
		if slices.Contains(special, name) {
			continue
		}
		queries, err := Of(name)
		if err != nil {
			return nil, err
		}
		all = append(all, queries...)
	}
	return all, nil
}

// Of returns the queries of one board, such as "ptaf.json".
func Of(name string) ([]Query, error) {
	boards, err := read()
	if err != nil {
		return nil, err
	}
	chosen := boards[name].chosen()
	var queries []Query
	walk(boards[name].Panels, func(p panel) {
		for _, t := range p.Targets {
			queries = append(queries, Query{name, p.Title, t.RefID, t.Expr, t.Instant, chosen})
		}
	})
	return queries, nil
}

// Marks returns the queries of one board's annotations. Most find nothing most
// of the time: they mark what happens.
func Marks(name string) ([]Query, error) {
	boards, err := read()
	if err != nil {
		return nil, err
	}
	var queries []Query
	for _, a := range boards[name].Annotations.List {
		queries = append(queries, Query{Board: name, Panel: "annotations", Ref: a.Name, Expr: a.Expr, chosen: boards[name].chosen()})
	}
	return queries, nil
}

// chosen are the values of variables from the start: one, or what stands for all.
func (b board) chosen() map[string]string {
	chosen := map[string]string{}
	for _, v := range b.Templating.List {
		if value, ok := v.Current.Value.(string); ok {
			chosen[v.Name] = value
		} else {
			chosen[v.Name] = v.AllValue
		}
	}
	return chosen
}

// grafana matches a variable: $name or ${name}. $1 is label_replace's.
var grafana = regexp.MustCompile(`\$(?:\{([a-zA-Z_]\w*)\}|([a-zA-Z_]\w*))`)

// stretches is how many of the intervals of a [Query] the board's time range has.
const stretches = 360

// Resolve puts values in place of Grafana's variables, as Grafana does for a viewer
// who has chosen nothing yet: a variable of the board stands for everything or for
// the value that it has from the start, $__rate_interval and $__interval for the
// given one, $__range for 360 of them. The result can be sent to Prometheus.
func (q Query) Resolve(interval time.Duration) string {
	return grafana.ReplaceAllStringFunc(q.Expr, func(v string) string {
		name := grafana.ReplaceAllString(v, "$1$2")
		switch value, ok := q.chosen[name]; {
		case name == "__rate_interval" || name == "__interval":
			return fmt.Sprintf("%dms", interval.Milliseconds())
		case name == "__range":
			return fmt.Sprintf("%dms", stretches*interval.Milliseconds())
		case name == "__range_s":
			return fmt.Sprintf("%d", int(stretches*interval.Seconds()))
		case ok:
			return value
		default:
			return ".*"
		}
	})
}
