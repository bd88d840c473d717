package ctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Condition is what a member is waited to be. All that is given has to hold in
// one look.
type Condition struct {
	Sessions int         // at most so many sessions, and none that waits for it; below 0: however many
	State    *edge.Admin // nil: any
	Serving  bool        // it takes new traffic, by the device's word
}

// patience is how often a member may be seen in service whose sessions are waited
// to end: the look behind the first one or two may be older than the step that
// took it out.
const patience = 3

// String is what is waited for.
func (c Condition) String() string {
	var parts []string
	if c.State != nil {
		parts = append(parts, "state "+c.State.String())
	}
	if c.Sessions >= 0 {
		parts = append(parts, fmt.Sprintf("at most %d sessions", c.Sessions))
	}
	if c.Serving {
		parts = append(parts, "serving")
	}
	return strings.Join(parts, ", ")
}

// lacks says what isn't yet as wanted; empty when all is.
func (c Condition) lacks(m Member) string {
	switch {
	case c.State != nil && !m.Is(*c.State):
		return "it is in " + m.Admin.String()
	case c.Sessions >= 0 && m.Admin == edge.Ready:
		// A number of the moment: new ones come. A look from before the step that
		// took it out shows this, too.
		return "it is ready, and takes new sessions"
	case c.Sessions >= 0 && m.Sessions > c.Sessions:
		return fmt.Sprintf("it has %d sessions", m.Sessions)
	case c.Sessions >= 0 && m.Queue > 0:
		return fmt.Sprintf("%d requests wait for it", m.Queue)
	case c.Serving && !m.Serving:
		return "it isn't serving: " + m.state()
	}
	return ""
}

// errUseless says that there is nothing to wait for.
var errUseless = errors.New("waiting is of no use")

// Wait waits until the member that a name means is as wanted.
func (s *Session) Wait(ctx context.Context, name string, c Condition, within time.Duration) error {
	m, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	start := time.Now()
	seen, err := s.await(ctx, m, c, within)
	if err != nil {
		return err
	}
	took := time.Since(start).Round(100 * time.Millisecond)
	return s.line(seen, "%s: %s, after %s", Name(m), c, took)
}

// await looks at a member until it is as wanted, and returns that look.
func (s *Session) await(ctx context.Context, m edge.Member, c Condition, within time.Duration) (Member, error) {
	inService := 0
	return s.until(ctx, m, c.String(), within, func(seen Member) (string, error) {
		if c.Sessions >= 0 && seen.OnOff {
			return "", fmt.Errorf("%w: the device doesn't tell how many sessions a member has", errUseless)
		}
		if c.Sessions >= 0 && seen.Admin == edge.Ready && (c.State == nil || *c.State == edge.Ready) {
			if inService++; inService > patience {
				return "", fmt.Errorf("%w: it is ready and takes new sessions: drain it first", errUseless)
			}
		}
		return c.lacks(seen), nil
	})
}

// until looks at a member until lacks says nothing more, for that long. That it
// can't be looked at for a while is no reason to give up.
func (s *Session) until(ctx context.Context, m edge.Member, what string, within time.Duration, lacks func(Member) (string, error)) (Member, error) {
	tick := time.NewTicker(s.interval())
	defer tick.Stop()
	late := time.NewTimer(within)
	defer late.Stop()
	end, last := time.Now().Add(within), "nobody has said how it is"
	for {
		// A device that hangs must not make this wait longer than was asked for, but
		// for the moment that a look takes where all is well.
		looking, cancel := context.WithDeadline(ctx, latest(end, time.Now().Add(s.interval())))
		seen, err := s.look(looking, m)
		cancel()
		if err == nil {
			last, err = lacks(seen)
		}
		switch {
		case err != nil && final(err):
			return seen, fmt.Errorf("%s: wait for %s: %w", Name(m), what, err)
		case errors.Is(err, context.DeadlineExceeded) && !time.Now().Before(end):
			// What was said before tells more.
		case err != nil:
			last = err.Error()
		case last == "":
			return seen, nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return seen, fmt.Errorf("%s: wait for %s: %w: after %s %s", Name(m), what, ErrTimeout, within, last)
		case <-ctx.Done():
			return seen, fmt.Errorf("%s: wait for %s: %w", Name(m), what, ErrInterrupted)
		}
	}
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// errBlind says that a device can't be read now.
var errBlind = errors.New("can't be read")

// look finds one member as it is now, or was within the last second.
func (s *Session) look(ctx context.Context, m edge.Member) (Member, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	all, err := s.Client.roster(ctx, m)
	if err != nil {
		return Member{}, err
	}
	for _, one := range all.Members {
		if one.Member == m {
			return one, nil
		}
	}
	for _, d := range all.Devices {
		if d.Error != "" {
			return Member{}, fmt.Errorf("%s %w: %s", d.Device, errBlind, d.Error)
		}
	}
	return Member{}, ErrNoMember
}

// final says that asking again would bring the same answer.
func final(err error) bool {
	answer := (*Error)(nil)
	return errors.Is(err, ErrNoMember) || errors.Is(err, errUseless) || errors.Is(err, errMeddled) || errors.As(err, &answer) && answer.Code < 500
}
