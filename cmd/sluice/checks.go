package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter"
	"github.com/sluice-project/sluice/exporter/probe"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/guard"
)

// A check asks members by one probe of the configuration, for the remediator,
// which knows no prober. It asks anew each time: what the exporter found is
// the read side's, and minutes old at worst.
type check struct {
	probe  exporter.Probe
	module probe.Module
	prober probe.Prober
}

// newChecks builds one for each probe that covers members.
func newChecks(c *exporter.Config) ([]remediator.Check, error) {
	var out []remediator.Check
	for _, p := range c.Probes {
		if p.Members == nil {
			continue
		}
		module := c.Modules[p.Module]
		// Evidence is what a new client meets: a member whose old connections are
		// served on, while it takes no new ones, is not well.
		module.HTTP.KeepConnections = false
		prober, err := probe.New(module)
		if err != nil {
			return nil, fmt.Errorf("probe %s, module %s: %w", p.Name, p.Module, err)
		}
		out = append(out, &check{p, module, prober})
	}
	return out, nil
}

func (c *check) Name() string { return c.probe.Name }

func (c *check) Covers(m edge.Member) bool { return c.probe.Covers(m) }

func (c *check) Interval() time.Duration { return time.Duration(c.probe.Interval) }

func (c *check) Rise() int { return c.probe.Rise }

// Ask probes the member at the address that the device gave for it. A probe
// that could not be made, or that we ended ourselves, is no evidence either way
// (SAFETY.md I6).
func (c *check) Ask(ctx context.Context, s edge.State) (e guard.Evidence) {
	e = guard.Evidence{Source: "probe:" + c.probe.Name, At: time.Now()}
	target, err := c.probe.MemberTarget(c.module, s)
	if err != nil {
		e.Reason, e.Detail = "target", err.Error()
		return e
	}
	// A prober that panics knows nothing of the member, and ends nobody else.
	defer func() {
		if p := recover(); p != nil {
			e = guard.Evidence{Source: e.Source, At: time.Now(), Reason: "panic", Detail: "the prober broke down: this is a fault of Sluice"}
		}
	}()
	r := c.prober.Probe(ctx, target)
	for _, stage := range r.Stages {
		e.Stages = append(e.Stages, guard.Stage(stage))
	}
	e.At, e.Duration = r.Start.Add(r.Duration), r.Duration
	e.Reason, e.Detail, e.Body = string(r.Reason), r.Detail, string(r.Body)
	switch {
	case r.Up:
		e.Answer = edge.Yes
	case ctx.Err() != nil:
		e.Reason, e.Detail = "interrupted", context.Cause(ctx).Error()
	case r.Reason == probe.Unmade: // our own trouble says nothing of the member
	default:
		e.Answer = edge.No
	}
	return e
}
