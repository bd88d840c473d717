package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/journal"
)

func pageOf(t *testing.T, st remediator.Status) string {
	t.Helper()
	w := httptest.NewRecorder()
	remediatorPage(func() remediator.Status { return st }, "/prefix", log.NewNopLogger()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	return strings.Join(strings.Fields(w.Body.String()), " ")
}

func TestThePageShowsWhatWaitsAndWhy(t *testing.T) {
	m := func(name string) edge.Member { return edge.Member{Device: "edge1", Pool: "shop", Name: name} }
	ago := time.Now().Add(-90 * time.Second)
	page := pageOf(t, remediator.Status{
		Mode: "approve", Frozen: "moving racks (by ann)", FrozenFor: 90 * time.Minute, Brake: "4 of 6 members of edge1/shop fell sick", Standby: "replica-2 leads",
		Holds: []journal.Hold{{Member: m("s0"), To: edge.Drain, Phase: journal.Holding, Since: ago}},
		Candidates: []journal.Hold{
			{Member: m("s1"), To: edge.Drain, Policy: "drain", Phase: journal.AwaitingApproval, Changed: ago, Refused: "approval/awaiting/drain"},
			{Member: m("s2"), To: edge.Drain, Policy: "drain", Phase: journal.AwaitingApproval, Changed: ago, Answer: &journal.Answer{By: "ann <b>", Yes: true}},
			{Member: m("s3"), To: edge.Maint, Policy: "drain", Phase: journal.Deferred, Changed: ago, Refused: "min_serving/too_few_left/drain"},
			{Member: m("s4"), To: edge.Drain, Policy: "drain", Phase: journal.Deferred, Changed: ago, Would: "dry_run"},
			{Member: m("s5"), Mark: "PASSIVE", Policy: "drain", Phase: journal.Deferred, Changed: ago, Released: "bob"},
		},
	})
	for _, want := range []string{
		`<span class="bad">Frozen for 1h30m0s: moving racks (by ann)</span>`,
		`Brake on, nothing new is taken out: 4 of 6 members of edge1/shop fell sick`,
		`On standby: replica-2 leads`,
		`<h2>Waiting for approval</h2>`,
		`<td>edge1/shop/s1</td><td>drain</td><td>1m30s ago</td><td>drain</td><td>none yet</td>`,
		`<td>edge1/shop/s2</td><td>drain</td><td>1m30s ago</td><td>drain</td><td>yes by ann &lt;b&gt;</td>`,
		`<h2>Claimed, not taken out</h2>`,
		`<td>edge1/shop/s3</td><td>maint</td><td>deferred</td><td>1m30s ago</td><td>drain</td><td>min_serving: too few left</td>`,
		`<td>drain</td><td>mode is dry_run: nothing was sent</td>`,
		`<td>edge1/shop/s5</td><td>PASSIVE</td><td>deferred</td><td>1m30s ago</td><td>drain</td><td>given back by bob</td>`,
		`<a href="/prefix/api/v1/approvals">Approvals</a>`,
		`<td>edge1/shop/s0</td><td>drain</td><td>holding</td>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "<form") || strings.Contains(page, "<script") {
		t.Error("the page is for reading only")
	}
}

func TestTheQuietPageIsShort(t *testing.T) {
	page := pageOf(t, remediator.Status{Mode: "auto"})
	for _, absent := range []string{"Waiting", "Claimed, not", "Brake", "standby", "Frozen for"} {
		if strings.Contains(page, absent) {
			t.Errorf("%q stands in a page of nothing", absent)
		}
	}
	if !strings.Contains(page, "Not frozen.") {
		t.Error("it doesn't say that it isn't frozen")
	}
}
