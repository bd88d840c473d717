package guard

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Brake says how many may fall sick together before that is taken for a fault
// of something else: of the network, of the monitoring, of a release. Nothing
// new is started then.
type Brake struct {
	Share    int           // percent of a pool's members; more than this, and at least Least of them, is a storm; 0: no brake
	Least    int           // members of a pool that make a storm at all
	Pools    int           // more pools than this, on as many hosts, are a storm
	Window   time.Duration // in which they fall sick
	Cooldown time.Duration // after the last storm, before anything new is started
	Settle   time.Duration // after our own evidence was configured anew
}

// An Onset is when a member fell sick, and the host it is on.
type Onset struct {
	At   time.Time
	Host string
}

// A Storm is what the engine remembers of storms.
type Storm struct {
	Until   time.Time // cooldown of the last one
	Why     string
	Changed time.Time // when our own evidence was configured anew; zero: not since the start
}

// brake: when many fall sick at once, acting on each of them does more harm than
// the fault (SAFETY.md I4).
func brake(s Step, w World) (string, string) {
	if w.Policy == nil || !s.takesOut() || w.Policy.Brake.Share == 0 {
		return "", "no brake on this step"
	}
	b := w.Policy.Brake
	if why := w.storm(s); why != "" {
		return "storm", why
	}
	switch {
	case w.Now.Before(w.Storm.Until):
		return "cooldown", fmt.Sprintf("%s; nothing new for %s yet", w.Storm.Why, w.Storm.Until.Sub(w.Now).Round(time.Second))
	case !w.Storm.Changed.IsZero() && w.Now.Sub(w.Storm.Changed) < b.Settle:
		return "source_changed", fmt.Sprintf("how we probe and whom we ask changed %s ago: what is sick now may be our own doing", age(w.Now, w.Storm.Changed))
	}
	return "", "no storm"
}

// storm says what makes one now.
func (w World) storm(s Step) string {
	b := w.Policy.Brake
	for _, m := range append([]edge.Member{s.Member}, w.along(s)...) {
		sick, base := 0, 0
		for _, st := range w.Snapshot.Pool(m.In()) {
			if !st.Backup && !st.Settled {
				base++
			}
			if o, fell := w.Onsets[st.Member]; fell && w.Now.Sub(o.At) <= b.Window {
				sick++
			}
		}
		if sick > b.Most(base) {
			return fmt.Sprintf("%d of %d members of %s fell sick within %s", sick, base, m.In(), b.Window)
		}
	}
	pools, hosts := w.Sick()
	// One host that dies is in many pools, and no storm.
	if n := min(len(pools), hosts); b.Pools > 0 && n > b.Pools {
		return fmt.Sprintf("members of %d pools on %d hosts fell sick within %s", len(pools), hosts, b.Window)
	}
	return ""
}

// Most is how many of base members of a pool may fall sick within the window:
// more are a storm.
func (b Brake) Most(base int) int { return max(b.Least-1, b.Share*base/100) }

// Sick counts the members that fell sick within the brake's window, by pool, and
// the hosts that they are on.
func (w World) Sick() (pools map[edge.Pool]int, hosts int) {
	pools = map[edge.Pool]int{}
	on := map[string]bool{}
	for m, o := range w.Onsets {
		if w.Now.Sub(o.At) <= w.Policy.Brake.Window {
			pools[m.In()]++
			on[o.Host] = true
		}
	}
	return pools, len(on)
}

func contains(ms []edge.Member, m edge.Member) bool { return slices.Contains(ms, m) }
