package remediator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
)

// Traffic is the section "traffic" of a policy with confirm: traffic: when the
// device's own counts of 5xx answers make a member bad. A health check may pass
// on a member that fails what users ask of it.
type Traffic struct {
	Share    int            `yaml:"share,omitempty"`    // percent of its answers that are 5xx, at least; left out: 10
	Ratio    int            `yaml:"ratio,omitempty"`    // and so many times the share of the rest of the pool; left out: 3
	Requests int            `yaml:"requests,omitempty"` // answers that are enough to judge by; left out: 50
	Window   model.Duration `yaml:"window,omitempty"`   // over which they are counted; left out: 30s
}

func (t *Traffic) validate() (all edge.Mistakes) {
	fill(&t.Share, 10)
	fill(&t.Ratio, 3)
	fill(&t.Requests, 50)
	fill(&t.Window, model.Duration(30*time.Second))
	if t.Share < 1 || t.Share > 100 {
		all.Add("share", "%d: write a percentage from 1 to 100", t.Share)
	}
	all.Under("", positive(count{"ratio", t.Ratio}, count{"requests", t.Requests}))
	all.Under("", lasting(length{"window", t.Window}))
	if time.Duration(t.Window) > flowKept {
		all.Add("window", "%s: at most %s are kept", t.Window, flowKept)
	}
	return all
}

// A flow is what the device has counted of its members, look by look.
type flow struct {
	mu      sync.Mutex // explain looks at it too
	process string
	seen    []sighting
	counted map[edge.Pool]census // of the last look; never changed
	listed  map[edge.Member]bool // by the last look, of whatever life; nil before the first
}

type sighting struct {
	at     time.Time
	counts map[edge.Member]counts
}

// counts of one member since the device started.
type counts struct{ answers, errors uint64 }

// flowKept is how far back a flow reaches.
const flowKept = 5 * time.Minute

// see adds a look, and says which members the one before didn't show. Another life of
// the device begins at zero.
func (f *flow) see(snap edge.Snapshot) (came []edge.Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.listed
	f.listed = make(map[edge.Member]bool, len(snap.States))
	for m := range snap.States {
		if f.listed[m] = true; before != nil && !before[m] {
			came = append(came, m)
		}
	}
	if snap.Process != f.process {
		f.process, f.seen = snap.Process, nil
	}
	f.counted = takeCensus(snap)
	now := sighting{at: snap.At, counts: make(map[edge.Member]counts, len(snap.States))}
	for m, st := range snap.States {
		now.counts[m] = counts{st.Answers, st.Errors}
	}
	f.seen = append(slices.DeleteFunc(f.seen, func(s sighting) bool { return snap.At.Sub(s.at) > flowKept }), now)
	return came
}

// between counts what a member answered from one moment to the last look; ok is
// false when the moment wasn't seen, or the device's counters were cleared since.
func (f *flow) between(m edge.Member, from time.Time) (c counts, since time.Duration, ok bool) {
	if len(f.seen) == 0 {
		return c, 0, false
	}
	last := f.seen[len(f.seen)-1]
	for _, s := range f.seen {
		if s.at.Before(from) {
			continue
		}
		a, known := s.counts[m]
		b := last.counts[m]
		if !known || b.answers < a.answers || b.errors < a.errors {
			return c, 0, false
		}
		return counts{b.answers - a.answers, b.errors - a.errors}, last.at.Sub(s.at), true
	}
	return c, 0, false
}

// pool counts what all members of m's pool answered since a moment.
func (f *flow) pool(m edge.Member, from time.Time) counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := f.rest(m, from)
	if c, _, ok := f.between(m, from); ok {
		sum.answers += c.answers
		sum.errors += c.errors
	}
	return sum
}

// rest is between for all members of a pool but one.
func (f *flow) rest(m edge.Member, from time.Time) (sum counts) {
	if len(f.seen) == 0 {
		return sum
	}
	for other := range f.seen[len(f.seen)-1].counts {
		if other.In() != m.In() || other == m {
			continue
		}
		if c, _, ok := f.between(other, from); ok {
			sum.answers += c.answers
			sum.errors += c.errors
		}
	}
	return sum
}

func (c counts) share() float64 {
	if c.answers == 0 {
		return 0
	}
	return 100 * float64(c.errors) / float64(c.answers)
}

// evidence is what the device's own counts say of a member since a moment.
func (f *flow) evidence(t *Traffic, m edge.Member, from, now time.Time) guard.Evidence {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := guard.Evidence{Source: "traffic", At: now}
	c, since, ok := f.between(m, from)
	rest := f.rest(m, from)
	e.Duration = since
	said := fmt.Sprintf("%d of %d answers in %s were 5xx (%.1f%%), of the rest of the pool %.1f%%", c.errors, c.answers, since.Round(time.Second), c.share(), rest.share())
	switch {
	case !ok:
		e.Reason, e.Detail = "not_seen", "its answers weren't counted before"
	case c.answers < uint64(t.Requests):
		e.Reason, e.Detail = "too_few", fmt.Sprintf("%s: %d answers are wanted to judge by", said, t.Requests)
	case c.share() >= float64(t.Share) && c.share() >= float64(t.Ratio)*rest.share():
		e.Answer, e.Reason, e.Detail = edge.No, "errors", said
	default:
		e.Answer, e.Detail = edge.Yes, said
	}
	return e
}

// askTraffic is the second source of confirm: traffic. A member of which too
// little is known stands by the device's word, but for the one that it is about.
func (k *keeper) askTraffic(p *Policy, m edge.Member, states []edge.State) map[edge.Member]guard.Evidence {
	now := time.Now()
	out := map[edge.Member]guard.Evidence{}
	for _, st := range states {
		e := k.flow.evidence(p.Traffic, st.Member, now.Add(-time.Duration(p.Traffic.Window)), now)
		if e.Answer != edge.Unknown || st.Member == m {
			out[st.Member] = e
		}
	}
	return out
}
