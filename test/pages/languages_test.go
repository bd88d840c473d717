package pages

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typed is what readers type or look for: it is the same in every language.
var typed = regexp.MustCompile("`[^`]+`")

// TestRussianPagesFollowTheEnglishOnes: who changes a page and not its translation
// finds it here. Each pair has headings of the same levels, the same code, the same
// rows of tables, the same list items and the same links, in the same order.
func TestRussianPagesFollowTheEnglishOnes(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.ru.md", filepath.Join("docs", "*.ru.md"), filepath.Join("alerts", "runbooks", "*.ru.md")} {
		found, err := filepath.Glob(filepath.Join(docs, "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 70 {
		t.Fatalf("Russian pages: %v", pages)
	}
	for _, russian := range pages {
		english := strings.TrimSuffix(russian, ".ru.md") + ".md"
		t.Run(filepath.Base(english), func(t *testing.T) {
			t.Parallel()
			en, ru := outlineOf(t, english), outlineOf(t, russian)
			if filepath.Base(english) == "troubleshooting.md" {
				en.typed, ru.typed = nil, nil // the API's messages there are in both languages
			}
			if diff := cmp.Diff(en, ru, cmp.AllowUnexported(outline{})); diff != "" {
				t.Errorf("the languages differ: bring the other one up to date (-English +Russian):\n%s", diff)
			}
		})
	}
}

// An outline is what a page and its translation share.
type outline struct {
	headings []int    // levels
	blocks   []string // of code, fenced or indented
	rows     int      // of tables
	points   int      // of lists
	links    []string // the page in English, and the number of its heading
	typed    []string // sorted, for languages order words differently
}

func outlineOf(t *testing.T, file string) outline {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	var o outline
	o.blocks = code.FindAllString(text, -1)
	var prose strings.Builder
	for line := range strings.Lines(code.ReplaceAllString(text, "")) {
		switch {
		case strings.HasPrefix(line, "    ") && strings.TrimSpace(line) != "":
			o.blocks = append(o.blocks, line)
			continue
		case strings.HasPrefix(line, "|"):
			o.rows++
		case strings.HasPrefix(line, "- ") || regexp.MustCompile(`^\d+\. `).MatchString(line):
			o.points++
		case heading.MatchString(strings.TrimSuffix(line, "\n")):
			o.headings = append(o.headings, len(line)-len(strings.TrimLeft(line, "#")))
		}
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			o.links = append(o.links, neutral(t, file, m[1]))
		}
		prose.WriteString(line)
	}
	for _, m := range typed.FindAllString(prose.String(), -1) {
		o.typed = append(o.typed, strings.Join(strings.Fields(m), " ")) // lines break elsewhere
	}
	slices.Sort(o.links)
	slices.Sort(o.typed)
	return o
}

// neutral is where a link leads, whatever the language: docs/a.md and its third
// heading, for docs/a.ru.md and that heading in Russian.
func neutral(t *testing.T, from, to string) string {
	t.Helper()
	if strings.Contains(to, "://") {
		return to
	}
	page, anchor, _ := strings.Cut(to, "#")
	target := from
	if page != "" {
		target = filepath.Join(filepath.Dir(from), filepath.FromSlash(page))
	}
	if page == "" {
		page = filepath.Base(from)
	}
	page = path.Clean(strings.Replace(page, ".ru.md", ".md", 1))
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: %s: %v", filepath.Base(from), to, err)
		return to
	}
	if anchor == "" {
		return page
	}
	text, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
		if anchorOf(m[1]) == anchor {
			return page + " " + strconv.Itoa(i)
		}
	}
	t.Errorf("%s: %s: no such heading", filepath.Base(from), to)
	return to
}
