package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopWithin is how long a process has after SIGTERM before SIGKILL.
const stopWithin = 10 * time.Second

// A Process is one real program that the rig started, with its output in a
// file of its own.
type Process struct {
	Name string

	path     string
	args     []string
	logFile  string
	heedless bool // ends by SIGTERM itself, without a code of its own
	cmd      *exec.Cmd
	done     chan struct{} // closed when the program has ended
	err      error         // how it ended; read only after done
}

// newProcess says what to start. Debian puts HAProxy where only root looks, so
// /usr/sbin is searched too.
func newProcess(name, dir, program string, args ...string) (*Process, error) {
	path, err := Find(program)
	if err != nil {
		return nil, err
	}
	return &Process{Name: name, path: path, args: args, logFile: filepath.Join(dir, name+".log")}, nil
}

// Find returns where program is. Its error names what to do about it.
func Find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return filepath.Abs(path)
	}
	path := "/usr/sbin/" + program
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s is not installed: run \"make deps\", or install the Debian package of that name", program)
}

// Start starts the program; its output is added to its file. Starting it again
// after [Process.Stop] or [Process.Kill] is what a supervisor would do.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the program has its own copy
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = filepath.Dir(p.logFile)
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		p.err = cmd.Wait()
		close(done)
	}()
	return nil
}

// Pid returns the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Running says whether the program was started and has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop ends the program with SIGTERM, and with SIGKILL when that took too long.
// It returns how the program ended: an error when it had to be killed or ended
// with another code than 0. A program that isn't running is no error.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	select {
	case <-p.done:
		if p.err != nil && !(p.heedless && p.endedBy(syscall.SIGTERM)) {
			return fmt.Errorf("%s after SIGTERM: %w", p.Name, p.err)
		}
		return nil
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("%s still ran %v after SIGTERM", p.Name, stopWithin), p.Kill())
	}
}

// endedBy says whether a signal ended the program. Call it after done.
func (p *Process) endedBy(s syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

// Kill ends the program with SIGKILL and waits until it is gone.
func (p *Process) Kill() error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.Name, err)
	}
	<-p.done
	return nil
}

// Log returns the last lines that the program wrote.
func (p *Process) Log(lines int) string {
	text, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// ready waits until check succeeds, and gives up early when the program ends.
func (p *Process) ready(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := p.done
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := Await(ctx, readyWithin, p.Name+" to be ready", check); err != nil {
		return fmt.Errorf("%w; it wrote:\n%s", err, p.Log(20))
	}
	return nil
}

// Await asks check every few milliseconds until it returns nil. After within,
// or when ctx ends, it returns an error that says what it waited for and what
// check said last.
func Await(ctx context.Context, within time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	start := time.Now()
	if _, err := Every(ctx, pollEvery, check); err != nil {
		return fmt.Errorf("waited %v for %s: %w", time.Since(start).Round(time.Millisecond), what, err)
	}
	return nil
}

// Holds asks check again and again for that long, and returns the first error:
// what must not happen has then happened.
func Holds(ctx context.Context, d time.Duration, check func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < d; {
		if err := check(ctx); err != nil {
			return fmt.Errorf("after %v: %w", time.Since(start).Round(time.Millisecond), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
