package haproxyapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// Every text is written as text{"...", "..."}; so all are found in the source,
// and none can be forgotten here.
func TestEveryTextIsThereInBothLanguages(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "texts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	found := 0
	check := func(pair []ast.Expr) {
		if len(pair) != 2 {
			t.Errorf("a text has %d languages", len(pair))
			return
		}
		en, ru := pair[0].(*ast.BasicLit).Value, pair[1].(*ast.BasicLit).Value
		found++
		if diff := cmp.Diff(verbs.FindAllString(en, -1), verbs.FindAllString(ru, -1)); diff != "" {
			t.Errorf("%s takes other values in Russian: %s", en, diff)
		}
		if strings.ContainsFunc(en, isCyrillic) || !strings.ContainsFunc(ru, isCyrillic) {
			t.Errorf("%s and %s: want English, and then Russian", en, ru)
		}
		for _, s := range []string{en, ru} {
			if strings.Contains(s, `\n`) || strings.HasSuffix(s, `."`) {
				t.Errorf("%s: want one line without a full stop", s)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		switch typ := lit.Type.(type) {
		case *ast.Ident:
			if typ.Name == "text" {
				check(lit.Elts)
			}
		case *ast.MapType: // of words, whose elements have no type of their own
			for _, e := range lit.Elts {
				check(e.(*ast.KeyValueExpr).Value.(*ast.CompositeLit).Elts)
			}
			return false
		}
		return true
	})
	if found < 35 {
		t.Errorf("only %d texts were found: are they written otherwise now?", found)
	}
}

func isCyrillic(r rune) bool { return unicode.Is(unicode.Cyrillic, r) }

func TestKindsOfThingsHaveNamesInBothLanguages(t *testing.T) {
	if got := russian.say(noSuch, word("backend"), `"shop"`); got != `не найден бэкенд: "shop"` {
		t.Error(got)
	}
	if got := english.say(noSuch, word("backend"), `"shop"`); got != `no such backend: "shop"` {
		t.Error(got)
	}
}
