package ctl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"github.com/sluice-project/sluice/edge"
)

// ShowMembers shows the members of what a name means: DEVICE, DEVICE/POOL,
// DEVICE/POOL/MEMBER, or all of them where it is empty.
func (s *Session) ShowMembers(ctx context.Context, what string) error {
	all, err := s.members(ctx, what)
	if err != nil {
		return err
	}
	if err := s.Show(all, func(w io.Writer) error { return writeMembers(w, all.Members, time.Now()) }); err != nil {
		return err
	}
	return s.silent(all)
}

// silent tells which devices' members are missing from a list.
func (s *Session) silent(all Roster) error {
	var err error
	for _, d := range all.Devices {
		if d.Error != "" {
			s.say("%s can't be read: %s", d.Device, d.Error)
			err = ErrSaid
		}
	}
	return err
}

func (s *Session) members(ctx context.Context, what string) (Roster, error) {
	parts := []string{"", "", ""}
	if what != "" {
		given, err := ParseName(what, 3)
		if err != nil {
			return Roster{}, err
		}
		copy(parts, given)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	all, err := s.Client.roster(ctx, edge.Member{Device: parts[0], Pool: parts[1], Name: parts[2]})
	if err != nil {
		return all, err
	}
	if what != "" && len(all.Members) == 0 && !slices.ContainsFunc(all.Devices, func(d Device) bool { return d.Error != "" }) {
		return all, fmt.Errorf("%s: %w, pool or device", Line(what), ErrNoMember)
	}
	return all, nil
}

// WatchMembers shows the table again and again until ctx ends: over itself on a
// terminal, one below the other elsewhere.
func (s *Session) WatchMembers(ctx context.Context, what string) error {
	tick := time.NewTicker(redraws)
	defer tick.Stop()
	for terminal := isTerminal(s.Out); ; {
		text, err := s.frame(ctx, what)
		switch {
		case ctx.Err() != nil:
			return nil // the way to end it
		case err != nil && final(err):
			return err
		case err != nil:
			text = []byte(err.Error() + "\n") // it may come back
		}
		if terminal {
			shown := string(text)
			if width, height, err := size(s.Out); err == nil && s.Output == "table" {
				shown = fitted(shown, width, height)
			}
			// Home, each line to its end, and what is left below.
			// Source: ECMA-48, CUP, EL and ED.
			text = []byte("\x1b[H" + strings.ReplaceAll(shown, "\n", "\x1b[K\n") + "\x1b[J")
		} else {
			text = append(text, '\n')
		}
		if _, err := s.Out.Write(text); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// frame is one table of a watched list.
func (s *Session) frame(ctx context.Context, what string) ([]byte, error) {
	all, err := s.members(ctx, what)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	one := Session{Client: s.Client, Out: &b, Err: &b, Output: s.Output}
	if s.Output == "table" {
		one.say("%s  %s", s.Client.URL(), stamp(time.Now()))
		_ = one.silent(all) // that a device is silent is seen, and no reason to end
	}
	err = one.Show(all, func(w io.Writer) error { return writeMembers(w, all.Members, time.Now()) })
	return b.Bytes(), err
}

// fitted cuts lines to a terminal, whose last one stays empty: what is too wide or
// too high would push the head away at each redraw.
func fitted(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if room := max(1, height-1); len(lines) > room {
		over := len(lines) - room + 1
		lines = append(lines[:room-1:room-1], fmt.Sprintf("... %d more lines: name a device or pool, or see them all in sluice ctl top", over))
	}
	for i, line := range lines {
		lines[i] = runewidth.Truncate(line, max(1, width), "")
	}
	return strings.Join(lines, "\n") + "\n"
}

// size is that of the terminal that w is.
func size(w io.Writer) (width, height int, err error) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0, os.ErrInvalid
	}
	width, height, err = term.GetSize(int(f.Fd())) //nolint:gosec // a file's number is small
	if err == nil && (width < 1 || height < 1) {
		err = os.ErrInvalid // a terminal that doesn't know
	}
	return width, height, err
}

func writeMembers(w io.Writer, list []Member, now time.Time) error {
	header := []string{"DEVICE", "POOL", "MEMBER", "ADMIN", "FOR", "STATE", "FOR", "WEIGHT", "SESSIONS", "QUEUE", "5XX", "BY", "WHY"}
	return listed(w, list, "no members", header, func(m Member) []string {
		weight := strconv.Itoa(m.Weight)
		if m.Share != 0 && m.Share != m.Weight {
			weight += "/" + strconv.Itoa(m.Share)
		}
		var errs, since, by, why string
		if m.Errors5xx != nil {
			errs = fmt.Sprintf("%.1f%%", *m.Errors5xx*100)
		}
		if m.Set != nil {
			since, by, why = age(m.Set.Since, now), m.Set.who(), m.Set.Reason
		}
		why = m.why(why)
		id := m.Member
		return []string{
			encode(id.Device), encode(id.Pool), encode(id.Name), m.Admin.String(), since, m.state(), age(m.OpSince, now),
			weight, m.count(m.Sessions), m.count(m.Queue), errs, by, why,
		}
	})
}

// why is the reason of its state, and what else keeps automation off it.
func (m Member) why(reason string) string {
	var parts []string
	if reason != "" {
		parts = append(parts, reason)
	}
	if m.Claimed != nil {
		parts = append(parts, "claimed by "+m.Claimed.Actor+": "+m.Claimed.Reason)
	}
	if len(m.Maintenance) > 0 {
		parts = append(parts, "maintenance "+strings.Join(m.Maintenance, ", "))
	}
	return strings.Join(parts, "; ")
}

// state is the operational state: the device's word, or what follows from the rest.
func (m Member) state() string {
	switch {
	case m.Op != "":
		return m.Op
	case m.Serving:
		return "serving"
	case m.Backup && m.Admin == edge.Ready && m.Check != edge.No:
		return "standby" // it takes over when the others are gone
	case m.Check == edge.No:
		return "down"
	}
	return "not serving"
}

// count is a number that a device knows that counts.
func (m Member) count(n int) string {
	if m.OnOff {
		return "" // it tells no sessions and no queue
	}
	return strconv.Itoa(n)
}

func (b SetBy) who() string {
	switch {
	case b.Actor != "":
		return b.Actor
	case b.Hold != "":
		return b.By + " " + b.Hold
	}
	return b.By
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
