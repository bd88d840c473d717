package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestAnExportAsksPageByPage(t *testing.T) {
	const all = 7
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		after, err := strconv.Atoi(r.FormValue("after"))
		if err != nil {
			t.Error(err)
		}
		steps := []journal.Entry{}
		for seq := after + 1; seq <= min(all, after+3); seq++ {
			steps = append(steps, journal.Entry{Seq: uint64(seq), Event: "step", Detail: "<" + strconv.Itoa(seq) + ">"})
		}
		answerJSON(w, map[string]any{"success": true, "data": map[string]any{"steps": steps}})
	}))
	t.Cleanup(s.Close)

	var out, errs strings.Builder
	if code := sluice([]string{"journal", "export", "--images", "--since", "2026-01-02T15:04:05Z", "--remediator.url", s.URL + "/prefix"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var want strings.Builder
	for seq := range all {
		want.WriteString(`{"seq":` + strconv.Itoa(seq+1) + `,"at":"0001-01-01T00:00:00Z","event":"step","detail":"<` + strconv.Itoa(seq+1) + `>"}` + "\n")
	}
	if d := cmp.Diff(want.String(), out.String()); d != "" {
		t.Error(d)
	}
	const page = "/prefix/api/v1/steps?after=%&first=2000&images=1&since=2026-01-02T15%3A04%3A05Z"
	var pages []string
	for _, after := range []string{"0", "3", "6", "7"} {
		pages = append(pages, strings.Replace(page, "%", after, 1))
	}
	if d := cmp.Diff(pages, asked); d != "" {
		t.Error(d)
	}
}

func TestEntriesAreATable(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	var got strings.Builder
	err := printEntries(&got, []journal.Entry{
		{Seq: 1, At: at, Event: "refusal", Member: &m, Result: "refused", Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left of 3\x1b[2J\n"},
		{Seq: 2, At: at, Event: "intent", Member: &m, Admin: "drain", Hold: "h1", To: journal.Intent},
		{Seq: 3, At: at, Event: "closed", Member: &m, From: journal.Reverted, To: journal.Closed, Actor: "operator"},
	}, "table")
	if err != nil {
		t.Fatal(err)
	}
	const want = `SEQ  TIME                  MEMBER         EVENT         RESULT   WHY                        DETAIL
1    2026-01-02T15:04:05Z  edge1/shop/s1  refusal       refused  min_serving: too_few_left  1 would be left of 3?[2J?
2    2026-01-02T15:04:05Z  edge1/shop/s1  intent drain  -        -                          from nothing to intent
3    2026-01-02T15:04:05Z  edge1/shop/s1  closed        -        -                          from reverted to closed (by operator)
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}

func TestWhichMember(t *testing.T) {
	for in, want := range map[string]edge.Member{
		"":              {},
		"s1":            {Name: "s1"},
		"edge1/shop/s1": {Device: "edge1", Pool: "shop", Name: "s1"},
		"edge1//":       {Device: "edge1"},
		"/shop/":        {Pool: "shop"},
	} {
		if got, err := parseMember(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"shop/s1", "a/b/c/d"} {
		if got, err := parseMember(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}
