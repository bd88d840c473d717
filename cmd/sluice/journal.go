package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	// journalPage is how many entries are asked for at once.
	journalPage = 2000
	// journalTime bounds one answer: a remediator may be busy, and have much to read.
	journalTime = time.Minute
)

// journalCommand makes "sluice journal", the parent of those below, once.
func journalCommand(app *kingpin.Application) *kingpin.CmdClause {
	if cmd := app.GetCommand("journal"); cmd != nil {
		return cmd
	}
	return app.Command("journal", "Read what the remediator did and refused, and why.")
}

// journalFlags say whose journal is read.
type journalFlags struct {
	remote       *remote
	offline      bool
	file, config string
	since        string
}

func addJournalFlags(cmd *kingpin.CmdClause) *journalFlags {
	f := &journalFlags{remote: addRemote(cmd)}
	cmd.Flag("offline", "Ask no remediator: open the journal's file, which none may have in use, for reading.").BoolVar(&f.offline)
	cmd.Flag("file", "The journal's file, for --offline. Left out: the one that the configuration names.").StringVar(&f.file)
	cmd.Flag("config.file", "The configuration file, for --offline.").Default("sluice.yml").StringVar(&f.config)
	cmd.Flag("since", "Not before: 2026-01-02T15:04:05Z, or 30m, 2h, 1d before now.").StringVar(&f.since)
	return f
}

func addJournalShow(app *kingpin.Application) (string, func(streams) error) {
	cmd := journalCommand(app).Command("show", "Print the newest entries, oldest first.")
	f := addJournalFlags(cmd)
	member := cmd.Flag("member", "Only of this member: NAME, or DEVICE/POOL/NAME, where a part left empty is any.").String()
	hold := cmd.Flag("hold", "Only of this hold, such as h17.").String()
	event := cmd.Flag("event", "Only of this kind: step, refusal, intent, freeze, ...").String()
	limit := cmd.Flag("limit", "The newest so many, 10000 at most.").Default("100").Int()
	seq := cmd.Flag("seq", "Only this entry, by its number, whatever else is asked for.").Uint64()
	verbose := cmd.Flag("verbose", "All that each entry has: evidence, what each guard said, what the guards were told, and how the member was and was left.").Bool()
	output := cmd.Flag("output", "table or json.").Default("table").Enum("table", "json")
	return cmd.FullCommand(), func(std streams) error {
		if *limit < 1 || *limit > 10_000 {
			return errors.New("--limit: want a number from 1 to 10000; journal export gives all")
		}
		q := journal.Query{Hold: *hold, Event: *event, Limit: *limit}
		var err error
		if q.Member, err = parseMember(*member); err != nil {
			return err
		}
		if q.Since, err = ctl.ParseSince(f.since, time.Now()); err != nil {
			return err
		}
		var list []journal.Entry
		ctx, stop := commandContext()
		defer stop()
		keep := func(e journal.Entry) error { list = append(list, e); return nil }
		if *seq > 0 {
			err = f.one(ctx, *seq, keep)
		} else {
			err = f.read(ctx, q, false, keep)
		}
		if err != nil {
			return err
		}
		if *verbose && *output == "table" {
			return printBundles(std.out, list)
		}
		return printEntries(std.out, list, *output)
	}
}

func addJournalExport(app *kingpin.Application) (string, func(streams) error) {
	cmd := journalCommand(app).Command("export", "Print all entries as JSON, one a line, oldest first.")
	f := addJournalFlags(cmd)
	images := cmd.Flag("images", "With the objects around writes, which are large, in base64.").Bool()
	return cmd.FullCommand(), func(std streams) error {
		since, err := ctl.ParseSince(f.since, time.Now())
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		e := json.NewEncoder(std.out)
		e.SetEscapeHTML(false)
		return f.read(ctx, journal.Query{Since: since}, *images, func(entry journal.Entry) error {
			if err := e.Encode(entry); err != nil {
				return fmt.Errorf("write entry %d: %w", entry.Seq, err)
			}
			return nil
		})
	}
}

// read hands each selected entry to each. A query without limit is read page by
// page.
func (f *journalFlags) read(ctx context.Context, q journal.Query, images bool, each func(journal.Entry) error) error {
	if f.offline {
		return f.readFile(q, images, each)
	}
	if f.file != "" {
		return errors.New("--file is for --offline only: a remediator that runs knows its own")
	}
	for {
		list, err := f.ask(ctx, q, journalPage, images)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := each(e); err != nil {
				return err
			}
			q.After = e.Seq
		}
		if q.Limit > 0 || len(list) == 0 {
			return nil
		}
	}
}

// one hands the entry with a number to each.
func (f *journalFlags) one(ctx context.Context, seq uint64, each func(journal.Entry) error) error {
	var list []journal.Entry
	var err error
	q := journal.Query{After: seq - 1}
	if f.offline {
		err = f.readFile(q, true, func(e journal.Entry) error { list = append(list, e); return nil })
	} else {
		list, err = f.ask(ctx, q, 1, true)
	}
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0].Seq != seq {
		return fmt.Errorf("--seq: there is no entry %d; the oldest ones go when journal_retention ends", seq)
	}
	return each(list[0])
}

// ask asks the remediator for the newest entries, or without limit for the next
// page of so many.
func (f *journalFlags) ask(ctx context.Context, q journal.Query, page int, images bool) ([]journal.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		set("limit", strconv.Itoa(q.Limit))
	} else {
		set("first", strconv.Itoa(page))
		set("after", strconv.FormatUint(q.After, 10))
	}
	if !q.Since.IsZero() {
		set("since", q.Since.Format(time.RFC3339Nano))
	}
	set("device", q.Member.Device)
	set("pool", q.Member.Pool)
	set("member", q.Member.Name)
	set("hold", q.Hold)
	set("event", q.Event)
	if images {
		set("images", "1")
	}
	var out struct {
		Steps []journal.Entry `json:"steps"`
	}
	err := f.remote.get(ctx, "/api/v1/steps", v, &out)
	if errors.Is(err, ctl.ErrNoRemediator) {
		return nil, fmt.Errorf("%w --offline reads the file", err)
	}
	return out.Steps, err
}

// readFile reads a journal that nobody has in use.
func (f *journalFlags) readFile(q journal.Query, images bool, each func(journal.Entry) error) (err error) {
	path := f.file
	if path == "" {
		l, err := load(f.config)
		if err != nil {
			return err
		}
		if l.Remediation == nil {
			return fmt.Errorf("%s has no section remediation, and so names no journal: give --file", f.config)
		}
		path = l.Remediation.Journal
	}
	j, err := journal.OpenReadOnly(path, journalLock)
	if errors.Is(err, journal.ErrLocked) {
		return fmt.Errorf("%w: a remediator runs on it: leave --offline out to ask that one", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	list, err := j.Entries(q)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !images {
			e.Before, e.After = nil, nil
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

func parseMember(s string) (m edge.Member, err error) {
	parts := strings.Split(s, "/")
	switch len(parts) {
	case 1:
		m.Name = s
	case 3:
		m = edge.Member{Device: parts[0], Pool: parts[1], Name: parts[2]}
	default:
		return m, fmt.Errorf("--member: %q: write NAME or DEVICE/POOL/NAME", s)
	}
	return m, nil
}

// printBundles prints all of each entry.
func printBundles(w io.Writer, list []journal.Entry) error {
	for i, e := range list {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := printBundle(w, e); err != nil {
			return err
		}
	}
	return nil
}

func printEntries(w io.Writer, list []journal.Entry, output string) error {
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if list == nil {
			list = []journal.Entry{}
		}
		return e.Encode(list)
	}
	return ctl.WriteEntries(w, list)
}
