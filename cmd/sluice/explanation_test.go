package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestAnExplanationIsReadFromTopToBottom(t *testing.T) {
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	refusal := &guard.Refusal{Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left of 3"}
	x := &remediator.Explanation{
		Labels: map[string]string{"member": "app1", "device": "edge1\x1b[2J"},
		Policy: "drain",
		Members: []remediator.Judged{{
			Member: m, Policy: "drain", Mode: "auto",
			State:    &edge.State{Member: m, Address: "192.0.2.7:80", Serving: true, Weight: 10, Sessions: 3},
			Evidence: &guard.Evidence{Source: "probe:shop", Answer: edge.No, Duration: 1234 * time.Microsecond, Reason: "status", Detail: "503, want 200 to 299", Body: "out of order"},
			Row:      "shop,app1,0,3",
			Claims:   []string{`{device="edge1", member="app1"}`},
			Candidate: &journal.Hold{
				Phase: journal.AwaitingApproval, Changed: at,
				Answer: &journal.Answer{By: "ann", At: at.Add(time.Minute), Until: at.Add(11 * time.Minute), Note: "wait"},
			},
			Refused:   &guard.Refusal{Guard: "approval", Reason: "awaiting", Detail: "a person has to approve it"},
			RefusedAt: at,
			Decision: &guard.Decision{
				Findings: []guard.Finding{
					{Guard: "freeze", OK: true, Detail: "not frozen"},
					{Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left of 3"},
				},
				Refusal: refusal,
			},
			Would: "refuse: min_serving",
		}, {
			Member: edge.Member{Device: "edge2", Pool: "shop", Name: "app1"},
			Hold:   &journal.Hold{To: edge.Drain, Since: at, Phase: journal.Holding, Approved: &journal.Answer{By: "ann", At: at, Until: at, Yes: true}},
			Would:  "do nothing",
		}},
		Notes: []string{"no source shows this alert now"},
	}
	const want = `alert {device="edge1\x1b[2J", member="app1"}
asks for policy drain

edge1/shop/app1
  the device says    ready, serving, weight 10, 3 sessions, at 192.0.2.7:80
  in its own words   shop,app1,0,3
  claimed by         {device="edge1", member="app1"}
  asked now          probe:shop bad after 1.2ms: status: 503, want 200 to 299
    body             out of order
  a candidate        in phase awaiting_approval since 2026-01-02T15:04:05Z
  answered by        ann: no, at 2026-01-02T15:05:05Z, good until 2026-01-02T15:15:05Z: wait
  last refused       2026-01-02T15:04:05Z: approval, awaiting: a person has to approve it
  ruled by           policy drain in mode auto
  guard freeze       passes   not frozen
  guard min_serving  REFUSES  too_few_left: 1 would be left of 3
  so it would        refuse: min_serving

edge2/shop/app1
  held               in drain since 2026-01-02T15:04:05Z, phase holding
  approved by        ann: yes, at 2026-01-02T15:04:05Z, good until 2026-01-02T15:04:05Z
  so it would        do nothing

note: no source shows this alert now
`
	var got strings.Builder
	if err := printExplanation(&got, x); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}

func TestLabelsAreValuesNotPatterns(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       map[string]string
		wrong      string
	}{
		{"as in an alert", `device="edge1",pool="shop"`, map[string]string{"device": "edge1", "pool": "shop"}, ""},
		{"in braces, with blanks", `{device="edge1", pool="shop"}`, map[string]string{"device": "edge1", "pool": "shop"}, ""},
		{"with a quote and a comma inside", `alertname="a \"b\", c"`, map[string]string{"alertname": `a "b", c`}, ""},
		{"a pattern", `device=~"edge.*"`, nil, `write device="..."`},
		{"a denial", `device!="edge1"`, nil, `write device="..."`},
		{"the same label twice", `device="a",device="b"`, nil, "device stands there twice"},
		{"no labels at all", `edge1`, nil, "write them as"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseLabels(c.text)
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("error %v, want one with %q", err, c.wrong)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
