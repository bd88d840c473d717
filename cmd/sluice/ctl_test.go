package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/rig"
)

// A bench is a pool of members behind a real HAProxy, with a real remediator that
// takes people's steps on them.
type bench struct {
	members []*rig.Member
	lb      *rig.HAProxy
	url     string // of the remediator
	program *rig.Process
	restart string // URL that restarts the member whose name is added
	broken  string // member that doesn't come back from a restart
	asked   []string
}

const patience = 20 * time.Second

// startBench starts app1, app2, ... in the pool shop of edge1.
func startBench(t *testing.T, count int) *bench {
	t.Helper()
	dir := filepath.Dir(socketPath(t))
	front, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	own, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{lb: &rig.HAProxy{Socket: filepath.Join(dir, "s"), Front: front}, url: "http://" + own}
	var config strings.Builder
	fmt.Fprintf(&config, "global\n stats socket %s mode 600 level admin\ndefaults\n mode http\n timeout connect 1s\n timeout client 10s\n timeout server 10s\n retries 0\n"+
		"frontend front\n bind %s\n default_backend shop\nbackend shop\n balance roundrobin\n option httpchk GET /health\n default-server check inter 100ms fall 2 rise 1\n", b.lb.Socket, front)
	for i := range count {
		m, err := rig.NewMember(fmt.Sprintf("app%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		b.members = append(b.members, m)
		fmt.Fprintf(&config, " server %s %s\n", m.Name, m.Address)
	}
	start := func(p *rig.Process, err error, start func(*rig.Process) error) {
		t.Helper()
		if err == nil {
			t.Cleanup(func() {
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
			})
			err = start(p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"haproxy.cfg": config.String(),
		"sluice.yml":  "devices:\n  - name: edge1\n    haproxy: {address: unix@s}\n",
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	p, err := rig.NewProgram("haproxy", dir, "haproxy", "-db", "-f", "haproxy.cfg")
	start(p, err, (*rig.Process).Start)
	b.lb.Process = p
	up := func(ctx context.Context) error { return b.allUp(ctx) }
	if err := rig.Await(t.Context(), patience, "HAProxy to have checked its servers", up); err != nil {
		t.Fatal(err, p.Log(20))
	}
	p, err = rig.NewProgram("remediator", dir, "sluice", "remediator", "--web.listen-address="+own)
	start(p, err, func(p *rig.Process) error { return p.StartWeb(t.Context(), b.url+"/-/ready") })
	b.program = p
	b.serveRestarts(t)
	return b
}

// allUp wants each server to run, by HAProxy's own word.
func (b *bench) allUp(ctx context.Context) error {
	for _, m := range b.members {
		s, err := b.lb.Server(ctx, "shop", m.Name)
		if err == nil && (s.Op != 2 || s.Admin != rig.AdminReady) {
			err = fmt.Errorf("%s: %+v", m.Name, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// serveRestarts is what the operators' command reaches: a member goes down, for so
// long that HAProxy sees it, and comes back.
func (b *bench) serveRestarts(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		b.asked = append(b.asked, name+" "+r.URL.Query().Get("at"))
		for _, m := range b.members {
			if m.Name != name {
				continue
			}
			err := m.Set(rig.Refuse)
			down := func(ctx context.Context) error {
				srv, err := b.lb.Server(ctx, "shop", name)
				if err == nil && srv.Op != 0 {
					err = errors.New("HAProxy doesn't see it")
				}
				return err
			}
			err = errors.Join(err, rig.Await(r.Context(), patience, name+" to be down", down))
			if name == b.broken {
				http.Error(w, "it doesn't start", http.StatusInternalServerError)
				return
			}
			if err = errors.Join(err, m.Set(rig.Serve)); err != nil {
				t.Error(err)
			}
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	b.restart = s.URL + "/"
}

// ctl runs "sluice ctl" as an operator does, and returns what it wrote and its
// exit code.
func (b *bench) ctl(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd, out, errs := b.command(t, args...)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (b *bench) command(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.CommandContext(t.Context(), "sluice", append([]string{"ctl"}, args...)...)
	cmd.Env = append(os.Environ(), envURL+"="+b.url, "SHELL=/bin/sh", "RESTART="+b.restart)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// restartLine is what an operator would have: ssh, or whatever reaches the member.
const restartLine = `curl -fsS "$RESTART$SLUICE_MEMBER?at=$SLUICE_DEVICE/$SLUICE_POOL/$SLUICE_ADDRESS"`

func TestARollingRestartLosesNoRequest(t *testing.T) {
	b := startBench(t, 3)
	traffic := rig.StartTraffic(t.Context(), b.lb.Front, 5*time.Millisecond)
	begin := time.Now()
	out, errs, code := b.ctl(t, "rolling-restart", "shop", "--healthy-for", "300ms", "--reason", "release 42", "--", restartLine)
	if code != 0 {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	traffic.Stop()
	visits := traffic.Since(begin)
	for _, v := range rig.Failed(visits) {
		t.Errorf("a request failed after %s: %v", v.Start.Sub(begin), v.Err)
	}
	served := map[string]int{}
	for _, v := range visits {
		served[v.Member]++
	}
	t.Logf("%d requests in %s, by member %v", len(visits), time.Since(begin).Round(time.Millisecond), served)
	if len(visits) < 100 || len(served) != 3 {
		t.Errorf("that was no traffic: %d requests, %v", len(visits), served)
	}
	var want []string
	for _, m := range b.members {
		want = append(want, m.Name+" edge1/shop/"+m.Address)
		for _, word := range []string{"drain", "0 sessions left", "well", "ready", "serving"} {
			if !strings.Contains(errs, "edge1/shop/"+m.Name+": "+word+"\n") {
				t.Errorf("no word of %s: %s in\n%s", m.Name, word, errs)
			}
		}
	}
	if got := strings.Join(b.asked, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("restarted were\n%s", got)
	}
	if err := b.allUp(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Count(out, " done ") != 3 {
		t.Errorf("got\n%s", out)
	}
}

func TestARollingRestartStopsAtTheFirstFailure(t *testing.T) {
	b := startBench(t, 3)
	b.broken = "app2"
	line := restartLine + ` || exit 3`
	out, errs, code := b.ctl(t, "rolling-restart", "edge1/shop", "--healthy-for", "200ms", "--", line)
	if code != ctl.ExitCommand || !strings.Contains(errs, "sluice ctl rolling-restart: edge1/shop/app2: the command failed: exit status 3\n") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{
		"edge1/shop/app1  done ", "edge1/shop/app2  stopped ", "it is in drain with 0 sessions", "edge1/shop/app3  not begun",
		"To put it back:\n  sluice ctl ready edge1/shop/app2\n",
		"To go on with it and those after it:\n  sluice ctl rolling-restart edge1/shop --from app2 --healthy-for 200ms -- '",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if err := b.lb.WantIn("shop", "app2", rig.AdminDrain)(t.Context()); err != nil {
		t.Error(err)
	}
	if err := b.lb.WantIn("shop", "app3", rig.AdminReady)(t.Context()); err != nil {
		t.Error(err)
	}
	if got := strings.Join(b.asked, " "); strings.Contains(got, "app3") {
		t.Errorf("it went on: %s", got)
	}

	// Somebody starts anew without saying where: what is out is nobody's guess.
	_, errs, code = b.ctl(t, "rolling-restart", "edge1/shop", "--", line)
	if code != ctl.ExitError || !strings.Contains(errs, "out of service already: edge1/shop/app2 (drain by 127.0.0.1): put them back first, or leave them alone by --skip-out") {
		t.Errorf("exit code %d: %s", code, errs)
	}

	b.broken, b.asked = "", nil
	out, errs, code = b.ctl(t, "rolling-restart", "edge1/shop", "--from", "app2", "--healthy-for", "200ms", "-o", "json", "--", line)
	if code != 0 || !strings.Contains(out, `"result": "skipped",`) || strings.Count(out, `"result": "done",`) != 2 {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if err := b.allUp(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestARollingRestartThatIsInterruptedSaysWhatItLeft(t *testing.T) {
	b := startBench(t, 2)
	started := filepath.Join(t.TempDir(), "started")
	cmd, out, errs := b.command(t, "rolling-restart", "shop", "--", "echo $$ >"+started+"; exec sleep 60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := rig.Await(t.Context(), patience, "the command", func(context.Context) error { _, err := os.Stat(started); return err })
	if err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != ctl.ExitInterrupted {
		t.Errorf("%v: %s%s", err, out, errs)
	}
	for _, want := range []string{"edge1/shop/app1  stopped ", "it is in drain with 0 sessions", "sluice ctl ready edge1/shop/app1\n", "--from app1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if !strings.Contains(errs.String(), "interrupted by SIGTERM: edge1/shop/app1: the command failed: signal: terminated") {
		t.Errorf("got %s", errs)
	}
}

func TestAGracefulRestartIsOneLine(t *testing.T) {
	b := startBench(t, 2)
	r := &rig.Rig{HAProxy: b.lb, Members: b.members}
	long, err := r.StartLong(t.Context(), "app1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.members[0].Finish)
	if _, errs, code := b.ctl(t, "wait", "app1", "--sessions", "0"); code != ctl.ExitError || !strings.Contains(errs, "drain it first") {
		t.Errorf("a wait for nothing: %d %s", code, errs)
	}
	if _, errs, code := b.ctl(t, "drain", "app1", "--reason", "a new kernel"); code != 0 {
		t.Errorf("drain: %d %s", code, errs)
	}
	if _, errs, code := b.ctl(t, "wait", "app1", "--sessions", "0", "--timeout", "2s"); code != ctl.ExitTimeout || !strings.Contains(errs, "it has 1 sessions") {
		t.Errorf("a wait that is too short: %d %s", code, errs)
	}
	b.members[0].Finish()
	if err := long.Wait(t.Context()); err != nil {
		t.Errorf("the download was cut off: %v", err)
	}
	line := `sluice ctl drain app1 && sluice ctl wait --sessions 0 app1 --timeout 1m && curl -fsS "${RESTART}app1" && sluice ctl ready app1 && sluice ctl wait --serving app1`
	cmd, out, errs := b.command(t)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", line}
	if err := cmd.Run(); err != nil || !strings.HasSuffix(strings.TrimSpace(out.String()), "s") {
		t.Errorf("%v: %s%s", err, out, errs)
	}
	for _, want := range []string{"edge1/shop/app1: unchanged: drain", "edge1/shop/app1: at most 0 sessions, after", "edge1/shop/app1: applied: ready, was drain", "edge1/shop/app1: serving, after"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if err := b.allUp(t.Context()); err != nil {
		t.Error(err)
	}
}

// What goes on until Ctrl-C ends well by it.
func TestWatchingAndFollowingGoOn(t *testing.T) {
	b := startBench(t, 2)
	type running struct {
		cmd  *exec.Cmd
		out  *lockedBuffer
		errs *bytes.Buffer
	}
	start := func(args ...string) running {
		t.Helper()
		cmd, _, errs := b.command(t, args...)
		r := running{cmd, new(lockedBuffer), errs}
		cmd.Stdout = r.out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	await := func(r running, text string) {
		t.Helper()
		err := rig.Await(t.Context(), patience, text, func(context.Context) error {
			if got := r.out.String(); !strings.Contains(got, text) {
				return errors.New(got)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if _, errs, code := b.ctl(t, "drain", "app1", "--reason", "before"); code != 0 {
		t.Fatal(errs)
	}
	watch := start("members", "--watch")
	follow := start("steps", "edge1/shop", "--follow", "--event", "order")
	asJSON := start("steps", "--follow", "--event", "order", "--limit", "1", "-o", "json")
	await(watch, "drain")
	await(follow, "before (by 127.0.0.1)\n")
	await(asJSON, `"detail": "before"`)
	if _, errs, code := b.ctl(t, "ready", "app1", "--reason", "and after"); code != 0 {
		t.Fatal(errs)
	}
	await(watch, "and after")
	await(follow, "and after (by 127.0.0.1)\n")
	await(asJSON, `"detail": "and after"`)
	if got := follow.out.String(); strings.Count(got, "\n") != 2 {
		t.Errorf("an entry comes twice, or others came: %s", got)
	}
	for _, r := range []running{watch, follow, asJSON} {
		if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := r.cmd.Wait(); err != nil || r.errs.Len() > 0 {
			t.Errorf("%v: %v: %s", r.cmd.Args, err, r.errs)
		}
	}
}

// A lockedBuffer is read while a program writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
