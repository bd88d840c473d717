package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/version"
)

// mostAnswer bounds what is read of Alertmanager's answers, in bytes.
const mostAnswer = 16 << 20

// askTimeout bounds one question to Alertmanager.
const askTimeout = 10 * time.Second

// An alertmanager is one that the alert is sent to. Its API is spoken here by
// hand: what is wanted of it are the receivers and the configuration, of any
// version from 0.25 on.
type alertmanager struct {
	url  string
	http *http.Client
}

func newAlertmanager(base string, c *http.Client) (alertmanager, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return alertmanager{}, errors.New("--alertmanager.url: want one like http://127.0.0.1:9093; passwords go into --alertmanager.http.config.file")
	}
	return alertmanager{strings.TrimSuffix(u.String(), "/"), c}, nil
}

// A statusError is an answer other than success.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("answered %d %s: %.200s", e.code, http.StatusText(e.code), e.text))
}

func (a alertmanager) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", version.ComponentUserAgent("Sluice"))
	resp, err := a.http.Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err // it repeats the URL
		}
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err == nil && resp.StatusCode/100 != 2 {
		err = &statusError{resp.StatusCode, strings.TrimSpace(string(text))}
	}
	return text, err
}

// say tells of the alert, which fires until ends.
func (a alertmanager) say(ctx context.Context, labels map[string]string, ends time.Time) error {
	body, err := json.Marshal([]map[string]any{{
		"labels": labels, "endsAt": ends.UTC().Format(time.RFC3339Nano),
		"annotations": map[string]string{"summary": "A drill by sluice ctl drill. Nothing is wrong, and nothing is done about it."},
	}})
	if err != nil {
		return err
	}
	_, err = a.ask(ctx, http.MethodPost, "/api/v2/alerts", body)
	return err
}

// shown is the alert as Alertmanager shows it.
type shown struct {
	Labels      map[string]string       `json:"labels"`
	Fingerprint string                  `json:"fingerprint"`
	Receivers   []struct{ Name string } `json:"receivers"`
	Status      struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
		MutedBy     []string `json:"mutedBy"` // from 0.28 on
	} `json:"status"`

	plan plan
}

var errNotShown = errors.New("alertmanager doesn't show the alert")

// show asks for the alert of a drill.
func (a alertmanager) show(ctx context.Context, id string) (shown, error) {
	text, err := a.ask(ctx, http.MethodGet, "/api/v2/alerts?"+url.Values{"filter": {"sluice_drill=" + quoted(id)}}.Encode(), nil)
	if err != nil {
		return shown{}, err
	}
	var all []shown
	if err := json.Unmarshal(text, &all); err != nil {
		return shown{}, fmt.Errorf("alerts: %w", err)
	}
	if len(all) != 1 {
		return shown{}, errNotShown
	}
	return all[0], nil
}

func quoted(s string) string { return `"` + s + `"` }

func (s *shown) names() (out []string) {
	for _, r := range s.Receivers {
		out = append(out, r.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// hooks are those of the alert's receivers that have a webhook; known is false
// where the configuration can't be read.
func (s *shown) hooks() (out []string, known bool) {
	for _, n := range s.names() {
		if r, ok := s.plan.receivers[n]; ok && len(r.hooks) > 0 {
			out = append(out, n)
		}
	}
	return out, len(s.plan.receivers) > 0
}

// hopeless says that no webhook will come as things stand.
func (s *shown) hopeless() bool {
	hooks, known := s.hooks()
	return known && len(hooks) == 0 || len(s.Status.SilencedBy)+len(s.Status.InhibitedBy)+len(s.Status.MutedBy) > 0
}

// asArguments are the labels as amtool takes them.
func (s *shown) asArguments() string {
	var out []string
	for n, v := range s.Labels {
		out = append(out, forShell(n+"="+v))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// forShell is one word of a shell's command line.
func forShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// failures is how many notifications by webhook have failed so far; -1 where it
// can't be read.
// Source: Alertmanager, notify/notify.go, alertmanager_notification_requests_failed_total
// (0.23 and newer): each try that failed counts, also one that is made again.
func (a alertmanager) failures(ctx context.Context) float64 {
	text, err := a.ask(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return -1
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return -1
	}
	sum := 0.0
	for _, m := range families["alertmanager_notification_requests_failed_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "integration" && l.GetValue() == "webhook" {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
