package remediator

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/claims"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	lookHeld    = 2 * time.Second // how often a device is looked at while anything is held on it
	lookTimeout = 8 * time.Second // of one look; the device's own timeout is shorter as a rule

	// A step that was begun is finished, within the ten seconds that a stop may take.
	sendTimeout     = 5 * time.Second
	lookBackTimeout = 3 * time.Second
)

// A keeper owns the members of one device. Only its goroutine decides about
// them; results of probes that go on beside it are posted to it.
type keeper struct {
	r    *Remediator
	set  *settings
	name string
	dev  Device

	wake    chan struct{}
	results chan result
	asks    chan func(context.Context) // a person's order, carried out between two rounds
	gone    chan struct{}              // closed when it takes no more of them
	begun   time.Time

	// What follows is the goroutine's own.
	own      map[edge.Member]guard.Evidence // last own results
	courses  map[edge.Member]*course        // of members that are held
	watchers map[edge.Member]context.CancelFunc
	failures map[edge.Member]failure
	queue    map[edge.Pool][]*act      // for a device that writes pools whole: this round's
	wrote    map[edge.Pool]time.Time   // its last write
	clocks   map[edge.Member]clock     // of steps that are asked for or under way
	lapsed   map[edge.Member]time.Time // bypasses that came to their time limit
	errands  []*errand                 // people's orders whose outcome isn't in the journal

	flow       *flow                        // what the device counts, also before this keeper
	candidates map[edge.Member]journal.Hold // as the journal has them
	replan     bool                         // the device changed under us: look again at once
	blind      bool
}

// A result is one answer of a check on a held member.
type result struct {
	member   edge.Member
	evidence guard.Evidence
}

// A course is the evidence on a held member since this process watches it. It is
// kept in memory only: after a restart goodness has to be shown again.
type course struct {
	goodSince time.Time
	goodCount int
	badAt     time.Time // the last bad result
	last      time.Time // when the youngest answer was given
}

// A failure keeps a member from being tried again too soon.
type failure struct {
	count int
	until time.Time
}

func newKeeper(r *Remediator, set *settings, name string, dev Device) *keeper {
	return &keeper{
		r: r, set: set, name: name, dev: dev,
		wake: make(chan struct{}, 1), results: make(chan result, 64), asks: make(chan func(context.Context)), gone: make(chan struct{}), begun: time.Now(),
		own: map[edge.Member]guard.Evidence{}, courses: map[edge.Member]*course{},
		watchers: map[edge.Member]context.CancelFunc{}, failures: map[edge.Member]failure{},
		queue: map[edge.Pool][]*act{}, wrote: map[edge.Pool]time.Time{}, clocks: map[edge.Member]clock{}, lapsed: map[edge.Member]time.Time{},
		candidates: map[edge.Member]journal.Hold{}, flow: r.flowOf(name),
	}
}

// run makes rounds until ctx ends: when it is woken, when a result changes
// something, and by the clock while there is anything to watch.
func (k *keeper) run(ctx context.Context) {
	defer close(k.gone)
	defer k.unwatch(nil)
	if !k.recall(ctx) {
		return
	}
	k.greet(ctx)
	for ctx.Err() == nil {
		k.wait(ctx, k.round(ctx))
	}
}

// greet looks at the device once, before anything is claimed: whether a step can
// be taken there at all is to be known before it is needed.
func (k *keeper) greet(ctx context.Context) {
	if _, err := k.look(ctx); err != nil && ctx.Err() == nil {
		level.Warn(k.r.logger).Log("msg", "device can't be read", "device", k.name, "err", err)
	}
}

// wait returns when another round is due; zero means only when woken.
func (k *keeper) wait(ctx context.Context, d time.Duration) {
	var clock <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		clock = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
			return
		case <-clock:
			return
		case ask := <-k.asks:
			ask(ctx)
		case res := <-k.results:
			if k.hear(res) {
				return
			}
		}
	}
}

// round looks once, tends what is held and considers what is claimed. It returns
// how long to wait for the next.
func (k *keeper) round(ctx context.Context) time.Duration {
	k.catchUp()
	claimed := k.r.on(k.set, k.name)
	holds, err := k.holds()
	if err := errors.Join(err, k.readCandidates()); err != nil {
		level.Error(k.r.logger).Log("msg", "holds unreadable", "device", k.name, "err", oneLine(err))
		return lookHeld
	}
	holds = k.handOver(holds)
	k.overlook(holds)
	k.endLapses(claimed)
	if len(claimed) == 0 {
		k.endCandidates(nil)
		k.aim(nil, true)
	}
	if len(claimed) == 0 && len(holds) == 0 && len(k.errands) == 0 {
		k.unwatch(nil)
		k.forget(nil)
		return 0
	}
	snap, err := k.look(ctx)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil {
		k.aim(nil, len(claimed) == 0)
		k.cantLook(claimed, err)
		return lookHeld
	}
	k.blind = false
	if len(k.errands) > 0 && snap.ReadOnly == "" { // first: what comes of them may end a hold
		if err := k.finishErrands(snap); err != nil {
			return lookHeld
		}
		return shortest
	}
	targets := k.r.targets(k.set, claimed, snap)
	k.forget(targets)
	k.endCandidates(targets)
	k.aim(targets, true)
	k.r.ledger.fell(k.name, targets, snap, time.Duration(k.set.cfg.Brake.Window))
	defer k.r.ledger.unbook(k.name)

	wait := time.Duration(0)
	sooner := func(d time.Duration) {
		if d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	slices.SortStableFunc(holds, func(a, b journal.Hold) int { return order(a.Bypass) - order(b.Bypass) }) // a bypass is given back first
	for i := range holds {
		sooner(k.tend(ctx, &holds[i], snap, targets[holds[i].Member]))
		sooner(lookHeld)
	}
	asked := map[edge.Pool]*question{}
	for _, m := range sorted(targets) {
		if _, held, err := k.hold(m); held || err != nil || ctx.Err() != nil {
			continue
		}
		k.flush(ctx, m.In()) // the pools before: their orders don't grow old over questions to this one
		sooner(k.consider(ctx, targets[m], snap, asked))
	}
	k.flush(ctx, edge.Pool{})
	if k.replan {
		k.replan = false
		sooner(shortest)
	}
	k.watch(ctx, snap)
	return wait
}

// order puts what is true before what isn't.
func order(first bool) int {
	if first {
		return 0
	}
	return 1
}

func sorted(targets map[edge.Member]*target) []edge.Member {
	var out []edge.Member
	for m := range targets {
		out = append(out, m)
	}
	slices.SortFunc(out, edge.Member.Compare)
	return out
}

func (k *keeper) look(ctx context.Context) (edge.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	began := time.Now()
	snap, err := k.dev.Look(ctx)
	if err == nil {
		k.r.noteReadOnly(k.name, snap.ReadOnly)
		k.meet(k.flow.see(snap))
		k.notice(snap, began)
	}
	return snap, err
}

// lookBack reads what became of a command, also when we are told to stop.
func (k *keeper) lookBack(ctx context.Context) (edge.Snapshot, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookBackTimeout)
	defer cancel()
	began := time.Now()
	snap, err := k.dev.Look(ctx)
	if err == nil {
		k.notice(snap, began)
	}
	return snap, err
}

// cantLook refuses everything that is claimed on a device that gives no answer.
func (k *keeper) cantLook(cs []claims.Claim, err error) {
	if !k.blind {
		level.Warn(k.r.logger).Log("msg", "device can't be read", "device", k.name, "err", err)
	}
	k.blind = true
	for m, t := range k.r.targets(k.set, cs, edge.Snapshot{}) {
		if _, held, bad := k.hold(m); held || bad != nil {
			continue // nothing is asked for that isn't done
		}
		w := guard.World{Now: time.Now(), Freeze: k.r.frozen(m), Blind: oneLine(err)}
		if t.policy != nil {
			w.Policy = k.set.limits(t.policy, m)
		}
		k.refuse(t, guard.Decide(t.step(), w))
	}
}

// holds are those of this device, as the journal has them.
func (k *keeper) holds() ([]journal.Hold, error) {
	all, err := k.r.journal.Holds()
	return slices.DeleteFunc(all, func(h journal.Hold) bool { return h.Member.Device != k.name }), err
}

func (k *keeper) hold(m edge.Member) (journal.Hold, bool, error) {
	hs, err := k.holds()
	for _, h := range hs {
		if h.Holds(m) {
			return h, true, err
		}
	}
	return journal.Hold{}, false, err
}

// forget drops what was said of members that aren't claimed any more.
func (k *keeper) forget(targets map[edge.Member]*target) {
	seen := map[string]bool{}
	for m := range targets {
		seen[subject(m)] = true
	}
	k.r.forget("member:"+k.name+"/", seen)
}

func subject(m edge.Member) string { return "member:" + m.String() }

// hear takes in a result and says whether a round is due because of it.
func (k *keeper) hear(res result) bool {
	c := k.courses[res.member]
	if c == nil {
		return false
	}
	if res.evidence.Answer == edge.Yes && res.evidence.At.Before(c.last) {
		return false // it was well before it was found bad by another question
	}
	k.learn(res.member, res.evidence)
	was := c.goodSince.IsZero()
	c.take(res.evidence, k.rise(res.member))
	return was != c.goodSince.IsZero()
}

// catchUp hears what came in while the keeper was busy: nothing is decided on an
// older answer while a newer one waits.
func (k *keeper) catchUp() {
	for {
		select {
		case res := <-k.results:
			k.hear(res)
		default:
			return
		}
	}
}

// take goes on with one answer.
func (c *course) take(e guard.Evidence, rise int) {
	if e.At.After(c.last) {
		c.last = e.At
	}
	switch e.Answer {
	case edge.Yes:
		c.goodCount++
		if c.goodSince.IsZero() && c.goodCount >= rise {
			c.goodSince = time.Now()
		}
	case edge.No:
		c.goodCount, c.goodSince, c.badAt = 0, time.Time{}, time.Now()
	default: // unknown breaks the chain, and proves nothing
		c.goodCount, c.goodSince = 0, time.Time{}
	}
}

func (k *keeper) rise(m edge.Member) int {
	h, held, err := k.hold(m)
	switch {
	case err != nil:
		return math.MaxInt // what isn't known to be enough isn't
	case !held:
		return 1
	}
	return k.set.limits(k.set.held(h.Policy, m), m).Rise
}

// learn keeps the last evidence on a member and counts it.
func (k *keeper) learn(m edge.Member, e guard.Evidence) {
	k.own[m] = e
	k.r.metrics.evidence.WithLabelValues(e.Source, e.Answer.String()).Inc()
	k.r.mu.Lock()
	k.r.heard[m] = e.At
	k.r.mu.Unlock()
}

// watch asks about each held member at its own pace, beside the rounds.
func (k *keeper) watch(ctx context.Context, snap edge.Snapshot) {
	holds, err := k.holds()
	if err != nil {
		return
	}
	held := map[edge.Member]bool{}
	for _, h := range holds {
		held[h.Member] = true
		if k.watchers[h.Member] != nil {
			continue
		}
		if h.Bypass { // judged by the pool's regular members, in each round
			k.courses[h.Member], k.watchers[h.Member] = new(course), func() {}
			continue
		}
		p := k.set.held(h.Policy, h.Member)
		k.courses[h.Member] = new(course)
		st := snap.States[h.Member]
		if st.Member != h.Member {
			st = h.Left
		}
		own, cancel := context.WithCancel(ctx)
		k.watchers[h.Member] = cancel
		go k.watchOne(own, p, st)
	}
	k.unwatch(held)
}

// watchOne ends with its context; its sends never block the end.
func (k *keeper) watchOne(ctx context.Context, p *Policy, st edge.State) {
	tick := time.NewTicker(k.set.every(p, st.Member))
	defer tick.Stop()
	for {
		var e guard.Evidence
		ok := true
		if p.Confirm == "none" {
			snap, err := k.look(ctx)
			now, known := snap.States[st.Member]
			if e = deviceSays(now, time.Now()); err != nil || !known {
				e = guard.Evidence{Source: "device", At: time.Now(), Detail: "the device can't be read"}
			}
		} else {
			e, ok = k.set.ask(ctx, p, []edge.State{st})[st.Member]
		}
		if ctx.Err() != nil {
			return
		}
		if ok {
			select {
			case k.results <- result{st.Member, e}:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// unwatch ends the watchers of members that aren't held.
func (k *keeper) unwatch(held map[edge.Member]bool) {
	for m, cancel := range k.watchers {
		if held[m] {
			continue
		}
		cancel()
		delete(k.watchers, m)
		delete(k.courses, m)
		k.r.mu.Lock()
		delete(k.r.heard, m)
		k.r.mu.Unlock()
	}
}
