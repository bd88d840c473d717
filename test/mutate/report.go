package main

import (
	"bytes"
	"fmt"
	"strings"
)

// count is the summary, on one line.
func count(results []result) string {
	n := map[string]int{}
	for _, r := range results {
		n[r.outcome]++
	}
	return fmt.Sprintf("%d mutants: %d killed, %d survived, %d don't compile", len(results), n[killed], n[survived], n[broken])
}

// report is the document: no dates and no times, so that it changes only when
// what it says does.
func report(results []result) []byte {
	var b bytes.Buffer
	b.WriteString("# Each guard taken out\n\n" +
		"Written by `make mutate`: don't edit it. Each line is the program with one safety taken out, and the first test that failed\n" +
		"because of it. A survivor would be a safety that no test guards, and fails the run.\n\n")
	fmt.Fprintf(&b, "%s.\n", count(results))
	for _, part := range []struct{ kind, title string }{
		{"guard", "Guards that say yes to everything"},
		{"reason", "Reasons that are never given"},
		{"edit", "Safeties beside the guards"},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| Taken out | In | Outcome | By |\n|---|---|---|---|\n", part.title)
		for _, r := range results {
			if r.kind == part.kind {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(r.name()), r.file, r.outcome, cell(r.by))
			}
		}
	}
	return b.Bytes()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// hints are the tests that a report names, by mutant.
func hints(report string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(report) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), " | ")
		if len(cells) == 4 && cells[2] == killed {
			plain := func(s string) string { return strings.Trim(strings.ReplaceAll(s, "\x00", "|"), "| ") }
			out[plain(cells[0])] = plain(cells[3])
		}
	}
	return out
}
