package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/guard"
)

func TestAnExplanationIsReadFromTopToBottom(t *testing.T) {
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "app1"}
	refusal := &guard.Refusal{Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left of 3"}
	x := &remediator.Explanation{
		Labels: map[string]string{"member": "app1", "device": "edge1\x1b[2J"},
		Policy: "drain",
		Members: []remediator.Judged{{
			Member: m, Policy: "drain", Mode: "auto",
			State:    &edge.State{Member: m, Address: "192.0.2.7:80", Serving: true, Weight: 10, Sessions: 3},
			Evidence: &guard.Evidence{Source: "probe:shop", Answer: edge.No, Duration: 1234 * time.Microsecond, Reason: "status", Detail: "503, want 200 to 299"},
			Decision: &guard.Decision{
				Findings: []guard.Finding{
					{Guard: "freeze", OK: true, Detail: "not frozen"},
					{Guard: "min_serving", Reason: "too_few_left", Detail: "1 would be left of 3"},
				},
				Refusal: refusal,
			},
			Would: "refuse: min_serving",
		}},
		Notes: []string{"no source shows this alert now"},
	}
	const want = `alert {device="edge1\x1b[2J", member="app1"}
asks for policy drain

edge1/shop/app1
  the device says    ready, serving, weight 10, 3 sessions, at 192.0.2.7:80
  probe:shop         bad after 1.2ms: status: 503, want 200 to 299
  ruled by           policy drain in mode auto
  guard freeze       passes   not frozen
  guard min_serving  REFUSES  too_few_left: 1 would be left of 3
  so it would        refuse: min_serving

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
