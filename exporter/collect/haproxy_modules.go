package collect

import (
	"strings"

	"github.com/sluice-project/sluice/exporter/promtext"
)

// extraSteps are the counters of HAProxy's modules (h1_, h2_, ssl_, ...): all
// columns behind the one that is called "-". Which there are depends on version
// and build. Source: facts 2.1.
func (p *page) extraSteps(o haproxyObject, rows *promtext.Rows, names []string) (steps []step) {
	from := len(names)
	for i, n := range names {
		if n == "-" {
			from = i + 1
			break
		}
	}
	for i := from; i < len(names); i++ {
		if names[i] == "" || strings.Trim(names[i], "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			continue
		}
		name := "haproxy_" + o.name + "_" + names[i]
		if p.has(name) {
			f := p.sheet.Family(name, moduleKind(names[i]), "Column "+names[i]+" of a module of HAProxy.")
			steps = append(steps, step{field: i, form: plain, column: f.Numbers(rows, promtext.Labels("mod", moduleOf(names[i])))})
		}
	}
	return steps
}

// moduleOf is the name of the module that has a counter, which is the label mod
// in HAProxy's own exporter. A column begins with it, but for three of HTTP/3's.
// Source: HAProxy 3.0 to 3.5, /metrics?extra-counters beside "show stat".
func moduleOf(column string) string {
	switch module, _, _ := strings.Cut(column, "_"); module {
	case "pack", "qpack": // "pack" is HAProxy's own slip
		return "h3"
	default:
		return module
	}
}

// moduleKind is what a module's counter really is. HAProxy's own exporter calls
// them all counters, those of open connections and streams too: its comparison
// with the kind never holds. Source: seen in 3.0 to 3.5.
func moduleKind(column string) promtext.Kind {
	if strings.Contains(column, "_open_") {
		return promtext.Gauge
	}
	return promtext.Counter
}
