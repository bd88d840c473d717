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
				what := r.what
				if r.ids != "" {
					what = r.ids + ": " + what
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(what), r.file, r.outcome, cell(r.by))
			}
		}
	}
	return b.Bytes()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
