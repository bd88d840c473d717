package main

import (
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/ctl"
)

func addMan(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("man", "Print the man page, made from this help: sluice man | man -l -")
	return cmd.FullCommand(), func(std streams) error { return writeMan(std.out, app.Model(), buildDay()) }
}

// writeMan writes the page in the macros of man(7).
func writeMan(w io.Writer, app *kingpin.ApplicationModel, day string) error {
	var p manPage
	p.macro("TH", "SLUICE", "1", day, "sluice "+version.Version, "")
	p.macro("SH", "NAME")
	p.raw("sluice \\- take failing members of HAProxy and PTAF pools out, and give them back\n")
	p.macro("SH", "SYNOPSIS")
	p.raw(".B sluice\n[\\fIflags\\fR] \\fIcommand\\fR [\\fIarguments\\fR]\n")
	p.macro("SH", "DESCRIPTION")
	p.text(app.Help)
	p.macro("SH", "OPTIONS")
	p.flags(app.Flags)
	p.macro("SH", "COMMANDS")
	for _, c := range app.Commands {
		p.command(c)
	}
	p.macro("SH", "EXIT STATUS")
	p.text("0 when all was done, and 1 when it could not be done, the command line is wrong or the answer is no. Commands that compare end with 2 when there are differences.")
	p.macro("PP")
	p.text("Commands of sluice ctl: " + ctl.ExitCodes)
	p.macro("SH", "ENVIRONMENT")
	for _, e := range [][2]string{
		{envURL, "Where sluice ctl finds the remediator, when --remediator.url isn't given."},
		{envConfig, "How it authenticates, when --http.config.file isn't given."},
		{"SLUICE_DEVICE", "With SLUICE_POOL, SLUICE_MEMBER and SLUICE_ADDRESS: set for the command of sluice ctl rolling-restart."},
	} {
		p.macro("TP")
		p.raw(".B " + roff(e[0]) + "\n")
		p.text(e[1])
	}
	p.macro("SH", "SEE ALSO")
	p.raw(".BR haproxy (1),\n.BR curl (1)\n")
	_, err := io.WriteString(w, p.String())
	return err
}

// buildDay is when this was built, as far as that is known.
func buildDay() string {
	built, err := time.Parse("20060102-15:04:05", version.BuildDate)
	if err != nil {
		return ""
	}
	return built.Format(time.DateOnly)
}

// A manPage is one under way.
type manPage struct{ strings.Builder }

func (p *manPage) raw(s string) { p.WriteString(s) }

// macro writes one with its arguments, each of them quoted.
func (p *manPage) macro(name string, args ...string) {
	p.raw("." + name)
	for _, a := range args {
		p.raw(` "` + strings.ReplaceAll(roff(a), `"`, `\(dq`) + `"`)
	}
	p.raw("\n")
}

// text writes a paragraph: each sentence on lines of its own, as roff likes it, and
// none of them long.
func (p *manPage) text(s string) {
	for _, sentence := range strings.Split(strings.ReplaceAll(s, ". ", ".\n"), "\n") {
		line := ""
		for _, word := range strings.Fields(sentence) {
			if line != "" && len(line)+len(word) > mostManLine {
				p.line(line)
				line = ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		p.line(line)
	}
}

// mostManLine bounds a line of the source, in bytes before anything is escaped.
const mostManLine = 64

func (p *manPage) line(s string) {
	switch {
	case s == "":
	case s[0] == '.': // would be a macro
		p.raw(`\&` + roff(s) + "\n")
	default:
		p.raw(roff(s) + "\n")
	}
}

func (p *manPage) flags(list []*kingpin.FlagModel) {
	for _, f := range list {
		if f.Hidden {
			continue
		}
		p.macro("TP")
		name := "--" + f.Name
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		p.raw(`\fB` + roff(name) + `\fR`)
		if !f.IsBoolFlag() {
			p.raw(`=\fI` + roff(f.FormatPlaceHolder()) + `\fR`)
		}
		p.raw("\n")
		p.text(f.HelpWithEnvar())
	}
}

// command writes one with those below it.
func (p *manPage) command(c *kingpin.CmdModel) {
	if c.Hidden {
		return
	}
	title := "sluice " + c.FullCommand
	if len(c.Commands) > 0 {
		title += " COMMAND"
	}
	for _, a := range c.Args {
		word := a.Name
		if _, many := a.Value.(interface{ IsCumulative() bool }); many {
			word += " ..."
		}
		if !a.Required {
			word = "[" + word + "]"
		}
		title += " " + word
	}
	p.macro("SS", title)
	p.text(c.Help)
	for _, a := range c.Args {
		p.macro("TP")
		p.raw(`\fI` + roff(a.Name) + "\\fR\n")
		p.text(a.Help)
	}
	p.flags(c.Flags)
	for _, sub := range c.Commands {
		p.command(sub)
	}
}

// roff escapes a text: a backslash begins what roff acts upon, and a bare hyphen
// is no minus that could be copied into a shell.
func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "'", `\(aq`).Replace(s)
}
