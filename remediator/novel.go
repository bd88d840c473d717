package remediator

import (
	"fmt"
	"time"

	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// What comes by a reload, of the device's configuration or of ours, is watched for
// observe_new before it is acted upon (SAFETY.md, "Modes to earn trust").

// eventAppeared is of entries by which that outlives a restart, and other leaders know
// of it; its end is an entry of event "mode" with the reason observed.
const (
	eventAppeared  = "appeared"
	reasonObserved = "observed"
)

// A novelty is a device, a member or a policy that appeared while Sluice runs: one part
// is set. A device stands for all of its members.
type novelty struct {
	member edge.Member
	policy string // its key
}

func (n novelty) String() string {
	switch {
	case n.policy != "":
		return "the policy for " + n.policy
	case n.member.Name == "":
		return "device " + n.member.Device
	}
	return n.member.String()
}

// entry is of event "appeared", and names the thing for [noveltyOf].
func (n novelty) entry() journal.Entry {
	if n.policy != "" {
		return journal.Entry{Event: eventAppeared, Detail: n.policy}
	}
	return journal.Entry{Event: eventAppeared, Member: &n.member}
}

func noveltyOf(e journal.Entry) novelty {
	if e.Member != nil {
		return novelty{member: *e.Member}
	}
	return novelty{policy: e.Detail}
}

// appeared notes what came, at one moment. The caller holds r.mu and has the entries
// written. What is known to be new already began then.
func (r *Remediator) appeared(c *Config, now time.Time, all ...novelty) (es []journal.Entry) {
	if c.ObserveNew == 0 {
		return nil
	}
	for _, n := range all {
		if _, known := r.novel[n]; !known {
			r.novel[n] = now
			es = append(es, n.entry())
		}
	}
	return es
}

// observed is why, and until when, a step by a policy on members is only observed;
// empty when it isn't.
func (r *Remediator) observed(c *Config, p *Policy, now time.Time, members ...edge.Member) string {
	if c.ObserveNew == 0 {
		return ""
	}
	of := []novelty{{policy: p.key()}}
	for _, m := range members {
		of = append(of, novelty{member: m}, novelty{member: edge.Member{Device: m.Device}})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range of {
		if since, is := r.novel[n]; is && now.Before(since.Add(time.Duration(c.ObserveNew))) {
			return fmt.Sprintf("%s is new, and observed until %s", n, since.Add(time.Duration(c.ObserveNew)).UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// trust ends the time of what was observed for long enough, and records it: from then
// on the policies' modes count.
func (r *Remediator) trust(c *Config, now time.Time) {
	var over []novelty
	r.mu.Lock()
	for n, since := range r.novel {
		if !now.Before(since.Add(time.Duration(c.ObserveNew))) {
			over = append(over, n)
		}
	}
	r.mu.Unlock()
	for _, n := range over {
		e := n.entry()
		e.Event, e.Reason, e.Config = "mode", reasonObserved, r.hash()
		if n.policy == "" {
			e.Detail = fmt.Sprintf("%s was observed for %s, as it was new: from now on the policies' modes count", n, c.ObserveNew)
		}
		if err := r.journal.Append(e); err != nil {
			r.metrics.journalFailed(err)
			level.Error(r.logger).Log("msg", "not recorded", "event", e.Event, "err", err)
			continue // it is recorded with a later look; its time is over all the same
		}
		r.mu.Lock()
		delete(r.novel, n)
		r.mu.Unlock()
		level.Info(r.logger).Log("msg", "no longer only observed", "what", n, "after", c.ObserveNew)
	}
}

// rememberNovel reads what appeared in the time before, and is observed still.
func (r *Remediator) rememberNovel(c *Config) error {
	if c.ObserveNew == 0 {
		return nil
	}
	since := time.Now().Add(-2*time.Duration(c.ObserveNew) - time.Hour)
	came, err := r.journal.Entries(journal.Query{Event: eventAppeared, Since: since})
	if err != nil {
		return err
	}
	ended, err := r.journal.Entries(journal.Query{Event: "mode", Reason: reasonObserved, Since: since})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range came {
		if _, known := r.novel[noveltyOf(e)]; !known {
			r.novel[noveltyOf(e)] = e.At
		}
	}
	for _, e := range ended {
		if n := noveltyOf(e); !e.At.Before(r.novel[n]) {
			delete(r.novel, n)
		}
	}
	return nil
}

// hash names the configuration in force.
func (r *Remediator) hash() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.set.hash
}

// meet notes members that the last look didn't show. Only who writes notes them.
func (k *keeper) meet(came []edge.Member) {
	if len(came) == 0 || k.set.cfg == nil || k.r.journal == nil || k.r.standing().Standby != "" {
		return
	}
	all := make([]novelty, len(came))
	for i, m := range came {
		all[i] = novelty{member: m}
	}
	k.r.mu.Lock()
	es := k.r.appeared(k.set.cfg, time.Now(), all...)
	k.r.mu.Unlock()
	for _, e := range es {
		k.r.record(e)
		level.Info(k.r.logger).Log("msg", "new member, observed at first", "member", e.Member, "for", k.set.cfg.ObserveNew)
	}
}
