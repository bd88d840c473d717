package grafana

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPanelsArePlacedWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	of := func(w, h int) Panel { return Lines(0, "", "", None).Size(w, h) }
	for name, tt := range map[string]struct {
		panels []Panel
		want   []Place
	}{
		"side by side":              {[]Panel{of(12, 7), of(12, 7)}, []Place{{0, 0, 12, 7}, {12, 0, 12, 7}}},
		"two beside a higher one":   {[]Panel{of(12, 10), of(12, 5), of(12, 5)}, []Place{{0, 0, 12, 10}, {12, 0, 12, 5}, {12, 5, 12, 5}}},
		"the next line when full":   {[]Panel{of(16, 4), of(12, 4)}, []Place{{0, 0, 16, 4}, {0, 4, 12, 4}}},
		"a row is below all":        {[]Panel{of(4, 4), Row(1, "more"), of(4, 4)}, []Place{{0, 0, 4, 4}, {0, 4, 24, 1}, {0, 5, 4, 4}}},
		"nothing climbs over a row": {[]Panel{of(4, 2), of(4, 6), Row(1, "more"), of(4, 4)}, []Place{{0, 0, 4, 2}, {4, 0, 4, 6}, {0, 6, 24, 1}, {0, 7, 4, 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all, some Board
			all.Show(tt.panels...)
			for _, p := range tt.panels { // one at a time is the same
				some.Show(p)
			}
			for _, b := range []Board{all, some} {
				var got []Place
				for _, p := range b.Panels {
					got = append(got, p.GridPos)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// The form to import is another board: the one that it was made from stays.
func TestImportLeavesTheBoardAlone(t *testing.T) {
	t.Parallel()
	b := Board{UID: "b"}
	b.Choose(DataSource(), Constant("console", "Console", "http://192.0.2.1"))
	before, err := b.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if in := b.Import(); len(in.Inputs) != 2 || in.Templating.List[1].Query != "${VAR_CONSOLE}" {
		t.Errorf("the import asks for %+v", in.Inputs)
	}
	after, err := b.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}
