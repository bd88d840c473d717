// Package rig starts the closed loop on real parts: toy members, HAProxy,
// exporter, Prometheus, Alertmanager, remediator, on free ports of loopback and
// with all their files in one scratch folder. What it starts it ends.
//
// Prometheus and Alertmanager run on the examples and rules that are shipped in
// alerts/, so a mistake there fails whatever uses the rig.
package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/test/loopback"
)

const (
	pollEvery   = 20 * time.Millisecond
	readyWithin = 30 * time.Second
)

// Options say how the loop is set. The zero value of each field takes the
// default that is written beside it.
type Options struct {
	Sluice string // the program under test; see Build

	LogLevel string // of exporter and remediator; info

	Members   int  // toy members, named app1, app2, ...; 3
	OwnChecks bool // also the pool Own: the same members under HAProxy's own checks
	Second    bool // also the pool Second, whose app1 tracks that of Pool
	Weight    int  // of each member of Pool on HAProxy; 10
	Wire      bool // put a Wire between Sluice and HAProxy
	WAF       bool // a simulated PTAF too, in front of the same members
	WAFPro    bool // a simulated PTAF PRO too
	ReadOnly  bool // the PTAF PRO refuses to switch backends
	Standby   bool // one member more, that is out everywhere: a way round the pools

	Balance string // HAProxy's way to share among the members of Pool; roundrobin
	Check   string // HAProxy's own check of the members of Pool, such as "check inter 1s"; none
	Away    *Away  // the exporter runs in another network; nil: with all other parts
	Gateway bool   // one server more, behind no pool, that self_check asks
	Detour  bool   // put a Detour before the exporter, and before who scrapes it

	Interval     time.Duration // of the probe; 1s. Three bad results are a verdict
	FastRetry    time.Duration // 250ms
	ProbeTimeout time.Duration // 300ms
	Scrape       time.Duration // scrape and evaluation interval of Prometheus; 1s
	Resend       time.Duration // see newPrometheus; 1m, as Prometheus has it
	Shipped      bool          // Prometheus keeps the intervals of alerts/prometheus.yml; Scrape means nothing then
	Rules        string        // text of one more file of rules
	Routes       []string      // one matcher each: alerts that go to the remediator as those of the first route do

	Mode       string        // auto
	Poll       time.Duration // how often Alertmanager is asked without a hint; 15s
	To         string        // drain
	MinServing string        // 1
	MaxHeld    int           // 1
	HoldDown   time.Duration // 1s
	Query      string        // when set: confirm by Prometheus, with this query
	Claims     []string      // entries of remediation.claims, each one line of YAML
	Policies   []string      // further policies, each one line of YAML; {{.StandbyAddress}} stands for the standby's
	Keys       []string      // further keys of the policy, each one line of YAML
	Section    []string      // further keys of the section remediation, each one line of YAML
}

func (o Options) withDefaults() Options {
	o.LogLevel = cmp.Or(o.LogLevel, "info")
	o.Members = cmp.Or(o.Members, 3)
	o.Weight = cmp.Or(o.Weight, 10)
	o.Balance = cmp.Or(o.Balance, "roundrobin")
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.FastRetry = cmp.Or(o.FastRetry, 250*time.Millisecond)
	o.ProbeTimeout = cmp.Or(o.ProbeTimeout, 300*time.Millisecond)
	o.Scrape = cmp.Or(o.Scrape, time.Second)
	o.Resend = cmp.Or(o.Resend, time.Minute)
	o.Mode = cmp.Or(o.Mode, "auto")
	o.Poll = cmp.Or(o.Poll, 15*time.Second)
	o.To = cmp.Or(o.To, "drain")
	o.MinServing = cmp.Or(o.MinServing, "1")
	o.MaxHeld = cmp.Or(o.MaxHeld, 1)
	o.HoldDown = cmp.Or(o.HoldDown, time.Second)
	return o
}

// A Rig is the whole loop, running.
type Rig struct {
	Dir    string // all files; removed by Stop
	Config string // sluice.yml

	Members      []*Member
	Standby      *Member // nil unless asked for
	Gateway      *Member // nil unless asked for
	HAProxy      *HAProxy
	WAF          *WAF    // nil unless asked for
	WAFPro       *WAFPro // nil unless asked for
	Wire         *Wire   // nil unless asked for
	Detour       *Detour // nil unless asked for
	Exporter     *Sluice
	Remediator   *Sluice
	Webhooks     *Tap // between Alertmanager and remediator
	People       *Tap // what people would be told
	Alertmanager *Alertmanager
	Prometheus   *Prometheus
	Grafana      *Grafana // nil until StartGrafana
}

// Start starts all parts and waits until each is ready. When it fails, nothing
// of it is left running.
func Start(ctx context.Context, o Options) (*Rig, error) {
	dir, err := os.MkdirTemp("", "sluice-")
	if err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir, Config: filepath.Join(dir, "sluice.yml")}
	if err := r.start(ctx, o.withDefaults()); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, o Options) error {
	root, err := Root()
	if err != nil {
		return err
	}
	binary, err := filepath.Abs(o.Sluice)
	if err != nil {
		return err
	}
	for i := range o.Members {
		m, err := newMemberOn(o.Away.members(), fmt.Sprintf("app%d", i+1))
		if err != nil {
			return err
		}
		r.Members = append(r.Members, m)
	}
	if o.Standby {
		if r.Standby, err = NewMember("standby"); err != nil {
			return err
		}
	}
	if o.Gateway {
		if r.Gateway, err = newMemberOn(o.Away.members(), "gateway"); err != nil {
			return err
		}
	}
	if r.HAProxy, err = newHAProxy(r.Dir, r.Members, r.Standby, o); err != nil {
		return err
	}
	if o.WAF {
		if r.WAF, err = newWAF(r.Members, r.Standby); err != nil {
			return err
		}
	}
	if o.WAFPro {
		if r.WAFPro, err = newWAFPro(r.Members, r.Standby, o.ReadOnly); err != nil {
			return err
		}
	}
	exporterConfig := r.Config
	if o.Detour {
		if r.Detour, err = newDetour(); err != nil {
			return err
		}
		exporterConfig = filepath.Join(r.Dir, "exporter.yml")
	}
	if r.Exporter, err = newSluice("exporter", binary, r.Dir, exporterConfig, o.LogLevel); err != nil {
		return err
	}
	if err := r.Exporter.move(o.Away); err != nil {
		return err
	}
	if r.Remediator, err = newSluice("remediator", binary, r.Dir, r.Config, o.LogLevel); err != nil {
		return err
	}
	r.Remediator.args = append(r.Remediator.args, "--web.external-url="+r.Remediator.URL)
	if r.Webhooks, err = newTap(r.Remediator.URL); err != nil {
		return err
	}
	if r.People, err = newTap(""); err != nil {
		return err
	}
	if r.Alertmanager, err = newAlertmanager(r.Dir, root, r.Webhooks.Address, r.People.Address, o.Routes); err != nil {
		return err
	}
	places := map[string]string{"9101": r.Exporter.Address, "11011": r.Remediator.Address, "9093": r.Alertmanager.Address}
	if r.Prometheus, err = newPrometheus(r.Dir, root, places, r.Detour, o); err != nil {
		return err
	}
	socket := r.HAProxy.Socket
	if o.Wire {
		if r.Wire, err = newWire(filepath.Join(r.Dir, "wire.sock"), socket); err != nil {
			return err
		}
		socket = r.Wire.Socket
	}
	if err := r.writeConfig(socket, o); err != nil {
		return err
	}

	// What is asked is up before those that ask.
	for _, part := range []interface{ Start(context.Context) error }{
		r.HAProxy, r.Exporter, r.Alertmanager, r.Remediator, r.Prometheus,
	} {
		if err := part.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Settle waits until the loop is closed: Prometheus knows every member as
// healthy, and knows its Alertmanager. Until then it throws alerts away; seen on
// 2.42, which looks for its Alertmanagers five seconds after its start.
func (r *Rig) Settle(ctx context.Context) error {
	return Await(ctx, readyWithin, "the loop to be closed", func(ctx context.Context) error {
		for _, p := range r.pools() {
			up, err := r.Prometheus.Vector(ctx, fmt.Sprintf(`sluice_probe_up{device=%q,pool=%q} == 1`, p.Device, p.Name))
			if err != nil {
				return err
			}
			if len(up) < len(r.Members) {
				return fmt.Errorf("prometheus knows %d of %d members of %s as healthy", len(up), len(r.Members), p)
			}
		}
		known, err := r.Prometheus.API.AlertManagers(ctx)
		if err == nil && len(known.Active) == 0 {
			err = errors.New("prometheus knows no Alertmanager")
		}
		return err
	})
}

// pools are all that Sluice looks after.
func (r *Rig) pools() []edge.Pool {
	out := []edge.Pool{{Device: Device, Name: Pool}}
	if r.WAF != nil {
		out = append(out, edge.Pool{Device: WAFDevice, Name: WAFUpstream})
	}
	if r.WAFPro != nil {
		out = append(out, edge.Pool{Device: WAFProDevice, Name: WAFProProfile}, edge.Pool{Device: WAFProDevice, Name: WAFProOther})
	}
	return out
}

// Member returns the member of that name.
func (r *Rig) Member(name string) *Member {
	for _, m := range r.Members {
		if m.Name == name {
			return m
		}
	}
	panic("the rig has no member " + name)
}

// processes are in the order in which they are ended: who asks goes first.
func (r *Rig) processes() []*Process {
	var out []*Process
	if r.Grafana != nil {
		out = append(out, r.Grafana.Process)
	}
	if r.Prometheus != nil {
		out = append(out, r.Prometheus.Process)
	}
	if r.Alertmanager != nil {
		out = append(out, r.Alertmanager.Process)
	}
	for _, s := range []*Sluice{r.Remediator, r.Exporter} {
		if s != nil {
			out = append(out, s.Process)
		}
	}
	if r.HAProxy != nil {
		out = append(out, r.HAProxy.Process)
	}
	return out
}

// Stop ends all parts and removes their files. It returns what didn't end well.
func (r *Rig) Stop() error {
	var errs []error
	for _, p := range r.processes() {
		errs = append(errs, p.Stop())
	}
	for _, t := range []*Tap{r.Webhooks, r.People} {
		if t != nil {
			errs = append(errs, t.close())
		}
	}
	if r.Wire != nil {
		errs = append(errs, r.Wire.close())
	}
	if r.Detour != nil {
		errs = append(errs, r.Detour.close())
	}
	if r.WAF != nil {
		errs = append(errs, r.WAF.close())
	}
	if r.WAFPro != nil {
		errs = append(errs, r.WAFPro.close())
	}
	for _, m := range append([]*Member{r.Standby, r.Gateway}, r.Members...) {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(r.Dir))...)
}

// Logs returns the last lines of every part, for a failed test.
func (r *Rig) Logs(lines int) string {
	var out strings.Builder
	for _, p := range r.processes() {
		if p.cmd != nil {
			fmt.Fprintf(&out, "--- %s\n%s\n", p.Name, p.Log(lines))
		}
	}
	return out.String()
}

// given are the ports that this process has handed out: one that is free again
// because its server is down for a moment must not go to another.
var given struct {
	sync.Mutex
	ports map[string]bool
}

// listen listens on a port that was never handed out before.
func listen() (net.Listener, error) { return listenOn(loopback.Host) }

// listenOn is listen for an address of this machine.
func listenOn(host string) (net.Listener, error) {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = make(map[string]bool)
	}
	for {
		ln, err := loopback.ListenOn(host)
		if err != nil {
			return nil, err
		}
		if own := ln.Addr().String(); !given.ports[own] {
			given.ports[own] = true
			return ln, nil
		}
		if err := ln.Close(); err != nil {
			return nil, err
		}
	}
}

// address returns such a port for a server that wants to listen by itself.
func address() (string, error) {
	ln, err := listen()
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
