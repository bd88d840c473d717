package remediator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Who changed a member last.
const (
	byNobody = ""
	byUs     = "us"     // an order of the remediator
	byPerson = "person" // somebody at the device
	byReload = "reload" // the device forgot
)

// A simDevice is a load balancer: one that is changed member by member and has a
// life of its own (HAProxy), or one that is written pool by pool under a version
// (PTAF).
type simDevice struct {
	s        *simRun
	name     string
	whole    bool
	every    time.Duration
	checks   bool // the device checks its members itself
	pools    []string
	policies []string // the policy that alerts on each pool name
	members  map[edge.Member]*simMember
	twins    map[edge.Member]edge.Member // one object in two pools
	follow   map[edge.Member][]edge.Member
	switches map[edge.Member]*simMember
	dice     *rand.Rand // of orders: they come one after another

	life     int
	versions map[string]int
	readOnly string
	down     time.Time // no answer until then
	hangs    bool      // and it doesn't refuse, it says nothing
}

// A simMember is the truth about one member.
type simMember struct {
	st      edge.State
	well    bool
	by      string
	changed time.Time

	hold   string     // that we put it out under
	left   edge.State // how we left it
	leftIn int        // in which life of the device
	before edge.State // how we found it

	standby bool // out by configuration, and named as a way round its pool

	share    int           // by configuration; 0 where the device doesn't tell
	lowered  bool          // its weight is of our making
	weighed  bool          // and somebody set another since
	sessions int           // while it is in
	last     time.Duration // its sessions, once it is out
}

func newSimDevice(s *simRun, name string) *simDevice {
	d := &simDevice{
		s: s, name: name, whole: s.oneIn(3), checks: s.oneIn(2), life: 1,
		members: map[edge.Member]*simMember{}, twins: map[edge.Member]edge.Member{}, follow: map[edge.Member][]edge.Member{}, versions: map[string]int{}, switches: map[edge.Member]*simMember{},
		dice: rand.New(rand.NewPCG(s.seed, uint64(name[len(name)-1]))),
	}
	if d.whole {
		d.every = 10 * time.Second
	}
	for i := range 1 + s.rng.IntN(2) {
		d.pools = append(d.pools, fmt.Sprintf("pool%d", i+1))
		d.policies = append(d.policies, simPick(s.rng, []string{"drain", "drain", "maint"}))
		weighed := s.oneIn(2)
		for n := range simPick(s.rng, []int{1, 2, 3, 3, 4, 4, 5, 5, 6, 8}) {
			m := edge.Member{Device: name, Pool: d.pools[i], Name: fmt.Sprintf("s%d", n+1)}
			st := edge.State{Member: m, Address: fmt.Sprintf("192.0.2.%d:%d", 10*i+n+1, 8000), Weight: 1, OnOff: d.whole}
			if weighed {
				st.Weight = 1 + s.rng.IntN(10)
				st.Share = st.Weight
			}
			st.Backup = n > 0 && s.oneIn(10)
			st.Settled = n > 0 && s.oneIn(25)
			st.Agent = !d.whole && s.oneIn(25)
			d.members[m] = &simMember{st: st, well: true, share: st.Share, sessions: s.rng.IntN(20), last: time.Duration(s.rng.IntN(60)) * time.Second}
			d.set(m, edge.Ready, byNobody)
			if s.oneIn(20) {
				d.set(m, edge.Maint, byPerson)
			}
		}
		if s.oneIn(2) {
			d.wayRound(d.pools[i])
		}
	}
	if len(d.pools) == 2 && s.oneIn(3) {
		d.bind()
	}
	return d
}

// bind makes members of the two pools one object, or lets one follow another.
func (d *simDevice) bind() {
	a, b := edge.Member{Device: d.name, Pool: "pool1", Name: "s1"}, edge.Member{Device: d.name, Pool: "pool2", Name: "s1"}
	if d.s.oneIn(3) && !d.whole {
		d.members[b].st.Tracks = a.Pool + "/" + a.Name
		d.follow[a] = []edge.Member{b}
		return
	}
	if d.policies[0] != d.policies[1] {
		return // no policy of that name would rule both: never a step
	}
	d.twins[a], d.twins[b] = b, a
	d.members[b].st = d.members[a].st
	d.members[b].st.Member, d.members[b].by = b, d.members[a].by
}

// in lists the members of a pool, in order.
func (d *simDevice) in(pool string) (out []*simMember) {
	for _, m := range simSorted(d.members) {
		if m.Pool == pool {
			out = append(out, d.members[m])
		}
	}
	return out
}

// moved are the members that a change of m changes.
func (d *simDevice) moved(m edge.Member) []edge.Member {
	out := []edge.Member{m}
	if twin, ok := d.twins[m]; ok {
		out = append(out, twin)
	}
	return append(out, d.follow[m]...) // those that track it
}

// find returns a member, or a switch.
func (d *simDevice) find(m edge.Member) *simMember {
	if x := d.members[m]; x != nil {
		return x
	}
	return d.switches[m]
}

// put changes a member, and what goes with it.
func (d *simDevice) put(m edge.Member, to edge.Admin, by string) {
	for _, one := range d.moved(m) {
		d.set(one, to, by)
		d.versions[one.Pool]++
	}
}

func (d *simDevice) set(m edge.Member, to edge.Admin, by string) {
	x := d.members[m]
	if d.whole && to == edge.Drain {
		to = edge.Maint
	}
	if x.st.Admin != to {
		x.by, x.changed = by, time.Now()
	}
	x.st.Admin, x.st.Marks = to, map[edge.Admin]string{edge.Ready: "", edge.Drain: "FDRAIN", edge.Maint: "FMAINT"}[to]
	if d.whole && to != edge.Ready {
		x.st.Marks = "DOWN"
	}
}

// reload begins another life, in which what was set is kept or forgotten.
func (d *simDevice) reload(keeps bool) {
	if d.whole {
		return
	}
	d.life++
	for _, m := range simSorted(d.members) {
		configured := edge.Ready
		if d.members[m].standby {
			configured = edge.Maint
		}
		if x := d.members[m]; !keeps {
			if x.st.Admin != configured {
				d.set(m, configured, byReload)
			}
			if x.lowered, x.weighed = false, false; x.share > 0 {
				x.st.Share, x.st.Weight = x.share, x.share
			}
		}
	}
}

// state is what the device would say of a member now.
func (d *simDevice) state(x *simMember) edge.State {
	st := x.st
	up := func(x *simMember) bool {
		return x.st.Admin == edge.Ready && !x.st.Settled && (x.well || !d.checks)
	}
	st.Serving = up(x)
	if st.Sessions = x.sessions; st.Admin != edge.Ready && time.Since(x.changed) >= x.last {
		st.Sessions = 0
	}
	if st.Backup && st.Serving { // takes traffic only when no other does
		for _, o := range d.in(x.st.Member.Pool) {
			st.Serving = st.Serving && (o.st.Backup || !up(o))
		}
	}
	if d.checks && st.Admin != edge.Maint {
		st.Check = edge.No
		if x.well {
			st.Check = edge.Yes
		}
	}
	return st
}

func (d *simDevice) snapshot() edge.Snapshot {
	snap := edge.Snapshot{Device: d.name, At: time.Now(), States: map[edge.Member]edge.State{}, ReadOnly: d.readOnly}
	for m, x := range d.members {
		snap.States[m] = d.state(x)
	}
	if len(d.switches) > 0 {
		snap.Switches = map[edge.Member]edge.State{}
		for m, x := range d.switches {
			snap.Switches[m] = x.st
		}
	}
	if !d.whole {
		snap.Process = "life " + strconv.Itoa(d.life)
	} else {
		snap.Versions = map[string]string{}
		for _, p := range d.pools {
			snap.Versions[p] = strconv.Itoa(d.versions[p])
		}
	}
	if len(d.twins)+len(d.follow) > 0 {
		snap.Along = map[edge.Member][]edge.Member{}
		for a, bs := range d.follow {
			snap.Along[a] = bs
		}
		for a, b := range d.twins {
			snap.Along[a] = []edge.Member{b}
		}
	}
	return snap
}

// meddle lets a person change something, right now.
func (d *simDevice) meddle(dice *rand.Rand, where string) {
	if len(d.switches) > 0 && dice.IntN(8) == 0 {
		m, mark := simPick(dice, simSorted(d.switches)), simPick(dice, []string{active, passive})
		d.s.log(d.name, "a person turns %s to %s%s", m, mark, where)
		d.turn(m, mark, byPerson)
		return
	}
	m := simPick(dice, simSorted(d.members))
	if x := d.members[m]; x.share > 0 && !d.whole && dice.IntN(6) == 0 {
		x.st.Share = 1 + dice.IntN(10)
		x.st.Weight, x.weighed, x.lowered = x.st.Share, x.lowered && x.st.Share != x.left.Share, x.lowered && x.st.Share == x.left.Share
		d.s.log(d.name, "a person gives %s weight %d%s", m, x.st.Share, where)
		return
	}
	to := simPick(dice, []edge.Admin{edge.Ready, edge.Ready, edge.Ready, edge.Drain, edge.Maint})
	d.s.log(d.name, "a person puts %s in %s%s", m, to, where)
	d.put(m, to, byPerson)
}

// A simLink is a device as one life of the remediator reaches it. When that life
// is over, whoever uses it ends: a dead process does nothing more.
type simLink struct {
	d    *simDevice
	life *simProcess
}

var errNoAnswer = errors.New("no answer")

// Whole is [Device]'s.
func (l simLink) Whole() (time.Duration, bool) { return l.d.every, l.d.whole }

// Look is [Device]'s.
func (l simLink) Look(ctx context.Context) (edge.Snapshot, error) {
	d, s := l.d, l.d.s
	began := time.Now()
	l.life.stall()
	dice := s.roll("look", edge.Member{Device: d.name})
	err := simPause(ctx, time.Duration(1+dice.IntN(20_000))*time.Microsecond)
	l.life.mustLive()
	if err != nil {
		return edge.Snapshot{}, err
	}
	s.mu.Lock()
	s.stats.Looks++
	down, hangs := time.Now().Before(d.down), d.hangs
	snap := d.snapshot()
	looked := s.ledger.looking(l.life.life, snap, began, d)
	if !s.calm && dice.IntN(150) == 0 {
		d.meddle(dice, ", just after the engine has looked")
	}
	s.mu.Unlock()
	switch {
	case down && hangs:
		<-ctx.Done()
		l.life.mustLive()
		return edge.Snapshot{}, ctx.Err()
	case down:
		return edge.Snapshot{}, errNoAnswer
	}
	err = simPause(ctx, time.Duration(1+dice.IntN(2_000))*time.Microsecond)
	l.life.mustLive()
	if err != nil {
		return edge.Snapshot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	snap.At = time.Now()
	s.ledger.looked(s, looked)
	return snap, nil
}

// Ways in which an order goes wrong, or doesn't.
const (
	obeys = iota
	dropsAnswer
	diesAfter
	lies
	refuses
	hangsBefore
	hangsAfter
	reloadsAfter
	half
)

var simFaults = map[int]string{
	dropsAnswer: "obeys, and the answer is lost", diesAfter: "obeys, and is gone", lies: "says OK and does nothing",
	refuses: "refuses", hangsBefore: "says nothing and does nothing", hangsAfter: "obeys and says nothing",
	reloadsAfter: "obeys, and restarts", half: "does the half of it",
}

// Set is [Device]'s.
func (l simLink) Set(ctx context.Context, o edge.Order) (edge.Receipt, error) {
	d, s := l.d, l.d.s
	wait := time.Duration(1+d.dice.IntN(30_000)) * time.Microsecond
	fault := obeys
	if d.dice.IntN(5) == 0 {
		fault = 1 + d.dice.IntN(len(simFaults))
	}
	meddled := d.dice.IntN(40) == 0
	err := simPause(ctx, wait)
	l.life.mustLive()
	if err := l.before(o); err != nil {
		return edge.Receipt{}, err
	}
	sent := time.Now()
	if err := o.Last(); err != nil {
		return edge.Receipt{}, err
	}
	l.life.mustLive()
	s.i16(l.life, o)
	s.mu.Lock()
	if s.calm {
		fault, meddled = obeys, false
	}
	if meddled {
		d.meddle(d.dice, ", between read and write")
	}
	if time.Now().Before(d.down) && fault != hangsBefore {
		fault = refuses
	}
	r, answered := l.order(o, fault, sent)
	s.ledger.unsure(d.name, o, answered)
	s.mu.Unlock()
	if fault == hangsAfter || fault == hangsBefore {
		<-ctx.Done()
		answered = ctx.Err()
	}
	l.life.mustLive()
	return r, errors.Join(err, answered)
}

// before is what the client of a device that is written whole does first: it looks once
// more, and has the object kept.
func (l simLink) before(o edge.Order) error {
	if !l.d.whole {
		return nil
	}
	if l.changed(o) {
		return edge.ErrChanged
	}
	pool := o.Changes[0].Member.Pool
	err := o.Save(edge.Image{Device: l.d.name, Pool: pool, Object: "1", Bytes: []byte(o.Version)})
	l.life.mustLive()
	return err
}

func (l simLink) changed(o edge.Order) (is bool) {
	l.d.s.locked(func() {
		if is = o.Version != strconv.Itoa(l.d.versions[o.Changes[0].Member.Pool]); is {
			l.d.s.log(l.d.name, "the pool has changed since: nothing is done")
		}
	})
	return is
}

// order carries out what the fault leaves of an order. The caller holds the lock.
func (l simLink) order(o edge.Order, fault int, sent time.Time) (edge.Receipt, error) {
	d, s := l.d, l.d.s
	pool := ""
	if len(o.Changes) > 0 {
		pool = o.Changes[0].Member.Pool
	}
	s.stats.Orders++
	s.log(d.name, "gets %v%s", o.Changes, map[bool]string{true: " and " + simFaults[fault]}[fault != obeys])
	if d.whole {
		if o.Version != strconv.Itoa(d.versions[pool]) {
			s.log(d.name, "the pool has changed since: nothing is done")
			return edge.Receipt{}, edge.ErrChanged
		}
	}
	s.judgeOrder(l, o, sent)
	if fault == refuses {
		return edge.Receipt{}, errNoAnswer
	}
	if fault == lies || fault == hangsBefore {
		return edge.Receipt{Written: true}, nil
	}
	changes := o.Changes
	if fault == half {
		if c := changes[0]; len(changes) == 1 && c.Share > 0 && d.dice.IntN(2) == 0 {
			d.weigh(c) // the weight alone, and not the state
		}
		if c := changes[0]; len(changes) == 1 && c.Share > 0 && d.dice.IntN(2) == 0 {
			c.Share = 0
			s.applied(l, c) // or that alone
		}
		changes = changes[:len(changes)/2]
	}
	for _, c := range changes {
		s.applied(l, c)
	}
	switch fault {
	case dropsAnswer, half:
		return edge.Receipt{Written: true}, errNoAnswer
	case diesAfter:
		d.down, d.hangs = time.Now().Add(time.Duration(d.dice.IntN(20_000))*time.Millisecond), d.dice.IntN(2) == 0
		return edge.Receipt{Written: true}, errNoAnswer
	case reloadsAfter:
		d.reload(d.dice.IntN(2) == 0)
	}
	after := []byte(nil)
	if d.whole {
		after = []byte(strconv.Itoa(d.versions[pool]))
	}
	return edge.Receipt{Written: true, After: after}, nil
}

// mustLive ends the goroutine of a process that is dead.
func (p *simProcess) mustLive() {
	if p.dead.Load() {
		runtime.Goexit()
	}
}
