// Package ctl is the client of the remediator's HTTP API, and what "sluice ctl"
// does with it: it names members, shows them, steps on them for a person, waits,
// and restarts a pool member by member. It decides nothing: whatever it asks for
// goes through the remediator's guards and journal.
package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/remediator/guard"
)

const (
	// mostAnswer bounds how much of an answer is read, in bytes.
	mostAnswer = 64 << 20
	// mostText bounds how much of an answer that isn't ours an error repeats, in characters.
	mostText = 400
)

// ErrNoRemediator says that nobody answered.
var ErrNoRemediator = errors.New("does it run there?")

// A Client asks one remediator. It may be used by several goroutines.
type Client struct {
	base *url.URL
	http *http.Client
}

// New makes a client of the remediator at base. httpConfig names a file that says
// how to authenticate, as in Prometheus; empty is none.
func New(base, httpConfig string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("--remediator.url: want one like http://127.0.0.1:11011; passwords go into --http.config.file")
	}
	c := &Client{base: u, http: http.DefaultClient}
	if httpConfig == "" {
		return c, nil
	}
	config, _, err := promconfig.LoadHTTPConfigFile(httpConfig)
	if err == nil {
		c.http, err = promconfig.NewClientFromConfig(*config, "sluice")
	}
	if err != nil {
		return nil, fmt.Errorf("--http.config.file %s: %w", httpConfig, err)
	}
	return c, nil
}

// URL is where the remediator answers.
func (c *Client) URL() string { return c.base.String() }

// An Error is an answer that isn't what was asked for.
type Error struct {
	URL    string // of the remediator
	Status string // "409 Conflict"
	Code   int
	Text   string          // one line
	Data   json.RawMessage // what the remediator told besides; may be nil
}

func (e *Error) Error() string {
	return fmt.Sprintf("the remediator at %s answered %s: %s", e.URL, e.Status, e.Text)
}

// Refusal is the guard's no that the answer brings, or nil.
func (e *Error) Refusal() *guard.Refusal {
	var data struct {
		Decision struct {
			Refusal *guard.Refusal `json:"refusal"`
		} `json:"decision"`
	}
	if e.Data == nil || json.Unmarshal(e.Data, &data) != nil {
		return nil // not of a step
	}
	return data.Decision.Refusal
}

// Get asks for what is below a path, whose segments are escaped already (see
// [Path]), and decodes the data of the answer into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.ask(ctx, http.MethodGet, path, query, nil, out)
}

// Post sends in as JSON.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask the remediator: %w", err)
	}
	return c.ask(ctx, http.MethodPost, path, nil, body, out)
}

// Delete asks for something to be taken away.
func (c *Client) Delete(ctx context.Context, path string, query url.Values, out any) error {
	return c.ask(ctx, http.MethodDelete, path, query, nil, out)
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("ask the remediator at %s: %w", c.base, err)
	}
	if len(text) == mostAnswer {
		return fmt.Errorf("ask the remediator at %s: the answer has %d bytes or more: ask for less", c.base, mostAnswer)
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
	if err == nil && answer.Success {
		return nil
	}
	why := answer.Error
	if why == "" {
		why = string(text)
	}
	return &Error{URL: c.URL(), Status: resp.Status, Code: resp.StatusCode, Text: Line(why), Data: answer.Data}
}

// send sends one request. The caller closes the answer's body.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	whole := c.base.JoinPath(path)
	whole.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, whole.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the remediator: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", version.ComponentUserAgent("Sluice"))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the remediator: %w (%w)", err, ErrNoRemediator)
	}
	return resp, nil
}

// Path joins names to a path below the API's root, each as one segment.
func Path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, s := range segments {
		switch s {
		case ".", "..": // these would be taken for steps of the path
			s = strings.ReplaceAll(s, ".", "%2E")
		default:
			s = url.PathEscape(s)
		}
		b.WriteString("/" + s)
	}
	return b.String()
}

// Line puts a text that came from elsewhere on one line that isn't too long and
// that a terminal takes for text.
func Line(s string) string {
	line := []rune(Printable(strings.Join(strings.Fields(s), " ")))
	if len(line) > mostText {
		return string(line[:mostText]) + "..."
	}
	return string(line)
}

// Printable is a text without what a terminal would act upon, and without what
// would be read in another order than it stands in.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
