package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge"
)

// A ctlCommand does one of the commands of "sluice ctl".
type ctlCommand func(context.Context, *ctl.Session) error

// ctlCommands are those that people steer the remediator with: all share how it is
// reached, how the answer is written, and the exit codes.
type ctlCommands struct {
	parent   *kingpin.CmdClause
	remote   *remote
	output   string
	commands map[string]func(streams) error
}

// addCtl adds them all, and returns what each does by its name.
func addCtl(app *kingpin.Application) map[string]func(streams) error {
	c := &ctlCommands{commands: map[string]func(streams) error{}}
	c.parent = app.Command("ctl", "Look at members, and steer the remediator that runs. A MEMBER is DEVICE/POOL/MEMBER; POOL/MEMBER or MEMBER alone do "+
		"where only one is called so. A slash within a name is written %2F. "+ctl.ExitCodes)
	c.remote = new(remote)
	c.parent.Flag("remediator.url", "Where the remediator answers.").Default("http://127.0.0.1:11011").Envar(envURL).StringVar(&c.remote.url)
	c.parent.Flag("http.config.file", "How to authenticate to it: basic_auth, authorization, tls_config, as in Prometheus.").Envar(envConfig).StringVar(&c.remote.httpConfig)
	c.parent.Flag("output", "table, json or yaml. The last two have what the remediator's API answered, as docs/api.md has it.").
		Short('o').Default("table").EnumVar(&c.output, ctl.Forms...)
	c.addMembers()
	c.addSteps()
	c.addWait()
	c.addRollingRestart()
	c.addLists()
	c.addFreezes()
	c.addClaims()
	c.addMaintenance()
	c.addDrill()
	c.addTop()
	return c.commands
}

// Where operators keep what they don't want to type each time.
const (
	envURL    = "SLUICE_REMEDIATOR_URL"
	envConfig = "SLUICE_HTTP_CONFIG_FILE"
)

// sub adds one command.
func (c *ctlCommands) sub(name, help string, in ...*kingpin.CmdClause) *kingpin.CmdClause {
	if len(in) > 0 {
		return in[0].Command(name, help)
	}
	return c.parent.Command(name, help)
}

// does says what a command does. What isn't done by a signal's leave ends with
// what was under way being known.
func (c *ctlCommands) does(cmd *kingpin.CmdClause, do ctlCommand) {
	c.commands[cmd.FullCommand()] = func(std streams) error {
		client, err := c.remote.client()
		if err != nil {
			return err
		}
		ctx, stop := ctl.WithSignals(context.Background())
		defer stop()
		err = do(ctx, &ctl.Session{Client: client, Out: std.out, Err: std.err, Output: c.output})
		why := (*ctl.Interruption)(nil)
		if errors.As(context.Cause(ctx), &why) && errors.Is(err, context.Canceled) {
			return why // rather than what it did to a question
		}
		if answer := (*ctl.Error)(nil); errors.As(err, &answer) && answer.Code == http.StatusUnauthorized {
			err = fmt.Errorf("%w: --http.config.file says who you are", err)
		}
		return err
	}
}

func memberArg(cmd *kingpin.CmdClause) *string {
	return cmd.Arg("MEMBER", "DEVICE/POOL/MEMBER, or what of it is enough.").Required().String()
}

func whatArg(cmd *kingpin.CmdClause) *string {
	return cmd.Arg("WHAT", "DEVICE, DEVICE/POOL or DEVICE/POOL/MEMBER. Left out: all.").String()
}

func reasonFlag(cmd *kingpin.CmdClause) *kingpin.FlagClause {
	return cmd.Flag("reason", "Why, in one line, for the journal and those who come after.")
}

func overrideFlag(cmd *kingpin.CmdClause) *[]string {
	return cmd.Flag("override", "A guard whose no you take upon yourself, by name. Repeatable; wants a reason.").PlaceHolder("GUARD").Strings()
}

func addLimit(cmd *kingpin.CmdClause) *ctl.Limit {
	l := new(ctl.Limit)
	cmd.Flag("for", "How long: 30m, 2h, 1d.").PlaceHolder("DURATION").StringVar(&l.For)
	cmd.Flag("until", "Until when: 2026-01-02T15:04:05Z.").PlaceHolder("TIME").StringVar(&l.Until)
	return l
}

func (c *ctlCommands) addMembers() {
	cmd := c.sub("members", "Members with their state, who set it and why. One of a device that can't be read is missing: that is told on stderr, and the exit code is 1.")
	what := whatArg(cmd)
	watch := cmd.Flag("watch", "Show it again every two seconds, until Ctrl-C.").Short('w').Bool()
	c.does(cmd, func(ctx context.Context, s *ctl.Session) error {
		if *watch {
			return s.WatchMembers(ctx, *what)
		}
		return s.ShowMembers(ctx, *what)
	})
}

func (c *ctlCommands) addSteps() {
	for _, one := range []struct {
		to   edge.Admin
		help string
	}{
		{edge.Drain, "Take a member out: it keeps the sessions that it has, and gets no new ones."},
		{edge.Maint, "Take a member out at once."},
		{edge.Ready, "Put a member back in service."},
	} {
		cmd := c.sub(one.to.String(), one.help+" Goes through the guards that bear on people.")
		member, reason, override := memberArg(cmd), reasonFlag(cmd).String(), overrideFlag(cmd)
		c.does(cmd, func(ctx context.Context, s *ctl.Session) error {
			return s.Step(ctx, *member, ctl.Ask{To: one.to, Reason: *reason, Override: *override})
		})
	}
	cmd := c.sub("weight", "Give a member a weight. To take it out, drain it.")
	member := memberArg(cmd)
	weight := cmd.Arg("WEIGHT", "A number from 1 on, or percent of the configured one: 25%.").Required().String()
	reason, override := reasonFlag(cmd).String(), overrideFlag(cmd)
	c.does(cmd, func(ctx context.Context, s *ctl.Session) error {
		a, err := ctl.ParseWeight(*weight)
		if err != nil {
			return err
		}
		a.Reason, a.Override = *reason, *override
		return s.Step(ctx, *member, a)
	})
}

func (c *ctlCommands) addWait() {
	cmd := c.sub("wait", "Wait until a member is as wanted, in all that is asked for at once. Exit code 5 when it isn't in time.")
	member := memberArg(cmd)
	sessions := cmd.Flag("sessions", "At most so many sessions, and no request in its queue. For a member that was taken out.").Default("-1").PlaceHolder("N").Int()
	state := cmd.Flag("state", "What was ordered: ready, drain or maint.").PlaceHolder("STATE").Enum("ready", "drain", "maint")
	serving := cmd.Flag("serving", "It takes new traffic, by the device's word.").Bool()
	timeout := cmd.Flag("timeout", "How long to wait.").Default(ctl.DefaultTimeout.String()).Duration()
	c.does(cmd, func(ctx context.Context, s *ctl.Session) error {
		if *sessions < -1 {
			return fmt.Errorf("--sessions: %d: want 0 or more", *sessions)
		}
		want := ctl.Condition{Sessions: *sessions, Serving: *serving}
		if *state != "" {
			to, err := edge.ParseAdmin(*state)
			if err != nil {
				return err
			}
			want.State = &to
		}
		if want == (ctl.Condition{Sessions: -1}) {
			return errors.New("say what to wait for: --sessions, --state or --serving")
		}
		return s.Wait(ctx, *member, want, *timeout)
	})
}

func (c *ctlCommands) addRollingRestart() {
	cmd := c.sub("rolling-restart", "Restart a pool one member at a time: drain it, wait for its sessions to end, run the command, wait for health, "+
		"put it back, wait until it serves, go on with the next. Stops at the first failure and says what state that left and which commands lead on. "+
		"The command has SLUICE_DEVICE, SLUICE_POOL, SLUICE_MEMBER and SLUICE_ADDRESS in its environment; it runs here, as you.")
	r := new(ctl.Rolling)
	cmd.Arg("POOL", "DEVICE/POOL, or POOL where only one is called so.").Required().StringVar(&r.Pool)
	command := cmd.Arg("COMMAND", "What restarts a member, behind --: one word is a line for your shell ($SHELL), several are a program with its arguments.").Required().Strings()
	cmd.Flag("from", "Begin with this member: the one at which an earlier run stopped.").PlaceHolder("MEMBER").StringVar(&r.From)
	reasonFlag(cmd).Default(ctl.DefaultReason).StringVar(&r.Reason)
	override := overrideFlag(cmd)
	cmd.Flag("sessions", "So many sessions may be left when the command runs.").Default("0").PlaceHolder("N").IntVar(&r.Sessions)
	cmd.Flag("settle", "Wait so long after the drain, too. A device that doesn't tell sessions (PTAF) wants it.").PlaceHolder("DURATION").DurationVar(&r.Settle)
	cmd.Flag("health-command", "A line for your shell that succeeds when the member is well. Left out: the device's own check is asked, where it has one.").PlaceHolder("LINE").StringVar(&r.Health)
	cmd.Flag("healthy-for", "How long health has to last after the command, for a device notices only after some checks that a member died.").
		Default(ctl.DefaultHealthyFor.String()).DurationVar(&r.HealthyFor)
	cmd.Flag("timeout", "How long to wait, each time.").Default(ctl.DefaultTimeout.String()).DurationVar(&r.Timeout)
	cmd.Flag("skip-out", "Leave members alone that are out already, instead of stopping before the first step.").BoolVar(&r.SkipOut)
	cmd.Flag("dry-run", "Only say what would be done.").BoolVar(&r.DryRun)
	c.does(cmd, func(ctx context.Context, s *ctl.Session) error {
		r.Command, r.Override = *command, *override
		return s.RollingRestart(ctx, *r)
	})
}

func (c *ctlCommands) addLists() {
	entries := func(cmd *kingpin.CmdClause, journaled bool) *ctl.Entries {
		e := new(ctl.Entries)
		cmd.Arg("WHAT", "DEVICE, DEVICE/POOL or DEVICE/POOL/MEMBER. Left out: all.").StringVar(&e.What)
		cmd.Flag("policy", "Only by this policy.").StringVar(&e.Policy)
		if journaled {
			cmd.Flag("guard", "Only refused by this guard.").StringVar(&e.Guard)
			cmd.Flag("since", "Not before: 2026-01-02T15:04:05Z, or 30m, 2h, 1d before now.").StringVar(&e.Since)
			cmd.Flag("limit", "The newest so many.").Default("100").IntVar(&e.Limit)
		}
		return e
	}
	holds := c.sub("holds", "What the remediator holds out, and why.")
	held := entries(holds, false)
	c.does(holds, func(ctx context.Context, s *ctl.Session) error { return s.ShowHolds(ctx, *held) })

	steps := c.sub("steps", "What was done, refused and decided, the newest last.")
	done := entries(steps, true)
	steps.Flag("event", "Only of this kind: step, order, refusal, intent, freeze, ...").StringVar(&done.Event)
	follow := steps.Flag("follow", "Go on with what is added, until Ctrl-C.").Short('f').Bool()
	c.does(steps, func(ctx context.Context, s *ctl.Session) error {
		if *follow {
			return s.FollowSteps(ctx, *done)
		}
		return s.ShowSteps(ctx, *done)
	})

	refusals := c.sub("refusals", "What guards said no to, the newest last.")
	refused := entries(refusals, true)
	c.does(refusals, func(ctx context.Context, s *ctl.Session) error { return s.ShowRefusals(ctx, *refused) })

	approvals := c.sub("approvals", "Steps that wait for a person's word.")
	c.does(approvals, func(ctx context.Context, s *ctl.Session) error { return s.ShowApprovals(ctx) })
	for _, yes := range []bool{true, false} {
		name, help := "approve", "Let the step through that waits for a person's word on a member. The guards judge it again before it is taken."
		if !yes {
			name, help = "reject", "Say no to the step that waits for a person's word on a member."
		}
		cmd := c.sub(name, help)
		member, why := memberArg(cmd), reasonFlag(cmd)
		if !yes {
			why.Required()
		}
		reason := why.String()
		c.does(cmd, func(ctx context.Context, s *ctl.Session) error { return s.Approve(ctx, *member, yes, *reason) })
	}

	back := c.sub("give-back", "Have the remediator put back what it holds, whatever evidence and freeze say.")
	member, reason := memberArg(back), reasonFlag(back).String()
	c.does(back, func(ctx context.Context, s *ctl.Session) error { return s.GiveBack(ctx, *member, *reason) })

	who := c.sub("whoami", "Who the remediator takes you for, and what you may do.")
	c.does(who, func(ctx context.Context, s *ctl.Session) error { return s.Who(ctx) })
}

func (c *ctlCommands) addFreezes() {
	scopeArg := func(cmd *kingpin.CmdClause) *string {
		return cmd.Arg("SCOPE", "DEVICE or DEVICE/POOL. Left out: everything.").String()
	}
	freeze := c.sub("freeze", "Stop all automatic steps, on everything, a device or a pool. People's own steps are still taken.")
	what, reason, limit := scopeArg(freeze), reasonFlag(freeze).Required().String(), addLimit(freeze)
	c.does(freeze, func(ctx context.Context, s *ctl.Session) error { return s.Freeze(ctx, *what, *reason, *limit) })

	thaw := c.sub("thaw", "Lift a freeze.")
	of := scopeArg(thaw)
	c.does(thaw, func(ctx context.Context, s *ctl.Session) error { return s.Thaw(ctx, *of) })

	frozen := c.sub("frozen", "The freezes in force.")
	c.does(frozen, func(ctx context.Context, s *ctl.Session) error { return s.ShowFreezes(ctx) })
}

func (c *ctlCommands) addClaims() {
	claim := c.sub("claim", "Take a member into your own hands: no automatic step is taken on it.")
	member, reason, limit := memberArg(claim), reasonFlag(claim).Required().String(), addLimit(claim)
	c.does(claim, func(ctx context.Context, s *ctl.Session) error { return s.Claim(ctx, *member, *reason, *limit) })

	release := c.sub("release", "Give a member that was claimed back to automation.")
	of, why := memberArg(release), reasonFlag(release).String()
	c.does(release, func(ctx context.Context, s *ctl.Session) error { return s.Unclaim(ctx, *of, *why) })

	claimed := c.sub("claimed", "Members that people have taken into their own hands.")
	c.does(claimed, func(ctx context.Context, s *ctl.Session) error { return s.ShowClaimed(ctx) })
}

func (c *ctlCommands) addMaintenance() {
	parent := c.sub("maintenance", "Windows in which people are at work, and nothing automatic is done.")
	list := c.sub("list", "All windows, of the configuration and of the API.", parent)
	c.does(list, func(ctx context.Context, s *ctl.Session) error { return s.ShowMaintenance(ctx) })

	add := c.sub("add", "Add a window: once by --from and --to, weekly by --days, --start and --end, or by --cron and --duration.", parent)
	name := add.Arg("NAME", "What it is called.").Required().String()
	texts := map[string]*string{}
	for _, f := range []struct{ name, help string }{
		{"from", "Of one that comes once: 2026-03-29T22:00:00+02:00."},
		{"to", "Its end."},
		{"start", "Of a weekly one: 22:30."},
		{"end", "Its end; one that is earlier than the start is on the next day."},
		{"cron", "Minute, hour, day of month, month, day of week: '30 2 1 * *'."},
		{"duration", "How long one of --cron lasts: 90m."},
		{"zone", "The time zone, such as Europe/Berlin. UTC when left out."},
	} {
		texts[f.name] = add.Flag(f.name, f.help).String()
	}
	days := add.Flag("days", "Of a weekly one: tue. Repeatable.").Strings()
	device := add.Flag("device", "Only members of this device, a regular expression.").String()
	pool := add.Flag("pool", "Only members of this pool, a regular expression.").String()
	member := add.Flag("member", "Only members of this name, a regular expression.").String()
	reason := reasonFlag(add).String()
	c.does(add, func(ctx context.Context, s *ctl.Session) error {
		in := map[string]any{"name": *name}
		put := func(to map[string]any, key, value string) {
			if value != "" {
				to[key] = value
			}
		}
		for key, value := range texts {
			put(in, key, *value)
		}
		put(in, "reason", *reason)
		if len(*days) > 0 {
			in["days"] = *days
		}
		members := map[string]any{}
		put(members, "device", *device)
		put(members, "pool", *pool)
		put(members, "member", *member)
		if len(members) > 0 {
			in["members"] = members
		}
		return s.AddMaintenance(ctx, in)
	})

	remove := c.sub("remove", "Take away a window that was added here. One of the configuration stays until it is edited.", parent)
	gone := remove.Arg("NAME", "What it is called.").Required().String()
	c.does(remove, func(ctx context.Context, s *ctl.Session) error { return s.RemoveMaintenance(ctx, *gone) })
}

// exitOf is the exit code of a command that ended with an error. Those of "ctl"
// have their own, which scripts tell apart.
func exitOf(name string, err error) int {
	if len(name) > 4 && name[:4] == "ctl " {
		return ctl.ExitCode(err)
	}
	return 1
}
