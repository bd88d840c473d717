package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/alecthomas/kingpin/v2"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"
)

// mostAnswer bounds how much of a remediator's answer is read, in bytes.
const mostAnswer = 64 << 20

// errNoRemediator says that nobody answered.
var errNoRemediator = errors.New("does it run there?")

// A remote is the remediator that runs: it owns the journal, so that what concerns
// holds is asked of it.
type remote struct{ url, httpConfig string }

// addRemote adds the flags that say where it is.
func addRemote(cmd *kingpin.CmdClause) *remote {
	r := new(remote)
	cmd.Flag("remediator.url", "Where the remediator answers.").Default("http://127.0.0.1:11011").StringVar(&r.url)
	cmd.Flag("http.config.file", "How to authenticate to it: basic_auth, authorization, tls_config, as in Prometheus.").StringVar(&r.httpConfig)
	return r
}

// post sends in as JSON to a path, whose segments are escaped already, and
// decodes the data of the answer into out.
func (r *remote) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask the remediator: %w", err)
	}
	return r.ask(ctx, http.MethodPost, path, nil, body, out)
}

// get is post for what only looks.
func (r *remote) get(ctx context.Context, path string, query url.Values, out any) error {
	return r.ask(ctx, http.MethodGet, path, query, nil, out)
}

func (r *remote) ask(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	base, err := url.Parse(r.url)
	if err != nil || base.Host == "" || base.User != nil {
		return errors.New("--remediator.url: want one like http://127.0.0.1:11011; passwords go into --http.config.file")
	}
	client, err := r.client()
	if err != nil {
		return err
	}
	whole := base.JoinPath(path)
	whole.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, whole.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the remediator: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", version.ComponentUserAgent("Sluice"))
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the remediator: %w (%w)", err, errNoRemediator)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("ask the remediator at %s: %w", base, err)
	}
	if len(text) == mostAnswer {
		return fmt.Errorf("ask the remediator at %s: the answer has %d bytes or more: ask for less", base, mostAnswer)
	}
	var answer struct {
		Success bool            `json:"success"`
		Data    json.RawMessage `json:"data"`
		Error   string          `json:"error"`
	}
	err = json.Unmarshal(text, &answer)
	if err == nil && answer.Success {
		err = json.Unmarshal(answer.Data, out)
	}
	if err != nil || !answer.Success {
		why := answer.Error
		if why == "" {
			why = brief(string(text))
		}
		return fmt.Errorf("the remediator at %s answered %s: %s", base, resp.Status, why)
	}
	return nil
}

func (r *remote) client() (*http.Client, error) {
	if r.httpConfig == "" {
		return http.DefaultClient, nil
	}
	c, _, err := promconfig.LoadHTTPConfigFile(r.httpConfig)
	if err != nil {
		return nil, fmt.Errorf("--http.config.file %s: %w", r.httpConfig, err)
	}
	client, err := promconfig.NewClientFromConfig(*c, "sluice")
	if err != nil {
		return nil, fmt.Errorf("--http.config.file %s: %w", r.httpConfig, err)
	}
	return client, nil
}
