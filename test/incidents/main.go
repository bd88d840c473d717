// Command incidents breaks things on purpose, on the real parts and with the
// shipped rules and routes, notes which alerts fire when and what is done, and
// writes that down. It ends with 1 when something isn't as expected.
//
//	make incidents                                   all of them; writes docs/incidents.md
//	bin/incidents -only member-dies -write x.md      some
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/test/incidents/record"
	"github.com/sluice-project/sluice/test/rig/netns"
)

// whole bounds a run, whatever goes wrong.
const whole = 25 * time.Minute

// errUnexpected says that the run went well, and what it showed didn't.
var errUnexpected = errors.New("something isn't as expected: see above, and the report")

type settings struct {
	sluice   string
	write    string
	only     string
	child    string
	proxy    bool
	parallel int
}

func main() {
	var s settings
	flag.StringVar(&s.sluice, "sluice", "bin/sluice", "The program to watch.")
	flag.StringVar(&s.write, "write", "", "The report's file; empty: standard output.")
	flag.StringVar(&s.only, "only", "", "Names of incidents, with commas; empty: all.")
	flag.IntVar(&s.parallel, "parallel", len(incidents), "How many incidents run side by side.")
	flag.BoolVar(&s.proxy, "proxy", false, "Cut a proxy in place of the network, also where there are network namespaces.")
	flag.StringVar(&s.child, "child", "", "Run this one, in this network, and write its record as JSON: what the program starts itself with.")
	flag.Parse()
	if err := s.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "incidents:", err)
		os.Exit(1)
	}
}

func (s settings) run(ctx context.Context) error {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, whole)
	defer cancel()
	list, err := chosen(s.only)
	switch {
	case err != nil:
		return err
	case s.child != "":
		return s.inside(ctx)
	}
	return s.all(ctx, list)
}

// chosen are the incidents that -only names.
func chosen(only string) ([]incident, error) {
	if only == "" {
		return incidents, nil
	}
	var out []incident
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(incidents, func(i incident) bool { return i.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no incident %q", name)
		}
		out = append(out, incidents[i])
	}
	return out, nil
}

// all plays them side by side and writes the report.
func (s settings) all(ctx context.Context, list []incident) error {
	parts, err := versions(ctx, s.sluice)
	if err != nil {
		return err
	}
	runs, errs := make([]*record.Run, len(list)), make([]error, len(list))
	var g errgroup.Group // one that can't be played ends no other
	g.SetLimit(s.parallel)
	for n, i := range list {
		g.Go(func() error {
			run, err := s.play(ctx, i)
			if err != nil {
				errs[n] = fmt.Errorf("%s: %w", i.name, err)
				return nil
			}
			runs[n] = run
			say(run)
			return nil
		})
	}
	if err := errors.Join(g.Wait(), errors.Join(errs...)); err != nil {
		return err
	}
	return s.tell(parts, runs)
}

// tell writes the report. That something isn't as expected is an error after that.
func (s settings) tell(parts [][2]string, runs []*record.Run) error {
	report := record.Report{Parts: parts, Setup: setup, Runs: runs}
	var text bytes.Buffer
	err := report.Write(&text)
	switch {
	case err != nil:
	case s.write == "":
		_, err = io.Copy(os.Stdout, &text)
	default:
		err = os.WriteFile(s.write, text.Bytes(), 0o644)
	}
	if err == nil && slices.ContainsFunc(runs, (*record.Run).Failed) {
		err = errUnexpected
	}
	return err
}

// say tells whoever waits what became of one.
func say(run *record.Run) {
	fmt.Fprintf(os.Stderr, "%s: %.0f s, %d expectations\n", run.Name, run.Ended, len(run.Findings))
	for _, f := range run.Findings {
		if f.Why != "" {
			fmt.Fprintf(os.Stderr, "  %s: %s: %s\n", record.Missed, f.Says, f.Why)
		}
	}
}

// play runs an incident here, or in a network of its own where it wants one and
// there can be one.
func (s settings) play(ctx context.Context, i incident) (*record.Run, error) {
	if !i.away || s.proxy || netns.Allowed() != nil {
		return i.run(ctx, s.sluice, false)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-sluice", s.sluice, "-child", i.name)
	cmd.SysProcAttr = netns.Inside()
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C comes by us, once
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	run := new(record.Run)
	return run, json.Unmarshal(out, run)
}

// inside is a child's part.
func (s settings) inside(ctx context.Context) error {
	list, err := chosen(s.child)
	if err != nil {
		return err
	}
	run, err := list[0].run(ctx, s.sluice, true)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(run)
}
