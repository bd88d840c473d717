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
	text := fmt.Sprintf("%d mutants: %d killed, %d survived, %d don't compile", len(results), n[killed], n[survived], n[broken])
	if n[untried] > 0 {
		text += fmt.Sprintf(", %d weren't tried", n[untried])
	}
	earlier := 0
	for _, r := range results {
		if r.earlier {
			earlier++
		}
	}
	if earlier > 0 {
		text += fmt.Sprintf("; %d of them were tried in an earlier run, and not in the last", earlier)
	}
	return text
}

// withEarlier adds to the results of some mutants what the last report says of the
// others.
func withEarlier(all []mutant, results []result, last string) (out []result) {
	now := map[string]result{}
	for _, r := range results {
		now[r.name()] = r
	}
	rows := rows(last)
	for _, m := range all {
		r, tried := now[m.name()]
		if !tried {
			r = result{mutant: m, outcome: untried}
			if was, known := rows[m.name()]; known && was[0] == m.file {
				r.outcome, r.by, r.earlier = was[1], was[2], was[1] != untried
			}
		}
		out = append(out, r)
	}
	return out
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
	b.WriteString("\n## Not taken out\n\nLines that look like a safety and change no step when they alone are taken out, with what else keeps it.\n\n")
	for _, e := range equivalents {
		fmt.Fprintf(&b, "- %s: %s.\n", e.what, e.why)
	}
	return b.Bytes()
}

// equivalents are what isn't tried, because no test could tell: a mutant of it does
// the same.
var equivalents = []struct{ what, why string }{
	{"traffic that wasn't counted is no evidence (`not_seen`)", "without a count there are no answers, and too few are no evidence either"},
	{"a round ends with the leader's term", "what it would still write is refused by guard `leader`, and by the journal's fence; the end makes it stop asking"},
	{"a candidate that was put is remembered for the round", "it is judged once in a round, and read from the journal at the start of the next"},
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// hints are the tests that a report names, by mutant.
func hints(report string) map[string]string {
	out := map[string]string{}
	for name, row := range rows(report) {
		if row[1] == killed {
			out[name] = row[2]
		}
	}
	return out
}

// rows are a report's file, outcome and test, by mutant.
func rows(report string) map[string][3]string {
	out := map[string][3]string{}
	for line := range strings.Lines(report) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `\|`, "\x00"), " | ")
		if len(cells) == 4 {
			plain := func(s string) string { return strings.Trim(strings.ReplaceAll(s, "\x00", "|"), "| ") }
			out[plain(cells[0])] = [3]string{cells[1], cells[2], plain(cells[3])}
		}
	}
	return out
}
