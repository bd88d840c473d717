// Package collect asks devices what they know and makes it metrics: what a kind
// of device says in its own words, and what all kinds share. One answer of a
// device serves all who ask within a short time.
package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/exporter/promtext"
)

// kinds has one line for each kind of device.
var kinds = map[string]kind{
	"haproxy": {look: lookHAProxy, scrape: scrapeHAProxy, down: downHAProxy},
	"ptaf":    {look: readPTAF, up: ptafUp},
	"ptafpro": {look: readPTAFPro, up: ptafUp},
}

// A kind is how devices of one kind are read.
type kind struct {
	look func(ctx context.Context, d *fleet.Device) (edge.Snapshot, answer, error)
	// scrape fills a sheet while the device answers, for a kind that has more to
	// tell than what a look keeps; nil: the look's answer is written.
	scrape func(ctx context.Context, c *Collector, s *promtext.Sheet, cut Cut) error
	// down writes what is told of a device that can't be read; it may be nil.
	down func(c *Collector, s *promtext.Sheet, cut Cut)
	// up is 1 for a device that answered and 0 for one that didn't, for who looks
	// for a kind's own name; nameless where there is none.
	up family
}

// A family is the header of one metric. Kinds that say the same share it by its name.
type family struct {
	name string
	kind promtext.Kind
	help string
}

// An answer is what one device said of its own.
type answer struct {
	// write writes the device's own series; device is its label, empty for none.
	write   func(s *promtext.Sheet, device string, wanted names)
	refused map[string]string // what the device lists and nobody serves, and why
}

// ErrNoAnswerYet says that whoever asked waited no longer. What becomes of the
// read, those who wait longer learn.
var ErrNoAnswerYet = errors.New("no answer yet")

const (
	// share is how long an answer serves others than the one who asked for it: long
	// enough for scrapes that come together, and too short to see in a graph.
	share = 500 * time.Millisecond
	// atOnce is how many reads of one device are under way at most. HAProxy takes
	// ten connections at once, and the eleventh hangs. Source: facts 3.6.
	atOnce = 2
)

// A Look is one whole answer of one device, in the words that all kinds share.
type Look struct {
	Snapshot edge.Snapshot
	// Refused has what the device lists and nobody serves, by the device's own
	// word for it, and why; nil for kinds that have nothing of the sort.
	Refused map[string]string

	own answer
}

// A Collector asks one device, at most twice at a time, and never twice the same.
type Collector struct {
	device *fleet.Device
	kind   kind
	ctx    context.Context // of the reads, which outlive those who wait for them
	cancel context.CancelFunc
	reads  sync.WaitGroup
	places chan struct{}

	looks  shared[struct{}, *Look]
	sheets shared[Cut, *scraped]

	counts *counts
}

// A scraped is one device's part of a scrape.
type scraped struct {
	sheet   *promtext.Sheet
	refused map[string]string
}

// New returns the collector of one device; close it when it is no longer used.
func New(d *fleet.Device) (*Collector, error) {
	k, ok := kinds[d.Kind()]
	if !ok {
		return nil, fmt.Errorf("device %s: nothing collects kind %q", d.Name(), d.Kind())
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Collector{device: d, kind: k, ctx: ctx, cancel: cancel, places: make(chan struct{}, atOnce), counts: new(counts)}
	c.looks.read, c.sheets.read, c.sheets.usual = c.look, c.scrape, Cut.whole
	return c, nil
}

// counts is what is counted over all reads of a device's scrapes.
type counts struct {
	mu       sync.Mutex
	process  string // that answered last
	reloads  atomic.Uint64
	reads    atomic.Uint64
	nonsense atomic.Uint64   // answers that make no sense
	rows     [4]atomic.Int64 // of the last answer, by type: as many are expected of the next
}

// seen is told which process answers.
func (c *counts) seen(process string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != "" && c.process != process {
		c.reloads.Add(1)
	}
	c.process = process
}

// any says that some process has answered.
func (c *counts) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.process != ""
}

// Succeed goes on where a collector of the same device left off: it counts on,
// and what is still being read by the other takes its places. Call it before c is
// asked anything.
func (c *Collector) Succeed(old *Collector) { c.counts, c.places = old.counts, old.places }

// Device returns the device that is asked.
func (c *Collector) Device() *fleet.Device { return c.device }

// Close ends the reads under way, waits for them, and forgets what was read.
func (c *Collector) Close() {
	c.cancel()
	c.looks.close()
	c.sheets.close()
	c.reads.Wait()
}

// Look returns what the device says now, or said a moment ago to somebody else.
// Only the wait ends with ctx; the read goes on for others and is bounded by
// the device's own timeout. So a device that hangs has one open connection for
// all looks, however often it is asked.
func (c *Collector) Look(ctx context.Context) (*Look, error) {
	look, err := c.looks.get(ctx, c, struct{}{})
	return look, c.named(err)
}

// named says which device an error is about.
func (c *Collector) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("device %s: %w", c.device.Name(), err)
}

func (c *Collector) look(_ struct{}, wanted func() bool) (*Look, error) {
	if err := c.place(wanted); err != nil {
		return nil, err
	}
	defer c.leave()
	snapshot, own, err := c.kind.look(c.ctx, c.device)
	if err != nil {
		return nil, err
	}
	return &Look{Snapshot: snapshot, Refused: own.refused, own: own}, nil
}

// place waits until a read may begin, if somebody still waits for it then.
func (c *Collector) place(wanted func() bool) error {
	select {
	case c.places <- struct{}{}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	err := c.ctx.Err()
	if err == nil && !wanted() {
		err = errNobody
	}
	if err != nil {
		c.leave()
	}
	return err
}

func (c *Collector) leave() { <-c.places }

// An Outcome is what came of asking one device in one scrape.
type Outcome struct {
	Device  *fleet.Device
	Sheet   *promtext.Sheet
	Refused map[string]string // see [Look]
	Err     error             // nil when the device answered
}

// Scrape asks the device for what cut wants of it. There is a sheet in any case.
func (c *Collector) Scrape(ctx context.Context, cut Cut) Outcome {
	s, err := c.sheets.get(ctx, c, cut)
	if err == nil {
		return Outcome{Device: c.device, Sheet: s.sheet, Refused: s.refused}
	}
	out := Outcome{Device: c.device, Sheet: promtext.NewSheet(), Err: c.named(err)}
	c.head(out.Sheet, cut, false)
	if c.kind.down != nil {
		c.kind.down(c, out.Sheet, cut)
	}
	return out
}

// label is the value of the label device; empty where none is wanted.
func (c *Collector) label(cut Cut) string {
	if cut.Bare {
		return ""
	}
	return c.device.Name()
}

// scrape makes a sheet.
func (c *Collector) scrape(cut Cut, wanted func() bool) (*scraped, error) {
	if c.kind.scrape != nil {
		if err := c.place(wanted); err != nil {
			return nil, err
		}
		defer c.leave()
	}
	start := time.Now()
	out := &scraped{sheet: promtext.NewSheet()}
	c.head(out.sheet, cut, true)
	err := func() error {
		if c.kind.scrape != nil {
			c.counts.reads.Add(1)
			return c.kind.scrape(c.ctx, c, out.sheet, cut)
		}
		look, err := c.looks.get(c.ctx, c, struct{}{})
		if err != nil {
			return err
		}
		out.refused = look.Refused
		writeMembers(out.sheet, look.Snapshot, c.label(cut), cut.wanted())
		look.own.write(out.sheet, c.label(cut), cut.wanted())
		return nil
	}()
	if err != nil {
		return nil, err
	}
	begin(out.sheet, readDuration)
	out.sheet.Value(labelsOf(c.label(cut), "kind", c.device.Kind()), "", time.Since(start).Seconds())
	return out, nil
}

// All asks all devices at once and returns when each has answered or ctx has
// ended, in the order of the collectors.
func All(ctx context.Context, collectors []*Collector, cut Cut) []Outcome {
	out := make([]Outcome, len(collectors))
	var all sync.WaitGroup
	for i, c := range collectors {
		all.Go(func() { out[i] = c.Scrape(ctx, cut) })
	}
	all.Wait()
	return out
}
