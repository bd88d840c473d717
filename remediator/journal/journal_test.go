package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
)

var (
	s1 = edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	s2 = edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}
)

func openAt(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() }) // closing twice is harmless
	return j
}

func openNew(t *testing.T) *Journal {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "sluice.db"))
}

func reopen(t *testing.T, j *Journal) *Journal {
	t.Helper()
	ok(t, j.Close())
	return openAt(t, j.Path())
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v; want %v", err, want)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has more than one line: %q", err)
	}
}

func intent(m edge.Member) *Hold {
	return &Hold{
		Member: m, Policy: "drain", To: edge.Drain, Phase: Intent,
		Preimage: edge.State{Member: m, Admin: edge.Ready, Weight: 100, Serving: true},
		Process:  "pid 7 started 1700000000", Intent: time.Unix(1700000100, 5).UTC(),
		Claims: []string{`{alertname="MemberFailing"}`}, Decision: json.RawMessage(`{"refusal":null}`),
	}
}

// walk takes h through phases, one Put each.
func walk(t *testing.T, j *Journal, h *Hold, phases ...Phase) {
	t.Helper()
	for _, p := range phases {
		h.Phase = p
		ok(t, j.Put(h, Entry{}))
	}
}

func TestWhatWasPutIsThereAfterReopening(t *testing.T) { // I11
	j := openNew(t)
	h := intent(s1)
	ok(t, j.Put(h, Entry{Event: "intent", Detail: "own probe says no", Evidence: json.RawMessage(`[{"answer":"no"}]`), Config: "c1"}))
	walk(t, j, h, Applying, Applied, Holding)
	ok(t, j.Append(Entry{Event: "refused", Member: &s2, Guard: "min_serving", Reason: "too_few_left"}))

	j = reopen(t, j)
	got, err := j.Hold(s1)
	ok(t, err)
	if d := cmp.Diff(*h, got); d != "" {
		t.Errorf("hold (-put +read):\n%s", d)
	}
	if got.ID != "h1" || got.Rev != 4 {
		t.Errorf("got id %s rev %d; want h1 rev 4", got.ID, got.Rev)
	}
	es, err := j.Entries(Query{})
	ok(t, err)
	var story []string
	for _, e := range es {
		story = append(story, fmt.Sprintf("%d %s %s %s>%s %s", e.Seq, e.Event, e.Member, e.From, e.To, e.Hold))
	}
	want := []string{
		"1 intent edge1/shop/s1 >intent h1",
		"2 applying edge1/shop/s1 intent>applying h1",
		"3 applied edge1/shop/s1 applying>applied h1",
		"4 holding edge1/shop/s1 applied>holding h1",
		"5 refused edge1/shop/s2 > ",
	}
	if d := cmp.Diff(want, story); d != "" {
		t.Error(d)
	}
	if string(es[0].Evidence) != `[{"answer":"no"}]` || es[0].Policy != "drain" || es[0].Config != "c1" {
		t.Errorf("the entry lost what it was told: %+v", es[0])
	}
	if len(j.Problems()) != 0 {
		t.Errorf("problems in a sound journal: %v", j.Problems())
	}
}

func TestPutIsCompareAndSet(t *testing.T) {
	t.Run("a stale copy is refused and left as it is", func(t *testing.T) {
		j := openNew(t)
		h := intent(s1)
		ok(t, j.Put(h, Entry{}))
		stale := *h
		walk(t, j, h, Applying)
		before := stale
		stale.Phase = Applying
		before.Phase = Applying
		wantErr(t, j.Put(&stale, Entry{}), ErrConflict)
		if d := cmp.Diff(before, stale); d != "" {
			t.Errorf("a refused Put changed its hold:\n%s", d)
		}
	})
	t.Run("a member has one hold at most (I9)", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.Put(intent(s1), Entry{}))
		wantErr(t, j.Put(intent(s1), Entry{}), ErrHeld)
		ok(t, j.Put(intent(s2), Entry{}))
	})
	t.Run("a hold that was dropped is gone, and its id isn't used again", func(t *testing.T) {
		j := openNew(t)
		h := intent(s1)
		ok(t, j.Put(h, Entry{}))
		ok(t, j.Drop(h, Entry{Detail: "not sent"}))
		if h.Phase != Closed {
			t.Errorf("phase %s after Drop; want closed", h.Phase)
		}
		wantErr(t, j.Put(h, Entry{}), ErrIllegal)
		h.Phase = Intent
		wantErr(t, j.Put(h, Entry{}), ErrConflict)
		_, err := j.Hold(s1)
		wantErr(t, err, ErrNoHold)
		again := intent(s1)
		ok(t, j.Put(again, Entry{}))
		if again.ID == h.ID {
			t.Errorf("id %s was given twice", h.ID)
		}
	})
	t.Run("staying in a phase without an event writes no entry", func(t *testing.T) {
		j := openNew(t)
		h := intent(s1)
		ok(t, j.Put(h, Entry{}))
		changed := h.Changed
		h.LeaseUntil = time.Unix(1700009999, 0).UTC()
		ok(t, j.Put(h, Entry{}))
		ok(t, j.Put(h, Entry{Event: "renewed"}))
		es, err := j.Entries(Query{})
		ok(t, err)
		if len(es) != 2 || es[1].Event != "renewed" || es[1].From != Intent || es[1].To != Intent {
			t.Errorf("got entries %+v", es)
		}
		if !h.Changed.Equal(changed) {
			t.Error("Changed moved though the phase didn't")
		}
	})
	t.Run("a member without a name is nobody's (I2)", func(t *testing.T) {
		j := openNew(t)
		for _, m := range []edge.Member{{}, {Device: "edge1", Pool: "shop"}, {Device: "edge1", Pool: "sh\x00op", Name: "s1"}} {
			if err := j.Put(intent(m), Entry{}); err == nil {
				t.Errorf("a hold on %q was taken", m)
			}
		}
	})
	t.Run("of many writers with the same revision one wins", func(t *testing.T) {
		j := openNew(t)
		h := intent(s1)
		ok(t, j.Put(h, Entry{}))
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			mine := *h
			wg.Go(func() { mine.Phase = Applying; errs <- j.Put(&mine, Entry{}) })
		}
		wg.Wait()
		close(errs)
		won := 0
		for err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d writers won", won)
		}
	})
}

func TestAnIllegalStepWritesNothing(t *testing.T) { // I11
	j := openNew(t)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	h.Phase = Reverted
	wantErr(t, j.Put(h, Entry{}), ErrIllegal)
	fresh := intent(s2)
	fresh.Phase = Holding
	wantErr(t, j.Put(fresh, Entry{}), ErrIllegal)
	held := intent(s2)
	ok(t, j.Put(held, Entry{}))
	walk(t, j, held, Applying, Applied, Holding)
	wantErr(t, j.Drop(held, Entry{}), ErrIllegal) // what is out may not be forgotten
	es, err := j.Entries(Query{})
	ok(t, err)
	if len(es) != 5 {
		t.Errorf("%d entries; want the five of the legal steps", len(es))
	}
}

func TestEntries(t *testing.T) {
	j := openNew(t)
	start := time.Unix(1700000000, 0).UTC()
	for i := range 10 {
		m := s1
		if i%2 == 1 {
			m = s2
		}
		ok(t, j.Append(Entry{At: start.Add(time.Duration(i) * time.Minute), Event: "refused", Member: &m}))
	}
	ok(t, j.Append(Entry{At: start, Event: "started"}))
	if err := j.Append(Entry{Event: "a"}, Entry{}); err == nil {
		t.Error("an entry without event was taken")
	}
	tests := []struct {
		name string
		q    Query
		want []uint64
	}{
		{"all, in the order of writing", Query{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"the newest three", Query{Limit: 3}, []uint64{9, 10, 11}},
		{"those after a seq", Query{After: 9}, []uint64{10, 11}},
		{"those since a time", Query{Since: start.Add(8 * time.Minute)}, []uint64{9, 10}},
		{"those of a member", Query{Member: s2, Limit: 2}, []uint64{8, 10}},
		{"those of a pool", Query{Member: edge.Member{Pool: "shop"}, After: 8}, []uint64{9, 10}},
		{"those of an event", Query{Event: "started"}, []uint64{11}},
		{"those of a hold that isn't", Query{Hold: "h1"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			es, err := j.Entries(tt.q)
			ok(t, err)
			var got []uint64
			for _, e := range es {
				got = append(got, e.Seq)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPruneKeepsWhatIsYoungAndWhatIsHeld(t *testing.T) { // I23
	synctest.Test(t, func(t *testing.T) {
		j := openNew(t)
		held, gone := intent(s1), intent(s2)
		ok(t, j.Put(held, Entry{}))
		ok(t, j.Put(gone, Entry{}))
		ok(t, j.Drop(gone, Entry{}))
		for range 2 * pruneBatch / 100 {
			ok(t, j.Append(make100()...))
		}
		time.Sleep(time.Hour)
		young := time.Now()
		ok(t, j.Append(Entry{Event: "young"}))
		ok(t, j.Prune(young))
		es, err := j.Entries(Query{})
		ok(t, err)
		if len(es) != 2 || es[0].Hold != held.ID || es[1].Event != "young" {
			t.Errorf("%d entries are left, first %+v", len(es), es[0])
		}
		j = reopen(t, j)
		if p := j.Problems(); len(p) != 0 {
			t.Errorf("pruning left problems: %v", p)
		}
		ok(t, j.Drop(held, Entry{}))
		ok(t, j.Append(Entry{Event: "younger"}))
		ok(t, j.Prune(young)) // an entry far in front of those that are gone already
		j = reopen(t, j)
		if p := j.Problems(); len(p) != 0 {
			t.Errorf("pruning once more left problems: %v", p)
		}
	})
}

func TestEntriesThatAreMissingAreTold(t *testing.T) { // I23
	for _, tt := range []struct {
		name string
		lost []uint64
		want []string
	}{
		{"in front", []uint64{1, 2}, []string{"entries 1 to 2 are missing"}},
		{"between", []uint64{4}, []string{"entries 4 to 4 are missing"}},
		{"the newest", []uint64{6, 7}, []string{"entries 6 to 7 are missing"}},
		{"all", []uint64{1, 2, 3, 4, 5, 6, 7}, []string{"entries 1 to 7 are missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := openNew(t)
			for range 7 {
				ok(t, j.Append(Entry{Event: "e"}))
			}
			ok(t, j.update("forge", func(tx txn) error {
				for _, seq := range tt.lost {
					if err := tx.delete(bucketEntries, seqKey(seq)); err != nil {
						return err
					}
				}
				return nil
			}))
			j = reopen(t, j)
			if d := cmp.Diff(tt.want, j.Problems()); d != "" {
				t.Error(d)
			}
		})
	}
}

func make100() []Entry {
	es := make([]Entry, 100)
	for i := range es {
		es[i] = Entry{Event: "refused", Detail: strings.Repeat("x", i)}
	}
	return es
}

func TestReplayReportsWhatCannotHaveHappened(t *testing.T) { // I11
	j := openNew(t)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	ok(t, j.update("forge", func(tx txn) error {
		if err := appendEntry(tx, Entry{Event: "x", Hold: h.ID, From: Intent, To: Reverted}); err != nil {
			return err
		}
		return appendEntry(tx, Entry{Event: "x", Hold: h.ID, From: Holding, To: Superseded})
	}))
	j = reopen(t, j)
	want := []string{
		"entry 2 takes hold h1 from intent to reverted: no such transition",
		"entry 3 takes hold h1 from holding, where it is not: it is reverted",
		`hold h1 on edge1/shop/s1 is intent, its last entry says "superseded"`,
	}
	if d := cmp.Diff(want, j.Problems()); d != "" {
		t.Error(d)
	}
}

// TestJournalIsItsModel drives a journal and a map side by side, with reopening
// in between: what was acknowledged is there, what was refused is not.
func TestJournalIsItsModel(t *testing.T) { // I9, I11
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprint(run))
		j, err := Open(path, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { j.Close() }()
		model := map[edge.Member]*Hold{}
		entries := 0
		phases := rapid.SampledFrom([]Phase{Intent, Applying, Applied, Holding, ReleasePending, Reverting, Reverted, Superseded, Indeterminate, Failed})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				m := rapid.SampledFrom([]edge.Member{s1, s2}).Draw(t, "member")
				h := intent(m)
				var from Phase
				if have := model[m]; have != nil {
					next := *have
					h, from = &next, have.Phase
				}
				h.Phase = phases.Draw(t, "phase")
				legal := from.CanBecome(h.Phase)
				err := j.Put(h, Entry{})
				if legal != (err == nil) {
					t.Fatalf("put %s from %q to %s: legal %v, error %v", m, from, h.Phase, legal, err)
				}
				if err == nil {
					model[m] = h
					if from != h.Phase {
						entries++
					}
				}
			},
			"drop": func(t *rapid.T) {
				m := rapid.SampledFrom([]edge.Member{s1, s2}).Draw(t, "member")
				if model[m] == nil {
					return
				}
				h := *model[m]
				legal := h.Phase.CanBecome(Closed)
				if err := j.Drop(&h, Entry{}); legal != (err == nil) {
					t.Fatalf("drop from %s: legal %v, error %v", h.Phase, legal, err)
				}
				if legal {
					delete(model, m)
					entries++
				}
			},
			"reopen": func(t *rapid.T) {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if j, err = Open(path, time.Second); err != nil {
					t.Fatal(err)
				}
				if p := j.Problems(); len(p) != 0 {
					t.Fatal(p)
				}
			},
			"": func(t *rapid.T) {
				hs, err := j.Holds()
				if err != nil {
					t.Fatal(err)
				}
				got := map[edge.Member]*Hold{}
				for _, h := range hs {
					got[h.Member] = &h
				}
				if d := cmp.Diff(model, got); d != "" {
					t.Fatalf("holds (-model +journal):\n%s", d)
				}
				if es, err := j.Entries(Query{}); err != nil || len(es) != entries {
					t.Fatalf("%d entries, %v; want %d", len(es), err, entries)
				}
			},
		})
	})
}
