package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsRememberedIsBounded(t *testing.T) {
	g := gate(t, Options{Config: people(t)})
	for i := range 3 * mostVerified / 2 {
		id := g.passwords.sum(fmt.Sprint(i))
		g.passwords.land(&flight{done: make(chan struct{}), ok: true}, id, id)
	}
	if n := len(g.passwords.verified); n > mostVerified {
		t.Errorf("%d passwords are remembered, want at most %d", n, mostVerified)
	}
	for i := range 3 * mostFriends {
		g.befriend("ann", netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32))
	}
	if n := len(g.friends["ann"]); n != mostFriends {
		t.Errorf("%d addresses are remembered, want %d", n, mostFriends)
	}
	next := people(t)
	next.Users[0].Name, next.Tokens = "erin", nil
	if err := g.Use(next); err != nil {
		t.Fatal(err)
	}
	if len(g.friends) != 0 {
		t.Errorf("addresses of who is no user any more: %v", g.friends)
	}
}

// Whoever guesses leaves processors for everything else.
func TestPasswordsTakeHalfOfTheProcessors(t *testing.T) {
	if n := cap(newPasswords().slots); n > max(1, runtime.GOMAXPROCS(0)/2) {
		t.Errorf("%d at once", n)
	}
}

// Texts that are cut elsewhere are others: the one's name and password aren't the
// other's.
func TestASumTellsItsPartsApart(t *testing.T) {
	p := newPasswords()
	if p.sum("ann", "x") == p.sum("annx", "") || p.sum("a", "nnx") == p.sum("an", "nx") {
		t.Error("they are the same")
	}
}

func TestACrowdThatWaitsForAProcessorIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords()
		hash := hashed(t, password)
		p.slots = make(chan struct{}, 1)
		p.slots <- struct{}{} // the one is taken
		answers := make(chan error, mostWaiting)
		for i := range mostWaiting {
			go func() {
				_, err := p.check(t.Context(), fmt.Sprint(i), "ann", hash, password, func() error { return nil })
				answers <- err
			}()
		}
		synctest.Wait()
		late, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if _, err := p.check(late, "late", "ann", hash, password, func() error { return nil }); !errors.Is(err, ErrBusy) {
			t.Errorf("one more than may wait: %v", err)
		}
		<-p.slots
		for range mostWaiting {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

// What comes from one address, and is refused there, is nothing to the same password
// from another.
func TestALockedAddressLocksNobodyWhoSendsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords()
		hash := hashed(t, password)
		p.slots = make(chan struct{}, 1)
		p.slots <- struct{}{}
		check := func(from string, admit error) chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := p.check(t.Context(), from, "ann", hash, password, func() error { return admit })
				answer <- err
			}()
			synctest.Wait()
			return answer
		}
		guesser, ann := check("192.0.2.66", &LockedError{time.Minute}), check("192.0.2.1", nil)
		<-p.slots
		var locked *LockedError
		if err := <-guesser; !errors.As(err, &locked) {
			t.Errorf("the guesser: %v", err)
		}
		if err := <-ann; err != nil {
			t.Errorf("ann: %v", err)
		}
	})
}

// Many people who come by one address, each with the right password, are no failures.
func TestAnOfficeThatLogsInIsntLockedOut(t *testing.T) {
	c := people(t)
	for i := range 2 * freeByAddress {
		c.Users = append(c.Users, User{Name: fmt.Sprint("user-", i), PasswordHash: c.Users[0].PasswordHash, Roles: []string{Viewer}})
	}
	g := gate(t, Options{Config: c})
	for i := range 2 * freeByAddress {
		if w, _ := ask(g, get("/", basicAuth(fmt.Sprint("user-", i), password))); w.Code != 200 {
			t.Fatalf("number %d: %d", i, w.Code)
		}
	}
}
