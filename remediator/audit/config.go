package audit

import (
	"cmp"

	"github.com/alecthomas/units"
	promconfig "github.com/prometheus/common/config"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/audit/syslog"
)

// Config is the section "audit". Call [Config.Validate] before anything else.
type Config struct {
	File    string           `yaml:"file,omitempty"`     // left out: data/audit.jsonl
	MaxSize units.Base2Bytes `yaml:"max_size,omitempty"` // of one file, before the next is begun; left out: 100MiB
	Syslog  *syslog.Config   `yaml:"syslog,omitempty"`   // a copy goes there
}

// DefaultFile is where the stream is when the configuration doesn't say.
const DefaultFile = "data/audit.jsonl"

const (
	defaultSize = 100 * units.MiB
	leastSize   = units.MiB // a file of fewer lines than a folder has names helps nobody
)

// SetDirectory makes relative paths relative to the configuration file's directory.
func (c *Config) SetDirectory(dir string) {
	c.File = promconfig.JoinDir(dir, c.File)
	if c.Syslog != nil {
		c.Syslog.SetDirectory(dir)
	}
}

// Validate fills in what was left out and returns all mistakes.
func (c *Config) Validate() edge.Mistakes {
	var all edge.Mistakes
	c.File = cmp.Or(c.File, DefaultFile)
	if _, n := numbered(c.File); n > 0 {
		all.Add("file", "%q ends in a number, as full files do: write a name like audit.jsonl", c.File)
	}
	if c.MaxSize == 0 {
		c.MaxSize = defaultSize
	}
	if c.MaxSize < leastSize {
		all.Add("max_size", "%s: write 1MiB or more", c.MaxSize)
	}
	if c.Syslog != nil {
		all.Under("syslog", c.Syslog.Validate())
	}
	return all
}
