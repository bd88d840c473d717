package main

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const guards = `package guard

type check func(Step, World) (reason, detail string)

type row struct {
	name    string
	check   check
	reasons []string
}

var guards = []row{
	{"freeze", freeze, []string{"frozen"}},
	{name: "late", check: late, reasons: []string{"too_late", "much_too_late"}},
}

func freeze(s Step, w World) (string, string) {
	switch {
	case w.Freeze == "", s.ByHand:
		return "", "not frozen"
	}
	return "frozen", w.Freeze
}

func late(s Step, w World) (string, string) {
	switch {
	case w.Late > 9, w.Later:
		return "much_too_late", ""
	}
	if n := w.Late; n > 3 {
		return "too_late", ""
	} else if w.Early {
		note("too_late")
	}
	return "", "too_late is a detail here"
}

func Reasons() []Refusal { return []Refusal{{Guard: "late", Reason: "other"}} }

func add(d *D, no bool) {
	if no {
		d.add("late", "other", "text")
	}
}
`

func module(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// changed is the one part in which two texts differ, as whole lines.
func changed(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return strings.TrimSpace(b[i])
		}
	}
	return ""
}

func TestGuardsAreFoundAndTakenOut(t *testing.T) {
	all, err := ofGuards(module(t, map[string]string{"remediator/guard/guard.go": guards}))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range all {
		got[m.name()] = changed(guards, string(m.text))
		if _, err := parser.ParseFile(token.NewFileSet(), "", m.text, 0); err != nil {
			t.Errorf("%s: %v", m.name(), err)
		}
	}
	const yes = `func(Step, World) (reason, detail string) { return *new(string), *new(string) }`
	want := map[string]string{
		"guard guards/freeze":       `{"freeze", ` + yes + `, []string{"frozen"}},`,
		"guard guards/late":         `{name: "late", check: ` + yes + `, reasons: []string{"too_late", "much_too_late"}},`,
		"reason freeze/frozen":      `return "", w.Freeze`,
		"reason late/much_too_late": `case false && ((w.Late > 9) || (w.Later)):`,
		"reason late/too_late":      `if n := w.Late; false && (n > 3) {`,
		"reason add/other":          `if false && (no) {`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAReasonThatNoBranchGivesIsAnError(t *testing.T) {
	text := strings.Replace(guards, `[]string{"frozen"}`, `[]string{"frozen", "cold"}`, 1)
	if _, err := ofGuards(module(t, map[string]string{"remediator/guard/guard.go": text})); err == nil || !strings.Contains(err.Error(), `"cold"`) {
		t.Errorf("got %v", err)
	}
}

func TestAnEditStandsInItsFolderOnce(t *testing.T) {
	root := module(t, map[string]string{"a/one.go": "x := 1\ny := 2\n", "a/two.go": "y := 2\nz := 3\n", "a/two_test.go": "x := 1\n"})
	for _, c := range []struct {
		name  string
		texts []change
		want  string // the new text, or a part of the error
	}{
		{"once", one("x := 1", "x := 0"), "x := 0\ny := 2\n"},
		{"two texts of a file", []change{{"x := 1", "x := 0"}, {"1\ny", "y"}}, "x := 0\ny := 2\n"},
		{"twice", one("y := 2", ""), "2 times"},
		{"nowhere", one("q", ""), "0 times"},
		{"to what it was", one("x := 1", "x := 1"), "changes nothing"},
		{"in two files", []change{{"x := 1", ""}, {"z := 3", ""}}, "its texts are in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := ofEdits(root, []edit{{what: "it", dir: "a", texts: c.texts}})
			if err != nil {
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v; want %s", err, c.want)
				}
				return
			}
			if got := string(all[0].text); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

// Every edit still has its place in the source as it is now.
func TestEveryMutantHasItsPlace(t *testing.T) {
	all, err := mutants("../..")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range all {
		if names[m.name()] || !regexp.MustCompile(`^(guard|reason|edit) `).MatchString(m.name()) {
			t.Errorf("%s: twice, or of no kind", m.name())
		}
		names[m.name()] = true
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, m.text, 0); err != nil {
			t.Errorf("%s: %v", m.name(), err)
		}
	}
}

func TestWhatGoTestSaidIsRead(t *testing.T) {
	failed := errors.New("exit status 1")
	for _, c := range []struct{ name, out, outcome, by, top string }{
		{
			"the innermost of the first", "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\n        a_test.go:1: no\n--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/y (0.00s)\nFAIL\n",
			killed, "a.TestA/x", "TestA",
		},
		{"a panic in a test", "--- FAIL: TestA (0.00s)\npanic: no\n", killed, "a.TestA", "TestA"},
		{"a panic beside tests", "panic: no\n\ngoroutine 1\nFAIL\ta\t0.1s\n", killed, "a (panics)", ""},
		{"no end", "panic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\n", killed, "a.TestA (never ends)", "TestA"},
		{"no build", "# a\na.go:1: no\nFAIL\ta [build failed]\n", broken, "# a a.go:1: no FAIL a [build failed]", ""},
		{"no word", "no space left\n", broken, "exit status 1: no space left", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if outcome, by, top := judge("./a", c.out, failed); outcome != c.outcome || by != c.by || top != c.top {
				t.Errorf("got %s, %q, %q; want %s, %q, %q", outcome, by, top, c.outcome, c.by, c.top)
			}
		})
	}
}

func TestTheTestsThatNameAnInvariantAreAskedFirst(t *testing.T) {
	for _, c := range []struct{ ids, want string }{
		{"I7", "^Test(I7)[A-Z]"},
		{"I7, I17", "^Test(I7|I17)[A-Z]"},
		{"modes", ""},
		{"", ""},
	} {
		if got := namers(c.ids); got != c.want {
			t.Errorf("%q: got %q; want %q", c.ids, got, c.want)
		}
	}
}

func TestASurvivorIsAnError(t *testing.T) {
	results := []result{
		{mutant{kind: "guard", what: "a/b", file: "x.go"}, killed, "x.TestA/a|b", false},
		{mutant{kind: "edit", what: "c", ids: "I1", file: "x.go"}, survived, "", false},
		{mutant{kind: "edit", what: "d", file: "x.go"}, broken, "no", false},
	}
	err := verdict(results)
	if err == nil || err.Error() != "edit c (I1): no test noticed\nedit d: doesn't compile: no" {
		t.Errorf("got %v", err)
	}
	text := string(report(results))
	for _, line := range []string{
		"\n3 mutants: 1 killed, 1 survived, 1 don't compile.\n",
		"\n| guard a/b | x.go | killed | x.TestA/a\\|b |\n",
		"\n| edit c (I1) | x.go | survived |  |\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if d := cmp.Diff(map[string]string{"guard a/b": "x.TestA/a|b"}, hints(text)); d != "" {
		t.Error(d)
	}
}

func TestARunOfSomeKeepsWhatIsKnownOfTheOthers(t *testing.T) {
	all := []mutant{{kind: "guard", what: "a", file: "x.go"}, {kind: "guard", what: "b|c", file: "x.go"}, {kind: "guard", what: "moved", file: "y.go"}, {kind: "edit", what: "new", file: "x.go"}, {kind: "edit", what: "s", file: "x.go"}}
	last := report([]result{{all[0], killed, "x.TestA", false}, {all[1], killed, "x.TestB", false}, {mutant{kind: "guard", what: "moved", file: "x.go"}, killed, "x.TestB", false}, {all[4], survived, "", false}})
	got := withEarlier(all, []result{{all[0], survived, "", false}}, string(last))
	want := []result{{all[0], survived, "", false}, {all[1], killed, "x.TestB", true}, {all[2], untried, "", false}, {all[3], untried, "", false}, {all[4], survived, "", true}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(result{}, mutant{})); d != "" {
		t.Error(d)
	}
	if got := count(got); got != "5 mutants: 1 killed, 2 survived, 0 don't compile, 2 weren't tried; 2 of them were tried in an earlier run, and not in the last" {
		t.Error(got)
	}
}
