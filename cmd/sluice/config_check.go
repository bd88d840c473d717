package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/edge"
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
	wrong := &mistakesError{file: file}
	if err != nil && !errors.As(err, &wrong) {
		fmt.Fprintln(std.err, err)
		return errSaid
	}
	missing, err := missingFiles(file)
	if err != nil {
		fmt.Fprintln(std.err, err)
		return errSaid
	}
	wrong.all = append(wrong.all, missing...)
	slices.SortStableFunc(wrong.all, func(a, b lineMistake) int { return cmp.Compare(a.line, b.line) })
	if len(wrong.all) > 0 {
		for _, line := range wrong.Lines() {
			fmt.Fprintln(std.err, line)
		}
		return errSaid
	}
	fmt.Fprintf(std.out, "%s: ok: %s\n", file, l.summary())
	return nil
}

// missingFiles finds the files of devices, and those of secrets that let people in,
// that can't be read now, in a file that may have other mistakes, too. The exporter
// starts without the latter, and both servers without the former, for one device
// that is down is no reason to lose the others; so load doesn't look for them.
func missingFiles(path string) ([]lineMistake, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var c config
	root, found := decode(text, &c)
	if root == nil {
		return nil, nil // load has told why
	}
	c.Devices.SetDirectory(dir)
	var all edge.Mistakes
	all.Under("devices", c.Devices.Files())
	if c.Access != nil {
		c.Access.SetDirectory(dir)
		all.Under("access", c.Access.Files())
	}
	return judged(root, all, found), nil
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
