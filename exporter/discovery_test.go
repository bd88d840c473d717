package exporter

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter/collect"
)

// newExporter builds one from a configuration and devices by name; the devices
// are at sockets that nobody listens on, unless addresses say where.
func newExporter(t testing.TB, config string, addresses map[string]string, logger log.Logger) (*Exporter, *Config, *fleet.Fleet) {
	t.Helper()
	var configs fleet.Configs
	var names []string
	for name, address := range addresses {
		configs = append(configs, fleet.Config{Name: name, HAProxy: &fleet.HAProxy{Address: address}})
		names = append(names, name)
	}
	f, err := fleet.New(configs, fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := new(Config)
	if tt, ok := t.(*testing.T); ok {
		c = decode(tt, config)
	}
	if wrong := c.Validate(names); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	e, err := New(Options{Logger: logger, Config: c, Fleet: f})
	if err != nil {
		t.Fatal(err)
	}
	return e, c, f
}

// answer is look, as a collector gives it.
func (s *script) answer(ctx context.Context) (*collect.Look, error) {
	snapshot, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	return &collect.Look{Snapshot: snapshot}, nil
}

// A script plays a device: what it lists, or why it can't be read.
type script struct {
	mu      sync.Mutex
	members map[string]string // address by name; all are of pool shop
	err     error
	asked   []time.Duration // when, since the start
	start   time.Time
}

func (s *script) look(context.Context) (edge.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.start))
	if s.err != nil {
		return edge.Snapshot{}, s.err
	}
	snapshot := edge.Snapshot{Device: "edge1", States: make(map[edge.Member]edge.State)}
	for name, address := range s.members {
		m := edge.Member{Device: "edge1", Pool: "shop", Name: name}
		snapshot.States[m] = edge.State{Member: m, Address: address}
	}
	return snapshot, nil
}

// change lets the device be another from now on.
func (s *script) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// probed lists what is asked now: "probe target device/pool/member".
func probed(e *Exporter) []string {
	var out []string
	for _, s := range e.scheduler.Status() {
		out = append(out, s.Probe+" "+s.Target+" "+s.Member.String())
	}
	return out
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (- want, + got):\n%s", what, diff)
	}
}

// pass lets time pass in a bubble of synctest, and all that follows from it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const shop = modules + `
probes:
  - {name: shop, module: health, members: {device: edge1, pool: shop, member: app.*}}
`

func TestDiscoveryFollowsTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := newExporter(t, shop, map[string]string{"edge1": "/nowhere"}, nil)
		s := &script{start: time.Now(), members: map[string]string{"app1": "192.0.2.1:80", "app2": "192.0.2.2:80", "spare": "192.0.2.9:80"}}
		g := e.generation()
		g.devices[0].look = s.answer
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go e.discover(ctx, g)

		synctest.Wait()
		app1, app2 := "shop http://192.0.2.1:80/health edge1/shop/app1", "shop http://192.0.2.2:80/health edge1/shop/app2"
		want(t, "covered members are probed at the device's addresses", probed(e), []string{app1, app2})

		s.change(func() { s.err = errors.New("no such file") })
		pass(11500 * time.Millisecond)
		want(t, "while the device is away its members are probed on", probed(e), []string{app1, app2})
		want(t, "it is asked every 10 s, and after an error each second", s.asked, []time.Duration{0, 10 * time.Second, 11 * time.Second})

		s.change(func() { s.err, s.members = nil, map[string]string{"app1": "192.0.2.3:80"} })
		pass(time.Second)
		want(t, "a member that vanished isn't probed, one that moved is probed there", probed(e),
			[]string{"shop http://192.0.2.3:80/health edge1/shop/app1"})
		pass(10 * time.Second)
		want(t, "then it is asked every 10 s again", s.asked[3:], []time.Duration{12 * time.Second, 22 * time.Second})
	})
}

func TestADeviceWithoutProbedMembersIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := newExporter(t, shop, map[string]string{"edge1": "/nowhere", "edge2": "/nowhere"}, nil)
		s := &script{start: time.Now()}
		g := e.generation()
		g.devices[0].look, g.devices[1].look = (&script{}).answer, s.answer
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go e.discover(ctx, g)
		pass(time.Minute)
		want(t, "questions to edge2", s.asked, nil)
	})
}

func TestAMemberWithoutAnAddressIsToldOnce(t *testing.T) {
	var said bytes.Buffer
	e, _, _ := newExporter(t, shop, map[string]string{"edge1": "/nowhere"}, log.NewLogfmtLogger(&said))
	g := e.generation()
	s := &script{members: map[string]string{"app1": "", "app2": "192.0.2.2:80"}}
	for range 3 {
		snapshot, _ := s.look(t.Context())
		g.devices[0].learn(snapshot)
		e.reschedule(g)
	}
	want(t, "the others are probed", probed(e), []string{"shop http://192.0.2.2:80/health edge1/shop/app2"})
	want(t, "log", said.String(), `level=warn msg="member is not probed" err="probe shop: edge1 gives no address for shop/app1"`+"\n")
}

func TestAReloadKeepsWhatItCan(t *testing.T) {
	e, _, f := newExporter(t, shop, map[string]string{"edge1": "/nowhere"}, nil)
	s := &script{members: map[string]string{"app1": "192.0.2.1:80"}}
	old := e.generation()
	snapshot, _ := s.look(t.Context())
	old.devices[0].learn(snapshot)
	e.reschedule(old)

	next := decode(t, strings.ReplaceAll(shop, "path: /health", "path: /live"))
	if wrong := next.Validate([]string{"edge1"}); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	if err := e.Apply(next, f); err != nil {
		t.Fatal(err)
	}
	members := []string{"shop http://192.0.2.1:80/live edge1/shop/app1"}
	want(t, "known members are probed on, as the new file says", probed(e), members)

	snapshot.States = nil
	old.devices[0].learn(snapshot)
	e.reschedule(old)
	want(t, "what belongs to the old file changes nothing", probed(e), members)

	bad := decode(t, strings.ReplaceAll(shop, "prober: http", "prober: none"))
	if err := e.Apply(bad, f); err == nil {
		t.Error("a bad configuration was put in force")
	}
	want(t, "after a bad file", probed(e), members)
}

func TestAFingerprintChangesWithTheQuestion(t *testing.T) {
	c := decode(t, modules)
	m := c.Modules["health"]
	first := fingerprint(question(m), "http://192.0.2.1/")
	want(t, "the same question", fingerprint(question(decode(t, modules).Modules["health"]), "http://192.0.2.1/"), first)
	if fingerprint(question(m), "http://192.0.2.1/?id=2") == first {
		t.Error("another query is the same question")
	}
	m.HTTP.Method = "HEAD"
	if fingerprint(question(m), "http://192.0.2.1/") == first {
		t.Error("another method is the same question")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, c, f := newExporter(t, shop, map[string]string{"edge1": "/nowhere"}, nil)
		s := &script{start: time.Now()}
		e.generation().devices[0].look = s.answer
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		pass(25 * time.Second)
		want(t, "looks", len(s.asked), 3)
		if err := e.Apply(c, f); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		want(t, "Run's error", <-ended, nil)
		want(t, "looks after the reload", len(s.asked), 3)
	})
}
