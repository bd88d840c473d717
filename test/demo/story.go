package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/test/rig"
)

const (
	outWithin  = 30 * time.Second // generous: a loaded machine should not make the demo lie
	backWithin = 60 * time.Second
	calm       = 2 * time.Second // how long clients are watched after a change
)

// clients send requests through one device.
type clients struct {
	through string
	*rig.Traffic
}

// act kills a member, shows how it is taken out, brings it back and shows how
// it is given back.
func act(ctx context.Context, s *screen, r *rig.Rig, all []clients, victim *rig.Member) error {
	if err := death(ctx, s, r, all, victim); err != nil {
		return fmt.Errorf("after the death of %s: %w", victim.Name, err)
	}
	if err := recovery(ctx, s, r, all, victim); err != nil {
		return fmt.Errorf("after the return of %s: %w", victim.Name, err)
	}
	return nil
}

func death(ctx context.Context, s *screen, r *rig.Rig, all []clients, victim *rig.Member) error {
	book := &diary{rig: r}
	if err := book.skip(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := victim.Set(rig.Refuse); err != nil {
		return err
	}
	end := s.scene(start, fmt.Sprintf("%s dies: nothing listens on %s any more.", victim.Name, victim.Address))
	defer end()

	ctx, cancel := context.WithTimeout(ctx, outWithin)
	defer cancel()
	g, watch := errgroup.WithContext(ctx)
	var out, down time.Time
	g.Go(func() (err error) {
		down, err = rig.Every(watch, 10*time.Millisecond, r.WAF.Want(victim, true))
		if err == nil {
			s.saw(down, "PTAF", "%s is DOWN: one PATCH, read back; the object as it was is kept", victim.Address)
		}
		return err
	})
	g.Go(func() error {
		return r.WatchFailure(watch, victim.Name, start, func(h rig.Hop, at time.Time) {
			switch h {
			case rig.Verdict:
				s.saw(at, "exporter", "the third bad result in a row: %s counts as down", victim.Name)
			case rig.Scraped:
				s.saw(at, "Prometheus", "has scraped that: sluice_probe_up is 0")
			case rig.Hooked:
				s.saw(at, "remediator", "gets the webhook, which only wakes it: it reads Alertmanager and HAProxy and probes the pool itself")
			case rig.Out:
				out = at
				s.saw(at, "HAProxy", "%s is in drain: it gets no new traffic", victim.Name)
			}
		})
	})
	g.Go(func() error { return book.follow(watch, s) })
	g.Go(func() error {
		at, err := rig.Every(watch, 25*time.Millisecond, probed(r, "sluice_probe_success", victim, 0))
		if err == nil {
			s.saw(at, "exporter", "first bad result of its probe")
		}
		return err
	})
	for _, c := range all {
		g.Go(func() error {
			_, err := rig.Every(watch, 25*time.Millisecond, func(context.Context) error {
				visits := c.Since(start)
				if failed := rig.Failed(visits); len(failed) > 0 {
					s.saw(failed[0].Start.Add(failed[0].Took), "clients", "first error through %s: %v", c.through, failed[0].Err)
					return nil
				}
				if c.through != "HAProxy" && len(visits) > 100 {
					return nil // the WAF's proxy goes on to the next member when one refuses
				}
				return fmt.Errorf("no client has met an error")
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := wait(ctx, calm); err != nil {
		return err
	}
	for i, since := range []time.Time{out, down} {
		c := all[i]
		visits, after := c.Since(start), c.Since(since)
		s.saw(time.Now(), "clients", "through %s: %d of %d requests failed until then, %d of %d since", c.through,
			len(rig.Failed(visits))-len(rig.Failed(after)), len(visits)-len(after), len(rig.Failed(after)), len(after))
		if failed := rig.Failed(after); len(failed) > 0 {
			return fmt.Errorf("a request through %s failed %v after the member was out: %w", c.through, failed[0].Start.Sub(since), failed[0].Err)
		}
	}
	return nil
}

func recovery(ctx context.Context, s *screen, r *rig.Rig, all []clients, victim *rig.Member) error {
	book := &diary{rig: r}
	if err := book.skip(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := victim.Set(rig.Serve); err != nil {
		return err
	}
	end := s.scene(start, fmt.Sprintf("%s comes back on %s.", victim.Name, victim.Address))
	defer end()

	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	g, watch := errgroup.WithContext(ctx)
	g.Go(func() error { return book.follow(watch, s) })
	g.Go(func() error {
		at, err := rig.Every(watch, 25*time.Millisecond, probed(r, "sluice_probe_up", victim, 1))
		if err == nil {
			s.saw(at, "exporter", "the second good result in a row: %s counts as up", victim.Name)
		}
		return err
	})
	var back time.Time
	g.Go(func() (err error) {
		back, err = rig.Every(watch, 10*time.Millisecond, r.HAProxy.Want(victim.Name, rig.AdminReady))
		if err == nil {
			s.saw(back, "HAProxy", "%s is ready", victim.Name)
		}
		return err
	})
	g.Go(func() error {
		at, err := rig.Every(watch, 10*time.Millisecond, r.WAF.Want(victim, false))
		if err == nil {
			s.saw(at, "PTAF", "%s is up again, and the object as it was before", victim.Address)
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := wait(ctx, calm); err != nil {
		return err
	}
	for _, c := range all {
		visits := c.Since(start)
		answered := 0
		for _, v := range c.Since(back) {
			if v.Member == victim.Name {
				answered++
			}
		}
		s.saw(time.Now(), "clients", "through %s: %d of %d requests failed; %s has answered %d of them", c.through, len(rig.Failed(visits)), len(visits), victim.Name, answered)
		switch failed := rig.Failed(visits); {
		case len(failed) > 0:
			return fmt.Errorf("a request through %s failed after its return: %w", c.through, failed[0].Err)
		case answered == 0:
			return fmt.Errorf("%s is ready but gets no traffic through %s", victim.Name, c.through)
		}
	}
	return r.Quiet(ctx, backWithin)
}

// probed returns a check that the exporter shows that value for the member.
func probed(r *rig.Rig, metric string, m *rig.Member, want float64) func(context.Context) error {
	labels := map[string]string{"device": rig.Device, "pool": rig.Pool, "member": m.Name}
	return func(ctx context.Context) error {
		got, series, err := rig.Value(ctx, r.Exporter.URL, metric, labels)
		if err == nil && (series != 1 || got != want) {
			err = fmt.Errorf("%s of %s is %v in %d series, want %v", metric, m.Name, got, series, want)
		}
		return err
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
