package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/audit"
	"github.com/sluice-project/sluice/remediator/audit/syslog"
	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/journal"
)

// beside is what the remediator has beside its journal: the other replicas, and
// the audit stream. Both stay as they are until the process ends.
type beside struct {
	coordinator coordinate.Coordinator
	stream      *audit.Stream
	sender      *syslog.Sender
	none        bool // there is no section remediation
}

// openBeside opens both. An audit stream that can't be trusted is no reason not to
// start: it is left as it is for people to look at, and told with each try.
func openBeside(c *remediator.Config, logger log.Logger, reg prometheus.Registerer) (*beside, error) {
	b := &beside{coordinator: coordinate.Local{}, none: c == nil}
	if c == nil {
		return b, nil
	}
	var err error
	if b.coordinator, err = coordinate.Open(c.Coordinator); err != nil {
		return nil, err
	}
	o := audit.Options{MaxSize: int64(c.Audit.MaxSize)}
	if c.Audit.Syslog != nil {
		if b.sender, err = syslog.New(*c.Audit.Syslog, syslog.Options{Logger: logger}); err != nil {
			return nil, errors.Join(err, b.close())
		}
		promauto.With(reg).NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_remediation_syslog_dropped_total", Help: "Audit records that no syslog server took in time; the file has them.",
		}, func() float64 { return float64(b.sender.Stats().Dropped) })
		o.Forward = func(l audit.Line) { b.sender.Send(syslog.Record{Entry: l.Entry, Hash: l.Hash}) }
	}
	b.stream, err = audit.Open(c.Audit.File, o)
	switch {
	case errors.Is(err, audit.ErrBroken):
		level.Error(logger).Log("msg", "audit stream can't be trusted, nothing is written to it", "file", c.Audit.File, "err", err)
	case errors.Is(err, audit.ErrLocked):
		// To go on without would be a replica whose stream is missed when it is needed.
		err = fmt.Errorf("%w: each remediator needs an audit stream of its own: start it in a folder of its own, or write another remediation.audit.file", err)
		return nil, errors.Join(err, b.close())
	case err != nil:
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// audit is the stream as the engine knows it.
func (b *beside) audit() remediator.Audit {
	if b.none {
		return nil
	}
	return auditor{b.stream}
}

type auditor struct{ stream *audit.Stream }

var errBrokenStream = errors.New("the audit stream can't be trusted: see \"sluice audit verify\", and move its files away")

// Sync writes what the journal has and the stream doesn't.
func (a auditor) Sync(j *journal.Journal) error {
	if a.stream == nil {
		return errBrokenStream
	}
	return a.stream.Sync(j)
}

func (b *beside) actors() (out []actor) {
	if b.sender != nil {
		out = append(out, actor{"syslog", func(ctx context.Context) error { return b.sender.Run(ctx) }})
	}
	return out
}

func (b *beside) close() error {
	var err error
	if b.stream != nil {
		err = b.stream.Close()
	}
	return errors.Join(err, b.coordinator.Close())
}
