package main

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/go-kit/log"
	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
)

// A signal that comes before anybody waits for it must be kept: a server may
// answer before the goroutine that waits has run.
func TestASignalThatComesEarlyIsHeard(t *testing.T) {
	wait, _ := untilTold()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := wait(); !errors.Is(err, run.ErrSignal) {
		t.Errorf("ended with %v, want %v", err, run.ErrSignal)
	}
}

func TestAHangupThatComesEarlyReloads(t *testing.T) {
	l, err := load("testdata/good/whole.yml")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	keep := newKeeper(l, log.NewNopLogger(), prometheus.NewRegistry(), func(*loaded) error {
		cancel()
		return nil
	})
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := keep.onHangup(ctx); err != nil { // ends because it has reloaded
		t.Error(err)
	}
}
