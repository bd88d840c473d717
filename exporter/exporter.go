// Package exporter is the read side: it probes members and targets on its own
// schedule, asks devices when it is scraped, and serves what it found as
// metrics. It changes nothing anywhere.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter/collect"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/exporter/schedule"
)

// Options are what an exporter is made of.
type Options struct {
	Logger   log.Logger           // nil: none
	Registry *prometheus.Registry // metrics of the program itself, served with the others; nil: none
	Config   *Config              // validated
	Fleet    *fleet.Fleet
	// ExternalPath stands before the links of the landing page: the path under
	// which users reach the server, without a slash at the end.
	ExternalPath string
	Workers      int // probes under way at most; 0: the scheduler's default
}

// An Exporter probes, collects and serves. Make it with [New]; it probes while
// [Exporter.Run] runs, and serves at any time.
type Exporter struct {
	logger    log.Logger
	registry  *prometheus.Registry
	external  string
	scheduler *schedule.Scheduler
	renewed   chan struct{} // that current is another one
	asking    atomic.Int64  // probes of /probe that are under way

	mu      sync.Mutex
	current *generation
}

// A generation is what follows from one configuration.
type generation struct {
	config  *Config
	probers map[string]probe.Prober // by module
	devices []*source               // by name
}

// New builds an exporter; it dials nothing.
func New(o Options) (*Exporter, error) {
	e := &Exporter{
		logger: o.Logger, registry: o.Registry, external: o.ExternalPath,
		renewed: make(chan struct{}, 1),
	}
	if e.logger == nil {
		e.logger = log.NewNopLogger()
	}
	if e.registry == nil {
		e.registry = prometheus.NewRegistry()
	}
	e.scheduler = schedule.New(schedule.Options{Workers: o.Workers, Logger: e.logger, Registry: e.registry})
	if err := e.Apply(o.Config, o.Fleet); err != nil {
		return nil, err
	}
	return e, nil
}

// Apply puts another configuration in force, or returns an error and leaves all
// as it was. Verdicts of targets that are asked the same question live on, and
// members that a device listed are probed until it has been read again.
func (e *Exporter) Apply(c *Config, f *fleet.Fleet) error {
	next := &generation{config: c, probers: make(map[string]probe.Prober)}
	for name, m := range c.Modules {
		p, err := probe.New(m)
		if err != nil && m.Unserved() != "" && !c.uses(name) {
			continue // it fails when somebody asks for it
		}
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		next.probers[name] = p
	}
	for _, d := range f.Devices() {
		collector, err := collect.New(d)
		if err != nil {
			return err
		}
		next.devices = append(next.devices, newSource(collector, c.covers(d.Name())))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	last := e.current
	if last != nil {
		next.inherit(last)
	}
	e.current = next
	e.scheduler.SetMaxLag(c.maxLag())
	e.scheduler.Set(e.checks(next))
	if last != nil {
		last.letGo()
	}
	select {
	case e.renewed <- struct{}{}:
	default: // Run hasn't taken up the last one yet
	}
	return nil
}

// letGo closes the connections that probers keep. Probes that are under way
// have their answers all the same.
func (g *generation) letGo() {
	for _, p := range g.probers {
		if c, ok := p.(io.Closer); ok {
			_ = c.Close() // nothing was sent that could be lost
		}
	}
}

func (e *Exporter) generation() *generation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current
}

// Run probes until ctx ends, and returns nil then. Afterwards devices are not
// asked any more, whoever scrapes.
func (e *Exporter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer func() {
		cancel()
		parts.Wait()
		last := e.generation()
		last.letGo()
		for _, s := range last.devices {
			s.Close() // older ones have no more than a read that ends by itself
		}
	}()
	failed := make(chan error, 1)
	parts.Go(func() { failed <- e.scheduler.Run(ctx) })
	for {
		select {
		case <-e.renewed: // taken up now
		default:
		}
		g := e.generation()
		discovery, stop := context.WithCancel(ctx)
		parts.Go(func() { e.discover(discovery, g) })
		select {
		case <-e.renewed:
			stop()
		case err := <-failed:
			stop()
			if ctx.Err() == nil {
				return errors.Join(errScheduler, err)
			}
			return nil
		case <-ctx.Done():
			stop()
			return nil
		}
	}
}

var errScheduler = errors.New("the scheduler of probes ended by itself")
