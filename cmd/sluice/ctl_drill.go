package main

import (
	"context"
	"fmt"
	"net/http"

	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/ctl/drill"
)

func (c *ctlCommands) addDrill() {
	cmd := c.sub("drill", "Try the whole way of an alert with a marked one through the real Alertmanager: each hop is told, with the likely cause where one is missing. "+
		"No device is touched, and nothing counts as a claim. Exit code 1 when a hop is missing.")
	member := memberArg(cmd)
	o := new(drill.Options)
	cmd.Flag("policy", "The policy that the alert asks for. Left out: the first one that selects the member.").StringVar(&o.Policy)
	o.Labels = map[string]string{}
	cmd.Flag("label", "A label that the alert is to have besides, such as your routes want: severity=page. Repeatable.").PlaceHolder("NAME=VALUE").StringMapVar(&o.Labels)
	cmd.Flag("alertmanager.url", "Where to send the alert. Repeatable. Left out: to each Alertmanager that the remediator asks, by the address that it uses.").StringsVar(&o.Alertmanagers)
	config := cmd.Flag("alertmanager.http.config.file", "How to authenticate to Alertmanager, as --http.config.file.").String()
	cmd.Flag("timeout", "How long to wait for each hop. A route's group_wait, and its group_interval for the end, have to fit in.").
		Default(drill.DefaultWithin.String()).DurationVar(&o.Within)
	c.does(cmd, func(ctx context.Context, s *ctl.Session) error { return runDrill(ctx, s, *o, *member, *config) })
}

func runDrill(ctx context.Context, s *ctl.Session, o drill.Options, member, config string) (err error) {
	o.Client = s.Client
	if o.HTTP, err = clientFrom(config); err != nil {
		return err
	}
	if o.Member, err = s.Client.Find(ctx, member); err != nil {
		return err
	}
	people := s.Output == "table"
	var unwritten error
	o.Seen = func(h drill.Hop) {
		if people && unwritten == nil {
			unwritten = drill.Line(s.Out, h)
		}
	}
	r, err := drill.Run(ctx, o)
	if err != nil {
		return err
	}
	if unwritten != nil {
		return unwritten
	}
	if err := s.Show(r, r.Write); err != nil {
		return err
	}
	if !r.Complete {
		return ctl.ErrSaid
	}
	return nil
}

// clientFrom makes an HTTP client by a file as Prometheus has them; empty is none.
func clientFrom(file string) (*http.Client, error) {
	if file == "" {
		return http.DefaultClient, nil
	}
	config, _, err := promconfig.LoadHTTPConfigFile(file)
	if err != nil {
		return nil, fmt.Errorf("--alertmanager.http.config.file %s: %w", file, err)
	}
	client, err := promconfig.NewClientFromConfig(*config, "sluice")
	if err != nil {
		return nil, fmt.Errorf("--alertmanager.http.config.file %s: %w", file, err)
	}
	return client, nil
}
