package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

// table prints minimum, median and maximum of each hop, of the whole, and of
// HAProxy's own check. The medians of the hops don't add up to that of the whole.
func table(w io.Writer, deaths []death) {
	fmt.Fprintf(w, "  %-42s %8s %8s %8s\n", "", "min", "median", "max")
	row := func(name string, of func(death) time.Duration) {
		var all []time.Duration
		for _, d := range deaths {
			all = append(all, of(d))
		}
		slices.Sort(all)
		fmt.Fprintf(w, "  %-42s %8.3f %8.3f %8.3f\n", name,
			all[0].Seconds(), median(all).Seconds(), all[len(all)-1].Seconds())
	}
	row("failure -> verdict (probe, three bad)", func(d death) time.Duration { return d.hops[rig.Verdict].Sub(d.at) })
	for _, h := range []struct {
		name string
		hop  rig.Hop
	}{
		{"verdict -> scrape", rig.Scraped},
		{"scrape -> rule fires", rig.Firing},
		{"rule fires -> Alertmanager has it", rig.Claimed},
		{"Alertmanager has it -> webhook", rig.Hooked},
		{"webhook -> out of rotation", rig.Out},
	} {
		row(h.name, func(d death) time.Duration {
			// A part's own clock can be some milliseconds ahead of our asking.
			return max(0, d.hops[h.hop].Sub(d.hops[h.hop-1]))
		})
	}
	row("failure -> out of rotation", func(d death) time.Duration { return d.hops[rig.Out].Sub(d.at) })
	row("the same by HAProxy's own check", func(d death) time.Duration { return d.own.Sub(d.at) })
}

// median of sorted durations, at least one.
func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
