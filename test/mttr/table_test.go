package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/test/rig"
)

func TestEveryHopIsARow(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms ...int) (d death) {
		d.at = start
		for h := range rig.Hops {
			d.hops[h] = start.Add(time.Duration(ms[h]) * time.Millisecond)
		}
		d.own = start.Add(2500 * time.Millisecond)
		return d
	}
	var out strings.Builder
	table(&out, []death{
		at(600, 1000, 1500, 1505, 1507, 1600),
		at(800, 790, 1000, 1001, 1002, 1010), // scraped before we saw the verdict
		at(1000, 1100, 1300, 1310, 1312, 1340),
	})
	want := `
                                                  min   median      max
  failure -> verdict (probe, three bad)         0.600    0.800    1.000
  verdict -> scrape                             0.000    0.100    0.400
  scrape -> rule fires                          0.200    0.210    0.500
  rule fires -> Alertmanager has it             0.001    0.005    0.010
  Alertmanager has it -> webhook                0.001    0.002    0.002
  webhook -> out of rotation                    0.008    0.028    0.093
  failure -> out of rotation                    1.010    1.340    1.600
  the same by HAProxy's own check               2.500    2.500    2.500
`
	if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestTheMedianOfAnEvenNumberLiesBetween(t *testing.T) {
	if got := median([]time.Duration{1, 2, 4, 9}); got != 3 {
		t.Errorf("median of 1 2 4 9 is %v, want 3", got)
	}
}
