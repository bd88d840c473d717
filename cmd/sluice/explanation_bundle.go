package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A sheet is lines for people. What others wrote in them can't steer a terminal.
type sheet struct{ strings.Builder }

func (s *sheet) line(format string, args ...any) {
	s.WriteString(strings.TrimRight(ctl.Printable(fmt.Sprintf(format, args...)), " ") + "\n")
}

// row is a line with a name before it, indented; without text there is none.
func (s *sheet) row(name, text string) {
	if text != "" {
		s.line("  %-18s %s", name, text)
	}
}

// printBundle writes all that one entry of the journal has.
func printBundle(w io.Writer, e journal.Entry) error {
	var s sheet
	s.line("entry %d at %s: %s", e.Seq, e.At.UTC().Format(time.RFC3339Nano), strings.TrimSpace(e.Event+" "+e.Admin))
	if e.Member != nil {
		s.row("member", e.Member.String())
	}
	for _, m := range e.Along {
		s.row("moved along", m.String())
	}
	s.row("hold", e.Hold)
	if e.From != e.To {
		s.row("phase", fmt.Sprintf("from %s to %s", cmp.Or(string(e.From), "nothing"), e.To))
	}
	s.row("policy", e.Policy)
	s.row("result", e.Result)
	s.row("guard", e.Guard)
	s.row("reason", e.Reason)
	s.row("detail", e.Detail)
	s.row("actor", e.Actor)
	s.row("remediation", e.Remediation)
	s.row("configuration", e.Config)
	s.row("device's own row", e.Row)
	s.evidence("evidence", e.Evidence)
	s.decision(e.Decision)
	s.world(e.World)
	if e.Preimage != nil {
		s.row("was", stateText(*e.Preimage))
	}
	if e.Left != nil {
		s.row("left", stateText(*e.Left))
	}
	if len(e.Before)+len(e.After) > 0 {
		s.row("objects", fmt.Sprintf("%d bytes before the write, %d after; journal export --images has them", len(e.Before), len(e.After)))
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// evidence writes one answer of a source with all that came with it.
func (s *sheet) evidence(name string, raw json.RawMessage) {
	if len(raw) == 0 || string(raw) == "null" {
		return
	}
	var all map[string]json.RawMessage
	var e guard.Evidence
	if json.Unmarshal(raw, &all) != nil || json.Unmarshal(raw, &e) != nil {
		s.row(name, string(raw)) // of another version
		return
	}
	if e.Source == "" {
		return // nobody was asked
	}
	s.row(name, fmt.Sprintf("%s %s after %s%s", e.Source, healthText[e.Answer], e.Duration.Round(100*time.Microsecond), because(e.Reason, e.Detail)))
	if !e.At.IsZero() {
		s.row("", "at "+e.At.UTC().Format(time.RFC3339Nano))
	}
	for _, key := range []string{"source", "answer", "duration", "reason", "detail", "at", "body"} {
		delete(all, key)
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		s.row("  "+key, string(all[key]))
	}
	for i, line := range strings.Split(strings.TrimSpace(e.Body), "\n") {
		name := ""
		if i == 0 {
			name = "  body"
		}
		if line != "" {
			s.row(name, line)
		}
	}
}

// decision writes what each guard said, in the order in which they were asked.
func (s *sheet) decision(raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	var d guard.Decision
	if json.Unmarshal(raw, &d) != nil {
		s.row("decision", string(raw))
		return
	}
	s.findings(d.Findings)
}

func (s *sheet) findings(all []guard.Finding) {
	for _, f := range all {
		verdict := "passes"
		if !f.OK {
			verdict = "REFUSES"
		}
		s.line("  guard %-12s %-8s %s", f.Guard, verdict, strings.TrimPrefix(because(f.Reason, f.Detail), ": "))
	}
}

// world writes what the guards were told.
func (s *sheet) world(raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	var w guard.World
	if json.Unmarshal(raw, &w) != nil {
		s.row("world", string(raw))
		return
	}
	s.line("  what the guards were told, at %s", w.Now.UTC().Format(time.RFC3339Nano))
	ago := func(t time.Time) string { return w.Now.Sub(t).Round(time.Millisecond).String() + " before" }
	for _, c := range w.Claims {
		text := fmt.Sprintf("%s, by %s %s", c.Key, c.Source, ago(c.UpdatedAt))
		if c.Suppressed {
			text += ", suppressed by " + c.By
		}
		s.row("  claim", text)
	}
	for _, m := range slices.SortedFunc(maps.Keys(w.Snapshot.States), edge.Member.Compare) {
		text := stateText(w.Snapshot.States[m])
		if h, held := w.Held[m]; held {
			text += ", held by us in " + h.To.String()
		}
		if e, asked := w.Own[m]; asked {
			text += fmt.Sprintf("; %s says %s", e.Source, healthText[e.Answer])
		}
		s.row("  "+m.Name, strings.TrimSpace(text+" "+inPool(m, w)))
	}
	for _, m := range slices.SortedFunc(maps.Keys(w.Snapshot.Switches), edge.Member.Compare) {
		s.row("  "+m.Name, w.Snapshot.Switches[m].Marks)
	}
	s.row("  device read", ago(w.Snapshot.At)+", "+cmp.Or(w.Snapshot.Process, "which keeps what is set"))
	s.row("  frozen", w.Freeze)
	s.row("  blind", w.Blind)
	s.row("  standby", w.Standing.Standby)
	s.row("  maintenance", strings.Join(w.Windows, ", "))
	s.row("  hours", w.Closed)
	if !w.Storm.Until.IsZero() {
		s.row("  brake", fmt.Sprintf("%s; until %s", w.Storm.Why, stamp(w.Storm.Until)))
	}
	for _, t := range w.Outs {
		s.row("  was out", ago(t))
	}
	s.row("  given back by", w.Released)
	if a := w.Approval; a != nil {
		s.row("  approval", fmt.Sprintf("%s said %s until %s%s", a.By, yesNo(a.Yes), stamp(a.Until), because("", a.Note)))
	}
	s.row("  spent", fmt.Sprintf("%d held, %d taken out", w.Spent.Held, w.Spent.Steps))
	if p := w.Policy; p != nil {
		s.row("  policy", fmt.Sprintf("%s: to %s, min_serving %s, max_held %d, confirm %s, hold_down %s, rise %d", p.Name, p.To, p.MinServing, p.MaxHeld, p.Confirm, p.HoldDown, p.Rise))
	}
}

// inPool names a member's pool where the world has several.
func inPool(m edge.Member, w guard.World) string {
	for other := range w.Snapshot.States {
		if other.In() != m.In() {
			return "(pool " + m.In().String() + ")"
		}
	}
	return ""
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
