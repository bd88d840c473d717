package main

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	sloggokit "github.com/tjhop/slog-gokit"
)

// logFlags choose what is logged and how it is written.
type logFlags struct {
	level  string
	format string
}

func addLogFlags(cmd *kingpin.CmdClause) *logFlags {
	f := new(logFlags)
	cmd.Flag("log.level", "Only lines of this severity or above: debug, info, warn, error.").
		Default("info").EnumVar(&f.level, "debug", "info", "warn", "error")
	cmd.Flag("log.format", "How a line is written: logfmt, json.").
		Default("logfmt").EnumVar(&f.format, "logfmt", "json")
	return f
}

// newLogger writes whole lines to w, each with its time in UTC.
func newLogger(w io.Writer, f *logFlags) log.Logger {
	w = log.NewSyncWriter(w)
	logger := log.NewLogfmtLogger(w)
	if f.format == "json" {
		logger = log.NewJSONLogger(w)
	}
	logger = log.With(logger, "ts", log.DefaultTimestampUTC)
	return level.NewFilter(logger, level.Allow(level.ParseDefault(f.level, level.InfoValue())))
}

// bridge lets exporter-toolkit, which wants slog, write into our log.
func bridge(logger log.Logger) *slog.Logger {
	// Our logger filters by level, so the bridge passes everything on.
	return slog.New(plain{sloggokit.NewGoKitHandler(logger, slog.LevelDebug)})
}

// plain takes off what our lines have already or never have: the time and the
// caller.
type plain struct{ slog.Handler }

func (p plain) Handle(ctx context.Context, r slog.Record) error {
	line := slog.Record{Level: r.Level, Message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(a)
		return true
	})
	if err := p.Handler.Handle(ctx, line); err != nil {
		return fmt.Errorf("log %q: %w", r.Message, err)
	}
	return nil
}

func (p plain) WithAttrs(attrs []slog.Attr) slog.Handler { return plain{p.Handler.WithAttrs(attrs)} }

func (p plain) WithGroup(name string) slog.Handler { return plain{p.Handler.WithGroup(name)} }

// serverLog takes what net/http says by itself, such as failed TLS handshakes.
func serverLog(logger log.Logger) *stdlog.Logger {
	return stdlog.New(log.NewStdlibAdapter(level.Warn(logger), log.MessageKey("err")), "", 0)
}

// quietLibraries gives what libraries say to the standard logger to ours, where
// it is worth a look only while one searches: net/http says there that a server
// which is probed sends what nobody asked for, and quotes it.
func quietLibraries(logger log.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(log.NewStdlibAdapter(level.Debug(logger), log.MessageKey("library")))
}
