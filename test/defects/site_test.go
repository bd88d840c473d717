package defects

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/log"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Names that most tests use.
const (
	waf      = "waf1"
	shop     = "shop-front"
	user     = "sluice"
	password = "not-a-real-password"
)

func ms(n int) model.Duration { return model.Duration(time.Duration(n) * time.Millisecond) }

// A setup is a configuration as the program would have read it from its file.
type setup struct {
	devices fleet.Configs
	read    exporter.Config
	act     remediator.Config
	images  remediator.Images
}

// usual is a PTAF at that URL, a probe of all its members every 100 ms, and a
// policy that takes out what fails. Tests change what they are about.
func usual(t *testing.T, url string) setup {
	t.Helper()
	m := probe.Module{Prober: "http", Timeout: ms(1000), HTTP: probe.HTTP{Path: healthPath}}
	m.HTTP.Client = promconfig.DefaultHTTPClientConfig
	s := setup{
		devices: fleet.Configs{device(waf, url)},
		read: exporter.Config{
			Modules: map[string]probe.Module{"health": m},
			Probes:  []exporter.Probe{{Name: "health", Module: "health", Interval: ms(100), Members: &exporter.Members{}}},
		},
		act: remediator.Config{
			Mode: remediator.Auto, Journal: filepath.Join(t.TempDir(), "sluice.db"),
			Policies: []remediator.Policy{{Name: "drain", To: "drain", MinServing: "1", MaxHeld: 5, HoldDown: ms(300)}},
		},
	}
	// Members fail here faster than in life, one after the other and all at once.
	// What slows Sluice down then has tests of its own.
	if err := yaml.Unmarshal([]byte("brake: {off: true}\ndamping: {off: true}"), &s.act); err != nil {
		t.Fatal(err)
	}
	return s
}

func device(name, url string) fleet.Config {
	c := &fleet.PTAF{URL: url, Timeout: ms(2000), MinWriteInterval: ms(1)}
	c.Client = promconfig.DefaultHTTPClientConfig
	c.Client.BasicAuth = &promconfig.BasicAuth{Username: user, Password: password}
	return fleet.Config{Name: name, PTAF: c}
}

func (s *setup) policy() *remediator.Policy { return &s.act.Policies[0] }

// change changes the probe's module.
func (s *setup) change(f func(*probe.Module)) {
	m := s.read.Modules["health"]
	f(&m)
	s.read.Modules["health"] = m
}

// A site is Sluice at work: the real remediator on real clients. Its claims come
// by webhook, as Alertmanager would send them.
type site struct {
	t     *testing.T
	fleet *fleet.Fleet
	set   setup
	r     *remediator.Remediator
	said  *record // all that was logged, and all calls to devices
}

// start runs a setup until the test's end.
func (s setup) start(t *testing.T) *site {
	t.Helper()
	w := &site{t: t, set: s, said: &record{}}
	var err error
	if w.fleet, err = fleet.New(s.devices, fleet.Options{Write: true, Trace: w.said.call}); err != nil {
		t.Fatal(err)
	}
	if m := w.set.read.Validate(w.fleet.Names()); len(m) > 0 {
		t.Fatal(m)
	}
	var probes []string
	var checks []remediator.Check
	for _, p := range w.set.read.Probes {
		probes = append(probes, p.Name)
		checks = append(checks, newCheck(t, w.set.read.Modules[p.Module], p))
	}
	if m := w.set.act.Validate(w.fleet.Names(), probes); len(m) > 0 {
		t.Fatal(m)
	}
	devices := map[string]remediator.Device{}
	for _, d := range w.fleet.Devices() {
		devices[d.Name()] = d
	}
	w.r, err = remediator.New(remediator.Options{
		Config: &w.set.act, Devices: devices, Checks: checks, Images: s.images,
		Authenticated: true, // nothing but the test reaches the handler
		Logger:        log.NewLogfmtLogger(w.said),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, w.r.Close()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(w.said.String())
		}
	})
	return w
}

// A check asks members for the remediator by one probe of the configuration, as
// the program has it.
type check struct {
	exporter.Probe
	module probe.Module
	prober probe.Prober
}

func newCheck(t *testing.T, m probe.Module, p exporter.Probe) *check {
	t.Helper()
	prober, err := probe.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return &check{p, m, prober}
}

func (c *check) Name() string            { return c.Probe.Name }
func (c *check) Interval() time.Duration { return time.Duration(c.Probe.Interval) }
func (c *check) Rise() int               { return c.Probe.Rise }

// Ask is [remediator.Check]'s.
func (c *check) Ask(ctx context.Context, s edge.State) guard.Evidence {
	target, err := c.MemberTarget(c.module, s)
	if err != nil {
		return guard.Evidence{Source: "probe:" + c.Name(), At: time.Now(), Reason: "target", Detail: err.Error()}
	}
	r := c.prober.Probe(ctx, target)
	e := guard.Evidence{
		Source: "probe:" + c.Name(), Answer: r.Answer(), At: r.Start.Add(r.Duration), Duration: r.Duration,
		Reason: string(r.Reason), Detail: r.Detail, Body: string(r.Body),
	}
	if !r.Up && ctx.Err() != nil {
		e.Answer = edge.Unknown
	}
	return e
}

func at(device, pool, name string) edge.Member {
	return edge.Member{Device: device, Pool: pool, Name: name}
}

// onShop is a member of the pool that most tests have.
func onShop(m *member) edge.Member { return at(waf, shop, m.address) }

// claim sends what Alertmanager would: an alert on each of those members fires,
// or has ended. Each is an episode of its own.
func (w *site) claim(firing bool, members ...edge.Member) {
	w.t.Helper()
	type alert struct {
		Status   string            `json:"status"`
		Labels   map[string]string `json:"labels"`
		StartsAt time.Time         `json:"startsAt"`
		EndsAt   time.Time         `json:"endsAt"`
	}
	var alerts []alert
	for _, m := range members {
		a := alert{Status: "firing", StartsAt: time.Now(), Labels: map[string]string{
			"alertname": "MemberFailing", "device": m.Device, "pool": m.Pool, "member": m.Name, "remediation": "drain",
		}}
		if !firing {
			a.Status, a.EndsAt = "resolved", time.Now()
		}
		alerts = append(alerts, a)
	}
	body, err := json.Marshal(map[string]any{"version": "4", "receiver": "sluice", "groupKey": "{}", "alerts": alerts})
	if err != nil {
		w.t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	w.r.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body)))
	if answer.Code != http.StatusOK {
		w.t.Fatalf("webhook: %d %s", answer.Code, answer.Body)
	}
}

// steps are the journal's entries, by the API that people read.
func (w *site) steps() []journal.Entry {
	w.t.Helper()
	answer := httptest.NewRecorder()
	w.r.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/v1/steps?limit=10000&images=1", nil))
	var got struct {
		Data struct{ Steps []journal.Entry }
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code != http.StatusOK {
		w.t.Fatalf("steps: %d %v %s", answer.Code, err, answer.Body)
	}
	return got.Data.Steps
}

// results are a member's steps, in order: "drain applied", "foreign/taken_out".
func (w *site) results(m edge.Member) (out []string) {
	w.t.Helper()
	for _, e := range w.steps() {
		if e.Member != nil && *e.Member == m && result(e) != "" {
			out = append(out, result(e))
		}
	}
	return out
}

func result(e journal.Entry) string {
	switch {
	case e.Guard != "":
		return e.Guard + "/" + e.Reason
	case e.Result != "":
		return e.Admin + " " + e.Result
	}
	return ""
}

// recorded waits for an entry on a member and returns it.
func (w *site) recorded(m edge.Member, want string) (found journal.Entry) {
	w.t.Helper()
	await(w.t, fmt.Sprintf("a record %q on %s", want, m), func() bool {
		steps := w.steps()
		i := slices.IndexFunc(steps, func(e journal.Entry) bool { return e.Member != nil && *e.Member == m && result(e) == want })
		if i >= 0 {
			found = steps[i]
		}
		return i >= 0
	})
	return found
}

// await waits for something that is going to happen.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A record is all that Sluice said aloud.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write takes in a line of the log.
func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

// call takes in a call to a device, which the program logs and counts.
func (r *record) call(c fleet.Call) {
	fmt.Fprintf(r, "device=%s command=%q code=%d err=%v\n", c.Device, c.Command, c.Code, c.Err)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
