package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// shipped is the file as it is checked in, read strictly.
func shipped(t *testing.T) Export {
	t.Helper()
	text, err := os.ReadFile("sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := render()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, text) {
		t.Error("sluice.yaml isn't what would be made now: go run ./deploy/zabbix")
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var f file
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if len(f.Export.Templates) != 2 {
		t.Fatalf("%d templates, want 2", len(f.Export.Templates))
	}
	return f.Export
}

// prototypes are the items of all rules of a template.
func prototypes(tpl Template) []Item {
	var out []Item
	for _, r := range tpl.Discovery {
		out = append(out, r.Items...)
	}
	return out
}

func TestUUIDs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	v4 := regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`)
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)uuid: (.*)$`).FindAllStringSubmatch(string(text), -1) {
		id := strings.Trim(m[1], `"'`)
		if !v4.MatchString(id) {
			t.Errorf("%s is no UUID of version 4 without dashes", id)
		}
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
	}
	if len(seen) < 100 {
		t.Errorf("%d UUIDs found", len(seen))
	}
}

func TestEachItemHasItsMaster(t *testing.T) {
	t.Parallel()
	for _, tpl := range shipped(t).Templates {
		maps := map[string]bool{}
		for _, m := range tpl.Valuemaps {
			maps[m.Name] = true
		}
		masters, keys := map[string]bool{}, map[string]bool{}
		for _, it := range tpl.Items {
			masters[it.Key] = it.Type == "HTTP_AGENT"
		}
		check := func(key, kind string, m *Keyed) {
			if keys[key] {
				t.Errorf("%s: two of that key", key)
			}
			keys[key] = true
			if (kind == "DEPENDENT") != (m != nil) || m != nil && !masters[m.Key] {
				t.Errorf("%s: type %s, master %v", key, kind, m)
			}
		}
		for _, r := range tpl.Discovery {
			check(r.Key, r.Type, r.Master)
		}
		for _, it := range append(slices.Clone(tpl.Items), prototypes(tpl)...) {
			check(it.Key, it.Type, it.Master)
			if it.Valuemap != nil && !maps[it.Valuemap.Name] {
				t.Errorf("%s: no value map %q", it.Key, it.Valuemap.Name)
			}
		}
		for _, r := range tpl.Discovery {
			has := map[string]bool{}
			for _, p := range r.Paths {
				has[p.Macro] = true
			}
			for _, it := range r.Items {
				used := macros(it.Key)
				if len(used) != len(has) {
					t.Errorf("%s: prototypes whose key hasn't all of %v would be one item for several things", it.Key, r.Paths)
				}
				for _, text := range []string{it.Key, it.Name, strings.Join(it.Preprocessing[0].Parameters, " ")} {
					for _, m := range macros(text) {
						if !has[m] {
							t.Errorf("%s: %s isn't discovered by %s", it.Key, m, r.Name)
						}
					}
				}
			}
		}
	}
}

func macros(text string) []string {
	all := regexp.MustCompile(`\{#[A-Z]+\}`).FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// reference is an item in a trigger's expression: /TEMPLATE/KEY.
var reference = regexp.MustCompile(`\(/([^/]+)/([a-z_.]+(?:\["[^\]]*"\])?)`)

func TestTriggersNameItemsThatExist(t *testing.T) {
	t.Parallel()
	e := shipped(t)
	items := map[string]bool{}
	for _, tpl := range e.Templates {
		for _, it := range append(slices.Clone(tpl.Items), prototypes(tpl)...) {
			items[tpl.Template+"/"+it.Key] = it.History != "0"
		}
	}
	names := map[string]bool{}
	check := func(tr Trigger) []string {
		var used []string
		found := reference.FindAllStringSubmatch(tr.Expression, -1)
		if len(found) == 0 || len(found) != strings.Count(tr.Expression, "(/") {
			t.Errorf("%s: %d items understood in %s", tr.Name, len(found), tr.Expression)
		}
		for _, m := range found {
			if !items[m[1]+"/"+m[2]] {
				t.Errorf("%s: no item %s with a history in %s", tr.Name, m[2], m[1])
			}
			used = append(used, macros(m[2])...)
		}
		if names[tr.Name] {
			t.Errorf("%s: two triggers of that name", tr.Name)
		}
		names[tr.Name] = true
		if scopes[tr.Priority] == "" {
			t.Errorf("%s: priority %q", tr.Name, tr.Priority)
		}
		return used
	}
	for _, tr := range e.Triggers {
		if used := check(tr); len(used) > 0 {
			t.Errorf("%s: a trigger that nobody discovers uses %v", tr.Name, used)
		}
	}
	for _, tpl := range e.Templates {
		for _, r := range tpl.Discovery {
			for _, tr := range r.Triggers {
				// Two triggers of one name and expression are one to Zabbix.
				if used := check(tr); !cmp.Equal(macros(strings.Join(used, "")), macros(tr.Name)) {
					t.Errorf("%s: discovered by %v, its name tells %v apart", tr.Name, macros(strings.Join(used, "")), macros(tr.Name))
				}
			}
		}
	}
}

func TestUserMacrosAreExplained(t *testing.T) {
	t.Parallel()
	for _, tpl := range shipped(t).Templates {
		text, err := yaml.Marshal(tpl)
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]bool{}
		for _, m := range tpl.Macros {
			has[m.Macro] = true
			if m.Description == "" || (m.Type == "SECRET_TEXT") != strings.Contains(m.Macro, "PASSWORD") {
				t.Errorf("%s: %+v", tpl.Name, m)
			}
		}
		e := shipped(t)
		for _, tr := range e.Triggers {
			if strings.Contains(tr.Expression, "/"+tpl.Name+"/") {
				text = append(text, tr.Expression...)
			}
		}
		for _, m := range regexp.MustCompile(`\{\$[A-Z.]+`).FindAllString(string(text), -1) {
			if !has[m+"}"] {
				t.Errorf("%s: %s} isn't one of its macros", tpl.Name, m)
			}
		}
	}
}

// TestRunbooksExist: what a trigger links to is a page of this repository, with that heading.
func TestRunbooksExist(t *testing.T) {
	t.Parallel()
	e := shipped(t)
	all := slices.Clone(e.Triggers)
	for _, tpl := range e.Templates {
		for _, r := range tpl.Discovery {
			all = append(all, r.Triggers...)
		}
	}
	linked := 0
	for _, tr := range all {
		if tr.URL == "" {
			continue
		}
		linked++
		path, ours := strings.CutPrefix(tr.URL, "https://github.com/sluice-project/sluice/blob/main/")
		path, anchor, _ := strings.Cut(path, "#")
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
		if !ours || err != nil {
			t.Errorf("%s: %s: %v", tr.Name, tr.URL, err)
		}
		if anchor != "" && !regexp.MustCompile("(?im)^#+ "+regexp.QuoteMeta(anchor)+"$").Match(text) {
			t.Errorf("%s: %s has no such heading", tr.Name, tr.URL)
		}
	}
	if linked < 20 {
		t.Errorf("%d of %d triggers have a runbook", linked, len(all))
	}
}

// TestMetricsAreOurs: names and labels of what the templates ask for are those of docs/metrics.md.
func TestMetricsAreOurs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| \\w+ \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = " " + strings.ReplaceAll(m[2], ",", " ") + " "
	}
	seen := 0
	for _, tpl := range shipped(t).Templates {
		for of, text := range patterns(tpl) {
			seen++
			p, err := parsePattern(text)
			if err != nil {
				t.Errorf("%s: %v", of, err)
				continue
			}
			labels, ok := documented[p.metric]
			if !ok {
				t.Errorf("%s: docs/metrics.md has no %s", of, p.metric)
			}
			for _, m := range p.matchers {
				if !strings.Contains(labels, " "+m.label+" ") {
					t.Errorf("%s: %s has no label %s", of, p.metric, m.label)
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("%d patterns found", seen)
	}
}

// patterns are those of a template, by the key of what asks with them.
func patterns(tpl Template) map[string]string {
	out := map[string]string{}
	add := func(key string, steps []Step) {
		for _, s := range steps {
			if strings.HasPrefix(s.Type, "PROMETHEUS_") {
				out[key] = s.Parameters[0]
			}
		}
	}
	for _, it := range append(slices.Clone(tpl.Items), prototypes(tpl)...) {
		add(it.Key, it.Preprocessing)
	}
	for _, r := range tpl.Discovery {
		add(r.Key, r.Preprocessing)
	}
	return out
}
