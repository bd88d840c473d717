package collect

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// families are those that devices of each kind may have.
func families() map[string][]family {
	all := map[string][]family{"ptaf": {ptafUp}, "ptafpro": {ptafUp}}
	for _, l := range ptafLines {
		all["ptaf"] = append(all["ptaf"], l.family)
	}
	for _, l := range ptafProLines {
		all["ptafpro"] = append(all["ptafpro"], l.family)
	}
	return all
}

// A name has one header, so kinds that share it must mean the same. A second
// line of a kind may leave the help out.
func TestSharedFamiliesMeanTheSame(t *testing.T) {
	first := map[string]family{}
	for _, kind := range []string{"ptaf", "ptafpro"} {
		for _, f := range families()[kind] {
			want, known := first[f.name]
			if !known {
				first[f.name] = f
				continue
			}
			if f.help == "" {
				want.help = ""
			}
			if diff := cmp.Diff(want, f, cmp.AllowUnexported(family{})); diff != "" {
				t.Errorf("%s and another line (-other +this):\n%s", kind, diff)
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
	for _, all := range families() {
		for _, f := range all {
			written = append(written, f.name)
		}
	}
	slices.Sort(listed)
	slices.Sort(written)
	written = slices.Compact(written)
	if diff := cmp.Diff(written, listed); diff != "" {
		t.Errorf("docs/metrics.md (-written +listed):\n%s", diff)
	}
}
