package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Grafana reads what it doesn't know without a word and shows something else. Its
// own types, which its authors generate from the schema, refuse fields that there
// are none of, values of another type, and what is missing.
func TestBoardsAreWhatGrafanasTypesSay(t *testing.T) {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	known.RegisterPanelcfgVariant(table.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	files, err := filepath.Glob("*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("boards: %v, %v", files, err)
	}
	imports, err := filepath.Glob("import/*.json")
	if err != nil || len(imports) != len(files) {
		t.Fatalf("boards to import: %v, %v", imports, err)
	}
	for _, file := range append(files, imports...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]json.RawMessage{}
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(file, "import/") { // of the form to import, and of no board
			delete(fields, "__inputs")
			delete(fields, "__requires")
		}
		fields["annotations"] = ofPrometheus(t, fields["annotations"])
		if text, err = json.Marshal(fields); err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if err := d.UnmarshalJSONStrict(text); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// ofPrometheus leaves out what annotations have for their data source alone, which
// Grafana's type doesn't list.
// Source: Grafana, packages/grafana-prometheus/src/annotations.ts.
func ofPrometheus(t *testing.T, annotations json.RawMessage) json.RawMessage {
	t.Helper()
	var all struct {
		List []map[string]any `json:"list"`
	}
	if err := json.Unmarshal(annotations, &all); err != nil {
		t.Fatal(err)
	}
	for _, a := range all.List {
		for _, own := range []string{"step", "titleFormat", "textFormat", "tagKeys"} {
			if _, ok := a[own].(string); !ok {
				t.Errorf("annotation %v: %s is %v, want a text", a["name"], own, a[own])
			}
			delete(a, own)
		}
	}
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
