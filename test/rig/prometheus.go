package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Prometheus is a real Prometheus that runs on the shipped example of its
// configuration and on the shipped rules.
type Prometheus struct {
	*Process
	Address string
	URL     string
	API     promv1.API
}

// newPrometheus takes alerts/prometheus.yml as it is shipped, with only the
// addresses, the intervals and the place of the rules put in. Resend is how
// long Prometheus waits before it tells Alertmanager of the same alert again;
// an alert that it doesn't tell of is resolved after four times as long.
func newPrometheus(dir, root string, places map[string]string, detour *Detour, o Options) (*Prometheus, error) {
	own, err := address()
	if err != nil {
		return nil, err
	}
	places["9090"] = own
	example, err := loadExample(filepath.Join(root, "alerts", "prometheus.yml"))
	if err != nil {
		return nil, err
	}
	example.move(places)
	if !o.Shipped {
		example.hasten(model.Duration(o.Scrape).String())
	}
	rules := []string{filepath.Join(root, "alerts", "*.rules.yml")}
	if o.Rules != "" {
		own := filepath.Join(dir, "own.rules.yml")
		if err := os.WriteFile(own, []byte(o.Rules), 0o600); err != nil {
			return nil, err
		}
		rules = append(rules, own)
	}
	example["rule_files"] = rules
	for _, job := range example.maps("scrape_configs") {
		if detour != nil && job["job_name"] == "sluice-exporter" {
			job["proxy_url"] = detour.URL
		}
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := example.write(config); err != nil {
		return nil, err
	}

	p, err := PrometheusAt("http://" + own)
	if err != nil {
		return nil, err
	}
	p.Address = own
	p.Process, err = newProcess("prometheus", dir, "prometheus",
		"--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "prometheus"),
		"--web.listen-address="+own,
		"--rules.alert.resend-delay="+model.Duration(o.Resend).String(),
		"--log.level=warn")
	return p, err
}

// hasten puts one interval in the place of all: for tests that can't wait.
func (e example) hasten(every string) {
	e["global"] = map[string]any{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
	for _, job := range e.maps("scrape_configs") {
		delete(job, "scrape_interval")
		delete(job, "scrape_timeout")
	}
}

// PrometheusAt asks one that is no part of a loop, and that its caller starts and ends.
func PrometheusAt(url string) (*Prometheus, error) {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return nil, err
	}
	return &Prometheus{URL: url, API: promv1.NewAPI(client)}, nil
}

// Start starts Prometheus and waits until it is ready. Its first scrape comes
// up to five seconds later: see [Rig.Settle].
func (p *Prometheus) Start(ctx context.Context) error {
	if err := p.Process.Start(); err != nil {
		return err
	}
	return p.ready(ctx, healthy(p.URL+"/-/ready"))
}

// Vector evaluates an expression that gives one value for each series, now.
func (p *Prometheus) Vector(ctx context.Context, query string) (model.Vector, error) {
	v, err := p.query(ctx, query)
	if err != nil {
		return nil, err
	}
	vector, ok := v.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("query %s: it gives a %s, not a vector", query, v.Type())
	}
	return vector, nil
}

// FirstSample returns the time of the first sample with that value that series
// has at or after from. For what a rule made, it is the time of the evaluation.
func (p *Prometheus) FirstSample(ctx context.Context, series string, value float64, from time.Time) (time.Time, error) {
	seconds := int(time.Since(from)/time.Second) + 2
	query := fmt.Sprintf("%s[%ds]", series, seconds)
	v, err := p.query(ctx, query)
	if err != nil {
		return time.Time{}, err
	}
	matrix, ok := v.(model.Matrix)
	if !ok {
		return time.Time{}, fmt.Errorf("query %s: it gives a %s, not a matrix", query, v.Type())
	}
	var first time.Time
	for _, stream := range matrix {
		for _, s := range stream.Values {
			// Sample times are whole milliseconds, cut off.
			if at := s.Timestamp.Time(); float64(s.Value) == value && !at.Before(from.Truncate(time.Millisecond)) {
				if first.IsZero() || at.Before(first) {
					first = at
				}
				break
			}
		}
	}
	if first.IsZero() {
		return first, fmt.Errorf("%s has no sample of value %v since %s", series, value, from.Format(time.TimeOnly))
	}
	return first, nil
}

func (p *Prometheus) query(ctx context.Context, query string) (model.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, warnings, _, err := p.API.Query(ctx, query, time.Now())
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", query, err)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("query %s: %v", query, warnings)
	}
	return v, nil
}

// An example is a shipped configuration file. Working on it as a tree keeps
// every setting that the rig has no opinion on.
type example map[string]any

func loadExample(path string) (example, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var e example
	if err := yaml.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

func (e example) write(path string) error {
	text, err := yaml.Marshal(map[string]any(e))
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// maps returns the maps of the list under key.
func (e example) maps(key string) []map[string]any {
	var out []map[string]any
	list, _ := e[key].([]any)
	for _, item := range list {
		if m, ok := asMap(item); ok {
			out = append(out, m)
		}
	}
	return out
}

func asMap(v any) (map[string]any, bool) {
	switch m := v.(type) {
	case example:
		return m, true
	case map[string]any:
		return m, true
	}
	return nil, false
}

// move puts the rig's addresses in the place of the well-known ones: places
// has a host:port for each default port of the examples.
func (e example) move(places map[string]string) { moveAny(map[string]any(e), places) }

func moveAny(v any, places map[string]string) any {
	switch v := v.(type) {
	case string:
		return moveText(v, places)
	case []any:
		for i := range v {
			v[i] = moveAny(v[i], places)
		}
	case map[string]any:
		for k := range v {
			v[k] = moveAny(v[k], places)
		}
	case example:
		return moveAny(map[string]any(v), places)
	}
	return v
}
