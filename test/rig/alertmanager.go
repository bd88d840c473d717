package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Alertmanager is a real Alertmanager that runs on the shipped example of its
// configuration.
type Alertmanager struct {
	*Process
	Address string
	URL     string

	data string
}

// newAlertmanager takes alerts/alertmanager.yml as it is shipped: the webhook
// goes to the tap before the remediator, what people would get to people. Each of
// the matchers gets a route of its own, as the first is.
func newAlertmanager(dir, root, webhook, people string, matchers []string) (*Alertmanager, error) {
	own, err := address()
	if err != nil {
		return nil, err
	}
	example, err := loadExample(filepath.Join(root, "alerts", "alertmanager.yml"))
	if err != nil {
		return nil, err
	}
	example.move(map[string]string{"11011": webhook})
	for _, receiver := range example.maps("receivers") {
		for key := range receiver {
			if strings.HasSuffix(key, "_configs") && key != "webhook_configs" {
				delete(receiver, key)
				receiver["webhook_configs"] = []any{map[string]any{"url": "http://" + people + "/"}}
			}
		}
	}
	if err := example.route(matchers); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "alertmanager.yml")
	if err := example.write(config); err != nil {
		return nil, err
	}
	a := &Alertmanager{Address: own, URL: "http://" + own, data: filepath.Join(dir, "alertmanager")}
	a.Process, err = newProcess("alertmanager", dir, "prometheus-alertmanager",
		"--config.file="+config,
		"--storage.path="+a.data,
		"--web.listen-address="+own,
		"--cluster.listen-address=", // alone: no gossip, no port for it
		"--log.level=warn")
	return a, err
}

// route puts copies of the first route before it, each for one of the matchers.
func (e example) route(matchers []string) error {
	top, ok := asMap(e["route"])
	if !ok {
		return errors.New("alertmanager.yml has no route")
	}
	routes := example(top).maps("routes")
	if len(routes) == 0 {
		return errors.New("alertmanager.yml has no routes below its first")
	}
	var all []any
	for _, m := range matchers {
		own := maps.Clone(routes[0])
		own["matchers"] = []any{m}
		all = append(all, own)
	}
	for _, r := range routes {
		all = append(all, r)
	}
	top["routes"] = all
	return nil
}

// Start starts Alertmanager and waits until it is ready.
func (a *Alertmanager) Start(ctx context.Context) error {
	if err := a.Process.Start(); err != nil {
		return err
	}
	return a.ready(ctx, healthy(a.URL+"/-/ready"))
}

// Restart kills Alertmanager and starts it anew. Its API is empty after that,
// whatever burns, until somebody tells it again.
func (a *Alertmanager) Restart(ctx context.Context) error {
	if err := a.Kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(a.data); err != nil {
		return err
	}
	return a.Start(ctx)
}

// An Alert is what Alertmanager's API v2 says of one alert. Source: api/v2,
// gettableAlert.
type Alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	UpdatedAt    time.Time         `json:"updatedAt"` // when it was last told of
	Status       struct {
		State string `json:"state"`
	} `json:"status"`
}

// Alerts returns the alerts that have not ended.
func (a *Alertmanager) Alerts(ctx context.Context) ([]Alert, error) {
	var alerts []Alert
	err := GetJSON(ctx, a.URL+"/api/v2/alerts", &alerts)
	return alerts, err
}

// Claim returns the alert that asks for a step on the member.
func (a *Alertmanager) Claim(ctx context.Context, member string) (Alert, error) {
	alerts, err := a.Alerts(ctx)
	if err != nil {
		return Alert{}, err
	}
	for _, alert := range alerts {
		if alert.Labels["remediation"] != "" && alert.Labels["member"] == member {
			return alert, nil
		}
	}
	return Alert{}, fmt.Errorf("alertmanager has no alert that asks for a step on %s", member)
}

// Say tells Alertmanager of an alert as Prometheus would, firing until ends.
func (a *Alertmanager) Say(ctx context.Context, labels map[string]string, ends time.Time) error {
	body, err := json.Marshal([]map[string]any{{"labels": labels, "endsAt": ends.UTC().Format(time.RFC3339Nano)}})
	if err != nil {
		return err
	}
	status, err := Post(ctx, a.URL+"/api/v2/alerts", body)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("alertmanager took %v with status %d", labels, status)
	}
	return err
}
