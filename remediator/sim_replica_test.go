package remediator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/journal"
	"github.com/sluice-project/sluice/test/replicas/etcdmodel"
)

const simPrefix = "/sluice"

// replicated says whether a world has several replicas: each sixteenth.
func replicated(seed uint64) bool { return seed%16 == 7 }

// A simSite is several replicas with one etcd, and an office: a replica that never
// leads, over which people speak and some alerts come, and by whose journal we judge.
type simSite struct {
	etcd  *etcdmodel.Etcd
	ttl   time.Duration
	seats []*simSeat
	leads string    // who held the key when we looked last
	down  time.Time // no answer of etcd until then
}

// A simSeat is a place for a replica, whose processes come and go. What is wrong with
// its way to etcd lasts until then.
type simSeat struct {
	n    int
	proc *simProcess
	back time.Time // after a crash
	cut  time.Time // nothing arrives
	deaf time.Time // nothing comes back
	lead *coordinate.Etcd
	read func() (*journal.Journal, error) // the journal once more
}

func newSimSite(s *simRun) *simSite {
	site := &simSite{etcd: etcdmodel.New(), ttl: time.Duration(8+s.rng.IntN(8)) * time.Second}
	for i := range 2 + s.rng.IntN(2) {
		site.seats = append(site.seats, &simSeat{n: i + 1})
	}
	return site
}

// processes are all that live and work.
func (s *simRun) processes() (out []*simProcess) {
	if s.site == nil {
		return []*simProcess{s.proc}
	}
	for _, seat := range s.site.seats {
		if seat.proc != nil && !seat.proc.dead.Load() {
			out = append(out, seat.proc)
		}
	}
	return append(out, s.proc)
}

// open opens the office and takes all seats.
func (site *simSite) open(s *simRun) {
	office := &simSeat{}
	p := site.take(s, office, simNoWire{})
	p.armed.Store(nil)
	p.cancel = func() {}
	close(p.done)
	s.proc = p
	site.seats, office.proc = append(site.seats, office), nil // to be closed as the others
	for _, seat := range site.seats[:len(site.seats)-1] {
		site.sit(s, seat)
	}
}

// take builds a process at a seat.
func (site *simSite) take(s *simRun, seat *simSeat, link etcdmodel.Link) *simProcess {
	p := s.process()
	p.seat = seat
	if w, ok := link.(*simWire); ok {
		w.p = p
	}
	wire := site.etcd.Client(link)
	seat.lead = coordinate.NewEtcd(wire, simPrefix, site.ttl)
	seat.read = func() (*journal.Journal, error) { return journal.OpenEtcd(wire, simPrefix, nil) }
	o := s.options(p)
	o.Coordinator = seat.lead
	s.build(p, o)
	return p
}

func (site *simSite) sit(s *simRun, seat *simSeat) {
	s.mu.Lock()
	seat.cut, seat.deaf = time.Time{}, time.Time{}
	s.mu.Unlock()
	p := site.take(s, seat, &simWire{s: s, site: site, seat: seat})
	s.mu.Lock()
	seat.proc = p
	s.mu.Unlock()
	s.begin(p)
}

// leave ends the process at a seat.
func (site *simSite) leave(s *simRun, seat *simSeat) {
	p := seat.proc
	p.paused.Store(0)
	s.end(p)
	s.mu.Lock()
	seat.proc = nil
	s.mu.Unlock()
	if err := seat.lead.Close(); err != nil {
		s.blame("I16", "the coordinator doesn't close: %v", err)
	}
}

// revive restarts who has died.
func (site *simSite) revive(s *simRun) {
	for _, seat := range site.seats {
		switch {
		case seat.n == 0:
		case seat.proc != nil && seat.proc.dead.Load():
			site.leave(s, seat)
			seat.back = time.Now().Add(time.Duration(s.rng.IntN(30_000)) * time.Millisecond)
		case seat.proc == nil && time.Now().After(seat.back) && !time.Now().Before(site.down):
			s.stats.Restarts++
			site.sit(s, seat)
		}
	}
}

func (site *simSite) restart(s *simRun) {
	seat := site.seats[s.rng.IntN(len(site.seats)-1)]
	if seat.proc == nil {
		return
	}
	site.leave(s, seat)
	seat.back = time.Now().Add(time.Duration(s.rng.IntN(10_000)) * time.Millisecond)
}

func (site *simSite) close(s *simRun) {
	for _, seat := range site.seats {
		if seat.proc != nil {
			site.leave(s, seat)
		}
	}
	s.judgeJournal()
	office := site.seats[len(site.seats)-1]
	if err := errors.Join(s.proc.r.Close(), office.lead.Close()); err != nil {
		s.blame("I11", "the journal doesn't close: %v", err)
	}
	site.etcd.Stop()
}

// heal ends all that is wrong. The caller holds the lock.
func (site *simSite) heal() {
	site.down = time.Time{}
	for _, seat := range site.seats {
		seat.cut, seat.deaf, seat.back = time.Time{}, time.Time{}, time.Time{}
	}
}

// anybody is a replica to which a message comes: one that can be reached, or the office.
func (site *simSite) anybody(s *simRun) *simProcess {
	seat := site.seats[s.rng.IntN(len(site.seats))]
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := seat.proc; p != nil && !p.dead.Load() && p.armed.Load() == nil && !now.Before(seat.cut) && !now.Before(seat.deaf) && !now.Before(site.down) && p.paused.Load() <= now.UnixNano() {
		return p
	}
	return s.proc
}

// replicaFails cuts a replica's way to etcd, both ways or one, stops it for a while, or
// etcd; whoever leads is met more often.
func (s *simRun) replicaFails() {
	site := s.site
	if site == nil {
		return
	}
	seat := site.seats[s.rng.IntN(len(site.seats)-1)]
	for range 2 {
		if _, left := site.leader(); seat.proc == nil || left > 0 && !site.isLed(seat) {
			seat = site.seats[s.rng.IntN(len(site.seats)-1)]
		}
	}
	until := time.Now().Add(time.Duration(1+s.rng.IntN(40_000)) * time.Millisecond)
	s.locked(func() {
		switch kind := s.rng.IntN(8); {
		case kind < 2:
			seat.cut = until
			s.log("etcd", "replica %d is cut off until %s", seat.n, until.Sub(s.begun))
		case kind < 4:
			seat.deaf = until
			s.log("etcd", "replica %d gets no answers until %s", seat.n, until.Sub(s.begun))
		case kind < 7 && seat.proc != nil:
			seat.proc.paused.Store(until.UnixNano())
			s.log("etcd", "replica %d is stopped until %s", seat.n, until.Sub(s.begun))
		case kind == 7:
			site.down = until
			s.log("etcd", "no answer from etcd until %s", until.Sub(s.begun))
			if s.oneIn(2) { // another of its members leads then
				time.AfterFunc(time.Until(until), site.etcd.Extend)
			}
		}
	})
}

// leader is who holds the key, and for how long still.
func (site *simSite) leader() (identity string, left time.Duration) {
	value, left := site.etcd.Holder(simPrefix + "/leader")
	var h struct{ Identity string }
	if json.Unmarshal(value, &h) != nil {
		return "", 0
	}
	return h.Identity, left
}

func (site *simSite) isLed(by *simSeat) bool {
	identity, _ := site.leader()
	return by.lead != nil && by.lead.Status().Identity == identity
}

// acting is the life of the process that leads; 0 when nobody does.
func (s *simRun) acting() int {
	if s.site == nil {
		return s.proc.life
	}
	for _, seat := range s.site.seats {
		if seat.proc != nil && s.site.isLed(seat) {
			return seat.proc.life
		}
	}
	return 0
}

// i16: nobody sends a command but who leads by etcd's own word, and then only while the
// lease lasts for longer than the command and its margin.
func (s *simRun) i16(p *simProcess, o edge.Order) {
	if s.site == nil {
		return
	}
	identity, left := s.site.leader()
	if mine := p.seat.lead.Status().Identity; identity != mine {
		s.blame("I16", "%v is sent by replica %d, and another leads, or none", o.Changes, p.seat.n)
	} else if left <= leaseNeed {
		s.blame("I16", "%v is sent with %s left of the lease, want more than %s", o.Changes, left, leaseNeed)
	}
	s.locked(func() {
		if s.site.leads != identity { // what only the one before knew is nobody's knowledge now
			holds, err := s.proc.r.journal.Holds()
			if err != nil {
				s.violate("I11", "the holds can't be read: %v", err)
			}
			s.ledger.died(holds)
		}
		s.site.leads = identity
	})
}

// stall stands still while the process is stopped, wherever it is.
func (p *simProcess) stall() {
	for {
		until := time.Unix(0, p.paused.Load())
		if !time.Now().Before(until) {
			return
		}
		time.Sleep(time.Until(until))
	}
}

// simNoWire is the office's way to etcd: nothing is ever wrong with it.
type simNoWire struct{}

func (simNoWire) Reach(ctx context.Context, _ string) error  { return ctx.Err() }
func (simNoWire) Return(ctx context.Context, _ string) error { return ctx.Err() }

// A simWire is a replica's way to etcd.
type simWire struct {
	s    *simRun
	site *simSite
	seat *simSeat
	p    *simProcess
}

var errDead = errors.New("the process is dead")

// Reach is [etcdmodel.Link]'s.
func (w *simWire) Reach(ctx context.Context, call string) error {
	w.p.stall()
	return w.travel(ctx, "to "+call, func() time.Time { return w.seat.cut })
}

// Return is [etcdmodel.Link]'s.
func (w *simWire) Return(ctx context.Context, call string) error {
	err := w.travel(ctx, "from "+call, func() time.Time {
		if w.seat.deaf.After(w.seat.cut) {
			return w.seat.deaf
		}
		return w.seat.cut
	})
	w.p.stall()
	return err
}

// travel takes its time, and waits where the way is cut.
func (w *simWire) travel(ctx context.Context, what string, cut func() time.Time) error {
	dice := w.s.roll(what, edge.Member{Name: fmt.Sprint(w.seat.n)})
	if err := simPause(ctx, time.Duration(50+dice.IntN(2_000))*time.Microsecond); err != nil {
		return err
	}
	for {
		if w.p.dead.Load() {
			return errDead
		}
		w.s.mu.Lock()
		until := cut()
		if w.site.down.After(until) {
			until = w.site.down
		}
		w.s.mu.Unlock()
		if !time.Now().Before(until) {
			return nil
		}
		if err := simPause(ctx, min(time.Until(until), time.Second)); err != nil {
			return err
		}
	}
}

// openAgain opens the journal once more, as the next process would find it.
func (s *simRun) openAgain() (*journal.Journal, error) {
	if s.site == nil {
		return journal.Open(s.path, time.Second)
	}
	return s.site.seats[len(s.site.seats)-1].read()
}
