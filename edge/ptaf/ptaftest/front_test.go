package ptaftest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-project/sluice/test/loopback"
	"github.com/sluice-project/sluice/test/serve"
)

// A crew is the members behind a front: real ones, that tell their letter.
type crew struct {
	backends []Backend
	letters  map[string]string // by address:port
}

// newCrew starts a member for each letter that is no "x"; an "x" refuses connections.
func newCrew(t *testing.T, letters string, h http.Handler) *crew {
	t.Helper()
	c := &crew{letters: map[string]string{}}
	for i, letter := range letters {
		var address string
		if letter == 'x' {
			var err error
			if address, err = loopback.Address(); err != nil {
				t.Fatal(err)
			}
		} else {
			address = serve.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Letter", string(letter))
				if h != nil {
					h.ServeHTTP(w, r)
				}
			}), nil)
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		c.backends = append(c.backends, Backend{Address: host, Port: n})
		c.letters[address] = letters[i : i+1]
	}
	return c
}

func (c *crew) sim(u Upstream) *Sim {
	u.Name, u.Backends = "shop-front", c.backends
	return New(Options{Upstreams: []Upstream{u}})
}

// ask sends n requests and returns who answered, "!" and the status for an error.
func ask(t *testing.T, front http.Handler, method, client string, n int) (out string) {
	t.Helper()
	for range n {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://shop.example.com/", strings.NewReader(""))
		r.RemoteAddr = client
		w := httptest.NewRecorder()
		front.ServeHTTP(w, r)
		if w.Code != 200 {
			out += "!" + strconv.Itoa(w.Code)
			continue
		}
		out += w.Header().Get("X-Letter")
	}
	return out
}

const visitor = "198.51.100.7:40000"

func TestFrontShares(t *testing.T) {
	zero, two := 0, 2
	for name, c := range map[string]struct {
		letters string
		change  func([]Backend)
		pool    Upstream
		n       int
		want    string
	}{
		"all the same":              {"abc", func([]Backend) {}, Upstream{}, 6, "abcabc"},
		"by weight, smoothly":       {"abc", func(b []Backend) { b[0].Weight = 5 }, Upstream{}, 14, "aabacaaaabacaa"},
		"a weight of null is 1":     {"ab", func(b []Backend) { b[0].Extra = map[string]any{"weight": nil} }, Upstream{}, 4, "abab"},
		"what is down gets nothing": {"abc", func(b []Backend) { b[1].Down = true }, Upstream{}, 4, "acac"},
		"a word is as good a down":  {"ab", func(b []Backend) { b[1].Extra = map[string]any{"down": "True"} }, Upstream{}, 2, "aa"},
		"a backup waits":            {"abc", func(b []Backend) { b[0].Backup = true }, Upstream{}, 4, "bcbc"},
		"a backup serves when all else is down": {
			"abc", func(b []Backend) { b[0].Backup, b[1].Down, b[2].Down = true, true, true }, Upstream{}, 2, "aa",
		},
		"a backup serves when all else fails":  {"axx", func(b []Backend) { b[0].Backup = true }, Upstream{}, 3, "aaa"},
		"a backup that is down doesn't":        {"ab", func(b []Backend) { b[0].Down, b[1].Backup, b[1].Down = true, true, true }, Upstream{}, 1, "!502"},
		"all down":                             {"ab", func(b []Backend) { b[0].Down, b[1].Down = true, true }, Upstream{}, 1, "!502"},
		"no backend":                           {"", func([]Backend) {}, Upstream{}, 1, "!502"},
		"nobody who fails is seen":             {"axb", func([]Backend) {}, Upstream{}, 4, "abba"},
		"nobody answers":                       {"xx", func([]Backend) {}, Upstream{}, 2, "!502!502"},
		"failures may count for nothing":       {"ax", func(b []Backend) { b[1].MaxFails = &zero }, Upstream{}, 4, "aaaa"},
		"or be forgiven once":                  {"ax", func(b []Backend) { b[1].MaxFails = &two }, Upstream{}, 4, "aaaa"},
		"least busy with nobody busy is round": {"abc", func([]Backend) {}, Upstream{LeastConn: true}, 6, "abcabc"},
	} {
		t.Run(name, func(t *testing.T) {
			crew := newCrew(t, c.letters, nil)
			c.change(crew.backends)
			wantEqual(t, ask(t, crew.sim(c.pool).Front("shop-front"), "GET", visitor, c.n), c.want)
		})
	}
}

func TestFrontFollowsTheAPI(t *testing.T) {
	crew := newCrew(t, "ab", nil)
	s := crew.sim(Upstream{})
	front := s.Front("shop-front")
	name := fmt.Sprintf("%s:%d", crew.backends[0].Address, crew.backends[0].Port)
	wantEqual(t, ask(t, front, "GET", visitor, 2), "ab")
	s.Edit("shop-front", name, true)
	wantEqual(t, ask(t, front, "GET", visitor, 2), "bb")
	s.Edit("shop-front", name, false)
	wantEqual(t, ask(t, front, "GET", visitor, 2), "ab")
	s.Remove("shop-front")
	wantEqual(t, ask(t, front, "GET", visitor, 1), "!502")
}

func TestFrontSticksByAddress(t *testing.T) {
	crew := newCrew(t, "abc", nil)
	s := crew.sim(Upstream{IPHash: true})
	front := s.Front("shop-front")
	homes := map[string]string{}
	var all string
	for i := range 30 {
		client := fmt.Sprintf("192.0.%d.1:40000", i)
		home := ask(t, front, "GET", client, 1)
		wantEqual(t, ask(t, front, "GET", client, 3), strings.Repeat(home, 3))
		wantEqual(t, ask(t, front, "GET", fmt.Sprintf("192.0.%d.99:1", i), 1), home) // the same /24
		homes[client], all = home, all+home
	}
	for _, letter := range []string{"a", "b", "c"} {
		if n := strings.Count(all, letter); n < 3 {
			t.Errorf("%s has %d of 30 visitors", letter, n)
		}
	}
	for address, letter := range crew.letters {
		if letter == "b" {
			s.Edit("shop-front", address, true)
		}
	}
	for client, home := range homes {
		now := ask(t, front, "GET", client, 1)
		if now == "b" || home != "b" && now != home {
			t.Errorf("%s went from %s to %s when b went out", client, home, now)
		}
	}
}

func TestFrontPrefersTheLeastBusy(t *testing.T) {
	release, busy := make(chan struct{}), make(chan struct{})
	crew := newCrew(t, "ab", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			busy <- struct{}{}
			<-release
		}
	}))
	front := crew.sim(Upstream{LeastConn: true}).Front("shop-front")
	done := make(chan string)
	go func() {
		w := httptest.NewRecorder()
		front.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://shop.example.com/wait", nil))
		done <- w.Header().Get("X-Letter")
	}()
	<-busy
	got := ask(t, front, "GET", visitor, 4)
	close(release)
	wantEqual(t, <-done+got, "abbbb")
}

func TestFrontTellsWhoAnsweredAndPassesAllOn(t *testing.T) {
	crew := newCrew(t, "a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
		fmt.Fprint(w, r.Method, " ", r.Host, " ", r.URL, " ", r.Header.Get("X-Own"), " ", string(body), " ", err)
	}))
	url := "http://" + serve.Handler(t, crew.sim(Upstream{}).Front("shop-front"), nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/a?b=c", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.example.com"
	req.Header.Set("X-Own", "own")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, resp.StatusCode, http.StatusFound)
	wantEqual(t, string(body), "POST shop.example.com /a?b=c own body <nil>")
	wantEqual(t, crew.letters[resp.Header.Get(BackendHeader)], "a")
}

func TestFrontDoesNotRepeatWhatMayHaveBeenDone(t *testing.T) {
	for _, c := range []struct{ letters, method, want string }{
		{"xb", "POST", "b"},    // refused: nothing was sent
		{"ab", "GET", "b"},     // cut: may be repeated
		{"ab", "POST", "!502"}, // cut: may have been done
		{"ab", "PATCH", "!502"},
		{"ab", "PUT", "b"},
	} {
		t.Run(c.letters+" "+c.method, func(t *testing.T) {
			crew := newCrew(t, c.letters, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if w.Header().Get("X-Letter") == "a" {
					panic(http.ErrAbortHandler)
				}
			}))
			wantEqual(t, ask(t, crew.sim(Upstream{}).Front("shop-front"), c.method, visitor, 1), c.want)
		})
	}
}

func TestFrontGivesUpOnAMemberThatHangs(t *testing.T) {
	end := make(chan struct{})
	crew := newCrew(t, "ab", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if w.Header().Get("X-Letter") == "a" {
			<-end
		}
	}))
	defer close(end)
	s := crew.sim(Upstream{Extra: map[string]any{"read_timeout": 1}})
	front := s.Front("shop-front")
	wantEqual(t, ask(t, front, "POST", visitor, 1), "!504")
	wantEqual(t, ask(t, front, "GET", visitor, 2), "bb") // one failure is enough for a while
}

// The rules by time, on peers without a network.
func TestAMemberThatFailsIsTriedAgainAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Upstreams: []Upstream{{Name: "shop-front", Backends: []Backend{{Address: "192.0.2.11"}, {Address: "192.0.2.12"}}}}})
		f := s.Front("shop-front").(*front)
		turn := func(fails string) (out string) {
			for range 4 {
				p, _ := f.choose(visitor, nil)
				f.done(p, p.name == fails)
				out += p.name[len(p.name)-4 : len(p.name)-3]
			}
			return out
		}
		wantEqual(t, turn(""), "1212")
		first := turn("192.0.2.12:80")
		wantEqual(t, first, "1211")
		time.Sleep(failTimeout)
		wantEqual(t, turn(""), "1111")
		time.Sleep(time.Second)
		wantEqual(t, strings.Count(turn("192.0.2.12:80"), "2"), 1) // one try
		time.Sleep(failTimeout + time.Second)
		wantEqual(t, strings.Contains(turn(""), "2"), true)
		got := []byte(turn(""))
		slices.Sort(got)
		wantEqual(t, string(got), "1122")
	})
}
