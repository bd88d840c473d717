package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	code    = regexp.MustCompile("(?s)```.*?```")
)

func TestEachLinkOfThePagesLeadsSomewhere(t *testing.T) {
	var files []string
	for folder, least := range map[string]int{docs: 15, runbooks(): 100} {
		found, err := filepath.Glob(filepath.Join(folder, "*.md"))
		if err != nil || len(found) < least {
			t.Fatal(folder, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := code.ReplaceAllString(string(raw), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") {
				continue
			}
			target := file
			if to != "" {
				target = filepath.Join(filepath.Dir(file), filepath.FromSlash(to))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(file), m[1], err)
				continue
			}
			if anchor != "" && strings.HasSuffix(target, ".md") && !anchors(t, target)[anchor] {
				t.Errorf("%s: %s: no such heading", filepath.Base(file), m[1])
			}
		}
	}
}

// runbooks is the folder of the pages that alerts lead to.
func runbooks() string { return filepath.Join(docs, "..", "alerts", "runbooks") }

// anchors are what GitHub makes of a page's headings.
func anchors(t *testing.T, file string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
		out[anchorOf(m[1])] = true
	}
	return out
}

func anchorOf(heading string) string {
	title := link.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case unicode.IsLetter(c) || unicode.IsNumber(c) || c == '-' || c == '_':
			return c
		}
		return -1
	}, title)
}
