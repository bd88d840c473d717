// Package scenes tells for each rule what the world looks like in which its alert
// fires, and in which it doesn't. Everything else that a rule must bear is made of
// the two by alerts/generate: a second one that is sick, samples that are missing,
// series that end, a program that is started anew, maintenance.
package scenes

// A Scene is one rule's.
type Scene struct {
	Alert  string
	Labels string // that its alert has, beside name, severity and remediation

	// Sick fires it when it lasts, Well never does.
	Sick, Well Series

	// In is Sick in maintenance: of a member by itself, or by a window.
	In []Maintenance

	// Other is what stands for another one in Labels and Series: "edge1" for rules
	// on devices. "" is the address of the program that tells it.
	Other string
}

// Series are values by series. A value is one of a gauge; several, with spaces
// between them, come in turn. "+2" is a counter that grows by 2 with each scrape,
// "=2" one that stands at 2 until its program is started anew. Without a job it is
// the exporter that tells a series, or the remediator, as its name says.
type Series map[string]string

// Maintenance is what comes to Sick.
type Maintenance struct {
	What   string
	Series Series
	Fires  bool
}

// All are the scenes of all rules.
func All() []Scene {
	var all []Scene
	for _, some := range [][]Scene{haproxy(), ptaf(), pools(), probes(), processes()} {
		all = append(all, some...)
	}
	return all
}

const (
	exporter   = `job="sluice-exporter",instance="192.0.2.9:9101"`
	remediator = `job="sluice-remediator",instance="192.0.2.9:11011"`
)

func window(fires bool) Maintenance {
	return Maintenance{"a window of the pool", Series{`sluice_maintenance_active{device="edge1",pool="shop",name="upgrade"}`: "1"}, fires}
}

// with puts over a scene's series.
func (s Series) with(over Series) Series {
	out := Series{}
	for _, some := range []Series{s, over} {
		for k, v := range some {
			out[k] = v
		}
	}
	return out
}

// Within is Sick in a maintenance.
func (s Scene) Within(m Maintenance) Series { return s.Sick.with(m.Series) }
