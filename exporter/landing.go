package exporter

import (
	"cmp"
	_ "embed" // the page
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/exporter/schedule"
)

//go:embed landing.html
var landingText string

var landing = template.Must(template.New("landing").Parse(landingText))

// A page is what the landing page shows. Nothing in it is secret: targets are
// redacted, and what a target answered is not shown.
type page struct {
	Base    string
	Version string
	At      string
	Modules []string // that /probe may be asked with
	Devices []deviceLine
	Probes  []probeLine
}

type deviceLine struct {
	Name, Kind  string
	Word, Class string // whether it answers
	Why         string // it doesn't
	Members     int
	Probed      bool // some probe wants its members
}

type probeLine struct {
	Probe, Target string
	Member        edge.Member
	Word, Class   string // the verdict
	Since         string
	Last          string
	Results       []resultDot // oldest first
}

type resultDot struct{ Class, Title string }

// Landing serves a page for people: where things are, and the last results of
// each probe.
func (e *Exporter) Landing() http.Handler { return http.HandlerFunc(e.serveLanding) }

func (e *Exporter) serveLanding(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	g := e.generation()
	p := page{Base: e.external, Version: cmp.Or(version.Version, "unknown"), At: now.UTC().Format(time.RFC3339), Modules: g.config.offered()}
	for _, s := range g.devices {
		p.Devices = append(p.Devices, newDeviceLine(s, now))
	}
	for _, s := range e.scheduler.Histories() {
		p.Probes = append(p.Probes, newProbeLine(s, now))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cache-Control", "no-store")
	if err := landing.Execute(w, p); err != nil {
		level.Debug(e.logger).Log("msg", "landing page was not read to its end", "err", err)
	}
}

func newDeviceLine(s *source, now time.Time) deviceLine {
	l := deviceLine{Name: s.Device().Name(), Kind: s.Device().Kind(), Members: len(s.known()), Probed: s.wanted}
	switch asked, err := s.noted(); {
	case asked.IsZero():
		l.Word, l.Class = "not asked yet", "none"
	case err != nil:
		l.Word, l.Class, l.Why = "no answer, "+ago(asked, now), "bad", err.Error()
	default:
		l.Word, l.Class = "answered, "+ago(asked, now), "good"
	}
	return l
}

func newProbeLine(s schedule.Status, now time.Time) probeLine {
	l := probeLine{Probe: s.Probe, Target: s.Target, Member: s.Member}
	switch s.Up {
	case edge.Yes:
		l.Word, l.Class = "up", "good"
	case edge.No:
		l.Word, l.Class = "down", "bad"
	default:
		l.Word, l.Class = "unknown", "none"
	}
	if !s.Since.IsZero() {
		l.Since = "for " + coarse(now.Sub(s.Since))
	}
	if s.Known {
		l.Last = sentence(s.Last) + ", " + ago(s.Last.Start, now)
	}
	for _, r := range s.History {
		dot := resultDot{"good", sentence(r) + ", " + ago(r.Start, now)}
		if !r.Up {
			dot.Class = "bad"
		}
		l.Results = append(l.Results, dot)
	}
	return l
}

// sentence says how a probe went: "good, 1.2 ms" or "connect, 0.3 ms: connection refused".
func sentence(r schedule.Outcome) string {
	took := strconv.FormatFloat(float64(r.Duration.Microseconds())/1000, 'f', 1, 64) + " ms"
	if r.Up {
		return "good, " + took
	}
	return string(r.Reason) + ", " + took + ": " + r.Detail
}

func ago(t, now time.Time) string { return coarse(now.Sub(t)) + " ago" }

// coarse writes a time as coarsely as a reader wants it.
func coarse(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
