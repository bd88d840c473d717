package main

import (
	"encoding/json"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/incidents/record"
)

// entry takes one of the journal's into the record. Call it with the lock held.
func (w *watch) entry(at float64, e journal.Entry) {
	member := ""
	if e.Member != nil {
		member = w.text(e.Member.String())
	}
	switch {
	case e.Event == "step":
		w.run.Steps = append(w.run.Steps, record.Step{At: at, Member: member, To: e.Admin, Result: e.Result, Actor: e.Actor, Detail: w.text(e.Detail)})
	case e.Guard != "":
		w.run.Refusals = append(w.run.Refusals, record.Refusal{At: at, Member: member, Guard: e.Guard, Reason: e.Reason, Detail: w.text(e.Detail)})
	default:
		if text := says(e); text != "" {
			w.run.Events = append(w.run.Events, record.Event{At: at, Who: "remediator", What: w.text(text), Of: member})
		}
	}
}

// says puts an entry that is neither step nor refusal into plain words. Entries
// that say nothing new to a reader of the timeline say nothing.
func says(e journal.Entry) string {
	switch {
	case e.Event == "intent":
		var own guard.Evidence
		if json.Unmarshal(e.Evidence, &own) != nil || own.Answer != edge.No {
			return "all guards agree: the intent to set it to " + e.Admin + " is in the journal"
		}
		return "its own evidence is bad too (" + own.Detail + "), all guards agree: the intent to set it to " + e.Admin + " is in the journal"
	case e.Event == "image":
		return ""
	case e.To == journal.ReleasePending && e.From != e.To:
		return "its own evidence is good: hold_down begins"
	case e.From == journal.ReleasePending && e.To == journal.Holding:
		return "it stays out: " + e.Detail
	case e.Event == "effect":
		return "the effect of the step: " + e.Result + ", " + e.Detail
	case e.Detail != "" && e.From == e.To:
		return e.Event + ": " + e.Detail
	}
	return ""
}
