package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Rolling is a rolling restart: each member of a pool is drained, restarted by
// the operator's command and put back, one at a time.
type Rolling struct {
	Pool       string        // as the operator names it
	Command    Command       // what restarts a member
	Health     string        // a line for the shell that succeeds when the member is well; empty: the device's check
	From       string        // member to begin with; empty: the first
	Reason     string        // of each step
	Override   []string      // soft guards
	Sessions   int           // that may be left when the command runs
	Settle     time.Duration // after the drain, beside or instead of sessions where the device tells none
	HealthyFor time.Duration // health has to last
	Timeout    time.Duration // of each wait
	SkipOut    bool          // members that are out already are left alone
	DryRun     bool          // only say what would be done
}

// What became of a member in a rolling restart.
const (
	notBegun = "not begun"
	skipped  = "skipped"
	stopped  = "stopped"
	finished = "done"
)

// Defaults of a [Rolling].
const (
	DefaultHealthyFor = 10 * time.Second
	DefaultTimeout    = 5 * time.Minute
	DefaultReason     = "rolling restart"
)

// A turn is one member's part of a rolling restart.
type turn struct {
	Member edge.Member `json:"member"`
	Result string      `json:"result"`
	Detail string      `json:"detail,omitempty"`
	Took   float64     `json:"took_seconds,omitempty"`

	seen Member // before anything was done
}

// A rollingReport is what is printed at the end.
type rollingReport struct {
	Pool    string  `json:"pool"`
	DryRun  bool    `json:"dry_run,omitempty"`
	Members []*turn `json:"members"`
	Error   string  `json:"error,omitempty"`
	GoOn    string  `json:"go_on,omitempty"`    // the command that does the rest
	PutBack string  `json:"put_back,omitempty"` // the command for the member that was left out
}

// RollingRestart stops at the first failure, and then says what state that left and
// which commands lead on.
func (s *Session) RollingRestart(ctx context.Context, r Rolling) error {
	if err := r.check(); err != nil {
		return err
	}
	pool, turns, err := s.plan(ctx, r)
	if err != nil {
		return err
	}
	report := rollingReport{Pool: PoolName(pool), DryRun: r.DryRun, Members: turns}
	if r.DryRun {
		return s.Show(report, func(w io.Writer) error { return r.writePlan(w, turns) })
	}
	for _, t := range turns {
		if t.Result != notBegun {
			continue
		}
		start := time.Now()
		err = s.restart(ctx, r, t)
		t.Took = time.Since(start).Round(time.Millisecond).Seconds()
		if err != nil {
			text, ready := s.left(ctx, t.Member)
			t.Result, t.Detail = stopped, text
			report.Error, report.GoOn = err.Error(), r.goOn(pool, t.Member)
			if !ready && !errors.Is(err, errMeddled) { // what somebody else did is theirs
				report.PutBack = "sluice ctl ready " + quoted(Name(t.Member))
			}
			break
		}
		t.Result = finished
	}
	return errors.Join(s.Show(report, func(w io.Writer) error { return writeReport(w, report) }), err)
}

// check finds what can't be meant. Below 0 sessions would be no wait at all.
func (r Rolling) check() error {
	switch {
	case len(r.Command) == 0 || strings.TrimSpace(r.Command[0]) == "":
		return errors.New("the command behind -- is empty")
	case r.Sessions < 0:
		return fmt.Errorf("--sessions: %d: want 0 or more", r.Sessions)
	case r.Timeout <= 0:
		return fmt.Errorf("--timeout: %s: want more than 0s", r.Timeout)
	case r.Settle < 0:
		return fmt.Errorf("--settle: %s: want 0s or more", r.Settle)
	case r.HealthyFor < 0:
		return fmt.Errorf("--healthy-for: %s: want 0s or more", r.HealthyFor)
	}
	return nil
}

// plan looks at the pool, and says which members take part.
func (s *Session) plan(ctx context.Context, r Rolling) (edge.Pool, []*turn, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	pool, err := s.Client.FindPool(ctx, r.Pool)
	if err != nil {
		return pool, nil, err
	}
	all, err := s.members(ctx, PoolName(pool))
	if err != nil {
		return pool, nil, err
	}
	for _, d := range all.Devices {
		if d.Error != "" {
			return pool, nil, fmt.Errorf("%s %w: %s", d.Device, errBlind, Line(d.Error))
		}
	}
	from := strings.TrimPrefix(r.From, PoolName(pool)+"/")
	if from != "" {
		parts, err := ParseName(from, 1)
		if err != nil {
			return pool, nil, fmt.Errorf("--from: %w", err)
		}
		from = parts[0]
	}
	var turns []*turn
	var out []string
	begun := from == ""
	for _, m := range all.Members {
		t := &turn{Member: m.Member, Result: notBegun, seen: m}
		turns = append(turns, t)
		first := m.Member.Name == from
		if begun = begun || first; !begun {
			t.Result, t.Detail = skipped, "it stands before --from"
			continue
		}
		if m.OnOff && r.Settle == 0 {
			return pool, nil, fmt.Errorf("%s doesn't tell how many sessions a member has: --settle says how long to wait after the drain", pool.Device)
		}
		if m.Admin == edge.Ready || first { // the one that an earlier run stopped at may be out
			continue
		}
		t.Result, t.Detail = skipped, "it is in "+m.Admin.String()+" already"
		by := ""
		if m.Set != nil {
			by = " by " + m.Set.who()
		}
		t.Detail += by
		out = append(out, Name(m.Member)+" ("+m.Admin.String()+by+")")
	}
	switch {
	case !begun:
		return pool, nil, fmt.Errorf("--from: %s/%s: %w", PoolName(pool), Line(from), ErrNoMember)
	case len(out) > 0 && !r.SkipOut:
		return pool, nil, fmt.Errorf("out of service already: %s: put them back first, or leave them alone by --skip-out", strings.Join(out, ", "))
	}
	return pool, turns, nil
}

// restart takes one member through all of it.
func (s *Session) restart(ctx context.Context, r Rolling, t *turn) error {
	m, name := t.Member, Name(t.Member)
	step := func(to edge.Admin) error {
		out, err := s.order(ctx, m, Ask{To: to, Reason: r.Reason, Override: r.Override})
		switch {
		case err != nil:
			return interrupted(ctx, err)
		case out.Result != "applied" && out.Result != "unchanged":
			return fmt.Errorf("%s to %s: %w: %s: %s", name, to, ErrUnsettled, out.Result, Line(out.Detail))
		}
		s.say("%s: %s", name, to)
		return nil
	}
	if err := step(edge.Drain); err != nil {
		return err
	}
	seen, err := s.empty(ctx, r, t)
	if err != nil {
		return err
	}
	s.say("%s: runs %s", name, r.Command)
	if err := r.Command.run(ctx, seen, s.commandOut(), s.Err); err != nil {
		return interrupted(ctx, fmt.Errorf("%s: %w", name, err))
	}
	if err := s.healthy(ctx, r, seen); err != nil {
		return err
	}
	// A step of ours would undo what somebody else has done to it meanwhile.
	if _, err := s.until(ctx, m, "a look before it goes back", r.Timeout, func(seen Member) (string, error) { return "", stillOut(seen) }); err != nil {
		return err
	}
	if err := step(edge.Ready); err != nil {
		return err
	}
	ready := edge.Ready
	// One that took no traffic before won't now.
	idle := t.seen.Backup || t.seen.Admin == edge.Ready && t.seen.Weight == 0
	if _, err := s.await(ctx, m, Condition{Sessions: -1, State: &ready, Serving: !idle}, r.Timeout); err != nil {
		return err
	}
	s.say("%s: serving", name)
	return nil
}

// errMeddled says that a member isn't in the state any more in which we put it.
var errMeddled = errors.New("somebody else has changed it meanwhile")

// stillOut says whether a member that we have drained is so still.
func stillOut(seen Member) error {
	if seen.Is(edge.Drain) {
		return nil
	}
	by := ""
	if seen.Set != nil {
		by = " by " + seen.Set.who() + ": " + Line(seen.Set.Reason)
	}
	return fmt.Errorf("%s: %w: it is in %s%s", Name(seen.Member), errMeddled, seen.Admin, by)
}

// empty waits until the sessions of a drained member have ended.
func (s *Session) empty(ctx context.Context, r Rolling, t *turn) (Member, error) {
	c := Condition{Sessions: r.Sessions}
	if t.seen.OnOff {
		drain := edge.Drain
		c = Condition{Sessions: -1, State: &drain}
	}
	seen, err := s.await(ctx, t.Member, c, r.Timeout)
	if err == nil {
		err = stillOut(seen)
	}
	if err != nil {
		return seen, err
	}
	if !seen.OnOff {
		s.say("%s: %d sessions left", Name(t.Member), seen.Sessions)
	}
	if err := sleep(ctx, r.Settle); err != nil {
		return seen, fmt.Errorf("%s: --settle: %w", Name(t.Member), err)
	}
	return seen, nil
}

// healthy waits until a member is well, and has been for a while: a device notices
// only after some checks that one has died.
func (s *Session) healthy(ctx context.Context, r Rolling, m Member) error {
	// What is shown of a device may be a second old, and so older than the restart.
	if err := sleep(ctx, s.interval()); err != nil {
		return fmt.Errorf("%s: wait for health: %w", Name(m.Member), err)
	}
	name := Name(m.Member)
	var since time.Time
	well := func(yes bool, lack string) string {
		if !yes {
			since = time.Time{}
			return lack
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < r.HealthyFor {
			return "it is well for less than " + r.HealthyFor.String()
		}
		return ""
	}
	if r.Health != "" {
		_, err := s.until(ctx, m.Member, "health", r.Timeout, func(seen Member) (string, error) {
			if err := stillOut(seen); err != nil {
				return "", err
			}
			lack := ""
			if err := (Command{r.Health}).run(ctx, m, s.commandOut(), s.Err); err != nil {
				lack = "--health-command: " + err.Error()
			}
			return well(lack == "", lack), nil
		})
		return err
	}
	if m.Check == edge.Unknown {
		s.say("%s: no check of the device's says whether it is well: --health-command would", name)
		return nil
	}
	_, err := s.until(ctx, m.Member, "health", r.Timeout, func(seen Member) (string, error) {
		return well(seen.Check == edge.Yes, "the device's check says "+seen.Check.String()), stillOut(seen)
	})
	if err == nil {
		s.say("%s: well", name)
	}
	return err
}

// commandOut is where the operator's command writes: beside what is for programs.
func (s *Session) commandOut() io.Writer {
	if s.Output == "table" {
		return s.Out
	}
	return s.Err
}

// left is the state that a member was left in, looked at now also when the command
// was interrupted, and whether it is in service.
func (s *Session) left(ctx context.Context, m edge.Member) (text string, ready bool) {
	ctx, cancel := firm(ctx)
	defer cancel()
	// What is shown of a device may be a second old, and so older than the last step.
	_ = sleep(ctx, s.interval()) // it ends before ctx does
	seen, err := s.look(ctx, m)
	if err != nil {
		return "its state isn't known now: " + Line(err.Error()), false
	}
	text = fmt.Sprintf("it is in %s", seen.Admin)
	if !seen.OnOff {
		text += fmt.Sprintf(" with %d sessions", seen.Sessions)
	}
	if seen.Serving {
		text += ", and serves"
	}
	return text, seen.Admin == edge.Ready
}

// interrupted says of an error that a signal is behind it.
func interrupted(ctx context.Context, err error) error {
	if why := (*Interruption)(nil); errors.As(context.Cause(ctx), &why) {
		return fmt.Errorf("%w: %w", why, err)
	}
	return err
}

// sleep waits, and says when ctx ended before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ErrInterrupted
	}
}

// goOn is the command that does what is left to do, from a member on.
func (r Rolling) goOn(p edge.Pool, from edge.Member) string {
	words := []string{"sluice ctl rolling-restart", quoted(PoolName(p)), "--from", quoted(encode(from.Name))}
	flag := func(differs bool, name string, value any) {
		if differs {
			words = append(words, name, quoted(fmt.Sprint(value)))
		}
	}
	flag(r.Reason != DefaultReason, "--reason", r.Reason)
	for _, g := range r.Override {
		flag(true, "--override", g)
	}
	flag(r.Sessions != 0, "--sessions", r.Sessions)
	flag(r.Settle != 0, "--settle", r.Settle)
	flag(r.Health != "", "--health-command", r.Health)
	flag(r.HealthyFor != DefaultHealthyFor, "--healthy-for", r.HealthyFor)
	flag(r.Timeout != DefaultTimeout, "--timeout", r.Timeout)
	if r.SkipOut {
		words = append(words, "--skip-out")
	}
	return strings.Join(append(words, "--", r.Command.String()), " ")
}

// patience is what is waited for between the drain and the command.
func (r Rolling) patience(m Member) string {
	var parts []string
	if !m.OnOff {
		parts = append(parts, fmt.Sprintf("wait for at most %d sessions", r.Sessions))
	}
	if r.Settle > 0 {
		parts = append(parts, "wait "+r.Settle.String())
	}
	return strings.Join(parts, ", ")
}

func (r Rolling) writePlan(w io.Writer, turns []*turn) error {
	t := newTable(w, "MEMBER", "NOW", "WOULD")
	for _, one := range turns {
		would := "drain, " + r.patience(one.seen) + ", run " + r.Command.String() + ", wait for health, ready, wait until it serves"
		if one.Result == skipped {
			would = "be left alone: " + one.Detail
		}
		t.row(Name(one.Member), one.seen.Admin.String(), would)
	}
	return t.end()
}

func writeReport(w io.Writer, r rollingReport) error {
	t := newTable(w, "MEMBER", "RESULT", "TOOK", "DETAIL")
	for _, one := range r.Members {
		took := ""
		if one.Took > 0 {
			took = fmt.Sprintf("%.1fs", one.Took)
		}
		t.row(Name(one.Member), one.Result, took, one.Detail)
	}
	if err := t.end(); err != nil || r.Error == "" {
		return err
	}
	i := slices.IndexFunc(r.Members, func(t *turn) bool { return t.Result == stopped })
	_, err := fmt.Fprintf(w, "\nStopped at %s.\n", Name(r.Members[i].Member))
	if err == nil && r.PutBack != "" {
		_, err = fmt.Fprintf(w, "To put it back:\n  %s\n", r.PutBack)
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "To go on with it and those after it:\n  %s\n", r.GoOn)
	}
	return err
}
