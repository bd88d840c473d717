package edge

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdmin(t *testing.T) {
	t.Run("each state is a word that parses back", func(t *testing.T) {
		for _, a := range []Admin{Ready, Drain, Maint} {
			got, err := ParseAdmin(a.String())
			if err != nil || got != a {
				t.Errorf("ParseAdmin(%q) = %v, %v; want %v", a, got, err, a)
			}
		}
	})
	t.Run("case counts and nothing is guessed", func(t *testing.T) {
		for _, s := range []string{"", "Drain", "down", "admin(3)", "ready\n"} {
			if _, err := ParseAdmin(s); !errors.Is(err, ErrAdmin) {
				t.Errorf("ParseAdmin(%q) = %v; want ErrAdmin", s, err)
			}
		}
	})
	t.Run("a state beyond the known ones still prints", func(t *testing.T) {
		if got := Admin(9).String(); got != "admin(9)" {
			t.Errorf("got %q", got)
		}
	})
}

func TestStateInJSONHasWordsAndComesBack(t *testing.T) {
	in := State{
		Member: Member{"edge1", "shop", "s1"}, Address: "192.0.2.1:8080", Admin: Drain, Marks: "FDRAIN",
		Serving: false, Weight: 100, Check: No, Sessions: 3, Chosen: 1 << 60,
	}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]any
	if err := json.Unmarshal(b, &words); err != nil {
		t.Fatal(err)
	}
	if words["admin"] != "drain" || words["check"] != "no" {
		t.Errorf("admin and check are not words in %s", b)
	}
	var out State
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, out); d != "" {
		t.Error(d)
	}
}

func TestAnswerRefusesWhatItDoesNotKnow(t *testing.T) {
	var a Answer
	if err := a.UnmarshalText([]byte("maybe")); err == nil {
		t.Error("maybe was taken for an answer")
	}
	if a != Unknown {
		t.Errorf("a refused text left %v; want unknown (SAFETY.md I6)", a)
	}
}

func TestPoolOfASnapshotIsOrderedAndItsOwn(t *testing.T) {
	s := Snapshot{Device: "edge1", States: map[Member]State{}}
	for _, m := range []Member{{"edge1", "shop", "s2"}, {"edge1", "api", "s1"}, {"edge1", "shop", "s1"}} {
		s.States[m] = State{Member: m}
	}
	var got []string
	for _, st := range s.Pool(Pool{"edge1", "shop"}) {
		got = append(got, st.Member.String())
	}
	if d := cmp.Diff([]string{"edge1/shop/s1", "edge1/shop/s2"}, got); d != "" {
		t.Error(d)
	}
}

func TestMistakesKeepTheirPlace(t *testing.T) {
	var part Mistakes
	part.Add("", "is empty")
	part.Add("min_serving", "is %d", 0)
	part.Add("[2].name", "is missing")

	var all Mistakes
	all.Under("policies", part)
	all.Under("", Mistakes{{"mode", "is missing"}})
	want := []string{
		"policies: is empty",
		"policies.min_serving: is 0",
		"policies[2].name: is missing",
		"mode: is missing",
	}
	var got []string
	for _, m := range all {
		got = append(got, m.Error())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
