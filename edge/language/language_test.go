package language_test

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge/language"
)

func TestTheLanguageIsWhatTheCallerLikesBest(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                    language.English,
		"ru":                                  language.Russian,
		"RU":                                  language.Russian,
		"ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7": language.Russian,
		"en-US,en;q=0.9,ru;q=0.8":             language.English,
		"en;q=0.5, ru":                        language.Russian,
		"en; q=0.5, ru; q=0.4":                language.English,
		"de,ru;q=0.5":                         language.Russian,
		"de":                                  language.English,
		"*":                                   language.English,
		"*;q=0.1,ru;q=0.2":                    language.Russian,
		"ru;q=0,*":                            language.English,
		"ru;q=0":                              language.English,
		"ru;q=nan":                            language.English,
		"ru;q=2,en":                           language.English,
		"rub":                                 language.English,
		"ru" + strings.Repeat(",de", 500):     language.English, // nobody means that
	} {
		if got := language.Preferred(accept); got != want {
			t.Errorf("%.60q: %s, want %s", accept, got, want)
		}
	}
}

func FuzzLanguage(f *testing.F) {
	f.Add("ru-RU,ru;q=0.9,en;q=0.8")
	f.Add(";q=,*;q=1e9")
	f.Fuzz(func(t *testing.T, accept string) {
		if l := language.Preferred(accept); l != language.English && l != language.Russian {
			t.Fatalf("%q: %q", accept, l)
		}
	})
}
