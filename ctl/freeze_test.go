package ctl

import (
	"net/http"
	"strings"
	"testing"
)

// Each freeze is lifted by itself: who lifts one learns what the others still stop.
func TestLiftingAFreezeTellsWhatIsStillFrozen(t *testing.T) {
	const all, pool = `{"reason":"core switch"}`, `{"device":"edge1","pool":"a b","reason":"disk\u001b[2J"}`
	for _, tt := range []struct{ name, what, before, after, want string }{
		{"the only one", "", `{"frozen":true,"freezes":[` + all + `]}`, `{"freezes":[]}`, "everything: not frozen any more\n"},
		{
			"one of two", "", `{"freezes":[` + all + `,` + pool + `]}`, `{"freezes":[` + pool + `]}`,
			"everything: not frozen any more; still frozen: edge1/a%20b (disk?[2J)\n",
		},
		{
			"one that there isn't", "edge1/b", `{"freezes":[` + all + `,` + pool + `]}`, `{"freezes":[` + all + `,` + pool + `]}`,
			"edge1/b: there was no freeze of it; still frozen: everything (core switch), edge1/a%20b (disk?[2J)\n",
		},
		{"one that there isn't, and no other", "edge1", `{"freezes":[]}`, `{"freezes":[]}`, "edge1: there was no freeze of it\n"},
		{"by one that knows the global freeze only", "", `{"frozen":true,"reason":"x"}`, `{"frozen":false}`, "everything: not frozen any more\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					answer(w, 200, tt.before)
				} else {
					answer(w, 200, tt.after)
				}
			})
			var out strings.Builder
			s := &Session{Client: c, Out: &out, Err: &out, Output: "table"}
			if err := s.Thaw(t.Context(), tt.what); err != nil || out.String() != tt.want {
				t.Errorf("%q, %v; want %q", out.String(), err, tt.want)
			}
		})
	}
}

func TestHowLongIsSaidOnce(t *testing.T) {
	for _, tt := range []struct {
		l    Limit
		want string
	}{
		{Limit{Until: "2026-01-02T15:04:05Z", For: "2h"}, "--for and --until: give one of them"},
		{Limit{Until: "tomorrow"}, `--until: "tomorrow": want 2026-01-02T15:04:05Z`},
		{Limit{For: "2hh"}, `--for: "2hh": want 30m, 2h, 1d`},
		{Limit{For: "2h"}, ""},
		{Limit{}, ""},
	} {
		if got := text(tt.l.into(map[string]any{})); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.l, got, tt.want)
		}
	}
}

// Who gives a member back that is out must not believe that automation puts it back.
func TestAMemberThatIsGivenBackWhileOutIsToldSo(t *testing.T) {
	for admin, want := range map[string]string{
		"ready": "edge1/shop/a%20b: automation's again\n",
		"drain": "edge1/shop/a%20b: automation's again; it stays in drain until a person puts it back: sluice ctl ready edge1/shop/a%20b\n",
	} {
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet:
				answer(w, 200, `{"devices":[{"device":"edge1"}],"members":[{"member":{"device":"edge1","pool":"shop","member":"a b"},"admin":"`+admin+`"}]}`)
			case r.URL.Path == "/api/v1/members/edge1/shop/a b/release":
				answer(w, 200, `{}`)
			default:
				t.Errorf("asked for %s", r.URL)
			}
		})
		var out strings.Builder
		s := &Session{Client: c, Out: &out, Err: &out, Output: "table"}
		if err := s.Unclaim(t.Context(), "edge1/shop/a%20b", ""); err != nil || out.String() != want {
			t.Errorf("%q, %v; want %q", out.String(), err, want)
		}
	}
}
