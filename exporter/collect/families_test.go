package collect

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/exporter/promtext"
)

func TestKindsShareFamiliesByName(t *testing.T) {
	named := func(names ...string) (out []family) {
		for _, n := range names {
			out = append(out, family{name: n, kind: promtext.Gauge})
		}
		return out
	}
	up := family{name: "up"}
	type at map[string]int
	for name, tt := range map[string]struct {
		kinds map[string]kind
		want  []string
		of    []at
	}{
		"one kind keeps its order": {
			map[string]kind{"a": {families: named("x", "y")}},
			[]string{"x", "y"},
			[]at{{"a": 0}, {"a": 1}},
		},
		"a family of two stands where the first has it": {
			map[string]kind{"a": {families: named("x", "y")}, "b": {families: named("z", "x")}},
			[]string{"x", "y", "z"},
			[]at{{"a": 0, "b": 1}, {"a": 1}, {"b": 0}},
		},
		"lines of one name stay together": {
			map[string]kind{"a": {families: named("x", "y")}, "b": {families: named("z", "x", "x")}},
			[]string{"x", "x", "y", "z"},
			[]at{{"a": 0, "b": 1}, {"b": 2}, {"a": 1}, {"b": 0}},
		},
		"whether a device is up comes first": {
			map[string]kind{"a": {families: named("x"), up: up}, "b": {families: named("x"), up: up}},
			[]string{"up", "x"},
			[]at{{"a": upFamily, "b": upFamily}, {"a": 0, "b": 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			var of []at
			for _, m := range merged(tt.kinds) {
				names, of = append(names, m.name), append(of, at(m.of))
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.of, of); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

// A name has one header, so kinds that share it must mean the same. A second
// line of a kind may leave the help out.
func TestSharedFamiliesMeanTheSame(t *testing.T) {
	first := map[string]family{}
	for _, m := range allFamilies {
		if _, known := first[m.name]; !known {
			first[m.name] = m.family
		}
	}
	for name, k := range kinds {
		for _, f := range append([]family{k.up}, k.families...) {
			want := first[f.name]
			if f.help == "" {
				want.help = ""
			}
			if diff := cmp.Diff(want, f, cmp.AllowUnexported(family{})); diff != "" {
				t.Errorf("%s and another kind (-other +this):\n%s", name, diff)
			}
		}
	}
}

// The page lists our own names for what a PTAF says; those of calls are counted
// elsewhere.
func TestMetricsOfPTAFAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, written []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(ptaf_\\w+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if !strings.HasPrefix(m[1], "ptaf_api_") {
			listed = append(listed, m[1])
		}
	}
	for _, f := range allFamilies {
		if strings.HasPrefix(f.name, "ptaf_") {
			written = append(written, f.name)
		}
	}
	slices.Sort(listed)
	slices.Sort(written)
	if diff := cmp.Diff(written, listed); diff != "" {
		t.Errorf("docs/metrics.md (-written +listed):\n%s", diff)
	}
}
