package main

import (
	"fmt"
	"time"

	"github.com/sluice-project/sluice/test/rig/figures"
)

// Who is measured.
const (
	whoSluice   = "Sluice"
	whoLoop     = "bare loop"
	whoBlackbox = "blackbox_exporter"
)

// find returns what one prober did at a task; nil when that wasn't measured.
func find(all []*result, who, part string, interval time.Duration) *result {
	for _, r := range all {
		if r.who == who && r.task.part == part && r.task.interval == interval {
			return r
		}
	}
	return nil
}

// aims sets the figures beside what was aimed at.
func aims(all []*result, quick bool) *figures.Table {
	t := &figures.Table{
		Name:  "probe-aims",
		Title: "HTTP probes, a new connection each: what was aimed at, and what was reached",
		Head:  []string{"figure", "got", "aim", "reached"},
	}
	if quick {
		t.Title += " (quick: with a tenth of the targets)"
	}
	row := func(figure, format string, got float64, aim string, met bool) {
		if got < 0 {
			t.Add(figure, figures.Unknown, aim, "not measured")
			return
		}
		t.Add(figure, fmt.Sprintf(format, got), aim, figures.Met(met))
	}
	for _, interval := range []time.Duration{time.Second, 5 * time.Second} {
		ours := find(all, whoSluice, partProbes, interval)
		name := "1,000 at 1s"
		if interval > time.Second {
			name = "10,000 at 5s"
		}
		over := quotient(ours, find(all, whoLoop, partProbes, interval))
		row("CPU of a probe / of the bare loop's, "+name, "%.2f", over, "at most 1.2", over <= 1.2)
		under := quotient(find(all, whoBlackbox, partProbes, interval), ours)
		row("blackbox_exporter's CPU of a probe / ours, "+name, "%.1f", under, "at least 5", under >= 5)
	}
	rate, seenLag, ownLag, memory := -1.0, -1.0, -1.0, -1.0
	if r := find(all, whoSluice, partKept, time.Second); r != nil {
		rate, seenLag, memory = r.rate(), 1000*r.seen.LagP99, mib(r.memory)
		if r.lag > 0 {
			ownLag = 1000 * r.lag
		}
	}
	// Half a per cent is what the edges of the time that is watched may cut off.
	row("10,000 targets at 1s: probes a second", "%.0f", rate, "10,000", rate >= 0.995*10000)
	row("10,000 targets at 1s: lag p99, as the targets see it, ms", "%.0f", seenLag, "below 100", seenLag < 100)
	row("10,000 targets at 1s: lag p99 by its own count (bound of a bucket), ms", "%.0f", ownLag, "below 100", ownLag <= 100)
	row("10,000 targets at 1s: peak memory, MiB", "%.0f", memory, "at most 32", memory <= 32)
	down, bad, unknown := -1.0, -1.0, -1.0
	if r := find(all, whoSluice, partHang, 5*time.Second); r != nil {
		down, bad, unknown = float64(r.verdicts.Down), r.verdicts.Failures, float64(r.verdicts.Unknown)
	}
	row("10,000 targets at 5s, a fifth hangs: false verdicts on the others", "%.0f", down, "0", down == 0)
	row("10,000 targets at 5s, a fifth hangs: bad results of the others", "%.0f", bad, "0", bad == 0)
	row("10,000 targets at 5s, a fifth hangs: others without a verdict at the end", "%.0f", unknown, "0", unknown == 0)
	return t
}

// quotient of CPU a probe; below zero where one of both is missing.
func quotient(a, b *result) float64 {
	if a.perProbe() == 0 || b.perProbe() == 0 {
		return -1
	}
	return float64(a.perProbe()) / float64(b.perProbe())
}

// measured shows all that was measured.
func measured(all []*result) *figures.Table {
	t := &figures.Table{
		Name:  "probe-measured",
		Title: "HTTP probes: all that was measured",
		Head: []string{
			"who", "targets", "probes/s", "CPU of a probe", "lag p50", "lag p99", "own lag p99", "peak memory (program file)",
			"late", "skipped", "ignored", "goroutines", "verdicts on those that answer", "on those that hang",
		},
	}
	for _, r := range all {
		own, late, skipped, ignored := figures.Unknown, figures.Unknown, figures.Unknown, figures.Unknown
		goroutines, answer, hang := figures.Unknown, figures.Unknown, figures.Unknown
		if r.lag > 0 {
			own = fmt.Sprintf("%.0f ms", 1000*r.lag)
		}
		if v := r.verdicts; v != nil {
			late, skipped, ignored = fmt.Sprintf("%.0f", r.late), fmt.Sprintf("%.0f", r.skipped), fmt.Sprintf("%.0f", r.ignored)
			goroutines = fmt.Sprintf("%.0f", r.goroutines)
			answer = v.String()
			if r.task.hang > 0 {
				hang = r.hangVerdicts.String()
			}
		}
		if s := r.scraped; s != nil {
			skipped = fmt.Sprint(s.Answer.Skipped + s.Hang.Skipped)
			answer = s.Answer.String()
			if r.task.hang > 0 {
				hang = s.Hang.String()
			}
		}
		t.Add(r.who, r.task.String(), fmt.Sprintf("%.0f", r.rate()), fmt.Sprintf("%.3f ms", r.perProbe().Seconds()*1000),
			fmt.Sprintf("%.1f ms", 1000*r.seen.LagP50), fmt.Sprintf("%.0f ms", 1000*r.seen.LagP99), own,
			fmt.Sprintf("%.0f MiB (%.0f)", mib(r.memory), mib(r.file)), late, skipped, ignored, goroutines, answer, hang)
	}
	return t
}

func (v Verdicts) String() string {
	text := fmt.Sprintf("%d up, %d down", v.Up, v.Down)
	if v.Unknown > 0 {
		text += fmt.Sprintf(", %d unknown", v.Unknown)
	}
	if v.Failures > 0 {
		text += fmt.Sprintf(", %.0f bad results", v.Failures)
	}
	return text
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
