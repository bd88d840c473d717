package access

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestAfterTooManyFailuresEachWaitIsTwiceAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLockout(3)
		for i := range 2 {
			if wait := l.take("ann", time.Now()); wait > 0 {
				t.Fatalf("try %d has to wait for %s", i, wait)
			}
		}
		if wait := l.locked("ann", time.Now()); wait > 0 {
			t.Fatalf("locked for %s after two failures of three", wait)
		}
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second} {
			if wait := l.take("ann", time.Now()); wait > 0 {
				t.Fatalf("has to wait for %s, want none", wait)
			}
			if wait := l.take("ann", time.Now()); wait != want {
				t.Fatalf("has to wait for %s, want %s", wait, want)
			}
			if wait := l.locked("bob", time.Now()); wait > 0 {
				t.Fatalf("somebody else has to wait for %s", wait)
			}
			time.Sleep(want)
		}
		for range 20 {
			time.Sleep(l.locked("ann", time.Now()))
			l.take("ann", time.Now())
		}
		if wait := l.locked("ann", time.Now()); wait != mostLocked {
			t.Errorf("after very many: %s, want %s", wait, mostLocked)
		}
		time.Sleep(24 * time.Hour)
		l.take("ann", time.Now())
		if wait := l.locked("ann", time.Now()); wait > 0 {
			t.Errorf("the next day one failure locks for %s", wait)
		}
	})
}

func TestALockoutsMemoryIsBounded(t *testing.T) {
	l := newLockout(2)
	now := time.Now()
	l.take("first", now)
	l.take("first", now)
	for i := range mostCounters {
		l.take(fmt.Sprint(i), now)
	}
	if len(l.all) != mostCounters || l.last.Len() != mostCounters {
		t.Errorf("%d and %d counters, want %d", len(l.all), l.last.Len(), mostCounters)
	}
	if l.locked("first", now) > 0 {
		t.Error("the oldest is still counted")
	}
}

// Who goes on failing isn't forgotten for those who failed once.
func TestALockoutForgetsWhoFailedLongestAgo(t *testing.T) {
	l := newLockout(3)
	now := time.Now()
	l.take("stubborn", now)
	for i := range mostCounters - 1 {
		l.take(fmt.Sprint(i), now)
	}
	l.take("stubborn", now)
	l.take("one more", now)
	if l.take("stubborn", now); l.locked("stubborn", now) == 0 {
		t.Error("the third failure doesn't lock")
	}
}

// Whatever happens, a key is locked only by its own failures, never for longer than
// the longest time, and what is taken back leaves nothing.
func TestALockoutCountsOnlyFailures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLockout(3)
		now := time.Now()
		failed := map[string]int{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "seconds")) * time.Second)
			key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
			if l.take(key, now) > 0 {
				continue
			}
			if rapid.Bool().Draw(t, "right") {
				l.give(key)
			} else {
				failed[key]++
			}
			for _, k := range []string{"a", "b", "c"} {
				wait := l.locked(k, now)
				if wait > mostLocked || wait > 0 && failed[k] < 3 {
					t.Fatalf("%s failed %d times and is locked for %s", k, failed[k], wait)
				}
			}
		}
	})
}

func TestFailuresLockTheNameAndTheAddressAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Options{Config: people(t)})
		home, there := from("192.0.2.1:1"), from("198.51.100.1:1")
		must := func(name string, code int, change ...func(*http.Request)) {
			t.Helper()
			if w, _ := ask(g, get("/", change...)); w.Code != code {
				t.Errorf("%s: %d, want %d", name, w.Code, code)
			} else if code == 429 && w.Header().Get("Retry-After") != "1" {
				t.Errorf("%s: try again after %q", name, w.Header().Get("Retry-After"))
			}
		}
		must("at home", 200, home, basicAuth("ann", password))
		for range freeByName {
			must("a wrong password", 401, there, basicAuth("ann", "wrong"))
		}
		must("another one at once", 429, there, basicAuth("ann", "wrong"))
		must("the right one from there", 429, there, basicAuth("ann", password))
		must("the right one from a third place", 429, from("203.0.113.1:1"), basicAuth("ann", password))
		must("the right one from where she came before", 200, home, basicAuth("ann", password))
		must("her token from there", 200, there, bearer(laptop))
		must("somebody else from there", 401, there, basicAuth("bob", "wrong"))
		time.Sleep(time.Second)
		must("the right one after the wait", 200, there, basicAuth("ann", password))
		must("and at once again", 200, there, basicAuth("ann", password))

		for i := range freeByAddress - freeByName - 1 {
			must("another name each time", 401, there, basicAuth(fmt.Sprint("eve", i), "wrong"))
		}
		must("the address is locked", 429, there, basicAuth("somebody", "wrong"))
		must("for the right password, too", 429, there, basicAuth("ann", password))
		must("and for a wrong token", 429, there, bearer("wrong"))
		must("but not for a right one", 200, there, bearer(laptop))
		must("and not from elsewhere", 200, home, basicAuth("ann", password))
	})
}

func TestAShortTokenWaitsLikeAPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Options{Config: ForToken("secret")})
		for range freeByAddress {
			ask(g, get("/", bearer("guess")))
		}
		if w, _ := ask(g, get("/", bearer("secret"))); w.Code != 429 {
			t.Errorf("after many guesses: %d", w.Code)
		}
		if w, _ := ask(g, get("/", bearer("secret"), from("198.51.100.1:1"))); w.Code != 200 {
			t.Errorf("from elsewhere: %d", w.Code)
		}
		time.Sleep(time.Second)
		if w, _ := ask(g, get("/", bearer("secret"))); w.Code != 200 {
			t.Errorf("after the wait: %d", w.Code)
		}
	})
}

func TestAddressesAreTheCallersAndNotTheProxys(t *testing.T) {
	c := people(t)
	c.Proxies = []string{"192.0.2.1", "198.51.100.0/28", "2001:db8:1::/64"}
	if m := c.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	s, err := newState(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"an address", "203.0.113.1:1", nil, "203.0.113.1/32"},
		{"in IPv6's dress", "[::ffff:203.0.113.1]:1", nil, "203.0.113.1/32"},
		{"IPv6, with all its neighbours", "[2001:db8::1]:1", nil, "2001:db8::/64"},
		{"of a link", "[fe80::1%eth0]:1", nil, "fe80::/64"},
		{"a unix socket", "@", nil, "invalid Prefix"},
		{"somebody who says what they like", "203.0.113.1:1", []string{"203.0.113.9"}, "203.0.113.1/32"},
		{"our proxy", "192.0.2.1:1", []string{"203.0.113.9"}, "203.0.113.9/32"},
		{"our proxy, and what its caller said before", "192.0.2.1:1", []string{"10.0.0.1, 203.0.113.9"}, "203.0.113.9/32"},
		{"in a header of its own", "192.0.2.1:1", []string{"10.0.0.1", "203.0.113.9"}, "203.0.113.9/32"},
		{"two of ours", "192.0.2.1:1", []string{"10.0.0.1,203.0.113.9, 198.51.100.3"}, "203.0.113.9/32"},
		{"ours all the way", "192.0.2.1:1", []string{"198.51.100.3"}, "198.51.100.3/32"},
		{"ours without the header", "192.0.2.1:1", nil, "192.0.2.1/32"},
		{"no address", "192.0.2.1:1", []string{"203.0.113.9, unknown"}, "192.0.2.1/32"},
		{"empty places", "192.0.2.1:1", []string{"203.0.113.9, "}, "192.0.2.1/32"},
		{"in IPv6's dress, through a proxy", "192.0.2.1:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9/32"},
		{"IPv6 through a proxy", "[2001:db8:1::1]:1", []string{"[2001:db8:2::5]"}, "2001:db8:2::/64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := get("/", from(c.remote))
			r.Header["X-Forwarded-For"] = c.forwarded
			if got := s.from(r).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// A flood costs as many checks as one patient guesser is allowed, and no more.
func TestAThousandWrongPasswordsAtOnceAreHardlyLookedAt(t *testing.T) {
	for _, c := range []struct {
		name  string
		ask   func(i int) *http.Request
		wrong int // at most: that were looked at
	}{
		{"of one user from everywhere", func(i int) *http.Request {
			return get("/", basicAuth("ann", fmt.Sprint("wrong", i)), from(fmt.Sprintf("198.51.%d.%d:1", i/250, i%250)))
		}, freeByName},
		{"of many names from one address", func(i int) *http.Request {
			return get("/", basicAuth(fmt.Sprint("eve", i), "wrong"), from("198.51.100.1:1"))
		}, freeByAddress},
		{"tokens from one address", func(i int) *http.Request {
			return get("/", bearer(fmt.Sprint("wrong", i)), from("198.51.100.1:1"))
		}, freeByAddress},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gate(t, Options{Config: people(t)})
			if w, _ := ask(g, get("/", basicAuth("ann", password))); w.Code != 200 {
				t.Fatalf("before: %d", w.Code)
			}
			codes := inParallel(1000, func(i int) int {
				w, _ := ask(g, c.ask(i))
				return w.Code
			})
			if codes[200] > 0 || codes[401] > c.wrong || codes[401]+codes[429]+codes[503] != 1000 {
				t.Errorf("%v, want at most %d of 401, and the rest 429 and 503", codes, c.wrong)
			}
			if w, _ := ask(g, get("/", basicAuth("ann", password))); w.Code != 200 {
				t.Errorf("the right one, from where it came before: %d", w.Code)
			}
			if g.passwords.waiting != 0 || len(g.passwords.flights) != 0 || len(g.passwords.slots) != 0 {
				t.Errorf("something is still under way: %+v", g.passwords)
			}
		})
	}
}

func TestTheRightPasswordAThousandTimesAtOnceIsCheckedOnce(t *testing.T) {
	g := gate(t, Options{Config: people(t)})
	codes := inParallel(1000, func(int) int {
		w, _ := ask(g, get("/", basicAuth("ann", password)))
		return w.Code
	})
	if codes[200] != 1000 {
		t.Errorf("%v, want 200 for all", codes)
	}
	if n := len(g.passwords.verified); n != 1 {
		t.Errorf("%d passwords are remembered, want 1", n)
	}
}

func inParallel(n int, do func(i int) int) map[int]int {
	var all sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for i := range n {
		all.Go(func() {
			code := do(i)
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	all.Wait()
	return codes
}

func TestARememberedPasswordCountsNoMoreWhenItChanged(t *testing.T) {
	c := people(t)
	g := gate(t, Options{Config: c})
	if w, _ := ask(g, get("/", basicAuth("ann", password))); w.Code != 200 {
		t.Fatalf("%d", w.Code)
	}
	before := g.Stamp("ann")
	changed := *c
	changed.Users = append([]User{}, c.Users...)
	changed.Users[0].PasswordHash = hashed(t, "another")
	if err := g.Use(&changed); err != nil {
		t.Fatal(err)
	}
	if w, _ := ask(g, get("/", basicAuth("ann", password))); w.Code != 401 {
		t.Errorf("the old password: %d", w.Code)
	}
	if w, _ := ask(g, get("/", basicAuth("ann", "another"))); w.Code != 200 {
		t.Errorf("the new one: %d", w.Code)
	}
	if after := g.Stamp("ann"); after == before || after == "" || g.Stamp("eve") != "" {
		t.Errorf("stamp %q, then %q; of nobody %q", before, after, g.Stamp("eve"))
	}
}

// The hash that stands in for those who have none looks like the slowest, and
// fits nothing: that a guess is right must not show where no user is.
func TestAStrangersPasswordIsNobodys(t *testing.T) {
	c := people(t)
	s, err := newState(c)
	if err != nil {
		t.Fatal(err)
	}
	if s.dummy == c.Users[0].PasswordHash || checkHash(s.dummy) != nil || matches(s.dummy, password) {
		t.Errorf("the hash %s", s.dummy)
	}
}

func TestAPasswordThatBcryptWouldHalfReadIsWrong(t *testing.T) {
	long := ""
	for len(long) < mostPassword {
		long += "x"
	}
	h := hashed(t, long)
	if !matches(h, long) || matches(h, long+"y") {
		t.Error("want 72 characters to fit, and 73 not")
	}
}

// Tokens are swapped by two reloads: the new one is added, and then the old one
// taken away. Whoever has one that is good at the moment is let in all the time.
func TestATokenIsSwappedWithoutARefusedRequest(t *testing.T) {
	c := people(t)
	g := gate(t, Options{Config: c})
	const fresh = "not-a-real-token-of-the-new-year"
	var mu sync.RWMutex // a request ends before its token is taken away
	current := laptop
	done, answered := make(chan struct{}), make(chan int)
	var all sync.WaitGroup
	var refused atomic.Int64
	for range 8 {
		all.Go(func() {
			for {
				mu.RLock()
				w, _ := ask(g, get("/", bearer(current)))
				mu.RUnlock()
				if w.Code != 200 {
					refused.Add(1)
				}
				select {
				case <-done:
					return
				case answered <- w.Code:
				default: // nobody waits
				}
			}
		})
	}
	wait := func() {
		for range 100 {
			<-answered
		}
	}
	wait()
	both := *c
	both.Tokens = append(append([]Token{}, c.Tokens...), Token{Name: "ann-new", User: "ann", TokenFile: write(t, t.TempDir()+"/new", fresh)})
	if err := g.Use(&both); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	current = fresh
	mu.Unlock()
	wait()
	only := both
	only.Tokens = both.Tokens[1:]
	if err := g.Use(&only); err != nil {
		t.Fatal(err)
	}
	wait()
	for range 50 { // and again, the same
		if err := g.Use(&only); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	all.Wait()
	if refused.Load() > 0 {
		t.Errorf("%d requests were refused", refused.Load())
	}
	if w, _ := ask(g, get("/", bearer(laptop))); w.Code != 401 {
		t.Errorf("the old token: %d", w.Code)
	}
}
