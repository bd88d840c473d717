// Command storm floods the real remediator with webhooks and prints what that
// costs: how long until every message is durable, how much memory it takes, how
// many decisions it makes a second, and what a member that really fails waits
// for meanwhile. A real HAProxy is behind it; all of it stays on loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/sluice-project/sluice/test/crash/scene"
	"github.com/sluice-project/sluice/test/rig"
)

// settings bound all that is done.
type settings struct {
	sluice   string
	alerts   int // in one message
	messages int // at once
	members  int // that fail, one after the other
	judging  time.Duration
}

// whole bounds the run, whatever goes wrong.
const whole = 10 * time.Minute

func main() {
	var s settings
	flag.StringVar(&s.sluice, "sluice", "bin/sluice", "The program to measure.")
	flag.IntVar(&s.alerts, "alerts", 10_000, "Alerts in one message.")
	flag.IntVar(&s.messages, "messages", 1_000, "Messages at once.")
	flag.IntVar(&s.members, "members", 20, "Members that fail, one after the other; at least 1.")
	flag.DurationVar(&s.judging, "judging", 30*time.Second, "How long decisions are counted.")
	flag.Parse()
	s.members, s.messages = max(1, s.members), max(1, s.messages)
	if err := s.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

// A row is a line of a table.
type row []string

func (s settings) run(ctx context.Context) error {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, whole)
	defer cancel()
	fmt.Println("Alerts on members that HAProxy doesn't have; the remediator judges and refuses each.")
	fmt.Println()
	floods := []row{{"", "answers", "durable within", "peak memory", "judged", "decisions/s", "app1 drained within"}}
	for _, f := range []struct {
		name            string
		messages, alert int
	}{
		{"nothing", 0, 0},
		{fmt.Sprintf("1 message of %d", s.alerts), 1, s.alerts},
		{fmt.Sprintf("1 message of %d", s.alerts/2), 1, s.alerts / 2},
		{fmt.Sprintf("%d messages of 1", s.messages), s.messages, 1},
		{fmt.Sprintf("%d messages of %d", s.messages, max(1, s.alerts/s.messages)), s.messages, max(1, s.alerts/s.messages)},
		{"5 messages of 4000: all that it keeps", 5, 4000},
	} {
		r, err := s.flood(ctx, f.name, f.messages, f.alert)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		floods = append(floods, r)
	}
	table(os.Stdout, floods)
	fmt.Println()

	drains, err := s.drains(ctx)
	if err != nil {
		return fmt.Errorf("drains: %w", err)
	}
	table(os.Stdout, drains)
	return nil
}

func table(to io.Writer, rows []row) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range rows {
		for _, cell := range r {
			fmt.Fprintf(w, "%s\t", cell)
		}
		fmt.Fprintln(w)
	}
	w.Flush() // what is wrong with standard output shows there
}

// on starts a scene with a remediator, does what is to be done, and ends it.
func (s settings) on(ctx context.Context, o scene.Options, do func(*scene.Scene) error) (err error) {
	o.Sluice, o.LogLevel = s.sluice, "error"
	sc, err := scene.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, sc.Logs(15))
		}
		err = errors.Join(err, sc.Stop())
	}()
	if err := sc.Run(ctx); err != nil {
		return err
	}
	return do(sc)
}

// verified waits until HAProxy has the member drained, and then until the
// remediator has read that back and recorded it. It returns when either was seen.
func verified(ctx context.Context, sc *scene.Scene, member string, within time.Duration) (out, held time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	const pace = 5 * time.Millisecond
	if out, err = rig.Every(ctx, pace, sc.Want(member, rig.AdminDrain)); err != nil {
		return out, held, err
	}
	held, err = rig.Every(ctx, pace, func(ctx context.Context) error {
		holds, err := sc.Holds(ctx)
		for _, h := range holds {
			if h.Member.Name == member && h.Phase == "holding" {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("%s isn't held", member))
	})
	return out, held, err
}
