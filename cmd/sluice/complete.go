package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/sluice-project/sluice/ctl"
	"github.com/sluice-project/sluice/remediator/guard"
)

// completeWord is what the shells' scripts call us with, before the words of the
// line up to the cursor. It isn't in the help: nobody types it.
const completeWord = "__complete"

// completeTime bounds how long a shell hangs because of us.
const completeTime = time.Second

//go:embed complete.bash
var completeBash string

//go:embed complete.zsh
var completeZsh string

//go:embed complete.fish
var completeFish string

func addCompletion(app *kingpin.Application) (string, func(streams) error) {
	cmd := app.Command("completion", "Print a script that completes commands, flags, members and pools: "+
		"source <(sluice completion bash) in .bashrc, the same with zsh behind compinit in .zshrc, sluice completion fish | source in config.fish.")
	shell := cmd.Arg("SHELL", "bash, zsh or fish.").Required().Enum("bash", "zsh", "fish")
	return cmd.FullCommand(), func(std streams) error {
		script := map[string]string{"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[*shell]
		_, err := fmt.Fprint(std.out, script)
		return err
	}
}

// complete prints what the last word may become, each with a tab and what it is,
// where that is known. Nothing means a file, or whatever.
func complete(app *kingpin.Application, std streams, words []string) {
	for _, c := range completions(app.Model(), words) {
		fmt.Fprintln(std.out, strings.TrimRight(c.word+"\t"+c.help, "\t"))
	}
}

// A candidate is what a word may become.
type candidate struct{ word, help string }

// A line is a command line as far as it is typed.
type line struct {
	commands []*kingpin.CmdModel // that may come; empty where none is left
	flags    []*kingpin.FlagModel
	args     []*kingpin.ArgModel
	given    int                // arguments
	values   map[string]string  // of flags
	wants    *kingpin.FlagModel // that the next word is the value of
	foreign  bool               // behind --, where a command of the operator's stands
}

func completions(app *kingpin.ApplicationModel, words []string) []candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	l := &line{commands: app.Commands, flags: app.Flags, values: map[string]string{}}
	last := words[len(words)-1]
	for _, w := range words[:len(words)-1] {
		l.read(w)
	}
	name, value, assigned := strings.Cut(last, "=")
	switch f := l.flag(name); {
	case l.foreign:
		return nil
	case l.wants != nil:
		return starting(l.valuesOf(l.wants.Name), "", last)
	case assigned && f != nil:
		return starting(l.valuesOf(f.Name), name+"=", value)
	case strings.HasPrefix(last, "-"):
		return starting(l.flagNames(), "", last)
	case len(l.commands) > 0:
		return starting(l.commandNames(), "", last)
	case l.given < len(l.args):
		return starting(l.valuesOf(l.args[l.given].Name), "", last)
	}
	return nil
}

// read takes in one word that is typed whole.
func (l *line) read(w string) {
	name, value, assigned := strings.Cut(w, "=")
	switch f := l.flag(name); {
	case l.wants != nil:
		l.values[l.wants.Name], l.wants = w, nil
	case l.foreign:
	case w == "--":
		l.foreign = true
	case f != nil && assigned:
		l.values[f.Name] = value
	case f != nil && !f.IsBoolFlag():
		l.wants = f
	case strings.HasPrefix(w, "-"):
	case len(l.commands) > 0:
		i := slices.IndexFunc(l.commands, func(c *kingpin.CmdModel) bool { return c.Name == w })
		if i < 0 {
			l.commands = nil
			return
		}
		c := l.commands[i]
		l.commands, l.args, l.flags = c.Commands, c.Args, append(slices.Clone(l.flags), c.Flags...)
	default:
		l.given++
	}
}

// flag finds one by how it is typed; nil when there is none.
func (l *line) flag(w string) *kingpin.FlagModel {
	for _, f := range l.flags {
		if w == "--"+f.Name || f.Short != 0 && w == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

func (l *line) flagNames() (out []candidate) {
	for _, f := range l.flags {
		if !f.Hidden {
			out = append(out, candidate{"--" + f.Name, f.Help})
		}
	}
	return out
}

func (l *line) commandNames() (out []candidate) {
	for _, c := range l.commands {
		if !c.Hidden {
			out = append(out, candidate{c.Name, c.Help})
		}
	}
	return out
}

// valuesOf are what a flag or an argument of that name may be.
func (l *line) valuesOf(name string) (out []candidate) {
	var texts []string
	switch name {
	case "output":
		texts = ctl.Forms
	case "state":
		texts = []string{"ready", "drain", "maint"}
	case "SHELL":
		texts = []string{"bash", "zsh", "fish"}
	case "override":
		texts = guard.SoftGuards()
	case "guard":
		for _, r := range guard.Reasons() {
			texts = append(texts, r.Guard)
		}
	case "MEMBER", "from":
		return l.named(3, 3)
	case "POOL":
		return l.named(2, 2)
	case "SCOPE":
		return l.named(1, 2)
	case "WHAT":
		return l.named(1, 3)
	}
	slices.Sort(texts)
	for _, t := range slices.Compact(slices.Clone(texts)) {
		out = append(out, candidate{word: t})
	}
	return out
}

// named are the names of devices (1 part), pools (2) and members (3) that the
// remediator knows; none when it doesn't answer soon.
func (l *line) named(least, most int) (out []candidate) {
	r := remote{url: "http://127.0.0.1:11011"}
	for _, s := range []struct {
		to        *string
		env, flag string
	}{{&r.url, envURL, "remediator.url"}, {&r.httpConfig, envConfig, "http.config.file"}} {
		if v := os.Getenv(s.env); v != "" {
			*s.to = v
		}
		if v := l.values[s.flag]; v != "" {
			*s.to = v
		}
	}
	c, err := r.client()
	if err != nil {
		return nil // what is wrong is told when the line is run
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	all, err := c.Members(ctx, "", "")
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, m := range all.Members {
		parts := strings.Split(ctl.Name(m.Member), "/")
		for n := least; n <= most; n++ {
			c := candidate{word: strings.Join(parts[:n], "/")}
			if n == 3 {
				c.help = m.Admin.String()
			}
			if !seen[c.word] {
				seen[c.word] = true
				out = append(out, c)
			}
		}
	}
	return out
}

// starting are those that a word may become.
func starting(all []candidate, before, word string) (out []candidate) {
	for _, c := range all {
		if strings.HasPrefix(c.word, word) {
			out = append(out, candidate{before + c.word, c.help})
		}
	}
	return out
}
