package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/remediator"
)

// ptafTime bounds one command: a device may be slow, a remediator busy with it.
const ptafTime = time.Minute

// ptafCommand makes "sluice ptaf", the parent of those below, once.
func ptafCommand(app *kingpin.Application) *kingpin.CmdClause {
	if cmd := app.GetCommand("ptaf"); cmd != nil {
		return cmd
	}
	return app.Command("ptaf", "Look at an upstream of a PTAF 3.x as it is, and put one back as it was.")
}

func addPTAFGet(app *kingpin.Application) (string, func(streams) error) {
	cmd := ptafCommand(app).Command("get", "Print an upstream as the device gives it, byte for byte. Changes nothing.")
	upstream := cmd.Arg("UPSTREAM", "Name or id.").Required().String()
	device := cmd.Flag("device", "Which PTAF, when the configuration has several.").String()
	file := cmd.Flag("config.file", "The configuration file.").Default("sluice.yml").String()
	return cmd.FullCommand(), func(std streams) error {
		ctx, stop := commandContext()
		defer stop()
		l, err := load(*file)
		if err != nil {
			return err
		}
		d, err := onePTAF(l, *device)
		if err != nil {
			return err
		}
		o, err := d.PTAF().Get(ctx, *upstream)
		if err != nil {
			return fmt.Errorf("device %s: %w", d.Name(), err)
		}
		_, err = std.out.Write(append(o.Raw, '\n'))
		return err
	}
}

func addPTAFRestore(app *kingpin.Application) (string, func(streams) error) {
	cmd := ptafCommand(app).Command("restore", "Have the running remediator put an upstream back as a file has it (see remediation.snapshots), through its guards and its journal.")
	path := cmd.Arg("FILE", `As "sluice ptaf get" printed it, or from the folder of snapshots.`).Required().String()
	device := cmd.Flag("device", "Which PTAF, when the configuration has several.").String()
	file := cmd.Flag("config.file", "The configuration file.").Default("sluice.yml").String()
	reason := cmd.Flag("reason", "Why, for the journal.").Required().String()
	r := addRemote(cmd)
	return cmd.FullCommand(), func(std streams) error {
		ctx, stop := commandContext()
		defer stop()
		object, err := os.ReadFile(*path)
		if err != nil {
			return err
		}
		u, err := ptaf.ParseUpstream(object)
		if err != nil {
			return fmt.Errorf("%s: %w", *path, err)
		}
		l, err := load(*file)
		if err != nil {
			return err
		}
		d, err := onePTAF(l, *device)
		if err != nil {
			return err
		}
		var out remediator.Restoration
		where := ctl.Path("pools", d.Name(), u.Name, "restore")
		if err := r.post(ctx, where, map[string]string{"object": string(object), "reason": *reason}, &out); err != nil {
			return err
		}
		for _, f := range out.Decision.Findings {
			fmt.Fprintf(std.out, "%-12s %-7s %s\n", f.Guard, answerOf(f.OK), f.Detail)
		}
		fmt.Fprintf(std.out, "%s: %s\n", out.Result, out.Detail)
		if out.Result != "applied" && out.Result != "unchanged" {
			return errSaid
		}
		return nil
	}
}

func answerOf(ok bool) string {
	if ok {
		return "ok"
	}
	return "refuses"
}

func commandContext() (context.Context, func()) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, ptafTime)
	return ctx, func() { cancel(); stop() }
}

// onePTAF finds the device that is meant: by name, or the only one there is.
func onePTAF(l *loaded, name string) (*fleet.Device, error) {
	f, err := newFleet(l, fleetOptions{logger: log.NewNopLogger()})
	if err != nil {
		return nil, err
	}
	var all []*fleet.Device
	var names []string
	for _, d := range f.Devices() {
		if d.PTAF() == nil || name != "" && d.Name() != name {
			continue
		}
		all = append(all, d)
		names = append(names, d.Name())
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case name != "":
		return nil, fmt.Errorf("--device: %s has no device %q of kind ptaf", l.path, name)
	case len(all) == 0:
		return nil, fmt.Errorf("%s has no device of kind ptaf", l.path)
	}
	return nil, errors.New("--device: write one of " + strings.Join(names, ", "))
}
