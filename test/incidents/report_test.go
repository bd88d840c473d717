package main

import (
	"os"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/test/incidents/record"
)

// report is what "make incidents" has written.
const report = "../../docs/incidents.md"

// The committed report is of the incidents and expectations that stand here, and
// all of them were met.
func TestTheReportIsOfTheseIncidents(t *testing.T) {
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	_, sections, _ := strings.Cut(string(text), "\n## All of them\n")
	table, sections, _ := strings.Cut(sections, "\n## ")
	written := map[string]string{} // sections by their titles
	for section := range strings.SplitSeq(sections, "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		written[title] = body
	}
	for _, i := range incidents {
		body, ok := written[i.title]
		delete(written, i.title)
		if !ok || !strings.Contains(table, "| ["+i.title+"](#") {
			t.Errorf("%s: it isn't there: run \"make incidents\"", i.title)
			continue
		}
		var want strings.Builder
		for _, e := range append(append([]record.Expectation{}, i.expects...), always...) {
			want.WriteString("- " + record.Met + ": " + e.Says + "\n")
		}
		_, rest, _ := strings.Cut(body, "Expected:\n\n")
		if got, _, _ := strings.Cut(rest, "\n\n"); got+"\n" != want.String() {
			t.Errorf("%s: not what is expected here, or not met: run \"make incidents\"\n%s\nwant\n%s", i.title, got, &want)
		}
		if !strings.Contains(body, i.about) {
			t.Errorf("%s: it tells of something else: run \"make incidents\"", i.title)
		}
	}
	for title := range written {
		t.Errorf("%s: there is no such incident", title)
	}
	if strings.Contains(string(text), record.Missed) {
		t.Error("something wasn't as expected")
	}
}
