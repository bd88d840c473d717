// Package collect asks devices what they know and writes it as metrics: what a
// kind of device says in its own words, and what all kinds share. One answer of
// a device serves all who ask within a short time.
package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// kinds has one line for each kind of device.
var kinds = map[string]kind{
	"haproxy": {read: readHAProxy, families: haproxyFamilies},
	"ptaf":    {read: readPTAF, families: familiesOf(ptafLines), up: ptafUp},
	"ptafpro": {read: readPTAFPro, families: familiesOf(ptafProLines), up: ptafUp},
}

// A kind is how devices of one kind are read, and the families of their own.
// Kinds that say the same share a family by its name.
type kind struct {
	read     func(ctx context.Context, d *fleet.Device) (edge.Snapshot, answer, error)
	families []family
	// up is 1 for a device that answered and 0 for one that didn't, for who looks
	// for a kind's own name; nameless where there is none.
	up family
}

// A family is the header of one metric.
type family struct {
	name string
	kind promtext.Kind
	help string
}

// An answer is what one device said of its own, ready to be written.
type answer interface {
	// series writes this device's series of one of its kind's families, by number.
	series(w *promtext.Writer, family int)
}

// A refuser is the answer of a kind that may leave out what it can't serve.
type refuser interface{ refused() map[string]string }

// ErrNoAnswerYet says that whoever asked waited no longer. What becomes of the
// read, those who wait longer learn.
var ErrNoAnswerYet = errors.New("no answer yet")

// share is how long an answer serves others than the one who asked for it: long
// enough for scrapes that come together, and too short to see in a graph.
const share = 500 * time.Millisecond

// A Look is one whole answer of one device.
type Look struct {
	Snapshot edge.Snapshot
	Duration time.Duration // that the device took to give it
	// Refused has what the device lists and nobody serves, by the device's own
	// word for it, and why; nil for kinds that have nothing of the sort.
	Refused map[string]string

	own answer
}

// A Collector asks one device, never twice at a time.
type Collector struct {
	device *fleet.Device
	kind   kind
	ctx    context.Context // of the reads, which outlive those who wait for them
	cancel context.CancelFunc
	reads  sync.WaitGroup

	mu      sync.Mutex
	current *reading    // the one under way, or the last one while it is shared
	timer   *time.Timer // forgets it
}

type reading struct {
	done chan struct{}
	look *Look
	err  error
}

// New returns the collector of one device; close it when it is no longer used.
func New(d *fleet.Device) (*Collector, error) {
	k, ok := kinds[d.Kind()]
	if !ok {
		return nil, fmt.Errorf("device %s: nothing collects kind %q", d.Name(), d.Kind())
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Collector{device: d, kind: k, ctx: ctx, cancel: cancel}, nil
}

// Device returns the device that is asked.
func (c *Collector) Device() *fleet.Device { return c.device }

// Close ends the read under way, if there is one, waits for it, and forgets
// what was read.
func (c *Collector) Close() {
	c.mu.Lock()
	c.cancel() // from here on no read begins
	c.mu.Unlock()
	c.reads.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// Look returns what the device says now, or said a moment ago to somebody else.
// Only the wait ends with ctx; the read goes on for others and is bounded by
// the device's own timeout. So a device that hangs has one open connection,
// however often it is scraped.
func (c *Collector) Look(ctx context.Context) (*Look, error) {
	r, err := c.join()
	if err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r.look, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("device %s: %w: %w", c.device.Name(), ErrNoAnswerYet, context.Cause(ctx))
	}
}

func (c *Collector) join() (*reading, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		return c.current, nil
	}
	if err := c.ctx.Err(); err != nil {
		return nil, fmt.Errorf("device %s: %w", c.device.Name(), err)
	}
	r := &reading{done: make(chan struct{})}
	c.current = r
	c.reads.Go(func() { c.read(r) })
	return r, nil
}

func (c *Collector) read(r *reading) {
	start := time.Now()
	snapshot, own, err := c.kind.read(c.ctx, c.device)
	if err != nil {
		r.err = fmt.Errorf("device %s: %w", c.device.Name(), err)
	} else {
		r.look = &Look{Snapshot: snapshot, Duration: time.Since(start), own: own}
		if o, ok := own.(refuser); ok {
			r.look.Refused = o.refused()
		}
	}
	close(r.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(share, c.forget)
}

// forget lets the next one ask anew. The answer of a large device is large, so
// it isn't kept longer than it is of use.
func (c *Collector) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
}

// An Outcome is what came of asking one device in one scrape.
type Outcome struct {
	Device *fleet.Device
	Look   *Look // nil when there was no answer
	Err    error
}

// All asks all devices at once and returns when each has answered or ctx has
// ended, in the order of the collectors.
func All(ctx context.Context, collectors []*Collector) []Outcome {
	out := make([]Outcome, len(collectors))
	var all sync.WaitGroup
	for i, c := range collectors {
		all.Go(func() {
			look, err := c.Look(ctx)
			out[i] = Outcome{c.device, look, err}
		})
	}
	all.Wait()
	return out
}

// Write writes the metrics of all devices: those that all kinds share, then the
// kinds' own.
func Write(w *promtext.Writer, outcomes []Outcome) {
	writeDevices(w, outcomes)
	writeMembers(w, outcomes)
	for _, f := range allFamilies {
		w.Family(f.name, f.kind, f.help)
		for _, o := range outcomes {
			switch i, has := f.of[o.Device.Kind()]; {
			case !has:
			case i == upFamily:
				w.Flag(promtext.Labels(edge.LabelDevice, o.Device.Name()), "", o.Look != nil)
			case o.Look != nil:
				o.Look.own.series(w, i)
			}
		}
	}
}

// allFamilies are those of all kinds, each once.
var allFamilies = merged(kinds)

// A mergedFamily is a family with its number in each kind that has it.
type mergedFamily struct {
	family
	of map[string]int
}

const upFamily = -1 // the number of [kind.up]

// merged puts the families of all kinds in one line. All series of a name must be
// written together, so that a family of two kinds stands where the first has it.
func merged(kinds map[string]kind) []mergedFamily {
	var all []mergedFamily
	add := func(kind string, i int, f family) {
		end := len(all) // where a line of this name goes
		for at, m := range all {
			if m.name != f.name {
				continue
			}
			if _, taken := m.of[kind]; !taken {
				m.of[kind] = i
				return
			}
			end = at + 1 // a kind may have several lines of a name
		}
		all = slices.Insert(all, end, mergedFamily{f, map[string]int{kind: i}})
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		if k.up.name != "" {
			add(name, upFamily, k.up)
		}
		for i, f := range k.families {
			add(name, i, f)
		}
	}
	return all
}

func writeDevices(w *promtext.Writer, outcomes []Outcome) {
	labels := func(o Outcome) string {
		return promtext.Labels("device", o.Device.Name(), "kind", o.Device.Kind())
	}
	w.Family("sluice_device_up", promtext.Gauge, "Whether the device answered, whole and in time.")
	for _, o := range outcomes {
		w.Flag(labels(o), "", o.Look != nil)
	}
	w.Family("sluice_device_read_duration_seconds", promtext.Gauge, "How long the device took to answer.")
	for _, o := range outcomes {
		if o.Look != nil {
			w.Value(labels(o), "", o.Look.Duration.Seconds())
		}
	}
}

var admins = []struct {
	state edge.Admin
	label string
}{
	{edge.Ready, promtext.Labels("state", edge.Ready.String())},
	{edge.Drain, promtext.Labels("state", edge.Drain.String())},
	{edge.Maint, promtext.Labels("state", edge.Maint.String())},
}

// writeMembers writes what rules that ask for a step may look at.
func writeMembers(w *promtext.Writer, outcomes []Outcome) {
	type member struct {
		edge.Member
		labels  string
		admin   edge.Admin
		serving bool
	}
	var members []member
	for _, o := range outcomes {
		if o.Look == nil {
			continue
		}
		from := len(members)
		for m, s := range o.Look.Snapshot.States {
			labels := promtext.Labels(edge.LabelDevice, m.Device, edge.LabelPool, m.Pool, edge.LabelMember, m.Name)
			members = append(members, member{m, labels, s.Admin, s.Serving})
		}
		slices.SortFunc(members[from:], func(a, b member) int { return a.Compare(b.Member) })
	}
	w.Family("sluice_member_admin_state", promtext.Gauge, "Which state somebody put the member in: 1 for the one in force.")
	for _, m := range members {
		for _, a := range admins {
			w.Flag(m.labels, a.label, m.admin == a.state)
		}
	}
	w.Family("sluice_member_serving", promtext.Gauge, "Whether the member takes new traffic now, by the device's word alone.")
	for _, m := range members {
		w.Flag(m.labels, "", m.serving)
	}
}
