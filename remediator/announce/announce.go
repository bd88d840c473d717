// Package announce tells people, by alerts of our own in Alertmanager, what the
// remediator does, what it keeps being refused, and what waits for them. Who is
// told, and how, is Alertmanager's routes' business.
//
// What is to fire follows from the journal alone, again and again: from the holds and
// candidates as they stand, and from the entries about them. So nothing is lost or
// told twice by a restart, or when another replica goes on. An Alertmanager hears of
// an alert again and again, with an end some minutes away: one that was restarted
// empty learns it anew, and when nobody is left to say it, it ends by itself. An end
// is told only of what was told there before.
//
// Nothing waits for an Alertmanager: each has a goroutine of its own, which says what
// is to be said by then, and no queue.
package announce

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

const (
	settle    = 250 * time.Millisecond // what changes within it is told at once
	readAgain = time.Second            // a journal that couldn't be read
	lookAgain = 5 * time.Second        // while steps that came to nothing are remembered: a claim's end is in no entry

	pageEntries = 500
	pageBytes   = 1 << 20
	mostRecall  = 50_000 // entries of the time before that are looked at

	// mostAlerts bounds what is announced at once: an Alertmanager that gets more has
	// nothing more to tell anybody.
	mostAlerts = 1000

	// leastLife is how far the end of an alert lies ahead at least: a restart, or
	// another replica's taking over, isn't told as an end.
	leastLife = 5 * time.Minute
	lives     = 5 // repeats that an alert outlives
)

// A Journal is the [journal.Journal], as far as it is followed.
type Journal interface {
	Follow(parts journal.Part) (changes <-chan struct{}, stop func())
	Page(p journal.Page) (es []journal.Entry, next uint64, err error)
	Newest() (seq uint64, err error)
	Holds() ([]journal.Hold, error)
	Candidates() ([]journal.Hold, error)
}

// A Poster is an Alertmanager that takes alerts.
type Poster interface {
	Name() string
	// Post tells it of alerts that end at ends, and of others that have ended.
	Post(ctx context.Context, alerts []Message) error
}

// Options of [New].
type Options struct {
	Config  Config // validated
	Journal Journal
	To      []Poster
	Base    string // the URL under which people reach us, without a slash at its end; empty: no links

	// Acts says whether anything is ever sent for a policy and a member: in the modes
	// that only look, and on a device that isn't configured any more, no guard stands in
	// anybody's way.
	Acts func(policy string, m edge.Member) bool
	// Ended says that no claim on the member is seen, for sure.
	Ended func(m edge.Member) bool
	// Memory is of the announcers of this process before: what they began, this one
	// ends. Nil: there were none.
	Memory *Memory
	// Failover is what another replica may take to go on; zero where there is none.
	Failover time.Duration

	Logger  log.Logger
	Metrics *Metrics
}

// An Announcer is one leader's.
type Announcer struct {
	o       Options
	book    *book
	senders []*sender
	seq     uint64 // of the last entry that was heard
	full    bool
}

// New makes an announcer. Its Run does all the work.
func New(o Options) *Announcer {
	a := &Announcer{o: o, book: newBook(o)}
	if o.Memory == nil {
		o.Memory = new(Memory)
	}
	remembered := o.Memory.told
	o.Memory.told = map[string]map[string]*told{}
	repeat := time.Duration(o.Config.Repeat)
	for _, to := range o.To {
		knows := remembered[to.Name()]
		if knows == nil {
			knows = map[string]*told{}
		}
		o.Memory.told[to.Name()] = knows
		a.senders = append(a.senders, &sender{
			to: to, repeat: repeat, life: max(lives*repeat, leastLife) + o.Failover,
			logger: log.With(o.Logger, "alertmanager", to.Name()), metrics: o.Metrics,
			changed: make(chan struct{}, 1), told: knows,
		})
	}
	return a
}

// Run announces until ctx ends. It tells nobody of its own end: what fires then is
// said on by whoever comes next, or ends by itself.
func (a *Announcer) Run(ctx context.Context) {
	changes, stop := a.o.Journal.Follow(journal.PartHolds | journal.PartEntries)
	defer stop()
	defer a.o.Metrics.show(nil, 0)
	var sending sync.WaitGroup
	defer sending.Wait()
	for _, s := range a.senders {
		sending.Go(func() { s.run(ctx) })
	}
	for recalled, last := false, ""; ; {
		var next time.Time
		var err error
		if !recalled {
			err = a.recall()
			recalled = err == nil
		}
		if err == nil {
			next, err = a.look()
		}
		said := ""
		if err != nil {
			next = time.Now().Add(readAgain)
			if said = strings.Join(strings.Fields(err.Error()), " "); said != last {
				level.Error(a.o.Logger).Log("msg", "journal not read, nothing new is announced", "err", said)
			}
		}
		last = said
		if !a.wait(ctx, changes, next) {
			return
		}
	}
}

// wait returns when there is something to look at, and false when ctx has ended.
func (a *Announcer) wait(ctx context.Context, changes <-chan struct{}, next time.Time) bool {
	var clock <-chan time.Time
	if len(a.book.streaks) > 0 {
		next = sooner(next, time.Now().Add(lookAgain))
	}
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		clock = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-clock:
		return true
	case <-changes:
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(settle):
		return true
	}
}

// recall hears the entries of the time before, as far back as they matter: newest
// first, as a journal is long, and then in their order.
func (a *Announcer) recall() error {
	newest, err := a.o.Journal.Newest()
	if err != nil {
		return err
	}
	since := time.Now().Add(-max(time.Hour, time.Duration(a.o.Config.After)*inARow))
	var back []journal.Entry
	worded := map[string]bool{} // holds of which the last refusal is known, whose words are told
	looked := 0
	for from := newest + 1; from > 0 && looked < mostRecall; {
		old := false
		es, next, err := a.o.Journal.Page(journal.Page{Newest: true, From: from, Look: pageEntries, Keep: func(e *journal.Entry) bool {
			looked++
			old = old || e.At.Before(since)
			return matters(e)
		}})
		if err != nil {
			return err
		}
		for _, e := range es {
			if e = slim(e); worded[e.Hold] {
				e.Decision, e.Evidence = nil, nil
			}
			worded[e.Hold] = worded[e.Hold] || refuses(&e)
			back = append(back, e)
		}
		if from = next; old {
			break
		}
	}
	a.book.recalling = true
	for i := len(back) - 1; i >= 0; i-- {
		a.book.hear(&back[i])
	}
	a.book.recalling = false
	a.seq = newest
	return nil
}

// matters says whether an entry changes what is to fire.
func matters(e *journal.Entry) bool {
	switch e.Event {
	case eventStep, eventEffect, eventRefusal:
		return true
	}
	return e.Hold != "" && e.From != e.To
}

// slim is an entry without what is only looked up.
func slim(e journal.Entry) journal.Entry {
	e.World, e.Before, e.After, e.Row = nil, nil, nil, ""
	return e
}

// look reads what is new and says to all senders what is to fire. The records are
// read first, so that nothing stands in them that no entry was heard about.
func (a *Announcer) look() (next time.Time, err error) {
	holds, err := a.o.Journal.Holds()
	if err != nil {
		return next, err
	}
	candidates, err := a.o.Journal.Candidates()
	if err != nil {
		return next, err
	}
	for more := true; more; {
		es, from, err := a.o.Journal.Page(journal.Page{From: a.seq, Query: journal.Query{Limit: pageEntries}, MaxBytes: pageBytes})
		if err != nil {
			return next, err
		}
		for i := range es {
			a.book.hear(&es[i])
			a.seq = es[i].Seq
		}
		more = from > 0
	}
	alerts, left, next := a.book.look(holds, candidates, time.Now())
	if full := left > 0; full != a.full {
		if a.full = full; full {
			level.Warn(a.o.Logger).Log("msg", "more to announce than is announced at once", "most", mostAlerts, "left_out", left)
		}
	}
	a.o.Metrics.show(alerts, left)
	want := make(map[string]Alert, len(alerts))
	for _, one := range alerts {
		if key := one.key(); want[key].Labels == nil {
			want[key] = one
		}
	}
	for _, s := range a.senders {
		s.say(want)
	}
	return next, nil
}
