package record

import (
	"fmt"
	"slices"
	"strings"
)

// An Expectation is a sentence about an incident, and whether it is true of a run.
type Expectation struct {
	Says string
	Of   func(*Run) error
}

// Judge adds what became of each expectation to the run.
func (r *Run) Judge(all []Expectation) {
	for _, e := range all {
		f := Finding{Says: e.Says}
		if err := e.Of(r); err != nil {
			f.Why = err.Error()
		}
		r.Findings = append(r.Findings, f)
	}
}

// Fires expects that an alert fires within so many seconds of time 0; of is what
// it is about, or empty for anything.
func Fires(name, of string, within float64) Expectation {
	return Expectation{
		fmt.Sprintf("%s fires%s, %g s after time 0 at the latest", name, about(of), within),
		func(r *Run) error {
			a, ok := r.find(name, of)
			switch {
			case !ok:
				return fmt.Errorf("it didn't fire")
			case a.Firing > within:
				return fmt.Errorf("it fired at %s", seconds(a.Firing))
			}
			return nil
		},
	}
}

func about(of string) string {
	if of == "" {
		return ""
	}
	return " for " + of
}

func (r *Run) find(name, of string) (Alert, bool) {
	all := r.Fired()
	i := slices.IndexFunc(all, func(a Alert) bool {
		return a.Name == name && (of == "" || a.Of == of || strings.HasPrefix(a.Of, of+", "))
	})
	if i < 0 {
		return Alert{}, false
	}
	return all[i], true
}

// Over expects that the alerts of those names have ended when the watching ends.
func Over(names ...string) Expectation {
	return Expectation{
		"over in the end: " + strings.Join(names, ", "),
		func(r *Run) error {
			for _, a := range r.Fired() {
				if slices.Contains(names, a.Name) && a.Over == Never {
					return fmt.Errorf("%s still fires", a)
				}
			}
			return nil
		},
	}
}

// Only expects that no other alerts fire than these.
func Only(names ...string) Expectation {
	slices.Sort(names)
	return Expectation{
		"no other alert fires than " + list(names),
		func(r *Run) error {
			for _, a := range r.Fired() {
				if !slices.Contains(names, a.Name) {
					return fmt.Errorf("%s fires at %s: %s", a, seconds(a.Firing), a.Summary)
				}
			}
			return nil
		},
	}
}

func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// Tells expects that people are told of an alert within so many seconds.
func Tells(name string, within float64) Expectation {
	return Expectation{
		fmt.Sprintf("people are told of %s, %g s after time 0 at the latest", name, within),
		func(r *Run) error {
			for _, m := range r.Messages {
				if !slices.ContainsFunc(m.Fires, named(name)) {
					continue
				}
				if m.At > within {
					return fmt.Errorf("they are told at %s", seconds(m.At))
				}
				return nil
			}
			return fmt.Errorf("no message has it")
		},
	}
}

// TellsEnd expects that people are told that an alert is over.
func TellsEnd(name string) Expectation {
	return Expectation{
		fmt.Sprintf("people are told that %s is over", name),
		func(r *Run) error {
			for _, m := range r.Messages {
				if slices.ContainsFunc(m.Over, named(name)) {
					return nil
				}
			}
			return fmt.Errorf("no message says so")
		},
	}
}

// Spares expects that people aren't told of alerts of those names.
func Spares(names ...string) Expectation {
	return Expectation{
		"people aren't told of " + strings.Join(names, ", "),
		func(r *Run) error {
			for _, m := range r.Messages {
				for _, name := range names {
					if slices.ContainsFunc(m.Fires, named(name)) {
						return fmt.Errorf("they are told of %s at %s", name, seconds(m.At))
					}
				}
			}
			return nil
		},
	}
}

func named(name string) func(string) bool {
	return func(alert string) bool { return alert == name || strings.HasPrefix(alert, name+" ") }
}

// Steps expects that these steps, and no others, are done, in this order. A step
// is written as [Step.String] does.
func Steps(want ...string) Expectation {
	says := "no step is taken"
	if len(want) > 0 {
		says = "the steps that are taken, in their order: " + strings.Join(want, ", ")
	}
	return Expectation{says, func(r *Run) error {
		var got []string
		for _, s := range r.Done() {
			got = append(got, s.String())
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("taken: %s", orNone(got))
		}
		return nil
	}}
}

// Taken is Steps for steps whose order doesn't matter.
func Taken(want ...string) Expectation {
	return Expectation{"the steps that are taken: " + strings.Join(want, ", "), func(r *Run) error {
		var got []string
		for _, s := range r.Done() {
			got = append(got, s.String())
		}
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			return fmt.Errorf("taken: %s", orNone(got))
		}
		return nil
	}}
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// StepBy expects that the first such step is done within so many seconds.
func StepBy(step string, within float64) Expectation {
	return Expectation{
		fmt.Sprintf("%s is done %g s after time 0 at the latest", step, within),
		func(r *Run) error {
			for _, s := range r.Done() {
				if s.String() != step {
					continue
				}
				if s.At > within {
					return fmt.Errorf("it is done at %s", seconds(s.At))
				}
				return nil
			}
			return fmt.Errorf("it isn't done")
		},
	}
}

// BackWithin expects that the last member comes back within so many seconds of the
// end of the fault.
func BackWithin(d float64) Expectation {
	return Expectation{
		fmt.Sprintf("all are in rotation again %g s after the fault has ended, at the latest", d),
		func(r *Run) error {
			if r.Mended == Never {
				return fmt.Errorf("the fault never ended")
			}
			if n := r.stillOut(); len(n) > 0 {
				return fmt.Errorf("still out: %s", strings.Join(n, ", "))
			}
			if back := r.back(); back != Never && back-r.Mended > d {
				return fmt.Errorf("the last came back %s s after it", seconds(back-r.Mended))
			}
			return nil
		},
	}
}

// KeptOut expects that nobody comes back by themselves for so many seconds after the
// end of the fault, though all are well.
func KeptOut(d float64) Expectation {
	return Expectation{
		fmt.Sprintf("whoever is out stays out for %g s after the fault has ended", d),
		func(r *Run) error {
			for _, o := range r.Out {
				if o.In() && o.At >= r.Mended && o.At < r.Mended+d {
					return fmt.Errorf("%s is back after %s s", o.Member, seconds(o.At-r.Mended))
				}
			}
			return nil
		},
	}
}

// stillOut lists who is out in the end by the word of the devices.
func (r *Run) stillOut() []string {
	out := map[string]bool{}
	for _, o := range r.Out {
		out[o.Member] = !o.In()
	}
	var names []string
	for m, is := range out {
		if is {
			names = append(names, m)
		}
	}
	slices.Sort(names)
	return names
}

// back is when the last member came back after the fault had ended.
func (r *Run) back() float64 {
	at := Never
	for _, o := range r.Out {
		if o.In() && o.At >= r.Mended {
			at = o.At
		}
	}
	return at
}

// Refused expects that a guard refuses; reason may be empty for any.
func Refused(guard, reason string) Expectation {
	says := fmt.Sprintf("guard %s refuses", guard)
	if reason != "" {
		says += " (" + reason + ")"
	}
	return Expectation{says, func(r *Run) error {
		for _, f := range r.Refusals {
			if f.Guard == guard && (reason == "" || f.Reason == reason) {
				return nil
			}
		}
		return fmt.Errorf("those that refuse: %s", orNone(r.guards()))
	}}
}

// Unrefused expects that no guard refuses anything.
func Unrefused() Expectation {
	return Expectation{"no guard refuses anything", func(r *Run) error {
		if len(r.Refusals) > 0 {
			f := r.Refusals[0]
			return fmt.Errorf("guard %s refuses at %s (%s): %s", f.Guard, seconds(f.At), f.Reason, f.Detail)
		}
		return nil
	}}
}

// MostOut expects that no more members of a pool are out at one time, by the word
// of the device.
func MostOut(pool string, n int) Expectation {
	return Expectation{
		fmt.Sprintf("of %s no more than %d are out at a time, by the device's own word", pool, n),
		func(r *Run) error {
			if most := r.mostOut(pool); most > n {
				return fmt.Errorf("%d are", most)
			}
			return nil
		},
	}
}

// Recorded expects that all that changes on the devices is a step of the journal:
// at the same moment, give or take what reading takes.
func Recorded() Expectation {
	const near = 3.0
	return Expectation{"every change on a device has its step in the journal", func(r *Run) error {
		for _, o := range r.Out {
			ok := slices.ContainsFunc(r.Steps, func(s Step) bool {
				return s.Member == o.Member && (s.To == "ready") == o.In() && s.At >= o.At-near && s.At <= o.At+near
			})
			if !ok {
				return fmt.Errorf("%s is %s at %s, and no step says so", o.Member, o.State, seconds(o.At))
			}
		}
		return nil
	}}
}

// FailOnly expects that requests through a device fail only between two times.
func FailOnly(through string, from, to float64) Expectation {
	return Expectation{
		fmt.Sprintf("requests through %s fail between %g and %g s only", through, from, to),
		func(r *Run) error {
			for _, c := range r.Clients {
				for _, b := range c.Bursts {
					if c.Through == through && (b.From < from || b.To > to) {
						return fmt.Errorf("%d fail from %s to %s: %s", b.Failed, seconds(b.From), seconds(b.To), b.Says)
					}
				}
			}
			return nil
		},
	}
}

// NoneFail expects that no request through a device fails.
func NoneFail(through string) Expectation {
	return Expectation{"no request through " + through + " fails", func(r *Run) error {
		for _, c := range r.Clients {
			if c.Through == through && c.Failed > 0 {
				return fmt.Errorf("%d of %d do, the first at %s: %s", c.Failed, c.Sent, seconds(c.Bursts[0].From), c.Bursts[0].Says)
			}
		}
		return nil
	}}
}

// Muted expects that Alertmanager mutes an alert because of one of the others.
func Muted(name string, by ...string) Expectation {
	return Expectation{
		fmt.Sprintf("%s is muted by %s", name, strings.Join(by, " or ")),
		func(r *Run) error {
			for _, m := range r.Mutes {
				if named(name)(m.Alert) && slices.ContainsFunc(by, func(by string) bool { return named(by)(m.By) }) {
					return nil
				}
			}
			return fmt.Errorf("it isn't")
		},
	}
}

// ClaimsUnmuted expects that none of the alerts that ask for a step is ever muted:
// the remediator keeps its hands off those.
func ClaimsUnmuted() Expectation {
	return Expectation{"no alert that asks for a step is muted", func(r *Run) error {
		for _, m := range r.Mutes {
			for _, name := range []string{"MemberFailing", "PoolBypass", "Watchdog"} {
				if named(name)(m.Alert) {
					return fmt.Errorf("%s is muted by %s at %s", m.Alert, m.By, seconds(m.At))
				}
			}
		}
		return nil
	}}
}
