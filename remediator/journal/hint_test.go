package journal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

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
