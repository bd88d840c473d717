package console

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestEveryTextStandsInBothLanguages(t *testing.T) {
	verbs := regexp.MustCompile(`%.`)
	for key, text := range texts {
		if text.en == "" || text.ru == "" {
			t.Errorf("%s isn't said in both languages", key)
		}
		if a, b := verbs.FindAllString(text.en, -1), verbs.FindAllString(text.ru, -1); strings.Join(a, "") != strings.Join(b, "") {
			t.Errorf("%s takes other values: %v and %v", key, a, b)
		}
		if strings.ContainsFunc(text.en, func(c rune) bool { return unicode.Is(unicode.Cyrillic, c) }) {
			t.Errorf("%s: the English isn't", key)
		}
	}
}

func TestEveryTextOfThePagesIsThere(t *testing.T) {
	used := regexp.MustCompile(`(?:\.T|\.P\.T|\$p\.T) "([a-z_]+)"`)
	files, err := fs.Glob(pages, "pages/*.html")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := pages.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range used.FindAllStringSubmatch(string(b), -1) {
			if _, known := texts[m[1]]; !known {
				t.Errorf("%s says %q", name, m[1])
			}
		}
	}
	for _, word := range []string{
		"asked", "unsettled", "mode", "superseded", "frozen", "maintenance", "claim", "device_check", "evidence", "hold_down", "held_for", "probation", "drained", "retry", "due",
	} {
		if _, known := texts["await_"+word]; !known {
			t.Errorf("nothing says what %s is", word)
		}
	}
	for _, s := range shows {
		if _, known := texts["show_"+s]; !known {
			t.Errorf("nothing says what %s shows", s)
		}
	}
}

func TestNoTextStandsForNothing(t *testing.T) {
	var all strings.Builder
	for _, where := range []fs.FS{pages, os.DirFS(".")} {
		for _, pattern := range []string{"pages/*.html", "*.go"} {
			files, err := fs.Glob(where, pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range files {
				b, err := fs.ReadFile(where, name)
				if err != nil {
					t.Fatal(err)
				}
				if name != "texts.go" && !strings.HasSuffix(name, "_test.go") {
					all.Write(b)
				}
			}
		}
	}
	for key := range texts {
		made, _, _ := strings.Cut(key, "_") // by the page, from a word
		prefixed := slices.Contains([]string{"kind", "means", "show", "await", "done", "outcome", "forbidden", "set", "check", "theme"}, made)
		if !prefixed && !strings.Contains(all.String(), `"`+key+`"`) {
			t.Errorf("%s is never said", key)
		}
	}
}

func TestTimesAreShort(t *testing.T) {
	for _, c := range []struct {
		d      time.Duration
		en, ru string
	}{
		{-time.Second, "0 s", "0 с"},
		{59 * time.Second, "59 s", "59 с"},
		{61 * time.Second, "1 m", "1 мин"},
		{3*time.Hour + 5*time.Minute, "3 h 5 m", "3 ч 5 мин"},
		{100 * time.Hour, "4 d", "4 д"},
	} {
		en, ru := strings.ReplaceAll(english.duration(c.d), "\u00a0", " "), strings.ReplaceAll(russian.duration(c.d), "\u00a0", " ")
		if en != c.en || ru != c.ru {
			t.Errorf("%s: got %s, %s", c.d, en, ru)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("app1", 80)
	f.Add("\u202e\x00\xff<script>\n", 5)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > 1000 {
			return
		}
		got := cut(s, n)
		if len([]rune(got)) > n+1 {
			t.Errorf("%q has more than %d characters", got, n)
		}
		for _, c := range got {
			if !unicode.IsPrint(c) {
				t.Errorf("%q has %q", got, c)
			}
		}
	})
}

func FuzzNatural(f *testing.F) {
	f.Add("app2", "app10", "app9")
	f.Add("", "0", "00")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if natural(a, b) != -natural(b, a) || natural(a, b) == 0 && a != b {
			t.Errorf("%q and %q have no order", a, b)
		}
		if natural(a, b) < 0 && natural(b, c) < 0 && natural(a, c) >= 0 {
			t.Errorf("%q, %q, %q go round", a, b, c)
		}
	})
}
