package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
)

// config is the whole file. Each section's own package says what may stand in it.
type config struct {
	Devices     fleet.Configs      `yaml:"devices"`
	Exporter    exporter.Config    `yaml:",inline"`
	Remediation *remediator.Config `yaml:"remediation,omitempty"`
	Access      *access.Config     `yaml:"access,omitempty"`
}

// loaded is a file that was found good.
type loaded struct {
	config

	path   string
	hash   string // of the text, so that a record can name the configuration it was made under
	masked string // the file again, fit to be shown

	env *environment // where there was no file
}

// again loads what was loaded before, as it is now.
func (l *loaded) again() (*loaded, error) {
	if l.env != nil {
		return l.env.loaded() // variables of a process don't change
	}
	return load(l.path)
}

// mistakesError is all that is wrong in one file, by line.
type mistakesError struct {
	file string
	all  []lineMistake
}

// Lines gives each mistake as "FILE:LINE: what, and what to write instead".
func (e *mistakesError) Lines() []string {
	var out []string
	for _, m := range e.all {
		out = append(out, fmt.Sprintf("%s:%d: %s", e.file, m.line, m.Mistake.Error()))
	}
	return out
}

func (e *mistakesError) Error() string { return strings.Join(e.Lines(), "\n") }

// load reads the file, fills in defaults, and returns a [*mistakesError] with
// everything that is wrong in it.
func load(path string) (*loaded, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	l := &loaded{path: path}
	sum := sha256.Sum256(text)
	l.hash = hex.EncodeToString(sum[:])

	root, found := decode(text, &l.config)
	if root != nil {
		l.setDirectory(dir) // first: some files are looked for
		found = append(found, judged(root, l.validate(), found)...)
	}
	if len(found) > 0 {
		slices.SortStableFunc(found, func(a, b lineMistake) int { return cmp.Compare(a.line, b.line) })
		return nil, &mistakesError{path, found}
	}
	if l.masked, err = masked(text, reflect.TypeFor[config]()); err != nil {
		return nil, err
	}
	l.Exporter.Shown = l.masked
	return l, nil
}

// setDirectory makes relative paths relative to the file.
func (c *config) setDirectory(dir string) {
	c.Devices.SetDirectory(dir)
	c.Exporter.SetDirectory(dir)
	if c.Remediation != nil {
		c.Remediation.SetDirectory(dir)
	}
	if c.Access != nil {
		c.Access.SetDirectory(dir)
	}
}

// validate asks each section for its mistakes, with the names that it may refer
// to in the others.
func (c *config) validate() edge.Mistakes {
	var all edge.Mistakes
	all.Under("devices", c.Devices.Validate())
	all.Under("", c.Exporter.Validate(c.devices()))
	if c.Remediation != nil {
		all.Under("remediation", c.Remediation.Validate(c.devices(), c.probes()))
		all.Under("remediation", c.validateConfirms())
	}
	if c.Access != nil {
		all.Under("access", c.Access.Validate())
	}
	return all
}

// validateConfirms looks for policies that are to be confirmed by a probe of no
// members: nothing would ever be confirmed.
func (c *config) validateConfirms() edge.Mistakes {
	var all edge.Mistakes
	ofMembers := make(map[string]bool)
	for _, p := range c.Exporter.Probes {
		if p.Members != nil {
			ofMembers[p.Name] = true
		}
	}
	for i, p := range c.Remediation.Policies {
		at := fmt.Sprintf("policies[%d]", i)
		switch {
		case p.Confirm != "probe" || len(c.Exporter.Probes) == 0:
		case p.Probe == "" && len(ofMembers) == 0:
			all.Add(at, "policy %s: no probe covers members, so nothing could confirm a claim: give one under probes members", p.Name)
		case p.Probe != "" && !ofMembers[p.Probe] && slices.Contains(c.probes(), p.Probe):
			all.Add(at+".probe", "policy %s: probe %q covers no members, only targets: write one that has members", p.Name, p.Probe)
		}
	}
	return all
}

// devices and probes are the names that other sections may refer to.
func (c *config) devices() []string {
	var out []string
	for _, d := range c.Devices {
		out = append(out, d.Name)
	}
	return out
}

func (c *config) probes() []string {
	var out []string
	for _, p := range c.Exporter.Probes {
		out = append(out, p.Name)
	}
	return out
}

// judged puts mistakes on their lines, and leaves out those that only follow
// from one found before: a value that could not be decoded is missing, too.
func judged(root *yaml.Node, mistakes edge.Mistakes, before []lineMistake) []lineMistake {
	var out []lineMistake
	for _, m := range mistakes {
		follows := slices.ContainsFunc(before, func(b lineMistake) bool { return within(m.Path, b.Path) || within(m.Path, b.meant) })
		if !follows {
			out = append(out, lineMistake{line: lineOf(root, m.Path), Mistake: m})
		}
	}
	return out
}

// within says whether one path leads to the other's value or into it.
func within(path, other string) bool {
	rest, ok := strings.CutPrefix(path, other)
	return ok && other != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// asMistakes returns the single lines of a load that failed: one a mistake, or
// the error's own.
func asMistakes(err error) []string {
	var m interface {
		error
		Lines() []string
	}
	if errors.As(err, &m) {
		return m.Lines()
	}
	return []string{err.Error()}
}
