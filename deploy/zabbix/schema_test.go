package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// What Zabbix documents of its export format, for the parts that we use.
// Source: Zabbix documentation 6.0, "Configuration export/import", "Templates", and
// "Item value preprocessing"; limits of lengths: its database's columns.
var (
	itemTypes  = []string{"HTTP_AGENT", "DEPENDENT"} // of those that there are, the ones that need nothing but the server
	valueTypes = []string{"", "FLOAT", "CHAR", "LOG", "UNSIGNED", "TEXT"}
	authTypes  = []string{"", "NONE", "BASIC", "NTLM", "KERBEROS", "DIGEST"}
	yesOrNo    = []string{"", "NO", "YES"}
	evalTypes  = []string{"", "AND_OR", "AND", "OR"} // FORMULA wants a formula, which we have no field for
	priorities = []string{"", "NOT_CLASSIFIED", "INFO", "WARNING", "AVERAGE", "HIGH", "DISASTER"}
	macroTypes = []string{"", "TEXT", "SECRET_TEXT", "VAULT"}
	functions  = []string{"sum", "min", "max", "avg", "count"}

	uuidForm     = regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`)
	templateName = regexp.MustCompile(`^[0-9A-Za-z_. -]{1,128}$`)
	keyForm      = regexp.MustCompile(`^[0-9A-Za-z_.-]+(\[("(\\"|[^"])*"|[^"\],\[]*)(,("(\\"|[^"])*"|[^"\],\[]*))*\])?$`)
	userMacro    = regexp.MustCompile(`^\{\$[A-Z0-9_.]+(:[^}]+)?\}$`)
	lldMacro     = regexp.MustCompile(`^\{#[A-Z0-9_.]+\}$`)
	period       = regexp.MustCompile(`^[0-9]+[smhdw]?$`)
	jsonPath     = regexp.MustCompile(`^\$\.[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// A schema collects what an export does that the format doesn't allow.
type schema struct {
	wrong []string
	uuids map[string]bool
}

func (s *schema) say(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *schema) want(ok bool, format string, args ...any) {
	if !ok {
		s.say(format, args...)
	}
}

// thing is what all that has a UUID and a name is held to.
func (s *schema) thing(what, id, name string, longest int) {
	s.want(uuidForm.MatchString(id), "%s %q: uuid %q is none of version 4 without dashes", what, name, id)
	s.want(!s.uuids[id], "%s %q: uuid %s is another's too", what, name, id)
	s.uuids[id] = true
	s.want(strings.TrimSpace(name) != "" && utf8.RuneCountInString(name) <= longest, "%s %q: name of 1 to %d characters", what, name, longest)
}

func (s *schema) one(of []string, value, what string) {
	s.want(slices.Contains(of, value), "%s: %q isn't one of %q", what, value, of)
}

// span is a time, or a macro for one; zero says whether it may be none at all.
func (s *schema) span(value, what string, zero bool) {
	s.want(userMacro.MatchString(value) || period.MatchString(value) && (zero || strings.Trim(value, "0smhdw") != ""), "%s: %q is no time", what, value)
}

func (s *schema) tags(what string, tags []Tag) {
	for i, tag := range tags {
		s.want(tag.Tag != "" && len(tag.Tag) <= 255 && len(tag.Value) <= 255, "%s: tag %+v", what, tag)
		s.want(!slices.Contains(tags[:i], tag), "%s: tag %+v twice", what, tag)
	}
}

// steps are those of preprocessing: each kind has its parameters, and an item
// throttles, takes a difference and reads Prometheus' form at most once.
func (s *schema) steps(what string, steps []Step) {
	once := map[string]int{}
	for _, st := range steps {
		p := append(slices.Clone(st.Parameters), "", "", "")
		wants := 1
		switch st.Type {
		case "PROMETHEUS_PATTERN":
			wants = 3
			switch p[1] {
			case "value":
				s.want(p[2] == "", "%s: output %q of a value", what, p[2])
			case "label":
				s.want(labelName.FindString(p[2]) == p[2] && p[2] != "", "%s: label %q", what, p[2])
			case "function":
				s.one(functions, p[2], what+": function")
			default:
				s.say("%s: a pattern gives no %q", what, p[1])
			}
			fallthrough
		case "PROMETHEUS_TO_JSON":
			once["prometheus"]++
			_, err := parsePattern(p[0])
			s.want(err == nil, "%s: %v", what, err)
		case "CHANGE_PER_SECOND":
			once["change"]++
			s.want(p[0] == "", "%s: CHANGE_PER_SECOND takes no %q", what, p[0])
		case "DISCARD_UNCHANGED_HEARTBEAT":
			once["throttle"]++
			s.span(p[0], what+": heartbeat", false)
			s.want(st.ErrorHandler == "", "%s: %s knows no error handler", what, st.Type)
		case "JAVASCRIPT":
			s.want(strings.Contains(p[0], "return "), "%s: a script that returns nothing", what)
		default:
			s.say("%s: preprocessing %q is none that is known here", what, st.Type)
			continue
		}
		s.want(len(st.Parameters) == wants, "%s: %s has %d parameters, wants %d", what, st.Type, len(st.Parameters), wants)
		switch st.ErrorHandler {
		case "", "DISCARD_VALUE":
			s.want(st.ErrorHandlerParams == "", "%s: nobody reads %q", what, st.ErrorHandlerParams)
		case "CUSTOM_VALUE":
		case "CUSTOM_ERROR":
			s.want(st.ErrorHandlerParams != "", "%s: an error without a text", what)
		default:
			s.say("%s: error handler %q", what, st.ErrorHandler)
		}
	}
	for kind, n := range once {
		s.want(n == 1, "%s: %d steps of the kind %s", what, n, kind)
	}
}

// item judges an item, a prototype, or what a discovery rule has of one.
func (s *schema) item(it Item) {
	s.thing("item", it.UUID, it.Name, 255)
	s.want(keyForm.MatchString(it.Key) && len(it.Key) <= 2048, "item %q: key %q", it.Name, it.Key)
	s.one(itemTypes, it.Type, it.Key+": type")
	s.one(valueTypes, it.ValueType, it.Key+": value type")
	s.one(authTypes, it.Authtype, it.Key+": authtype")
	s.one(yesOrNo, it.VerifyPeer, it.Key+": verify_peer")
	s.one(yesOrNo, it.VerifyHost, it.Key+": verify_host")
	s.want((it.Type == "DEPENDENT") == (it.Master != nil), "%s: a dependent item, and no other, has a master", it.Key)
	s.want((it.Type == "HTTP_AGENT") == (it.URL != "" && it.Timeout != ""), "%s: an HTTP item, and no other, has address and timeout", it.Key)
	if it.Type == "DEPENDENT" {
		s.want(it.Delay == "0", "%s: a dependent item has no interval of its own, not %q", it.Key, it.Delay)
	} else {
		s.span(it.Delay, it.Key+": delay", false)
	}
	for _, kept := range []string{it.History, it.Trends} {
		s.want(kept == "" || period.MatchString(kept), "%s: kept for %q", it.Key, kept)
	}
	if slices.Contains([]string{"CHAR", "LOG", "TEXT"}, it.ValueType) {
		s.want(it.Trends == "0" && it.Units == "", "%s: a text has neither trends nor units", it.Key)
		s.want(it.Valuemap == nil || it.ValueType == "CHAR", "%s: a text of any length has no value map", it.Key)
	}
	s.steps(it.Key, it.Preprocessing)
	s.tags(it.Key, it.Tags)
}

func (s *schema) trigger(tr Trigger) {
	s.thing("trigger", tr.UUID, tr.Name, 255)
	s.one(priorities, tr.Priority, tr.Name+": priority")
	s.want(tr.Expression != "" && len(tr.Expression) <= 2048 && strings.Count(tr.Expression, "(") == strings.Count(tr.Expression, ")"), "%s: expression %q", tr.Name, tr.Expression)
	s.want(len(tr.URL) <= 255, "%s: its link is too long", tr.Name)
	s.tags(tr.Name, tr.Tags)
}

func (s *schema) rule(r Rule) {
	s.item(Item{UUID: r.UUID, Name: r.Name, Type: r.Type, Key: r.Key, Delay: r.Delay, Master: r.Master, Preprocessing: r.Preprocessing})
	s.span(r.Lifetime, r.Key+": lifetime", true)
	found := map[string]bool{}
	for _, p := range r.Paths {
		s.want(lldMacro.MatchString(p.Macro) && jsonPath.MatchString(p.Path), "%s: %+v", r.Key, p)
		s.want(!found[p.Macro], "%s: %s stands twice", r.Key, p.Macro)
		found[p.Macro] = true
	}
	if r.Filter != nil {
		s.one(evalTypes, r.Filter.EvalType, r.Key+": evaltype")
		s.want(len(r.Filter.Conditions) > 0, "%s: a filter without conditions", r.Key)
		for i, c := range r.Filter.Conditions {
			s.want(found[c.Macro], "%s: the filter asks for %s, which isn't found", r.Key, c.Macro)
			s.want(c.Formulaid == string(rune('A'+i)), "%s: condition %d is called %q", r.Key, i, c.Formulaid)
		}
	}
	s.want(len(r.Items) > 0, "%s: discovers, and makes nothing of it", r.Key)
	for _, it := range r.Items {
		s.want(strings.Contains(it.Key, "{#"), "%s: the prototype %s would be one item for all", r.Key, it.Key)
		s.item(it)
	}
	for _, tr := range r.Triggers {
		s.want(strings.Contains(tr.Expression, "{#"), "%s: the trigger %q concerns nothing that is found", r.Key, tr.Name)
		s.trigger(tr)
	}
}

// mistakes are what Zabbix would refuse in an export, as far as its documentation goes.
func mistakes(e Export) []string {
	s := &schema{uuids: map[string]bool{}}
	s.want(e.Version == "6.0", "version %q", e.Version)
	_, err := time.Parse(time.RFC3339, e.Date)
	s.want(err == nil, "date %q", e.Date)
	groups := map[string]bool{}
	for _, g := range e.Groups {
		s.thing("group", g.UUID, g.Name, 255)
		s.want(strings.Trim(g.Name, "/") == g.Name && !strings.Contains(g.Name, "//"), "group %q has an empty part", g.Name)
		groups[g.Name] = true
	}
	for _, tpl := range e.Templates {
		s.thing("template", tpl.UUID, tpl.Name, 128)
		s.want(templateName.MatchString(tpl.Template), "template %q: name", tpl.Template)
		s.want(len(tpl.Groups) > 0, "%s: is in no group", tpl.Name)
		for _, g := range tpl.Groups {
			s.want(groups[g.Name] && g.UUID == "", "%s: group %+v", tpl.Name, g)
		}
		for _, it := range tpl.Items {
			s.want(!strings.Contains(it.Key+it.Name, "{#"), "%s: nothing discovers what %s names", tpl.Name, it.Key)
			s.item(it)
		}
		for _, r := range tpl.Discovery {
			s.rule(r)
		}
		macros := map[string]bool{}
		for _, m := range tpl.Macros {
			s.want(userMacro.MatchString(m.Macro) && len(m.Macro) <= 255, "%s: macro %q", tpl.Name, m.Macro)
			s.want(!macros[m.Macro], "%s: macro %s stands twice", tpl.Name, m.Macro)
			macros[m.Macro] = true
			s.one(macroTypes, m.Type, m.Macro+": type")
			s.want(m.Type != "SECRET_TEXT" || m.Value == "", "%s: a secret in the file", m.Macro)
		}
		for _, v := range tpl.Valuemaps {
			s.thing("value map", v.UUID, v.Name, 64)
			values := map[string]bool{}
			for _, m := range v.Mappings {
				s.want(!values[m.Value] && m.Newvalue != "" && len(m.Newvalue) <= 64, "%s: %+v", v.Name, m)
				values[m.Value] = true
			}
			s.want(len(values) > 0, "%s: maps nothing", v.Name)
		}
		s.tags(tpl.Name, tpl.Tags)
	}
	for _, tr := range e.Triggers {
		s.trigger(tr)
	}
	return s.wrong
}

func TestTheExportKeepsZabbixFormat(t *testing.T) {
	t.Parallel()
	for _, wrong := range mistakes(shipped(t)) {
		t.Error(wrong)
	}
}

// TestMistakesInAnExportAreSeen breaks the shipped one in one place each time.
func TestMistakesInAnExportAreSeen(t *testing.T) {
	t.Parallel()
	type breaks func(e *Export)
	item := func(f func(it *Item)) breaks { return func(e *Export) { f(&e.Templates[0].Items[1]) } }
	rule := func(f func(r *Rule)) breaks { return func(e *Export) { f(&e.Templates[0].Discovery[0]) } }
	step := func(f func(s *Step)) breaks { return item(func(it *Item) { f(&it.Preprocessing[0]) }) }
	for name, breaking := range map[string]breaks{
		"another version":                       func(e *Export) { e.Version = "7.0" },
		"a date of nowhere":                     func(e *Export) { e.Date = "yesterday" },
		"a group that isn't listed":             func(e *Export) { e.Groups[0].Name = "Others" },
		"a template without a group":            func(e *Export) { e.Templates[0].Groups = nil },
		"a UUID with dashes":                    item(func(it *Item) { it.UUID = "3877a7a0-4e3f-42f6-b719-69a1abb7dded" }),
		"a UUID of version 1":                   item(func(it *Item) { it.UUID = "3877a7a04e3f12f6b71969a1abb7dded" }),
		"a UUID twice":                          func(e *Export) { e.Templates[0].Items[1].UUID = e.Templates[0].Items[0].UUID },
		"no name":                               item(func(it *Item) { it.Name = " " }),
		"a name that is too long":               item(func(it *Item) { it.Name = strings.Repeat("x", 256) }),
		"a key with a space":                    item(func(it *Item) { it.Key = "sluice up" }),
		"a key that doesn't end":                item(func(it *Item) { it.Key = `sluice.up["edge1"` }),
		"a type of an older version":            item(func(it *Item) { it.Type = "ZABBIX_PASSIVE" }),
		"a value type that there isn't":         item(func(it *Item) { it.ValueType = "INTEGER" }),
		"a dependent item of nothing":           item(func(it *Item) { it.Master = nil }),
		"a dependent item with an interval":     item(func(it *Item) { it.Delay = "15s" }),
		"an HTTP item without an address":       func(e *Export) { e.Templates[0].Items[0].URL = "" },
		"a text with trends":                    item(func(it *Item) { it.ValueType, it.Trends = "CHAR", "30d" }),
		"a history of no time":                  item(func(it *Item) { it.History = "a week" }),
		"a tag twice":                           item(func(it *Item) { it.Tags = append(it.Tags, it.Tags[0]) }),
		"a step that there isn't":               step(func(s *Step) { s.Type = "PROMETHEUS" }),
		"a pattern without quotes":              step(func(s *Step) { s.Parameters[0] = "up{device=edge1}" }),
		"a pattern that gives something else":   step(func(s *Step) { s.Parameters[1] = "values" }),
		"a function that there isn't":           step(func(s *Step) { s.Parameters[1], s.Parameters[2] = "function", "median" }),
		"a step with a parameter too few":       step(func(s *Step) { s.Parameters = s.Parameters[:2] }),
		"an error handler that there isn't":     step(func(s *Step) { s.ErrorHandler = "IGNORE" }),
		"an error without a text":               step(func(s *Step) { s.ErrorHandler = "CUSTOM_ERROR" }),
		"two steps that read the form":          item(func(it *Item) { it.Preprocessing = append(it.Preprocessing, it.Preprocessing[0]) }),
		"a heartbeat of no time":                item(func(it *Item) { it.Preprocessing[1].Parameters[0] = "0" }),
		"a prototype without a macro":           rule(func(r *Rule) { r.Items[0].Key = "sluice.one" }),
		"a rule that makes nothing":             rule(func(r *Rule) { r.Items = nil }),
		"a filter for what isn't found":         rule(func(r *Rule) { r.Filter.Conditions[0].Macro = "{#NODE}" }),
		"a path that is no path":                rule(func(r *Rule) { r.Paths[0].Path = "device" }),
		"a lifetime of no time":                 rule(func(r *Rule) { r.Lifetime = "ever" }),
		"a discovered thing in a plain item":    item(func(it *Item) { it.Key = `sluice.up["{#DEVICE}"]` }),
		"a priority that there isn't":           func(e *Export) { e.Triggers[0].Priority = "CRITICAL" },
		"a parenthesis too many":                func(e *Export) { e.Triggers[0].Expression += ")" },
		"a macro in small letters":              func(e *Export) { e.Templates[0].Macros[0].Macro = "{$sluice.url}" },
		"a macro twice":                         func(e *Export) { e.Templates[0].Macros[1].Macro = e.Templates[0].Macros[0].Macro },
		"a secret in the file":                  func(e *Export) { e.Templates[0].Macros[0].Type = "SECRET_TEXT" },
		"a value that is mapped twice":          func(e *Export) { m := e.Templates[0].Valuemaps[0].Mappings; m[1].Value = m[0].Value },
		"a value map that is another's as well": func(e *Export) { e.Templates[1].Valuemaps[0].UUID = e.Templates[0].Valuemaps[0].UUID },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := shipped(t)
			breaking(&e)
			if len(mistakes(e)) == 0 {
				t.Error("nobody notices")
			}
		})
	}
}
