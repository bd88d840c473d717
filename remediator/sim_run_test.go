package remediator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// simBuild is held while a client of Alertmanager's API is made: its library sets
// a variable of its own then, and worlds run side by side.
var simBuild sync.Mutex

// A simProcess is one life of the remediator.
type simProcess struct {
	life    int
	r       *Remediator
	handler http.Handler
	reg     *prometheus.Registry
	began   time.Time
	cancel  context.CancelFunc
	done    chan struct{}

	seat   *simSeat // of several replicas; nil: the only process
	paused atomic.Int64

	dead  atomic.Bool
	armed atomic.Pointer[simCrash]
}

// A simCrash is a crash that is to come: at the so-manieth passing of a failpoint.
type simCrash struct {
	point string
	left  atomic.Int64
}

// passes is the failpoint: here a process dies, and whoever passes after it.
func (p *simProcess) passes(s *simRun, point string) {
	if c := p.armed.Load(); c != nil && c.point == point && c.left.Add(-1) == 0 {
		p.dead.Store(true)
		s.mu.Lock()
		s.log("crash", "the remediator dies at %s", point)
		s.stats.Crashes++
		s.stats.Points[point]++
		s.mu.Unlock()
	}
	if p.dead.Load() {
		runtime.Goexit()
	}
	if point != "give_back.sending" { // after the last moment before a command nothing can be stopped
		p.stall()
	}
}

// start begins a life of the remediator on the same journal and the same world.
func (s *simRun) start() {
	if s.site != nil {
		s.site.open(s)
		return
	}
	p := s.process()
	s.build(p, s.options(p))
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	s.begin(p)
}

func (s *simRun) process() *simProcess {
	s.lives++
	return &simProcess{life: s.lives, began: time.Now(), done: make(chan struct{}), reg: prometheus.NewRegistry()}
}

// build makes the remediator of a process.
func (s *simRun) build(p *simProcess, o Options) {
	o.Registerer, o.Failpoint = p.reg, func(point string) { p.passes(s, point) }
	if s.tell != nil {
		o.Logger = log.NewLogfmtLogger(simLog{s})
	}
	simBuild.Lock()
	r, err := New(o)
	simBuild.Unlock()
	if err != nil {
		panic(fmt.Sprintf("seed %d: %v", s.seed, err))
	}
	if r.broken != nil {
		s.blame("I19", "the journal can't be used: %v", r.broken)
	}
	for _, odd := range r.journal.Problems() {
		s.blame("I11", "the journal is odd: %s", odd)
	}
	p.r, p.handler = r, r.Handler()
	if s.apis {
		r.set.offline(simReader{s, p})
	}
	if !s.calm && s.oneIn(2) {
		c := &simCrash{point: simPick(s.rng, Failpoints[2:])} // those of steps
		if s.oneIn(6) {
			c.point = simPick(s.rng, Failpoints[:2])
		}
		c.left.Store(1 + s.rng.Int64N(2))
		p.armed.Store(c)
	}
}

// begin lets a process work.
func (s *simRun) begin(p *simProcess) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	s.log("driver", "life %d of the remediator begins", p.life)
	go func() {
		defer close(p.done)
		if err := p.r.Run(ctx); err != nil {
			panic(err) // it never returns one
		}
	}()
}

func (s *simRun) options(p *simProcess) Options {
	o := Options{
		Config: s.configs[len(s.configs)-1].cfg, ConfigHash: fmt.Sprintf("c%d", len(s.configs)),
		Devices: map[string]Device{}, Authenticated: true,
	}
	for _, d := range s.devices {
		o.Devices[d.name] = simLink{d, p}
	}
	for _, c := range s.checks {
		o.Checks = append(o.Checks, simAsker{c, p})
	}
	return o
}

// stop ends the process: in order, or what a crash has left of it.
func (s *simRun) stop() {
	if s.site != nil {
		s.site.close(s)
		return
	}
	s.end(s.proc)
	s.proc = nil
}

// end lets a process come to its end.
func (s *simRun) end(p *simProcess) {
	p.cancel()
	<-p.done
	families, err := p.reg.Gather()
	if err != nil {
		s.blame("I26", "metrics: %v", err)
	}
	defer s.log("driver", "life %d of the remediator is over", p.life)
	defer func() {
		if err := p.r.Close(); err != nil {
			s.blame("I11", "the journal doesn't close: %v", err)
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	holds, err := s.proc.r.journal.Holds()
	if err != nil {
		s.violate("I11", "the holds can't be read: %v", err)
	}
	s.ledger.died(holds)
	s.judgeMetrics(p, families)
}

// apply replaces the configuration while the remediator runs.
func (s *simRun) apply() {
	s.mu.Lock()
	s.configs = append(s.configs, simConfig{s.config(), time.Now()})
	s.mu.Unlock()
	s.log("driver", "a new configuration")
	for _, p := range s.processes() {
		s.reload(p)
	}
}

// reload gives one process the configuration of now.
func (s *simRun) reload(p *simProcess) {
	o := s.options(p)
	if !s.apis {
		if err := p.r.Apply(o); err != nil {
			s.blame("I25", "a good configuration is refused: %v", err)
		}
		return
	}
	simBuild.Lock()
	set, err := p.r.build(o) // [Remediator.Apply] would make a reader that uses the network
	simBuild.Unlock()
	if err != nil {
		s.blame("I25", "a good configuration is refused: %v", err)
		return
	}
	set.offline(simReader{s, p})
	p.r.mu.Lock()
	p.r.set = set
	p.r.mu.Unlock()
	poke(p.r.apply)
}

// run is the whole of a world's history.
func (s *simRun) run() {
	s.start()
	for end := time.Duration(60+s.rng.IntN(100)) * time.Second; time.Since(s.begun) < end; {
		s.pass(time.Duration(200+s.rng.IntN(8_000)) * time.Millisecond)
		s.event()
	}
	s.rest()
	if s.oneIn(12) { // what is broken stays broken
		s.pass(9 * time.Minute)
		before := s.stats.Orders
		s.pass(3 * time.Minute)
		s.locked(func() { s.judgeStill(before) })
	}
	s.heal()
	for end := time.Now().Add(9 * time.Minute); time.Now().Before(end) && !s.settled(); {
		s.pass(10 * time.Second)
	}
	before := s.stats.Orders
	s.pass(time.Minute)
	s.locked(func() {
		s.judgeStill(before)
		s.judgeHealed()
	})
	s.stop()
	if s.site == nil {
		s.judgeJournal()
	}
}

// settled says that nothing of ours is out, and nothing asked for.
func (s *simRun) settled() bool {
	holds, err := s.proc.r.journal.Holds()
	if err != nil || slices.ContainsFunc(holds, func(h journal.Hold) bool { return h.Phase != journal.Superseded }) {
		return false
	}
	known := len(s.am.peers[0].known) + len(s.am.peers[1].known)
	for _, r := range s.am.rules {
		if r.firing {
			known++
		}
	}
	return known == 0
}

// pass lets time go by.
func (s *simRun) pass(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		time.Sleep(min(time.Until(until), 2713*time.Millisecond))
		synctest.Wait()
		if s.site != nil {
			s.site.revive(s)
		} else if s.proc != nil && s.proc.dead.Load() {
			s.stop()
			time.Sleep(time.Duration(s.rng.IntN(20_000)) * time.Millisecond)
			s.stats.Restarts++
			s.start()
			synctest.Wait()
		}
		s.am.tick()
		synctest.Wait()
		if s.proc != nil && !s.proc.dead.Load() {
			s.mu.Lock()
			s.judgeHolds()
			s.mu.Unlock()
		}
	}
}

// rest ends all faults and interference, and leaves the world as it is.
func (s *simRun) rest() {
	s.mu.Lock()
	s.calm = true
	for _, d := range s.devices {
		d.down, d.readOnly = time.Time{}, ""
	}
	for _, p := range s.am.peers {
		p.down = time.Time{}
	}
	for _, p := range s.processes() {
		p.armed.Store(nil)
	}
	if s.site != nil {
		s.site.heal()
	}
	s.log("driver", "the world stands still")
	s.mu.Unlock()
}

// heal makes all members well, ends all alerts and lifts the freeze.
func (s *simRun) heal() {
	s.thaw()
	s.clearWay()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.members() {
		x.well = true
	}
	for _, m := range simSorted(s.am.rules) {
		s.am.rules[m].stuck, s.am.rules[m].silenced = false, false
	}
	s.log("driver", "all is well")
}

func (s *simRun) freeze() {
	f := journal.Freeze{Reason: "as the simulation says", Actor: "operator"}
	if !s.oneIn(3) {
		f.Until = time.Now().Add(time.Duration(1+s.rng.IntN(40)) * time.Second)
	}
	if err := s.proc.r.journal.SetFreeze(f); err != nil {
		s.blame("I19", "freeze: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen, s.thawsAt = time.Now(), f.Until
	s.log("driver", "frozen, until %s", f.Until.Sub(s.begun))
}

func (s *simRun) thaw() {
	s.mu.Lock()
	s.frozen = time.Time{}
	s.mu.Unlock()
	if err := s.proc.r.journal.Thaw("operator"); err != nil {
		s.blame("I19", "thaw: %v", err)
	}
	s.log("driver", "thawed")
}

// release asks for one of our holds by hand.
func (s *simRun) release() {
	holds, err := s.proc.r.journal.Holds()
	if err != nil || len(holds) == 0 {
		return
	}
	h := simPick(s.rng, holds)
	s.mu.Lock()
	for _, m := range append([]edge.Member{h.Member}, h.Along...) {
		delete(s.ledger.handsOff, m)
		if x := s.device(m.Device).find(m); x != nil && h.Phase == journal.Superseded {
			x.by, x.lowered = byPerson, false // it is left as it was found
		}
	}
	s.log("driver", "a person asks for the release of %s (%s)", h.Member, h.Phase)
	s.mu.Unlock()
	if err := s.proc.r.Release(context.Background(), h.Member, "operator", "asked for"); err != nil && !errors.Is(err, journal.ErrNoHold) {
		s.blame("I19", "release by hand: %v", err)
	}
}

// answer is a person's word on a step that waits for one.
func (s *simRun) answer() {
	all, err := s.proc.r.journal.Candidates()
	all = slices.DeleteFunc(all, func(h journal.Hold) bool { return h.Phase != journal.AwaitingApproval })
	if err != nil || len(all) == 0 {
		return
	}
	m, yes := simPick(s.rng, all).Member, !s.oneIn(4)
	if err := s.proc.r.Answer(context.Background(), m, yes, "operator", "looked at it"); err != nil {
		s.log("driver", "the word on %s is not taken: %v", m, err)
		return
	}
	s.locked(func() {
		s.log("driver", "a person's word on %s: %v", m, yes)
		s.ledger.words[m] = simWord{at: time.Now(), yes: yes}
	})
}
