package grafana

import "strings"

// A Unit is one of Grafana's.
// Source: Grafana, packages/grafana-data/src/valueFormats/categories.ts.
type Unit string

// Units that our boards need. None is a plain count.
const (
	None      Unit = "none"
	Seconds   Unit = "s"
	Share     Unit = "percentunit"
	PerSecond Unit = "cps"
	Requests  Unit = "reqps"
	Bytes     Unit = "bytes"
	BytesRate Unit = "Bps"
	Moment    Unit = "dateTimeAsIsoNoDateIfToday" // of milliseconds since 1970
)

// A Panel is one panel, or a row between panels.
type Panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	Datasource      *Source          `json:"datasource,omitempty"`
	GridPos         Place            `json:"gridPos"`
	Targets         []Target         `json:"targets,omitempty"`
	MaxDataPoints   *int             `json:"maxDataPoints,omitempty"`
	FieldConfig     *Fields          `json:"fieldConfig,omitempty"`
	Options         map[string]any   `json:"options,omitempty"`
	Transformations []Transformation `json:"transformations,omitempty"`
	Links           []PanelLink      `json:"links,omitempty"`
	Collapsed       *bool            `json:"collapsed,omitempty"` // of a row
	Panels          *[]Panel         `json:"panels,omitempty"`    // of a collapsed row
}

// A Place is where a panel stands, in units of Grafana's grid.
type Place struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// A Target is one query of a panel.
type Target struct {
	RefID      string `json:"refId"`
	Datasource Source `json:"datasource"`
	EditorMode string `json:"editorMode"`
	Expr       string `json:"expr"`
	Legend     string `json:"legendFormat"`
	Instant    bool   `json:"instant"`
	Range      bool   `json:"range"`
	Format     string `json:"format,omitempty"`
}

// Fields say how the values of a panel are drawn.
type Fields struct {
	Defaults  Defaults   `json:"defaults"`
	Overrides []Override `json:"overrides"`
}

// Defaults hold for all values of a panel.
type Defaults struct {
	Unit       Unit           `json:"unit"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color"`
	Custom     map[string]any `json:"custom,omitempty"`
	Thresholds Thresholds     `json:"thresholds"`
	Mappings   []Mapping      `json:"mappings"`
	Links      []DataLink     `json:"links,omitempty"`
}

// An Override is what holds for one series or column.
type Override struct {
	Matcher    Matcher    `json:"matcher"`
	Properties []Property `json:"properties"`
}

// A Matcher finds it, by name.
type Matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

// A Property is one thing that is otherwise than in [Defaults].
type Property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

// Thresholds give values colours.
type Thresholds struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// A Step is the colour from a value on; nil is the lowest.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// From is a step that begins at v.
func From(v float64, color string) Step { return Step{color, &v} }

// A Mapping turns values into words.
type Mapping struct {
	Type    string          `json:"type"`
	Options map[string]text `json:"options"`
}

type text struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

// A Word is what stands for a value, and its colour.
type Word struct{ Value, Text, Color string }

// Is is the word that stands for value.
func Is(value, text, color string) Word { return Word{value, text, color} }

func words(all []Word) []Mapping {
	options := make(map[string]text, len(all))
	for i, w := range all {
		options[w.Value] = text{w.Text, w.Color, i}
	}
	return []Mapping{{"value", options}}
}

// A DataLink leads from a value elsewhere.
type DataLink struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	Blank bool   `json:"targetBlank"`
}

// A PanelLink leads from a panel's corner elsewhere.
type PanelLink = DataLink

// A Transformation changes what the queries found before it is drawn.
type Transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// Ask is a query over the time range of the board. Legend names its series.
func Ask(expr, legend string) Target {
	return Target{Datasource: Chosen, EditorMode: "code", Expr: expr, Legend: legend, Range: true}
}

// Now is a query of one moment, for a table.
func Now(expr string) Target {
	return Target{Datasource: Chosen, EditorMode: "code", Expr: expr, Instant: true, Format: "table"}
}

func panel(id int, kind, title, description string, unit Unit, targets []Target) Panel {
	for i := range targets {
		targets[i].RefID = string(rune('A' + i))
	}
	return Panel{
		ID: id, Type: kind, Title: title, Description: description, Datasource: &Chosen, Targets: targets,
		FieldConfig: &Fields{
			Defaults: Defaults{
				Unit: unit, Color: map[string]any{"mode": "thresholds"}, Mappings: []Mapping{},
				Thresholds: Thresholds{"absolute", []Step{{Color: "text"}}},
			},
			Overrides: []Override{},
		},
	}
}

// Row is a line of its own, with a title.
func Row(id int, title string) Panel {
	no := false
	return Panel{ID: id, Type: "row", Title: title, Collapsed: &no, Panels: &[]Panel{}, GridPos: Place{W: columns, H: 1}}
}

// Stat is one large number or word, coloured by [Panel.Colors] or [Panel.Words].
func Stat(id int, title, description string, unit Unit, targets ...Target) Panel {
	p := panel(id, "stat", title, description, unit, targets)
	p.FieldConfig.Defaults.NoValue = "no data"
	p.Options = map[string]any{
		"colorMode": "background", "graphMode": "none", "justifyMode": "center", "orientation": "auto",
		"textMode": "value", "wideLayout": true,
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	return p.Size(8, 3) // as wide as its title at 1000 pixels
}

// quiet is how far an axis reaches at least. Grafana gives zeros an axis up to
// 100, which is 10,000 % of a share.
var quiet = map[Unit]float64{None: 1, PerSecond: 1, Requests: 1, Share: 0.01, Seconds: 0.001}

// Nothing is the name of the series that is there while there is no other. It has
// no place in a legend: its line at 0 says enough.
const Nothing = "none"

// Lines is a graph over time.
func Lines(id int, title, description string, unit Unit, targets ...Target) Panel {
	p := panel(id, "timeseries", title, description, unit, targets)
	zero := 0.0
	d := &p.FieldConfig.Defaults
	d.Min = &zero
	d.Color = map[string]any{"mode": "palette-classic"}
	d.Thresholds.Steps = []Step{{Color: "green"}}
	d.Custom = map[string]any{
		"drawStyle": "line", "lineWidth": 1, "lineInterpolation": "linear", "fillOpacity": 0, "showPoints": "never",
		"spanNulls": false, "axisPlacement": "auto", "axisLabel": "", "stacking": map[string]any{"mode": "none", "group": "A"},
	}
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
		Matcher{"byRegexp", "/^(" + Nothing + "[/: ]*)+$/"},
		[]Property{
			{"custom.hideFrom", map[string]any{"legend": true, "tooltip": true, "viz": false}},
			{"custom.stacking", map[string]any{"mode": "none", "group": "A"}},
			{"color", map[string]any{"mode": "fixed", "fixedColor": "text"}},
		},
	})
	if most, ok := quiet[unit]; ok {
		d.Custom["axisSoftMax"] = most
	}
	p.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{"lastNotNull"}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p.Size(12, 7)
}

// States is a band for each series, in which a value stands as its word.
func States(id int, title, description string, means []Word, targets ...Target) Panel {
	p := panel(id, "state-timeline", title, description, None, targets)
	d := &p.FieldConfig.Defaults
	d.NoValue = "no data"
	d.Mappings = words(means)
	d.Custom = map[string]any{"fillOpacity": 70, "lineWidth": 0, "spanNulls": false, "insertNulls": false}
	p.Options = map[string]any{
		"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.8,
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": map[string]any{"mode": "single", "sort": "none"},
	}
	return p.Size(24, 9)
}

// History is a strip for each series: a cell for each of so many stretches of the
// board's time, coloured by [Panel.Colors]. Its query is asked once a stretch, and
// $__interval is as long as one.
func History(id int, title, description string, unit Unit, stretches int, targets ...Target) Panel {
	p := panel(id, "status-history", title, description, unit, targets)
	p.MaxDataPoints = &stretches
	d := &p.FieldConfig.Defaults
	d.NoValue = "no data"
	d.Custom = map[string]any{"fillOpacity": 70, "lineWidth": 0}
	p.Options = map[string]any{
		"showValue": "never", "rowHeight": 0.8, "colWidth": 0.9,
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "single", "sort": "none"},
	}
	return p.Size(24, 7)
}

// A Column is one column of a table: a label, or "Value #A" for what query A
// found. As is its heading, where that is another.
type Column struct {
	Of, As string
	Words  []Word
	Steps  []Step
	Unit   Unit
	Name   bool // holds names that people gave
	Long   bool // holds addresses or other things of their length
	Wide   bool // holds sentences, or URLs
}

// Table shows a line for each set of labels, with what all queries found of it.
// It is sorted by the column sort, the smallest first, or with a - before it the
// largest; without one it stays as the query sorts it.
func Table(id int, title, description, sort string, columns []Column, targets ...Target) Panel {
	p := panel(id, "table", title, description, None, targets)
	d := &p.FieldConfig.Defaults
	d.NoValue = "-"
	d.Custom = map[string]any{"align": "left", "minWidth": 80, "filterable": true}
	index, names, out := map[string]int{}, map[string]string{}, map[string]bool{"Time": true}
	for i, c := range columns {
		index[c.Of] = i
		name := c.Of
		if c.As != "" {
			name, names[c.Of] = c.As, c.As
		}
		var is []Property
		if c.Unit != "" {
			is = append(is, Property{"unit", c.Unit})
		}
		if c.Name {
			is = append(is, Property{"custom.minWidth", 110})
		}
		if c.Long {
			is = append(is, Property{"custom.width", 150})
		}
		if c.Wide {
			is = append(is, Property{"custom.width", 280})
		}
		if c.Steps != nil {
			is = append(is, Property{"thresholds", Thresholds{"absolute", c.Steps}})
		}
		if c.Words != nil {
			is = append(is, Property{"mappings", words(c.Words)})
		}
		if c.Steps != nil || c.Words != nil {
			is = append(is, Property{"custom.cellOptions", map[string]any{"type": "color-text"}})
		}
		if is != nil {
			p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{Matcher{"byName", name}, is})
		}
	}
	p.Options = map[string]any{"showHeader": true, "cellHeight": "sm"}
	if sort != "" {
		p.Options["sortBy"] = []map[string]any{{"displayName": strings.TrimPrefix(sort, "-"), "desc": strings.HasPrefix(sort, "-")}}
	}
	p.Transformations = []Transformation{
		{"merge", map[string]any{}},
		{"organize", map[string]any{"excludeByName": out, "indexByName": index, "renameByName": names}},
	}
	return p.Size(24, 8)
}
