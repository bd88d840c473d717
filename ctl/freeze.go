package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// A Limit is how long something lasts that a person sets: until a time, for a
// length of time, or when both are empty until it is lifted.
type Limit struct{ Until, For string }

// into adds it to what is sent.
func (l Limit) into(in map[string]any) error {
	if l.Until != "" && l.For != "" {
		return fmt.Errorf("--for and --until: give one of them")
	}
	if l.Until != "" {
		if _, err := time.Parse(time.RFC3339, l.Until); err != nil {
			return fmt.Errorf("--until: %q: want 2026-01-02T15:04:05Z", l.Until)
		}
		in["until"] = l.Until
	}
	if l.For != "" {
		if _, err := model.ParseDuration(l.For); err != nil {
			return fmt.Errorf("--for: %q: want 30m, 2h, 1d", l.For)
		}
		in["for"] = l.For
	}
	return nil
}

// A freeze is one in force, or the answer to a request for one.
type freeze struct {
	Device string    `json:"device"`
	Pool   string    `json:"pool"`
	Reason string    `json:"reason"`
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
}

// of is what is frozen.
func (f freeze) of() string {
	switch {
	case f.Device == "":
		return "everything"
	case f.Pool == "":
		return join(f.Device)
	}
	return join(f.Device, f.Pool)
}

// scope reads DEVICE or DEVICE/POOL; empty is everything.
func scope(what string) (freeze, error) {
	if what == "" {
		return freeze{}, nil
	}
	parts, err := ParseName(what, 2)
	if err != nil {
		return freeze{}, err
	}
	f := freeze{Device: parts[0]}
	if len(parts) == 2 {
		f.Pool = parts[1]
	}
	return f, nil
}

// Freeze stops automatic steps, on all devices, on one or on one pool.
func (s *Session) Freeze(ctx context.Context, what, reason string, l Limit) error {
	f, err := scope(what)
	if err != nil {
		return err
	}
	in := map[string]any{"reason": reason}
	if err := l.into(in); err != nil {
		return err
	}
	for name, value := range map[string]string{"device": f.Device, "pool": f.Pool} {
		if value != "" {
			in[name] = value
		}
	}
	ctx, cancel := firm(ctx)
	defer cancel()
	var raw json.RawMessage
	if err := s.Client.Post(ctx, Path("freeze"), in, &raw); err != nil {
		return err
	}
	return s.line(raw, "%s: frozen %s: no automatic step is taken; people's still are", f.of(), lasts(l, "lifted"))
}

// lasts says how long something is so, with the word for its end by a person.
func lasts(l Limit, ended string) string {
	switch {
	case l.For != "":
		return "for " + l.For
	case l.Until != "":
		return "until " + l.Until
	}
	return "until it is " + ended
}

// Thaw lifts a freeze.
func (s *Session) Thaw(ctx context.Context, what string) error {
	f, err := scope(what)
	if err != nil {
		return err
	}
	before, _, err := fetch[freezes](ctx, s.Client, Path("freeze"), nil)
	if err != nil {
		return err
	}
	ctx, cancel := firm(ctx)
	defer cancel()
	var raw json.RawMessage
	if err := s.Client.Delete(ctx, Path("freeze"), set(url.Values{}, "device", f.Device, "pool", f.Pool), &raw); err != nil {
		return err
	}
	var after freezes
	if err := json.Unmarshal(raw, &after); err != nil {
		return fmt.Errorf("the remediator at %s: freeze: %w", s.Client.base, err)
	}
	word := "not frozen any more"
	if !slices.ContainsFunc(before.all(), f.same) {
		word = "there was no freeze of it"
	}
	// Each is lifted by itself: who lifts one must not believe that all moves again.
	if left := after.all(); len(left) > 0 {
		var still []string
		for _, one := range left {
			still = append(still, one.of()+" ("+Line(one.Reason)+")")
		}
		word += "; still frozen: " + strings.Join(still, ", ")
	}
	return s.line(raw, "%s: %s", f.of(), word)
}

// freezes are those in force, as they are told.
type freezes struct {
	Frozen bool `json:"frozen"`
	freeze
	Freezes []freeze `json:"freezes"`
}

// all are the freezes in force.
func (f freezes) all() []freeze {
	if len(f.Freezes) == 0 && f.Frozen { // by one that knows the global freeze only
		return []freeze{f.freeze}
	}
	return f.Freezes
}

// same says whether another is a freeze of the same.
func (f freeze) same(other freeze) bool { return f.Device == other.Device && f.Pool == other.Pool }

// ShowFreezes lists the freezes in force.
func (s *Session) ShowFreezes(ctx context.Context) error {
	out, raw, err := fetch[freezes](ctx, s.Client, Path("freeze"), nil)
	if err != nil {
		return err
	}
	return s.Show(raw, func(w io.Writer) error {
		return listed(w, out.all(), "nothing is frozen", []string{"FROZEN", "SINCE", "UNTIL", "BY", "REASON"}, func(f freeze) []string {
			return []string{f.of(), stamp(f.At), lifted(f.Until), f.Actor, f.Reason}
		})
	})
}

// lifted is when something ends.
func lifted(until time.Time) string {
	if until.IsZero() {
		return "lifted"
	}
	return stamp(until)
}

// Claim hands a member over to a person: automation takes no step on it.
func (s *Session) Claim(ctx context.Context, name, reason string, l Limit) error {
	in := map[string]any{"reason": reason}
	if err := l.into(in); err != nil {
		return err
	}
	return s.hand(ctx, name, "claim", in, "yours "+lasts(l, "released")+": no automatic step is taken on it")
}

// Unclaim gives a member back to automation.
func (s *Session) Unclaim(ctx context.Context, name, reason string) error {
	in := map[string]any{}
	if reason != "" {
		in["reason"] = reason
	}
	m, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	words := "automation's again"
	// A hold of ours that was handed over at the claim is a person's since then.
	if seen, err := s.look(ctx, m); err == nil && seen.Admin != edge.Ready {
		words += fmt.Sprintf("; it stays in %s until a person puts it back: sluice ctl ready %s", seen.Admin, quoted(Name(m)))
	}
	return s.hand(ctx, Name(m), "release", in, words)
}

func (s *Session) hand(ctx context.Context, name, what string, in map[string]any, words string) error {
	m, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	sent, cancel := firm(ctx)
	defer cancel()
	var raw json.RawMessage
	if err := s.Client.Post(sent, Path("members", m.Device, m.Pool, m.Name, what), in, &raw); err != nil {
		return fmt.Errorf("%s: %w", Name(m), err)
	}
	return s.line(raw, "%s: %s", Name(m), words)
}

// A window is one of the maintenance windows.
type window struct {
	Name    string `json:"name"`
	Source  string `json:"source"` // config or api
	Members struct {
		Device string `json:"device"`
		Pool   string `json:"pool"`
		Member string `json:"member"`
	} `json:"members"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Days     []string  `json:"days"`
	Start    string    `json:"start"`
	End      string    `json:"end"`
	Cron     string    `json:"cron"`
	Duration string    `json:"duration"`
	Zone     string    `json:"zone"`
	Reason   string    `json:"reason"`
	Actor    string    `json:"actor"`
	Active   bool      `json:"active"`
	Until    time.Time `json:"until"`
	Next     time.Time `json:"next"`
	Problem  string    `json:"problem"` // why it can't be read
}

// of is whom the window is for: expressions, and so not encoded as names are.
func (w window) of() string {
	var parts []string
	for _, p := range [][2]string{{"device ", w.Members.Device}, {"pool ", w.Members.Pool}, {"member ", w.Members.Member}} {
		if p[1] != "" {
			parts = append(parts, p[0]+p[1])
		}
	}
	if parts == nil {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// when is the window's plan in words.
func (w window) when() string {
	switch {
	case w.Cron != "":
		return strings.TrimSpace("cron " + w.Cron + " for " + w.Duration + " " + w.Zone)
	case len(w.Days) > 0 || w.Start != "":
		return strings.TrimSpace(strings.Join(w.Days, ",") + " " + w.Start + " to " + w.End + " " + w.Zone)
	}
	return w.From + " to " + w.To
}

// ShowMaintenance lists the maintenance windows.
func (s *Session) ShowMaintenance(ctx context.Context) error {
	out, raw, err := fetch[struct{ Windows []window }](ctx, s.Client, Path("maintenance"), nil)
	if err != nil {
		return err
	}
	return s.Show(raw, func(w io.Writer) error {
		header := []string{"NAME", "IN", "FOR", "WHEN", "NOW", "NEXT", "BY", "REASON"}
		return listed(w, out.Windows, "no maintenance windows", header, func(m window) []string {
			now := "no"
			if m.Active {
				now = "until " + stamp(m.Until)
			}
			if m.Problem != "" {
				now = "yes: " + m.Problem
			}
			return []string{m.Name, m.Source, m.of(), m.when(), now, stamp(m.Next), m.Actor, m.Reason}
		})
	})
}

// AddMaintenance adds a window; in has the keys of the configuration's maintenance.
func (s *Session) AddMaintenance(ctx context.Context, in map[string]any) error {
	ctx, cancel := firm(ctx)
	defer cancel()
	var raw json.RawMessage
	if err := s.Client.Post(ctx, Path("maintenance"), in, &raw); err != nil {
		return err
	}
	return s.line(raw, "maintenance %s: added", in["name"])
}

// RemoveMaintenance takes away a window that came by the API.
func (s *Session) RemoveMaintenance(ctx context.Context, name string) error {
	ctx, cancel := firm(ctx)
	defer cancel()
	var raw json.RawMessage
	if err := s.Client.Delete(ctx, Path("maintenance", name), nil, &raw); err != nil {
		return err
	}
	return s.line(raw, "maintenance %s: removed", name)
}
