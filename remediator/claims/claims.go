// Package claims reads what alerts ask for. A claim is a firing alert that names
// a member and a policy; it comes from Alertmanager's API, or where none is
// configured from its webhook. Labels select, and are never templated.
//
// A claim that is seen counts at once. That none is seen counts only when the
// source isn't blind, because an Alertmanager that was restarted answers
// with an empty list while everything still burns (SAFETY.md I6, I14).
package claims

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Watchdog is the reserved value of the label "remediation" that an alert
// carries which always fires: it proves the way, and claims nothing.
const Watchdog = "watchdog"

// QuietAfter is how long after its last word from Prometheus an alert is marked
// [Claim.Quiet]. Prometheus repeats each minute and Alertmanager ends an alert
// by itself after four, so three minutes of silence are a fault of the source.
const QuietAfter = 3 * time.Minute

// A Claim is one firing alert that asks for a step.
type Claim struct {
	Labels map[string]string
	Key    string // canonical text of Labels, the identity of the claim
	Source string // who says so: an Alertmanager's URL, or "webhook"

	StartsAt  time.Time // not stable while an alert fires: it identifies nothing
	UpdatedAt time.Time // when the source last heard of it
	SeenAt    time.Time // when we last read it there

	// Suppressed says that the alert is silenced or inhibited wherever it is known.
	Suppressed bool
	SilencedBy []string // ids of silences; empty when it is inhibited
	Quiet      bool     // UpdatedAt is older than QuietAfter

	Policy  string
	Member  edge.Member // parts that the alert doesn't name are empty
	Address string      // host:port instead of a member, when a configured entry says so

	// PoolOnly says that the claim names a pool and neither member nor address.
	PoolOnly bool

	Drill string // the id that marks the alert as a drill's; empty but for these
}

// A Source is one place that was asked.
type Source struct {
	Name  string // URL without user, query and fragment; "webhook"
	Blind string // why its silence means nothing; empty when it does mean absence
}

// A View is what all sources said in one round.
type View struct {
	Claims   []Claim   // ordered by Key
	Sources  []Source  // in the order of the configuration
	Blind    []string  // "name: why" of each blind source
	At       time.Time // when the last answer was in
	Watchdog time.Time // when a source last heard of the alert that always fires; zero when none knows it
}

// AbsenceCounts says whether a claim that isn't in the view has ended: more than
// half of the sources see, and none of these has it. With no source there is no
// absence.
func (v View) AbsenceCounts() bool { return 2*len(v.Blind) < len(v.Sources) }

// SetApart takes the alerts of drills out of the claims, and returns them. Whoever
// reads a view for what it asks for does this first: a drill asks for nothing.
func (v *View) SetApart() (drills []Claim) {
	v.Claims = slices.DeleteFunc(v.Claims, func(c Claim) bool {
		if c.Drill != "" {
			drills = append(drills, c)
		}
		return c.Drill != ""
	})
	return drills
}

// A Reader reads all claims.
type Reader interface {
	// Read never fails: a source that can't be asked is blind in the view.
	Read(ctx context.Context) View
}

// Key returns the canonical text of a label set, `{a="b", c="d"}`: equal for
// equal sets only.
func Key(labels map[string]string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b.WriteString(", ")
		}
		if plain(name) {
			b.WriteString(name)
		} else {
			b.WriteString(strconv.Quote(name))
		}
		b.WriteByte('=')
		b.WriteString(strconv.Quote(labels[name]))
	}
	b.WriteByte('}')
	return b.String()
}

func plain(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// finish orders the claims and names the blind.
func (v *View) finish(now time.Time) {
	v.At = now
	for i := range v.Claims {
		v.Claims[i].Quiet = now.Sub(v.Claims[i].UpdatedAt) > QuietAfter
	}
	slices.SortFunc(v.Claims, func(a, b Claim) int { return strings.Compare(a.Key, b.Key) })
	for _, s := range v.Sources {
		if s.Blind != "" {
			v.Blind = append(v.Blind, s.Name+": "+s.Blind)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
