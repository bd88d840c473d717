package announce

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
)

// fails records steps that came to nothing, with as much between two of them as many
// other targets leave there.
func (d *desk) fails(n int, every time.Duration) {
	d.t.Helper()
	for range n {
		es := make([]journal.Entry, pageEntries+1)
		for i := range es {
			es[i] = journal.Entry{Event: "mode", At: time.Now()}
		}
		es[pageEntries] = journal.Entry{Event: eventStep, Result: failed, Member: &s1, Policy: "drain", Hold: "h1", At: time.Now()}
		if err := d.journal.Append(es...); err != nil {
			d.t.Fatal(err)
		}
		d.wait(every)
	}
}

// What a row of failures was before a restart is read from the journal, as far back as
// it may reach, and attempts that lie too far apart are no row.
func TestARowOfFailuresOverARestart(t *testing.T) {
	for name, tt := range map[string]struct {
		after  int
		before func(*desk)
		heard  []string
	}{
		"as many as it takes":               {3, func(d *desk) { d.fails(3, time.Second) }, []string{"SluiceStepFailed s1"}},
		"one is missing":                    {3, func(d *desk) { d.fails(2, time.Second) }, nil},
		"a row that is longer than an hour": {10, func(d *desk) { d.fails(10, 10*time.Minute) }, []string{"SluiceStepFailed s1"}},
		"two in one fault, one in another":  {3, func(d *desk) { d.fails(2, inARow+time.Minute); d.fails(1, time.Second) }, nil},
		"a row that was over long ago":      {3, func(d *desk) { d.fails(3, time.Second); d.wait(2 * time.Hour) }, nil},
		"too long a pause before the last":  {3, func(d *desk) { d.fails(3, time.Second); d.wait(inARow); d.fails(1, time.Second) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			one := newAM("http://192.0.2.1:9093")
			atDesk(t, []*am{one}, func(d *desk) {
				d.stop()
				tt.before(d)
				d.config.After = tt.after
				d.start()
				d.wait(time.Second)
				one.want(t, tt.heard...)
			})
		})
	}
}

// However much comes at once, all of it is read.
func TestARowOfFailuresBetweenManyEntries(t *testing.T) {
	one := newAM("http://192.0.2.1:9093")
	atDesk(t, []*am{one}, func(d *desk) {
		d.fails(3, time.Second)
		one.want(t, "SluiceStepFailed s1")
	})
}

// The words of a refusal are those of its last entry, also after a restart.
func TestTheWordsOfARefusalOverARestart(t *testing.T) {
	one := newAM("http://192.0.2.1:9093")
	atDesk(t, []*am{one}, func(d *desk) {
		h := &journal.Hold{Member: s1, Policy: "drain", Phase: journal.Deferred, Via: []journal.Phase{journal.Observed, journal.Pending, journal.Guarded}, Refused: "budget/max_held/drain"}
		for _, detail := range []string{"1 is held", "2 are held"} {
			e := journal.Entry{
				Event: eventRefusal, Guard: "budget", Reason: "max_held", Detail: detail,
				Evidence: []byte(`{"source":"probe:shop","answer":"no","detail":"asked when ` + detail + `"}`),
			}
			if err := d.journal.Put(h, e); err != nil {
				t.Fatal(err)
			}
			d.wait(10 * time.Second)
		}
		want := "An alert has asked for it since 2000-01-01 00:00:00 UTC, and nothing was done. Guard budget: 2 are held. " +
			"Evidence: probe:shop finds it bad after 0s, asked when 2 are held. A person should look."
		for range 2 {
			d.wait(time.Minute)
			one.want(t, "SluiceRefused s1")
			if got := one.last.Annotations["description"]; got != want {
				t.Errorf("it says %s\nwant %s", got, want)
			}
			d.stop()
			d.memory = Memory{}
			one.knows = map[string]time.Time{}
			d.start()
		}
	})
}
