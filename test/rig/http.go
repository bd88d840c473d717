package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// client has no keep-alive: the servers behind it are killed and come back.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Do sends a request and returns status and body of the answer, whatever they are.
func Do(ctx context.Context, method, url string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Post sends JSON and returns the status of the answer.
func Post(ctx context.Context, url string, body []byte) (int, error) {
	status, _, err := Do(ctx, http.MethodPost, url, body)
	return status, err
}

// GetJSON decodes the answer of a GET that succeeds into v.
func GetJSON(ctx context.Context, url string, v any) error {
	status, body, err := Do(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: status %d: %s", url, status, bytes.TrimSpace(body))
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// healthy returns a check that url answers 200.
func healthy(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		status, body, err := Do(ctx, http.MethodGet, url, nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("GET %s: status %d: %s", url, status, bytes.TrimSpace(body))
		}
		return err
	}
}

// Families reads what a /metrics shows.
func Families(ctx context.Context, base string) (map[string]*dto.MetricFamily, error) {
	status, body, err := Do(ctx, http.MethodGet, base+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET %s/metrics: status %d", base, status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s/metrics: %w", base, err)
	}
	return families, nil
}

// Value returns the sum of the series of one metric that have those labels,
// and how many they are.
func Value(ctx context.Context, base, metric string, labels map[string]string) (sum float64, series int, err error) {
	families, err := Families(ctx, base)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range families[metric].GetMetric() {
		if hasLabels(m, labels) {
			series++
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum, series, nil
}

func hasLabels(m *dto.Metric, labels map[string]string) bool {
	matched := 0
	for _, l := range m.GetLabel() {
		if want, ok := labels[l.GetName()]; ok {
			if l.GetValue() != want {
				return false
			}
			matched++
		}
	}
	return matched == len(labels)
}

// moveText puts one of places in the place of an address or URL whose port it
// is for; other texts stay.
func moveText(text string, places map[string]string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		if to, ok := places[u.Port()]; ok {
			u.Host = to
			return u.String()
		}
		return text
	}
	if _, port, err := net.SplitHostPort(strings.TrimSpace(text)); err == nil {
		if to, ok := places[port]; ok {
			return to
		}
	}
	return text
}
