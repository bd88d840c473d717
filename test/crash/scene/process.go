package scene

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopWithin is how long a process has after SIGTERM before SIGKILL.
const stopWithin = 10 * time.Second

// A Process is a program that was started here. Its output comes through a pipe
// into memory, which no limit on the size of files reaches.
type Process struct {
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
	err  error         // how; read only after done
}

// output has Write alone: a buffer's ReadFrom would go past the lock.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) read() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func start(program string, env []string, args ...string) (*Process, error) {
	path, err := exec.LookPath(program)
	if err != nil { // Debian puts HAProxy where only root looks
		if path = "/usr/sbin/" + program; !exists(path) {
			return nil, fmt.Errorf("%s is not installed: run \"make deps\"", program)
		}
	}
	p := &Process{name: filepath.Base(program), cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Pid returns the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the program has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Killed says whether SIGKILL ended the program.
func (p *Process) Killed() bool { return !p.Running() && p.endedBy(syscall.SIGKILL) }

// endedBy says whether a signal ended the program. Call it after done.
func (p *Process) endedBy(s syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

// Stopped says whether the program is stopped by a signal. Source: proc(5),
// /proc/pid/stat: the third field, after a name in brackets.
func (p *Process) Stopped() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	_, rest, ok := strings.Cut(string(stat), ") ")
	return err == nil && ok && strings.HasPrefix(rest, "T")
}

// Continue lets a stopped program go on.
func (p *Process) Continue() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends the program with SIGKILL and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// Stop ends the program with SIGTERM, and with SIGKILL when that takes too long,
// and returns what was wrong with its end. One that has ended before is no error.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	// One that is stopped would hear nothing.
	if err := errors.Join(p.cmd.Process.Signal(syscall.SIGTERM), p.Continue()); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("%s still ran %v after SIGTERM", p.name, stopWithin), p.Kill())
	}
	if p.err != nil && !p.endedBy(syscall.SIGTERM) { // HAProxy without a master has no code of its own (seen on 2.6)
		return fmt.Errorf("%s after SIGTERM: %w", p.name, p.err)
	}
	return nil
}

// Log returns the last lines that the program wrote.
func (p *Process) Log(lines int) string {
	all := strings.Split(strings.TrimRight(p.out.read(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Wrote says whether a text is in what the program wrote.
func (p *Process) Wrote(text string) bool { return strings.Contains(p.out.read(), text) }
