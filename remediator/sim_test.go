package remediator

import (
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// simNumber reads a number from the environment; see docs/simulation.md.
func simNumber(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %q is no number", name, text)
	}
	return n
}

// simDir is where journals lie: in memory where that is possible, since each
// record waits until it is on the disk.
func simDir(t *testing.T) string {
	t.Helper()
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "sluice-simulation-"); err == nil {
			t.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			return dir
		}
	}
	return t.TempDir()
}

// simulate runs one world from its beginning to its end.
func simulate(t *testing.T, seed uint64, dir string, tell func(string)) (broken []string, stats simStats) {
	t.Helper()
	path := ""
	synctest.Test(t, func(*testing.T) {
		s := newSimRun(seed, dir, tell)
		path = s.path
		s.run()
		broken, stats = s.broken, s.stats
	})
	if err := os.Remove(path); err != nil && !replicated(seed) {
		t.Error(err)
	}
	return broken, stats
}

// TestSimulation runs worlds of random pools, alerts, faults, people and crashes,
// and asks the invariants after every event. SIM_RUNS, SIM_FIRST and SIM_SEED
// choose which.
func TestSimulation(t *testing.T) {
	if os.Getenv("SIM_SEED") != "" {
		simShow(t, simNumber(t, "SIM_SEED", 0))
		return
	}
	runs, first, every := simNumber(t, "SIM_RUNS", simDefault), simNumber(t, "SIM_FIRST", 1), simNumber(t, "SIM_EVERY", 1)
	var (
		next    atomic.Uint64
		mu      sync.Mutex
		all     simStats
		failing []uint64
	)
	dir, began := simDir(t), time.Now()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // many small worlds: memory for time
	t.Run("worlds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1) - 1; n < runs; n = next.Add(1) - 1 {
					seed := first + n*every
					broken, stats := simulate(t, seed, dir, nil)
					mu.Lock()
					all.add(stats)
					if len(broken) > 0 {
						failing = append(failing, seed)
						if len(failing) <= 20 {
							t.Errorf("seed %d: %s\nmake sim SIM_SEED=%d shows how it came to this", seed, strings.Join(broken, "\n\t"), seed)
						}
					}
					mu.Unlock()
				}
			})
		}
	})
	took := time.Since(began)
	t.Logf("%d runs, %d events, %d messages, %d looks, %d orders, %d steps, %d crashes, %d restarts in %s: %.1f runs a second; %d runs with violations",
		all.Runs, all.Events, all.Messages, all.Looks, all.Orders, all.Steps, all.Crashes, all.Restarts, took.Round(time.Millisecond),
		float64(all.Runs)/took.Seconds(), len(failing))
	t.Logf("steps:%s", simCounts(all.Kinds))
	t.Logf("refusals:%s", simCounts(all.Refusals))
	t.Logf("crashes at:%s", simCounts(all.Points))
	if len(all.Allowed) > 0 {
		t.Logf("violations that are known (simAllowances):%s", simCounts(all.Allowed))
	}
	slices.Sort(failing)
	if len(failing) > 0 {
		t.Logf("failing seeds: %v", failing)
	}
}

func simCounts(of map[string]int) string {
	var b strings.Builder
	for _, k := range slices.SortedFunc(maps.Keys(of), func(a, b string) int { return of[b] - of[a] }) {
		fmt.Fprintf(&b, "\n\t%8d %s", of[k], k)
	}
	return b.String()
}

// simTries is how often one seed is run to see the same again. All that the world
// does follows from the seed; when two channels are ready at the same moment, the
// engine's select takes one of them by chance, and that is seldom.
const simTries = 8

// simShow shows one history: the first that violates something, or else the last.
func simShow(t *testing.T, seed uint64) {
	t.Helper()
	dir := simDir(t)
	var lines, broken []string
	var stats simStats
	for i := 0; i < simTries && len(broken) == 0; i++ {
		lines = nil
		broken, stats = simulate(t, seed, dir, func(line string) { lines = append(lines, line) })
	}
	for _, l := range lines {
		fmt.Println(l)
	}
	for _, b := range broken {
		t.Error(b)
	}
	t.Logf("seed %d: %d events, %d orders, %d steps, %d crashes", seed, stats.Events, stats.Orders, stats.Steps, stats.Crashes)
}

// TestSimulationIsReproducible: one seed is one history, so that a failing one
// can be looked at.
func TestSimulationIsReproducible(t *testing.T) {
	dir := simDir(t)
	for seed := range uint64(5) {
		var before [][]string
		same := false
		for i := 0; i < simTries && !same; i++ {
			var lines []string
			simulate(t, seed, dir, func(line string) { lines = append(lines, line) })
			same = slices.ContainsFunc(before, func(b []string) bool { return simDigest(b) == simDigest(lines) })
			before = append(before, lines)
		}
		if !same {
			t.Errorf("seed %d is never the same history: %s", seed, simDifference(before[0], before[1]))
		}
	}
}

// simDigest leaves out the engine's own lines: two keepers that log at the same
// moment may do so in either order.
func simDigest(lines []string) uint64 {
	h := fnv.New64a()
	for _, l := range lines {
		if !strings.Contains(l, "engine") {
			fmt.Fprintln(h, l) // never fails
		}
	}
	return h.Sum64()
}

func simDifference(a, b []string) string {
	keep := func(ls []string) []string {
		return slices.DeleteFunc(slices.Clone(ls), func(l string) bool { return strings.Contains(l, "engine") })
	}
	a, b = keep(a), keep(b)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\nand\n" + b[i]
		}
	}
	return fmt.Sprintf("%d and %d lines", len(a), len(b))
}
