// Command sluice watches the members of load-balancer pools, takes a failing
// one out of rotation when that is safe, and puts it back when it has proved
// healthy. Each subcommand stands in a file of its own; this package is the only
// one that knows both the read side and the write side, and wires them.
package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/ctl"
)

func main() { os.Exit(sluice(os.Args[1:], os.Stdout, os.Stderr)) }

// streams are where a command writes: what it was asked for, and what it has to
// say besides.
type streams struct{ out, err io.Writer }

// errSaid ends a command with exit code 1 when all has been said already.
var errSaid = errors.New("the output says it")

// sluice carries out one command line and returns the exit code: 0, or 1 when it
// could not be done or the answer is no; 2 as [errDiffers] says, and others as
// [ctl.ExitCode] has them.
func sluice(args []string, stdout, stderr io.Writer) int {
	app := kingpin.New("sluice", "Watches the members of HAProxy and PTAF pools, takes a failing one out when that is safe, and gives it back when it has proved healthy.")
	app.Version(version.Print("sluice"))
	app.VersionFlag.Help("Show the version and exit.")
	app.HelpFlag.Short('h').Help("Show this help and exit.")
	app.UsageWriter(stdout).ErrorWriter(stderr)

	commands := make(map[string]func(streams) error)
	for _, add := range []func(*kingpin.Application) (string, func(streams) error){
		addExporter,
		addRemediator,
		addConfigCheck,
		addConfigImport,
		addImportHAProxyExporter,
		addExplain,
		addJournalShow,
		addJournalExport,
		addReplay,
		addAuditVerify,
		addAuditOurs,
		addProbe,
		addPTAFGet,
		addPTAFRestore,
		addCompletion,
		addMan,
	} {
		name, command := add(app)
		commands[name] = command
	}
	maps.Copy(commands, addCtl(app))
	if len(args) > 0 && args[0] == completeWord {
		complete(app, streams{stdout, stderr}, args[1:])
		return 0
	}
	name, err := app.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "sluice: %v: try --help\n", err)
		return 1
	}
	switch err := commands[name](streams{stdout, stderr}); {
	case err == nil:
		return 0
	case errors.Is(err, errDiffers):
		return 2
	case !errors.Is(err, errSaid) && !errors.Is(err, ctl.ErrSaid):
		fmt.Fprintf(stderr, "sluice %s: %v\n", name, err)
		return exitOf(name, err)
	}
	return 1
}
