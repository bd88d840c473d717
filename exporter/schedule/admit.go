package schedule

import "time"

// How many probes are under way is bounded in two ways, for they cost two
// different things. A probe that has just begun needs a processor: of these
// there are few at once, or else all wait for each other until their time is
// over, and healthy targets look dead. A probe that waits for an answer needs
// memory and a file: of these there may be thousands, or else targets that hang
// keep the others waiting.
//
// A probe is young from its start until it has ended or has waited for a while;
// then another may begin beside it. How many have waited grows with the need,
// and shrinks while the exporter itself is late or good answers take a large part
// of the time that they have: then it is us who are too slow, or what all targets
// have in common, and more probes at once would make it worse.
//
// Each lane has its own young ones, so that a target is kept waiting only by
// targets like itself.
const (
	quick   = iota // answered at once, or never asked yet
	slow           // answered, and took its time: it is far away
	hanging        // did not answer in its time
	urgent         // the self-check's: few, and no bound keeps them waiting
	lanes
)

// laneOf says which lane is for a task whose last run went so.
func laneOf(took time.Duration, timedOut bool) uint8 {
	switch {
	case timedOut:
		return hanging
	case took > patience[quick]:
		return slow
	}
	return quick
}

// patience is how long a probe is young at most. A tick is enough for targets
// of which it is known that they let us wait.
var patience = [lanes]time.Duration{
	quick: 25 * time.Millisecond, slow: tick, hanging: tick, urgent: tick,
}

const (
	tooLate  = 50 * time.Millisecond  // own lag above it: no more probes at once
	tooMuch  = 0.5                    // share of its timeout that a good answer takes, above it: the same
	settling = 64                     // over so many results that is averaged
	fewest   = 128                    // probes that may wait for an answer, however bad it looks
	doubling = 150 * time.Millisecond // the window grows by e in this time at the fastest
)

// gates keeps count of what waits to begin and of what is under way.
type gates struct {
	workers  int // under way at most
	starting int // young at most, in each lane
	under    int
	window   int           // how many may have waited for a while, of targets that mostly answer
	changed  time.Duration // when the window last was
	lanes    [lanes]lane
	took     time.Duration // by good results, on average
	share    float64       // of their timeouts, the same
}

type lane struct {
	ready list // due, and not begun
	young list // just begun, oldest first
	under int  // young ones and those that wait for an answer
}

func (g *gates) ready() (n int) {
	for i := range g.lanes {
		n += g.lanes[i].ready.n
	}
	return n
}

// room says how many of a lane may be under way. Those that hang leave a quarter
// of all to the others.
func (g *gates) room(of int) int {
	if of == hanging {
		return g.workers - g.workers/4
	}
	return g.workers
}

// next takes out the task that may begin now and has waited longest; nil when there is none.
func (g *gates) next(now time.Duration) *task {
	best := g.lanes[urgent].ready.head
	for i := range urgent {
		if best != nil && best.lane == urgent || g.under >= g.workers {
			break
		}
		l := &g.lanes[i]
		if t := l.ready.head; t != nil && l.young.n < g.starting && l.under < g.room(i) && (best == nil || t.due < best.due) {
			best = t
		}
	}
	if best == nil {
		return nil
	}
	l := &g.lanes[best.lane]
	l.ready.remove(best)
	l.young.push(best)
	l.under++
	g.under++
	best.began = now
	return best
}

// age lets probes grow old that have waited for a while.
func (g *gates) age(now, lag time.Duration) {
	old, full := 0, false
	for i := range lanes {
		l := &g.lanes[i]
		if i == quick || i == slow {
			old += l.under - l.young.n
		}
	}
	for i := range lanes {
		l := &g.lanes[i]
		bound := i == quick || i == slow
		for l.young.head != nil && now-l.young.head.began >= patience[i] {
			if bound && old >= g.window {
				full = true
				break
			}
			if bound {
				old++
			}
			l.young.remove(l.young.head)
		}
	}
	if now-g.changed < tick {
		return
	}
	g.changed = now
	switch {
	case lag > tooLate || g.share > tooMuch:
		g.window -= g.window / 32
	case full: // no faster than answers tell that it is too much, and slower the nearer that is
		growth := float64(g.window) * float64(tick) / float64(max(doubling, 2*g.took))
		g.window += max(int(growth*(1-g.share/tooMuch)), 1)
	case old < g.window/4:
		g.window -= g.window / 128
	}
	g.window = min(max(g.window, fewest), g.workers)
}

// wake is when somebody grows old for whom others wait.
func (g *gates) wake() (first time.Duration, ok bool) {
	for i := range g.lanes {
		l := &g.lanes[i]
		if l.ready.head == nil || l.young.head == nil {
			continue
		}
		if at := l.young.head.began + patience[i]; !ok || at < first {
			first, ok = at, true
		}
	}
	return first, ok
}

// done takes a task out of those under way.
func (g *gates) done(t *task) {
	l := &g.lanes[t.lane]
	if t.in != nil {
		l.young.remove(t)
	}
	l.under--
	g.under--
}

// learn notes how long a task's run took, and puts it into the lane for its
// next one.
func (g *gates) learn(t *task, took time.Duration, up, timedOut bool) {
	if t.lane != urgent {
		t.lane = laneOf(took, timedOut)
	}
	if !up {
		return
	}
	g.took += (took - g.took) / settling
	if t.Timeout > 0 {
		g.share += (min(float64(took)/float64(t.Timeout), 1) - g.share) / settling
	}
}
