package remediator

import (
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// A clock is when a step on one member was asked for, and when its command was
// given. It is kept in memory only: what a restart interrupts is measured no more.
type clock struct {
	alert time.Time // start of the oldest alert that asks; zero where none does
	sent  time.Time
}

// asked notes since when alerts ask for the step that is about to be taken.
func (k *keeper) asked(t *target) {
	var c clock
	for _, one := range t.claims {
		if !one.StartsAt.IsZero() && !one.Suppressed && (c.alert.IsZero() || one.StartsAt.Before(c.alert)) {
			c.alert = one.StartsAt
		}
	}
	k.clocks[t.member] = c
}

// sending notes when the command of a step is given.
func (k *keeper) sending(m edge.Member) {
	c := k.clocks[m]
	c.sent = time.Now()
	k.clocks[m] = c
}

// confirmed measures a step that was read back as ordered. Alerts come with the
// clock of whoever made them: one that runs ahead is taken for no time at all.
func (k *keeper) confirmed(h *journal.Hold, to edge.Admin) {
	c := k.clocks[h.Member]
	delete(k.clocks, h.Member)
	if c.sent.IsZero() {
		return // another process gave the command
	}
	k.r.metrics.stepDuration.WithLabelValues(h.Policy, to.String()).Observe(time.Since(c.sent).Seconds())
	if !c.alert.IsZero() {
		k.r.metrics.reaction.WithLabelValues(h.Policy).Observe(max(c.sent.Sub(c.alert), 0).Seconds())
	}
}

// expect has the series of all policies begin at zero: increase() doesn't see the
// first count of one that begins with it.
func (m *metrics) expect(c *Config) {
	if c == nil {
		return
	}
	for i := range c.Policies {
		p := &c.Policies[i]
		m.reaction.WithLabelValues(p.Name)
		m.stepDuration.WithLabelValues(p.Name, p.to.String())
		if !p.bypass {
			m.stepDuration.WithLabelValues(p.Name, edge.Ready.String())
		}
	}
}
