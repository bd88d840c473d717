package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/audit"
	"github.com/sluice-project/sluice/remediator/journal"
)

// errDiffers ends a command with exit code 2: it was carried out, and what it
// looked for is there.
var errDiffers = errors.New("the output says what differs")

func addReplay(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("replay", "What another configuration would have decided about all that a journal has recorded. Asks no device and changes nothing.")
	file := cmd.Flag("journal", "A journal's file, which no remediator may have in use, or a copy of one; or the lines of journal export, or an audit stream.").Required().String()
	config := cmd.Flag("config", "The configuration to decide by.").Required().String()
	since := cmd.Flag("since", "Not before: 2026-01-02T15:04:05Z, or 30m, 2h, 1d before now.").String()
	output := cmd.Flag("output", "table or json.").Default("table").Enum("table", "json")
	fail := cmd.Flag("fail-on-difference", "Exit 2 when anything would have been decided differently.").Bool()
	return cmd.FullCommand(), func(std streams) error {
		from, err := ctl.ParseSince(*since, time.Now())
		if err != nil {
			return err
		}
		l, err := load(*config)
		if err != nil {
			return err
		}
		if l.Remediation == nil {
			return fmt.Errorf("%s has no section remediation: there is nothing to decide by", *config)
		}
		checks, err := newChecks(&l.Exporter)
		if err != nil {
			return err
		}
		entries, err := recorded(*file)
		if err != nil {
			return err
		}
		all := remediator.Replay(l.Remediation, checks, entries)
		all = slices.DeleteFunc(all, func(r remediator.Replayed) bool { return r.At.Before(from) })
		sum := remediator.Sum(all)
		if err := printReplay(std.out, all, sum, *output); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		if *fail && sum.Different > 0 {
			return errDiffers
		}
		return nil
	}
}

// recorded reads a journal in any of the forms in which it is kept or given out.
func recorded(path string) (list []journal.Entry, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--journal: %w", err)
	}
	var first [1]byte
	_, err = io.ReadFull(f, first[:])
	if cerr := f.Close(); cerr != nil {
		return nil, fmt.Errorf("--journal: %w", cerr)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil // an export of nothing
	case err != nil:
		return nil, fmt.Errorf("--journal: %w", err)
	case first[0] == '{':
		return recordedLines(path)
	}
	j, err := journal.OpenReadOnly(path, journalLock)
	if errors.Is(err, journal.ErrLocked) {
		return nil, fmt.Errorf("%w: a remediator runs on it: give a copy of the file, or what sluice journal export prints", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	return j.Entries(journal.Query{})
}

// recordedLines reads JSON lines. The newest file of an audit stream stands for
// the full ones before it too.
func recordedLines(path string) (list []journal.Entry, err error) {
	files, err := audit.Files(path)
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if list, err = appendLines(list, name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func appendLines(list []journal.Entry, name string) (_ []journal.Entry, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--journal: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if text = bytes.TrimSpace(text); len(text) > 0 {
			// The objects around a write are bytes here and their hashes there, and no
			// part of a decision.
			var in struct {
				journal.Entry
				Before json.RawMessage `json:"before"`
				After  json.RawMessage `json:"after"`
			}
			if err := json.Unmarshal(text, &in); err != nil {
				return nil, fmt.Errorf("--journal: %s:%d: no entry of a journal: %w", name, n, err)
			}
			list = append(list, in.Entry)
		}
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("--journal: %w", err)
		}
	}
}

// printReplay writes what would have been decided differently, and how much else
// there is.
func printReplay(w io.Writer, all []remediator.Replayed, sum remediator.Totals, output string) error {
	if output == "json" {
		out := struct {
			Different   []remediator.Replayed `json:"different"`
			Undecidable []remediator.Replayed `json:"undecidable"`
			Totals      remediator.Totals     `json:"totals"`
		}{[]remediator.Replayed{}, []remediator.Replayed{}, sum}
		for _, r := range all {
			switch {
			case r.Now == nil:
				out.Undecidable = append(out.Undecidable, r)
			case r.Differs():
				out.Different = append(out.Different, r)
			}
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(out)
	}
	var b strings.Builder
	if sum.Different > 0 {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "TIME\tMEMBER\tPOLICY\tTHEN\tNOW\tDETAIL")
		for _, r := range all {
			if !r.Differs() {
				continue
			}
			detail := ""
			switch {
			case r.Now.Refusal != nil:
				detail = r.Now.Refusal.Detail
			case r.Then.Refusal != nil:
				detail = "was: " + r.Then.Refusal.Detail
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t-> %s\t%s\n", stamp(r.At), cell(r.Member.String()), cell(r.Policy), cell(r.Then.String()), cell(r.Now.String()), cell(detail))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		b.WriteString("\n")
	}
	b.WriteString(ctl.Printable(sum.String()) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}
