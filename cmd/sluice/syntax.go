package main

import (
	"bytes"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
)

var syntaxText = regexp.MustCompile(`(?s)^yaml: (?:unmarshal errors:\s*)?(?:line (\d+): )?(.*)$`)

// syntaxMistake says where the text stops being YAML. The library often names
// the line on which the part around the mistake begins, so the line is looked
// for.
func syntaxMistake(text []byte, err error) *lineMistake {
	m := syntaxText.FindStringSubmatch(err.Error())
	if m == nil {
		m = []string{"", "", err.Error()}
	}
	named, convErr := strconv.Atoi(m[1])
	if convErr != nil {
		named = 1 // the library names none for some mistakes, such as a control character
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	line := breaksAt(lines)
	if line == 0 {
		line = named
	}
	hint := "check how far it is indented, and put quotes around a value that holds : or #"
	if at := lines[min(line, len(lines))-1]; bytes.ContainsRune(at[:len(at)-len(bytes.TrimLeft(at, " \t"))], '\t') {
		hint = "indent with spaces, not with tabs"
	}
	return &lineMistake{line: line, Mistake: edge.Mistake{Text: "not YAML: " + m[2] + ": " + hint}}
}

// breaksAt returns the line, from 1, after the longest beginning of the text that
// is YAML by itself, or 0 when all of it is. Where a beginning isn't, because
// it ends inside a bracket or a quote, a shorter one nearby may be.
func breaksAt(lines [][]byte) int {
	const nearby = 8
	good := func(n int) bool {
		var doc yaml.Node
		return yaml.Unmarshal(bytes.Join(lines[:n], nil), &doc) == nil
	}
	if good(len(lines)) {
		return 0
	}
	low, high := 0, len(lines)
	for high-low > 1 {
		middle := (low + high) / 2
		n := middle
		for n > low && n > middle-nearby && !good(n) {
			n--
		}
		if n > low && n > middle-nearby {
			low = n
		} else {
			high = middle
		}
	}
	return low + 1
}
