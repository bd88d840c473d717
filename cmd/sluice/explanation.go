package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
)

// printExplanation writes an explanation for people: each member, what is
// known of it, and each guard in the order in which they are asked.
func printExplanation(w io.Writer, x *remediator.Explanation) error {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(printable(fmt.Sprintf(format, args...)) + "\n") }

	line("alert %s", labelText(x.Labels))
	if x.Policy != "" {
		line("asks for policy %s", x.Policy)
	}
	if r := x.Refusal; r != nil {
		line("")
		line("refused as a whole: %s, %s: %s", r.Guard, r.Reason, r.Detail)
	}
	for _, m := range x.Members {
		line("")
		line("%s", m.Member)
		if s := m.State; s != nil {
			line("  the device says    %s", stateText(*s))
		}
		if e := m.Evidence; e != nil {
			line("  %-18s %s after %s%s", e.Source, healthText[e.Answer], e.Duration.Round(100*time.Microsecond), because(e.Reason, e.Detail))
		}
		if h := m.Hold; h != nil {
			line("  held               in %s since %s, phase %s", h.To, h.Since.UTC().Format(time.RFC3339), h.Phase)
		}
		if m.Policy != "" {
			line("  ruled by           policy %s in mode %s", m.Policy, m.Mode)
		}
		if m.Decision != nil {
			for _, f := range m.Decision.Findings {
				verdict := "passes"
				if !f.OK {
					verdict = "REFUSES"
				}
				line("  guard %-12s %-8s %s", f.Guard, verdict, strings.TrimPrefix(because(f.Reason, f.Detail), ": "))
			}
		}
		line("  so it would        %s", m.Would)
	}
	if len(x.Notes) > 0 {
		line("")
	}
	for _, n := range x.Notes {
		line("note: %s", n)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the explanation: %w", err)
	}
	return nil
}

var healthText = map[edge.Answer]string{edge.Yes: "well", edge.No: "bad", edge.Unknown: "unknown"}

func because(reason, detail string) string {
	switch {
	case reason == "" && detail == "":
		return ""
	case reason == "":
		return ": " + detail
	case detail == "":
		return ": " + reason
	default:
		return ": " + reason + ": " + detail
	}
}

func stateText(s edge.State) string {
	serving := "serving"
	if !s.Serving {
		serving = "not serving"
	}
	text := fmt.Sprintf("%s, %s, weight %d, %d sessions", s.Admin, serving, s.Weight, s.Sessions)
	if s.Marks != "" {
		text += ", " + s.Marks
	}
	if s.Address != "" {
		text += ", at " + s.Address
	}
	return text
}

func labelText(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// printable keeps what others wrote, in labels or answers, from steering the
// terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}
