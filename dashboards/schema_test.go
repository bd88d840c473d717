package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/statushistory"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// Grafana reads what it doesn't know without a word and shows something else. Its
// own types, which its authors generate from the schema, refuse fields that there
// are none of, values of another type, and what is missing.
func TestBoardsAreWhatGrafanasTypesSay(t *testing.T) {
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	known.RegisterPanelcfgVariant(statushistory.VariantConfig())
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

// words are those that Grafana knows in a place, which is a key and the one above
// it. Its types take any text there.
var words = map[string][]string{
	"custom.drawStyle":         of(common.GraphDrawStyleLine, common.GraphDrawStyleBars, common.GraphDrawStylePoints),
	"custom.lineInterpolation": of(common.LineInterpolationLinear, common.LineInterpolationSmooth, common.LineInterpolationStepBefore, common.LineInterpolationStepAfter),
	"custom.showPoints":        of(common.VisibilityModeAuto, common.VisibilityModeNever, common.VisibilityModeAlways),
	"custom.axisPlacement":     of(common.AxisPlacementAuto, common.AxisPlacementLeft, common.AxisPlacementRight, common.AxisPlacementHidden),
	"stacking.mode":            of(common.StackingModeNone, common.StackingModeNormal, common.StackingModePercent),
	"thresholdsStyle.mode":     of(common.GraphThresholdsStyleModeOff, common.GraphThresholdsStyleModeLine, common.GraphThresholdsStyleModeDashed, common.GraphThresholdsStyleModeArea),
	"legend.displayMode":       of(common.LegendDisplayModeList, common.LegendDisplayModeTable, common.LegendDisplayModeHidden),
	"legend.placement":         of(common.LegendPlacementBottom, common.LegendPlacementRight),
	"tooltip.mode":             of(common.TooltipDisplayModeSingle, common.TooltipDisplayModeMulti, common.TooltipDisplayModeNone),
	"tooltip.sort":             of(common.SortOrderAscending, common.SortOrderDescending, common.SortOrderNone),
	"options.colorMode":        of(common.BigValueColorModeValue, common.BigValueColorModeBackground, common.BigValueColorModeBackgroundSolid, common.BigValueColorModeNone),
	"options.graphMode":        of(common.BigValueGraphModeNone, common.BigValueGraphModeLine, common.BigValueGraphModeArea),
	"options.justifyMode":      of(common.BigValueJustifyModeAuto, common.BigValueJustifyModeCenter),
	"options.textMode":         of(common.BigValueTextModeAuto, common.BigValueTextModeValue, common.BigValueTextModeValueAndName, common.BigValueTextModeName, common.BigValueTextModeNone),
	"options.orientation":      of(common.VizOrientationAuto, common.VizOrientationVertical, common.VizOrientationHorizontal),
	"options.showValue":        of(common.VisibilityModeAuto, common.VisibilityModeNever, common.VisibilityModeAlways),
	"options.alignValue":       of(common.TimelineValueAlignmentLeft, common.TimelineValueAlignmentCenter, common.TimelineValueAlignmentRight),
	"options.cellHeight":       of(common.TableCellHeightSm, common.TableCellHeightMd, common.TableCellHeightLg, common.TableCellHeightAuto),
	"value.type":               {string(common.TableCellDisplayModeColorText), string(dashboard.MappingTypeValueToText)}, // of custom.cellOptions and mappings
	"color.mode":               of(dashboard.FieldColorModeIdThresholds, dashboard.FieldColorModeIdPaletteClassic, dashboard.FieldColorModeIdFixed),
	"thresholds.mode":          of(dashboard.ThresholdsModeAbsolute, dashboard.ThresholdsModePercentage),
	"links.type":               of(dashboard.DashboardLinkTypeLink, dashboard.DashboardLinkTypeDashboards),
	"targets.format":           of(prometheus.PromQueryFormatTimeSeries, prometheus.PromQueryFormatTable, prometheus.PromQueryFormatHeatmap),
	"targets.editorMode":       of(prometheus.QueryEditorModeCode, prometheus.QueryEditorModeBuilder),
	"defaults.unit":            {units.NoUnit, units.Seconds, units.PercentUnit, units.CountsPerSecond, units.RequestsPerSecond, units.BytesIEC, units.BytesPerSecondSI, units.DatetimeISO, units.DatetimeISONotToday},
}

func of[T ~string](all ...T) (out []string) {
	for _, w := range all {
		out = append(out, string(w))
	}
	return out
}

// A word that Grafana doesn't know is another's default, without a word.
func TestBoardsUseGrafanasWords(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for file := range boards(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var b any
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		for _, w := range unknownWords(b, "", used) {
			t.Errorf("%s: %s", file, w)
		}
	}
	for place := range words {
		if !used[place] {
			t.Errorf("no board has anything at %s", place)
		}
	}
	spoilt := map[string]any{"custom": map[string]any{"drawStyle": "linez"}, "links": []any{map[string]any{"type": "link"}}}
	if got := unknownWords(spoilt, "", used); len(got) != 1 {
		t.Errorf("of a board with one unknown word: %v", got)
	}
}

func unknownWords(at any, above string, used map[string]bool) (all []string) {
	switch at := at.(type) {
	case []any:
		for _, one := range at {
			all = append(all, unknownWords(one, above, used)...)
		}
	case map[string]any:
		if at["id"] == "unit" { // of one column
			above, at = "defaults", map[string]any{"unit": at["value"]}
		}
		for key, value := range at {
			place := above + "." + key
			if word, ok := value.(string); ok && words[place] != nil {
				used[place] = true
				if !slices.Contains(words[place], word) {
					all = append(all, fmt.Sprintf("%s is %q, want one of %v", place, word, words[place]))
				}
			}
			all = append(all, unknownWords(value, key, used)...)
		}
	}
	return all
}
