package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

const oneMember = `{"member":{"device":"edge1","pool":"shop","member":"app1"},"admin":"drain","weight":0,"share":100,"sessions":3,"queue":1,
	"op":"DRAIN\u001b[2J","op_since":"2026-01-02T15:00:00Z","errors_5xx":0.0125,"set":{"by":"person","actor":"ann","since":"2026-01-02T13:02:00Z","reason":"a new disk"},"not_known_yet":[1.50,null,true,"2026"]}`

func TestMembersAreATable(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	var m Member
	if err := json.Unmarshal([]byte(oneMember), &m); err != nil {
		t.Fatal(err)
	}
	held := Member{State: edge.State{Member: edge.Member{Device: "waf1", Pool: "a/b", Name: "192.0.2.1:80"}, Admin: edge.Maint, OnOff: true}, Set: &SetBy{By: "sluice", Hold: "h7", Reason: "status 503"}}
	down := Member{State: edge.State{Member: edge.Member{Device: "edge1", Pool: "shop", Name: "app2"}, Check: edge.No, Weight: 5, Share: 5}}
	var b strings.Builder
	down.Maintenance, held.Claimed = []string{"patch-night"}, &journal.Claimed{Actor: "ann", Reason: "mine"}
	if err := writeMembers(&b, []Member{m, down, held}, now); err != nil {
		t.Fatal(err)
	}
	const want = `DEVICE  POOL   MEMBER        ADMIN  FOR   STATE       FOR   WEIGHT  SESSIONS  QUEUE  5XX   BY         WHY
edge1   shop   app1          drain  2h2m  DRAIN?[2J   4m5s  0/100   3         1      1.2%  ann        a new disk
edge1   shop   app2          ready  -     down        -     5       0         0      -     -          maintenance patch-night
waf1    a%2Fb  192.0.2.1:80  maint  -     not serving  -     0       -         -      -     sluice h7  status 503; claimed by ann: mine
`
	if d := cmp.Diff(strings.Join(strings.Fields(want), " "), strings.Join(strings.Fields(b.String()), " ")); d != "" {
		t.Error(d)
	}
}

func TestWhatTheRemediatorSaidIsGivenOnWhole(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"devices":[{"device":"edge1"}],"members":[`+oneMember+`],"count":1}`)
	})
	for form, want := range map[string]string{"json": "\"not_known_yet\": [\n        1.50,\n        null,\n        true,\n        \"2026\"\n      ]", "yaml": "    not_known_yet:\n      - 1.50\n      - null\n      - true\n      - \"2026\"\n"} {
		var b strings.Builder
		s := &Session{Client: c, Out: &b, Err: &b, Output: form}
		if err := s.ShowMembers(t.Context(), "edge1"); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s: want %q in\n%s", form, want, b.String())
		}
	}
}

func TestADeviceThatIsSilentIsTold(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"devices":[{"device":"edge1"},{"device":"edge2","error":"no answer\u0007"}],"members":[`+oneMember+`],"count":1}`)
	})
	var out, errs strings.Builder
	s := &Session{Client: c, Out: &out, Err: &errs, Output: "table"}
	if err := s.ShowMembers(t.Context(), ""); !errors.Is(err, ErrSaid) {
		t.Error(err)
	}
	if errs.String() != "edge2 can't be read: no answer?\n" || !strings.Contains(out.String(), "app1") {
		t.Errorf("%s%s", out.String(), errs.String())
	}
}

func TestMembersComeByPages(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.FormValue("device") != "edge1":
			t.Errorf("asked for %s", r.URL)
		case r.FormValue("cursor") == "":
			answer(w, 200, `{"devices":[{"device":"edge1"}],"members":[`+oneMember+`],"count":1,"next":"more"}`)
		default:
			answer(w, 200, `{"devices":[{"device":"edge1"}],"members":[`+strings.Replace(oneMember, "app1", "app2", 1)+`],"count":1,"next":""}`)
		}
	})
	all, err := c.Members(t.Context(), "edge1", "")
	if err != nil || all.Count != 2 || len(all.Devices) != 1 || all.Members[0].Member.Name != "app1" || all.Members[1].Member.Name != "app2" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestListsComeByPages(t *testing.T) {
	pages := map[string]string{"": `["a"],"next":"2"`, "2": `[],"next":"3"`, "3": `["b","c"],"next":"4"`, "4": `["d"],"next":""`}
	var asked []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		answer(w, 200, `{"refusals":`+pages[r.FormValue("cursor")]+`}`)
	})
	for most, want := range map[int]string{0: `{"refusals":["a","b","c","d"],"count":4}`, 2: `{"refusals":["a","b"],"count":2}`} {
		asked = nil
		got, err := fetchList[string](t.Context(), c, "refusals", set(url.Values{}, "guard", "load"), most)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(got)
		if err != nil || string(b) != want {
			t.Errorf("at most %d: %s, %v", most, b, err)
		}
		for _, q := range asked {
			if !strings.Contains(q, "guard=load") {
				t.Errorf("asked for %s", q)
			}
		}
	}
	b, err := json.Marshal(list[string]{key: "holds"})
	if err != nil || string(b) != `{"holds":[],"count":0}` {
		t.Errorf("%s, %v", b, err)
	}
}

func TestAgesAreShort(t *testing.T) {
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", 3 * time.Hour: "3h0m", 49*time.Hour + time.Minute: "2d1h",
	} {
		if got := age(now.Add(-d), now); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	if got := age(time.Time{}, now); got != "" {
		t.Errorf("never: %s", got)
	}
}

func TestWeights(t *testing.T) {
	for in, want := range map[string]Ask{"5": {Weight: 5}, "25%": {Percent: 25}} {
		if got, err := ParseWeight(in); err != nil || got.Weight != want.Weight || got.Percent != want.Percent {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0", "-1", "%", "1.5", "5%%", "0%"} {
		if _, err := ParseWeight(in); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
}

// A remediator that is gone for a while is waited for, and what it did meanwhile is told.
func TestFollowingOutlivesARestart(t *testing.T) {
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.FormValue("after") != "" && r.FormValue("limit") != "" {
			t.Errorf("the newest so many would leave out what came meanwhile: %s", r.URL)
		}
		switch after := r.FormValue("after"); {
		case asked == 1: // which is the newest
			answer(w, 200, `{"steps":[{"seq":4}]}`)
		case asked == 2:
			answer(w, 200, `{"steps":[{"seq":3,"event":"step","detail":"first"}]}`)
		case asked < 6:
			answer(w, 503, "null")
		case after == "4":
			answer(w, 200, `{"steps":[{"seq":5,"event":"step","detail":"second"}]}`)
		case after == "5":
			cancel()
			answer(w, 200, `{"steps":[]}`)
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	var out, errs strings.Builder
	s := &Session{Client: c, Out: &out, Err: &errs, Output: "table", every: time.Millisecond}
	if err := s.FollowSteps(ctx, Entries{Event: "step", Limit: 7}); err != nil {
		t.Error(err)
	}
	if strings.Count(errs.String(), "waiting for it\n") != 1 || !strings.Contains(out.String(), "first\n5  ") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%s%s", errs.String(), out.String())
	}
}

// A watched table is drawn over itself: one line too many, or too wide, would push its head away.
func TestAWatchedTableFitsTheTerminal(t *testing.T) {
	for _, tt := range []struct {
		text          string
		width, height int
		want          string
	}{
		{"a\nb\n", 10, 3, "a\nb\n"},
		{"a\nb\nc\nd\n", 12, 4, "a\nb\n... 2 more l\n"},
		{"0123456789\n", 4, 9, "0123\n"},
		{"例例例\n", 5, 9, "例例\n"},
		{"a\nb\n", 0, 0, ".\n"},
	} {
		if got := fitted(tt.text, tt.width, tt.height); got != tt.want {
			t.Errorf("%q in %dx%d: %q, want %q", tt.text, tt.width, tt.height, got, tt.want)
		}
	}
}

func TestTheNewestRefusalIsLast(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"refusals":[{"seq":9,"guard":"load"},{"seq":4,"guard":"load"}],"next":""}`)
	})
	for form, order := range map[string][2]string{"table": {"\n4 ", "\n9 "}, "json": {`"seq": 4`, `"seq": 9`}} {
		var out strings.Builder
		s := &Session{Client: c, Out: &out, Err: &out, Output: form}
		err := s.ShowRefusals(t.Context(), Entries{})
		first, last := strings.Index(out.String(), order[0]), strings.Index(out.String(), order[1])
		if err != nil || first < 0 || last < first {
			t.Errorf("%s: %v\n%s", form, err, &out)
		}
	}
}

// Who watches while a remediator restarts goes on watching.
func TestWatchingOutlivesARestart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			answer(w, 503, "null")
			return
		}
		answer(w, 200, `{"devices":[{"device":"edge1"}],"members":[`+oneMember+`],"count":1}`)
	})
	var out watcher
	out.wrote = func(all string) {
		if strings.Contains(all, "app1") {
			cancel()
		}
	}
	s := &Session{Client: c, Out: &out, Err: &out, Output: "table"}
	if err := s.WatchMembers(ctx, ""); err != nil || !strings.Contains(out.String(), "503 Service Unavailable") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// A watcher tells what has been written.
type watcher struct {
	strings.Builder
	wrote func(string)
}

func (w *watcher) Write(b []byte) (int, error) {
	n, err := w.Builder.Write(b)
	w.wrote(w.String())
	return n, err
}

func TestABackupStandsBy(t *testing.T) {
	for want, s := range map[string]edge.State{
		"standby": {Backup: true}, "serving": {Backup: true, Serving: true}, "down": {Backup: true, Check: edge.No}, "not serving": {Backup: true, Admin: edge.Maint},
	} {
		if got := (Member{State: s}).state(); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
}

func TestWhatATerminalActsUponIsNotShown(t *testing.T) {
	for in, want := range map[string]string{
		"мир 例": "мир 例", "a\x1b[31mb\x7f": "a?[31mb?", "a\u202eb\u2066c": "a?b?c", "a\u0085b\u009bc": "a?b?c", "a\xffb": "a�b",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAnEntryOfAPoolHasThePoolsName(t *testing.T) {
	var b strings.Builder
	if err := WriteEntries(&b, []journal.Entry{{Seq: 3, Event: "image", Member: &edge.Member{Device: "waf1", Pool: "a b"}}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), " waf1/a%20b  image ") {
		t.Error(b.String())
	}
	b.Reset()
	if err := WriteEntries(&b, []journal.Entry{{Seq: 4, Event: "freeze", Member: &edge.Member{Device: "waf1"}}}); err != nil || !strings.Contains(b.String(), " waf1    freeze ") {
		t.Errorf("%v\n%s", err, &b)
	}
}
