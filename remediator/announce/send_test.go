package announce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/alertmanager"
	"github.com/sluice-project/sluice/remediator/journal"
)

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// An am is an Alertmanager in memory that can misbehave.
type am struct {
	mu      sync.Mutex
	name    string
	err     error  // answered to everything
	bad     string // a member: a request that names it gets the refusal
	refusal error
	most    int  // alerts in one request
	hang    bool // no answer until the caller gives up
	knows   map[string]time.Time
	heard   []string // beginnings and ends, as it would tell people
	last    Message  // that it was told of
	calls   int
}

func newAM(name string) *am { return &am{name: name, knows: map[string]time.Time{}} }

// Name is [Poster]'s.
func (a *am) Name() string { return a.name }

// Post is [Poster]'s.
func (a *am) Post(ctx context.Context, all []Message) error {
	a.mu.Lock()
	a.calls++
	a.most = max(a.most, len(all))
	err, hang := a.err, a.hang
	if slices.ContainsFunc(all, func(m Message) bool { return m.Labels[edge.LabelMember] == a.bad }) {
		err = a.refusal
	}
	a.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	a.take(all, time.Now())
	return nil
}

// take does what Alertmanager does with alerts that it is told of.
func (a *am) take(all []Message, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range all {
		name := m.Labels[labelName] + " " + m.Labels[edge.LabelMember]
		ends, known := a.knows[name]
		switch fires := m.Ends.After(now); {
		case fires && (!known || !ends.After(now)):
			a.heard = append(a.heard, name)
		case !fires && known && ends.After(now):
			a.heard = append(a.heard, "over: "+name)
		case !fires && !known:
			a.heard = append(a.heard, "never begun: "+name)
		}
		a.knows[name], a.last = m.Ends, m
	}
}

func (a *am) set(err error, hang bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err, a.hang = err, hang
}

func (a *am) want(t *testing.T, heard ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if diff := cmp.Diff(heard, a.heard); diff != "" {
		t.Errorf("%s (-want +got):\n%s", a.name, diff)
	}
	a.heard = nil
}

// A desk is an announcer on a real journal, in virtual time.
type desk struct {
	t       *testing.T
	journal *journal.Journal
	reg     *prometheus.Registry
	log     bytes.Buffer
	ams     []*am
	memory  Memory
	config  Config
	metrics *Metrics
	stop    func()
}

func atDesk(t *testing.T, ams []*am, f func(*desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(filepath.Join(t.TempDir(), "sluice.db"), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{t: t, journal: j, reg: prometheus.NewPedanticRegistry(), ams: ams}
		d.metrics = NewMetrics(d.reg)
		d.start()
		defer func() {
			d.stop()
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(d)
	})
}

func (d *desk) start() {
	c := d.config
	c.Validate(true)
	o := Options{
		Config: c, Journal: d.journal, Memory: &d.memory, Logger: log.NewLogfmtLogger(&d.log), Metrics: d.metrics,
		Acts: func(string, edge.Member) bool { return true }, Ended: func(edge.Member) bool { return false },
	}
	for _, a := range d.ams {
		o.To = append(o.To, a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(o).Run(ctx)
	}()
	d.stop = func() {
		cancel()
		began := time.Now()
		<-done
		if took := time.Since(began); took != 0 {
			d.t.Errorf("it ended after %s", took)
		}
		d.stop = func() {}
	}
}

func (d *desk) wait(dur time.Duration) {
	time.Sleep(dur) // virtual
	synctest.Wait()
}

// hold takes a member out, by the journal's word.
func (d *desk) hold(name string) *journal.Hold { return d.holdAll(name)[0] }

func (d *desk) holdAll(names ...string) (all []*journal.Hold) {
	d.t.Helper()
	for _, name := range names {
		all = append(all, &journal.Hold{
			Member: edge.Member{Device: "edge1", Pool: "shop", Name: name}, Policy: "drain", To: edge.Drain,
			Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded},
		})
	}
	for _, p := range []journal.Phase{journal.Intent, journal.Applying, journal.Applied, journal.Holding} {
		for _, h := range all {
			if h.Phase = p; p == journal.Applied {
				h.Since = time.Now()
			}
		}
		if err := d.journal.PutAll(all, nil); err != nil {
			d.t.Fatal(err)
		}
	}
	return all
}

func (d *desk) release(h *journal.Hold) {
	d.t.Helper()
	for _, p := range []journal.Phase{journal.ReleasePending, journal.Reverting, journal.Reverted} {
		h.Phase = p
		if err := d.journal.Put(h, journal.Entry{}); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := d.journal.Drop(h, journal.Entry{}); err != nil {
		d.t.Fatal(err)
	}
}

// value is what a counter or gauge shows.
func value(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		panic(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

func (d *desk) counted(name, result string) float64 {
	return value(d.metrics.total.WithLabelValues(name, result))
}

func TestAnAlertIsSaidAgainUntilItEnds(t *testing.T) {
	one := newAM("http://192.0.2.1:9093")
	atDesk(t, []*am{one}, func(d *desk) {
		h := d.hold("s1")
		d.wait(time.Second)
		one.want(t, "SluiceStep s1")
		d.wait(30 * time.Minute)
		one.want(t)
		if n := d.counted(one.name, resultTaken); n < 30 || n > 32 {
			t.Errorf("said %v times in 30 minutes", n)
		}
		if n := value(d.metrics.fires.WithLabelValues(Step)); n != 1 {
			t.Errorf("%v fire", n)
		}
		one.mu.Lock()
		one.knows = map[string]time.Time{} // it was restarted empty
		one.mu.Unlock()
		d.wait(time.Minute)
		one.want(t, "SluiceStep s1")
		d.release(h)
		d.wait(time.Second)
		one.want(t, "over: SluiceStep s1")
		d.wait(10 * time.Minute)
		one.want(t)
		taken := d.counted(one.name, resultTaken)
		d.wait(time.Hour)
		if n := d.counted(one.name, resultTaken); n != taken {
			t.Errorf("%v more were said of nothing", n-taken)
		}
		if d.log.Len() != 0 {
			t.Errorf("logged: %s", &d.log)
		}
	})
}

// One that is down, slow or refuses neither delays nor changes what the other hears,
// and isn't asked without end.
func TestAnAlertmanagerThatIsNotThereDelaysNoOther(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		hang   bool
		result string
		calls  [2]int // in ten minutes, at least and at most
	}{
		"down":       {errRefused, false, resultNoAnswer, [2]int{20, 30}},
		"hanging":    {nil, true, resultNoAnswer, [2]int{12, 25}},
		"refusing":   {alertmanager.StatusError(401), false, resultRefused, [2]int{20, 30}},
		"overloaded": {fmt.Errorf("post: %w", alertmanager.StatusError(503)), false, resultNoAnswer, [2]int{20, 30}},
		"too long":   {alertmanager.StatusError(413), false, resultRefused, [2]int{20, 30}},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := newAM("http://192.0.2.1:9093"), newAM("http://192.0.2.2:9093")
			bad.set(tt.err, tt.hang)
			atDesk(t, []*am{bad, good}, func(d *desk) {
				h := d.hold("s1")
				d.wait(time.Second)
				good.want(t, "SluiceStep s1")
				for range 60 { // there is always something new
					d.release(d.hold("s2"))
					d.wait(10 * time.Second)
				}
				if bad.calls < tt.calls[0] || bad.calls > tt.calls[1] {
					t.Errorf("it was asked %d times", bad.calls)
				}
				if n := d.counted(bad.name, tt.result); n == 0 || d.counted(bad.name, resultTaken) != 0 {
					t.Errorf("%v are %s", n, tt.result)
				}
				good.mu.Lock()
				good.heard = nil
				good.mu.Unlock()
				if n := strings.Count(d.log.String(), "\n"); n != 1 || !strings.Contains(d.log.String(), "announcements are not taken") {
					t.Errorf("logged: %s", &d.log)
				}
				bad.set(nil, false)
				d.wait(lastRetry + postTimeout)
				bad.want(t, "SluiceStep s1") // and nothing of what is over by now
				if n := strings.Count(d.log.String(), "\n"); n != 2 || !strings.Contains(d.log.String(), "are taken again") {
					t.Errorf("logged: %s", &d.log)
				}
				d.release(h)
				d.wait(time.Second)
				bad.want(t, "over: SluiceStep s1")
				good.want(t, "over: SluiceStep s1")
			})
		})
	}
}

// An end that could not be told is told when it can be, unless it has come by itself.
func TestAnEndThatCouldNotBeTold(t *testing.T) {
	one := newAM("http://192.0.2.1:9093")
	atDesk(t, []*am{one}, func(d *desk) {
		h := d.hold("s1")
		d.wait(time.Second)
		one.set(errRefused, false)
		d.release(h)
		d.wait(2 * time.Minute)
		one.set(nil, false)
		d.wait(lastRetry)
		one.want(t, "SluiceStep s1", "over: SluiceStep s1")

		h = d.hold("s2")
		d.wait(time.Second)
		one.set(errRefused, false)
		d.release(h)
		d.wait(10 * time.Minute)
		one.set(nil, false)
		d.wait(10 * time.Minute)
		one.want(t, "SluiceStep s2")
	})
}

// It stops at once, whoever hangs, and tells nobody of that; who goes on in the same
// process ends what the one before began.
func TestAnAnnouncerThatStopsEndsNothing(t *testing.T) {
	one, two := newAM("http://192.0.2.1:9093"), newAM("http://192.0.2.2:9093")
	atDesk(t, []*am{one, two}, func(d *desk) {
		h := d.hold("s1")
		d.wait(time.Second)
		two.set(nil, true)
		d.wait(2 * time.Minute)
		d.stop()
		if n := value(d.metrics.fires.WithLabelValues(Step)); n != 0 {
			t.Errorf("%v fire where nobody announces", n)
		}
		d.release(h)
		d.wait(time.Minute)
		two.set(nil, false)
		d.start()
		d.wait(time.Second)
		for _, a := range d.ams {
			a.want(t, "SluiceStep s1", "over: SluiceStep s1")
		}
	})
}

func TestThereIsNoRoomForAll(t *testing.T) {
	one := newAM("http://192.0.2.1:9093")
	atDesk(t, []*am{one}, func(d *desk) {
		var names []string
		for i := range mostAlerts + 7 {
			names = append(names, fmt.Sprintf("s%d", i))
		}
		all := d.holdAll(names...)
		d.wait(2 * time.Second)
		if n := len(one.heard); n != mostAlerts || value(d.metrics.left) != 7 {
			t.Errorf("%d were announced, %v left out", n, value(d.metrics.left))
		}
		for _, h := range all[:10] {
			d.release(h)
		}
		d.wait(2 * time.Second)
		if value(d.metrics.left) != 0 || strings.Count(d.log.String(), "\n") != 1 {
			t.Errorf("%v left out; logged %s", value(d.metrics.left), &d.log)
		}
	})
}

// What is refused for what it holds keeps back what is in the same request at most.
func TestOneThatIsRefusedKeepsBackNoneOfTheOthers(t *testing.T) {
	for _, code := range []alertmanager.StatusError{400, 413} {
		one := newAM("http://192.0.2.1:9093")
		one.bad, one.refusal = "s000", code
		atDesk(t, []*am{one}, func(d *desk) {
			var names []string
			for i := range 2*postAlerts + 1 {
				names = append(names, fmt.Sprintf("s%03d", i))
			}
			all := d.holdAll(names...)
			d.wait(2 * time.Second)
			if n := len(one.heard); n != postAlerts+1 || one.most != postAlerts {
				t.Errorf("%d were told, %d at once", n, one.most)
			}
			one.heard = nil
			d.release(all[2*postAlerts])
			d.wait(lastRetry)
			one.want(t, "over: SluiceStep "+names[2*postAlerts])
			if n := one.calls; n > 30 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// However often it is said, a restart or another leader comes before the end.
func TestHowLongAnAlertLivesUnsaid(t *testing.T) {
	for _, tt := range []struct{ repeat, failover, life time.Duration }{
		{time.Second, 0, 5 * time.Minute},
		{time.Minute, 0, 5 * time.Minute},
		{time.Minute, 30 * time.Second, 5*time.Minute + 30*time.Second},
		{time.Hour, 30 * time.Second, 5*time.Hour + 30*time.Second},
	} {
		o := Options{Config: Config{Repeat: model.Duration(tt.repeat)}, To: []Poster{newAM("x")}, Failover: tt.failover, Logger: log.NewNopLogger()}
		if s := New(o).senders[0]; s.life != tt.life || s.repeat != tt.repeat {
			t.Errorf("said every %s with a failover of %s it lives for %s", s.repeat, tt.failover, s.life)
		}
	}
}

// A journal that can't be read ends nothing.
func TestAJournalThatCannotBeReadEndsNothing(t *testing.T) {
	one := newAM("http://192.0.2.1:9093")
	atDesk(t, []*am{one}, func(d *desk) {
		d.hold("s1")
		d.wait(time.Second)
		one.want(t, "SluiceStep s1")
		if err := d.journal.Close(); err != nil {
			t.Fatal(err)
		}
		d.stop()
		d.start()
		d.wait(3 * time.Minute)
		one.want(t)
		if n := strings.Count(d.log.String(), "journal not read"); n != 1 {
			t.Errorf("told %d times: %s", n, &d.log)
		}
	})
}

// Whatever an Alertmanager answers, and whenever: no end without a beginning, no gap
// while all is well, and an end soon after all is well again.
// I26: what surely wasn't taken has no end that could be told.
func TestWhatWasNotTakenHasNoEnd(t *testing.T) {
	a := about{name: Step, member: edge.Member{Name: "s1"}}.alert("")
	for name, tt := range map[string]struct {
		err  error
		ends int
	}{
		"taken":           {nil, 1},
		"perhaps taken":   {context.DeadlineExceeded, 1},
		"not reached":     {errRefused, 0},
		"not let in":      {alertmanager.StatusError(http.StatusForbidden), 0},
		"failed half way": {alertmanager.StatusError(http.StatusBadGateway), 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sender{repeat: time.Minute, life: 5 * time.Minute, told: map[string]*told{}, want: map[string]Alert{a.key(): a}}
			batch, _ := s.due(start)
			for _, m := range batch {
				s.note(m, start, tt.err)
			}
			s.want = map[string]Alert{}
			if batch, _ := s.due(start.Add(time.Second)); len(batch) != tt.ends {
				t.Errorf("told of its end: %+v", batch)
			}
		})
	}
}

func TestNoEndWithoutABeginning(t *testing.T) { // I26
	rapid.Check(t, func(t *rapid.T) {
		now := start
		known := newAM("x")
		s := &sender{repeat: time.Minute, life: 5 * time.Minute, told: map[string]*told{}}
		want := map[string]Alert{}
		names := []string{"s1", "s2", "s3"}
		said := map[string]bool{} // may be known there
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
			if rapid.Bool().Draw(t, "changes") {
				want = maps.Clone(want)
				a := about{name: Step, member: edge.Member{Name: rapid.SampledFrom(names).Draw(t, "whose")}}.alert("")
				if _, fires := want[a.key()]; fires {
					delete(want, a.key())
				} else {
					want[a.key()] = a
				}
			}
			s.want = want
			batch, next := s.due(now)
			if len(batch) == 0 {
				if len(want) > 0 && (next.IsZero() || next.Sub(now) > s.repeat) {
					t.Fatalf("%d fire, and the next is said at %s", len(want), next)
				}
				continue
			}
			result := rapid.SampledFrom([]error{nil, nil, errRefused, context.DeadlineExceeded, alertmanager.StatusError(500), alertmanager.StatusError(403)}).Draw(t, "result")
			taken := result == nil || mayKnow(result) && rapid.Bool().Draw(t, "taken all the same")
			if taken {
				known.take(batch, now)
			}
			for _, m := range batch {
				if m.Ends.After(now) {
					said[m.key()] = said[m.key()] || result == nil || mayKnow(result)
				} else if !said[m.key()] {
					t.Fatalf("the end of %s is told, whose beginning never was", m.key())
				}
				s.note(m, now, result)
			}
			if result == nil {
				for key, a := range want {
					if ends := known.knows[Step+" "+a.Labels[edge.LabelMember]]; ends.Sub(now) < s.life-s.repeat {
						t.Fatalf("%s ends at %s, and it is %s", key, ends, now)
					}
				}
			}
		}
		s.want = map[string]Alert{}
		batch, _ := s.due(now)
		known.take(batch, now)
		for name, ends := range known.knows {
			if ends.After(now) {
				t.Fatalf("%s goes on until %s, and nobody ended it", name, ends)
			}
		}
		if slices.ContainsFunc(known.heard, func(h string) bool { return strings.HasPrefix(h, "never") }) && len(said) == 0 {
			t.Fatal(known.heard)
		}
	})
}
