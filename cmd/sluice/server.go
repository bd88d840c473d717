package main

import (
	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"
)

// serverFlags are those that every server of ours takes.
type serverFlags struct {
	config string
	named  bool // by the user
	web    *webFlags
	log    *logFlags

	load func() (*loaded, error) // nil: the file, and nothing else
}

func addServerFlags(cmd *kingpin.CmdClause, address string) *serverFlags {
	f := &serverFlags{web: addWebFlags(cmd, address), log: addLogFlags(cmd)}
	cmd.Flag("config.file", "The configuration file.").Default("sluice.yml").IsSetByUser(&f.named).StringVar(&f.config)
	return f
}

// start runs a server until it ends. Why it ended goes into the log, where
// whoever looks after it will search, one line a reason.
func (f *serverFlags) start(std streams, name string, body func(logger log.Logger, l *loaded) error) error {
	logger := newLogger(std.err, f.log)
	quietLibraries(logger)
	level.Info(logger).Log("msg", "starting", "server", name, "version", version.Version, "revision", version.GetRevision(), "go", version.GoVersion)
	if f.load == nil {
		f.load = func() (*loaded, error) { return load(f.config) }
	}
	l, err := f.load()
	if err == nil {
		level.Info(logger).Log("msg", "configuration loaded", "file", l.path, "sha256", l.hash, "has", l.summary())
		err = body(logger, l)
	}
	if err == nil {
		return nil
	}
	for _, line := range asMistakes(err) {
		level.Error(logger).Log("msg", "ended", "server", name, "err", line)
	}
	return errSaid
}
