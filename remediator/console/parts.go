package console

import (
	"cmp"
	"strings"

	"github.com/sluice-project/sluice/remediator/journal"
)

// What parts of pages are made of.

// A tab leads to one of the pages.
type tab struct {
	Text, Link string
	Current    bool
	Count      int
	Urgent     bool
}

func newTab(p *page, name, path string) tab {
	t := tab{Text: p.T(name), Link: p.Base + path, Current: p.Nav == name}
	switch name {
	case "holds":
		t.Count = p.Holds
	case "approvals":
		t.Count, t.Urgent = p.Approvals, true
	}
	return t
}

// kindPart is a state by colour, shape and word.
type kindPart struct{ K, Text, Means string }

func newKind(p *page, k kind) kindPart {
	return kindPart{string(k), p.T("kind_" + string(k)), p.T("means_" + string(k))}
}

// event is one entry of a history in a line.
type event struct {
	journal.Entry
	What string // in words that the journal has
	Tone string // good, bad or none
}

func newEvent(e journal.Entry) event {
	out := event{Entry: e}
	out.What = strings.Join(strings.Fields(e.Event+" "+e.Admin), " ")
	if e.Guard != "" { // which says that it was refused
		out.What = strings.TrimPrefix(strings.TrimSpace(e.Admin+" · "+e.Guard+"/"+e.Reason), "· ")
	}
	switch cmp.Or(e.Result, e.Event) {
	case "applied", "unchanged":
		out.Tone = "good"
	case "failed", "superseded", "indeterminate", "escalation", "refused":
		out.Tone = "bad"
	}
	return out
}

// line is one line of the table.
type line struct {
	P               *page
	N               node
	Sessions, Queue int
}

func newLine(p *page, n node, sessions, queue int) line { return line{p, n, sessions, queue} }

// holdPart is a hold on its own page, and on its member's.
type holdPart struct {
	P *page
	H held
}

func newHold(p *page, h any) holdPart {
	if one, ok := h.(*held); ok {
		return holdPart{p, *one}
	}
	return holdPart{p, h.(held)}
}

// entriesPart is a list of entries, with their members or of one.
type entriesPart struct {
	P       *page
	List    []journal.Entry
	Members bool
}

func newEntries(p *page, es []journal.Entry, members bool) entriesPart {
	return entriesPart{p, es, members}
}
