package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/audit"
	"github.com/sluice-project/sluice/remediator/journal"
)

func TestWhatMovedAlongStandsBelow(t *testing.T) {
	var got strings.Builder
	err := printOurs(&got, []audit.Standing{{
		Member: edge.Member{Device: "waf1", Pool: "shop", Name: "s1"}, Phase: journal.Holding, Admin: "maint", Policy: "drain",
		Since: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Reason: "503\x1b[2J", Along: []edge.Member{{Device: "waf1", Pool: "mail", Name: "s1"}},
	}}, "table")
	if err != nil {
		t.Fatal(err)
	}
	const want = `DEVICE  POOL  MEMBER  SINCE                 PHASE    TO     WAS  POLICY  REASON
waf1    shop  s1      2026-01-02T15:04:05Z  holding  maint  -    drain   503?[2J
waf1    mail  s1      2026-01-02T15:04:05Z  holding  maint  -    drain   moved along with waf1/shop/s1
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
}
