package pages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/remediator/guard"
)

// A row is one message of a page, with cause, first command and what helps.
type row struct {
	message string // "..." stands for anything
	cells   []string
}

func (r row) fits(text string) bool {
	parts := strings.Split(r.message, "...")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`^` + strings.Join(parts, `.*`) + `$`).MatchString(text)
}

var troubles = map[string]string{"en": "troubleshooting.md", "ru": "troubleshooting.ru.md"}

// rows are those of a page, in order.
func rows(t *testing.T, lang string) (out []row) {
	t.Helper()
	for line := range strings.SplitSeq(page(t, troubles[lang]), "\n") {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
		out = append(out, row{strings.Trim(cells[0], "`"), cells[1:]})
	}
	return out
}

// found are the rows that a text fits, but for those that fit any.
func found(all []row, text string) (out []row) {
	for _, r := range all {
		if r.fits(text) {
			out = append(out, r)
		}
	}
	return out
}

func TestBothPagesTellTheSame(t *testing.T) {
	en, ru := rows(t, "en"), rows(t, "ru")
	if len(en) != len(ru) || len(en) < 90 {
		t.Fatalf("%d messages in English, %d in Russian", len(en), len(ru))
	}
	cyrillic := regexp.MustCompile(`\p{Cyrillic}`)
	for i := range en {
		if a, b := len(en[i].cells), len(ru[i].cells); a != b || a < 3 {
			t.Errorf("%s: %d cells, %s: %d", en[i].message, a, ru[i].message, b)
			continue
		}
		for _, c := range slices.Concat(en[i].cells, ru[i].cells) {
			if strings.TrimSpace(c) == "" {
				t.Errorf("%s: an empty cell", en[i].message)
			}
		}
		n := len(en[i].cells)
		// What is typed is the same in every language.
		command := regexp.MustCompile("^`[^`]*`")
		if diff := cmp.Diff(command.FindString(en[i].cells[n-2]), command.FindString(ru[i].cells[n-2])); diff != "" || command.FindString(en[i].cells[n-2]) == "" {
			t.Errorf("%s: the first command: %s", en[i].message, diff)
		}
		if !cyrillic.MatchString(ru[i].cells[n-3]) || cyrillic.MatchString(strings.Join(en[i].cells, " ")) {
			t.Errorf("%s: the cause is in the wrong language", ru[i].message)
		}
	}
}

func TestEachGuardIsOnThePages(t *testing.T) {
	for lang := range troubles {
		all := rows(t, lang)
		for _, no := range guard.Reasons() {
			on := found(all, no.Guard+": detail")
			if len(on) == 0 || !slices.ContainsFunc(on, func(r row) bool { return strings.Contains(r.cells[0], "`"+no.Reason+"`") }) {
				t.Errorf("%s: %s: %s isn't there", lang, no.Guard, no.Reason)
			}
		}
	}
}

// Each text of the HAProxy REST API is read from its source, so that none is
// forgotten here.
func TestEachTextOfTheHAProxyAPIIsOnThePages(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(filepath.Dir(docs), "remediator", "haproxyapi", "texts.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	no := []string{"changed", "unchanged"} // they say that all is well
	pages := map[string][]row{"en": rows(t, "en"), "ru": rows(t, "ru")}
	verb := regexp.MustCompile(`%[a-z]`)
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || slices.Contains(no, spec.Names[0].Name) {
			return true
		}
		lit, ok := spec.Values[0].(*ast.CompositeLit)
		if !ok {
			return true
		}
		if name, ok := lit.Type.(*ast.Ident); !ok || name.Name != "text" {
			return true
		}
		seen++
		for i, lang := range []string{"en", "ru"} {
			text, err := strconv.Unquote(lit.Elts[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds := []string{"x"}
			if spec.Names[0].Name == "noSuch" { // three kinds of thing, a row each
				kinds = map[string][]string{"en": {"instance", "backend", "server"}, "ru": {"экземпляр", "бэкенд", "сервер"}}[lang]
			}
			if spec.Names[0].Name == "mayNot" { // what it takes has two forms
				kinds = []string{"ann may not order on edge1/shop: the role operator is missing"}
			}
			for _, kind := range kinds {
				said := verb.ReplaceAllString(strings.Replace(text, "%s", kind, 1), "x")
				on := found(pages[lang], said)
				if spec.Names[0].Name == "haproxyAway" { // its rows are of one cause each
					on = found(pages[lang], strings.TrimSuffix(said, "x")+"connect to x: connection refused")
				}
				if len(on) == 0 {
					t.Errorf("%s: %s isn't there", lang, said)
				}
			}
		}
		return false
	})
	if seen < 35 {
		t.Errorf("found %d texts", seen)
	}
}
