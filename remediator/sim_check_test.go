package remediator

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
)

// A simCheck is a probe that answers by the member's true health, and now and
// then late, not at all, or wrongly.
type simCheck struct {
	s        *simRun
	name     string
	interval time.Duration
	rise     int
	blind    map[edge.Pool]bool // pools that it doesn't cover
}

// A simAnswer is what a check told the engine.
type simAnswer struct {
	asked, told time.Time
	answer      edge.Answer
	life        int // of the remediator
}

func newSimCheck(s *simRun, name string, first bool) *simCheck {
	c := &simCheck{
		s: s, name: name, blind: map[edge.Pool]bool{}, rise: 1 + s.rng.IntN(3),
		interval: time.Duration(3+s.rng.IntN(8))*time.Second + time.Duration(1+s.rng.IntN(400))*time.Millisecond,
	}
	for _, d := range s.devices {
		for _, p := range d.pools {
			often := 20
			if !first {
				often = 2
			}
			if s.oneIn(often) {
				c.blind[edge.Pool{Device: d.name, Name: p}] = true
			}
		}
	}
	return c
}

// The methods of [Check].
func (c *simCheck) Name() string              { return c.name }
func (c *simCheck) Covers(m edge.Member) bool { return !c.blind[m.In()] }
func (c *simCheck) Interval() time.Duration   { return c.interval }
func (c *simCheck) Rise() int                 { return c.rise }

// simAsker is a check as one life of the remediator has it.
type simAsker struct {
	*simCheck
	p *simProcess
}

// Ask is [Check]'s.
func (c simAsker) Ask(ctx context.Context, st edge.State) guard.Evidence {
	c.p.stall()
	asked := time.Now()
	dice := c.s.roll("ask "+c.name, st.Member)
	wait := time.Duration(1+dice.IntN(40_000)) * time.Microsecond
	c.s.mu.Lock()
	calm := c.s.calm
	c.s.mu.Unlock()
	if !calm && dice.IntN(50) == 0 {
		wait += time.Duration(dice.IntN(12_000)) * time.Millisecond
	}
	e := guard.Evidence{Source: "probe:" + c.name, At: asked}
	if err := simPause(ctx, wait); err != nil {
		e.Reason, e.Detail = "canceled", "no answer in time"
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.s.ledger.heard(c.name, st.Member, simAnswer{asked, time.Now(), edge.Unknown, c.p.life})
		return e
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	e.At, e.Duration, e.Answer, e.Detail = time.Now(), time.Since(asked), edge.No, "it is ill" // as a real probe, which is of the time when it ended
	if m := c.s.device(st.Member.Device).members[st.Member]; m != nil && m.well {
		e.Answer, e.Detail = edge.Yes, "it is well"
	}
	if !calm {
		switch dice.IntN(60) {
		case 0, 1:
			e.Answer, e.Detail = edge.Unknown, "who knows"
		case 2: // wrong, once
			e.Answer, e.Detail = edge.Yes+edge.No-e.Answer, "a mistake"
		}
	}
	c.s.log(c.name, "%s: %s, asked %s ago", st.Member, e.Detail, e.Duration.Round(time.Millisecond))
	c.s.ledger.heard(c.name, st.Member, simAnswer{asked, time.Now(), e.Answer, c.p.life})
	return e
}
