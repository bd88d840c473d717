package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A lang is a language that the console speaks.
type lang string

const (
	english lang = "en"
	russian lang = "ru"
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

// language picks what the reader likes best of what we speak; English is for
// those who don't say. Source: RFC 9110, 12.5.4 and 12.4.2.
func language(accept string) lang {
	best, quality := english, 0.0
	if len(accept) > 1000 {
		return best
	}
	for part := range strings.SplitSeq(accept, ",") {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || !(n >= 0 && n <= 1) {
				continue
			}
			q = n
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		l := lang(primary)
		if primary == "*" {
			l = english
		}
		if (l == english || l == russian) && q > quality {
			best, quality = l, q
		}
	}
	return best
}
