package top

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/remediator/journal"
)

// detail is all that is known of one member.
func (m *model) detail() []string {
	name := ctl.Name(m.historyOf)
	i := slices.IndexFunc(m.data.Members, func(one ctl.Member) bool { return one.Member == m.historyOf })
	if i < 0 {
		return append([]string{name, "", "is not listed now"}, m.past()...)
	}
	one := m.data.Members[i]
	out := []string{m.glyphs.moods[moodOf(one)] + " " + name, ""}
	add := func(what, text string) {
		if text != "" {
			out = append(out, fmt.Sprintf("  %-12s %s", what, text))
		}
	}
	add("address", one.Address)
	admin := one.Admin.String()
	if one.Marks != "" {
		admin += " (" + one.Marks + ")"
	}
	if one.Settled {
		admin += ", by the device's own configuration or DNS"
	}
	add("admin", admin)
	if one.Set != nil {
		add("set by", who(one.Set)+", "+m.since(one.Set.Since))
		add("why", one.Set.Reason)
	}
	if c, ok := m.claimed(m.historyOf); ok {
		add("claimed by", c.Actor+", "+m.since(c.At)+": "+c.Reason)
	}
	state := stateOf(one)
	if !one.OpSince.IsZero() {
		state += ", since " + m.since(one.OpSince)
	}
	add("state", state)
	if one.Serving {
		add("serving", "yes, by the device's word")
	} else {
		add("serving", "no")
	}
	add("check", one.Check.String())
	add("weight", weightOf(one))
	if !one.OnOff {
		sessions := fmt.Sprint(one.Sessions)
		if one.Limit > 0 {
			sessions += fmt.Sprintf(" of %d", one.Limit)
		}
		add("sessions", sessions)
		add("queue", fmt.Sprint(one.Queue))
		if rate, ok := m.rates[m.historyOf]; ok {
			add("requests", per(rate)+" a second")
		}
	}
	if one.Errors5xx != nil {
		add("5xx", fmt.Sprintf("%.2f%% of its answers", *one.Errors5xx*100))
	}
	add("follows", one.Tracks)
	for _, h := range m.data.Holds {
		if h.Member != m.historyOf {
			continue
		}
		add("held", fmt.Sprintf("%s, %s, by policy %s since %s", h.ID, h.Phase, h.Policy, m.since(h.Since)))
		add("because", h.Reason)
		if !h.MaxUntil.IsZero() {
			add("at most", age(h.MaxUntil.Sub(m.now))+" more")
		}
	}
	return append(out, m.past()...)
}

// past are the newest entries about the member.
func (m *model) past() []string {
	out := []string{"", "  What happened, newest first:"}
	if m.told != "" {
		return append(out, "    "+m.told)
	}
	if len(m.history) == 0 {
		return append(out, "    nothing is recorded")
	}
	for _, e := range m.history {
		out = append(out, "    "+e.At.Local().Format("01-02 15:04:05")+"  "+entryLine(e))
	}
	return out
}

func entryLine(e journal.Entry) string {
	var parts []string
	for _, p := range []string{e.Event, e.Admin, e.Result} {
		if p != "" && !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	if e.Guard != "" {
		parts = append(parts, e.Guard+"/"+e.Reason)
	}
	if e.Actor != "" {
		parts = append(parts, "by "+e.Actor)
	}
	line := strings.Join(parts, " ")
	if e.Detail != "" {
		line += ": " + e.Detail
	}
	return line
}

// help is what keys and signs mean.
func (m *model) help() []string {
	g := m.glyphs.moods
	out := []string{
		"Keys", "",
		"  1 a   members      2 p   pools      3 h   holds      4 x   refusals      Tab   the next",
		"  Up Down PgUp PgDn Home End, or k j g G   move",
		"  Enter   of a pool: its members; else all about the member",
		"  /       show only rows with all of these words; Esc takes the filter away",
		"  s S     sort by the next of " + strings.Join(sorts, ", ") + "; turn it round",
		"  q       back, or end; Ctrl-C ends, Ctrl-L draws anew",
	}
	if m.orders {
		out = append(out, "  D M R   drain, maint, ready: asks why, and once more; goes through the guards that bear on people")
	} else {
		out = append(out, "  Steps are taken by sluice ctl drain, maint, ready, or here with --allow-orders")
	}
	return append(out, "", "Signs", "",
		"  "+g[well]+" serves   "+g[leaving]+" drained   "+g[gone]+" in maint   "+g[failing]+" out, and nobody ordered that; a backup has none",
		"  ADMIN is what was ordered, STATE what the device found, FOR since the later one of the two that is known.",
		"  REQ/S is how often load balancing chose it between two looks. 5XX is a share of its answers.",
		"  WHO and WHY are whose doing the admin state is: sluice with its hold, a person, or the device.",
		"  "+m.glyphs.none+" is a number that the device doesn't tell (PTAF).")
}
