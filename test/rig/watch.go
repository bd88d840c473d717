package rig

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Hop is a station on the way of a failure through the loop.
type Hop int

// The hops, in their order.
const (
	Verdict Hop = iota // the exporter has believed it: sluice_probe_up is 0
	Scraped            // Prometheus has that 0
	Firing             // the rule was evaluated and fires
	Claimed            // Alertmanager was told
	Hooked             // its webhook came
	Out                // HAProxy has taken the member out
	Hops               // how many there are
)

var hopNames = [...]string{"verdict", "scrape", "rule fires", "Alertmanager", "webhook", "out of rotation"}

func (h Hop) String() string { return hopNames[h] }

// How often the quick ends are asked, and so how exact their times are. The
// times of Prometheus and Alertmanager are their own.
const (
	askExporter = 25 * time.Millisecond
	askHAProxy  = 5 * time.Millisecond
)

// WatchFailure follows the failure of a member, that began at from, until the
// member is out, and tells seen of each hop once it is known. Calls of seen
// don't overlap; they come in the order in which the hops became known.
func (r *Rig) WatchFailure(ctx context.Context, member string, from time.Time, seen func(Hop, time.Time)) error {
	var mu sync.Mutex
	tell := func(h Hop, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		seen(h, at)
	}
	labels := map[string]string{"device": Device, "pool": Pool, "member": member}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		at, err := Every(ctx, askExporter, func(ctx context.Context) error {
			up, series, err := Value(ctx, r.Exporter.URL, "sluice_probe_up", labels)
			if err == nil && (series == 0 || up != 0) {
				err = fmt.Errorf("%d series of sluice_probe_up for %s, sum %v", series, member, up)
			}
			return err
		})
		if err != nil {
			return err
		}
		tell(Verdict, at)
		return r.watchAlert(ctx, member, from, tell)
	})
	g.Go(func() error {
		h, err := r.Webhooks.Next(ctx, from, fmt.Sprintf(`"member":%q`, member), `"status":"firing"`)
		if err == nil {
			tell(Hooked, h.At)
		}
		return err
	})
	g.Go(func() error {
		at, err := Every(ctx, askHAProxy, func(ctx context.Context) error {
			s, err := r.HAProxy.Server(ctx, Pool, member)
			if err == nil && s.Admin == AdminReady {
				err = fmt.Errorf("HAProxy still has %s/%s in rotation", Pool, member)
			}
			return err
		})
		if err == nil {
			tell(Out, at)
		}
		return err
	})
	return g.Wait()
}

// watchAlert follows it through Prometheus and Alertmanager, whose own times
// it takes.
func (r *Rig) watchAlert(ctx context.Context, member string, from time.Time, tell func(Hop, time.Time)) error {
	series := fmt.Sprintf(`{device=%q,pool=%q,member=%q}`, Device, Pool, member)
	firing := fmt.Sprintf(`{alertname="MemberFailing",alertstate="firing",device=%q,pool=%q,member=%q}`, Device, Pool, member)
	for _, ask := range []struct {
		hop Hop
		at  func(context.Context) (time.Time, error)
	}{
		{Scraped, func(ctx context.Context) (time.Time, error) {
			return r.Prometheus.FirstSample(ctx, "sluice_probe_up"+series, 0, from)
		}},
		{Firing, func(ctx context.Context) (time.Time, error) {
			return r.Prometheus.FirstSample(ctx, "ALERTS"+firing, 1, from)
		}},
		{Claimed, func(ctx context.Context) (time.Time, error) {
			claim, err := r.Alertmanager.Claim(ctx, member)
			return claim.UpdatedAt, err
		}},
	} {
		var at time.Time
		_, err := Every(ctx, pollEvery, func(ctx context.Context) (err error) {
			at, err = ask.at(ctx)
			return err
		})
		if err != nil {
			return err
		}
		tell(ask.hop, at)
	}
	return nil
}

// Every asks check at that pace until it returns nil, and returns when the
// question was asked that got this answer.
func Every(ctx context.Context, pace time.Duration, check func(context.Context) error) (time.Time, error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for last := error(nil); ; {
		at := time.Now()
		err := check(ctx)
		if err == nil {
			return at, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%w: %w", context.Cause(ctx), last)
		case <-tick.C:
		}
	}
}

// Quiet waits until the loop is back where [Rig.Settle] left it: every member
// is in rotation, nothing fires, Alertmanager has no claim.
func (r *Rig) Quiet(ctx context.Context, within time.Duration) error {
	return Await(ctx, within, "the loop to be quiet again", func(ctx context.Context) error {
		for _, m := range r.Members {
			if err := r.HAProxy.Want(m.Name, AdminReady)(ctx); err != nil {
				return err
			}
			if r.WAF == nil {
				continue
			}
			if err := r.WAF.Want(m, false)(ctx); err != nil {
				return err
			}
		}
		firing, err := r.Prometheus.Vector(ctx, `ALERTS{remediation!="",alertname!="Watchdog"}`)
		if err != nil {
			return err
		}
		if len(firing) > 0 {
			return fmt.Errorf("%s still fires", firing[0].Metric)
		}
		alerts, err := r.Alertmanager.Alerts(ctx)
		if err != nil {
			return err
		}
		for _, a := range alerts {
			if a.Labels["remediation"] != "" && a.Labels["alertname"] != "Watchdog" {
				return fmt.Errorf("alertmanager still has %v", a.Labels)
			}
		}
		return nil
	})
}
