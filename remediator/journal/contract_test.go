package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/replicas/etcdtest"
)

// A place is where a journal stands; opening it twice finds the same one.
type place func() (*Journal, error)

// places are what the contract is kept by: each call of one gives a new, empty place.
func places(t *testing.T) map[string]func(testing.TB) place {
	server := etcdtest.Start(t)
	client := server.Client(t)
	n := 0
	return map[string]func(testing.TB) place{
		"bbolt": func(tb testing.TB) place {
			path := filepath.Join(tb.TempDir(), "sluice.db")
			return func() (*Journal, error) { return Open(path, time.Second) }
		},
		"etcd": func(tb testing.TB) place {
			n++
			prefix := fmt.Sprintf("/contract/%d", n)
			term := begin(tb, client, prefix)
			return func() (*Journal, error) { return OpenEtcd(client, prefix, term) }
		},
	}
}

func opened(t *testing.T, at place) *Journal {
	t.Helper()
	j, err := at()
	ok(t, err)
	t.Cleanup(func() { j.Close() }) // closing twice is harmless
	return j
}

func again(t *testing.T, at place, j *Journal) *Journal {
	t.Helper()
	ok(t, j.Close())
	return opened(t, at)
}

func seqs(es []Entry) (out []uint64) {
	for _, e := range es {
		out = append(out, e.Seq)
	}
	return out
}

// TestContract is kept by each store.
func TestContract(t *testing.T) { // I9, I11, I19
	stores := places(t)
	for _, tt := range []struct {
		name string
		run  func(*testing.T, place)
	}{
		{"what was put is there after opening it again", contractPut},
		{"a stale revision, a second hold and an illegal step are refused whole", contractRefusals},
		{"several holds are put together or not at all", contractPutAll},
		{"an order is somebody's and leaves the phase", contractOrder},
		{"of many writers with the same revision one wins", contractRace},
		{"entries are numbered without gaps and found by queries", contractEntries},
		{"queries find the same on pages and between gaps", contractPages},
		{"a walk over pages finds each entry once, either way", contractWalk},
		{"a freeze is there until it is lifted", contractFreeze},
		{"freezes of several scopes are lifted one by one", contractScopes},
		{"what is claimed is a person's, with the holds on it", contractClaimed},
		{"what is released begins anew", contractUnclaimForgets},
		{"windows have a name each, and go with an entry", contractWindows},
		{"what has come to its end counts no more", contractBarriersEnd},
		{"hints join, however many come, and go when they are old", contractHints},
		{"too many hints are refused whole", contractTooManyHints},
		{"old entries go, those of holds stay", contractPrune},
		{"what cannot have happened is reported", contractProblems},
		{"what is damaged is refused", contractDamage},
		{"followers hear of their part", contractFollow},
		{"a closed journal answers with an error", contractClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, fresh := range stores {
				t.Run(name, func(t *testing.T) { tt.run(t, fresh(t)) })
			}
		})
	}
}

func contractPut(t *testing.T, at place) {
	j := opened(t, at)
	h := intent(s1)
	ok(t, j.Put(h, Entry{Event: "intent", Evidence: json.RawMessage(`[{"answer":"no"}]`), Config: "c1"}))
	walk(t, j, h, Applying, Applied, Holding)
	other := intent(s2)
	ok(t, j.Put(other, Entry{}))
	ok(t, j.Drop(other, Entry{Detail: "not sent"}))

	j = again(t, at, j)
	got, err := j.Hold(s1)
	ok(t, err)
	if d := cmp.Diff(*h, got); d != "" {
		t.Errorf("hold (-put +read):\n%s", d)
	}
	if got.ID != "h1" || got.Rev != 4 {
		t.Errorf("got id %s rev %d; want h1 rev 4", got.ID, got.Rev)
	}
	_, err = j.Hold(s2)
	wantErr(t, err, ErrNoHold)
	third := intent(s2)
	ok(t, j.Put(third, Entry{}))
	if third.ID != "h3" {
		t.Errorf("the third hold is %s", third.ID)
	}
	hs, err := j.Holds()
	ok(t, err)
	if d := cmp.Diff([]Hold{*h, *third}, hs); d != "" {
		t.Error(d)
	}
	es, err := j.Entries(Query{})
	ok(t, err)
	var story []string
	for _, e := range es {
		story = append(story, fmt.Sprintf("%d %s %s %s>%s %s %s", e.Seq, e.Event, e.Member, e.From, e.To, e.Hold, e.Config))
	}
	want := []string{
		"1 intent edge1/shop/s1 >intent h1 c1",
		"2 applying edge1/shop/s1 intent>applying h1 ",
		"3 applied edge1/shop/s1 applying>applied h1 ",
		"4 holding edge1/shop/s1 applied>holding h1 ",
		"5 intent edge1/shop/s2 >intent h2 ",
		"6 closed edge1/shop/s2 intent>closed h2 ",
		"7 intent edge1/shop/s2 >intent h3 ",
	}
	if d := cmp.Diff(want, story); d != "" {
		t.Error(d)
	}
	if p := j.Problems(); len(p) != 0 {
		t.Errorf("problems in a sound journal: %v", p)
	}
}

func contractRefusals(t *testing.T, at place) {
	j := opened(t, at)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	stale := *h
	walk(t, j, h, Applying)
	stale.Phase = Applying
	before := stale
	wantErr(t, j.Put(&stale, Entry{}), ErrConflict)
	if d := cmp.Diff(before, stale); d != "" {
		t.Errorf("a refused Put changed its hold:\n%s", d)
	}
	wantErr(t, j.Put(intent(s1), Entry{}), ErrHeld)
	h.Phase = Reverted
	wantErr(t, j.Put(h, Entry{}), ErrIllegal)
	h.Phase = Applying
	wantErr(t, j.Drop(h, Entry{}), ErrIllegal)
	if err := j.Put(intent(edge.Member{Device: "edge1"}), Entry{}); err == nil {
		t.Error("a hold on a member without a name was taken")
	}
	h.LeaseUntil = time.Unix(1700009999, 0).UTC()
	ok(t, j.Put(h, Entry{})) // stays in its phase, without an event: no entry
	es, err := j.Entries(Query{})
	ok(t, err)
	if d := cmp.Diff([]uint64{1, 2}, seqs(es)); d != "" {
		t.Error(d)
	}
}

func contractPutAll(t *testing.T, at place) {
	j := opened(t, at)
	a, b := intent(s1), intent(s2)
	ok(t, j.PutAll([]*Hold{a, b}, nil))
	a.Phase, b.Phase = Applying, Reverted
	wantErr(t, j.PutAll([]*Hold{a, b}, nil), ErrIllegal)
	wantErr(t, j.PutAll([]*Hold{intent(edge.Member{Device: "edge1", Pool: "shop", Name: "s3"}), intent(s1)}, nil), ErrHeld)
	s4 := edge.Member{Device: "edge1", Pool: "shop", Name: "s4"}
	wantErr(t, j.PutAll([]*Hold{intent(s4), intent(s4)}, nil), ErrHeld) // it sees what it wrote itself
	hs, err := j.Holds()
	ok(t, err)
	if len(hs) != 2 || hs[0].Phase != Intent || hs[1].Phase != Intent {
		t.Errorf("got %+v", hs)
	}
	es, err := j.Entries(Query{})
	ok(t, err)
	if d := cmp.Diff([]uint64{1, 2}, seqs(es)); d != "" {
		t.Error(d)
	}
}

func contractOrder(t *testing.T, at place) {
	j := opened(t, at)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	h.ReleaseBy = "ann"
	wantErr(t, j.Order(h, Entry{Event: "release_asked"}), ErrIllegal)
	moved := *h
	moved.Phase = Applying
	wantErr(t, j.Order(&moved, Entry{Event: "release_asked", Actor: "ann"}), ErrConflict)
	wantErr(t, j.Order(intent(s2), Entry{Event: "release_asked", Actor: "ann"}), ErrIllegal)
	ok(t, j.Order(h, Entry{Event: "release_asked", Actor: "ann"}))
	got, err := j.Hold(s1)
	ok(t, err)
	if got.ReleaseBy != "ann" || got.Rev != 2 {
		t.Errorf("got %+v", got)
	}
}

func contractRace(t *testing.T, at place) {
	j := opened(t, at)
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
}

func contractEntries(t *testing.T, at place) {
	j := opened(t, at)
	start := time.Unix(1700000000, 0).UTC()
	for i := range 10 {
		m := s1
		if i%2 == 1 {
			m = s2
		}
		ok(t, j.Append(Entry{At: start.Add(time.Duration(i) * time.Minute), Event: "refused", Member: &m}))
	}
	ok(t, j.AppendUnfenced(Entry{At: start, Event: "started"}))
	if err := j.Append(Entry{Event: "a"}, Entry{}); err == nil {
		t.Error("an entry without event was taken")
	}
	for _, tt := range []struct {
		name string
		q    Query
		want []uint64
	}{
		{"all, in the order of writing", Query{}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"the newest three", Query{Limit: 3}, []uint64{9, 10, 11}},
		{"those after a seq", Query{After: 9}, []uint64{10, 11}},
		{"those after the last", Query{After: 11}, nil},
		{"those since a time", Query{Since: start.Add(8 * time.Minute)}, []uint64{9, 10}},
		{"those of a member", Query{Member: s2, Limit: 2}, []uint64{8, 10}},
		{"those of an event", Query{Event: "started"}, []uint64{11}},
		{"those of a hold that isn't", Query{Hold: "h1"}, nil},
	} {
		es, err := j.Entries(tt.q)
		ok(t, err)
		if d := cmp.Diff(tt.want, seqs(es)); d != "" {
			t.Errorf("%s:\n%s", tt.name, d)
		}
	}
}

func contractPages(t *testing.T, at place) {
	j := opened(t, at)
	const n = 1050
	var all []uint64
	for i := range n {
		if i%50 == 0 {
			var es []Entry
			for k := range 50 {
				es = append(es, Entry{At: time.Unix(int64(i+k), 0), Event: "e"})
			}
			ok(t, j.Append(es...))
		}
		all = append(all, uint64(i+1))
	}
	want := func(what string, q Query, want []uint64) {
		t.Helper()
		es, err := j.Entries(q)
		ok(t, err)
		if d := cmp.Diff(want, seqs(es)); d != "" {
			t.Errorf("%s:\n%s", what, d)
		}
	}
	want("all", Query{}, all)
	want("the newest", Query{Limit: 333}, all[n-333:])
	want("those after", Query{After: 449}, all[449:])
	// Few are left above 500, and then in all.
	left := slices.Clone(all[:500])
	for i := 512; i <= n; i += 64 {
		left = append(left, uint64(i))
	}
	for from := 501; from <= n; from += 100 {
		ok(t, j.update("forge", func(tx txn) error { return deleteBut(tx, 64, from, min(from+100, n+1)) }))
	}
	want("many below a few", Query{}, left)
	for from := 1; from <= 500; from += 100 {
		ok(t, j.update("forge", func(tx txn) error { return deleteBut(tx, 64, from, from+100) }))
	}
	left = nil
	for i := 64; i <= n; i += 64 {
		left = append(left, uint64(i))
	}
	want("all that is left", Query{}, left)
	want("the newest that is left", Query{Limit: 3}, left[len(left)-3:])
	want("what is left after", Query{After: 512}, left[8:])
	if p, err := replay(j.store); err != nil || len(p) != 0 {
		t.Errorf("%v, %v", p, err)
	}
}

// contractWalk goes over pages while entries are appended and pruned.
func contractWalk(t *testing.T, at place) {
	j := opened(t, at)
	add := func(n int, event string) {
		t.Helper()
		es := make([]Entry, n)
		for i := range es {
			es[i] = Entry{At: time.Unix(int64(i), 0), Event: event, Guard: []string{"", "load"}[i%2]}
		}
		ok(t, j.Append(es...))
	}
	add(20, "old")
	add(20, "e")
	keep := func(e *Entry) bool { return e.Seq%5 != 0 }
	for _, tt := range []struct {
		name string
		page Page
	}{
		{"a limit", Page{Query: Query{Event: "e", Limit: 3}}},
		{"few are looked at", Page{Query: Query{Event: "e", Guard: "load"}, Look: 4}},
		{"one at a time", Page{Query: Query{Event: "e"}, MaxBytes: 1}},
		{"not all are wanted", Page{Query: Query{Event: "e", Limit: 2}, Keep: keep, Look: 3}},
		{"those after", Page{Query: Query{Event: "e", Limit: 2, After: 31}}},
		{"until", Page{Query: Query{Event: "e", Limit: 2, Until: time.Unix(7, 0), Since: time.Unix(3, 0)}}},
	} {
		for _, newest := range []bool{false, true} {
			p := tt.page
			p.Newest = newest
			all := p.Query
			all.Limit = 0
			es, err := j.Entries(all)
			ok(t, err)
			want := seqs(slices.DeleteFunc(es, func(e Entry) bool { return p.Keep != nil && !p.Keep(&e) }))
			if newest {
				slices.Reverse(want)
			}
			var got []uint64
			for pages := 1; ; pages++ {
				es, next, err := j.Page(p)
				ok(t, err)
				got = append(got, seqs(es)...)
				if next == 0 {
					break
				}
				if pages > 100 {
					t.Fatalf("%s: no end", tt.name)
				}
				p.From = next
				if pages == 3 {
					add(1, "another") // one more at the end, and one less before the place
					ok(t, j.update("forge", func(tx txn) error { return tx.delete(bucketEntries, seqKey(uint64(pages))) }))
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, newest %t:\n%s", tt.name, newest, d)
			}
		}
	}
	for _, p := range []Page{{Query: Query{After: math.MaxUint64}}, {Newest: true, Query: Query{After: math.MaxUint64}}, {From: math.MaxUint64}, {From: 1, Newest: true}} {
		if es, next, err := j.Page(p); len(es) != 0 || next != 0 || err != nil {
			t.Errorf("%+v: got %d entries, %d, %v", p, len(es), next, err)
		}
	}
	seq, err := j.Newest()
	ok(t, err)
	if es, _, err := j.Page(Page{Newest: true, Query: Query{Limit: 1}}); err != nil || len(es) != 1 || es[0].Seq != seq {
		t.Errorf("the newest is %d: got %+v, %v", seq, es, err)
	}
}

func deleteBut(tx txn, every, from, to int) error {
	for i := from; i < to; i++ {
		if i%every == 0 {
			continue
		}
		if err := tx.delete(bucketEntries, seqKey(uint64(i))); err != nil {
			return err
		}
	}
	return notePruned(tx, uint64(to-1))
}

func contractFreeze(t *testing.T, at place) {
	j := opened(t, at)
	if f, err := j.Freeze(); f != nil || err != nil {
		t.Errorf("new journal: %v, %v", f, err)
	}
	in := Freeze{Reason: "moving racks", Actor: "ann", At: time.Unix(1700000000, 0).UTC()}
	ok(t, j.SetFreeze(in))
	j = again(t, at, j)
	f, err := j.Freeze()
	ok(t, err)
	if d := cmp.Diff(&in, f); d != "" {
		t.Error(d)
	}
	ok(t, j.Thaw("bob"))
	ok(t, j.Thaw("bob"))
	if f, err = j.Freeze(); f != nil || err != nil {
		t.Errorf("after thawing: %v, %v", f, err)
	}
	es, err := j.Entries(Query{})
	ok(t, err)
	if len(es) != 2 || es[0].Event != EventFreeze || es[1].Event != EventThaw {
		t.Errorf("got %+v", es)
	}
}

func contractHints(t *testing.T, at place) {
	j := opened(t, at)
	t0 := time.Unix(1700000000, 0).UTC()
	long := strings.Repeat("x", 40_000)
	want := map[string]Hint{"a": {Key: "a", Labels: map[string]string{"a": "1"}, FiringAt: t0, ResolvedAt: t0.Add(time.Minute)}}
	var many []Hint
	for i := range 450 {
		h := Hint{Key: fmt.Sprint(i), FiringAt: t0.Add(time.Hour)}
		if i < 20 {
			h.Key += long
		}
		many = append(many, h)
		want[h.Key] = h
	}
	ok(t, j.SaveHints([]Hint{{Key: "a", Labels: map[string]string{"a": "1"}, FiringAt: t0}}))
	ok(t, j.SaveHints(many))
	ok(t, j.SaveHints(many))
	ok(t, j.SaveHints([]Hint{{Key: "a", Labels: map[string]string{"a": "1"}, ResolvedAt: t0.Add(time.Minute)}}))
	ok(t, j.SaveHints(nil))
	j = again(t, at, j)
	got, err := j.Hints()
	ok(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ok(t, j.DropHints(t0.Add(2*time.Minute)))
	delete(want, "a")
	got, err = j.Hints()
	ok(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ok(t, j.DropHints(t0.Add(2*time.Hour)))
	if got, err = j.Hints(); err != nil || len(got) != 0 {
		t.Errorf("%d hints are left, %v", len(got), err)
	}
}

func contractTooManyHints(t *testing.T, at place) {
	j := opened(t, at)
	ok(t, j.SaveHints([]Hint{{Key: "0"}}))
	var many []Hint
	for i := range maxHints + 1 {
		many = append(many, Hint{Key: fmt.Sprint(i)})
	}
	wantErr(t, j.SaveHints(many), ErrFull)
	got, err := j.Hints()
	ok(t, err)
	if len(got) != 1 {
		t.Errorf("%d hints of a refused call are kept", len(got)-1)
	}
}

func contractPrune(t *testing.T, at place) {
	j := opened(t, at)
	held, gone := intent(s1), intent(s2)
	ok(t, j.Put(held, Entry{At: time.Unix(1, 0)}))
	ok(t, j.Put(gone, Entry{At: time.Unix(1, 0)}))
	ok(t, j.Drop(gone, Entry{At: time.Unix(1, 0)}))
	for range 15 {
		es := make100()
		for i := range es {
			es[i].At = time.Unix(2, 0)
		}
		ok(t, j.Append(es...))
	}
	ok(t, j.Append(Entry{Event: "young", At: time.Unix(3, 0)}))
	ok(t, j.Append(Entry{Event: "late", At: time.Unix(1, 0)})) // the clock was set back
	ok(t, j.Prune(time.Unix(3, 0)))
	j = again(t, at, j)
	es, err := j.Entries(Query{})
	ok(t, err)
	if d := cmp.Diff([]uint64{1, 1504, 1505}, seqs(es)); d != "" {
		t.Error(d)
	}
	if p := j.Problems(); len(p) != 0 {
		t.Errorf("pruning left problems: %v", p)
	}
}

func contractProblems(t *testing.T, at place) {
	j := opened(t, at)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	ok(t, j.update("forge", func(tx txn) error {
		if err := appendEntry(tx, Entry{Event: "x", Hold: h.ID, From: Intent, To: Reverted}); err != nil {
			return err
		}
		return appendEntry(tx, Entry{Event: "x", Hold: h.ID, From: Holding, To: Superseded})
	}))
	j = again(t, at, j)
	want := []string{
		"entry 2 takes hold h1 from intent to reverted: no such transition",
		"entry 3 takes hold h1 from holding, where it is not: it is reverted",
		`hold h1 on edge1/shop/s1 is intent, its last entry says "superseded"`,
	}
	if d := cmp.Diff(want, j.Problems()); d != "" {
		t.Error(d)
	}
}

func contractDamage(t *testing.T, at place) {
	sound, err := seal(Freeze{Reason: "r"})
	ok(t, err)
	j := opened(t, at)
	ok(t, j.Put(intent(s1), Entry{}))
	forge := func(b bucket, key, value []byte) {
		t.Helper()
		ok(t, j.update("forge", func(tx txn) error { return tx.put(b, key, value) }))
	}
	for _, bad := range []string{
		`{"v":2,"crc32c":0,"data":{}}`, "no record", strings.Replace(string(sound), `"r"`, `"s"`, 1),
	} {
		forge(bucketState, keyFreeze, []byte(bad))
		_, err := j.Freeze()
		wantErr(t, err, ErrUnreadable)
		if _, err := replay(j.store); !errors.Is(err, ErrUnreadable) {
			t.Errorf("replay: %v", err)
		}
	}
	forge(bucketState, keyFreeze, sound)
	_, err = replay(j.store)
	ok(t, err)
	entry, err := seal(Entry{Seq: 9, Event: "e"})
	ok(t, err)
	forge(bucketEntries, seqKey(9), entry) // nine was never given
	ok(t, j.Close())
	_, err = at()
	wantErr(t, err, ErrUnreadable)
}

func contractFollow(t *testing.T, at place) {
	j := opened(t, at)
	entries, stop := j.Follow(PartEntries)
	hints, stopHints := j.Follow(PartHints | PartState)
	defer stopHints()
	heard := func(c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing heard")
		}
	}
	ok(t, j.Append(Entry{Event: "e"}))
	heard(entries)
	ok(t, j.SaveHints([]Hint{{Key: "a"}}))
	heard(hints)
	ok(t, j.SetFreeze(Freeze{Reason: "r"}))
	heard(hints)
	heard(entries)
	stop()
	stop()
}

func contractClosed(t *testing.T, at place) {
	j := opened(t, at)
	ok(t, j.Close())
	if _, err := j.Freeze(); err == nil {
		t.Error("Freeze after Close")
	}
	if err := j.Append(Entry{Event: "late"}); err == nil {
		t.Error("Append after Close")
	}
}

// TestContractModel drives a journal and a map side by side, on each store.
func TestContractModel(t *testing.T) { // I9, I11
	for name, fresh := range places(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				at := fresh(t)
				j, err := at()
				if err != nil {
					rt.Fatal(err)
				}
				defer j.Close()
				model := map[edge.Member]Hold{}
				entries := 0
				for range rapid.IntRange(1, 25).Draw(rt, "steps") {
					m := rapid.SampledFrom([]edge.Member{s1, s2}).Draw(rt, "member")
					h, from := *intent(m), Phase("")
					if have, ok := model[m]; ok {
						h, from = have, have.Phase
					}
					to := rapid.SampledFrom(phases).Draw(rt, "phase")
					if h.Phase = to; to == Closed {
						h.Phase = from
						err = j.Drop(&h, Entry{})
					} else {
						err = j.Put(&h, Entry{})
					}
					if legal := from.CanBecome(to); legal != (err == nil) {
						rt.Fatalf("%s from %q to %s: legal %v, error %v", m, from, to, legal, err)
					}
					switch {
					case err != nil:
						continue
					case to == Closed:
						delete(model, m)
					default:
						model[m] = h
					}
					if from != to {
						entries++
					}
				}
				holds, err := j.Holds()
				if err != nil {
					rt.Fatal(err)
				}
				got := map[edge.Member]Hold{}
				for _, h := range holds {
					got[h.Member] = h
				}
				if d := cmp.Diff(model, got); d != "" {
					rt.Fatalf("holds (-model +journal):\n%s", d)
				}
				if es, err := j.Entries(Query{}); err != nil || len(es) != entries {
					rt.Fatalf("%d entries, %v; want %d", len(es), err, entries)
				}
				if p, err := replay(j.store); err != nil || len(p) != 0 {
					rt.Fatal(p, err)
				}
			})
		})
	}
}

var phases = []Phase{Intent, Applying, Applied, Holding, ReleasePending, Reverting, Reverted, Superseded, Indeterminate, Failed, Closed}
