package coordinate

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
)

func TestALeaseCountsFromWhenItsRenewalWasSent(t *testing.T) { // I16
	synctest.Test(t, func(t *testing.T) {
		in := newTerm("/sluice/leader", 7, holder{}, time.Now(), 10*time.Second)
		term, e := Term{in}, &Etcd{term: in}
		left := func(want time.Duration) {
			t.Helper()
			if got, leased := term.Left(); got != want || !leased {
				t.Errorf("%s are left, leased %v; want %s", got, leased, want)
			}
			if _, _, ok := term.Fence(); ok != (want > 0) {
				t.Errorf("with %s left the fence says %v", want, ok)
			}
			if _, leads := e.Leading(); leads != (want > 0) || e.Status().Leading != leads {
				t.Errorf("with %s left it leads: %v", want, leads)
			}
		}
		left(10 * time.Second)
		time.Sleep(4 * time.Second)
		left(6 * time.Second)
		if !term.Covers(5*time.Second) || term.Covers(6*time.Second) {
			t.Error("six seconds cover five and not six")
		}
		sent := time.Now()
		time.Sleep(3 * time.Second) // the answer takes its time
		in.renew(sent, 10*time.Second)
		left(7 * time.Second)
		time.Sleep(7 * time.Second)
		left(0)
		in.renew(time.Now().Add(-time.Hour), 10*time.Second) // an answer from before a long stop
		left(0)
		in.renew(time.Now(), 10*time.Second)
		in.end()
		in.end()
		left(0)
		<-term.Done()
	})
}

func TestALeaseCountsByTheClockThatSaysLess(t *testing.T) {
	in := newTerm("/sluice/leader", 7, holder{}, time.Now(), 10*time.Second)
	in.wall = in.wall.Add(-20 * time.Second) // the machine slept, and the monotonic clock with it
	if left := in.left(); left != 0 {
		t.Errorf("%s are left", left)
	}
	in.renew(time.Now(), 10*time.Second)
	in.renewed = in.renewed.Add(-20 * time.Second) // the other clock was set back
	if left := in.left(); left != 0 {
		t.Errorf("%s are left", left)
	}
}

func TestLocalLeadsAlways(t *testing.T) {
	c, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	term, leading := c.Leading()
	left, leased := term.Left()
	if !leading || leased || left != Forever || !term.Covers(time.Hour) || term.Done() != nil || term.Token() != 0 {
		t.Errorf("leading %v, leased %v, left %s", leading, leased, left)
	}
	if s := c.Status(); !s.Leading || s.Leased {
		t.Errorf("got %+v", s)
	}
	path := filepath.Join(t.TempDir(), "sluice.db")
	j, err := c.OpenJournal(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Under(term).Append(journal.Entry{Event: "e"}); err != nil {
		t.Error(err)
	}
	if _, err := c.OpenJournal(path, 10*time.Millisecond); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("a second process got the file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(c.Run(ctx), j.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}
