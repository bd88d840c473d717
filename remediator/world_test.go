package remediator

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A world is a pool of three members on one device, an Alertmanager, and the
// remediator in between, all in virtual time.
type world struct {
	t      *testing.T
	device *device
	alerts *alerts
	probe  *probe
	cfg    *Config
	path   string
	people *people // nil: nobody is told anything

	r    *Remediator
	stop func()
}

func member(name string) edge.Member { return edge.Member{Device: "edge1", Pool: "shop", Name: name} }

var s1, s2, s3 = member("s1"), member("s2"), member("s3")

// inWorld runs a test in virtual time.
func inWorld(t *testing.T, change func(*Config), f func(*world)) {
	t.Helper()
	inWorldWith(t, func(*world) {}, change, f)
}

// inWorldWith is inWorld with a device that was prepared before anything runs.
func inWorldWith(t *testing.T, prepare func(*world), change func(*Config), f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: filepath.Join(t.TempDir(), "sluice.db"), alerts: &alerts{firing: map[string]claims.Claim{}}}
		w.device = newDevice(s1, s2, s3)
		w.probe = &probe{device: w.device, bad: map[edge.Member]edge.Answer{}}
		w.cfg = &Config{
			Mode: Auto, Journal: w.path,
			Alertmanagers: []Source{{URL: "http://192.0.2.1:9093"}},
			Policies: []Policy{{
				Name: "drain", To: "drain", MinServing: "2", HoldDown: model.Duration(10 * time.Second),
				Members: Members{Pool: "shop"},
			}},
		}
		prepare(w)
		if change != nil {
			change(w.cfg)
		}
		if m := w.cfg.Validate([]string{"edge1"}, []string{"shop"}); len(m) > 0 {
			t.Fatal(m)
		}
		w.start()
		defer func() { w.stop() }()
		f(w)
	})
}

// start begins a process on the same journal and the same world.
func (w *world) start() {
	w.t.Helper()
	w.run(Options{Config: w.cfg, Devices: map[string]Device{"edge1": w.device}, Checks: []Check{w.probe}}, w.alerts)
}

// run runs a process; reader replaces the source of claims when there is one.
func (w *world) run(o Options, reader claims.Reader) {
	w.t.Helper()
	o.Logger = logTo(w.t)
	r, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	r.built = func(s *settings) {
		s.posters = nil
		if reader != nil {
			s.offline(reader)
		}
		if w.people != nil && !s.cfg.Announce.Off() {
			s.posters = []announce.Poster{w.people}
		}
	}
	if r.set.cfg != nil {
		r.built(r.set)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.r = r
	w.stop = func() {
		cancel()
		if err := errors.Join(<-done, r.Close()); err != nil {
			w.t.Error(err)
		}
		w.stop = func() {}
	}
}

// offline keeps settings from the network, which virtual time knows nothing of.
func (s *settings) offline(reader claims.Reader) { s.reader, s.posters = reader, nil }

// restart ends the process and begins another.
func (w *world) restart() {
	w.stop()
	w.start()
}

func (w *world) wait(d time.Duration) {
	time.Sleep(d) // virtual
	synctest.Wait()
}

// fail makes a member bad and its alert fire.
func (w *world) fail(m edge.Member) {
	w.probe.set(m, edge.No)
	w.alerts.fire(m)
	w.r.Wake()
}

// recover makes a member well and its alert end.
func (w *world) recover(m edge.Member) {
	w.probe.set(m, edge.Yes)
	w.alerts.resolve(m)
	w.r.Wake()
}

func (w *world) freeze() {
	w.t.Helper()
	if err := w.r.journal.SetFreeze(journal.Freeze{Reason: "as the test says", Actor: "test"}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(m edge.Member, marks string) {
	w.t.Helper()
	if got := w.device.marks(m); got != marks {
		w.t.Errorf("%s is %q; want %q", m, got, marks)
	}
}

func (w *world) wantWrites(n int) {
	w.t.Helper()
	if got := w.device.writes(); len(got) != n {
		w.t.Errorf("the device got %d commands, want %d: %v", len(got), n, got)
	}
}

func (w *world) hold(m edge.Member) *journal.Hold {
	w.t.Helper()
	h, err := w.r.journal.Hold(m)
	if errors.Is(err, journal.ErrNoHold) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return &h
}

// results lists what the journal says of steps and refusals on a member.
func (w *world) results(m edge.Member) (out []string) {
	w.t.Helper()
	entries, err := w.r.journal.Entries(journal.Query{Member: m})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		switch {
		case e.Event == eventEffect:
		case e.Guard != "":
			out = append(out, e.Guard+"/"+e.Reason)
		case e.Result != "":
			out = append(out, e.Admin+" "+e.Result)
		}
	}
	return out
}

// A device is a load balancer in memory that can misbehave.
type device struct {
	mu      sync.Mutex
	states  map[edge.Member]edge.State
	process string
	sent    []string

	deaf    bool          // takes commands and does nothing
	mute    bool          // obeys, and answers neither that nor the next look
	dead    bool          // gives no answer at all
	hang    time.Duration // before each answer
	looking func()        // called before each look

	unheard  bool // takes no command, and doesn't answer it
	told     func(edge.Member) edge.Told
	static   bool          // its algorithm takes no weights
	halved   bool          // breaks off after the weight, once
	every    time.Duration // above zero: it writes pools whole, and knows in and out only
	version  int           // of its one pool
	edit     func()        // somebody changes the pool between the decision and the write
	orders   []int         // how many changes each order had
	looked   func()        // what comes to pass while the device is looked at for an order
	switches map[edge.Member]edge.State
	along    map[edge.Member][]edge.Member
}

func newDevice(members ...edge.Member) *device {
	d := &device{states: map[edge.Member]edge.State{}, process: "pid 1 started 1"}
	for _, m := range members {
		d.states[m] = edge.State{Member: m, Address: "192.0.2.1:80" + m.Name[1:], Serving: true, Weight: 1, Check: edge.Unknown}
	}
	return d
}

var (
	errGone   = errors.New("connection reset")
	errStatic = errors.New("static algorithm")
)

// Look is [Device]'s.
func (d *device) Look(ctx context.Context) (edge.Snapshot, error) {
	if err := d.pause(ctx); err != nil {
		return edge.Snapshot{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.looking; f != nil {
		d.looking = nil
		f()
	}
	if d.dead {
		return edge.Snapshot{}, errGone
	}
	return edge.Snapshot{
		Device: "edge1", Process: d.process, At: time.Now(), States: maps.Clone(d.states),
		Switches: maps.Clone(d.switches), Versions: d.versions(), Along: d.along, Told: d.told,
	}, nil
}

// Whole is [Device]'s.
func (d *device) Whole() (time.Duration, bool) { return d.every, d.every > 0 }

// Set is [Device]'s.
func (d *device) Set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	if err := d.pause(ctx); err != nil {
		return edge.Receipt{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return edge.Receipt{}, errGone
	}
	if d.unheard {
		return edge.Receipt{}, &edge.NoAnswerError{Err: errGone}
	}
	if d.every > 0 {
		if d.edit != nil {
			d.edit()
			d.edit, d.version = nil, d.version+1
		}
		if o.Version != d.versions()["shop"] {
			return edge.Receipt{}, edge.ErrChanged
		}
		if err := o.Save(edge.Image{Device: "edge1", Pool: "shop", Object: "1", Bytes: []byte("before")}); err != nil {
			return edge.Receipt{}, err
		}
	}
	if d.looked != nil {
		d.looked()
	}
	if err := o.Last(); err != nil {
		return edge.Receipt{}, err
	}
	if d.every > 0 {
		d.orders = append(d.orders, len(o.Changes))
	}
	for _, c := range o.Changes {
		what := c.To.String()
		switch {
		case c.Mark != "":
			what = c.Mark
		case c.Share != 0:
			what += " " + strconv.Itoa(c.Share)
		}
		d.sent = append(d.sent, c.Member.Name+" "+what)
		if d.deaf {
			continue
		}
		if st, ok := d.switches[c.Member]; ok {
			st.Marks = c.Mark
			d.switches[c.Member] = st
			continue
		}
		if c.Share != 0 && d.static {
			return edge.Receipt{Written: true}, errStatic
		}
		if c.Share != 0 {
			st := d.states[c.Member]
			st.Share = c.Share
			d.states[c.Member] = st
			if d.halved {
				d.halved = false
				return edge.Receipt{Written: true}, errGone
			}
		}
		d.put(c.Member, c.To)
	}
	if d.mute {
		d.dead = true
		return edge.Receipt{Written: true}, errGone
	}
	return edge.Receipt{Written: true, After: d.after()}, nil
}

func (d *device) after() []byte {
	if d.every > 0 {
		return []byte("after")
	}
	return nil
}

func (d *device) versions() map[string]string {
	if d.every == 0 {
		return nil
	}
	return map[string]string{"shop": strconv.Itoa(d.version)}
}

func (d *device) pause(ctx context.Context) error {
	d.mu.Lock()
	hang := d.hang
	d.mu.Unlock()
	if hang == 0 {
		return nil
	}
	select {
	case <-time.After(hang):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put sets a state as HAProxy does; the caller holds the lock.
func (d *device) put(m edge.Member, to edge.Admin) {
	st := d.states[m]
	if d.every > 0 {
		st.OnOff, st.Admin, st.Marks, st.Serving = true, edge.Ready, "", to == edge.Ready
		if to != edge.Ready {
			st.Admin, st.Marks = edge.Maint, "DOWN"
		}
		d.states[m] = st
		return
	}
	st.Admin, st.Marks = to, map[edge.Admin]string{edge.Ready: "", edge.Drain: "FDRAIN", edge.Maint: "FMAINT"}[to]
	st.Serving = to == edge.Ready
	d.states[m] = st
}

// change does something to the device behind the remediator's back.
func (d *device) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// restart forgets all that was set at run time.
func (d *device) restart() {
	d.change(func() {
		d.process += "'"
		for m := range d.states {
			d.put(m, edge.Ready)
		}
	})
}

func (d *device) marks(m edge.Member) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.states[m].Marks
}

func (d *device) writes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.sent...)
}

// A probe answers what the test says.
type probe struct {
	device *device
	mu     sync.Mutex
	bad    map[edge.Member]edge.Answer
	all    bool              // it covers other pools too
	asked  func(edge.Member) // while it is asked
}

func (p *probe) set(m edge.Member, a edge.Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad[m] = a
}

func (p *probe) Name() string              { return "shop" }
func (p *probe) Covers(m edge.Member) bool { return p.all || m.Pool == "shop" }
func (p *probe) Interval() time.Duration   { return time.Second }
func (p *probe) Rise() int                 { return 2 }

func (p *probe) Ask(_ context.Context, s edge.State) guard.Evidence {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil {
		p.asked(s.Member)
	}
	a, ok := p.bad[s.Member]
	if !ok {
		a = edge.Yes
	}
	return guard.Evidence{Source: "probe:shop", Answer: a, At: time.Now(), Detail: "as the test says"}
}

// alerts is an Alertmanager.
type alerts struct {
	mu     sync.Mutex
	firing map[string]claims.Claim
	blind  string
}

func (a *alerts) fire(m edge.Member) {
	a.claim(map[string]string{"alertname": "MemberFailing", "device": m.Device, "pool": m.Pool, "member": m.Name, "remediation": "drain"})
}

func (a *alerts) claim(labels map[string]string) {
	c, ok := new(claims.Mapping).Claim(labels)
	if !ok {
		panic("no claim")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.StartsAt = time.Now()
	a.firing[c.Key] = c
}

func (a *alerts) add(c claims.Claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.firing[c.Key] = c
}

func (a *alerts) drop(labels map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.firing, claims.Key(labels))
}

func (a *alerts) silence(m edge.Member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.firing {
		if c.Member == m {
			c.Suppressed, c.SilencedBy = true, []string{"abc"}
			a.firing[k] = c
		}
	}
}

func (a *alerts) resolve(m edge.Member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.firing {
		if c.Member == m {
			delete(a.firing, k)
		}
	}
}

// Read is [claims.Reader]'s.
func (a *alerts) Read(context.Context) claims.View {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	v := claims.View{At: now, Sources: []claims.Source{{Name: "am", Blind: a.blind}}}
	if a.blind != "" {
		v.Blind = []string{"am: " + a.blind}
		return v
	}
	for _, c := range a.firing {
		c.Source, c.UpdatedAt, c.SeenAt = "am", now, now
		v.Claims = append(v.Claims, c)
	}
	return v
}

// logTo shows the log of a test that fails.
func logTo(t *testing.T) log.Logger { return log.NewLogfmtLogger(testWriter{t}) }

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}
