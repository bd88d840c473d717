package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"github.com/sluice-project/sluice/test/rig"
)

// A terminal runs a program in a real pseudo terminal, and knows what a person
// would see there.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	pty  *os.File
	seen vt10x.Terminal
	done chan error

	mu  sync.Mutex
	raw strings.Builder // all that was written
}

// inTerminal starts a program with nothing but this environment; it is ended with
// the test, if it doesn't end by itself.
func inTerminal(t *testing.T, columns, rows int, env []string, program string, args ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: exec.Command(program, args...), seen: vt10x.New(vt10x.WithSize(columns, rows)), done: make(chan error, 1)}
	term.cmd.Env = env
	var err error
	if term.pty, err = pty.StartWithSize(term.cmd, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil { //nolint:gosec // small numbers
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := term.pty.Read(buf)
			if n > 0 {
				term.mu.Lock()
				term.raw.Write(buf[:n])
				term.mu.Unlock()
				term.seen.Write(buf[:n]) //nolint:errcheck // it takes everything
			}
			if err != nil { // the program has ended
				term.done <- term.cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen:\n%s", term.text())
		}
		if err := term.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := term.pty.Close(); err != nil {
			t.Error(err)
		}
	})
	return term
}

// text is what is on the screen now.
func (term *terminal) text() string {
	var lines []string
	for _, line := range strings.Split(term.seen.String(), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// line is the one on the screen that has a text.
func (term *terminal) line(text string) string {
	for _, line := range strings.Split(term.text(), "\n") {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// press types keys.
func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := io.WriteString(term.pty, keys); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) resize(columns, rows int) {
	term.t.Helper()
	term.seen.Resize(columns, rows)
	if err := pty.Setsize(term.pty, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil { //nolint:gosec // small numbers
		term.t.Fatal(err)
	}
}

// shows waits until the screen has all of the texts.
func (term *terminal) shows(texts ...string) {
	term.t.Helper()
	term.becomes(fmt.Sprintf("%q", texts), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// hides waits until the screen has none of the texts.
func (term *terminal) hides(texts ...string) {
	term.t.Helper()
	term.becomes(fmt.Sprintf("not %q", texts), func(screen string) bool {
		for _, text := range texts {
			if strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

func (term *terminal) becomes(what string, ok func(string) bool) {
	term.t.Helper()
	err := rig.Await(term.t.Context(), 15*time.Second, "the screen to show "+what, func(context.Context) error {
		if screen := term.text(); !ok(screen) {
			return errors.New("it is\n" + screen)
		}
		return nil
	})
	if err != nil {
		term.t.Fatal(err)
	}
}

// ends waits until the program has ended, and wants it to have done so well.
func (term *terminal) ends() {
	term.t.Helper()
	select {
	case err := <-term.done:
		if err != nil {
			term.t.Errorf("it ended with %v:\n%s", err, term.text())
		}
	case <-time.After(10 * time.Second):
		term.t.Fatalf("it doesn't end:\n%s", term.text())
	}
}

// written is every byte that the program has sent.
func (term *terminal) written() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.raw.String()
}
