package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	// explainTime bounds an answer: it waits for the device and for a whole pool's probes.
	explainTime = time.Minute
	// journalLock is how long --offline waits for the journal.
	journalLock = time.Second
)

type explainFlags struct {
	labels, config, output string
	remote                 *remote
	offline                bool
}

func addExplain(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("explain", "What the remediator would do now for an alert with these labels, guard by guard. Changes nothing.")
	f := new(explainFlags)
	cmd.Flag("labels", `The alert's labels: 'remediation="drain",device="edge1",pool="shop",member="app1"'.`).Required().StringVar(&f.labels)
	f.remote = addRemote(cmd)
	cmd.Flag("offline", "Ask no remediator: open the journal and decide here, with fresh reads of the device.").BoolVar(&f.offline)
	cmd.Flag("config.file", "The configuration file, for --offline.").Default("sluice.yml").StringVar(&f.config)
	cmd.Flag("output", "text or json.").Default("text").EnumVar(&f.output, "text", "json")
	return cmd.FullCommand(), func(std streams) error { return explain(std, f) }
}

func explain(std streams, f *explainFlags) error {
	alert, err := parseLabels(f.labels)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()

	ask := askRemediator
	if f.offline {
		ask = decideHere
	}
	x, err := ask(ctx, f, alert)
	if err != nil {
		return err
	}
	if f.output == "json" {
		e := json.NewEncoder(std.out)
		e.SetIndent("", "  ")
		return e.Encode(x)
	}
	return printExplanation(std.out, x)
}

// parseLabels reads labels as matchers are written, where only "=" makes sense.
func parseLabels(s string) (map[string]string, error) {
	matchers, err := labels.ParseMatchers(s)
	if err != nil {
		return nil, fmt.Errorf(`--labels: %w: write them as 'device="edge1",pool="shop"'`, err)
	}
	out := make(map[string]string)
	for _, m := range matchers {
		if m.Type != labels.MatchEqual {
			return nil, fmt.Errorf(`--labels: %s: an alert has values, not patterns: write %s="..."`, m, m.Name)
		}
		if _, twice := out[m.Name]; twice {
			return nil, fmt.Errorf("--labels: %s stands there twice", m.Name)
		}
		out[m.Name] = m.Value
	}
	return out, nil
}

// askRemediator asks the one that runs.
func askRemediator(ctx context.Context, f *explainFlags, alert map[string]string) (*remediator.Explanation, error) {
	var x remediator.Explanation
	err := f.remote.post(ctx, "/api/v1/explain", map[string]any{"labels": alert}, &x)
	if errors.Is(err, ctl.ErrNoRemediator) {
		return nil, fmt.Errorf("%w --offline decides without it", err)
	}
	return &x, err
}

// decideHere does what the remediator would, in this process.
func decideHere(ctx context.Context, f *explainFlags, alert map[string]string) (x *remediator.Explanation, err error) {
	l, err := load(f.config)
	if err != nil {
		return nil, err
	}
	if l.Remediation == nil {
		return nil, fmt.Errorf("%s has no section remediation: there is nothing to decide", f.config)
	}
	o, err := remediatorOptions(fleetOptions{logger: log.NewNopLogger()}, l)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(l.Remediation.Journal); errors.Is(err, fs.ErrNotExist) {
		// Nothing was ever held. An explanation leaves no journal behind.
		dir, err := os.MkdirTemp("", "sluice-explain")
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		defer os.RemoveAll(dir)
		l.Remediation.Journal = filepath.Join(dir, "empty.db")
	}
	o.Authenticated, o.JournalLock = true, journalLock
	r, err := remediator.New(o)
	if errors.Is(err, journal.ErrLocked) {
		return nil, fmt.Errorf("%w: a remediator runs on it: leave --offline out to ask that one", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	got, err := r.Explain(ctx, alert)
	if err != nil {
		return nil, err
	}
	return &got, nil
}
