package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// What a step did for those who use the pool is measured and told (SAFETY.md I20).
func TestTheEffectOfAStepIsTold(t *testing.T) {
	s := start(t, rig.Options{})
	traffic := rig.StartTraffic(t.Context(), s.HAProxy.Front, 20*time.Millisecond)
	defer traffic.Stop()
	s.set("app1", rig.Fail)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	result := s.effect("app1")
	if result != "effective" && result != "unknown" {
		t.Errorf("the effect is %q", result)
	}
	s.counts("sluice_remediation_effects_total", map[string]string{"device": rig.Device, "pool": rig.Pool, "result": result}, 1)
}

// effect waits for the entry on what taking the member out did, and returns its
// result.
func (s scene) effect(member string) (result string) {
	s.t.Helper()
	s.must(rig.Await(s.t.Context(), outWithin, "an entry of the effect on "+member, func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Event == "effect" && e.Member != nil && *e.Member == named(member) {
				result = e.Result
				return nil
			}
		}
		return fmt.Errorf("none in %d entries", len(entries))
	}))
	return result
}

// The audit stream has all that the journal has. When the journal is lost while a
// member is held, a new one is begun, nobody touches the member, and the stream
// says whose it is.
func TestTheAuditStreamOutlivesTheJournal(t *testing.T) {
	s := start(t, rig.Options{})
	ctx := t.Context()
	data := filepath.Join(s.Dir, "data")
	stream := filepath.Join(data, "audit.jsonl")
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.set("app1", rig.Serve)
	s.becomes(backWithin, "app1", rig.AdminReady)
	s.holdsOnly()
	s.set("app1", rig.Refuse)
	s.becomes(outWithin, "app1", rig.AdminDrain)
	s.holdsOnly("app1")
	s.must(rig.Await(ctx, outWithin, "the stream to have all that the journal has", func(ctx context.Context) error {
		entries, err := s.Steps(ctx, 0)
		if err != nil {
			return err
		}
		told, err := lastSeq(stream)
		if err == nil && (len(entries) == 0 || told != entries[len(entries)-1].Seq) {
			err = fmt.Errorf("its last line is of entry %d, the journal has %d", told, len(entries))
		}
		return err
	}))
	if text := runSluice(t, "audit", "verify", stream); !strings.Contains(text, "ok") {
		t.Errorf("sluice audit verify says %s", text)
	}

	s.must(s.Remediator.Kill())
	s.must(os.Remove(filepath.Join(data, "sluice.db")))
	s.must(s.Remediator.Start(ctx))
	s.entered("app1", "of the old journal")
	if text := runSluice(t, "audit", "ours", stream); !strings.Contains(text, "app1") {
		t.Errorf("sluice audit ours doesn't list app1: %s", text)
	}
	s.set("app1", rig.Serve)
	s.keeps("app1", rig.AdminDrain) // by a journal that knows of no hold it is somebody's
	s.holdsOnly()
	runSluice(t, "audit", "verify", stream)
}

// lastSeq is the number of the journal's entry that the stream's last line has.
func lastSeq(stream string) (uint64, error) {
	text, err := os.ReadFile(stream)
	if err != nil {
		return 0, err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var last struct{ Seq uint64 }
	err = json.Unmarshal(lines[len(lines)-1], &last)
	return last.Seq, err
}
