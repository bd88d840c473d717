package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A whole is a board with all that conventions are about.
type whole struct {
	ID            json.RawMessage `json:"id"`
	UID           string          `json:"uid"`
	Title         string          `json:"title"`
	Tags          []string        `json:"tags"`
	SchemaVersion int             `json:"schemaVersion"`
	Timezone      string          `json:"timezone"`
	Inputs        json.RawMessage `json:"__inputs"`
	Requires      json.RawMessage `json:"__requires"`
	Links         []struct {
		Type      string   `json:"type"`
		Tags      []string `json:"tags"`
		URL       string   `json:"url"`
		Time      bool     `json:"keepTime"`
		Variables bool     `json:"includeVars"`
	} `json:"links"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []menu `json:"list"`
	} `json:"templating"`
	Panels []shown `json:"panels"`
}

type menu struct {
	variable
	Refresh int  `json:"refresh"`
	Multi   bool `json:"multi"`
	All     bool `json:"includeAll"`
}

type shown struct {
	panel
	FieldConfig struct {
		Defaults struct {
			Unit       string         `json:"unit"`
			Custom     map[string]any `json:"custom"`
			Thresholds struct {
				Mode  string `json:"mode"`
				Steps []struct {
					Color string   `json:"color"`
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Options map[string]any `json:"options"`
	Panels  []shown        `json:"panels"`
}

// each calls visit for each panel that shows something, those inside rows included.
func (b whole) each(visit func(shown)) {
	var walk func([]shown)
	walk = func(all []shown) {
		for _, p := range all {
			if p.Type != "row" {
				visit(p)
			}
			walk(p.Panels)
		}
	}
	walk(b.Panels)
}

// A convention is one that all boards keep. It says what is against it.
type convention struct {
	name  string
	wrong func(file string, b whole, says func(string, ...any))
	// spoil breaks it on any board, to show that it would be noticed.
	spoil func(b map[string]any)
}

var (
	ours = source{Type: "prometheus", UID: "${datasource}"}

	// panels that Grafana 11 and newer draw themselves. "graph", "singlestat" and
	// "table-old" are gone from it.
	panels = []string{"row", "stat", "timeseries", "state-timeline", "status-history", "table"}

	// noLabel are menus whose All has to match series without the label too: probes of
	// fixed targets, alerts about the remediator itself.
	noLabel = []string{"overview.json device", "overview.json pool", "probes.json device", "probes.json pool", "probes.json member"}

	window = regexp.MustCompile(`\b(rate|irate|increase)\s*\([^\[]*\[([^\]]*)\]`)
)

var conventions = []convention{
	{
		"a board is found by its own stable uid, and by no number of one Grafana",
		func(file string, b whole, says func(string, ...any)) {
			if want := "sluice-" + strings.TrimSuffix(file, ".json"); b.UID != want || len(b.UID) > 40 {
				says("uid %q, want %q", b.UID, want)
			}
			if string(b.ID) != "null" {
				says("id %s, want null", b.ID)
			}
		},
		func(b map[string]any) { b["id"] = 7 },
	},
	{
		"a board has a title and the tag by which the others find it",
		func(_ string, b whole, says func(string, ...any)) {
			if !strings.HasPrefix(b.Title, "Sluice: ") || !slices.Contains(b.Tags, "sluice") {
				says("title %q, tags %v", b.Title, b.Tags)
			}
		},
		func(b map[string]any) { b["tags"] = []any{"haproxy"} },
	},
	{
		"a board is written for Grafana 11: an older one doesn't refuse it, and draws it wrong",
		func(_ string, b whole, says func(string, ...any)) {
			if b.SchemaVersion < 39 || b.SchemaVersion > 42 {
				says("schemaVersion %d, want 39 to 42", b.SchemaVersion)
			}
		},
		func(b map[string]any) { b["schemaVersion"] = 27 },
	},
	{
		"a board that Grafana reads by itself asks nobody",
		func(_ string, b whole, says func(string, ...any)) {
			if b.Inputs != nil || b.Requires != nil {
				says("__inputs %s, __requires %s", b.Inputs, b.Requires)
			}
		},
		func(b map[string]any) { b["__inputs"] = []any{map[string]any{"name": "DS_PROMETHEUS"}} },
	},
	{
		"times are those of the viewer",
		func(_ string, b whole, says func(string, ...any)) {
			if b.Timezone != "browser" {
				says("timezone %q", b.Timezone)
			}
		},
		func(b map[string]any) { b["timezone"] = "utc" },
	},
	{
		"each panel, query, menu and mark takes the data source that was chosen first",
		func(_ string, b whole, says func(string, ...any)) {
			if first := b.Templating.List[0]; first.Name != "datasource" || first.Type != "datasource" {
				says("the first menu is %s", first.Name)
			}
			for _, v := range b.Templating.List {
				if v.Type == "query" && v.Datasource != ours {
					says("menu %s asks %v", v.Name, v.Datasource)
				}
			}
			for _, a := range b.Annotations.List {
				if a.Datasource != ours {
					says("mark %s asks %v", a.Name, a.Datasource)
				}
			}
			b.each(func(p shown) {
				if p.Datasource != ours {
					says("%s asks %v", p.Title, p.Datasource)
				}
				for _, q := range p.Targets {
					if q.Datasource != ours {
						says("%s: %s asks %v", p.Title, q.RefID, q.Datasource)
					}
				}
			})
		},
		func(b map[string]any) {
			last := b["annotations"].(map[string]any)["list"].([]any)
			last[len(last)-1].(map[string]any)["datasource"] = map[string]any{"type": "prometheus", "uid": "abc"}
		},
	},
	{
		"menus of values allow some, offer All, which is what has the label, and are asked anew with the time range",
		func(file string, b whole, says func(string, ...any)) {
			for _, v := range b.Templating.List {
				all := ".+"
				if slices.Contains(noLabel, file+" "+v.Name) {
					all = ".*"
				}
				if v.Type == "query" && (!v.Multi || !v.All || v.AllValue != all || v.Refresh != 2) {
					says("menu %s: multi %v, all %v %q, refresh %d; want true, true %q, 2", v.Name, v.Multi, v.All, v.AllValue, v.Refresh, all)
				}
			}
		},
		func(b map[string]any) { menuOf(b)["refresh"] = 1 },
	},
	{
		"panels are of kinds that Grafana still has",
		func(_ string, b whole, says func(string, ...any)) {
			b.each(func(p shown) {
				if !slices.Contains(panels, p.Type) {
					says("%s is a %q", p.Title, p.Type)
				}
			})
		},
		func(b map[string]any) { panelOf(b, "timeseries")["type"] = "graph" },
	},
	{
		"panels have ids and titles of their own",
		func(_ string, b whole, says func(string, ...any)) {
			ids, titles := map[int]bool{}, map[string]bool{}
			for _, p := range b.Panels {
				if p.ID < 1 || ids[p.ID] || p.Title == "" || titles[p.Title] {
					says("id %d or title %q is none, or taken", p.ID, p.Title)
				}
				ids[p.ID], titles[p.Title] = true, true
			}
		},
		func(b map[string]any) { panelOf(b, "stat")["id"] = panelOf(b, "timeseries")["id"] },
	},
	{
		"panels ask something, and say what they show, in which unit, and from where on it is bad",
		func(_ string, b whole, says func(string, ...any)) {
			b.each(func(p shown) {
				d := p.FieldConfig.Defaults
				if len(p.Targets) == 0 || p.Description == "" || d.Unit == "" {
					says("%s: %d queries, description %q, unit %q", p.Title, len(p.Targets), p.Description, d.Unit)
				}
				if s := d.Thresholds.Steps; d.Thresholds.Mode != "absolute" || len(s) == 0 || s[0].Value != nil {
					says("%s: thresholds %+v", p.Title, d.Thresholds)
				}
			})
		},
		func(b map[string]any) { delete(panelOf(b, "table"), "description") },
	},
	{
		"panels lie beside each other, within 24 columns",
		func(_ string, b whole, says func(string, ...any)) {
			taken := map[[2]int]string{}
			for _, p := range b.Panels {
				g := p.GridPos
				if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
					says("%s doesn't fit: %+v", p.Title, g)
					continue
				}
				for x := g.X; x < g.X+g.W; x++ {
					for y := g.Y; y < g.Y+g.H; y++ {
						if other, ok := taken[[2]int{x, y}]; ok && other != p.Title {
							says("%s lies over %s", p.Title, other)
						}
						taken[[2]int{x, y}] = p.Title
					}
				}
			}
		},
		func(b map[string]any) { panelOf(b, "timeseries")["gridPos"] = panelOf(b, "stat")["gridPos"] },
	},
	{
		// A fixed window shows gaps when it is shorter than four scrapes, and hides peaks
		// when one zooms in. A number for the whole of the time range has that window.
		"rates follow the zoom",
		func(_ string, b whole, says func(string, ...any)) {
			b.each(func(p shown) {
				for _, q := range p.Targets {
					for _, m := range window.FindAllStringSubmatch(q.Expr, -1) {
						if m[2] != "$__rate_interval" && (!q.Instant || m[1] != "increase" || m[2] != "$__range") {
							says("%s: %s: %s over %s", p.Title, q.RefID, m[1], m[2])
						}
					}
				}
			})
		},
		func(b map[string]any) {
			panelOf(b, "timeseries")["targets"].([]any)[0].(map[string]any)["expr"] = "sum(rate(a_total[5m]))"
		},
	},
	{
		// Whoever follows a link must not land nowhere.
		"a board leads to the others with time and choice, to the console and to the runbooks",
		func(_ string, b whole, says func(string, ...any)) {
			var ways, console, runbooks bool
			for _, l := range b.Links {
				ways = ways || l.Type == "dashboards" && slices.Contains(l.Tags, "sluice") && l.Time && l.Variables
				console = console || strings.HasPrefix(l.URL, "${console}/console/")
				runbooks = runbooks || l.URL == "${runbooks}"
			}
			if !ways || !console || !runbooks {
				says("to the other boards %v, to the console %v, to the runbooks %v", ways, console, runbooks)
			}
		},
		func(b map[string]any) { b["links"].([]any)[0].(map[string]any)["keepTime"] = false },
	},
	{
		"what people and Sluice did shows in all graphs",
		func(file string, b whole, says func(string, ...any)) {
			want := []string{"Taken out", "Given back", "Weight changed", "Steps that went wrong", "Steps only told of", "Maintenance", "Configuration read"}
			if file != "ptaf.json" {
				want = append(want, "HAProxy restarts")
			}
			for _, name := range want {
				if !slices.ContainsFunc(b.Annotations.List, func(a annotation) bool { return a.Name == name }) {
					says("no marks for %s", name)
				}
			}
		},
		func(b map[string]any) { b["annotations"] = map[string]any{"list": []any{}} },
	},
}

func panelOf(b map[string]any, kind string) map[string]any {
	for _, p := range b["panels"].([]any) {
		if p := p.(map[string]any); p["type"] == kind {
			return p
		}
	}
	panic("no panel is a " + kind)
}

func menuOf(b map[string]any) map[string]any {
	for _, v := range b["templating"].(map[string]any)["list"].([]any) {
		if v := v.(map[string]any); v["type"] == "query" {
			return v
		}
	}
	panic("no menu asks Prometheus")
}

// wrong is what a board has against a convention.
func (c convention) against(t *testing.T, file string, text []byte) (all []string) {
	t.Helper()
	var b whole
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	c.wrong(file, b, func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) })
	return all
}

func TestConventions(t *testing.T) {
	t.Parallel()
	for _, c := range conventions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for file := range boards(t) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range c.against(t, file, text) {
					t.Errorf("%s: %s", file, w)
				}
				// What is noticed by nobody is no convention.
				var b map[string]any
				if err := json.Unmarshal(text, &b); err != nil {
					t.Fatal(err)
				}
				c.spoil(b)
				spoilt, err := json.Marshal(b)
				if err != nil {
					t.Fatal(err)
				}
				if c.against(t, file, spoilt) == nil {
					t.Errorf("%s: spoilt, and nobody notices", file)
				}
			}
		})
	}
}
