package journal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
)

func story(t *testing.T, j *Journal) (out []string) {
	t.Helper()
	es, err := j.Entries(Query{})
	ok(t, err)
	for _, e := range es {
		m := ""
		if e.Member != nil {
			m = e.Member.String()
		}
		out = append(out, strings.Join([]string{e.Event, m, e.Reason, e.Actor, e.Detail}, "|"))
	}
	return out
}

func barriers(t *testing.T, j *Journal) Barriers {
	t.Helper()
	b, err := j.Barriers()
	ok(t, err)
	return b
}

func contractScopes(t *testing.T, at place) { // I19
	j := opened(t, at)
	moment := time.Unix(1700000000, 0).UTC()
	all := Freeze{Reason: "all", Actor: "ann", At: moment}
	device := Freeze{Device: "edge1", Reason: "racks", Actor: "ann", At: moment, Until: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	pool := Freeze{Device: "edge1", Pool: "shop", Reason: "release", Actor: "bob", At: moment}
	for _, f := range []Freeze{pool, device, all} {
		ok(t, j.SetFreeze(f))
	}
	j = again(t, at, j)
	if d := cmp.Diff(Barriers{Freezes: []Freeze{all, device, pool}}, barriers(t, j)); d != "" {
		t.Error(d)
	}
	f, err := j.Freeze()
	ok(t, err)
	if f == nil || f.Reason != "all" {
		t.Errorf("of everything: %+v", f)
	}
	ok(t, j.ThawScope(device.Scope(), "bob"))
	ok(t, j.ThawScope(device.Scope(), "bob"))
	ok(t, j.ThawScope(edge.Pool{Device: "edge1", Name: "other"}, "bob"))
	if d := cmp.Diff(Barriers{Freezes: []Freeze{all, pool}}, barriers(t, j)); d != "" {
		t.Errorf("a scope is lifted by itself:\n%s", d)
	}
	ok(t, j.Thaw("bob"))
	if d := cmp.Diff(Barriers{Freezes: []Freeze{pool}}, barriers(t, j)); d != "" {
		t.Errorf("each is lifted by itself:\n%s", d)
	}
	if f, err := j.Freeze(); f != nil || err != nil {
		t.Errorf("a freeze of a pool is one of everything: %+v, %v", f, err)
	}
	if d := cmp.Diff([]string{
		"freeze|edge1/shop/|release|bob|until lifted",
		"freeze|edge1//|racks|ann|until " + device.Until.Format(time.RFC3339),
		"freeze||all|ann|until lifted",
		"thaw|edge1//|racks|bob|",
		"thaw||all|bob|",
	}, story(t, j)); d != "" {
		t.Error(d)
	}
	if err := j.SetFreeze(Freeze{Pool: "shop", Reason: "x"}); err == nil {
		t.Error("a pool of no device was frozen")
	}
	if err := j.SetFreeze(Freeze{Device: "a\x00b", Reason: "x"}); err == nil {
		t.Error("a name with NUL was taken")
	}
	if err := j.ThawScope(edge.Pool{Name: "shop"}, "x"); err == nil {
		t.Error("a pool of no device was thawed")
	}
}

func contractClaimed(t *testing.T, at place) { // I7, I11
	j := opened(t, at)
	h := intent(s1)
	ok(t, j.Put(h, Entry{}))
	walk(t, j, h, Applying, Applied, Holding)
	twin := intent(s2)
	twin.Along = []edge.Member{s1}
	ok(t, j.Put(twin, Entry{}))
	stale := *h

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	ok(t, j.Claim(Claimed{Member: s1, Reason: "a new disk", Actor: "ann", Until: until}))
	j = again(t, at, j)
	if c := barriers(t, j).Claims(s2, s1); c == nil || c.Actor != "ann" || c.Reason != "a new disk" || !c.Until.Equal(until) || c.At.IsZero() {
		t.Errorf("got %+v", c)
	}
	if c := barriers(t, j).Claims(s2); c != nil {
		t.Errorf("s2 isn't claimed: %+v", c)
	}
	for _, m := range []edge.Member{s1, s2} { // its own, and that of a twin
		got, err := j.Hold(m)
		ok(t, err)
		if got.Handed != "ann" {
			t.Errorf("the hold on %s isn't handed over: %+v", m, got)
		}
	}
	stale.Phase = ReleasePending
	wantErr(t, j.Put(&stale, Entry{}), ErrConflict) // what was decided before finds another revision

	ok(t, j.Claim(Claimed{Member: s1, Reason: "and a fan", Actor: "bob"}))
	if c := barriers(t, j).Claims(s1); c == nil || c.Actor != "bob" || !c.Until.IsZero() {
		t.Errorf("another doesn't take its place: %+v", c)
	}
	if got, err := j.Hold(s1); err != nil || got.Handed != "ann" {
		t.Errorf("handed over twice: %+v, %v", got, err)
	}
	ok(t, j.Unclaim(s1, "bob", "done"))
	wantErr(t, j.Unclaim(s1, "bob", "done"), ErrNotClaimed)
	wantErr(t, j.Unclaim(s2, "bob", "done"), ErrNotClaimed)
	if got := barriers(t, j).Claimed; len(got) != 0 {
		t.Errorf("still claimed: %+v", got)
	}
	es, err := j.Entries(Query{Member: s1})
	ok(t, err)
	var events []string
	for _, e := range es {
		if e.Event == EventClaimed || e.Event == EventUnclaimed || e.Event == EventHandedOver {
			events = append(events, e.Event+" by "+e.Actor)
		}
	}
	if d := cmp.Diff([]string{"claimed by ann", "handed_over by ann", "claimed by bob", "unclaimed by bob"}, events); d != "" {
		t.Error(d)
	}
	for _, bad := range []Claimed{
		{Member: s1, Actor: "ann"},
		{Member: s1, Reason: "x"},
		{Member: edge.Member{Device: "edge1", Pool: "shop"}, Reason: "x", Actor: "ann"},
		{Member: s1, Reason: "x", Actor: "ann", Until: time.Now().Add(-time.Second)},
	} {
		if err := j.Claim(bad); err == nil {
			t.Errorf("taken: %+v", bad)
		}
	}
}

// After a release automation begins anew: a word of the time before is forgotten.
func contractUnclaimForgets(t *testing.T, at place) {
	j := opened(t, at)
	for m, c := range map[edge.Member]*Hold{s1: {Released: "ann"}, s2: {Answer: &Answer{By: "ann"}}} {
		c.Member, c.Policy, c.Phase, c.Via = m, "drain", Deferred, Phase("").Judge()
		ok(t, j.Put(c, Entry{}))
		ok(t, j.Claim(Claimed{Member: m, Reason: "x", Actor: "ann"}))
		all, err := j.Candidates()
		ok(t, err)
		if c := only(all, m); c.Released == "" && c.Answer == nil || c.Handed != "" {
			t.Errorf("a claim changed what is no hold: %+v", c)
		}
		ok(t, j.Unclaim(m, "ann", "x"))
		all, err = j.Candidates()
		ok(t, err)
		if c := only(all, m); c.ID == "" || c.Released != "" || c.Answer != nil {
			t.Errorf("not forgotten: %+v", c)
		}
	}
}

// only is the one on a member.
func only(all []Hold, m edge.Member) (out Hold) {
	for _, h := range all {
		if h.Member == m {
			out = h
		}
	}
	return out
}

func contractWindows(t *testing.T, at place) {
	j := opened(t, at)
	w := Window{Name: "patch", Spec: json.RawMessage(`{"cron":"30 2 * * sun"}`), Actor: "ann", At: time.Unix(1700000000, 0).UTC()}
	ok(t, j.SetWindow(w))
	wantErr(t, j.SetWindow(w), ErrWindow)
	if err := j.SetWindow(Window{Spec: w.Spec}); err == nil {
		t.Error("a window without a name was taken")
	}
	j = again(t, at, j)
	if d := cmp.Diff(Barriers{Windows: []Window{w}}, barriers(t, j)); d != "" {
		t.Error(d)
	}
	wantErr(t, j.DropWindow("other", "bob", "x"), ErrNoWindow)
	ok(t, j.DropWindow("patch", "bob", "done"))
	wantErr(t, j.DropWindow("patch", "bob", "done"), ErrNoWindow)
	ok(t, j.SetWindow(w))
	ok(t, j.DropWindow("patch", "", "it is over"))
	if d := cmp.Diff(Barriers{}, barriers(t, j)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{
		`maintenance||patch|ann|{"cron":"30 2 * * sun"}`, "maintenance_ended||patch|bob|done",
		`maintenance||patch|ann|{"cron":"30 2 * * sun"}`, "maintenance_ended||patch||it is over",
	}, story(t, j)); d != "" {
		t.Error(d)
	}
}

// Freezes and claims that have come to their end count no more, and make room.
func contractBarriersEnd(t *testing.T, at place) {
	j := opened(t, at)
	end := time.Now().Add(300 * time.Millisecond)
	for n := range mostFreezes {
		f := Freeze{Device: fmt.Sprintf("edge%03d", n), Reason: "x"}
		if n%2 == 0 {
			f.Until = end
		}
		if n%10 == 0 || n%10 == 1 { // the others would only take time
			ok(t, j.SetFreeze(f))
		}
	}
	ok(t, j.Claim(Claimed{Member: s1, Reason: "x", Actor: "ann", Until: end}))
	deadline := time.Now().Add(20 * time.Second)
	for {
		b := barriers(t, j)
		if len(b.Freezes) == mostFreezes/10 && len(b.Claimed) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("they don't end: %d freezes, %d claims", len(b.Freezes), len(b.Claimed))
		}
	}
	wantErr(t, j.Unclaim(s1, "ann", "late"), ErrNotClaimed)
	ok(t, j.SetFreeze(Freeze{Device: "one-more", Reason: "x"}))
	n := 0
	ok(t, j.view("count", func(tx txn) error {
		n = 0
		return tx.scan(bucketState, []byte(prefixFreeze), func(k, _ []byte) error {
			if strings.HasPrefix(string(k), prefixFreeze) {
				n++
			}
			return nil
		})
	}))
	if n != mostFreezes/10+1 {
		t.Errorf("%d records are kept", n)
	}
}

func TestTooManyScopesAreRefused(t *testing.T) { // I19
	j := openNew(t)
	for n := range mostFreezes {
		ok(t, j.SetFreeze(Freeze{Device: fmt.Sprintf("edge%03d", n), Reason: "x"}))
	}
	wantErr(t, j.SetFreeze(Freeze{Device: "one-more", Reason: "x"}), ErrTooMany)
	ok(t, j.SetFreeze(Freeze{Device: "edge000", Reason: "another"})) // in the place of one
	ok(t, j.SetFreeze(Freeze{Reason: "that of everything is always possible"}))
}

func TestWhatAFreezeCovers(t *testing.T) { // I19
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	for _, tt := range []struct {
		name string
		f    Freeze
		want bool
		text string
	}{
		{"everything", Freeze{Reason: "x", Actor: "ann"}, true, "x (by ann)"},
		{"its device", Freeze{Device: "edge1", Reason: "x", Actor: "ann"}, true, "device edge1 is frozen: x (by ann)"},
		{"its pool", Freeze{Device: "edge1", Pool: "shop", Reason: "x", Actor: "ann", Until: time.Unix(1700000000, 0)}, true, "pool edge1/shop is frozen: x (by ann, until 2023-11-14T22:13:20Z)"},
		{"another device", Freeze{Device: "edge2"}, false, ""},
		{"another pool of its device", Freeze{Device: "edge1", Pool: "api"}, false, ""},
		{"the same pool of another device", Freeze{Device: "edge2", Pool: "shop"}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.f.Covers(m); got != tt.want {
				t.Errorf("got %v", got)
			}
			if got := (Barriers{Freezes: []Freeze{tt.f}}).Frozen(m); (got != nil) != tt.want {
				t.Errorf("of several: %+v", got)
			}
			if got := tt.f.String(); tt.text != "" && got != tt.text {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := (Barriers{Freezes: []Freeze{{Device: "edge1"}}}).Frozen(); got != nil {
		t.Errorf("a device's freeze is one of everything: %+v", got)
	}
}

func TestADamagedBarrierIsUnreadable(t *testing.T) { // I19: a caller that can't read it acts as if frozen
	for name, key := range map[string]string{
		"freeze": prefixFreeze + "edge1\x00shop", "claim": prefixClaimed + "edge1\x00shop\x00s1", "window": prefixWindow + "patch",
	} {
		t.Run(name, func(t *testing.T) {
			for _, value := range []any{nil, Freeze{Device: "edge9", Reason: "x"}, "text"} {
				j := openNew(t)
				ok(t, j.commit("forge", nil, func(tx txn) error {
					if value == nil {
						return tx.put(bucketState, []byte(key), []byte("x"))
					}
					return put(tx, bucketState, []byte(key), value)
				}))
				_, err := j.Barriers()
				wantErr(t, err, ErrUnreadable)
				path := j.Path()
				ok(t, j.Close())
				_, err = Open(path, time.Second)
				wantErr(t, err, ErrUnreadable)
			}
		})
	}
}
