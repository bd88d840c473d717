package probe

import "maps"

// A Figure is one more series that a prober found, under blackbox_exporter's
// name for it. All figures of one name in a result have the same label names.
type Figure struct {
	Name, Help string
	Labels     map[string]string // nil: none; what others wrote in values is one line and short
	Value      float64
}

// flag is a yes or no as a figure.
func flag(name, help string, on bool) Figure {
	f := Figure{Name: name, Help: help}
	if on {
		f.Value = 1
	}
	return f
}

// labelled returns f for one more set of label values.
func (f Figure) labelled(value float64, labels map[string]string) Figure {
	f.Value, f.Labels = value, maps.Clone(labels)
	return f
}
