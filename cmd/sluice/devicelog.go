package main

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
)

// A deviceLog writes one line per call to a device, with the exact command. A
// write that was taken is info, one that the device refused warn, and anything
// that could not be done error. Reads happen every few seconds and are told at
// debug; of a device that stays away only the first is an error, and its
// return is info.
type deviceLog struct {
	logger log.Logger

	mu   sync.Mutex
	away map[string]string // device, and for HTTP what was read -> why the last read failed
}

func newDeviceLog(logger log.Logger) *deviceLog {
	return &deviceLog{logger: logger, away: make(map[string]string)}
}

func (d *deviceLog) call(c fleet.Call) {
	line := []any{
		"msg", "device call", "device", c.Device, "operation", c.Operation, "transport", c.Transport,
		"command", c.Command, "duration", c.Duration.Round(time.Microsecond),
	}
	if absent(c) {
		c.Err = nil // an answer like any other
		line = append(line, "code", c.Code)
	}
	fresh := d.note(c)
	switch {
	case c.Err == nil && c.Write:
		level.Info(d.logger).Log(append(line, "result", "ok")...)
	case c.Err == nil && fresh:
		level.Info(d.logger).Log(append(line, "result", "answers again")...)
	case c.Err == nil:
		level.Debug(d.logger).Log(append(line, "result", "ok")...)
	case refused(c.Err) && (c.Write || fresh || c.Method == ""):
		level.Warn(d.logger).Log(append(line, "result", "refused", "err", c.Err)...)
	case c.Write || fresh:
		level.Error(d.logger).Log(append(line, "result", "failed", "err", c.Err)...)
	default:
		level.Debug(d.logger).Log(append(line, "result", "still failing", "err", c.Err)...)
	}
}

// absent says that the device has no such object, and needs none. Guess: a PTAF
// 3.x that is no cluster may have no /gateways; nobody has written down that all
// have them (facts A1.6).
func absent(c fleet.Call) bool {
	return c.Method == http.MethodGet && c.Code == http.StatusNotFound && strings.HasSuffix(c.Command, "/gateways")
}

// note remembers how a read ended, and says whether that is news.
func (d *deviceLog) note(c fleet.Call) (fresh bool) {
	if c.Write {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	what := c.Device
	if c.Method != "" {
		what += " " + c.Command // an HTTP API may refuse one object and give the others
	}
	why, was := d.away[what]
	if c.Err == nil {
		delete(d.away, what)
		return was
	}
	d.away[what] = c.Err.Error()
	return why != c.Err.Error()
}

// refused says that the device answered, and said no.
func refused(err error) bool {
	for _, no := range []error{haproxy.ErrNoServer, haproxy.ErrNoBackend, haproxy.ErrPermission, haproxy.ErrProxyDisabled, haproxy.ErrRefused, haproxy.ErrName} {
		if errors.Is(err, no) {
			return true
		}
	}
	status := (*fleet.StatusError)(nil)
	return errors.As(err, &status) && status.Code < http.StatusInternalServerError
}
