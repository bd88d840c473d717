package exporter

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/exporter/collect"
)

// said is what the log has of one device's trouble. Devices are asked every few
// seconds, by discovery and by each scrape: only what is new is said.
type said struct {
	trouble string            // why it can't be read; empty when it was well
	late    bool              // it gave no answer in a scrape's time, and that was said
	refused map[string]string // what isn't served, to why
}

func (s said) clone() said {
	s.refused = maps.Clone(s.refused)
	return s
}

// note remembers how asking a device went, for the landing page, and logs what
// is new about it.
func (e *Exporter) note(s *source, refused map[string]string, err error, scrape bool) {
	if errors.Is(err, context.Canceled) {
		return // whoever asked went away: no word on the device
	}
	device := s.Device().Name()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.failed = time.Now(), err
	switch {
	case err != nil:
		s.said.unread(e.logger, device, strings.TrimPrefix(err.Error(), "device "+device+": "), errors.Is(err, collect.ErrNoAnswerYet))
	default:
		s.said.well(e.logger, device, scrape)
		s.said.refusals(e.logger, device, refused)
	}
}

// unread is told why a device can't be read. That a scrape couldn't wait is no
// news beside what is really wrong, which those learn who wait longer.
func (s *said) unread(logger log.Logger, device, why string, late bool) {
	switch {
	case late && (s.late || s.trouble != ""):
		return
	case late:
		s.late = true
	case same(why) == s.trouble:
		return
	default:
		s.trouble = same(why)
	}
	level.Warn(logger).Log("msg", "device can't be read", "device", device, "err", why)
}

// well is told that a device answered. One that takes longer than a scrape is
// well for discovery, and is not for scrapes: those have to see it answer.
func (s *said) well(logger log.Logger, device string, scrape bool) {
	if s.late && !scrape || s.trouble == "" && !s.late {
		s.trouble = ""
		return
	}
	s.trouble, s.late = "", false
	level.Info(logger).Log("msg", "device can be read again", "device", device)
}

func (s *said) refusals(logger log.Logger, device string, now map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if before, ok := s.refused[name]; !ok || same(before) != same(now[name]) {
			level.Warn(logger).Log("msg", "not served", "device", device, "name", name, "err", now[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.refused)) {
		if _, still := now[name]; !still {
			level.Info(logger).Log("msg", "served again, or gone", "device", device, "name", name)
		}
	}
	s.refused = maps.Clone(now)
}

// varies is what differs from time to time in one and the same trouble: our own
// port, how far an answer came, how long something took.
var varies = regexp.MustCompile(`:\d+->|\d+ bytes|\b\d+(\.\d+)?(ns|µs|ms|s)\b`)

// same is equal for texts of the same trouble.
func same(text string) string { return varies.ReplaceAllString(text, "*") }
