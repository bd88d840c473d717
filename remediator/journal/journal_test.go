package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
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
	})
}

func make100() []Entry {
	es := make([]Entry, 100)
	for i := range es {
		es[i] = Entry{Event: "refused", Detail: strings.Repeat("x", i)}
	}
	return es
}

func TestFreeze(t *testing.T) { // I19
	t.Run("survives a restart, and thaws", func(t *testing.T) {
		j := openNew(t)
		in := Freeze{Reason: "moving racks", Actor: "ann", At: time.Unix(1700000000, 0).UTC()}
		ok(t, j.SetFreeze(in))
		j = reopen(t, j)
		f, err := j.Freeze()
		ok(t, err)
		if f == nil {
			t.Fatal("the freeze is forgotten")
		}
		if d := cmp.Diff(in, *f); d != "" {
			t.Error(d)
		}
		ok(t, j.Thaw("bob"))
		ok(t, j.Thaw("bob"))
		j = reopen(t, j)
		if f, err = j.Freeze(); f != nil || err != nil {
			t.Errorf("after thawing: %v, %v", f, err)
		}
		es, err := j.Entries(Query{})
		ok(t, err)
		var story []string
		for _, e := range es {
			story = append(story, strings.Join([]string{e.Event, e.Reason, e.Actor, e.Detail}, "|"))
		}
		if d := cmp.Diff([]string{"freeze|moving racks|ann|until lifted", "thaw|moving racks|bob|"}, story); d != "" {
			t.Error(d)
		}
	})
	t.Run("ends by itself when its time is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			j := openNew(t)
			ok(t, j.SetFreeze(Freeze{Reason: "upgrade", Until: time.Now().Add(time.Hour)}))
			time.Sleep(time.Hour - time.Nanosecond)
			if f, err := j.Freeze(); f == nil || err != nil {
				t.Errorf("just before its end: %v, %v", f, err)
			}
			time.Sleep(time.Nanosecond)
			if f, err := j.Freeze(); f != nil || err != nil {
				t.Errorf("at its end: %v, %v", f, err)
			}
			ok(t, j.Thaw("ann"))
			es, err := j.Entries(Query{Event: EventThaw})
			ok(t, err)
			if len(es) != 0 {
				t.Error("a freeze that was over was entered as lifted")
			}
		})
	})
	t.Run("wants a reason and an end to come", func(t *testing.T) {
		j := openNew(t)
		if err := j.SetFreeze(Freeze{}); err == nil {
			t.Error("no reason was needed")
		}
		if err := j.SetFreeze(Freeze{Reason: "late", Until: time.Now().Add(-time.Second)}); err == nil {
			t.Error("an end in the past was taken")
		}
		if f, err := j.Freeze(); f != nil || err != nil {
			t.Errorf("a refused freeze is in force: %v, %v", f, err)
		}
	})
	t.Run("another takes the place of the first", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.SetFreeze(Freeze{Reason: "one", Until: time.Now().Add(time.Hour)}))
		ok(t, j.SetFreeze(Freeze{Reason: "two"}))
		if f, err := j.Freeze(); err != nil || f == nil || f.Reason != "two" || !f.Until.IsZero() {
			t.Errorf("got %+v, %v", f, err)
		}
	})
}

func TestHintsJoinInAnyOrder(t *testing.T) { // I24
	rapid.Check(t, func(t *rapid.T) {
		sec := func(label string) time.Time {
			return time.Unix(int64(rapid.IntRange(0, 3).Draw(t, label)), 0)
		}
		draw := rapid.Custom(func(t *rapid.T) Hint {
			return Hint{Key: "k", FiringStart: sec("fs"), FiringAt: sec("fa"), ResolvedEnd: sec("re"), ResolvedAt: sec("ra")}
		})
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		same := func(what string, x, y Hint) {
			if d := cmp.Diff(x, y); d != "" {
				t.Fatalf("%s:\n%s", what, d)
			}
		}
		same("a b = b a", a.Join(b), b.Join(a))
		same("(a b) c = a (b c)", a.Join(b).Join(c), a.Join(b.Join(c)))
		same("a a = a", a.Join(a), a)
	})
}

func TestHintsAreKept(t *testing.T) { // I11, I22
	j := openNew(t)
	t0 := time.Unix(1700000000, 0).UTC()
	long := strings.Repeat("x", 40_000) // beyond bbolt's own limit on keys
	ok(t, j.SaveHints([]Hint{{Key: "a", Labels: map[string]string{"a": "1"}, FiringAt: t0}, {Key: long, FiringAt: t0.Add(time.Hour)}}))
	ok(t, j.SaveHints([]Hint{{Key: "a", Labels: map[string]string{"a": "1"}, ResolvedAt: t0.Add(time.Minute)}}))
	ok(t, j.SaveHints(nil))
	j = reopen(t, j)
	got, err := j.Hints()
	ok(t, err)
	want := map[string]Hint{
		"a":  {Key: "a", Labels: map[string]string{"a": "1"}, FiringAt: t0, ResolvedAt: t0.Add(time.Minute)},
		long: {Key: long, FiringAt: t0.Add(time.Hour)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ok(t, j.DropHints(t0.Add(2*time.Minute)))
	ok(t, j.DropHints(t0.Add(2*time.Minute)))
	got, err = j.Hints()
	ok(t, err)
	delete(want, "a")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTooManyHintsAreRefusedWhole(t *testing.T) {
	j := openNew(t)
	var many []Hint
	for i := range maxHints + 1 {
		many = append(many, Hint{Key: fmt.Sprint(i)})
	}
	wantErr(t, j.SaveHints(many), ErrFull)
	got, err := j.Hints()
	ok(t, err)
	if len(got) != 0 {
		t.Errorf("%d hints of a refused call are kept", len(got))
	}
}

func TestOpen(t *testing.T) {
	t.Run("makes the file and its directory for the owner alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "data", "deep", "sluice.db")
		j := openAt(t, path)
		if f, err := j.Freeze(); f != nil || err != nil { // a new, empty one is no freeze: I19
			t.Errorf("new journal: freeze %v, %v", f, err)
		}
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
			fi, err := os.Stat(name)
			ok(t, err)
			if fi.Mode() != want {
				t.Errorf("%s has mode %v; want %v", name, fi.Mode(), want)
			}
		}
		rest, err := os.ReadDir(filepath.Dir(path))
		ok(t, err)
		if len(rest) != 1 {
			t.Errorf("left beside the journal: %v", rest)
		}
	})
	t.Run("names the path when another has it", func(t *testing.T) {
		j := openNew(t)
		start := time.Now()
		_, err := Open(j.Path(), 50*time.Millisecond)
		wantErr(t, err, ErrLocked)
		if !strings.Contains(err.Error(), j.Path()) {
			t.Errorf("%q doesn't name the path", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("waited %s", d)
		}
		_, err = OpenReadOnly(j.Path(), 50*time.Millisecond)
		wantErr(t, err, ErrLocked)
	})
	t.Run("of many at once on a new path one gets it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		var wg sync.WaitGroup
		got := make(chan *Journal, 4)
		for range cap(got) {
			wg.Go(func() {
				j, err := Open(path, 50*time.Millisecond)
				if err != nil && !errors.Is(err, ErrLocked) {
					t.Error(err)
				}
				got <- j
			})
		}
		wg.Wait()
		close(got)
		n := 0
		for j := range got {
			if j != nil {
				n++
				ok(t, j.Close())
			}
		}
		if n != 1 {
			t.Errorf("%d opened it", n)
		}
	})
	t.Run("read-only finds all and changes nothing", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.Put(intent(s1), Entry{}))
		ok(t, j.Close())
		ro, err := OpenReadOnly(j.Path(), time.Second)
		ok(t, err)
		defer ro.Close()
		two, err := OpenReadOnly(j.Path(), time.Second) // readers don't shut each other out
		ok(t, err)
		ok(t, two.Close())
		hs, err := ro.Holds()
		ok(t, err)
		if len(hs) != 1 {
			t.Errorf("%d holds", len(hs))
		}
		if err := ro.SetFreeze(Freeze{Reason: "no"}); err == nil {
			t.Error("a freeze was written")
		}
	})
	t.Run("read-only makes no file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		_, err := OpenReadOnly(path, time.Second)
		wantErr(t, err, os.ErrNotExist)
		if _, err := os.Stat(path); err == nil {
			t.Error("there is a file now")
		}
	})
	t.Run("a closed journal answers with an error", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.Close())
		if _, err := j.Freeze(); err == nil {
			t.Error("Freeze after Close")
		}
		if err := j.Append(Entry{Event: "late"}); err == nil {
			t.Error("Append after Close")
		}
	})
}

func TestReplayReportsWhatCannotHaveHappened(t *testing.T) { // I11
	j := openNew(t)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	ok(t, j.update("forge", func(tx *bbolt.Tx) error {
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
