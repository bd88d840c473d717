// Package record keeps what was seen of an incident on the real parts, says
// whether that is what was expected, and writes it down for people.
package record

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Never stands for the time of what has not happened.
const Never = -1.0

// A Run is all that was seen of one incident. Its times are seconds after time 0,
// which is when the fault began; what came before has none.
type Run struct {
	Name   string // of the incident
	Title  string
	About  string // what it is, for whoever reads the report
	Remark string // what was different on this machine, where something was

	Mended float64 // when the fault ended; Never while it lasts
	Ended  float64 // when the watching ended

	Events   []Event
	Alerts   []Alert
	Messages []Message
	Mutes    []Mute
	Steps    []Step
	Refusals []Refusal
	Out      []Out
	Clients  []Clients
	Findings []Finding
}

// An Event is one line of the timeline. Those that differ in Of alone and come
// together are shown as one.
type Event struct {
	At   float64
	Who  string // which part saw or did it; [Script] for what was done to the parts
	What string
	Of   string // such as edge1/shop/app2
}

// Script is who does what the incident is made of.
const Script = "script"

// An Alert is one life of an alert, as Prometheus has it, or as Alertmanager has
// those that the remediator posts itself.
type Alert struct {
	Name     string
	Of       string // see [Subject]
	Severity string
	Pending  float64 // Never where it fires at once
	Firing   float64 // Never where it didn't get so far
	Over     float64 // Never where it lasted to the end
	Summary  string  // when it began to fire
	Text     string  // its description then
	Own      bool    // posted by the remediator, not by Prometheus
}

func (a Alert) String() string { return strings.TrimSpace(a.Name + " " + a.Of) }

// A Message is one that people got: a group of alerts.
type Message struct {
	At     float64
	Status string   // of the group: firing or resolved
	Fires  []string // alerts, as [Alert.String] has them
	Over   []string
}

// A Mute says that an alert reached nobody, because of another one.
type Mute struct {
	At, Until float64 // Until is Never where it lasted to the end
	Alert     string  // as [Alert.String] has it
	By        string
}

// A Step is one that the remediator's journal has as done or tried.
type Step struct {
	At     float64
	Member string // device/pool/name
	To     string // drain, maint, ready
	Result string
	Actor  string // empty is the engine itself
	Detail string
}

func (s Step) String() string { return s.Member + " to " + s.To }

// A Refusal is a guard's no. The journal has one when guard or reason changes.
type Refusal struct {
	At                    float64
	Member                string
	Guard, Reason, Detail string
}

// An Out is a change that a device itself tells of, whatever the journal says.
type Out struct {
	At     float64
	Member string
	State  string // ready, drain, maint; of PTAF: up, DOWN
}

// In says whether the member gets new traffic by this state.
func (o Out) In() bool { return o.State == "ready" || o.State == "up" }

// Clients are requests at a steady pace through one device.
type Clients struct {
	Through      string
	Sent, Failed int
	Bursts       []Burst
}

// A Burst is a time in which requests failed, without longer pauses.
type Burst struct {
	From, To     float64
	Sent, Failed int
	Says         string // the first failure
}

// A Finding is one expectation and what became of it.
type Finding struct {
	Says string
	Why  string // it isn't met; empty: it is
}

// Subject says what an alert is about, by its labels.
func Subject(labels map[string]string) string {
	var parts []string
	if d := labels["device"]; d != "" {
		of := d
		for _, name := range []string{"pool", "member"} {
			if l := labels[name]; l != "" {
				of += "/" + l
			}
		}
		parts = append(parts, of)
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		switch name {
		case "alertname", "severity", "remediation", "job", "device", "pool", "member", "target", "kind", "probe", "announced_by", "policy":
		case "instance":
			if labels["device"] == "" {
				parts = append(parts, labels[name])
			}
		default:
			parts = append(parts, name+"="+labels[name])
		}
	}
	return strings.Join(parts, ", ")
}

// Failed says whether an expectation isn't met.
func (r *Run) Failed() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Why != "" })
}

// Fired returns the lives of alerts that got so far, in their order.
func (r *Run) Fired() []Alert {
	return slices.DeleteFunc(slices.Clone(r.Alerts), func(a Alert) bool { return a.Firing == Never })
}

// names returns the different alerts that fired.
func (r *Run) names() []string {
	var out []string
	for _, a := range r.Fired() {
		out = append(out, a.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Done returns the steps that were read back, in their order.
func (r *Run) Done() []Step {
	return slices.DeleteFunc(slices.Clone(r.Steps), func(s Step) bool { return s.Result != "applied" })
}

// guards returns which guards refused, each once.
func (r *Run) guards() []string {
	var out []string
	for _, f := range r.Refusals {
		out = append(out, f.Guard)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Sort brings all into its order, once the watching has ended.
func (r *Run) Sort() {
	slices.SortStableFunc(r.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(r.Alerts, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(a.begun(), b.begun()), cmp.Compare(a.String(), b.String()))
	})
	slices.SortStableFunc(r.Messages, func(a, b Message) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(r.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(r.Refusals, func(a, b Refusal) int { return cmp.Compare(a.At, b.At) })
	slices.SortStableFunc(r.Out, func(a, b Out) int { return cmp.Compare(a.At, b.At) })
}

func (a Alert) begun() float64 {
	if a.Pending != Never {
		return a.Pending
	}
	return a.Firing
}

// seconds writes a time of the timeline.
func seconds(at float64) string {
	if at == Never {
		return "-"
	}
	return fmt.Sprintf("%.1f", math.Round(at*10)/10)
}
