// Package walls holds the layout: imports run downwards only, the read side
// and the write side never meet, and test code stays out of the program. The
// linter sees one import at a time; this reads the whole graph.
package walls

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-project/sluice"

// A pkg is what "go list" says of one package.
type pkg struct {
	ImportPath   string
	Imports      []string // by the program's own files
	Deps         []string // all that these bring along
	TestImports  []string // by tests inside the package
	XTestImports []string // by tests beside it
}

// A wall forbids packages to others. Names are relative to the module; "..."
// at the end stands for the package and all below it.
type wall struct {
	name      string
	of        string
	forbids   []string
	direct    bool // look only at what the package imports by itself
	withTests bool // tests are bound too
}

var walls = []wall{
	{
		name: "edge knows nothing of ours",
		of:   "edge", forbids: []string{"cmd/...", "edge/...", "exporter/...", "remediator/...", "test/..."},
		withTests: true,
	},
	{
		name: "below edge nothing looks up",
		of:   "edge/...", forbids: []string{"cmd/...", "exporter/...", "remediator/..."},
		withTests: true,
	},
	{
		name: "a client doesn't know the fleet",
		of:   "edge/haproxy/...", forbids: []string{"edge/fleet"},
		withTests: true,
	},
	{
		name: "nor does one of PTAF",
		of:   "edge/ptaf/...", forbids: []string{"edge/fleet", "edge/ptafpro/...", "edge/haproxy/..."},
		withTests: true,
	},
	{
		name: "nor one of PTAF PRO",
		of:   "edge/ptafpro/...", forbids: []string{"edge/fleet", "edge/ptaf/...", "edge/haproxy/..."},
		withTests: true,
	},
	{
		name: "a simulator is an independent reading",
		of:   "edge/ptaf/ptaftest", forbids: []string{"edge/ptaf"},
	},
	{
		name: "and so is the other",
		of:   "edge/ptafpro/ptafprotest", forbids: []string{"edge/ptafpro"},
	},
	{
		name: "clients neither log nor count",
		of:   "edge/...", forbids: []string{"log", "log/slog", "github.com/go-kit/log/...", "github.com/prometheus/client_golang/..."},
		direct: true,
	},
	{
		name: "the read side never sees the write side",
		of:   "exporter/...", forbids: []string{"remediator/...", "cmd/..."},
		withTests: true,
	},
	{
		name: "the write side never sees the read side",
		of:   "remediator/...", forbids: []string{"exporter/...", "cmd/..."},
		withTests: true,
	},
	{
		name: "the remediator knows no client and no fleet",
		of:   "remediator/...", forbids: []string{"edge/haproxy/...", "edge/ptaf/...", "edge/ptafpro/...", "edge/fleet"},
	},
	{
		name: "what asks the remediator knows its words, and no device",
		of:   "ctl/...", forbids: []string{"cmd/...", "exporter/...", "edge/haproxy/...", "edge/ptaf/...", "edge/ptafpro/...", "edge/fleet", "test/..."},
	},
	{
		name: "the remediator doesn't know who asks",
		of:   "remediator/...", forbids: []string{"ctl/..."},
		withTests: true,
	},
	{
		name: "a guard knows edge and nothing else of ours",
		of:   "remediator/guard", forbids: []string{"edge/haproxy/...", "edge/ptaf/...", "edge/ptafpro/...", "edge/fleet", "remediator/...", "exporter/...", "test/..."},
	},
	{
		name: "a guard asks nobody",
		of:   "remediator/guard", forbids: []string{"net/...", "os/...", "log/...", "github.com/go-kit/log/...", "github.com/prometheus/client_golang/..."},
		direct: true,
	},
	{
		name: "what tells people knows the journal, and neither engine nor guards",
		of:   "remediator/announce", forbids: []string{"remediator", "remediator/claims", "remediator/control/...", "remediator/console/...", "remediator/guard", "remediator/webhook"},
	},
	{
		name: "the API of Alertmanager is opened for whoever needs it",
		of:   "remediator/alertmanager", forbids: []string{"edge/...", "remediator", "remediator/announce", "remediator/claims", "remediator/journal"},
	},
	{
		name: "a session knows neither users nor devices",
		of:   "remediator/access/session", forbids: []string{"remediator/..."},
	},
	{
		name: "a provider logs in, and gives no orders",
		of:   "remediator/access/oidc", forbids: []string{"remediator", "remediator/access", "remediator/control/...", "remediator/journal", "remediator/guard"},
	},
	{
		name: "who may what is asked by all and asks nobody",
		of:   "remediator/access/...", forbids: []string{"remediator", "remediator/journal", "remediator/control", "remediator/console", "remediator/haproxyapi", "remediator/guard"},
	},
	{
		name: "the document of the API knows nothing of what it is about",
		of:   "remediator/apidoc", forbids: []string{"cmd/...", "edge/...", "exporter/...", "remediator/..."},
	},
	{
		name: "rules are text that the program doesn't know",
		of:   "cmd/...", forbids: []string{"alerts/...", "github.com/google/go-jsonnet/..."},
	},
	{
		name: "and whose source knows nothing of the program",
		of:   "alerts/source", forbids: []string{"cmd/...", "ctl/...", "edge/...", "exporter/...", "remediator/...", "dashboards/...", "test/..."},
	},
	{
		name: "nor the scenes that its tests are made of",
		of:   "alerts/scenes", forbids: []string{"alerts/source", "cmd/...", "ctl/...", "edge/...", "exporter/...", "remediator/...", "dashboards/...", "test/..."},
	},
	{
		name: "so are boards",
		of:   "cmd/...", forbids: []string{"dashboards/..."},
	},
	{
		name: "and their sources know nothing of the program, nor of its rules",
		of:   "dashboards/...", forbids: []string{"alerts/...", "cmd/...", "ctl/...", "edge/...", "exporter/...", "remediator/...", "test/..."},
	},
	{
		name: "Grafana's model knows nothing of what is shown",
		of:   "dashboards/grafana", forbids: []string{"dashboards", "dashboards/source", "dashboards/generate"},
	},
	{
		name: "test code stays out of the program",
		of:   "cmd/...", forbids: []string{"test/...", "edge/haproxy/haproxytest", "edge/ptaf/ptaftest", "edge/ptafpro/ptafprotest", "testing"},
	},
}

func TestImportsRunDownwardsOnly(t *testing.T) {
	graph := list(t)
	for _, w := range walls {
		t.Run(w.name, func(t *testing.T) {
			seen := false
			for _, p := range graph {
				if !covers(w.of, p.ImportPath) {
					continue
				}
				seen = true
				for _, imported := range bound(w, p, graph) {
					if imported != p.ImportPath && slices.ContainsFunc(w.forbids, func(f string) bool { return covers(f, imported) }) {
						t.Errorf("%s reaches %s", p.ImportPath, imported)
					}
				}
			}
			if !seen {
				t.Errorf("there is no package %s: does the wall still stand where it should?", w.of)
			}
		})
	}
}

// bound returns the imports of p that w judges. A test's imports count with
// all that they bring along.
func bound(w wall, p pkg, graph map[string]pkg) []string {
	if w.direct {
		return p.Imports
	}
	all := slices.Clone(p.Deps)
	if w.withTests {
		for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
			all = append(append(all, i), graph[i].Deps...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// covers says whether the package name stands under the pattern, where a
// pattern of ours is relative to the module.
func covers(pattern, name string) bool {
	for _, full := range []string{pattern, module + "/" + pattern} {
		if tree, ok := strings.CutSuffix(full, "/..."); ok {
			if name == tree || strings.HasPrefix(name, tree+"/") {
				return true
			}
		} else if name == full {
			return true
		}
	}
	return false
}

func TestPatternsCoverWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"edge", module + "/edge", true},
		{"edge", module + "/edge/fleet", false},
		{"edge/...", module + "/edge", true},
		{"edge/...", module + "/edge/fleet", true},
		{"exporter/...", module + "/exporters", false},
		{"log", "log", true},
		{"log", "log/slog", false},
		{"net/...", "net/http", true},
	} {
		if got := covers(c.pattern, c.name); got != c.want {
			t.Errorf("covers(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

// list returns the packages of the module by import path.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, problems.String())
	}
	graph := make(map[string]pkg)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return graph
		case err != nil:
			t.Fatalf("read what go list says: %v", err)
		}
		graph[p.ImportPath] = p
	}
}
