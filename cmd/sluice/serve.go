package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/oklog/run"
)

// stopTime bounds how long all parts together may take to stop, a little below
// the ten seconds that are promised.
const stopTime = 9 * time.Second

var errTooLate = errors.New("some part did not stop in time")

// An actor is a part of a server that runs until ctx ends.
type actor struct {
	name string
	run  func(ctx context.Context) error
}

// untilTold is the part that ends by SIGTERM or Ctrl-C. They are asked for at once,
// and not by a goroutine later, as [run.SignalHandler] does: a server that answers
// already must not die of a signal that nobody listens to yet.
func untilTold() (execute func() error, interrupt func(error)) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	return func() error {
			defer signal.Stop(told) // a second signal ends us where we stand
			select {
			case sig := <-told:
				return &run.SignalError{Signal: sig}
			case <-done:
				return nil
			}
		}, func(error) {
			close(done)
		}
}

// serve runs the website and the other parts until one of them ends or we are
// told to stop, by SIGTERM or Ctrl-C.
func serve(web *website, logger log.Logger, actors ...actor) error {
	var g run.Group
	stopping := make(chan struct{}) // the first to be interrupted, so that the time counts from there
	g.Add(func() error { <-stopping; return nil }, func(error) { close(stopping) })
	g.Add(untilTold())
	for _, a := range actors {
		ctx, cancel := context.WithCancel(context.Background())
		g.Add(func() error {
			if err := a.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			return nil
		}, func(error) { cancel() })
	}
	g.Add(web.run, func(error) { web.stop() }) // last, because it takes its time while the others end theirs
	ended := make(chan error, 1)
	go func() { ended <- g.Run() }()

	var err error
	select {
	case err = <-ended:
	case <-stopping:
		select {
		case err = <-ended:
		case <-time.After(stopTime):
			err = errTooLate
		}
	}
	if errors.Is(err, run.ErrSignal) {
		level.Info(logger).Log("msg", "stopped", "by", err)
		return nil
	}
	return err
}
