package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/journal"
)

// printExplanation writes an explanation for people: each member, what is
// known of it, and each guard in the order in which they are asked.
func printExplanation(w io.Writer, x *remediator.Explanation) error {
	var b sheet
	line := b.line
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
			b.row("the device says", stateText(*s))
		}
		b.row("in its own words", m.Row)
		for _, key := range m.Claims {
			b.row("claimed by", key)
		}
		if m.Evidence != nil {
			raw, err := json.Marshal(m.Evidence)
			if err != nil {
				return fmt.Errorf("write the explanation: %w", err)
			}
			b.evidence("asked now", raw)
		}
		if h := m.Hold; h != nil {
			b.row("held", fmt.Sprintf("in %s since %s, phase %s", h.To, stamp(h.Since), h.Phase))
			b.row("approved by", answerText(h.Approved))
		}
		if c := m.Candidate; c != nil {
			b.row("a candidate", fmt.Sprintf("in phase %s since %s", c.Phase, stamp(c.Changed)))
			b.row("answered by", answerText(c.Answer))
		}
		if r := m.Refused; r != nil {
			b.row("last refused", fmt.Sprintf("%s: %s, %s: %s", stamp(m.RefusedAt), r.Guard, r.Reason, r.Detail))
		}
		if m.Policy != "" {
			b.row("ruled by", fmt.Sprintf("policy %s in mode %s", m.Policy, m.Mode))
		}
		if m.Decision != nil {
			b.findings(m.Decision.Findings)
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

// answerText is a person's word on a step; empty when there is none.
func answerText(a *journal.Answer) string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s, at %s, good until %s%s", a.By, yesNo(a.Yes), stamp(a.At), stamp(a.Until), because("", a.Note))
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
