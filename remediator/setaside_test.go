package remediator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator/audit"
	"github.com/sluice-project/sluice/remediator/journal"
)

// damage cuts the journal of a process that has ended.
func (w *world) damage() (left []byte) {
	w.t.Helper()
	err := os.Truncate(w.path, int64(3*os.Getpagesize())) // both meta pages, and hardly more
	if err == nil {
		left, err = os.ReadFile(w.path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return left
}

// stream writes the audit stream as far as the journal goes.
func (w *world) stream() {
	w.t.Helper()
	s, err := audit.Open(w.cfg.Audit.File, audit.Options{})
	if err == nil {
		err = s.Sync(w.r.journal)
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// wereOurs are the entries that a new journal begins with, after the freeze.
func (w *world) wereOurs() []journal.Entry {
	w.t.Helper()
	entries, err := w.r.journal.Entries(journal.Query{Event: EventWasOurs})
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

func TestI19ADamagedJournalIsSetAsideAndWhatWasOursIsListed(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(30 * time.Second)
		w.want(s1, "FDRAIN")
		w.stream()
		w.stop()
		left := w.damage()

		w.start()
		frozen := w.r.frozen()
		kept, err := journal.Damaged(w.path)
		if err != nil || len(kept) != 1 {
			t.Fatalf("set aside: %q, %v", kept, err)
		}
		if !strings.Contains(frozen, filepath.Base(kept[0])) {
			t.Errorf("the freeze doesn't name %s: %q", kept[0], frozen)
		}
		if now, err := os.ReadFile(kept[0]); err != nil || string(now) != string(left) {
			t.Errorf("what is kept has %d bytes, had %d: %v", len(now), len(left), err)
		}
		ours := w.wereOurs()
		if len(ours) != 2 || ours[1].Member == nil || *ours[1].Member != s1 || ours[1].Policy != "drain" || !strings.Contains(ours[1].Detail, "last holding; before that it was ready") {
			t.Errorf("what was ours: %+v", ours)
		}

		// Nothing is done by itself any more, out or back, and a restart changes nothing.
		writes := len(w.device.writes())
		w.recover(s1)
		w.fail(s2)
		w.restart()
		w.wait(5 * time.Minute)
		w.want(s1, "FDRAIN")
		w.want(s2, "")
		w.wantWrites(writes)
		if again := w.wereOurs(); len(again) != 2 || w.r.frozen() != frozen {
			t.Errorf("after a restart: %q, %+v", w.r.frozen(), again)
		}

		// A person lifts it. What was ours has no hold: to us it is somebody else's.
		if err := w.r.journal.Thaw("somebody"); err != nil {
			t.Fatal(err)
		}
		w.r.Wake()
		w.wait(time.Minute)
		w.want(s1, "FDRAIN")
	})
}

func TestI19WithoutAnAuditStreamTheListSaysSo(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(30 * time.Second)
		w.stop()
		w.damage()
		w.start()
		if ours := w.wereOurs(); len(ours) != 1 || !strings.Contains(ours[0].Detail, "no such file") {
			t.Errorf("%+v", ours)
		}
		if w.r.frozen() == "" {
			t.Error("not frozen")
		}
	})
}

// A stream that was damaged too gives what stands before the damage, and says
// that there may be more.
func TestI19ATornAuditStreamIsReadAsFarAsItGoes(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.fail(s1)
		w.wait(30 * time.Second)
		w.stream()
		w.stop()
		w.damage()
		f, err := os.OpenFile(w.cfg.Audit.File, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(`{"seq":`)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		w.start()
		if ours := w.wereOurs(); len(ours) != 2 || !strings.Contains(ours[0].Detail, "1 members were ours; it could not be read to its end") {
			t.Errorf("%+v", ours)
		}
	})
}

// The page goes on until somebody has looked at the file and moved it away:
// neither a restart nor a thaw ends it (I26).
func TestI26DamagedJournalsAreCountedUntilTheyAreMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.db")
	count := func(want float64) {
		t.Helper()
		reg := prometheus.NewPedanticRegistry()
		countSetAside(reg, path)
		families, err := reg.Gather()
		if err != nil || len(families) != 1 {
			t.Fatalf("%v, %v", families, err)
		}
		if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("%s is %v, want %v", families[0].GetName(), got, want)
		}
	}
	count(0)
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Config{Mode: Auto, Journal: path, Alertmanagers: []Source{{URL: "http://192.0.2.1:9093"}}}
	if m := c.Validate(nil, nil); len(m) > 0 {
		t.Fatal(m)
	}
	r, err := New(Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if st := r.Status(); st.Frozen == "" {
		t.Error("not frozen")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	count(1)
	kept, err := journal.Damaged(path)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%q, %v", kept, err)
	}
	if err := os.Remove(kept[0]); err != nil {
		t.Fatal(err)
	}
	count(0)
}
