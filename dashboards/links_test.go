package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Boards are known by uid, and the variables that a link sets are ones that the
// other board has.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	variables := map[string][]string{}
	for _, b := range boards(t) {
		for _, v := range b.Templating.List {
			variables[b.UID] = append(variables[b.UID], v.Name)
		}
	}
	set := regexp.MustCompile(`[?&]var-(\w+)=`)
	for name, b := range boards(t) {
		walk(b.Panels, func(p panel) {
			for _, l := range p.links(t) {
				uid, ok := strings.CutPrefix(l.URL, "/d/")
				if !ok {
					if !strings.HasPrefix(l.URL, "${console}/console/") && l.URL != "${runbooks}/${__data.fields.alert}.md" {
						t.Errorf("%s: %s leads to %s", name, p.Title, l.URL)
					}
					continue
				}
				uid, _, _ = strings.Cut(uid, "?")
				has := variables[uid]
				if has == nil {
					t.Errorf("%s: %s leads to %s, which isn't ours", name, p.Title, uid)
				}
				for _, m := range set.FindAllStringSubmatch(l.URL, -1) {
					if !slices.Contains(has, m[1]) {
						t.Errorf("%s: %s sets %s, which %s doesn't have", name, p.Title, m[1], uid)
					}
				}
				if !strings.Contains(l.URL, "${datasource:queryparam}") || !strings.Contains(l.URL, "${__url_time_range}") {
					t.Errorf("%s: %s: %s forgets the data source or the time", name, p.Title, l.URL)
				}
			}
		})
	}
}

// links are all that lead from values of the panel.
func (p panel) links(t *testing.T) []link {
	t.Helper()
	all := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, o := range p.FieldConfig.Overrides {
		for _, is := range o.Properties {
			if is.ID != "links" {
				continue
			}
			var some []link
			if err := json.Unmarshal(is.Value, &some); err != nil {
				t.Fatal(err)
			}
			all = append(all, some...)
		}
	}
	return all
}

// The form to import is the same board, and asks for its data source. The one
// that Grafana reads by itself must not: nobody would answer.
func TestBothFormsAreTheSameBoard(t *testing.T) {
	t.Parallel()
	for name, b := range boards(t) {
		if b.Inputs != nil {
			t.Errorf("%s asks for %v, and nobody answers a file", name, b.Inputs)
		}
		text, err := os.ReadFile(filepath.Join("import", name))
		if err != nil {
			t.Fatal(err)
		}
		var other board
		if err := json.Unmarshal(text, &other); err != nil {
			t.Fatalf("import/%s: %v", name, err)
		}
		if other.UID != b.UID || len(other.Panels) != len(b.Panels) {
			t.Errorf("import/%s: %s with %d panels, want %s with %d", name, other.UID, len(other.Panels), b.UID, len(b.Panels))
		}
		for _, in := range other.Inputs {
			if !strings.Contains(string(text), `"${`+in.Name+`}"`) {
				t.Errorf("import/%s asks for %s and doesn't use it", name, in.Name)
			}
		}
		if !strings.Contains(string(text), `"name": "Grafana",
      "version": "11.0.0"`) {
			t.Errorf("import/%s doesn't ask for Grafana 11", name)
		}
		if len(other.Inputs) != 3 {
			t.Errorf("import/%s asks for %v, want the data source and two addresses", name, other.Inputs)
		}
	}
}

// What provisioning names must be what there is.
func TestProvisioning(t *testing.T) {
	t.Parallel()
	var boardsFile struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type, Folder string
			Options            struct{ Path string }
		}
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct{ Name, Type, URL, UID string }
	}
	for name, into := range map[string]any{"provisioning/dashboards.yml": &boardsFile, "provisioning/datasources.yml": &sources} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if boardsFile.APIVersion != 1 || len(boardsFile.Providers) != 1 || boardsFile.Providers[0].Type != "file" || boardsFile.Providers[0].Options.Path == "" {
		t.Errorf("dashboards: %+v", boardsFile)
	}
	// Operators type what the page says.
	page, err := os.ReadFile("../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dashboards/*.json " + boardsFile.Providers[0].Options.Path + "/\n", "Five boards for Grafana 11 and newer"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/dashboards.md doesn't say %q", want)
		}
	}
	if sources.APIVersion != 1 || len(sources.Datasources) != 1 || sources.Datasources[0].Type != "prometheus" || sources.Datasources[0].URL == "" {
		t.Errorf("datasources: %+v", sources)
	}
}

// Alerts lead to boards that there are, and choose by variables that these have.
func TestAlertsLeadToBoards(t *testing.T) {
	t.Parallel()
	variables := map[string][]string{}
	for _, b := range boards(t) {
		variables[b.UID] = []string{}
		for _, v := range b.Templating.List {
			variables[b.UID] = append(variables[b.UID], v.Name)
		}
	}
	files, err := filepath.Glob("../alerts/*.rules.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("rule files: %v, %v", files, err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`/d/([\w-]+)(.*)`).FindAllStringSubmatch(string(text), -1) {
			found++
			has, ok := variables[m[1]]
			if !ok {
				t.Errorf("%s leads to %s, which isn't a board", file, m[1])
			}
			for _, v := range regexp.MustCompile(`var-(\w+)=`).FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(has, v[1]) {
					t.Errorf("%s sets %s, which %s doesn't have", file, v[1], m[1])
				}
			}
		}
	}
	if found == 0 {
		t.Error("no alert leads to a board")
	}
}
