package dashboards

import (
	"slices"
	"testing"
	"time"
)

// A mark stands where a step of its kind came, also the first of its series, and
// nowhere else; and says which.
func TestMarksStandWhereStepsCame(t *testing.T) {
	t.Parallel()
	marks, err := Marks("overview.json")
	if err != nil {
		t.Fatal(err)
	}
	step := func(to, result, by, values string) any {
		return map[string]any{
			"series": `sluice_remediation_steps_total{job="sluice-remediator",device="edge1",pool="shop",to="` + to + `",result="` + result + `",by="` + by + `"}`,
			"values": values,
		}
	}
	// One sample each half minute, and one step in each minute from the second on.
	series := []any{
		step("drain", "applied", "sluice", "_ _ _ _ 1 1 1 1 1 1 1 1 1 1 1 1 1"),
		step("ready", "applied", "person", "3 3 3 3 3 3 4 4 4 4 4 4 4 4 4 4 4"),
		step("weight", "applied", "person", "_ _ _ _ _ _ _ _ 1 1 1 1 1 1 1 1 1"),
		step("maint", "failed", "sluice", "0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 1 1"),
		step("drain", "dry_run", "sluice", "_ _ _ _ _ _ _ _ _ _ _ _ 1 1 1 1 1"),
		step("drain", "unchanged", "person", "_ _ _ _ _ _ _ _ _ _ _ _ _ _ 1 1 1"), // nothing was done
	}
	comes := map[string]struct{ at, labels string }{
		"Taken out":             {"2m", `{device="edge1",pool="shop",to="drain",result="applied",by="sluice"}`},
		"Given back":            {"3m", `{device="edge1",pool="shop",to="ready",result="applied",by="person"}`},
		"Weight changed":        {"4m", `{device="edge1",pool="shop",to="weight",result="applied",by="person"}`},
		"Steps that went wrong": {"5m", `{device="edge1",pool="shop",to="maint",result="failed",by="sluice"}`},
		"Steps only told of":    {"6m", `{device="edge1",pool="shop",to="drain",result="dry_run",by="sluice"}`},
	}
	var want []any
	seen := 0
	for _, q := range marks {
		c, ok := comes[q.Ref]
		if !ok {
			continue
		}
		seen++
		for _, at := range []string{"90s", "2m", "3m", "4m", "5m", "6m", "7m", "8m"} {
			var found []any
			if at == c.at {
				value := 1
				if q.Ref == "Given back" {
					value = 4
				}
				found = []any{map[string]any{"labels": c.labels, "value": value}}
			}
			want = append(want, map[string]any{"expr": q.Resolve(30 * time.Second), "eval_time": at, "exp_samples": found})
		}
	}
	if seen != len(comes) {
		t.Errorf("%d marks of steps, want %d", seen, len(comes))
	}
	promtool(t, map[string]any{"tests": []any{map[string]any{"interval": "30s", "input_series": series, "promql_expr_test": want}}})
}

// The table of events has what began, what ended and what was done, and of an alert
// that came to nothing, or of the watchdog, not a word.
func TestTheLastEvents(t *testing.T) {
	t.Parallel()
	queries, err := Of("overview.json")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(queries, func(q Query) bool { return q.Panel == "Last 20 events" })
	if i < 0 {
		t.Fatal("the board has no such panel")
	}
	alert := func(name, labels, values, since string) []any {
		return []any{
			map[string]any{"series": `ALERTS{alertname="` + name + `",alertstate="firing"` + labels + `}`, "values": values},
			map[string]any{"series": `ALERTS_FOR_STATE{alertname="` + name + `"` + labels + `}`, "values": since},
		}
	}
	of := `,device="edge1",pool="shop",member="app1"`
	series := slices.Concat(
		alert("MemberFailing", of, "_ 1 1 1 _ _ _ _ _ _ _", "_ 60 60 60 _ _ _ _ _ _ _"), // and is over since the 180th second
		alert("RemediatorFrozen", "", "_ _ _ _ _ 1 1 1 1 1 1", "_ _ _ 240 240 240 240 240 240 240 240"),
		alert("Watchdog", "", "1x10", "0x10"),
		[]any{
			map[string]any{"series": `ALERTS{alertname="HAProxyDown",alertstate="pending",device="edge2"}`, "values": "_ 1 1 _ _ _ _ _ _ _ _"},
			map[string]any{"series": `ALERTS_FOR_STATE{alertname="HAProxyDown",device="edge2"}`, "values": "_ 60 60 _ _ _ _ _ _ _ _"},
			map[string]any{"series": `sluice_remediation_last_step_timestamp_seconds{instance="a",device="edge1",pool="shop",to="drain",result="applied",by="sluice"}`, "values": "_ _ 99x8"},
		},
	)
	expr := Query{Expr: queries[i].Expr, chosen: queries[i].chosen}.Resolve(10 * time.Second)
	promtool(t, map[string]any{"tests": []any{map[string]any{"interval": "1m", "input_series": series, "promql_expr_test": []any{map[string]any{
		"expr": expr, "eval_time": "10m",
		"exp_samples": []any{
			map[string]any{"labels": `{alertname="RemediatorFrozen",event="RemediatorFrozen fires"}`, "value": 240_000},
			map[string]any{"labels": `{alertname="MemberFailing",event="MemberFailing is over"` + of + `}`, "value": 180_000},
			map[string]any{"labels": `{device="edge1",pool="shop",to="drain",result="applied",by="sluice",event="drain: applied"}`, "value": 99_000},
			map[string]any{"labels": `{alertname="MemberFailing",event="MemberFailing fires"` + of + `}`, "value": 60_000},
		},
	}}}}})
}
