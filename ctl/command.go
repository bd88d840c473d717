package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// An Interruption is the cause of a context that a signal ended.
type Interruption struct {
	Signal os.Signal
	again  chan struct{} // closed at the second one
}

func (i *Interruption) Error() string {
	switch i.Signal {
	case syscall.SIGTERM:
		return "interrupted by SIGTERM"
	case syscall.SIGHUP:
		return "interrupted by SIGHUP"
	}
	return "interrupted"
}

func (i *Interruption) Unwrap() error { return ErrInterrupted }

// WithSignals returns a context that ends at the first signal by which a command
// is stopped, with an [Interruption] as its cause.
func WithSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	came := make(chan os.Signal, 2)
	signal.Notify(came, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var first *Interruption
		for {
			select {
			case sig := <-came:
				if first != nil {
					close(first.again)
					return
				}
				first = &Interruption{sig, make(chan struct{})}
				cancel(first)
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(came)
		close(done)
		<-ended
		cancel(nil)
	}
}

// A Command is what an operator wants to be run for each member: one word is a
// line for their shell, several are a program with its arguments.
type Command []string

func (c Command) String() string {
	var words []string
	for _, w := range c {
		words = append(words, quoted(w))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it for one.
func quoted(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@%+") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// run runs the command as this user, in this terminal, with the member in its
// environment. It isn't cut off: when ctx ends the command is told, and waited for.
func (c Command) run(ctx context.Context, m Member, out, err io.Writer) error {
	args := []string(c)
	if len(c) == 1 {
		shell := os.Getenv("SHELL")
		if shell == "" {
			shell = "/bin/sh"
		}
		args = []string{shell, "-c", c[0]}
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // the operator's own command, as them
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, err
	cmd.Env = append(os.Environ(), environment(m)...)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", ErrCommand, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return outcome(err)
	case <-ctx.Done():
	}
	why := (*Interruption)(nil)
	if !errors.As(context.Cause(ctx), &why) {
		why = &Interruption{Signal: syscall.SIGTERM}
	}
	// A terminal has sent Ctrl-C to the command, too: a second one would mean more.
	if sig, is := why.Signal.(syscall.Signal); is && (sig != syscall.SIGINT || !isTerminal(os.Stdin)) {
		signalTree(cmd.Process.Pid, sig)
	}
	select {
	case err := <-done:
		return outcome(err)
	case <-why.again:
		killTree(cmd.Process.Pid)
		return outcome(<-done)
	}
}

// outcome is how a command ended.
func outcome(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrCommand, err)
}

// environment says which member it is.
func environment(m Member) []string {
	id := m.Member
	return []string{"SLUICE_DEVICE=" + id.Device, "SLUICE_POOL=" + id.Pool, "SLUICE_MEMBER=" + id.Name, "SLUICE_ADDRESS=" + address(m)}
}

// address is where the device reaches a member; PTAF's members are called so.
func address(m Member) string {
	if m.Address == "" && m.OnOff {
		return m.Member.Name
	}
	return m.Address
}
