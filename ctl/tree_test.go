package ctl

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What a shell has started holds its output open: run comes back when all of it is gone.
func TestTheSecondSignalEndsWhatTheCommandStarted(t *testing.T) {
	t.Setenv("SHELL", "")
	again := make(chan struct{})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		line := Command{`trap '' INT TERM HUP; (sh -c 'echo begun; while :; do sleep 1000; done'); exit 0`}
		done <- line.run(ctx, Member{}, in, in)
	}()
	begun := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(out, begun); err != nil || string(begun) != "begun\n" {
		t.Fatalf("%q, %v", begun, err)
	}
	cancel(&Interruption{Signal: syscall.SIGTERM, again: again})
	close(again)
	if err := <-done; !errors.Is(err, ErrCommand) || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
}

// The first signal is for all of the command: a shell that ends by it leaves nothing
// behind that goes on with the restart.
func TestTheFirstSignalReachesWhatTheCommandStarted(t *testing.T) {
	t.Setenv("SHELL", "")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		line := Command{`sh -c 'echo begun; exec sleep 1000'; exit 0`}
		done <- line.run(ctx, Member{}, in, in)
	}()
	begun := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(out, begun); err != nil {
		t.Fatal(err)
	}
	cancel(&Interruption{Signal: syscall.SIGTERM, again: make(chan struct{})})
	if err := <-done; !errors.Is(err, ErrCommand) {
		t.Error(err)
	}
}

func TestTheSecondSignalIsToldApart(t *testing.T) {
	ctx, stop := WithSignals(t.Context())
	defer stop()
	send := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	send()
	<-ctx.Done()
	why := (*Interruption)(nil)
	if !errors.As(context.Cause(ctx), &why) || why.Signal != syscall.SIGHUP {
		t.Fatal(context.Cause(ctx))
	}
	select {
	case <-why.again:
		t.Fatal("there was one only")
	default:
	}
	send()
	<-why.again
}

func TestParentsAreRead(t *testing.T) {
	for stat, want := range map[string]int{
		"7 (sh) S 3 7 7 0 -1": 3, "7 (a) b) (c) R 41 7": 41, "7 (sh": 0, "": 0, "7 (sh) S": 0, "7 (sh) S x": 0,
	} {
		if got := parentOf(stat); got != want {
			t.Errorf("%q: %d, want %d", stat, got, want)
		}
	}
	if got := tree(os.Getpid()); got[0] != os.Getpid() {
		t.Errorf("%v", got)
	}
}
