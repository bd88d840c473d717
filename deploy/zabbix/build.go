package main

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

const (
	group    = "Templates/Applications" // one of Zabbix' own
	runbooks = "https://github.com/sluice-project/sluice/blob/main/alerts/runbooks/"
	kept     = "7d" // history and what is no longer discovered
)

// uuid is made of what a thing is and is called, so that it stays what it is:
// Zabbix knows by it which of its things an import replaces. It wants version 4,
// without dashes. Source: Zabbix documentation 6.0, "Template development".
func uuid(kind, name string) string {
	sum := sha256.Sum256([]byte("sluice zabbix " + kind + "\x00" + name))
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x", sum[:16])
}

// A builder fills one template.
type builder struct {
	Template
	part     string // exporter or remediator: the second word of all keys
	rules    []*Rule
	triggers []Trigger
}

func build(part, description string) *builder {
	name := "Sluice " + part + " by HTTP"
	return &builder{part: part, Template: Template{
		UUID: uuid("template", name), Template: name, Name: name, Description: description,
		Groups: []Group{{Name: group}},
		Tags:   []Tag{{"class", "software"}, {"target", "sluice"}},
	}}
}

// key is that of an item: sluice.exporter.NAME, of a prototype with the macros
// that tell its kind apart.
func (b *builder) key(name string, macros ...string) string {
	key := "sluice." + b.part + "." + name
	if len(macros) > 0 {
		key += `["` + strings.Join(macros, `","`) + `"]`
	}
	return key
}

// master is the item that fetches /metrics. Its text isn't kept.
func (b *builder) master() {
	prefix := "{$SLUICE." + strings.ToUpper(b.part) + "."
	b.Items = append(b.Items, Item{
		UUID: uuid("item", b.key("metrics")), Name: "Sluice " + b.part + ": /metrics", Type: "HTTP_AGENT", Key: b.key("metrics"),
		Delay: "{$SLUICE.INTERVAL}", History: "0", Trends: "0", ValueType: "TEXT",
		Authtype: "BASIC", Username: prefix + "USER}", Password: prefix + "PASSWORD}",
		Description: "All that this program counts, in Prometheus' text form. The other items are read out of it.",
		Timeout:     "{$SLUICE.TIMEOUT}", URL: prefix + "URL}", VerifyPeer: "YES", VerifyHost: "YES",
		Tags: []Tag{{"component", "raw"}},
	})
}

// An item's kind of value, with its unit.
type kind struct{ valueType, units, valuemap string }

var (
	number  = kind{}
	text    = kind{valueType: "CHAR"}
	seconds = kind{valueType: "FLOAT", units: "s"}
	rate    = kind{valueType: "FLOAT"}
	moment  = kind{units: "unixtime"}
	yes     = kind{valuemap: "Sluice: yes or no"}
	good    = kind{valuemap: "Sluice: probe"}
	up      = kind{valuemap: "Sluice: device"}
)

// item is one that is read out of the master.
func (b *builder) item(name, component, title string, k kind, about string, steps ...Step) Item {
	return b.dependent(b.key(name), "Sluice "+b.part+": "+title, component, k, about, steps)
}

func (b *builder) dependent(key, title, component string, k kind, about string, steps []Step) Item {
	it := Item{
		UUID: uuid("item", key), Name: title, Type: "DEPENDENT", Key: key, Delay: "0", History: kept,
		ValueType: k.valueType, Units: k.units, Description: about, Preprocessing: steps,
		Master: &Keyed{b.key("metrics")}, Tags: []Tag{{"component", component}},
	}
	if k.valueType == "CHAR" {
		it.Trends = "0" // words have none
	}
	if k.valuemap != "" {
		it.Valuemap = &Named{k.valuemap}
	}
	return it
}

func (b *builder) add(items ...Item) { b.Items = append(b.Items, items...) }

// value is that of the one series that the pattern finds.
func value(pattern string) Step {
	return Step{Type: "PROMETHEUS_PATTERN", Parameters: []string{pattern, "value", ""}}
}

// label is the value of a label of the one series that the pattern finds.
func label(pattern, name string) Step {
	return Step{Type: "PROMETHEUS_PATTERN", Parameters: []string{pattern, "label", name}}
}

// over puts all series that the pattern finds together: sum, min, max or count.
func over(function, pattern string) Step {
	return Step{Type: "PROMETHEUS_PATTERN", Parameters: []string{pattern, "function", function}}
}

// orZero is for series that are absent while there is nothing to count.
func orZero(s Step) Step {
	s.ErrorHandler, s.ErrorHandlerParams = "CUSTOM_VALUE", "0"
	return s
}

// orNothing is for series that are absent while nobody knows: the item then gets
// no value, and Zabbix doesn't call it broken.
func orNothing(s Step) Step {
	s.ErrorHandler = "DISCARD_VALUE"
	return s
}

// each turns a counter into its rate. Zabbix leaves out the moment at which the
// counter begins anew.
func each() Step { return Step{Type: "CHANGE_PER_SECOND", Parameters: []string{""}} }

// changed stores a value when it is another, and once an hour.
func changed() Step {
	return Step{Type: "DISCARD_UNCHANGED_HEARTBEAT", Parameters: []string{"1h"}}
}

// discover finds things by the series of a pattern. The macros are named after
// the labels; things that several series tell of are found once.
func (b *builder) discover(name, title, about, pattern string, labels ...string) *Rule {
	key := b.key("discovery." + name)
	r := &Rule{
		UUID: uuid("rule", key), Name: title, Type: "DEPENDENT", Key: key, Delay: "0", Lifetime: kept, Description: about,
		Master:        &Keyed{b.key("metrics")},
		Preprocessing: []Step{{Type: "PROMETHEUS_TO_JSON", Parameters: []string{pattern}}, once(labels)},
	}
	var conditions []Condition
	for _, l := range labels {
		macro := lld(l)
		r.Paths = append(r.Paths, Path{macro, "$." + l})
		if l == "device" || l == "pool" {
			conditions = append(conditions, Condition{macro, "{$SLUICE." + strings.ToUpper(l) + ".MATCHES}", string(rune('A' + len(conditions)))})
		}
	}
	if len(conditions) > 0 {
		r.Filter = &Filter{Conditions: conditions}
		if len(conditions) > 1 {
			r.Filter.EvalType = "AND"
		}
	}
	b.rules = append(b.rules, r)
	return r
}

// once leaves one row for each set of labels, for two rows that make one key are an
// error to Zabbix.
func once(labels []string) Step {
	return Step{Type: "JAVASCRIPT", Parameters: []string{`var seen = {}, rows = [];
JSON.parse(value).forEach(function (series) {
	var row = {};
	['` + strings.Join(labels, "', '") + `'].forEach(function (name) {
		row[name] = series.labels[name] || '';
	});
	var id = JSON.stringify(row);
	if (!seen[id]) {
		seen[id] = true;
		rows.push(row);
	}
});
return JSON.stringify(rows);`}}
}

func lld(label string) string { return "{#" + strings.ToUpper(label) + "}" }

// of is a pattern for the series of one thing that was discovered.
func of(metric string, labels []string, more ...string) string {
	var parts []string
	for _, l := range labels {
		parts = append(parts, l+`="`+lld(l)+`"`)
	}
	return metric + "{" + strings.Join(append(parts, more...), ",") + "}"
}

// prototype is an item of each thing that a rule discovers.
func (b *builder) prototype(r *Rule, labels []string, name, component, title string, k kind, about string, steps ...Step) {
	macros := make([]string, len(labels))
	for i, l := range labels {
		macros[i] = lld(l)
	}
	r.Items = append(r.Items, b.dependent(b.key(name, macros...), title, component, k, about, steps))
}

// A problem is what a trigger tells.
type problem struct {
	alert    string // name of the rule in alerts/ that says the same; empty: none does
	priority string
	name     string
	about    string
	expr     string // /KEY stands for an item of this template: last(/up) is last(/TEMPLATE/sluice.PART.up)
}

func (b *builder) trigger(p problem, macros ...string) Trigger {
	t := Trigger{
		Expression: b.expression(p.expr, macros), Name: p.name, Priority: p.priority, Description: p.about,
		Tags: []Tag{{"scope", scopes[p.priority]}},
	}
	t.UUID = uuid("trigger", b.part+" "+p.name)
	if p.alert != "" {
		t.URL = runbooks + p.alert + ".md"
		t.Tags = append(t.Tags, Tag{"alert", p.alert})
	}
	return t
}

var scopes = map[string]string{"INFO": "notice", "WARNING": "performance", "AVERAGE": "availability", "HIGH": "availability", "DISASTER": "availability"}

// expression puts whole keys in the place of short ones.
func (b *builder) expression(short string, macros []string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(short, "(/")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := strings.IndexAny(after, ",)")
		out.WriteString("(/" + b.Name + "/" + b.key(after[:end], macros...))
		short = after[end:]
	}
}

func (b *builder) problem(p problem) { b.triggers = append(b.triggers, b.trigger(p)) }

func (b *builder) problemOf(r *Rule, labels []string, p problem) {
	macros := make([]string, len(labels))
	for i, l := range labels {
		macros[i] = lld(l)
	}
	r.Triggers = append(r.Triggers, b.trigger(p, macros...))
}

// common is what both programs have, and what both templates let users set.
func (b *builder) common(address, down string) {
	b.master()
	b.add(
		b.item("version", "program", "version", text, "What runs there.", label("sluice_build_info", "version"), changed()),
		b.item("config", "program", "configuration file is good", yes, "Whether the last reading of the configuration file was without mistakes.",
			value("sluice_config_last_reload_successful")),
	)
	title := "Sluice " + b.part
	b.problem(problem{down, "HIGH", title + " gives no answer", "Zabbix gets no metrics from it. The item /metrics says why.", "nodata(/config,{$SLUICE.NODATA})=1"})
	b.problem(problem{
		"ConfigReloadFailed", "WARNING", title + " refused its configuration file",
		"It goes on with the configuration it had; a restart would fail.", "max(/config,1m)=0",
	})

	prefix := "{$SLUICE." + strings.ToUpper(b.part) + "."
	b.Macros = append(b.Macros,
		Macro{Macro: prefix + "URL}", Value: address, Description: "Where its /metrics are."},
		Macro{Macro: prefix + "USER}", Description: "Name for it, where it asks for one. Any will do where it doesn't."},
		Macro{Macro: prefix + "PASSWORD}", Type: "SECRET_TEXT", Description: "Password to that name."},
		Macro{Macro: "{$SLUICE.INTERVAL}", Value: "15s", Description: "How often to ask."},
		Macro{Macro: "{$SLUICE.TIMEOUT}", Value: "10s", Description: "How long to wait for the answer."},
		Macro{Macro: "{$SLUICE.NODATA}", Value: "1m", Description: "How long without any answer is a problem. More than two intervals, 30s at least."},
		Macro{Macro: "{$SLUICE.DEVICE.MATCHES}", Value: ".*", Description: "Devices to discover, a regular expression."},
		Macro{Macro: "{$SLUICE.POOL.MATCHES}", Value: ".*", Description: "Pools to discover, a regular expression."},
	)
}

func (b *builder) maps(names ...string) {
	words := map[string][2]string{
		yes.valuemap:  {"no", "yes"},
		good.valuemap: {"bad", "good"},
		up.valuemap:   {"unreachable", "up"},
	}
	for _, n := range names {
		b.Valuemaps = append(b.Valuemaps, Valuemap{
			UUID: uuid("valuemap", b.part+" "+n), Name: n, Mappings: []Mapping{{"0", words[n][0]}, {"1", words[n][1]}},
		})
	}
}
