package remediator

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// How much may still be done: what guards count, beside what they count up to.
// Whoever sees that only at the refusal sees it in the night.
var (
	descMinServing  = desc("min_serving", "Members of the pool that have to serve after a step of the policy.", "device", "pool", "policy")
	descMaxHeld     = desc("max_held", "Members of the pool that the policy lets Sluice hold at the same time.", "device", "pool", "policy")
	descBudgetUsed  = desc("budget_used", "What is used of the budget: members held, members taken out within its window, pools, on as many hosts, in which members fell sick within that of the brake.", "budget")
	descBudgetLimit = desc("budget_limit", "What the budget allows; more sick pools put the storm brake on.", "budget")
	descSick        = desc("brake_sick", "Members of the pool that fell sick within the window of the storm brake.", "device", "pool")
	descSickLimit   = desc("brake_limit", "Members of the pool that may fall sick within the window of the storm brake; more put it on.", "device", "pool")
	descHeldSince   = desc("hold_since_timestamp_seconds", "When the member that Sluice holds was read back as it is held, in Unix time.", "device", "pool", "member", "policy")
)

var descsOfRoom = []*prometheus.Desc{descMinServing, descMaxHeld, descBudgetUsed, descBudgetLimit, descSick, descSickLimit, descHeldSince}

// mostPools bounds the series by pool and policy, however many policies there are.
const mostPools = 2000

// collectRoom tells what is left of what may be done, by the last look at each device.
func (r *Remediator) collectRoom(ch chan<- prometheus.Metric, holds []journal.Hold) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		for i, l := range labels {
			labels[i] = strings.ToValidUTF8(l, "?")
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, h := range holds {
		if !h.Since.IsZero() {
			gauge(descHeldSince, float64(h.Since.UnixMilli())/1000, h.Member.Device, h.Member.Pool, h.Member.Name, h.Policy)
		}
	}
	r.mu.Lock()
	set := r.set
	r.mu.Unlock()
	if set.cfg == nil {
		return
	}
	limits, b := set.cfg.Budget.limits(), set.cfg.Brake.limits()
	w := guard.World{Now: time.Now(), Policy: &guard.Policy{Budget: limits, Brake: b}}
	r.ledger.tell(&w, edge.Member{}, holds, set.cfg.horizon())
	budget := func(name string, used, limit int) {
		gauge(descBudgetUsed, float64(used), name)
		gauge(descBudgetLimit, float64(limit), name)
	}
	budget("held", w.Spent.Held, limits.MaxHeld)
	budget("steps", w.Spent.Steps, limits.Steps)
	if b.Share > 0 {
		sick, hosts := w.Sick()
		budget("sick_pools", min(len(sick), hosts), b.Pools)
		for p, n := range sick {
			gauge(descSick, float64(n), p.Device, p.Name)
		}
	}
	left := mostPools
	for device := range set.devices {
		for p, room := range set.rooms(r.flowOf(device).pools()) {
			if left -= len(room.policies); left < 0 {
				return
			}
			if b.Share > 0 {
				gauge(descSickLimit, float64(b.Most(room.base)), p.Device, p.Name)
			}
			for name, one := range room.policies {
				gauge(descMinServing, float64(one.least), p.Device, p.Name, name)
				gauge(descMaxHeld, float64(one.most), p.Device, p.Name, name)
			}
		}
	}
}

// A room is what policies leave of a pool.
type room struct {
	base     int // members of which a share is a share
	policies map[string]bounds
}

// bounds of one policy in one pool: least have to serve, most may be held.
type bounds struct{ least, most int }

// rooms are the pools that policies take members out of. Where entries of one name
// rule members of one pool differently, the most careful is told.
func (s *settings) rooms(pools map[edge.Pool]census) map[edge.Pool]room {
	out := map[edge.Pool]room{}
	names := map[string]bool{}
	for i := range s.cfg.Policies {
		names[s.cfg.Policies[i].Name] = true
	}
	for p, c := range pools {
		all := room{base: c.base, policies: map[string]bounds{}}
		for name := range names {
			for _, m := range c.members {
				rule, err := s.rule(name, m)
				if err != nil || rule.bypass {
					continue
				}
				one := bounds{rule.amount.Of(c.base), rule.MaxHeld}
				if was, known := all.policies[name]; known {
					one = bounds{max(was.least, one.least), min(was.most, one.most)}
				}
				all.policies[name] = one
			}
		}
		if len(all.policies) > 0 {
			out[p] = all
		}
	}
	return out
}

// A census is who is in a pool.
type census struct {
	members []edge.Member
	base    int // of them neither backup nor out by the device's configuration or DNS
}

// pools are those of the last look.
func (f *flow) pools() map[edge.Pool]census {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counted
}

// takeCensus says who is in which pool.
func takeCensus(snap edge.Snapshot) map[edge.Pool]census {
	out := map[edge.Pool]census{}
	for m, st := range snap.States {
		c := out[m.In()]
		c.members = append(c.members, m)
		if !st.Backup && !st.Settled {
			c.base++
		}
		out[m.In()] = c
	}
	return out
}
