package journal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a record needs beside its entry, and how much detail is left of an entry
// that is too big even without all the rest.
const (
	aroundEntry = 256
	leastDetail = 4 << 10
)

// fit leaves out of e what a store has no room for, and says so in Detail. Half an
// image would be worse than none: somebody could put it back.
func fit(e Entry, room int) (Entry, error) {
	if rough := len(e.Before) + len(e.After) + len(e.Evidence) + len(e.Decision) + len(e.World) + len(e.Detail); rough < room/8 {
		return e, nil // JSON makes a byte six at most
	}
	tooBig := func() (bool, error) {
		b, err := json.Marshal(e)
		return len(b)+aroundEntry > room, err
	}
	note := func(what string, n int) {
		if n > 0 {
			e.Detail = strings.TrimSpace(fmt.Sprintf("%s [%s left out: %d bytes]", e.Detail, what, n))
		}
	}
	for _, cut := range []func(){
		func() {
			note("before", len(e.Before))
			note("after", len(e.After))
			e.Before, e.After = nil, nil
		},
		func() {
			note("evidence", len(e.Evidence))
			note("decision", len(e.Decision))
			note("world", len(e.World))
			e.Evidence, e.Decision, e.World = nil, nil, nil
		},
		func() {
			n := len(e.Detail)
			end := max(0, min(n, leastDetail))
			for end < n && end > 0 && !utf8.RuneStart(e.Detail[end]) {
				end--
			}
			e.Detail = e.Detail[:end]
			note("rest of detail", n-end)
		},
	} {
		big, err := tooBig()
		if err != nil || !big {
			return e, err
		}
		cut()
	}
	big, err := tooBig()
	if big {
		err = cmp.Or(err, fmt.Errorf("entry %s: too big for one transaction", e.Event))
	}
	return e, err
}
