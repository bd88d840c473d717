package drill

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sluice-project/sluice/remediator/guard"
)

// Line writes a hop for people, as soon as it is known.
func Line(w io.Writer, h Hop) error {
	after := ""
	if h.State == OK {
		after = fmt.Sprintf("%.1fs", h.After)
	}
	if _, err := fmt.Fprintf(w, "%-8s%7s  %-13s %s\n", h.State, after, h.Name, h.Detail); err != nil {
		return err
	}
	for _, more := range []struct{ what, text string }{{"likely", h.Cause}, {"look", h.Look}} {
		if more.text == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%17s%-7s %s\n", "", more.what+":", more.text); err != nil {
			return err
		}
	}
	return nil
}

// Write writes what each guard said, and the end of the report; the hops were told
// by [Line].
func (r Report) Write(w io.Writer) error {
	var d guard.Decision
	if r.Judged != nil && json.Unmarshal(r.Judged.Decision, &d) == nil && len(d.Findings) > 0 {
		if _, err := fmt.Fprintln(w, "\nWhat each guard would say of a real alert:"); err != nil {
			return err
		}
		for _, f := range d.Findings {
			said := "yes"
			if !f.OK {
				said = "no, " + f.Reason
			}
			if _, err := fmt.Fprintf(w, "  %-12s %-24s %s\n", f.Guard, said, f.Detail); err != nil {
				return err
			}
		}
	}
	end := "The way is open: every hop works. No device was touched."
	if !r.Complete {
		end = "The way is not open: what is missing stands above. No device was touched."
	}
	_, err := fmt.Fprintln(w, "\n"+end)
	return err
}
