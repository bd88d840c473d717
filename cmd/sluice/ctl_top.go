package main

import (
	"context"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/ctl/top"
)

func (c *ctlCommands) addTop() {
	cmd := c.sub("top", "A screen over all members of all devices, that goes on: states with their age, sessions, queues, rates, who and why, holds, refusals. It only looks, unless --allow-orders.")
	o := new(top.Options)
	cmd.Flag("interval", "How often to look.").Default(top.DefaultInterval.String()).DurationVar(&o.Interval)
	cmd.Flag("allow-orders", "Let D, M and R drain a member, put it in maint or back; each asks for a reason, and once more.").BoolVar(&o.Orders)
	cmd.Flag("ascii", "No signs beyond ASCII. Goes without saying where the locale isn't UTF-8; NO_COLOR is heeded, too.").BoolVar(&o.ASCII)
	c.does(cmd, func(ctx context.Context, s *ctl.Session) error {
		o.Client = s.Client
		return top.Run(ctx, *o)
	})
}
