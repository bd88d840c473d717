package figures

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample() *Table {
	t := &Table{Name: "cost", Title: "Cost", Head: []string{"what", "got", "aim"}}
	t.Add("wall", "1.25", "at most 1.4")
	return t
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := sample().Text(&b); err != nil {
		t.Fatal(err)
	}
	want := "\nCost\n\n  what   got          aim\n  wall  1.25  at most 1.4\n"
	if b.String() != want {
		t.Errorf("got\n%q, want\n%q", b.String(), want)
	}
}

func TestPut(t *testing.T) {
	const table = "| what | got | aim |\n|---|--:|--:|\n| wall | 1.25 | at most 1.4 |\n"
	for name, c := range map[string]struct{ before, after, mistake string }{
		"a place is filled":           {"A\n<!-- figures cost -->\n<!-- end cost -->\nB\n", "A\n<!-- figures cost -->\n\n" + table + "\n<!-- end cost -->\nB\n", ""},
		"older figures are replaced":  {"<!-- figures cost -->\nold\n<!-- end cost -->\n", "<!-- figures cost -->\n\n" + table + "\n<!-- end cost -->\n", ""},
		"a document without a place":  {"A\n", "A\n", `has no line "<!-- figures cost -->"`},
		"a place that has no end":     {"<!-- figures cost -->\nA\n", "<!-- figures cost -->\nA\n", `has no "<!-- end cost -->"`},
		"other places are left alone": {"<!-- figures cost -->\n<!-- end cost -->\n<!-- figures x -->\nA\n<!-- end x -->\n", "<!-- figures cost -->\n\n" + table + "\n<!-- end cost -->\n<!-- figures x -->\nA\n<!-- end x -->\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "doc.md")
			if err := os.WriteFile(file, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Put(file, []*Table{sample()})
			switch {
			case c.mistake == "" && err != nil:
				t.Error(err)
			case c.mistake != "" && (err == nil || !strings.Contains(err.Error(), c.mistake)):
				t.Errorf("got %v, want an error with %q", err, c.mistake)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.after {
				t.Errorf("got\n%s, want\n%s", got, c.after)
			}
		})
	}
}
