package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-jsonnet/formatter"

	"github.com/sluice-project/sluice/alerts/source"
)

const mixinWhy = `Sluice's rules as a mixin (monitoring.mixins.dev): change _config, leave out or
add rules, and render prometheusAlerts and prometheusRules.

  local sluice = import 'mixin.libsonnet';
  (sluice { _config+:: { dashboards: 'https://grafana.example.org', errorShare: '0.02' } }).prometheusAlerts

Values are text, as they stand in an expression.`

// mixin is the same rules in Jsonnet, settings by their names.
func mixin(all []source.File) ([]byte, error) {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) } // a buffer takes all
	slashes := func(indent, text string) {
		for line := range strings.SplitSeq(text, "\n") {
			p("%s\n", strings.TrimRight(indent+"// "+line, " "))
		}
	}
	slashes("", mixinWhy+"\n\n"+generated)
	p("{\n  _config+:: {\n")
	for _, s := range source.Settings {
		slashes("    ", s.Why)
		p("    %s: %s,\n", s.Name, quote(s.Value))
	}
	slashes("    ", "How long each alert's expression must hold.")
	p("    'for'+: {\n")
	for _, f := range all {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.For != "" {
					p("      %s: %s,\n", r.Alert, quote(r.For))
				}
			}
		}
	}
	p("    },\n  },\n")
	for _, records := range []bool{false, true} {
		field := "prometheusAlerts"
		if records {
			field = "prometheusRules"
		}
		p("\n  %s+:: {\n    groups+: [\n", field)
		for _, f := range all {
			for _, g := range f.Groups {
				if g.Records() == records {
					writeGroup(p, g)
				}
			}
		}
		p("    ],\n  },\n")
	}
	p("}\n")
	// As jsonnetfmt would have it: that is how mixins are kept.
	out, err := formatter.Format("mixin.libsonnet", b.String(), formatter.DefaultOptions())
	return []byte(out), err
}

func writeGroup(p func(string, ...any), g source.Group) {
	p("      {\n        name: %s,\n", quote(g.Name))
	if g.Interval != "" {
		p("        interval: %s,\n", quote(g.Interval))
	}
	p("        rules: [\n")
	for _, r := range g.Rules {
		p("          {\n")
		if r.Record != "" {
			p("            record: %s,\n            expr: %s,\n          },\n", quote(r.Record), formatted(expression(r)))
			continue
		}
		p("            alert: %s,\n            expr: %s,\n", quote(r.Alert), formatted(expression(r)))
		if r.For != "" {
			p("            'for': $._config['for'].%s,\n", r.Alert)
		}
		p("            labels: {\n              severity: %s,\n", quote(string(r.Severity)))
		if r.Remediation != "" {
			p("              remediation: %s,\n", formatted(r.Remediation))
		}
		p("            },\n            annotations: {\n")
		for _, a := range g.Annotations(r) {
			p("              %s: %s,\n", a[0], formatted(a[1]))
		}
		p("            },\n          },\n")
	}
	p("        ],\n      },\n")
}

// expression ends as the block of a plain file does.
func expression(r source.Rule) string {
	expr := strings.TrimSpace(r.Expr)
	if strings.Contains(expr, "\n") {
		return expr + "\n"
	}
	return expr
}

// formatted is a string that takes in the settings that it names. Every other
// percent sign is doubled, which is how Jsonnet's formatting writes one.
func formatted(text string) string {
	if len(source.Names(text)) == 0 {
		return quote(text)
	}
	const mark = "\x00"
	text = strings.ReplaceAll(text, "%(", mark)
	text = strings.ReplaceAll(text, "%", "%%")
	return quote(strings.ReplaceAll(text, mark, "%(")) + " % $._config"
}

// quote writes a string of Jsonnet: JSON's, which is one, in single quotes.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always can be
		panic(err)
	}
	in := strings.TrimSuffix(b.String(), "\n")
	in = strings.ReplaceAll(in[1:len(in)-1], `\"`, `"`)
	return "'" + strings.ReplaceAll(in, "'", `\'`) + "'"
}
