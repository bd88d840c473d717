package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/rig"
)

// devices are those behind which a member stands: HAProxy and the PTAF.
const devices = 2

// A diary reads what the remediator enters in its journal.
type diary struct {
	rig  *rig.Rig
	last uint64 // number of the last entry that was read
}

// skip passes over what is there already.
func (d *diary) skip(ctx context.Context) error {
	_, err := d.read(ctx)
	return err
}

func (d *diary) read(ctx context.Context) ([]journal.Entry, error) {
	entries, err := d.rig.Steps(ctx, d.last)
	if len(entries) > 0 {
		d.last = entries[len(entries)-1].Seq
	}
	return entries, err
}

// follow puts the entries on the screen until the steps that end the scene, one
// on each device, have been read back.
func (d *diary) follow(ctx context.Context, s *screen) error {
	done := map[string]bool{}
	_, err := rig.Every(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		entries, err := d.read(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			for _, text := range tell(e) {
				s.saw(e.At, "remediator", "%s: %s", e.Member.Device, text)
			}
			if e.Result == "applied" {
				done[e.Member.Device] = true
			}
		}
		if len(done) < devices {
			return fmt.Errorf("the journal has steps that were read back on %d of %d devices", len(done), devices)
		}
		return nil
	})
	return err
}

// tell says an entry in plain words. Entries that say nothing new say nothing.
func tell(e journal.Entry) []string {
	switch {
	case e.Event == "intent":
		var own guard.Evidence
		var decision guard.Decision
		if json.Unmarshal(e.Evidence, &own) != nil || json.Unmarshal(e.Decision, &decision) != nil {
			return []string{"writes its intent into the journal"}
		}
		var out []string
		if own.Answer == edge.No {
			out = append(out, "its own probe finds it bad too: "+own.Detail)
		}
		agree := fmt.Sprintf("%d guards agree", len(decision.Findings))
		for _, f := range decision.Findings {
			if f.Guard == "min_serving" && decision.Step.To != edge.Ready {
				agree += "; min_serving: " + f.Detail
			}
		}
		return append(out, agree, fmt.Sprintf("the intent to set it to %s is in the journal", e.Admin))
	case e.To == journal.ReleasePending:
		return []string{"its own probes are good: the hold-down begins"}
	case e.Guard != "":
		return []string{fmt.Sprintf("guard %s refuses: %s", e.Guard, e.Detail)}
	case e.Result != "":
		return []string{fmt.Sprintf("%s: %s", e.Result, e.Detail)}
	}
	return nil
}
