package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

func raw(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABundleHasAllThatWasKnown(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	s1, s2 := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}, edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}
	other := edge.Member{Device: "edge1", Pool: "api", Name: "s1"}
	before := edge.State{Member: s1, Address: "192.0.2.7:80", Serving: true, Weight: 10}
	left := before
	left.Admin, left.Marks, left.Serving = edge.Drain, "FDRAIN", false
	world := guard.World{
		Now: at, Freeze: "moving racks",
		Policy:   &guard.Policy{Name: "drain", To: edge.Drain, MinServing: guard.Amount{Count: 2}, MaxHeld: 1, Confirm: "probe", HoldDown: 30 * time.Second, Rise: 2},
		Snapshot: edge.Snapshot{Device: "edge1", Process: "pid 7", At: at.Add(-time.Second), States: map[edge.Member]edge.State{s1: before, s2: left, other: before}},
		Claims:   []guard.Claim{{Key: `{member="s1"}`, Source: "http://192.0.2.1:9093", UpdatedAt: at.Add(-3 * time.Second), Suppressed: true, By: "silence 7"}},
		Held:     map[edge.Member]guard.Held{s2: {To: edge.Drain}},
		Own:      map[edge.Member]guard.Evidence{s1: {Source: "probe:shop", Answer: edge.No, At: at}},
		Windows:  []string{"patches until 2026-01-02T16:00:00Z"},
		Outs:     []time.Time{at.Add(-time.Hour)},
		Storm:    guard.Storm{Until: at.Add(time.Minute), Why: "4 of 6 fell sick"},
		Approval: &guard.Approval{By: "ann", Until: at.Add(time.Minute), Yes: true, Note: "go"},
		Spent:    guard.Spent{Held: 1, Steps: 2},
	}
	e := journal.Entry{
		Seq: 17, At: at, Event: "intent", Admin: "drain", Member: &s1, Along: []edge.Member{other}, Hold: "h3", From: journal.Guarded, To: journal.Intent,
		Policy: "drain", Actor: "ann", Remediation: "r1", Config: "abc", Preimage: &before, Left: &left, Before: []byte("1234"),
		Evidence: json.RawMessage(`{"source":"probe:shop","answer":"no","at":"2026-01-02T15:04:05Z","duration":1234000,"reason":"status","detail":"503, want 200 to 299",` +
			`"body":"out of order\ncall \u001b[2Jsomebody","stages":[{"name":"connect","duration":99}]}`),
		Decision: raw(t, guard.Decision{Findings: []guard.Finding{{Guard: "freeze", Reason: "frozen", Detail: "moving racks"}, {Guard: "leader", OK: true, Detail: "this is the only replica"}}}),
		World:    raw(t, world),
	}
	const want = `entry 17 at 2026-01-02T15:04:05Z: intent drain
  member             edge1/shop/s1
  moved along        edge1/api/s1
  hold               h3
  phase              from guarded to intent
  policy             drain
  actor              ann
  remediation        r1
  configuration      abc
  evidence           probe:shop bad after 1.2ms: status: 503, want 200 to 299
                     at 2026-01-02T15:04:05Z
    stages           [{"name":"connect","duration":99}]
    body             out of order
                     call ?[2Jsomebody
  guard freeze       REFUSES  frozen: moving racks
  guard leader       passes   this is the only replica
  what the guards were told, at 2026-01-02T15:04:05Z
    claim            {member="s1"}, by http://192.0.2.1:9093 3s before, suppressed by silence 7
    s1               ready, serving, weight 10, 0 sessions, at 192.0.2.7:80 (pool edge1/api)
    s1               ready, serving, weight 10, 0 sessions, at 192.0.2.7:80; probe:shop says bad (pool edge1/shop)
    s2               drain, not serving, weight 10, 0 sessions, FDRAIN, at 192.0.2.7:80, held by us in drain (pool edge1/shop)
    device read      1s before, pid 7
    frozen           moving racks
    maintenance      patches until 2026-01-02T16:00:00Z
    brake            4 of 6 fell sick; until 2026-01-02T15:05:05Z
    was out          1h0m0s before
    approval         ann said yes until 2026-01-02T15:05:05Z: go
    spent            1 held, 2 taken out
    policy           drain: to drain, min_serving 2, max_held 1, confirm probe, hold_down 30s, rise 2
  was                ready, serving, weight 10, 0 sessions, at 192.0.2.7:80
  left               drain, not serving, weight 10, 0 sessions, FDRAIN, at 192.0.2.7:80
  objects            4 bytes before the write, 0 after; journal export --images has them
`
	var got strings.Builder
	if err := printBundles(&got, []journal.Entry{e, {Seq: 18, At: at, Event: "thaw", Actor: "ann"}}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want+"\nentry 18 at 2026-01-02T15:04:05Z: thaw\n  actor              ann\n", got.String()); d != "" {
		t.Error(d)
	}
}

// What another version wrote is shown as it stands, and stops nothing.
func TestABundleOfAnotherVersionIsShownAsItStands(t *testing.T) {
	var got strings.Builder
	err := printBundle(&got, journal.Entry{Seq: 1, Event: "refusal", Evidence: json.RawMessage(`["a"]`), Decision: json.RawMessage(`["b"]`), World: json.RawMessage(`["c"]`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`evidence           ["a"]`, `decision           ["b"]`, `world              ["c"]`} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %s in\n%s", want, got.String())
		}
	}
	got.Reset()
	if err := printBundle(&got, journal.Entry{Seq: 1, Event: "refusal", Evidence: json.RawMessage(`{"source":"","answer":"unknown"}`)}); err != nil || strings.Contains(got.String(), "evidence") {
		t.Errorf("nobody was asked: %v\n%s", err, got.String())
	}
}
