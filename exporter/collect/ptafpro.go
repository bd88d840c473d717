package collect

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// ptafProLines are the metrics of a PTAF PRO. Fields are those of API v4; an
// upstream is a traffic profile. Source: facts A2.2.
//
// There is no ptaf_actionable: whether backends can be switched is found out by a
// write, and the exporter never writes.
var ptafProLines = []line[*ptafProAnswer]{
	{"traffic_profiles.id", upstreamInfo, func(a *ptafProAnswer, w *promtext.Sheet) {
		for _, p := range a.profiles {
			w.Flag(p.labels, promtext.Labels("id", p.ID), true)
		}
	}},
	{"traffic_profiles.backends", upstreamBackends, func(a *ptafProAnswer, w *promtext.Sheet) {
		for _, p := range a.profiles {
			w.Value(p.labels, "", float64(len(p.Backends)))
		}
	}},
	{"backends.enabled", upstreamBackendsDown, (*ptafProAnswer).backendsDown},
	{"", upstreamRefused, func(a *ptafProAnswer, w *promtext.Sheet) {
		refused := maps.Clone(a.Refused)
		maps.DeleteFunc(refused, func(name, _ string) bool {
			return strings.HasPrefix(name, applicationPrefix) || name == allApplications
		})
		writeRefused(w, a.name, refused)
	}},

	{"backends.enabled", backendDown, ofEntries(func(e ptafProEntry) (float64, bool) { return bit(e.enabled == edge.No), e.enabled != edge.Unknown })},
	{"traffic_profiles.backends.weight", backendWeight, ofEntries(func(e ptafProEntry) (float64, bool) { return number(e.Weight) })},
	{"traffic_profiles.backends.max_fails", backendMaxFails, ofEntries(func(e ptafProEntry) (float64, bool) { return number(e.MaxFails) })},

	{"about.data", ptafGauge("version_info", "Version of a part of the PTAF; the value is 1. Absent where the user may not see it."), func(a *ptafProAnswer, w *promtext.Sheet) {
		for _, part := range slices.Sorted(maps.Keys(a.versions)) {
			w.Flag(labelsOf(a.name, "part", part), promtext.Labels("version", a.versions[part]), true)
		}
	}},

	{"applications.id", ptafGauge("application_info", "The id behind an application's name; the value is 1."), func(a *ptafProAnswer, w *promtext.Sheet) {
		for i, app := range a.Applications {
			w.Flag(a.applications[i], promtext.Labels("id", app.ID), true)
		}
	}},
	{"applications.protection_mode", ptafGauge("application_protection_mode", "What PTAF does about attacks on the application: 1 for the mode in force."), (*ptafProAnswer).modes},
	{"", ptafGauge("application_refused", "1 for an application whose protection is not switched: its name occurs twice."), func(a *ptafProAnswer, w *promtext.Sheet) {
		for _, name := range slices.Sorted(maps.Keys(a.Refused)) {
			if app, ok := strings.CutPrefix(name, applicationPrefix); ok {
				w.Flag(labelsOf(a.name, "application", app), "", true)
			}
		}
	}},
}

// Names in Reading.Refused that are of no upstream. That a user may not see
// applications at all is a choice, and no reason for an alarm.
const (
	applicationPrefix = "application:"
	allApplications   = "applications"
)

var protectionModes = []string{ptafpro.ActiveDetection, ptafpro.ActivePrevention, ptafpro.Passive}

// ptafProAnswer is what one tenant said, with the labels of its series.
type ptafProAnswer struct {
	ptafpro.Reading
	name         string
	profiles     []ptafProProfile
	applications []string // labels, as Reading.Applications
	versions     map[string]string
}

type ptafProProfile struct {
	ptafpro.Profile
	labels  string
	entries []ptafProEntry
}

// A ptafProEntry is a backend in one profile: its weight is the profile's, and
// whether it is enabled its own.
type ptafProEntry struct {
	ptafpro.Entry
	labels  string
	enabled edge.Answer
}

// aboutTime is how long a reading waits for versions, which nothing rests on.
const aboutTime = 2 * time.Second

func readPTAFPro(ctx context.Context, d *fleet.Device) (edge.Snapshot, answer, error) {
	r, err := d.PTAFPro().Read(ctx)
	if err != nil {
		return edge.Snapshot{}, answer{}, err
	}
	short, cancel := context.WithTimeout(ctx, aboutTime)
	defer cancel()
	versions := d.PTAFPro().Versions(short)
	return r.Snapshot(d.Name()), answerOf(ptafProLines, r.Refused, func(device string) *ptafProAnswer {
		a := newPTAFProAnswer(device, r)
		a.versions = versions
		return a
	}), nil
}

func newPTAFProAnswer(device string, r ptafpro.Reading) *ptafProAnswer {
	a := &ptafProAnswer{Reading: r, name: device}
	backends := make(map[string]ptafpro.Backend, len(r.Backends))
	for _, b := range r.Backends {
		backends[b.ID] = b
	}
	for _, p := range r.Profiles {
		profile := ptafProProfile{Profile: p, labels: labelsOf(device, "upstream", p.Name)}
		names := make(namer) // a backend may be listed twice
		for _, e := range p.Backends {
			b, listed := backends[e.ID]
			if !listed {
				continue // it has no address, so nobody would know it
			}
			labels := labelsOf(device, "upstream", p.Name, "backend", names.of(b.Name))
			profile.entries = append(profile.entries, ptafProEntry{e, labels, b.Enabled})
		}
		a.profiles = append(a.profiles, profile)
	}
	names := make(namer)
	for _, app := range r.Applications {
		a.applications = append(a.applications, labelsOf(device, "application", names.of(cmp.Or(app.Name, app.ID))))
	}
	return a
}

// backendsDown counts only where the device says of each backend whether it is
// enabled.
func (a *ptafProAnswer) backendsDown(w *promtext.Sheet) {
	for _, p := range a.profiles {
		n, unknown := 0, len(p.Backends)-len(p.entries)
		for _, e := range p.entries {
			switch e.enabled {
			case edge.No:
				n++
			case edge.Yes:
			default:
				unknown++
			}
		}
		if unknown == 0 {
			w.Value(p.labels, "", float64(n))
		}
	}
}

// modes gives a mode that we have never heard of a series of its own: what is in
// force must have a 1.
func (a *ptafProAnswer) modes(w *promtext.Sheet) {
	for i, app := range a.Applications {
		mode := app.ProtectionMode
		if mode == "" {
			continue // the device doesn't say
		}
		for _, m := range protectionModes {
			w.Flag(a.applications[i], promtext.Labels("mode", m), m == mode)
		}
		if !slices.Contains(protectionModes, mode) {
			w.Flag(a.applications[i], promtext.Labels("mode", mode), true)
		}
	}
}

func ofEntries(value func(ptafProEntry) (v float64, known bool)) func(*ptafProAnswer, *promtext.Sheet) {
	return func(a *ptafProAnswer, w *promtext.Sheet) {
		for _, p := range a.profiles {
			for _, e := range p.entries {
				if v, ok := value(e); ok {
					w.Value(e.labels, "", v)
				}
			}
		}
	}
}
