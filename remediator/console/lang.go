package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge/language"
)

// A lang is a language that the console speaks.
type lang string

const (
	english lang = language.English
	russian lang = language.Russian
)

// A text is one sentence in each language. What a device, a guard or a person
// said stands in it as it was said.
type text struct{ en, ru string }

func (l lang) of(t text) string {
	if l == russian {
		return t.ru
	}
	return t.en
}

// say writes a text with its values. A key that isn't there is a mistake of ours
// that a test finds.
func (l lang) say(key string, args ...any) string {
	t, known := texts[key]
	if !known {
		return "?" + key
	}
	if len(args) == 0 {
		return l.of(t)
	}
	return fmt.Sprintf(l.of(t), args...)
}

// duration is a length of time as short as the eye wants it.
func (l lang) duration(d time.Duration) string {
	units := strings.Fields(l.say("units"))
	s := max(int64(d/time.Second), 0)
	part := func(n int64, unit int) string { return strconv.FormatInt(n, 10) + "\u00a0" + units[unit] }
	switch {
	case s < 60:
		return part(s, 0)
	case s < 3600:
		return part(s/60, 1)
	case s < 48*3600:
		return part(s/3600, 2) + " " + part(s%3600/60, 1)
	}
	return part(s/86400, 3)
}

// spoken is the language that the reader likes best.
func spoken(accept string) lang { return lang(language.Preferred(accept)) }
