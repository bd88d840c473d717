// Package grafana has the part of Grafana's dashboard model that our boards need,
// as types, and places their panels. It knows nothing of what is shown.
//
// Source: Grafana, docs/sources/dashboards/build-dashboards/view-dashboard-json-model,
// and the schema kinds/dashboard/dashboard_kind.cue of version 11.
package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Grafana divides a board into this many columns.
const columns = 24

// schema is that of Grafana 11. A newer Grafana lifts an older board by itself,
// an older Grafana refuses none but draws it wrong.
const schema = 39

// A Source names a data source.
type Source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Chosen is the data source that the viewer has chosen, by the variable datasource.
var Chosen = Source{"prometheus", "${datasource}"}

// A Board is one dashboard.
type Board struct {
	ID            *int         `json:"id"` // null: Grafana's own, found by UID
	UID           string       `json:"uid"`
	Title         string       `json:"title"`
	Description   string       `json:"description"`
	Tags          []string     `json:"tags"`
	SchemaVersion int          `json:"schemaVersion"`
	Version       int          `json:"version"`
	Editable      bool         `json:"editable"`
	GraphTooltip  int          `json:"graphTooltip"` // 1: the cross-hair is in all panels
	Refresh       string       `json:"refresh"`
	Timezone      string       `json:"timezone"`
	Time          Span         `json:"time"`
	Annotations   annotations  `json:"annotations"`
	Links         []BoardLink  `json:"links"`
	Templating    templating   `json:"templating"`
	Panels        []Panel      `json:"panels"`
	Inputs        []Input      `json:"__inputs,omitempty"`
	Requires      []Dependency `json:"__requires,omitempty"`
}

// A Span is the time that a board shows when it is opened.
type Span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type annotations struct {
	List []Annotation `json:"list"`
}

type templating struct {
	List []Variable `json:"list"`
}

// An Annotation marks moments in all panels.
// Source: Grafana, packages/grafana-prometheus/src/annotations.ts.
type Annotation struct {
	Name       string `json:"name"`
	Datasource Source `json:"datasource"`
	Enable     bool   `json:"enable"`
	Color      string `json:"iconColor"`
	Expr       string `json:"expr"`
	Step       string `json:"step"`
	Title      string `json:"titleFormat"`
	Text       string `json:"textFormat"`
	Tags       string `json:"tagKeys"`
}

// A BoardLink stands on top of the board.
type BoardLink struct {
	Type      string   `json:"type"` // dashboards or link
	Title     string   `json:"title"`
	Tags      []string `json:"tags"`
	URL       string   `json:"url"`
	Icon      string   `json:"icon"`
	Tooltip   string   `json:"tooltip"`
	Dropdown  bool     `json:"asDropdown"`
	Time      bool     `json:"keepTime"`
	Variables bool     `json:"includeVars"`
	Blank     bool     `json:"targetBlank"`
}

// A Variable is what a viewer can choose.
type Variable struct {
	Name       string           `json:"name"`
	Label      string           `json:"label"`
	Type       string           `json:"type"` // datasource, query, custom, constant
	Datasource *Source          `json:"datasource,omitempty"`
	Query      any              `json:"query"`
	Definition string           `json:"definition,omitempty"`
	Refresh    int              `json:"refresh,omitempty"`
	Sort       int              `json:"sort,omitempty"`
	Multi      bool             `json:"multi,omitempty"`
	All        bool             `json:"includeAll,omitempty"`
	AllValue   string           `json:"allValue,omitempty"`
	Current    map[string]any   `json:"current"`
	Hide       int              `json:"hide"`
	Regex      string           `json:"regex"`
	Options    []map[string]any `json:"options"`
}

// An Input is what Grafana asks whoever imports a board.
type Input struct {
	Name        string `json:"name"`
	Label       string `json:"label"`
	Description string `json:"description"`
	Type        string `json:"type"`
	PluginID    string `json:"pluginId,omitempty"`
	PluginName  string `json:"pluginName,omitempty"`
	Value       string `json:"value,omitempty"`
}

// A Dependency is what an import needs.
type Dependency struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// DataSource is the variable of the data source. It comes first: others ask it.
func DataSource() Variable {
	return Variable{
		Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1,
		Current: map[string]any{"selected": false, "text": "default", "value": "default"}, Options: []map[string]any{},
	}
}

// Values is a variable with all values of a label, of which one may choose some.
// All is all of them. It is asked anew when the time range changes.
func Values(name, label, definition string) Variable {
	return Variable{
		Name: name, Label: label, Type: "query", Datasource: &Chosen, Definition: definition,
		Query:   map[string]any{"query": definition, "refId": name},
		Refresh: 2, Sort: 1, Multi: true, All: true, AllValue: ".+",
		Current: map[string]any{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
		Options: []map[string]any{},
	}
}

// OrNone is the variable whose All also matches series without the label, such as
// probes of fixed targets, or alerts about the remediator itself.
func (v Variable) OrNone() Variable {
	v.AllValue = ".*"
	return v
}

// Choice is a variable with fixed values, the first of which holds at first.
func Choice(name, label string, values ...string) Variable {
	v := Variable{Name: name, Label: label, Type: "custom", Current: map[string]any{"selected": true, "text": values[0], "value": values[0]}}
	var query bytes.Buffer
	for i, value := range values {
		if i > 0 {
			query.WriteString(",")
		}
		query.WriteString(value)
		v.Options = append(v.Options, map[string]any{"selected": i == 0, "text": value, "value": value})
	}
	v.Query = query.String()
	return v
}

// Constant is a variable that viewers don't see.
func Constant(name, label, value string) Variable {
	return Variable{
		Name: name, Label: label, Type: "constant", Query: value, Hide: 2,
		Current: map[string]any{"selected": true, "text": value, "value": value},
		Options: []map[string]any{{"selected": true, "text": value, "value": value}},
	}
}

// Mark adds annotations.
func (b *Board) Mark(all ...Annotation) {
	for _, a := range all {
		a.Datasource, a.Enable = Chosen, true
		b.Annotations.List = append(b.Annotations.List, a)
	}
}

// Choose adds variables.
func (b *Board) Choose(all ...Variable) { b.Templating.List = append(b.Templating.List, all...) }

// Show places panels below those that are there: each where there is room for
// it, as high up and then as far left as can be. A row lies below all others.
func (b *Board) Show(all ...Panel) {
	var ground [columns]int // first free line of each column
	for _, p := range b.Panels {
		settle(&ground, p.GridPos)
	}
	for _, p := range all {
		best := Place{Y: -1}
		for x := 0; x+p.GridPos.W <= columns; x++ {
			y := 0
			for _, free := range ground[x : x+p.GridPos.W] {
				y = max(y, free)
			}
			if best.Y < 0 || y < best.Y {
				best = Place{x, y, p.GridPos.W, p.GridPos.H}
			}
		}
		p.GridPos = best
		settle(&ground, best)
		b.Panels = append(b.Panels, p)
	}
}

func settle(ground *[columns]int, at Place) {
	for x := at.X; x < at.X+at.W; x++ {
		ground[x] = max(ground[x], at.Y+at.H)
	}
}

// JSON is the board as Grafana reads it from a file (provisioning).
func (b Board) JSON() ([]byte, error) {
	b.SchemaVersion, b.Version, b.Editable, b.GraphTooltip, b.Timezone = schema, 1, true, 1, "browser"
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(b); err != nil {
		return nil, fmt.Errorf("board %s: %w", b.UID, err)
	}
	return out.Bytes(), nil
}

// Import is the board as people import it by hand and as Grafana's catalogue
// wants it: Grafana asks for the data source and for each constant.
func (b Board) Import() Board {
	b.Inputs = []Input{{
		Name: "DS_PROMETHEUS", Label: "Prometheus", Description: "The Prometheus that scrapes Sluice.",
		Type: "datasource", PluginID: "prometheus", PluginName: "Prometheus",
	}}
	b.Requires = []Dependency{
		{"grafana", "grafana", "Grafana", "11.0.0"},
		{"datasource", "prometheus", "Prometheus", "1.0.0"},
	}
	seen := map[string]bool{}
	for _, p := range b.Panels {
		if p.Type != "row" && !seen[p.Type] {
			seen[p.Type] = true
			b.Requires = append(b.Requires, Dependency{"panel", p.Type, p.Type, ""})
		}
	}
	list := make([]Variable, len(b.Templating.List))
	for i, v := range b.Templating.List {
		switch v.Type {
		case "datasource":
			v.Current = map[string]any{"selected": true, "text": "Prometheus", "value": "${DS_PROMETHEUS}"}
		case "constant":
			name := "VAR_" + strings.ToUpper(v.Name)
			b.Inputs = append(b.Inputs, Input{Name: name, Label: v.Label, Description: "", Type: "constant", Value: fmt.Sprint(v.Query)})
			place := "${" + name + "}"
			v.Query = place
			v.Current = map[string]any{"selected": false, "text": place, "value": place}
			v.Options = []map[string]any{{"selected": false, "text": place, "value": place}}
		}
		list[i] = v
	}
	b.Templating.List = list
	return b
}
