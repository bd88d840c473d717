package main

import (
	"fmt"

	"github.com/alecthomas/kingpin/v2"
)

// configCommand makes "sluice config", the parent of its subcommands, once.
func configCommand(app *kingpin.Application) *kingpin.CmdClause {
	if cmd := app.GetCommand("config"); cmd != nil {
		return cmd
	}
	return app.Command("config", "Look at a configuration file, or make one from another program's.")
}

func addConfigCheck(app *kingpin.Application) (string, func(streams) error) {
	cmd := configCommand(app).Command("check", "Print every mistake in the file, with its line and what to write instead. Exit 1 when there is one.")
	file := cmd.Arg("FILE", "The configuration file.").Required().String()
	return cmd.FullCommand(), func(std streams) error { return checkConfig(std, *file) }
}

func checkConfig(std streams, file string) error {
	l, err := load(file)
	if err != nil {
		lines := asMistakes(err)
		for _, line := range lines {
			fmt.Fprintln(std.err, line)
		}
		return errSaid
	}
	fmt.Fprintf(std.out, "%s: ok: %s\n", file, l.summary())
	return nil
}

// summary counts what the file sets up.
func (c *config) summary() string {
	s := fmt.Sprintf("%s, %s, %s", count(len(c.Devices), "device"), count(len(c.Exporter.Modules), "module"), count(len(c.Exporter.Probes), "probe"))
	if c.Remediation == nil {
		return s + ", no remediation"
	}
	return fmt.Sprintf("%s, %s in mode %s", s, count(len(c.Remediation.Policies), "policy"), c.Remediation.Mode)
}

func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case what == "policy":
		return fmt.Sprintf("%d policies", n)
	default:
		return fmt.Sprintf("%d %ss", n, what)
	}
}
