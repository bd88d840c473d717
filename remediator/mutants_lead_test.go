package remediator

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/coordinate"
	"github.com/sluice-project/sluice/remediator/journal"
)

// An office says who leads, as the test wants it.
type office struct {
	coordinate.Local
	mu      sync.Mutex
	leads   bool
	changed chan struct{}
	asked   func() // whenever somebody wants to know
}

func newOffice(leads bool) *office { return &office{leads: leads, changed: make(chan struct{}, 1)} }

func (o *office) turn(leads bool) {
	o.mu.Lock()
	o.leads = leads
	o.mu.Unlock()
	poke(o.changed)
}

func (o *office) Leading() (coordinate.Term, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return coordinate.Term{}, o.leads
}

func (o *office) Changes() <-chan struct{} { return o.changed }

func (o *office) Status() coordinate.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.asked != nil {
		o.asked()
	}
	return coordinate.Status{Leased: true, Leading: o.leads, Leader: "another"}
}

// What was decided under a lead that is over isn't sent (I16).
func TestI16ALeadThatEndsBetweenDecisionAndOrderStopsIt(t *testing.T) {
	for point, writes := range map[string]int{"take_out.recorded": 0, "take_out.sending": 0, "give_back.recorded": 1} {
		t.Run(point, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				o := newOffice(true)
				w.again(func(opts *Options) {
					opts.Coordinator = o
					opts.Failpoint = func(name string) {
						if name == point {
							o.turn(false)
						}
					}
				}, nil)
				w.fail(s1)
				w.wait(time.Second)
				w.recover(s1)
				w.wait(time.Minute)
				w.wantWrites(writes)
				if got := w.results(s1); !slices.Contains(got, "leader/standby") {
					t.Errorf("the journal says %v", got)
				}
			})
		})
	}
}

// Who doesn't lead asks no device, and acts from when it does (I16).
func TestI16AReplicaThatDoesNotLeadDoesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := newOffice(false)
		w.stop()
		looked := false
		w.device.change(func() { w.device.looking = func() { looked = true } })
		w.again(func(opts *Options) { opts.Coordinator = o }, nil)
		w.fail(s1)
		w.wait(time.Minute)
		if looked {
			t.Error("it looked at the device")
		}
		w.wantWrites(0)
		o.turn(true)
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
	})
}

// The lease has to outlast what may be sent, and a margin (I16).
func TestI16ALeaseOutlastsTheStep(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.again(func(opts *Options) { opts.Coordinator = newOffice(true) }, nil)
		if got := w.r.standing(); !got.Leased || got.Need <= sendTimeout {
			t.Errorf("%+v; want more than %s to be left", got, sendTimeout)
		}
	})
}

// Where no other replica decides, budgets are spent by one keeper at a time: none
// looks at what is spent while another has decided and not booked it (I3).
func TestI3OneDecidesAtATime(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := newOffice(true)
		var mu sync.Mutex
		alone, decided := false, 0
		w.again(func(opts *Options) {
			opts.Coordinator = o
			opts.Failpoint = func(name string) {
				mu.Lock()
				defer mu.Unlock()
				if name != "take_out.decided" {
					return
				}
				if decided++; !alone {
					t.Error("another keeper could have decided at the same time")
				}
			}
		}, nil)
		o.mu.Lock()
		o.asked = func() {
			mu.Lock()
			defer mu.Unlock()
			select {
			case w.r.ledger.deciding <- struct{}{}:
				alone = false
				w.r.ledger.deciding.leave()
			default:
				alone = true
			}
		}
		o.mu.Unlock()
		w.fail(s1)
		w.wait(time.Second)
		if decided != 1 {
			t.Errorf("decided %d times", decided)
		}
	})
}

// seldom is a check that is asked seldom.
type seldom struct{ *probe }

func (seldom) Interval() time.Duration { return time.Hour }

// A standby keeps what it hears, and the leader acts on it at once: a message
// (I26) and a person's word (I19).
func TestWhatAnotherReplicaHeardWakesTheLeader(t *testing.T) {
	inWorld(t, func(c *Config) {
		c.Mode, c.Poll = Approve, model.Duration(time.Hour)
	}, func(w *world) {
		w.again(func(opts *Options) { opts.Coordinator, opts.Checks = newOffice(true), []Check{seldom{w.probe}} }, nil)
		w.probe.set(s1, edge.No)
		w.alerts.fire(s1)
		if err := w.r.journal.SaveHints([]journal.Hint{{Labels: map[string]string{"alertname": "x"}, FiringAt: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		wantResults(t, w.results(s1), "approval/awaiting")

		cs, err := w.r.journal.Candidates()
		if err != nil || len(cs) != 1 {
			t.Fatalf("%+v, %v", cs, err)
		}
		c := cs[0]
		c.Answer = &journal.Answer{By: "ops", At: time.Now(), Until: time.Now().Add(time.Minute), Yes: true}
		if err := w.r.journal.Order(&c, journal.Entry{Event: "approved", Actor: "ops"}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
	})
}
