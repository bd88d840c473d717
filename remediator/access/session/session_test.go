package session

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
)

// config is a good one, with what was left out filled in.
func config(t *testing.T, c Config) Config {
	t.Helper()
	if m := c.Validate(); len(m) > 0 {
		t.Fatal(m)
	}
	return c
}

// start logs a browser in and returns what it sends from then on.
func start(s *Sessions, who Who, carried ...*http.Cookie) []*http.Cookie {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/console/login", nil)
	for _, c := range carried {
		r.AddCookie(c)
	}
	s.Start(w, r, who)
	return w.Result().Cookies()[:1]
}

func request(method string, cookies []*http.Cookie) *http.Request {
	r := httptest.NewRequest(method, "/console/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func alive(s *Sessions, cookies []*http.Cookie) bool {
	_, ok := s.Of(request(http.MethodGet, cookies))
	return ok
}

func TestSessionsEndInTime(t *testing.T) {
	for name, c := range map[string]struct {
		uses time.Duration // between two requests
		want time.Duration // until it is over
	}{
		"it isn't used":                  {0, 30 * time.Minute},
		"it is used now and then":        {20 * time.Minute, 12 * time.Hour},
		"it is used when it is too late": {31 * time.Minute, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Options{Config: config(t, Config{})})
				cookies := start(s, Who{Name: "ann"})
				began := time.Now()
				e, ok := s.Of(request(http.MethodGet, cookies))
				if !ok {
					t.Fatal("there is no session")
				}
				if c.uses > 0 {
					go func() {
						next := time.NewTicker(c.uses)
						for range 100 { // not for ever, where the session has no end
							select {
							case <-next.C:
								alive(s, cookies)
							case <-e.done:
								return
							}
						}
					}()
				}
				<-e.done
				if got := time.Since(began); got != c.want {
					t.Errorf("over after %s, want %s", got, c.want)
				}
				if alive(s, cookies) || s.Count() != 0 {
					t.Error("the session is still there")
				}
			})
		})
	}
}

func TestANewLimitHoldsForSessionsThatThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Config: config(t, Config{})})
		first := start(s, Who{Name: "ann"})
		time.Sleep(time.Second)
		second := start(s, Who{Name: "ann"})
		e, _ := s.Of(request(http.MethodGet, second))
		s.Use(config(t, Config{Idle: model.Duration(2 * time.Minute), Max: 1}))
		if alive(s, first) {
			t.Error("there are more than are allowed")
		}
		began := time.Now()
		<-e.done
		if got := time.Since(began); got != 2*time.Minute {
			t.Errorf("over after %s", got)
		}
	})
}

func TestTheOldestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		s := New(Options{Config: config(t, Config{Max: 4, MaxUser: 2}), Registerer: reg})
		browser := map[string][]*http.Cookie{}
		for _, b := range []struct{ name, user string }{{"a1", "ann"}, {"b1", "bob"}, {"a2", "ann"}, {"b2", "bob"}} {
			browser[b.name] = start(s, Who{Name: b.user})
			time.Sleep(time.Second)
		}
		there := func() (names []string) {
			for _, name := range []string{"a1", "a2", "a3", "b1", "b2", "c1"} {
				// Not by Of: a look is a use.
				r := request(http.MethodGet, browser[name])
				if _, ok := s.all[s.carried(r)]; ok {
					names = append(names, name)
				}
			}
			return names
		}
		alive(s, browser["a1"]) // a use: a2 is the older of ann's now
		time.Sleep(time.Second)
		browser["a3"] = start(s, Who{Name: "ann"})
		if diff := cmp.Diff([]string{"a1", "a3", "b1", "b2"}, there()); diff != "" {
			t.Error("the user's own goes first:", diff)
		}
		browser["c1"] = start(s, Who{Name: "carol"})
		if diff := cmp.Diff([]string{"a1", "a3", "b2", "c1"}, there()); diff != "" {
			t.Error("then the oldest of all:", diff)
		}
		families, err := reg.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "sluice_access_sessions" {
			t.Fatal(families, err)
		}
		if got := families[0].GetMetric()[0].GetGauge().GetValue(); got != 4 {
			t.Errorf("sluice_access_sessions %v", got)
		}
	})
}

func TestALogInNeverKeepsTheNameOfASession(t *testing.T) {
	s := New(Options{Config: config(t, Config{})})
	first := start(s, Who{Name: "ann"})
	second := start(s, Who{Name: "ann"}, first...)
	if first[0].Value == second[0].Value {
		t.Error("the new session has the old one's name")
	}
	if alive(s, first) {
		t.Error("the session before the log-in is still there")
	}
	planted := &http.Cookie{Name: first[0].Name, Value: "planted-by-somebody-else"}
	third := start(s, Who{Name: "ann"}, planted)
	if third[0].Value == planted.Value || alive(s, []*http.Cookie{planted}) {
		t.Error("a planted name became a session's")
	}
	if !alive(s, second) || !alive(s, third) {
		t.Error("another browser's session ended")
	}
	if alive(s, []*http.Cookie{planted, third[0]}) || alive(s, []*http.Cookie{third[0], planted}) {
		t.Error("of two cookies of the same name one was believed")
	}
}

func TestSessionsOfAUserWhoChangedEnd(t *testing.T) {
	s := New(Options{Config: config(t, Config{})})
	ann := start(s, Who{Name: "ann", Via: "password", Stamp: "old"})
	bob := start(s, Who{Name: "bob", Via: "password", Stamp: "same"})
	if n := s.End(func(w Who) bool { return w.Stamp != "same" }); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if alive(s, ann) || !alive(s, bob) {
		t.Error("the wrong session ended")
	}
}

func TestAStreamDoesntOutlastItsSession(t *testing.T) {
	s := New(Options{Config: config(t, Config{})})
	cookies := start(s, Who{Name: "ann"})
	r, e, leave, err := s.Enter(request(http.MethodGet, cookies))
	if err != nil || e == nil {
		t.Fatal(e, err)
	}
	defer leave()
	if From(r.Context()) != e || CSRF(r) == "" {
		t.Error("the request doesn't know its session")
	}

	order := request(http.MethodPost, cookies)
	order.Header.Set(Header, CSRF(r))
	order, _, leaveOrder, err := s.Enter(order)
	if err != nil {
		t.Fatal(err)
	}
	defer leaveOrder()

	s.End(func(Who) bool { return true })
	<-r.Context().Done()
	if err := order.Context().Err(); err != nil {
		t.Error("an order under way was given up:", err)
	}

	r, e, leave, err = s.Enter(request(http.MethodGet, cookies))
	leave()
	if e != nil || err != nil || CSRF(r) != "" || From(context.Background()) != nil {
		t.Errorf("there is a session still: %v, %v", e, err)
	}
}

func TestConfig(t *testing.T) {
	minutes := func(n int) model.Duration { return model.Duration(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		config Config
		want   edge.Mistakes
		filled Config
	}{
		"all left out":                 {filled: Config{minutes(30), minutes(12 * 60), 1000, 10}},
		"a short life has short pause": {Config{Lifetime: minutes(10)}, nil, Config{minutes(10), minutes(10), 1000, 10}},
		"few for all are few for one":  {Config{Max: 3}, nil, Config{minutes(30), minutes(12 * 60), 3, 3}},
		"seconds": {
			config: Config{Idle: model.Duration(time.Second)},
			want:   edge.Mistakes{{Path: "idle", Text: "1s: write 1m to lifetime, 12h"}},
		},
		"longer idle than alive": {
			config: Config{Idle: minutes(61), Lifetime: minutes(60)},
			want:   edge.Mistakes{{Path: "idle", Text: "1h1m: write 1m to lifetime, 1h"}},
		},
		"for ever": {
			config: Config{Lifetime: minutes(31 * 24 * 60)},
			want:   edge.Mistakes{{Path: "lifetime", Text: "31d: write 1m to 30d"}},
		},
		"numbers": {
			config: Config{Max: -1, MaxUser: -2},
			want: edge.Mistakes{
				{Path: "max", Text: "-1: write 1 to 100000"}, {Path: "max_user", Text: "-2: write 1 to max, -1"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.config.Validate()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if len(got) == 0 {
				if diff := cmp.Diff(c.filled, c.config); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
