package audit

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// The real journal, written, pruned, and lost.
func TestTheStreamOfARealJournal(t *testing.T) { // I23
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	j := openJournal(t, filepath.Join(dir, "sluice.db"))
	s := open(t, path, Options{})
	take := func(j *journal.Journal, m edge.Member) *journal.Hold {
		t.Helper()
		h := &journal.Hold{Member: m, Policy: "drain", To: edge.Drain, Phase: journal.Intent, Preimage: edge.State{Member: m, Weight: 10}}
		err := j.Put(h, journal.Entry{Event: "intent", Admin: "drain", Preimage: &h.Preimage, Evidence: json.RawMessage(`{"detail":"503, want 200"}`)})
		for _, p := range []journal.Phase{journal.Applying, journal.Applied, journal.Holding} {
			h.Phase = p
			err = errors.Join(err, j.Put(h, journal.Entry{}))
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	taken := take(j, s1)
	back := take(j, s2)
	wantSync(t, s, j)
	for _, p := range []journal.Phase{journal.ReleasePending, journal.Reverting, journal.Reverted} {
		back.Phase = p
		if err := j.Put(back, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(j.Drop(back, journal.Entry{}), j.Append(journal.Entry{Event: "image", Member: &s1, Before: []byte("object")})); err != nil {
		t.Fatal(err)
	}
	wantSync(t, s, j)
	want, err := j.Entries(journal.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []journal.Entry
	for _, l := range lines(t, path) {
		got = append(got, l.Entry)
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(journal.Entry{}, "Before", "After"), cmpopts.EquateApproxTime(0)); d != "" {
		t.Error(d)
	}
	wantOurs := func(want ...string) {
		t.Helper()
		list, _, err := ReadOurs(path)
		var got []string
		for _, st := range list {
			if st.Preimage == nil || st.Preimage.Weight != 10 {
				t.Errorf("%s was %+v", st.Member, st.Preimage)
			}
			got = append(got, st.String()+" "+st.Hold+" "+string(st.Phase)+" "+st.Reason)
		}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	wantOurs("edge1/shop/s1 " + taken.ID + " holding 503, want 200")

	// Pruning takes nothing from the stream, and doesn't look like another journal.
	if err := errors.Join(s.Close(), j.Prune(time.Now().Add(time.Hour)), j.Append(journal.Entry{Event: "later"})); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	wantSync(t, s, j)
	if n := len(lines(t, path)); n != len(want)+1 {
		t.Errorf("%d lines, want one more than %d", n, len(want))
	}

	// The journal is lost: what is ours is in the stream still, and stays in it.
	if err := errors.Join(s.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, filepath.Join(dir, "new.db"))
	s = open(t, path, Options{})
	wantSync(t, s, j)
	other := take(j, s2)
	wantSync(t, s, j)
	wantOurs("edge1/shop/s1 "+taken.ID+" holding 503, want 200", "edge1/shop/s2 "+other.ID+" holding 503, want 200")
}

func openJournal(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}
