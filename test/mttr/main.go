// Command mttr measures how long a dead member stays in rotation: each hop of
// the loop apart, for a member that refuses and for one that hangs, and beside
// it what HAProxy's own health check takes for the very same death.
//
// Both count three bad results. Prometheus scrapes and evaluates each second.
// When a rule group is evaluated after a scrape is fixed by a hash of names and
// addresses, so the whole loop is started anew, on other ports, every few kills:
// a single start would measure its own luck.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/test/rig"
)

const (
	killsPerStart = 5
	outWithin     = 30 * time.Second
	quietWithin   = 60 * time.Second
)

func main() {
	kills := flag.Int("kills", 20, "How often a member dies in each way.")
	binary := flag.String("sluice", "bin/sluice", "The program to measure.")
	flag.Parse()
	if err := measure(*binary, *kills); err != nil {
		fmt.Fprintln(os.Stderr, "mttr:", err)
		os.Exit(1)
	}
}

func measure(binary string, kills int) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	fmt.Printf("Kill to out of rotation, %d kills each, in seconds. Scrape and evaluation 1s; probe: interval 1s,\n", kills)
	fmt.Println("fast_retry 250ms, fall 3, timeout 300ms. HAProxy's own: check inter 1s fall 3, HTTP.")
	for _, way := range []struct {
		name string
		be   rig.Behaviour
	}{
		{"refuses", rig.Refuse},
		{"hangs", rig.Hang},
	} {
		var deaths []death
		for left := kills; left > 0; left -= killsPerStart {
			some, err := round(ctx, binary, min(left, killsPerStart), way.be)
			if err != nil {
				return fmt.Errorf("a member that %s: %w", way.name, err)
			}
			deaths = append(deaths, some...)
		}
		fmt.Printf("\nThe member %s\n\n", way.name)
		table(os.Stdout, deaths)
	}
	return nil
}

// A death is what was seen of one kill.
type death struct {
	at   time.Time
	hops [rig.Hops]time.Time
	own  time.Time // when HAProxy's own check had taken it out of its pool
}

// round starts the loop and kills its members in turn.
func round(ctx context.Context, binary string, kills int, be rig.Behaviour) (deaths []death, err error) {
	r, err := rig.Start(ctx, rig.Options{
		Sluice: binary, OwnChecks: true,
		// The same few members die again and again: what is there against that is left out.
		Section: []string{"brake: {off: true}", "damping: {off: true}", "budget: {steps: 10000}"},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, r.Logs(15))
		}
		err = errors.Join(err, r.Stop())
	}()
	if err := r.Settle(ctx); err != nil {
		return nil, err
	}
	for i := range kills {
		if err := quiet(ctx, r); err != nil {
			return nil, err
		}
		// At any moment of a scrape, an evaluation and a probe.
		if err := wait(ctx, rand.N(time.Second)); err != nil {
			return nil, err
		}
		d, err := kill(ctx, r, r.Members[i%len(r.Members)], be)
		if err != nil {
			return nil, err
		}
		deaths = append(deaths, d)
	}
	return deaths, nil
}

func kill(ctx context.Context, r *rig.Rig, m *rig.Member, be rig.Behaviour) (death, error) {
	ctx, cancel := context.WithTimeout(ctx, outWithin)
	defer cancel()
	d := death{at: time.Now()}
	if err := m.Set(be); err != nil {
		return d, err
	}
	g, watch := errgroup.WithContext(ctx)
	g.Go(func() error {
		return r.WatchFailure(watch, m.Name, d.at, func(h rig.Hop, at time.Time) { d.hops[h] = at })
	})
	g.Go(func() (err error) {
		d.own, err = rig.Every(watch, 5*time.Millisecond, func(ctx context.Context) error {
			s, err := r.HAProxy.Server(ctx, rig.Own, m.Name)
			if err == nil && s.Op != 0 {
				err = fmt.Errorf("HAProxy's own check still trusts %s", m.Name)
			}
			return err
		})
		return err
	})
	return d, errors.Join(g.Wait(), m.Set(rig.Serve))
}

// quiet waits until nothing of the last kill is left, in either pool.
func quiet(ctx context.Context, r *rig.Rig) error {
	if err := r.Quiet(ctx, quietWithin); err != nil {
		return err
	}
	return rig.Await(ctx, quietWithin, "HAProxy's own checks to trust all members", func(ctx context.Context) error {
		for _, m := range r.Members {
			s, err := r.HAProxy.Server(ctx, rig.Own, m.Name)
			if err == nil && s.Op != 2 {
				err = fmt.Errorf("%s has srv_op_state %d", m.Name, s.Op)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
