package main

import (
	"strconv"
	"strings"
)

// instead says what to write for an unknown word: the one that is nearest to
// it, or all when none is near.
func instead(near string, ok bool, known []string) string {
	if ok {
		return "write " + strconv.Quote(near)
	}
	return "here may stand " + strings.Join(known, ", ")
}

// nearest returns the known word with the fewest edits to it, when these are few
// enough for a slip of the hand.
func nearest(word string, known []string) (string, bool) {
	best, fewest := "", 1+max(2, len(word)/3)
	for _, k := range known {
		if e := edits(strings.ToLower(word), k); e < fewest && e < len(k) {
			best, fewest = k, e
		}
	}
	return best, best != ""
}

// edits counts the bytes to put in, take out or change to turn a into b, where
// two neighbours that changed places count once.
func edits(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			now[j] = min(change, last[j]+1, now[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
