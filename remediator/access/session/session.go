// Package session keeps people who use a browser logged in: a log-in page, a
// cookie, and what goes with a cookie, which a browser sends by itself. Each request
// of a session that changes something has to prove that a page of ours made it.
//
// What a cookie holds is kept as its hash only, in memory: nobody stays logged in
// over a restart, and who reads the memory can't log in.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Who is whom a session belongs to.
type Who struct {
	Name  string
	Via   string   // how they proved it: password or oidc
	Roles []string // those that came with the proof; empty where the configuration gives them by name
	// Stamp is what the session rests on, the user's password hash and roles, say, in
	// whatever form. This package only keeps it, for [Sessions.End].
	Stamp string
}

// Options of [New].
type Options struct {
	Config Config
	// Route is the path before our own routes, External that of links in pages. Both
	// are empty or begin, and never end, with a slash.
	Route, External string
	// Origin is the scheme and host of --web.external-url, such as
	// https://sluice.example.com; empty where there is none.
	Origin string
	// Password checks a name and a password. It returns [ErrWrong] or a [LockedError]
	// where that is the reason; any other error is ours, and not shown. Nil: nobody
	// logs in by password.
	Password func(r *http.Request, name, password string) (Who, error)
	// Usable says whether there is anybody who could log in by password: the form
	// isn't shown otherwise. Nil: there is.
	Usable func() bool
	// Provider is another way to log in; nil, or empty when called: there is none.
	Provider   func() Provider
	Logger     log.Logger
	Registerer prometheus.Registerer // nil: nothing is counted
}

// A Provider is where else somebody can log in.
type Provider struct {
	Name string // as people know it
	Path string // of the page that sends them there, without prefix
}

// Sessions are those of all users. Its methods may be called from several
// goroutines.
type Sessions struct {
	o        Options
	loginKey []byte // of the form that is sent before there is a session
	cross    *http.CrossOriginProtection
	number   prometheus.Gauge

	mu     sync.Mutex
	config Config
	all    map[key]*Session
}

// A key is the hash of what the cookie holds.
type key [sha256.Size]byte

// A Session is one browser of one user.
type Session struct {
	Who     Who
	Started time.Time

	key    key
	secret [tokenSize]byte // what [CSRF] tokens are made of
	seen   time.Time
	over   *time.Timer
	done   chan struct{} // closed when the session has ended
}

// New returns sessions of which there are none yet.
func New(o Options) *Sessions {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	s := &Sessions{
		o: o, config: o.Config, all: map[key]*Session{},
		loginKey: make([]byte, tokenSize), cross: http.NewCrossOriginProtection(),
		number: promauto.With(o.Registerer).NewGauge(prometheus.GaugeOpts{
			Name: "sluice_access_sessions",
			Help: "Browsers that are logged in to the console.",
		}),
	}
	rand.Read(s.loginKey) // never fails, since Go 1.24
	if o.Origin != "" {
		// Behind a proxy that changes the header Host a browser's Origin is the proxy's.
		if err := s.cross.AddTrustedOrigin(o.Origin); err != nil {
			level.Warn(o.Logger).Log("msg", "external URL is no origin that a browser names", "origin", o.Origin, "err", err)
		}
	}
	return s
}

// Use takes the limits of a new configuration, also for sessions that there are.
func (s *Sessions) Use(c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = c
	for _, e := range s.all {
		s.watch(e)
	}
	for len(s.all) > c.Max {
		s.end(s.oldest(func(*Session) bool { return true }))
	}
}

// Start logs a browser in: a new session, with a new name, that takes the place of
// the one that r carries. Where there are too many, the user's own that was used
// least lately ends, and only then another's.
func (s *Sessions) Start(w http.ResponseWriter, r *http.Request, who Who) {
	id := make([]byte, tokenSize)
	now := time.Now()
	e := &Session{Who: who, Started: now, seen: now, done: make(chan struct{})}
	rand.Read(id)          // never fails, since Go 1.24
	rand.Read(e.secret[:]) // never fails, since Go 1.24
	text := encode(id)
	e.key = hashed(text)

	s.mu.Lock()
	if old, ok := s.all[s.carried(r)]; ok {
		s.end(old)
	}
	own := func(o *Session) bool { return o.Who.Name == who.Name && o.Who.Via == who.Via }
	n := 0
	for _, o := range s.all {
		if own(o) {
			n++
		}
	}
	for ; n >= s.config.MaxUser; n-- {
		s.end(s.oldest(own))
	}
	for len(s.all) >= s.config.Max {
		s.end(s.oldest(func(*Session) bool { return true }))
	}
	s.all[e.key] = e
	s.watch(e)
	s.number.Set(float64(len(s.all)))
	s.mu.Unlock()

	s.set(w, r, sessionCookie, text, 0)
	s.drop(w, r, loginCookie)
	level.Info(s.o.Logger).Log("msg", "logged in", "user", who.Name, "via", who.Via, "remote", r.RemoteAddr)
}

// Of returns the session that a request carries, if it carries one.
func (s *Sessions) Of(r *http.Request) (*Session, bool) {
	k := s.carried(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.all[k]
	if !ok {
		return nil, false
	}
	now := time.Now()
	if !now.Before(s.ends(e)) {
		s.end(e)
		return nil, false
	}
	e.seen = now
	s.watch(e)
	return e, true
}

// Enter is what a middleware does with a request: it finds the session, if there
// is one, and lets nothing pass that another site's page could have sent. The
// request that it returns knows its session, for [CSRF]; when that ends, so does a
// request that only reads: a stream of events doesn't outlast a log-out. Call leave
// when the request has been served.
func (s *Sessions) Enter(r *http.Request) (with *http.Request, e *Session, leave func(), err error) {
	e, ok := s.Of(r)
	if !ok {
		return r, nil, func() {}, nil
	}
	if err := s.Check(r, e); err != nil {
		return r, e, func() {}, err
	}
	ctx := With(r.Context(), e)
	if !safe(r.Method) {
		return r.WithContext(ctx), e, func() {}, nil // an order that began is carried out
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-e.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return r.WithContext(ctx), e, cancel, nil
}

// End ends the sessions that over says so of, and returns how many: those of users
// who changed, or are no more, in a new configuration.
func (s *Sessions) End(over func(Who) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, e := range s.all {
		if over(e.Who) {
			s.end(e)
			n++
		}
	}
	return n
}

// Count is how many sessions there are.
func (s *Sessions) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// ends is when a session is over unless it is used. Call it with the lock held, as
// all below.
func (s *Sessions) ends(e *Session) time.Time {
	idle, last := e.seen.Add(time.Duration(s.config.Idle)), e.Started.Add(time.Duration(s.config.Lifetime))
	if last.Before(idle) {
		return last
	}
	return idle
}

// watch makes a session end in time though nobody asks for it any more.
func (s *Sessions) watch(e *Session) {
	wait := time.Until(s.ends(e))
	if e.over != nil {
		e.over.Reset(wait)
		return
	}
	e.over = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.all[e.key] == e && !time.Now().Before(s.ends(e)) {
			s.end(e)
		}
	})
}

func (s *Sessions) end(e *Session) {
	e.over.Stop()
	close(e.done)
	delete(s.all, e.key)
	s.number.Set(float64(len(s.all)))
}

// oldest is the session among some that was used least lately.
func (s *Sessions) oldest(among func(*Session) bool) *Session {
	var found *Session
	for _, e := range s.all {
		if among(e) && (found == nil || e.seen.Before(found.seen)) {
			found = e
		}
	}
	return found
}

type contextKey struct{}

// With returns a context whose requests carry the session.
func With(ctx context.Context, e *Session) context.Context {
	return context.WithValue(ctx, contextKey{}, e)
}

// From returns the session of a request's context; nil where there is none.
func From(ctx context.Context) *Session {
	e, _ := ctx.Value(contextKey{}).(*Session)
	return e
}
