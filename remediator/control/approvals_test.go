package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

var decided = guard.Decision{
	Step:     guard.Step{Member: s1, To: edge.Drain},
	Findings: []guard.Finding{{Guard: "freeze", OK: true, Detail: "not frozen"}, {Guard: "evidence", OK: true, Detail: "a claim is seen, and probe:shop finds it bad: status 503"}},
}

// candidate puts one into the journal, in a phase and with a refusal.
func (a *api) candidate(t *testing.T, m edge.Member, phase journal.Phase, guardName, reason string) journal.Hold {
	t.Helper()
	h := journal.Hold{Member: m, Phase: phase, Via: journal.Phase("").Judge(), To: edge.Drain, Policy: "drain", Claims: []string{`{member="` + m.Name + `"}`}}
	h.Refused = guardName + "/" + reason + "/drain"
	b, err := json.Marshal(decided)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.journal.Put(&h, journal.Entry{
		Event: "refusal", Result: "refused", Guard: guardName, Reason: reason, Detail: "as the guard says", Decision: b,
		Evidence: json.RawMessage(`{"source":"probe:shop","answer":"no","body":"out of order"}`),
	}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (a *api) list(t *testing.T, path string, to any) {
	t.Helper()
	if err := json.Unmarshal(a.do(t, "GET", path, "").Data, to); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsClaimedAndNotTakenOutIsListed(t *testing.T) {
	a := newAPI(t)
	for _, path := range []string{"candidates", "approvals"} {
		if got := string(a.do(t, "GET", "/api/v1/"+path, "").Data); got != `{"`+path+`":[],"count":0}` {
			t.Errorf("got %s", got)
		}
	}
	s2 := edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}
	s3 := edge.Member{Device: "edge1", Pool: "shop", Name: "s3"}
	a.candidate(t, s1, journal.AwaitingApproval, "approval", "awaiting")
	a.candidate(t, s2, journal.Deferred, "min_serving", "too_few_left")
	if err := a.journal.Put(&journal.Hold{Member: s3, Phase: journal.Intent, To: edge.Drain}, journal.Entry{}); err != nil {
		t.Fatal(err) // held, and so no candidate
	}
	var got struct {
		Candidates []candidate
		Count      int
	}
	a.list(t, "/api/v1/candidates", &got)
	if got.Count != 2 || len(got.Candidates) != 2 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []guard.Refusal{
		{Guard: "approval", Reason: "awaiting", Detail: "as the guard says"},
		{Guard: "min_serving", Reason: "too_few_left", Detail: "as the guard says"},
	} {
		c := got.Candidates[i]
		if c.Refusal == nil || *c.Refusal != want || c.Since.IsZero() || c.Seq == 0 || c.Policy != "drain" || len(c.Claims) != 1 {
			t.Errorf("got %+v", c)
		}
	}
	if got.Candidates[1].Member != s2 || got.Candidates[1].Phase != journal.Deferred {
		t.Errorf("got %+v", got.Candidates[1])
	}
}

func TestMoreCandidatesThanDetailsAreAllListed(t *testing.T) {
	a := newAPI(t)
	for i := range mostDetails + 2 {
		a.candidate(t, edge.Member{Device: "edge1", Pool: "shop", Name: fmt.Sprintf("m%03d", i)}, journal.AwaitingApproval, "approval", "awaiting")
	}
	var got struct {
		Candidates []candidate
		Approvals  []awaited
	}
	a.list(t, "/api/v1/candidates", &got)
	a.list(t, "/api/v1/approvals", &got)
	if len(got.Candidates) != mostDetails+2 || len(got.Approvals) != mostDetails+2 {
		t.Fatalf("%d and %d", len(got.Candidates), len(got.Approvals))
	}
	c, w := got.Candidates[mostDetails], got.Approvals[mostDetails]
	if c.Seq != 0 || *c.Refusal != (guard.Refusal{Guard: "approval", Reason: "awaiting"}) || w.Reason != "" || w.Counts.IsZero() {
		t.Errorf("got %+v, %+v", c, w)
	}
}

func TestAnApprovalShowsWhatIsAskedAndTakesAWord(t *testing.T) {
	a := newAPI(t)
	h := a.candidate(t, s1, journal.AwaitingApproval, "approval", "awaiting")
	var got struct{ Approvals []awaited }
	before := time.Now()
	a.list(t, "/api/v1/approvals", &got)
	if len(got.Approvals) != 1 {
		t.Fatalf("got %+v", got)
	}
	w := got.Approvals[0]
	if w.Member != s1 || w.To != edge.Drain || w.Reason != "a claim is seen, and probe:shop finds it bad: status 503" ||
		string(w.Evidence) != `{"source":"probe:shop","answer":"no","body":"out of order"}` {
		t.Errorf("got %+v", w)
	}
	if w.Counts.Before(before.Add(10*time.Minute)) || w.Counts.After(time.Now().Add(10*time.Minute)) {
		t.Errorf("an answer counts until %s", w.Counts)
	}

	const path = "/api/v1/approvals/edge1/shop/s1"
	yes := a.do(t, "POST", path, `{"approve":true}`, func(r *http.Request) { r.SetBasicAuth("ann", "not-a-real-password") })
	if string(yes.Data) != `{"device":"edge1","pool":"shop","member":"s1","approve":true,"status":"recorded"}` {
		t.Errorf("got %s", yes.Data)
	}
	a.do(t, "POST", path, `{"approve":true,"reason":"go"}`)
	a.do(t, "POST", path, `{"approve":false,"reason":"wait for the release"}`)
	if d := cmp.Diff([]string{"edge1/shop/s1|true|ann|", "edge1/shop/s1|true|192.0.2.1|go", "edge1/shop/s1|false|192.0.2.1|wait for the release"}, a.engine.released); d != "" {
		t.Error(d)
	}
	if a.engine.woken != 3 {
		t.Errorf("woken %d times; want 3", a.engine.woken)
	}

	until := time.Date(2099, 1, 2, 15, 4, 5, 0, time.UTC)
	h.Answer = &journal.Answer{By: "ann", Until: until, Yes: true}
	if err := a.journal.Put(&h, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	a.list(t, "/api/v1/approvals", &got)
	if w = got.Approvals[0]; !w.Counts.Equal(until) || w.Answer == nil || w.Answer.By != "ann" {
		t.Errorf("got %+v", w)
	}
}

func TestAnAnswerThatCannotBeKeptIsSaid(t *testing.T) {
	a := newAPI(t)
	for _, tt := range []struct {
		err  error
		code int
		text string
	}{
		{fmt.Errorf("put: %w", journal.ErrConflict), http.StatusConflict, "edge1/shop/s1 changes just now: look again, and then answer"},
		{errors.New("journal:\nno space left"), http.StatusServiceUnavailable, "journal: no space left"},
	} {
		a.engine.err = tt.err
		if got := a.do(t, "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":true}`); got.StatusCode != tt.code || got.Error != tt.text {
			t.Errorf("got %+v; want %d %s", got, tt.code, tt.text)
		}
	}
	if a.engine.woken != 0 {
		t.Error("the engine was woken for nothing")
	}
}

func TestAPageOfAnotherSiteCannotApprove(t *testing.T) { // I22
	a := newAPI(t)
	got := a.do(t, "POST", "/api/v1/approvals/edge1/shop/s1", `{"approve":true}`, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if got.StatusCode != http.StatusForbidden || len(a.engine.released) != 0 {
		t.Errorf("got %+v, and the engine heard %v", got, a.engine.released)
	}
}
