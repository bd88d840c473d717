package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
	"github.com/sluice-project/sluice/test/rig/figures"
)

// blackbox is blackbox_exporter's program, as Debian's package calls it.
const blackbox = "prometheus-blackbox-exporter"

// probeTimeout is of one probe, for all probers alike.
const probeTimeout = time.Second

// A bench holds the targets, in a process of their own, and what the probers need.
type bench struct {
	binary  string
	module  []string // further lines of the module's section http
	self    string   // this program, which is also the targets and the loads
	dir     string
	targets *rig.Process
	port    string // of targets that answer
	hung    string // of targets that don't
	control string
}

// A task is what one prober has to do, and for how long it is watched.
type task struct {
	part     string
	targets  int
	hang     int // of them, every so manyth hangs; 0: none
	interval time.Duration
	watch    time.Duration
	passes   int // of all probers in turn; 0: one
}

func (t task) String() string {
	text := fmt.Sprintf("%s at %v", figures.Thousands(t.targets), t.interval)
	if t.hang > 0 {
		text += fmt.Sprintf(", %d %% hang", 100/t.hang)
	}
	return text
}

// hanging is how many of the targets hang.
func (t task) hanging() int {
	if t.hang == 0 {
		return 0
	}
	return (t.targets + t.hang - 1) / t.hang
}

// A result is what one prober did, and what that cost.
type result struct {
	who    string
	task   task
	seen   Seen
	cpu    time.Duration // while it was watched
	memory int64         // peak, from its start on, bytes
	file   int64         // of it, what the program's own file takes

	verdicts, hangVerdicts *Verdicts // Sluice's
	lag                    float64   // p99 by Sluice's own count, seconds; 0: not known
	late, skipped, ignored float64
	goroutines             float64
	scraped                *Scraped // blackbox_exporter's
}

// perProbe is CPU for each request that reached a target.
func (r *result) perProbe() time.Duration {
	if r == nil || r.seen.Probes == 0 {
		return 0
	}
	return r.cpu / time.Duration(r.seen.Probes)
}

func (r *result) rate() float64 { return float64(r.seen.Probes) / r.seen.Seconds }

func startBench(ctx context.Context, binary string, module []string) (b *bench, err error) {
	b = &bench{module: module}
	if b.binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, port := range []*string{&b.port, &b.hung, &b.control} {
		address, err := loopback.Address()
		if err != nil {
			return nil, err
		}
		if _, *port, err = net.SplitHostPort(address); err != nil {
			return nil, err
		}
	}
	b.control = "127.0.0.1:" + b.control
	if b.dir, err = os.MkdirTemp("", "sluice-"); err != nil {
		return nil, err
	}
	if b.targets, err = rig.NewProgram("targets", b.dir, b.self, targetsCommand, b.port, b.hung, b.control); err == nil {
		err = b.targets.StartWeb(ctx, "http://"+b.control+"/")
	}
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *bench) stop() error {
	var err error
	if b.targets != nil {
		err = b.targets.Stop()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// urls are all targets of a task.
func (b *bench) urls(t task) []string {
	all := make([]string, t.targets)
	for i := range all {
		port := b.port
		if t.hang > 0 && i%t.hang == 0 {
			port = b.hung
		}
		all[i] = targetURL(i, port)
	}
	return all
}

// load writes what the processes of this program have to do.
func (b *bench) load(t task, blackbox string) (string, error) {
	text, err := json.Marshal(load{Targets: b.urls(t), Interval: t.interval, Timeout: probeTimeout, Blackbox: blackbox, Hung: b.hung})
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "load.json")
	return file, os.WriteFile(file, text, 0o600)
}

// watch lets a prober that runs already get into its stride, and then measures it.
func (b *bench) watch(ctx context.Context, p *rig.Process, r *result, first, last func() error) error {
	if err := wait(ctx, r.task.interval+2*time.Second); err != nil {
		return err
	}
	if err := first(); err != nil {
		return err
	}
	if err := wait(ctx, time.Second); err != nil {
		return err
	}
	before, err := p.OnCPU()
	if err != nil {
		return err
	}
	if err := b.tell(ctx, "/begin", nil); err != nil {
		return err
	}
	if err := wait(ctx, r.task.watch); err != nil {
		return err
	}
	after, err := p.OnCPU()
	if err != nil {
		return err
	}
	r.cpu = after - before
	if err := b.tell(ctx, "/end?interval="+r.task.interval.String(), &r.seen); err != nil {
		return err
	}
	if err := last(); err != nil {
		return err
	}
	if r.memory, err = p.PeakMemory(); err != nil {
		return err
	}
	r.file, err = p.FileMemory()
	return err
}

// tell orders the targets to do something, and decodes what they say.
func (b *bench) tell(ctx context.Context, what string, answer any) error {
	status, text, err := rig.Do(ctx, http.MethodPost, "http://"+b.control+what, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("targets: %s: status %d: %s", what, status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

func nothing() error { return nil }

// sluice measures the program under test. It is scraped before and after.
func (b *bench) sluice(ctx context.Context, t task) (r *result, err error) {
	config := filepath.Join(b.dir, "sluice.yml")
	text := fmt.Sprintf("modules:\n  page:\n    prober: http\n    timeout: %v\n", probeTimeout)
	if len(b.module) > 0 {
		text += "    http:\n      " + strings.Join(b.module, "\n      ") + "\n"
	}
	text += fmt.Sprintf("probes:\n  - name: bench\n    module: page\n    interval: %v\n    targets:\n", t.interval)
	text += "      - " + strings.Join(b.urls(t), "\n      - ") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	address, err := loopback.Address()
	if err != nil {
		return nil, err
	}
	p, err := rig.NewProgram("exporter", b.dir, b.binary, "exporter",
		"--config.file="+config, "--web.listen-address="+address, "--log.level=warn")
	if err != nil {
		return nil, err
	}
	base := "http://" + address
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := p.StartWeb(ctx, base+"/-/ready"); err != nil {
		return nil, err
	}
	r = &result{who: whoSluice, task: t}
	var before, after snapshot
	err = b.watch(ctx, p, r,
		func() (err error) { before, err = look(ctx, base); return err },
		func() (err error) { after, err = look(ctx, base); return err })
	if err != nil {
		return nil, err
	}
	healthy, hanging := after.of(b.port, t.targets-t.hanging()), after.of(b.hung, t.hanging())
	if early := before.of(b.port, t.targets-t.hanging()); early.Down > healthy.Down {
		healthy.Down = early.Down // a verdict that was false for a while is false
	}
	r.verdicts, r.hangVerdicts = &healthy, &hanging
	r.lag, _ = lag(before, after)
	during := func(name string) float64 { return after.value(name) - before.value(name) }
	r.late, r.skipped = during("sluice_probe_late_total"), during("sluice_probe_skipped_total")
	r.ignored = during("sluice_probe_ignored_total")
	r.goroutines = after.value("go_goroutines")
	return r, nil
}

// loop measures the bare loop.
func (b *bench) loop(ctx context.Context, t task) (r *result, err error) {
	file, err := b.load(t, "")
	if err != nil {
		return nil, err
	}
	p, err := rig.NewProgram("loop", b.dir, b.self, loopCommand, file)
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	r = &result{who: whoLoop, task: t}
	return r, b.watch(ctx, p, r, nothing, nothing)
}

// blackbox measures blackbox_exporter. What scrapes it isn't counted.
func (b *bench) blackbox(ctx context.Context, t task) (r *result, err error) {
	config := filepath.Join(b.dir, "blackbox.yml")
	text := fmt.Sprintf("modules:\n  http_2xx:\n    prober: http\n    timeout: %v\n    http: {preferred_ip_protocol: ip4}\n", probeTimeout)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	address, err := loopback.Address()
	if err != nil {
		return nil, err
	}
	base := "http://" + address
	p, err := rig.NewProgram("blackbox", b.dir, blackbox,
		"--config.file="+config, "--web.listen-address="+address, "--log.level=error")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := p.StartWeb(ctx, base+"/-/healthy"); err != nil {
		return nil, err
	}
	file, err := b.load(t, base)
	if err != nil {
		return nil, err
	}
	scraper, err := rig.NewProgram("prometheus", b.dir, b.self, prometheusCommand, file)
	if err != nil {
		return nil, err
	}
	if err := scraper.Start(); err != nil {
		return nil, err
	}
	r = &result{who: whoBlackbox, task: t, scraped: &Scraped{}}
	err = b.watch(ctx, p, r, nothing, nothing)
	if err := errors.Join(err, scraper.Stop()); err != nil {
		return nil, err
	}
	return r, json.Unmarshal([]byte(scraper.Log(1)), r.scraped)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
