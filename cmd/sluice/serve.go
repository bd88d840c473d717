package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// serve runs the website and the other parts until one of them ends or we are
// told to stop, by SIGTERM or Ctrl-C.
func serve(web *website, logger log.Logger, actors ...actor) error {
	var g run.Group
	stopping := make(chan struct{}) // the first to be interrupted, so that the time counts from there
	g.Add(func() error { <-stopping; return nil }, func(error) { close(stopping) })
	g.Add(run.SignalHandler(context.Background(), os.Interrupt, syscall.SIGTERM))
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
