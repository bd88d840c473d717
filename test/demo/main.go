// Command demo shows the closed loop at work: three toy members behind a real
// HAProxy and a simulated PTAF at once, a real Prometheus and Alertmanager, and
// Sluice. It kills a member and prints what each part sees, when; then it brings
// the member back.
//
//	make demo                      goes on until Ctrl-C
//	make demo DEMO_ARGS=--once     one death, one return; exit code 0 or 1
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/test/rig"
)

func main() {
	once := flag.Bool("once", false, "Kill one member, bring it back, and end.")
	binary := flag.String("sluice", "bin/sluice", "The program to show.")
	flag.Parse()
	if err := demo(*binary, *once); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo runs until it is interrupted, which is no error, or has shown it once.
func demo(binary string, once bool) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	s := newScreen(os.Stdout)
	s.say("Starting three members, HAProxy, a simulated PTAF, exporter, Alertmanager, remediator, Prometheus ...")
	o := rig.Options{
		Sluice: binary, WAF: true, MinServing: "50%", HoldDown: 2 * time.Second,
		// Whoever presses Enter often makes a storm of flapping members; here they are to come and go.
		Section: []string{"brake: {off: true}", "damping: {off: true}", "budget: {steps: 10000}"},
	}
	r, err := rig.Start(ctx, o)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	defer func() {
		s.say("\nEnding all that was started ...")
		if err = errors.Join(err, r.Stop()); err == nil {
			s.say("Ended, and nothing is left in %s.", r.Dir)
		}
	}()

	err = unlessInterrupted(ctx, show(ctx, s, r, o, once))
	if err != nil {
		fmt.Fprintln(os.Stderr, r.Logs(15))
	}
	return err
}

func show(ctx context.Context, s *screen, r *rig.Rig, o rig.Options, once bool) error {
	if err := r.Settle(ctx); err != nil {
		return err
	}
	shown := boards(ctx, s, r, o)
	addresses(s, r, shown)
	watching, enough := context.WithCancel(ctx)
	alerts := watchAlerts(watching, s, r)
	defer func() {
		enough()
		<-alerts
	}()
	traffic := rig.StartTraffic(ctx, r.HAProxy.Front, 20*time.Millisecond)
	defer traffic.Stop()
	behindWAF := rig.StartTraffic(ctx, r.WAF.Front, 20*time.Millisecond)
	defer behindWAF.Stop()
	enter := lines(ctx)
	for round := 1; ; round++ {
		victim := r.Members[round%len(r.Members)]
		if err := act(ctx, s, r, []clients{{"HAProxy", traffic}, {"PTAF", behindWAF}}, victim); err != nil {
			return err
		}
		if once {
			return nil
		}
		addresses(s, r, shown)
		s.say("\nEnter kills the next member, Ctrl-C ends the demo.")
		select {
		case <-ctx.Done():
			return nil
		case <-enter:
		}
	}
}

func addresses(s *screen, r *rig.Rig, boards [][2]string) {
	s.say("\nTo look at, while this runs:")
	for _, a := range append([][2]string{
		{"the site, through HAProxy", "http://" + r.HAProxy.Front + "/"},
		{"the site, through PTAF", "http://" + r.WAF.Front + "/"},
		{"PTAF's API (" + rig.WAFUser + ", " + rig.WAFPassword + ")", r.WAF.URL + "/upstreams"},
		{"exporter", r.Exporter.URL + "/"},
		{"remediator", r.Remediator.URL + "/"},
		{"its journal", r.Remediator.URL + "/api/v1/steps"},
		{"Prometheus, alerts", r.Prometheus.URL + "/classic/alerts"},
		{"Alertmanager, alerts", r.Alertmanager.URL + "/api/v2/alerts"},
		{"HAProxy's socket", r.HAProxy.Socket},
		{"configuration and logs", r.Dir},
	}, boards...) {
		s.say("  %-38s %s", a[0], a[1])
	}
}

// unlessInterrupted drops an error when somebody has pressed Ctrl-C: whatever
// went wrong then went wrong for that.
func unlessInterrupted(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// lines sends for each line that is typed. Where nobody can type, it never does.
func lines(ctx context.Context) <-chan struct{} {
	typed := make(chan struct{})
	go func() { // ends with the program: a read of a terminal can't be called off
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			select {
			case typed <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return typed
}
