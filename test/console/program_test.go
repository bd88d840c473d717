package console

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// binary is the program, built once.
var binary = sync.OnceValues(func() (string, error) { return rig.Build(chromium, scratch) })

// A program is a remediator in front of a real HAProxy.
type program struct {
	url    string // of the console
	socket string // of HAProxy
}

// start starts both, with two members, of which one has to stay. more is the end of
// the configuration.
func start(t *testing.T, more string) program {
	t.Helper()
	h := haproxytest.StartReal(t, "backend shop\n server app1 127.0.0.1:1 weight 100\n server app2 127.0.0.1:2 weight 100\n")
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "sluice.yml")
	text := fmt.Sprintf(`devices:
  - name: edge1
    haproxy: {address: %s, timeout: 2s}
remediation:
  mode: auto
  alertmanagers: [{url: 'http://127.0.0.1:1'}]
  journal: %s
  policies:
    - {name: drain, to: drain, min_serving: 1, confirm: none, members: {device: edge1, pool: shop}}
%s`, h.Socket, filepath.Join(dir, "sluice.db"), more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "remediator", "--config.file="+config, "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			said, err := os.ReadFile(log.Name())
			t.Logf("the remediator said (%v):\n%s", err, said)
		}
	})
	await(t, "the remediator to be ready", func() error {
		res, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	})
	return program{"http://" + address + "/console", h.Socket}
}

// await asks again and again until there is no error, within limits.
func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); {
		if err = ask(); err == nil {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("waiting for %s: %v", what, err)
}

// admin is a server's srv_admin_state and weight by HAProxy itself. Source: HAProxy
// management guide, "show servers state": fields 4, 7 and 8.
func (p program) admin(t *testing.T, server string) (state, weight string) {
	t.Helper()
	answer := p.tell(t, "show servers state shop")
	for line := range strings.Lines(answer) {
		if f := strings.Fields(line); len(f) > 8 && f[3] == server {
			return f[6], f[7]
		}
	}
	t.Fatalf("HAProxy has no server %s:\n%s", server, answer)
	return "", ""
}

// tell gives HAProxy a command past Sluice, and returns its answer.
func (p program) tell(t *testing.T, command string) string {
	t.Helper()
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(command + "\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// HAProxy's srv_admin_state of a server that nobody restricts, and of a drained one.
const (
	ready   = "0"
	drained = "8"
)
