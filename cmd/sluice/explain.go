package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/prometheus/alertmanager/pkg/labels"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	// explainTime bounds an answer: it waits for the device and for a whole pool's probes.
	explainTime = time.Minute
	// mostAnswer bounds how much of an answer is read.
	mostAnswer = 4 << 20
	// journalLock is how long --offline waits for the journal.
	journalLock = time.Second
)

type explainFlags struct {
	labels, url, httpConfig, config, output string
	offline                                 bool
}

func addExplain(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("explain", "What the remediator would do now for an alert with these labels, guard by guard. Changes nothing.")
	f := new(explainFlags)
	cmd.Flag("labels", `The alert's labels: 'remediation="drain",device="edge1",pool="shop",member="app1"'.`).Required().StringVar(&f.labels)
	cmd.Flag("remediator.url", "Where the remediator answers.").Default("http://127.0.0.1:11011").StringVar(&f.url)
	cmd.Flag("http.config.file", "How to authenticate to it: basic_auth, authorization, tls_config, as in Prometheus.").StringVar(&f.httpConfig)
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
	base, err := url.Parse(f.url)
	if err != nil || base.Host == "" || base.User != nil {
		return nil, errors.New("--remediator.url: want one like http://127.0.0.1:11011; passwords go into --http.config.file")
	}
	client := http.DefaultClient
	if f.httpConfig != "" {
		c, _, err := promconfig.LoadHTTPConfigFile(f.httpConfig)
		if err != nil {
			return nil, fmt.Errorf("--http.config.file %s: %w", f.httpConfig, err)
		}
		if client, err = promconfig.NewClientFromConfig(*c, "explain"); err != nil {
			return nil, fmt.Errorf("--http.config.file %s: %w", f.httpConfig, err)
		}
	}
	body, err := json.Marshal(map[string]any{"labels": alert})
	if err != nil {
		return nil, fmt.Errorf("ask the remediator: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("/api/v1/explain").String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the remediator: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", version.ComponentUserAgent("Sluice"))
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the remediator: %w (does it run there? --offline decides without it)", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask the remediator at %s: %w", base, err)
	}
	var answer struct {
		Success bool                    `json:"success"`
		Data    *remediator.Explanation `json:"data"`
		Error   string                  `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || !answer.Success || answer.Data == nil {
		why := answer.Error
		if why == "" {
			why = brief(string(text))
		}
		return nil, fmt.Errorf("the remediator at %s answered %s: %s", base, resp.Status, why)
	}
	return answer.Data, nil
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
	o, err := remediatorOptions(log.NewNopLogger(), l)
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
