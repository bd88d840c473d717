package haproxytest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A Real is a HAProxy that was started for one test.
type Real struct {
	Socket string // path of the admin socket
	Pid    int
}

const (
	startWithin = 10 * time.Second
	endWithin   = 5 * time.Second
)

// StartReal starts Debian's HAProxy with backends as given, below the sections
// global and defaults, and ends it with the test. It fails the test where no
// HAProxy is installed.
func StartReal(tb testing.TB, backends string) *Real {
	tb.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			tb.Fatal("haproxy isn't installed: apt-get install haproxy, or make deps")
		}
	}
	dir, err := os.MkdirTemp("", "sl") // a socket's path has 107 bytes at most
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	r := &Real{Socket: filepath.Join(dir, "s")}
	config := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf("global\n stats socket %s level admin mode 600\n stats timeout 5s\ndefaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n%s", r.Socket, backends)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(path, "-f", config, "-db")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	tb.Cleanup(func() { stop(tb, cmd, ended) })
	r.Pid = cmd.Process.Pid
	for until := time.Now().Add(startWithin); ; {
		conn, err := net.Dial("unix", r.Socket)
		if err == nil {
			if err := conn.Close(); err != nil {
				tb.Fatal(err)
			}
			return r
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(log.Name()) // it is for the message only
			tb.Fatalf("haproxy ended:\n%s", said)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(until) {
			tb.Fatalf("haproxy doesn't listen after %s: %v", startWithin, err)
		}
	}
}

func stop(tb testing.TB, cmd *exec.Cmd, ended <-chan struct{}) {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
	select {
	case <-ended:
		return
	case <-time.After(endWithin):
	}
	if err := cmd.Process.Kill(); err != nil {
		tb.Error(err)
	}
	<-ended
}
