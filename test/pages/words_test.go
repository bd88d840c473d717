package pages

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// retired are words that stood beside another for the same thing, or in place of
// the one that docs/operations.ru.md lists under "Словарь".
var retired = []word{
	{endings("член", "", "а", "у", "ом", "е", "ы", "ов", "ам", "ами", "ах"), "сервер, сервер пула"},
	{endings("участник", "", "а", "у", "ом", "е", "и", "ов", "ам", "ами", "ах"), "сервер, сервер пула"},
	{endings("экспортёр", "", "а", "у", "ом", "е", "ы", "ов", "ам", "ами", "ах"), "экспортер"},
	{endings("апстрим", "", "а", "у", "ом", "е", "ы", "ов", "ам", "ами", "ах"), "upstream"},
	{endings("алерт", "", "а", "у", "ом", "е", "ы", "ов", "ам", "ами", "ах"), "тревога"},
	{endings("дос", "ка", "ки", "ке", "ку", "кой", "ок", "кам", "ками", "ках"), "дашборд"},
	{endings("ранбук", "", "а", "у", "ом", "е", "и", "ов", "ам", "ами", "ах"), "описание действий"},
	{endings("клейм", "", "а", "у", "ом", "е", "ы", "ов", "ам", "ами", "ах"), "просьба"},
	{endings("холд", "", "а", "у", "ом", "е", "ы", "ов", "ам", "ами", "ах"), "удержание"},
	{endings("дренаж", "", "а", "у", "ом", "е"), "drain"},
	{endings("аренд", "а", "ы", "е", "у", "ой"), "срок удержания, срок лидерства"},
	{endings("ведущ", "ая реплика", "ей реплики", "ую реплику", "ей репликой", "ий ремедиатор", "его ремедиатора"), "лидер"},
	{regexp.MustCompile(`(?i)(?:^|[^а-яё])обо(?:йти|йд)\S*\s+(?:эту\s+)?защит`), "пропустить защиту"},
	{regexp.MustCompile(`(?i)перезагрузк\S*\s+(?:haproxy|конфигурации|устройства)`), "reload, перечитывание конфигурации"},
	{regexp.MustCompile(`(?i)журнал\S*\s+ремедиатора`), "лог ремедиатора, журнал Sluice"},
}

// A word that was given up, and the one that is said now.
type word struct {
	was *regexp.Regexp
	now string
}

// endings finds a stem with one of its endings, as a word of its own.
func endings(stem string, of ...string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[^а-яё])` + stem + `(?:` + strings.Join(of, "|") + `)(?:[^а-яё]|$)`)
}

// TestOneRussianWordForOneThing: pages, templates and what the programs say in Russian
// have no word that was given up for another.
func TestOneRussianWordForOneThing(t *testing.T) {
	cyrillic, read := regexp.MustCompile(`[а-яё]`), 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "node_modules", "testdata"}, d.Name()):
			return fs.SkipDir
		case d.IsDir(), strings.HasSuffix(path, "_test.go"), !slices.Contains([]string{".md", ".go", ".tmpl", ".html", ".js", ".yaml", ".yml"}, filepath.Ext(path)):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !cyrillic.Match(text) {
			return err
		}
		read++
		for n, line := range strings.Split(string(text), "\n") {
			for _, r := range retired {
				if found := r.was.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: the word is %q", path, n+1, strings.TrimSpace(found), r.now)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 80 {
		t.Errorf("%d files with Russian in them", read)
	}
}

// TestRetiredWordsAreKnownInAllTheirForms keeps the list above from going blind.
func TestRetiredWordsAreKnownInAllTheirForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Член пула не отвечает":                true,
		"о сбоящих членах":                     true,
		"состояние участника":                  true,
		"данные экспортёра":                    true,
		"доски Grafana":                        true,
		"эту защиту обойти нельзя":             false, // the other order isn't looked for
		"нельзя обойти защиту":                 true,
		"причина в журнале ремедиатора":        true,
		"при перезагрузке HAProxy":             true,
		"Сервер пула не отвечает":              false,
		"собственная проба экспортера":         false,
		"членство в группе":                    false,
		"доступ к сокету, недоставка, доскажу": false,
		"арендатор":                            false,
	} {
		got := slices.ContainsFunc(retired, func(w word) bool { return w.was.MatchString(text) })
		if got != want {
			t.Errorf("%q: retired %v, want %v", text, got, want)
		}
	}
}

// TestRussianPagesLeadToRussianOnes: who reads Russian goes on in Russian, wherever
// there is such a page.
func TestRussianPagesLeadToRussianOnes(t *testing.T) {
	t.Parallel()
	labelled := regexp.MustCompile(`\[([^\[\]]*)\]\(([^)\s#]+\.md)[)#]`)
	var pages []string
	for _, pattern := range []string{"../../*.ru.md", "../../docs/*.ru.md", "../../alerts/runbooks/*.ru.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		pages = append(pages, found...)
	}
	for _, from := range pages {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range labelled.FindAllStringSubmatch(string(text), -1) {
			label, to := m[1], m[2]
			if strings.HasSuffix(to, ".ru.md") || strings.Contains(to, "://") || label == "In English" {
				continue
			}
			russian := strings.TrimSuffix(to, ".md") + ".ru.md"
			if _, err := os.Stat(filepath.Join(filepath.Dir(from), russian)); err == nil {
				t.Errorf("%s leads to %s: there is %s", filepath.Base(from), to, russian)
			}
		}
	}
}
