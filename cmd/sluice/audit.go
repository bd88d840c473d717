package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/remediator/audit"
)

// auditCommand makes "sluice audit", the parent of those below, once.
func auditCommand(app *kingpin.Application) *kingpin.CmdClause {
	if cmd := app.GetCommand("audit"); cmd != nil {
		return cmd
	}
	return app.Command("audit", "Look into the audit stream, without the journal and without a remediator.")
}

func addAuditVerify(app *kingpin.Application) (string, func(streams) error) {
	cmd := auditCommand(app).Command("verify", "Check that no line was changed, taken out or put in. Exit 1 with the first one that is wrong.")
	files := cmd.Arg("FILE", "The newest file, which stands for the full ones before it too; or each by name.").Required().Strings()
	return cmd.FullCommand(), func(std streams) error { return verifyAudit(std, *files) }
}

func verifyAudit(std streams, paths []string) error {
	files, err := audit.Files(paths...)
	if err != nil {
		return err
	}
	sum, err := audit.Read(files, nil)
	if errors.Is(err, audit.ErrBroken) {
		fmt.Fprintln(std.err, ctl.Printable(err.Error()))
		return errSaid
	}
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s: ok: %s", strings.Join(files, " "), count(sum.Lines, "line"))
	if sum.Lines > 0 {
		line += fmt.Sprintf(", from %s to %s, last hash %s", stamp(sum.First), stamp(sum.Last), sum.Hash)
	}
	if sum.Follows != "" {
		line += fmt.Sprintf("; the lines before are not here, the last of them had %s", sum.Follows)
	}
	fmt.Fprintln(std.out, ctl.Printable(line))
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func addAuditOurs(app *kingpin.Application) (string, func(streams) error) {
	cmd := auditCommand(app).Command("ours", "List which members are out by our hand, by the stream's word alone: for the day on which the journal is lost.")
	file := cmd.Arg("FILE", "The newest file, which stands for the full ones before it too.").Required().String()
	output := cmd.Flag("output", "table or json.").Default("table").Enum("table", "json")
	return cmd.FullCommand(), func(std streams) error { return listOurs(std, *file, *output) }
}

// listOurs lists what good lines say also when a bad one follows.
func listOurs(std streams, path, output string) error {
	list, sum, err := audit.ReadOurs(path)
	if err != nil && !errors.Is(err, audit.ErrBroken) {
		return err
	}
	if werr := printOurs(std.out, list, output); werr != nil {
		return fmt.Errorf("write the list: %w", werr)
	}
	if sum.Follows != "" {
		fmt.Fprintln(std.err, "the oldest lines are not here: what was taken out before and changed nothing since is not listed")
	}
	if err != nil {
		return fmt.Errorf("the list ends before what is wrong: %s", ctl.Printable(err.Error()))
	}
	return nil
}

func printOurs(w io.Writer, list []audit.Standing, output string) error {
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "nothing is ours")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), " "))
	}
	row("DEVICE", "POOL", "MEMBER", "SINCE", "PHASE", "TO", "WAS", "POLICY", "REASON")
	for _, s := range list {
		was := ""
		if s.Preimage != nil {
			was = fmt.Sprintf("%s, weight %d", s.Preimage.Admin, s.Preimage.Weight)
		}
		row(s.Device, s.Pool, s.Name, stamp(s.Since), string(s.Phase), s.Admin, was, s.Policy, s.Reason)
		for _, m := range s.Along {
			row(m.Device, m.Pool, m.Name, stamp(s.Since), string(s.Phase), s.Admin, "", s.Policy, "moved along with "+s.Member.String())
		}
	}
	return t.Flush()
}

// cell is a text that can stand in a table: one that is empty would let the
// columns run together.
func cell(s string) string {
	if s = ctl.Printable(s); s == "" {
		return "-"
	}
	return s
}
