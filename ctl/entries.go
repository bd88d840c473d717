package ctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/remediator/journal"
)

// Entries select what is listed of the journal.
type Entries struct {
	What   string // DEVICE, DEVICE/POOL, DEVICE/POOL/MEMBER, or empty
	Event  string
	Policy string
	Guard  string
	Since  string
	Limit  int
}

func (e Entries) query() (url.Values, error) {
	parts := []string{"", "", ""}
	if e.What != "" {
		given, err := ParseName(e.What, 3)
		if err != nil {
			return nil, err
		}
		copy(parts, given)
	}
	since, err := ParseSince(e.Since, time.Now())
	if err != nil {
		return nil, err
	}
	v := set(url.Values{}, "device", parts[0], "pool", parts[1], "member", parts[2], "event", e.Event, "policy", e.Policy, "guard", e.Guard)
	if !since.IsZero() {
		v.Set("since", since.Format(time.RFC3339Nano))
	}
	if e.Limit > 0 {
		v.Set("limit", strconv.Itoa(e.Limit))
	}
	return v, nil
}

// ParseSince reads a time, or how long before now it was; empty is the zero time.
func ParseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since: %q: want 2026-01-02T15:04:05Z, or 30m, 2h, 1d before now", s)
	}
	return now.Add(-time.Duration(d)), nil
}

// ShowSteps lists entries of the journal, the newest last.
func (s *Session) ShowSteps(ctx context.Context, e Entries) error {
	v, err := e.query()
	if err != nil {
		return err
	}
	out, raw, err := fetch[struct{ Steps []journal.Entry }](ctx, s.Client, Path("steps"), v)
	if err != nil {
		return err
	}
	return s.Show(raw, func(w io.Writer) error { return WriteEntries(w, out.Steps) })
}

// FollowSteps lists them, and each one that is added until ctx ends.
func (s *Session) FollowSteps(ctx context.Context, e Entries) error {
	v, err := e.query()
	if err != nil {
		return err
	}
	tick := time.NewTicker(s.interval())
	defer tick.Stop()
	newest, err := s.newest(ctx)
	if err != nil {
		return err
	}
	for told := false; ; {
		list, err := s.followed(ctx, v)
		switch {
		case ctx.Err() != nil:
			return nil // the way to end it
		case err != nil && final(err):
			return err
		case err != nil && !told: // it may come back, and then nothing was missed
			s.say("%s: waiting for it", err)
		}
		told = err != nil
		for _, one := range list {
			if err := s.Show(one, func(w io.Writer) error { return writeEntry(w, one) }); err != nil {
				return err
			}
			newest = max(newest, one.Seq)
		}
		if err == nil {
			v.Del("limit")
			v.Del("since")
			v.Set("after", strconv.FormatUint(newest, 10))
			v.Set("first", strconv.Itoa(followPage))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// followPage is how many entries are asked for at once.
const followPage = 1000

// newest is the number of the last entry of all, where following begins when none
// is listed before.
func (s *Session) newest(ctx context.Context) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	last, err := s.Client.Steps(ctx, url.Values{"limit": {"1"}})
	if err != nil || len(last) == 0 {
		return 0, err
	}
	return last[0].Seq, nil
}

func (s *Session) followed(ctx context.Context, v url.Values) ([]journal.Entry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Client.Steps(ctx, v)
}

// writeEntry is one entry on a line of its own: there is no table yet to be part of.
func writeEntry(w io.Writer, e journal.Entry) error {
	var parts []string
	for _, p := range cells(e)[1:] {
		if p != "" {
			parts = append(parts, p)
		}
	}
	_, err := fmt.Fprintf(w, "%d  %s\n", e.Seq, Printable(strings.Join(parts, "  ")))
	return err
}

// WriteEntries writes entries as a table.
func WriteEntries(w io.Writer, list []journal.Entry) error {
	return listed(w, list, "no entries", []string{"SEQ", "TIME", "MEMBER", "EVENT", "RESULT", "WHY", "DETAIL"}, cells)
}

// cells are what a table shows of an entry.
func cells(e journal.Entry) []string {
	member := ""
	switch {
	case e.Member == nil:
	case e.Member.Pool == "": // a freeze may be of a device
		member = join(e.Member.Device)
	case e.Member.Name == "": // an image is of a pool
		member = PoolName(e.Member.In())
	default:
		member = Name(*e.Member)
	}
	why := strings.Trim(e.Guard+": "+e.Reason, ": ")
	detail := e.Detail
	if moved := e.From != e.To; moved && detail == "" {
		detail = fmt.Sprintf("from %s to %s", cmp.Or(string(e.From), "nothing"), e.To)
	}
	if e.Actor != "" {
		detail = strings.TrimSpace(detail + " (by " + e.Actor + ")")
	}
	return []string{strconv.FormatUint(e.Seq, 10), stamp(e.At), member, strings.TrimSpace(e.Event + " " + e.Admin), e.Result, why, detail}
}
