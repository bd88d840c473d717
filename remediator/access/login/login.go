// Package login lets people into the console: it joins the gate, which knows the
// users and what everybody may, with sessions and the provider that they log in by.
package login

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/access/oidc"
	"github.com/sluice-project/sluice/remediator/access/session"
)

// Paths are those that [Login.Handler] serves and the gate has to let everybody
// through to, without prefix.
func Paths() []string {
	return []string{session.Login, session.Logout, oidc.Start, oidc.Callback}
}

// Options of [New].
type Options struct {
	Gate *access.Gate
	// Route is the path before our own routes, External that of links in pages; both
	// are empty or begin, and never end, with a slash.
	Route, External string
	// Origin is scheme and host of --web.external-url; empty where there is none.
	Origin string

	Logger     log.Logger
	Registerer prometheus.Registerer // nil: nothing is counted
}

// Login is the gate's source of people who use a browser.
type Login struct {
	gate     *access.Gate
	logger   log.Logger
	sessions *session.Sessions
	flow     *oidc.Flow
	metrics  *metrics
	config   atomic.Pointer[access.Config]
}

var _ access.Source = (*Login)(nil)

// New returns a log-in by which nobody comes in before [Login.Prepare].
func New(o Options) *Login {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	l := &Login{gate: o.Gate, logger: o.Logger, metrics: newMetrics(o.Registerer)}
	l.sessions = session.New(session.Options{
		Config: limits(nil), Route: o.Route, External: o.External, Origin: o.Origin,
		Password: l.password, Usable: o.Gate.HasPasswords,
		Provider: func() session.Provider { return l.flow.Provider() },
		Logger:   o.Logger, Registerer: o.Registerer,
	})
	external := ""
	if o.Origin != "" {
		external = o.Origin + o.External
	}
	l.flow = oidc.New(oidc.Options{
		Sessions: l.sessions, External: external, Taken: l.taken, Logger: o.Logger, Done: l.metrics.oidc,
	})
	return l
}

// limits are those of the section; without one, nobody has a session.
func limits(c *access.Config) session.Config {
	var s session.Config
	if c != nil {
		s = c.Sessions
	}
	s.Validate() // fills in what is left out; the rest was judged with the file
	return s
}

// Prepare makes a configuration ready; commit puts it in force. Nil: there is no
// section. Commit it after the gate's own: sessions of users who changed end here.
func (l *Login) Prepare(c *access.Config) (commit func(), err error) {
	var provider *oidc.Config
	if c != nil {
		provider = c.OIDC
	}
	use, err := l.flow.Prepare(provider)
	if err != nil {
		return nil, err
	}
	return func() {
		use()
		l.config.Store(c)
		l.sessions.Use(limits(c))
		if n := l.sessions.End(func(who session.Who) bool { return c == nil || !l.still(who) }); n > 0 {
			level.Info(l.logger).Log("msg", "sessions ended, as their users are others now", "sessions", n)
		}
	}, nil
}

// Handler serves [Paths], without the route prefix.
func (l *Login) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(session.Login, l.sessions.Handler())
	mux.Handle(session.Logout, l.sessions.Handler())
	mux.Handle("/console/oidc/", l.flow.Handler())
	return mux
}

// Ask sends a browser to the log-in page.
func (l *Login) Ask(w http.ResponseWriter, r *http.Request) { l.sessions.Ask(w, r) }

// Visit finds out whose session a request carries. Their roles are those that the
// configuration in force gives them.
func (l *Login) Visit(r *http.Request) (*access.Visit, error) {
	with, e, leave, err := l.sessions.Enter(r)
	switch {
	case e == nil:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", access.ErrForged, err)
	}
	who, known := l.identity(e.Who)
	if !known {
		leave()
		l.sessions.End(func(who session.Who) bool { return !l.still(who) })
		return nil, nil
	}
	return &access.Visit{Request: with, Identity: who, Leave: leave}, nil
}

func (l *Login) identity(who session.Who) (access.Identity, bool) {
	if !l.still(who) {
		return access.Identity{}, false
	}
	if who.Via == oidc.Via {
		return l.gate.WithRoles(who.Name, access.ViaSession, who.Roles), true
	}
	return l.gate.User(who.Name, access.ViaSession)
}

// still says whether somebody would be logged in as the same by what is in force.
func (l *Login) still(who session.Who) bool {
	if who.Via == oidc.Via {
		return l.flow.Still(who) && !l.taken(who.Name)
	}
	return who.Stamp != "" && who.Stamp == l.gate.Stamp(who.Name)
}

// taken says whether the journal means somebody of the configuration by the name, or
// people who read it would: many providers let people choose theirs.
func (l *Login) taken(name string) bool {
	if strings.EqualFold(name, "sluice") { // who freezes when the journal was set aside
		return true
	}
	c := l.config.Load()
	if c == nil {
		return false
	}
	for _, u := range c.Users {
		if strings.EqualFold(u.Name, name) {
			return true
		}
	}
	for _, t := range c.Tokens {
		if t.User == "" && strings.EqualFold(t.Name, name) {
			return true
		}
	}
	return false
}

// password asks the gate, which counts failures and locks out.
func (l *Login) password(r *http.Request, name, password string) (session.Who, error) {
	// Before the password is looked at: one that is swapped meanwhile ends the session.
	stamp := l.gate.Stamp(name)
	_, err := l.gate.Login(r, name, password)
	var locked *access.LockedError
	switch {
	case errors.As(err, &locked):
		return session.Who{}, &session.LockedError{For: locked.For}
	case errors.Is(err, access.ErrWrong):
		return session.Who{}, session.ErrWrong
	case err != nil:
		return session.Who{}, err
	}
	return session.Who{Name: name, Via: access.ViaPassword, Stamp: stamp}, nil
}
