// Command probecost measures what probing very many targets costs: the program
// under test beside a bare loop over Go's HTTP client and beside
// blackbox_exporter, and what it keeps up with, overload and hanging targets
// included.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/test/rig/figures"
)

// Commands that make this program a part of the measurement, in a process of its own.
const (
	targetsCommand    = "targets"
	loopCommand       = "loop"
	prometheusCommand = "prometheus"
)

// The parts of the measurement.
const (
	partProbes = "probes" // what a probe costs
	partKept   = "kept"   // what rate is kept
	partHang   = "hang"   // targets that hang
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	switch {
	case len(os.Args) == 5 && os.Args[1] == targetsCommand:
		cancel() // ends by the signal
		err = serveTargets(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 3 && os.Args[1] == loopCommand:
		err = with(ctx, os.Args[2], bareLoop)
	case len(os.Args) == 3 && os.Args[1] == prometheusCommand:
		err = with(ctx, os.Args[2], playPrometheus)
	default:
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probecost:", err)
		os.Exit(1) //nolint:gocritic // nothing is deferred but the end of the signals
	}
}

func with(ctx context.Context, file string, do func(context.Context, load) error) error {
	l, err := readLoad(file)
	if err != nil {
		return err
	}
	return do(ctx, l)
}

var (
	errPart  = errors.New("there is no such part")
	errQuick = errors.New("-quick and -only are for trying it out: write figures of a whole run into a document")
)

func run(ctx context.Context) error {
	binary := flag.String("sluice", "bin/sluice", "The program to measure.")
	only := flag.String("only", "", "Parts to run, by comma: probes (what one costs), kept (10,000 targets at 1s), hang (a fifth of them hangs). All when empty.")
	quick := flag.Bool("quick", false, "A tenth of the targets, for a few seconds: to see that it works.")
	markdown := flag.Bool("markdown", false, "Print the tables as the document holds them.")
	write := flag.String("write", "", "Document whose tables are replaced by these.")
	var module []string
	flag.Func("setting", "A line for the module's section http. Repeatable.", func(s string) error {
		module = append(module, s)
		return nil
	})
	flag.Parse()
	if *write != "" && (*quick || *only != "") {
		return errQuick
	}
	parts := []string{partProbes, partKept, partHang}
	if *only != "" {
		wanted := strings.Split(*only, ",")
		for _, p := range wanted {
			if !slices.Contains(parts, p) {
				return fmt.Errorf("%w: %q; there are %s", errPart, p, strings.Join(parts, ", "))
			}
		}
		parts = wanted
	}
	machine := figures.Machine("probe-machine",
		[2]string{"blackbox_exporter", version(ctx, blackbox)}, [2]string{"Sluice", version(ctx, *binary)})
	results, err := measure(ctx, *binary, module, parts, *quick)
	if err != nil {
		return err
	}
	tables := []*figures.Table{aims(results, *quick), measured(results), machine}
	for _, t := range tables {
		if *markdown {
			fmt.Printf("\n%s\n", t.Markdown())
			continue
		}
		if err := t.Text(os.Stdout); err != nil {
			return err
		}
	}
	if *write == "" {
		return nil
	}
	return figures.Put(*write, tables)
}

// measure gives each prober its turn. What a probe costs is measured in several
// passes, one prober after the other, of which the cheapest counts for each: what
// else goes on in the machine only ever makes a probe dearer.
func measure(ctx context.Context, binary string, module, parts []string, quick bool) (all []*result, err error) {
	b, err := startBench(ctx, binary, module)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	type prober func(context.Context, task) (*result, error)
	for _, step := range []struct {
		task task
		who  []prober
	}{
		{task{part: partProbes, targets: 1000, interval: time.Second, watch: 6 * time.Second, passes: 2}, []prober{b.sluice, b.loop, b.blackbox}},
		{task{part: partProbes, targets: 10000, interval: 5 * time.Second, watch: 8 * time.Second, passes: 2}, []prober{b.sluice, b.loop, b.blackbox}},
		{task{part: partKept, targets: 10000, interval: time.Second, watch: 15 * time.Second}, []prober{b.sluice, b.loop}},
		{task{part: partHang, targets: 10000, hang: 5, interval: 5 * time.Second, watch: 30 * time.Second}, []prober{b.sluice, b.blackbox}},
	} {
		if !slices.Contains(parts, step.task.part) {
			continue
		}
		if quick {
			step.task.targets /= 10
			step.task.watch = max(step.task.watch/5, step.task.interval)
		}
		best := make([]*result, len(step.who))
		for range max(step.task.passes, 1) {
			for i, probe := range step.who {
				r, err := probe(ctx, step.task)
				if err != nil {
					return nil, fmt.Errorf("%v: %w", step.task, err)
				}
				fmt.Fprintf(os.Stderr, "probecost: %v: %s is done\n", r.task, r.who)
				if best[i] == nil || r.perProbe() < best[i].perProbe() {
					best[i] = r
				}
			}
		}
		all = append(all, best...)
	}
	return all, nil
}

// version returns the first line of what a program says of itself.
func version(ctx context.Context, program string) string {
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
