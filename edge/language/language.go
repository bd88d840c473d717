// Package language picks the language in which people are answered: English or
// Russian. It stands below all that answer.
package language

import (
	"strconv"
	"strings"
)

// What is spoken.
const (
	English = "en"
	Russian = "ru"
)

// maxHeader is the longest header that is looked at: nobody likes so many.
const maxHeader = 1000

// Preferred is what the sender of a header Accept-Language likes best of what is
// spoken; English is for those who don't say. Source: RFC 9110, 12.5.4 and 12.4.2.
func Preferred(accept string) string {
	best, quality := English, 0.0
	if len(accept) > maxHeader {
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
		if primary == "*" {
			primary = English
		}
		if (primary == English || primary == Russian) && q > quality {
			best, quality = primary, q
		}
	}
	return best
}
