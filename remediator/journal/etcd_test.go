package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/replicas/etcdtest"
)

// A term is a leadership as a coordinator would hold it, without a lease.
type term struct {
	key     string
	created int64
}

func (f term) Fence() (string, int64, bool) { return f.key, f.created, true }

// begin makes a new leader below prefix, in place of the one before.
func begin(tb testing.TB, c *clientv3.Client, prefix string) term {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	key := prefix + "/leader"
	if _, err := c.Delete(ctx, key); err != nil {
		tb.Fatal(err)
	}
	r, err := c.Put(ctx, key, "test")
	if err != nil {
		tb.Fatal(err)
	}
	return term{key, r.Header.Revision}
}

// pair returns two journals in one place, as two replicas have them, whose fences
// are one another's: both may write.
func pair(tb testing.TB, c *clientv3.Client, prefix string) (a, b *Journal) {
	tb.Helper()
	f := begin(tb, c, prefix)
	for _, j := range []**Journal{&a, &b} {
		var err error
		if *j, err = OpenEtcd(c, prefix, f); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { (*j).Close() }) // nothing to fail
	}
	return a, b
}

func TestAFencedWriterWritesNothing(t *testing.T) { // I16
	c := etcdtest.Start(t).Client(t)
	old, err := OpenEtcd(c, "/fence", begin(t, c, "/fence"))
	ok(t, err)
	defer old.Close()
	h := intent(s1)
	ok(t, old.Put(h, Entry{}))
	young, err := OpenEtcd(c, "/fence", begin(t, c, "/fence"))
	ok(t, err)
	defer young.Close()
	before, err := contentOf(young)
	ok(t, err)

	h.Phase = Applying
	wantErr(t, old.Put(h, Entry{}), ErrFenced)
	wantErr(t, old.PutAll([]*Hold{h}, nil), ErrFenced)
	wantErr(t, old.Put(intent(s2), Entry{}), ErrFenced)
	wantErr(t, old.Append(Entry{Event: "e"}), ErrFenced)
	h.Phase = Intent
	wantErr(t, old.Drop(h, Entry{}), ErrFenced)
	wantErr(t, old.Prune(time.Now().Add(time.Hour)), nil) // all is of a hold that is there
	after, err := contentOf(young)
	ok(t, err)
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("a fenced writer wrote:\n%s", d)
	}

	_, err = c.Delete(t.Context(), "/fence/leader") // nobody leads
	ok(t, err)
	wantErr(t, young.Append(Entry{Event: "e"}), ErrFenced)
	none, err := OpenEtcd(c, "/fence", nil)
	ok(t, err)
	defer none.Close()
	wantErr(t, none.Append(Entry{Event: "e"}), ErrFenced)
	bound := young.Under(begin(t, c, "/fence"))
	ok(t, bound.Append(Entry{Event: "e"}))
	wantErr(t, young.Append(Entry{Event: "e"}), ErrFenced)

	// What anybody may write.
	ok(t, old.SaveHints([]Hint{{Key: "k", FiringAt: time.Unix(1, 0)}}))
	wantErr(t, old.DropHints(time.Now()), ErrFenced)
	ok(t, old.SetFreeze(Freeze{Reason: "stop all"}))
	f, err := bound.Freeze()
	if err != nil || f == nil || f.Reason != "stop all" {
		t.Errorf("a freeze of a standby is not seen: %v, %v", f, err)
	}
	ok(t, old.Thaw("ann"))
	ok(t, old.AppendUnfenced(Entry{Event: "e"}))
	free := edge.Member{Device: "edge1", Pool: "shop", Name: "free"}
	for _, stops := range []error{ // people may stop automation at any replica, and let it go on (I19)
		old.SetFreeze(Freeze{Device: "edge1", Reason: "x"}), old.ThawScope(edge.Pool{Device: "edge1"}, "ann"),
		old.Claim(Claimed{Member: free, Reason: "x", Actor: "ann"}), old.Unclaim(free, "ann", "x"),
		old.SetWindow(Window{Name: "w", Actor: "ann"}), old.DropWindow("w", "ann", "x"), old.SetWindow(Window{Name: "over", Actor: "ann"}),
	} {
		ok(t, stops)
	}
	wantErr(t, old.DropWindow("over", "", "it was over"), ErrFenced) // but nobody's doing is the leader's
	h.ReleaseBy = "ann"
	ok(t, old.Order(h, Entry{Event: "release_asked", Actor: "ann"}))
}

func TestFencedInTheMiddle(t *testing.T) { // I16
	c := etcdtest.Start(t).Client(t)
	a, b := pair(t, c, "/middle")
	err := a.update("test", func(tx txn) error {
		begin(t, c, "/middle") // after all was asked, and before the commit
		return appendEntry(tx, Entry{Event: "late"})
	})
	wantErr(t, err, ErrFenced)
	if es, err := b.Entries(Query{}); err != nil || len(es) != 0 {
		t.Errorf("%d entries, %v", len(es), err)
	}
}

// TestWhatWasReadHasNotChanged lets one replica write in the middle of the other's
// update.
func TestWhatWasReadHasNotChanged(t *testing.T) { // I9
	c := etcdtest.Start(t).Client(t)
	for i, tt := range []struct {
		name   string
		read   func(txn) error
		meddle func(b *Journal) error
		runs   int
	}{
		{"nothing in between", nil, func(*Journal) error { return nil }, 1},
		{"a key that was there", func(tx txn) error { _, _, err := holdOf(tx, s1); return err }, func(b *Journal) error {
			h, err := b.Hold(s1)
			h.Phase = Applying
			return errors.Join(err, b.Put(&h, Entry{}))
		}, 2},
		{"a key that wasn't there", func(tx txn) error { _, _, err := holdOf(tx, s2); return err }, func(b *Journal) error {
			return b.update("test", func(tx txn) error { return put(tx, bucketHolds, []byte("edge1\x00shop\x00s2"), intent(s2)) })
		}, 2},
		{"a key that is gone", func(tx txn) error { _, _, err := holdOf(tx, s1); return err }, func(b *Journal) error {
			h, err := b.Hold(s1)
			return errors.Join(err, b.Drop(&h, Entry{}))
		}, 2},
		{"the count", func(tx txn) error { _, err := tx.next(bucketEntries); return err }, func(b *Journal) error { return b.Append(Entry{Event: "b"}) }, 2},
		{"a new key in what was scanned", func(tx txn) error { _, err := holdsIn(tx); return err }, func(b *Journal) error { return b.Put(intent(s2), Entry{}) }, 2},
		{"a changed key in what was scanned", func(tx txn) error { _, err := holdsIn(tx); return err }, func(b *Journal) error {
			h, err := b.Hold(s1)
			h.Note = "changed"
			return errors.Join(err, b.Put(&h, Entry{}))
		}, 2},
		{"a key that was not read", func(tx txn) error { _, _, err := holdOf(tx, s1); return err }, func(b *Journal) error { return b.SaveHints([]Hint{{Key: "k"}}) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pair(t, c, fmt.Sprintf("/between/%d", i))
			ok(t, a.Put(intent(s1), Entry{}))
			runs := 0
			ok(t, a.update("test", func(tx txn) error {
				if tt.read != nil {
					ok(t, tt.read(tx))
				}
				if runs++; runs == 1 {
					ok(t, tt.meddle(b))
				}
				return tx.put(bucketState, []byte("test"), []byte("x"))
			}))
			if runs != tt.runs {
				t.Errorf("it ran %d times; want %d", runs, tt.runs)
			}
		})
	}
	t.Run("others that never leave off", func(t *testing.T) {
		a, b := pair(t, c, "/between/busy")
		err := a.update("test", func(tx txn) error {
			ok(t, b.Append(Entry{Event: "b"}))
			_, err := tx.given(bucketEntries)
			ok(t, b.Append(Entry{Event: "b"}))
			return errors.Join(err, tx.put(bucketState, keyFreeze, []byte("x")))
		})
		wantErr(t, err, ErrBusy)
		if f, err := b.Freeze(); f != nil || err != nil {
			t.Errorf("it is there: %v, %v", f, err)
		}
	})
}

// TestTwoReplicasAsIfSerial has two journals write at once; what is found then
// could have come from one after the other.
func TestTwoReplicasAsIfSerial(t *testing.T) { // I9, I11
	c := etcdtest.Start(t).Client(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		var both [2]*Journal
		both[0], both[1] = pair(t, c, fmt.Sprintf("/serial/%d", n))
		defer func() { both[0].Close(); both[1].Close() }()
		type step struct {
			member edge.Member
			kind   string
		}
		draw := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				rapid.SampledFrom([]edge.Member{s1, s2}).Draw(t, "member"),
				rapid.SampledFrom([]string{"walk", "walk", "append", "freeze", "thaw", "hint", "prune"}).Draw(t, "kind"),
			}
		}), 1, 12)
		var wg sync.WaitGroup
		var appended [2]int
		errs := make(chan error, 64)
		for i, j := range both {
			steps := draw.Draw(rt, fmt.Sprintf("steps of %d", i))
			wg.Go(func() {
				for k, s := range steps {
					var err error
					switch s.kind {
					case "walk":
						err = walkOne(j, s.member)
					case "append":
						appended[i]++
						err = j.Append(Entry{Event: "mine", Actor: fmt.Sprint(i), Detail: fmt.Sprint(appended[i])})
					case "freeze":
						err = j.SetFreeze(Freeze{Reason: fmt.Sprint(i, k)})
					case "thaw":
						err = j.Thaw(fmt.Sprint(i))
					case "hint":
						err = j.SaveHints([]Hint{{Key: s.member.Name, FiringAt: time.Unix(int64(k), 0)}})
					case "prune":
						err = j.Prune(time.Unix(0, 0))
					}
					// Holds that the other changed first, and only those, are refused.
					if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrHeld) {
						errs <- err
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			rt.Error(err)
		}
		asIfSerial(rt, both, appended)
	})
}

func asIfSerial(rt *rapid.T, both [2]*Journal, appended [2]int) {
	one, err := contentOf(both[0])
	if err != nil {
		rt.Fatal(err)
	}
	if two, err := contentOf(both[1]); err != nil || cmp.Diff(one, two) != "" {
		rt.Fatalf("they differ: %v\n%s", err, cmp.Diff(one, two))
	}
	var last [2]int
	frozen := false
	for k, e := range one.Entries {
		if e.Seq != uint64(k+1) {
			rt.Fatalf("entry %d has number %d", k+1, e.Seq)
		}
		switch e.Event {
		case "mine":
			i, _ := strconv.Atoi(e.Actor) // written as a number above
			if last[i]++; e.Detail != fmt.Sprint(last[i]) {
				rt.Errorf("entry %s of replica %d stands where its %d should", e.Detail, i, last[i])
			}
		case EventFreeze:
			frozen = true
		case EventThaw:
			if !frozen {
				rt.Error("a thaw without a freeze was entered")
			}
			frozen = false
		}
	}
	if last != appended || frozen != (one.Freeze != nil) {
		rt.Errorf("%v entries of %v are there, frozen %v, freeze %v", last, appended, frozen, one.Freeze)
	}
	// The entries of each hold are one walk through the state machine, and end where it stands.
	if p, err := replay(both[0].store); err != nil || len(p) > 0 {
		rt.Errorf("%v, %v", p, err)
	}
}

// walkOne takes the member's hold one step further, as read a moment ago.
func walkOne(j *Journal, m edge.Member) error {
	h, err := j.Hold(m)
	switch {
	case errors.Is(err, ErrNoHold):
		return j.Put(intent(m), Entry{})
	case err != nil:
		return err
	case h.Phase.CanBecome(Closed):
		return j.Drop(&h, Entry{})
	}
	next := map[Phase]Phase{Intent: Applying, Applying: Applied, Applied: Superseded}
	h.Phase = next[h.Phase]
	return j.Put(&h, Entry{})
}

func TestASilentEtcdHangsNobody(t *testing.T) { // I6, I19
	server := etcdtest.Start(t)
	c := server.Client(t)
	j, _ := pair(t, c, "/silent")
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	server.Pause(t)
	calls := map[string]func() error{
		"Freeze":    func() error { _, err := j.Freeze(); return err },
		"Holds":     func() error { _, err := j.Holds(); return err },
		"Entries":   func() error { _, err := j.Entries(Query{}); return err },
		"SaveHints": func() error { return j.SaveHints([]Hint{{Key: "k"}}) },
		"SetFreeze": func() error { return j.SetFreeze(Freeze{Reason: "r"}) },
		"OpenEtcd":  func() error { _, err := OpenEtcd(c, "/silent", nil); return err },
	}
	for i := range 8 { // they wait for their turn
		calls[fmt.Sprint("Append ", i)] = func() error { return j.Append(Entry{Event: "e"}) }
	}
	done := make(chan struct{})
	for name, call := range calls {
		go func() {
			err := call()
			if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
			done <- struct{}{}
		}()
	}
	bound := time.After(60 * time.Second)
	for range calls {
		select {
		case <-done:
		case <-bound:
			t.Fatal("some calls hang")
		}
	}
	store := j.store.(*etcdStore)
	if store.silent.Load() == nil {
		t.Error("a read that comes now would take as long as the first")
	}
	server.Resume(t)
	for end := time.Now().Add(30 * time.Second); ; {
		if err := j.Append(Entry{Event: "back"}); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if store.silent.Load() != nil {
		t.Error("etcd has answered, and reads don't get their tries back")
	}
	es, err := j.Entries(Query{})
	ok(t, err)
	for i, e := range es { // some of those without an answer may be there
		if e.Seq != uint64(i+1) {
			t.Errorf("entry %d has number %d", i+1, e.Seq)
		}
	}
}

func TestBigEntriesOnEtcd(t *testing.T) { // I23
	c := etcdtest.Start(t).Client(t)
	j, _ := pair(t, c, "/big")
	image := bytes.Repeat([]byte{0xff}, 100<<10)
	ok(t, j.Append(Entry{Event: "image", Before: image, After: image, Detail: "fits"}))
	ok(t, j.Append(Entry{Event: "image", Before: bytes.Repeat(image, 15), After: image, Detail: "object"}))
	evidence := json.RawMessage(`"` + strings.Repeat("e", 2<<20) + `"`)
	ok(t, j.Append(Entry{Event: "e", Evidence: evidence}))
	ok(t, j.Append(Entry{Event: "e", Detail: strings.Repeat("ж", 1<<20)}))
	es, err := j.Entries(Query{})
	ok(t, err)
	if len(es) != 4 || !bytes.Equal(es[0].Before, image) || !bytes.Equal(es[0].After, image) || es[0].Detail != "fits" {
		t.Fatalf("%d entries, the first with %d and %d bytes", len(es), len(es[0].Before), len(es[0].After))
	}
	if e := es[1]; e.Before != nil || e.After != nil || e.Detail != "object [before left out: 1536000 bytes] [after left out: 102400 bytes]" {
		t.Errorf("%d bytes before, %d after, %q", len(e.Before), len(e.After), e.Detail)
	}
	if e := es[2]; e.Evidence != nil || e.Detail != "[evidence left out: 2097154 bytes]" {
		t.Errorf("%d bytes of evidence, %q", len(e.Evidence), e.Detail)
	}
	if d := es[3].Detail; !utf8.ValidString(d) || !strings.HasSuffix(d, "ж [rest of detail left out: 2093056 bytes]") {
		t.Errorf("%d bytes of detail, at the end %q", len(d), d[max(0, len(d)-60):])
	}
	many := make([]Entry, maxOps)
	for i := range many {
		many[i].Event = "e"
	}
	if err := j.Append(many...); err == nil || !strings.Contains(err.Error(), "121 changes at once") {
		t.Errorf("got %v", err)
	}
	if p, err := replay(j.store); err != nil || len(p) > 0 {
		t.Error(p, err)
	}
}

func TestCompactionInTheMiddleOfReading(t *testing.T) {
	c := etcdtest.Start(t).Client(t)
	a, b := pair(t, c, "/compact")
	for range 5 {
		ok(t, a.Append(make100()...))
	}
	times, seen := 0, 0
	ok(t, a.view("test", func(tx txn) error {
		times++
		seen = 0
		return tx.scan(bucketEntries, nil, func(_, _ []byte) error {
			if seen++; times == 1 && seen == 150 {
				ok(t, b.Append(Entry{Event: "new"}))
				r, err := c.Get(t.Context(), "x")
				ok(t, err)
				_, err = c.Compact(t.Context(), r.Header.Revision)
				ok(t, err)
			}
			return nil
		})
	}))
	if times != 2 || seen != 501 {
		t.Errorf("it was read %d times, in the end %d entries", times, seen)
	}
}

func TestOneReplicaFollowsTheOther(t *testing.T) {
	c := etcdtest.Start(t).Client(t)
	a, b := pair(t, c, "/follow")
	heard, stop := a.Follow(PartHints)
	defer stop()
	until := time.After(30 * time.Second)
	for n := 0; ; n++ { // the first may be that the watch began
		ok(t, b.SaveHints([]Hint{{Key: fmt.Sprint(n)}}))
		select {
		case <-heard:
		case <-until:
			t.Fatal("nothing heard")
		}
		if hints, err := a.Hints(); err != nil || len(hints) == n+1 {
			ok(t, err)
			if n == 5 {
				return
			}
		}
	}
}

func TestForeignKeysAreRefused(t *testing.T) { // I19
	c := etcdtest.Start(t).Client(t)
	_, err := c.Put(t.Context(), "/foreign/journal/entries/0000000000000001x", "1")
	ok(t, err)
	_, err = OpenEtcd(c, "/foreign", nil)
	wantErr(t, err, ErrUnreadable)
}
