// Package replicas runs several remediators, as built, on one real etcd and one
// real HAProxy, and ends, stops and cuts them off.
package replicas

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
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

	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/replicas/etcdtest"
	"github.com/sluice-project/sluice/test/rig"
)

// soon is what a step, or a change of leaders after the lease, takes at most.
const soon = 40 * time.Second

var sluice string // the program under test

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "replicas:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if sluice = os.Getenv(binaryEnv); sluice != "" {
		return m.Run(), nil // who started us has built it
	}
	dir, err := os.MkdirTemp("", "sluice-replicas-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if sluice, err = rig.Build(context.Background(), dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// claimed stands in for Alertmanager: it says which members alerts claim.
type claimed struct {
	mu      sync.Mutex
	members []string
	told    []announcement
	started time.Time
	url     string
}

// An announcement is an alert that a replica posted.
type announcement struct {
	At       time.Time         `json:"-"`
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
	EndsAt   time.Time         `json:"endsAt"`
}

func newClaimed(t testing.TB) *claimed {
	c := &claimed{started: time.Now()}
	ln, err := loopback.Listen()
	ok(t, err)
	s := httptest.NewUnstartedServer(c)
	ok(t, s.Listener.Close())
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *claimed) add(member string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = append(c.members, member)
}

func (c *claimed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var answer any
	if r.Method == http.MethodPost {
		var all []announcement
		if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, a := range all {
			a.At = time.Now()
			c.told = append(c.told, a)
		}
		return
	}
	switch r.URL.Path {
	case "/api/v2/status":
		answer = map[string]any{
			"cluster": map[string]any{"status": "ready", "peers": []any{}}, "config": map[string]any{"original": ""},
			"uptime": c.started.Add(-24 * time.Hour), "versionInfo": map[string]any{},
		}
	case "/api/v2/alerts":
		alerts := []any{}
		for i, m := range c.members {
			alerts = append(alerts, map[string]any{
				"labels":      map[string]string{"alertname": "Sick", "remediation": "drain", "device": "edge1", "pool": "shop", "member": m},
				"annotations": map[string]string{}, "fingerprint": fmt.Sprintf("%016x", i), "receivers": []any{},
				"startsAt": c.started, "updatedAt": time.Now(), "endsAt": time.Now().Add(4 * time.Minute),
				"status": map[string]any{"state": "active", "silencedBy": []string{}, "inhibitedBy": []string{}},
			})
		}
		answer = alerts
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a caller that is gone needs no answer
}

const config = `devices:
  - name: edge1
    haproxy: {address: %s, timeout: 1s}
remediation:
  mode: auto
  poll: 1s
  coordinator: {etcd: {endpoints: ["%s"], ttl: 10s}}
  alertmanagers: [{url: '%s'}]
  brake: {off: true}
  budget: {max_held: 100, steps: 100}
  policies:
    - name: drain
      to: drain
      members: {device: edge1, pool: shop}
      min_serving: 1
      max_held: 100
      confirm: none
`

// A replica is one remediator, with its own folder.
type replica struct {
	t    testing.TB
	name string
	url  string
	args []string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

func (r *replica) start() {
	r.t.Helper()
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ok(r.t, err)
	defer log.Close() // the program has its own copy
	r.cmd = exec.Command(sluice, r.args...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Dir = filepath.Dir(r.log) // its audit stream goes there
	ok(r.t, r.cmd.Start())
	cmd, done := r.cmd, make(chan struct{})
	r.done = done
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ended is in its log
	}()
	r.await("ready", func(ctx context.Context) error {
		status, _, err := rig.Do(ctx, http.MethodGet, r.url+"/-/ready", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
}

func (r *replica) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Fatal(err)
	}
}

// end ends it by a signal and waits for that.
func (r *replica) end(s syscall.Signal) {
	r.t.Helper()
	r.signal(s)
	<-r.done
}

func (r *replica) await(what string, check func(context.Context) error) {
	r.t.Helper()
	if err := rig.Await(r.t.Context(), soon, r.name+": "+what, check); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) leads(ctx context.Context) (bool, error) {
	v, n, err := rig.Value(ctx, r.url, "sluice_remediation_leader", nil)
	if err == nil && n == 0 {
		err = errors.New("no sluice_remediation_leader")
	}
	return v == 1, err
}

// A scene is two replicas, and what they work on.
type scene struct {
	t       testing.TB
	etcd    *etcdtest.Server
	haproxy *rig.HAProxy
	claimed *claimed
	all     []*replica
}

func newScene(t testing.TB, servers int) *scene {
	t.Helper()
	etcd := etcdtest.Start(t)
	return newSceneOn(t, servers, etcd, []string{etcd.Endpoint, etcd.Endpoint}, nil)
}

// newSceneOn starts each replica with an address of its own for etcd, and with one
// for HAProxy where through gives it.
func newSceneOn(t testing.TB, servers int, etcd *etcdtest.Server, endpoints []string, through func(i int, socket string) string) *scene {
	t.Helper()
	var lines strings.Builder
	for i := range servers {
		address, err := loopback.Address()
		ok(t, err)
		fmt.Fprintf(&lines, " server s%d %s\n", i+1, address)
	}
	device := haproxytest.StartReal(t, "backend shop\n"+lines.String())
	s := &scene{t: t, etcd: etcd, haproxy: &rig.HAProxy{Socket: device.Socket}, claimed: newClaimed(t)}
	for i, endpoint := range endpoints {
		socket := device.Socket
		if through != nil {
			socket = through(i, socket)
		}
		dir := t.TempDir()
		address, err := loopback.Address()
		ok(t, err)
		file := filepath.Join(dir, "sluice.yml")
		ok(t, os.WriteFile(file, fmt.Appendf(nil, config, socket, endpoint, s.claimed.url), 0o600))
		r := &replica{
			t: t, name: fmt.Sprintf("replica %d", i), url: "http://" + address, log: filepath.Join(dir, "log"),
			args: []string{"remediator", "--config.file=" + file, "--web.listen-address=" + address, "--log.level=debug"},
		}
		s.all = append(s.all, r)
		t.Cleanup(func() {
			r.signal(syscall.SIGCONT) // it may be stopped
			r.end(syscall.SIGTERM)
			if t.Failed() {
				said, _ := os.ReadFile(r.log) // it is for the message only
				t.Logf("%s wrote:\n%s", r.name, said)
			}
		})
		r.start()
	}
	return s
}

// leader waits until exactly one leads, and returns it and the other.
func (s *scene) leader() (leads, other *replica) {
	s.t.Helper()
	s.all[0].await("one leads", func(ctx context.Context) error {
		leads = nil
		for _, r := range s.all {
			is, err := r.leads(ctx)
			switch {
			case err != nil:
				continue // it is down
			case is && leads != nil:
				return errors.New("two say that they lead")
			case is:
				leads = r
			default:
				other = r
			}
		}
		if leads == nil {
			return errors.New("none leads")
		}
		return nil
	})
	if leads == s.all[0] {
		return leads, s.all[1]
	}
	return leads, s.all[0]
}

// drained waits until the member is drained.
func (s *scene) drained(member string) {
	s.t.Helper()
	s.all[0].await(member+" is drained", func(ctx context.Context) error {
		now, err := s.haproxy.Server(ctx, "shop", member)
		if err == nil && now.Admin != rig.AdminDrain {
			err = fmt.Errorf("admin state %d", now.Admin)
		}
		return err
	})
}

// history returns what all steps since the beginning were, as r tells it.
func (s *scene) history(r *replica) (out []journal.Entry) {
	s.t.Helper()
	r.await("it answers", func(ctx context.Context) error {
		var answer struct {
			Data struct{ Steps []journal.Entry }
		}
		err := rig.GetJSON(ctx, r.url+"/api/v1/steps?limit=10000", &answer)
		out = answer.Data.Steps
		return err
	})
	return out
}

func TestTheStandbyGoesOnWhereTheLeaderFell(t *testing.T) { // I9, I11, I16
	s := newScene(t, 8)
	first, second := s.leader()
	s.claimed.add("s1")
	s.drained("s1")

	t.Log("a standby takes webhooks and freezes, and does nothing else")
	status, body, err := rig.Do(t.Context(), http.MethodPost, second.url+"/webhook", []byte(`{"version":"4","status":"firing","receiver":"sluice","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"","groupKey":"{}","truncatedAlerts":0,"alerts":[{"status":"firing","labels":{"alertname":"Sick","remediation":"drain","device":"edge1","pool":"shop","member":"s1"},"annotations":{},"startsAt":"2026-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"00"}]}`))
	if err != nil || status != http.StatusOK {
		t.Errorf("webhook at the standby: %d %s, %v", status, body, err)
	}
	status, body, err = rig.Do(t.Context(), http.MethodPost, second.url+"/api/v1/freeze", []byte(`{"reason":"all stop"}`))
	if err != nil || status/100 != 2 {
		t.Errorf("freeze at the standby: %d %s, %v", status, body, err)
	}
	if status, body, err = rig.Do(t.Context(), http.MethodGet, first.url+"/api/v1/freeze", nil); err != nil || !strings.Contains(string(body), "all stop") {
		t.Errorf("the leader knows of no freeze: %d %s, %v", status, body, err)
	}
	status, body, err = rig.Do(t.Context(), http.MethodDelete, first.url+"/api/v1/freeze", nil)
	if err != nil || status/100 != 2 {
		t.Errorf("thaw: %d %s, %v", status, body, err)
	}

	t.Log("the leader is killed")
	first.end(syscall.SIGKILL)
	s.claimed.add("s2")
	s.drained("s2")
	if now, _ := s.leader(); now != second {
		t.Fatalf("%s leads", now.name)
	}

	t.Log("it comes back, and the new leader is stopped for longer than its lease")
	first.start()
	second.signal(syscall.SIGSTOP)
	s.claimed.add("s3")
	s.drained("s3")
	second.signal(syscall.SIGCONT)
	if now, _ := s.leader(); now != first {
		t.Errorf("%s leads", now.name)
	}

	t.Log("the leader is asked to end, as in a restart")
	first.end(syscall.SIGTERM)
	s.claimed.add("s4")
	s.drained("s4")
	first.start()
	if now, _ := s.leader(); now != second {
		t.Errorf("%s leads", now.name)
	}

	// Each member was taken out once, whoever led, and both tell the same.
	seen := map[string]int{}
	for _, e := range s.history(second) {
		if e.To == journal.Applying && e.From != e.To {
			seen[e.Member.Name]++
		}
	}
	for _, m := range []string{"s1", "s2", "s3", "s4"} {
		s.drained(m)
		if seen[m] != 1 {
			t.Errorf("%s was taken out %d times", m, seen[m])
		}
	}
	if a, b := len(s.history(first)), len(s.history(second)); a != b {
		t.Errorf("one tells of %d entries, the other of %d", a, b)
	}
}

func TestASilentEtcdStopsEverySendUntilItIsBack(t *testing.T) { // I6, I16
	s := newScene(t, 8)
	leads, _ := s.leader()
	s.claimed.add("s1")
	s.drained("s1")
	s.etcd.Pause(t)
	leads.stopsLeading()
	s.claimed.add("s2")
	// Two polls of the claims, and a round after each.
	if err := s.untouched("s2", 3*time.Second); err != nil {
		t.Error(err)
	}
	s.etcd.Resume(t)
	s.drained("s2")
}

func TestTwoReplicasInOneFolderNeedTwoAuditStreams(t *testing.T) { // I23
	s := newScene(t, 1)
	first := s.all[0]
	address, err := loopback.Address()
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	second := exec.CommandContext(ctx, sluice, "remediator", first.args[1], "--web.listen-address="+address)
	second.Dir = filepath.Dir(first.log)
	out, err := second.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("it should end with an error: %v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "in use by another process") || !strings.Contains(last, "remediation.audit.file") {
		t.Errorf("it says %q", last)
	}
}
