package grafana

import "maps"

// Each of these gives a panel that differs in one thing. What a panel holds by
// reference is its own: constructors make it anew, and nobody shares panels.

// Size is how many of the 24 columns and how many lines the panel takes.
func (p Panel) Size(w, h int) Panel {
	p.GridPos.W, p.GridPos.H = w, h
	return p
}

// Colors gives values colours; the first holds below the second's value.
func (p Panel) Colors(lowest string, steps ...Step) Panel {
	p.FieldConfig.Defaults.Thresholds.Steps = append([]Step{{Color: lowest}}, steps...)
	return p
}

// Words shows words for values.
func (p Panel) Words(all ...Word) Panel {
	p.FieldConfig.Defaults.Mappings = words(all)
	return p
}

// Whole shows no decimals.
func (p Panel) Whole() Panel {
	none := 0
	p.FieldConfig.Defaults.Decimals = &none
	return p
}

// UpTo is the highest value of the axis.
func (p Panel) UpTo(v float64) Panel {
	p.FieldConfig.Defaults.Max = &v
	return p
}

// Full marks 1 by a red line, for shares of what is allowed.
func (p Panel) Full() Panel {
	p.FieldConfig.Defaults.Thresholds.Steps = []Step{{Color: "transparent"}, From(1, "red")}
	return p.custom(map[string]any{"thresholdsStyle": map[string]any{"mode": "line"}, "axisSoftMax": 1})
}

// NamesOnly has a stat show the names of its series, uncoloured, in place of values.
func (p Panel) NamesOnly() Panel {
	p.Options["colorMode"], p.Options["textMode"] = "none", "name"
	return p
}

// Named has a stat show a value for each series, and its name.
func (p Panel) Named() Panel {
	p.Options["textMode"], p.Options["wideLayout"] = "value_and_name", false
	return p
}

func (p Panel) custom(of map[string]any) Panel {
	maps.Copy(p.FieldConfig.Defaults.Custom, of)
	return p
}

// Stepped draws what holds until it changes. A count of things has no decimals.
func (p Panel) Stepped() Panel {
	p = p.custom(map[string]any{"lineInterpolation": "stepAfter"})
	if p.FieldConfig.Defaults.Unit == None {
		return p.Whole()
	}
	return p
}

// Filled fills the area below a line.
func (p Panel) Filled(percent int) Panel { return p.custom(map[string]any{"fillOpacity": percent}) }

// Stacked puts series on top of each other.
func (p Panel) Stacked() Panel {
	return p.custom(map[string]any{"stacking": map[string]any{"mode": "normal", "group": "A"}}).Filled(40)
}

// Bars draws bars in place of lines.
func (p Panel) Bars() Panel { return p.custom(map[string]any{"drawStyle": "bars"}) }

// Paint gives one series a colour of its own.
func (p Panel) Paint(series, color string) Panel {
	f := p.FieldConfig
	f.Overrides = append(f.Overrides, Override{Matcher{"byName", series}, []Property{
		{"color", map[string]any{"mode": "fixed", "fixedColor": color}},
	}})
	return p
}

// PaintAll gives all series whose names match a regexp a colour.
func (p Panel) PaintAll(names, color string) Panel {
	f := p.FieldConfig
	f.Overrides = append(f.Overrides, Override{Matcher{"byRegexp", "/" + names + "/"}, []Property{
		{"color", map[string]any{"mode": "fixed", "fixedColor": color}},
	}})
	return p
}

// Many is for a graph of many series: their names alone stand below it, and the
// values in the tooltip, the highest first. A wide one has them beside it, sorted by
// how high they were.
func (p Panel) Many() Panel {
	legend := map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}}
	if p.GridPos.W >= columns/2 {
		legend = map[string]any{"displayMode": "table", "placement": "right", "showLegend": true, "calcs": []string{"max"}, "sortBy": "Max", "sortDesc": true}
	}
	p.Options["legend"] = legend
	return p
}

// Dashed draws lines whose names end so as limits: red, and broken.
func (p Panel) Dashed(ending string) Panel {
	f := p.FieldConfig
	f.Overrides = append(f.Overrides, Override{Matcher{"byRegexp", "/" + ending + "$/"}, []Property{
		{"color", map[string]any{"mode": "fixed", "fixedColor": "red"}},
		{"custom.lineStyle", map[string]any{"fill": "dash", "dash": []int{8, 8}}},
	}})
	return p
}

// Leads links each value of the panel.
func (p Panel) Leads(links ...DataLink) Panel {
	p.FieldConfig.Defaults.Links = append(p.FieldConfig.Defaults.Links, links...)
	return p
}

// LeadsFrom links the values of one column of a table.
func (p Panel) LeadsFrom(column string, links ...DataLink) Panel {
	f := p.FieldConfig
	f.Overrides = append(f.Overrides, Override{Matcher{"byName", column}, []Property{{"links", links}}})
	return p
}

// Without leaves columns out of a table.
func (p Panel) Without(columns ...string) Panel {
	for _, t := range p.Transformations {
		if out, ok := t.Options["excludeByName"].(map[string]bool); ok {
			for _, c := range columns {
				out[c] = true
			}
		}
	}
	return p
}
