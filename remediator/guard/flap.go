package guard

import (
	"fmt"
	"math"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Damping is route flap damping (RFC 2439) for members: each time that one is
// taken out costs a penalty, which halves in HalfLife. A member above Suppress
// stays as it is until it is below Reuse: out, when it is out; in, and a
// person told, when it is in (SAFETY.md I15).
type Damping struct {
	Penalty  float64 // each cycle; 0: no damping
	Suppress float64
	Reuse    float64
	HalfLife time.Duration
	Max      time.Duration // no member is suppressed for longer, whatever it did
}

// Ceiling is the penalty from which Reuse is reached after Max.
func (d Damping) Ceiling() float64 {
	return d.Reuse * math.Exp2(float64(d.Max)/float64(d.HalfLife))
}

// At is the penalty at one moment of a member that was taken out at the times given.
func (d Damping) At(outs []time.Time, now time.Time) float64 {
	if d.Penalty == 0 {
		return 0
	}
	sum, last := 0.0, time.Time{}
	decayed := func(to time.Time) float64 {
		return sum * math.Exp2(-float64(max(to.Sub(last), 0))/float64(d.HalfLife))
	}
	for _, t := range outs {
		sum, last = min(decayed(t)+d.Penalty, d.Ceiling()), t
	}
	return decayed(now)
}

// Reusable is how long a member stays suppressed, when nothing more happens to
// it; zero when it isn't.
func (d Damping) Reusable(outs []time.Time, now time.Time) time.Duration {
	if d.Penalty == 0 {
		return 0
	}
	suppressed := false
	for i, t := range outs {
		// Once above Suppress, until it is below Reuse.
		if suppressed && d.At(outs[:i], t) < d.Reuse {
			suppressed = false
		}
		suppressed = suppressed || d.At(outs[:i+1], t) >= d.Suppress
	}
	if p := d.At(outs, now); suppressed && p >= d.Reuse {
		return time.Duration(math.Log2(p/d.Reuse)*float64(d.HalfLife)).Round(time.Second) + time.Second
	}
	return 0
}

// HoldDown is how long good evidence is wanted before the member is given back:
// longer after each relapse, and while it is suppressed until it is reusable.
func HoldDown(m edge.Member, w World) (need time.Duration, why string) {
	need = w.Policy.HoldDown
	d := w.Policy.Damping
	if wait := d.Reusable(w.Outs, w.Now); wait > 0 {
		// Counted from now on; what it was well for already is no merit of a flapper.
		return max(need, wait+w.Now.Sub(w.Held[m].GoodSince)), fmt.Sprintf(": it flaps (%d times out), and stays out until its penalty is below %.0f", len(w.Outs), d.Reuse)
	}
	return need, ""
}

// HoldFor is how long a member is out before traffic may try it again: hold_down,
// twice as long for each time that it was taken out before.
func HoldFor(w World) time.Duration {
	need := w.Policy.HoldDown
	for range max(len(w.Outs)-1, 0) {
		if need *= 2; w.Policy.Damping.Max > 0 && need > w.Policy.Damping.Max {
			return max(w.Policy.Damping.Max, w.Policy.HoldDown)
		}
	}
	return need
}

// damping: what goes out and comes back again and again is left as it is, and a
// person is told.
func damping(s Step, w World) (string, string) {
	switch {
	case w.Policy == nil || !s.takesOut():
		return "", "gives back"
	case w.Ineffective >= maxIneffective:
		return "ineffective", fmt.Sprintf("%d steps in a row on this pool changed nothing for the better: a person has to look", w.Ineffective)
	}
	d := w.Policy.Damping
	if wait := d.Reusable(w.Outs, w.Now); wait > 0 {
		return "flapping", fmt.Sprintf("taken out %d times lately, penalty %.0f: hands off for %s", len(w.Outs), d.At(w.Outs, w.Now), wait)
	}
	return "", fmt.Sprintf("penalty %.0f, suppressed from %.0f on", d.At(w.Outs, w.Now), d.Suppress)
}

// maxIneffective steps in a row stop and page (SAFETY.md I20).
const maxIneffective = 2
