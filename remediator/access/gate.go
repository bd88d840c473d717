package access

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// Why somebody isn't let in.
var (
	ErrMissing = errors.New("authentication is missing: send Authorization: Bearer TOKEN, or a name and a password")
	ErrWrong   = errors.New("the token, or the name or password, is wrong")
	ErrExpired = errors.New("the token has expired: use another one")
	ErrHeader  = errors.New("the header Authorization can't be read: send it once, as Bearer TOKEN or Basic")
	ErrForged  = errors.New("this request doesn't come from a page of ours")
)

// Web is what the web server in front has checked before a request comes here.
type Web struct {
	Users        bool // the header Authorization is a user of its own, with the right password
	Certificates bool // nobody comes through without a certificate that it trusts
}

// Asks says whether nobody comes through unknown.
func (w Web) Asks() bool { return w.Users || w.Certificates }

// A Visit is a request of somebody whom a [Source] knows.
type Visit struct {
	Request  *http.Request // as it is to be served
	Identity Identity
	Leave    func() // called when it has been served; may be nil
}

// A Source knows whom a request is from by what isn't in its header
// Authorization: the session of a browser.
type Source interface {
	// Visit returns nil where the request has nothing of its kind. An error is
	// answered with 403 when it is [ErrForged], and with 401 otherwise.
	Visit(r *http.Request) (*Visit, error)
	// Ask sends a browser that asked for a page to where somebody can log in.
	Ask(w http.ResponseWriter, r *http.Request)
}

// Options of [New].
type Options struct {
	Config *Config // validated; nil: there is no section, and whom the web server lets in may do everything
	Prefix string  // that stands before all paths of ours
	// Public are paths that need nobody, without prefix. A slash at the end stands
	// for all below.
	Public []string
	// Web is asked for each request. Without a section its error refuses the request.
	// Nil: the web server checks nothing.
	Web func() (Web, error)
	// Deny answers a request that isn't let in; [Code] and [Headers] say how. Nil:
	// this package's own answer.
	Deny func(w http.ResponseWriter, r *http.Request, err error)
	// Known is told whom each request that is let in is from; by [ViaNothing], that
	// nobody was asked. Nil: nobody wants to know.
	Known func(r *http.Request, i Identity)

	Registerer prometheus.Registerer // nil: nothing is counted
}

// A Gate stands in front of everything and finds out whom a request is from.
type Gate struct {
	o       Options
	metrics *metrics
	state   atomic.Pointer[state]
	source  Source

	passwords *passwords
	names     *lockout // of users that there are
	strangers *lockout // of names that nobody has
	addresses *lockout

	mu      sync.Mutex
	friends map[string][]netip.Prefix // from where a user logged in last
}

// New reads the configuration's files, and returns a gate that judges by them.
func New(o Options) (*Gate, error) {
	g := &Gate{
		o: o, passwords: newPasswords(),
		names: newLockout(freeByName), strangers: newLockout(freeByName), addresses: newLockout(freeByAddress),
		friends: map[string][]netip.Prefix{},
	}
	g.metrics = newMetrics(o.Registerer, g)
	if err := g.Use(o.Config); err != nil {
		return nil, err
	}
	return g, nil
}

// Use puts another configuration in force, with its files read anew, or leaves all
// as it was. Requests under way end under the one that they came in by.
func (g *Gate) Use(c *Config) error {
	commit, err := g.Prepare(c)
	if err == nil {
		commit()
	}
	return err
}

// Prepare is [Gate.Use] in two parts, for whoever has more to make sure of before
// anything changes.
func (g *Gate) Prepare(c *Config) (commit func(), err error) {
	var s *state
	if c != nil {
		if s, err = newState(c); err != nil {
			return nil, err
		}
	}
	return func() {
		g.state.Store(s)
		g.mu.Lock()
		defer g.mu.Unlock()
		for name := range g.friends {
			if s == nil || s.users[name] == nil {
				delete(g.friends, name)
			}
		}
	}, nil
}

// UseSource adds sessions, and paths that need nobody. Call it before requests come.
func (g *Gate) UseSource(s Source, public ...string) {
	g.source = s
	g.o.Public = append(slices.Clone(g.o.Public), public...)
}

// Handler lets through to next whom we know, with their [Identity] in the
// request's context.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.public(r) {
			nobody := Identity{Via: ViaNothing}
			if g.o.Known != nil {
				g.o.Known(r, nobody)
			}
			next.ServeHTTP(w, r.WithContext(With(r.Context(), nobody)))
			return
		}
		v, err := g.visit(r)
		if err != nil {
			g.deny(w, r, err)
			return
		}
		if v.Leave != nil {
			defer v.Leave()
		}
		if g.o.Known != nil {
			g.o.Known(r, v.Identity)
		}
		next.ServeHTTP(w, v.Request.WithContext(With(v.Request.Context(), v.Identity)))
	})
}

// public says whether the path needs nobody, as it is written: what only becomes
// such a path when it is decoded or cleaned doesn't.
func (g *Gate) public(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), g.o.Prefix)
	if !ok || strings.Contains(path, "/.") {
		return false
	}
	return slices.ContainsFunc(g.o.Public, func(p string) bool {
		return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
	})
}

func (g *Gate) visit(r *http.Request) (*Visit, error) {
	s := g.state.Load()
	var web Web
	if g.o.Web != nil {
		var err error
		if web, err = g.o.Web(); err != nil && s == nil {
			return nil, err
		}
	}
	if s == nil {
		i := unasked(r, web)
		i.still = func() bool { return g.state.Load() == nil }
		return g.seen(r, i), nil
	}
	switch values := r.Header.Values("Authorization"); {
	case len(values) > 1, len(values) == 1 && len(values[0]) > mostHeader:
		return nil, ErrHeader
	case len(values) == 1:
		i, err := g.authorize(r, s, web, values[0])
		return g.seen(r, i), err
	}
	if g.source != nil {
		if v, err := g.source.Visit(r); v != nil || err != nil {
			if v != nil {
				v.Identity.refused = g.metrics.refuse
			}
			return v, err
		}
	}
	for _, name := range certified(r) {
		if u := s.users[name]; u != nil {
			return g.seen(r, g.as(s, u, ViaCertificate)), nil
		}
	}
	return nil, ErrMissing
}

func (g *Gate) seen(r *http.Request, i Identity) *Visit {
	i.refused = g.metrics.refuse
	return &Visit{Request: r, Identity: i}
}

// unasked is whom a request is from where there is no section: whoever came this
// far may do everything.
func unasked(r *http.Request, web Web) Identity {
	i := Open(cmp.Or(basicUser(r), remoteHost(r)))
	switch names := certified(r); {
	case web.Users:
		i.Via = ViaWeb
	case web.Certificates && len(names) > 0:
		i.Via, i.Name = ViaCertificate, names[0]
	}
	return i
}

func basicUser(r *http.Request) string {
	user, _, _ := r.BasicAuth()
	return user
}

// authorize judges the header Authorization.
func (g *Gate) authorize(r *http.Request, s *state, web Web, header string) (Identity, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Basic"):
		name, password, ok := basic(rest)
		if !ok {
			return Identity{}, ErrHeader
		}
		if web.Users {
			if u := s.users[name]; u != nil {
				return g.as(s, u, ViaWeb), nil
			}
			return Identity{Name: name, Via: ViaWeb}, nil // may nothing; the refusal says so by name
		}
		return g.login(r.Context(), s, s.from(r), name, password)
	case strings.EqualFold(scheme, "Bearer"):
		if rest == "" {
			return Identity{}, ErrMissing
		}
		return g.bearer(r, s, rest)
	}
	return Identity{}, ErrHeader
}

// basic decodes what net/http's BasicAuth does, from the one header that we looked at.
func basic(encoded string) (name, password string, ok bool) {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(text) {
		return "", "", false
	}
	return strings.Cut(string(text), ":")
}

func (g *Gate) bearer(r *http.Request, s *state, text string) (Identity, error) {
	from, now := s.from(r).String(), time.Now()
	t := s.token(sumOf(text))
	// A token that was made by chance is nobody's lucky guess: it works whatever
	// others do from the same address. A short one has to wait like a password.
	if t == nil || t.weak {
		wait := g.addresses.locked(from, now)
		if wait == 0 && t == nil {
			wait = g.addresses.take(from, now)
		}
		if wait > 0 {
			return Identity{}, g.metrics.login(&LockedError{wait})
		}
	}
	switch {
	case t == nil:
		return Identity{}, g.metrics.login(ErrWrong)
	case t.over(now):
		return Identity{}, g.metrics.login(ErrExpired)
	}
	i := t.identity
	i.still = g.stays(s, func(now *state) bool {
		o := now.token(t.sum)
		return o != nil && !o.over(time.Now()) && slices.Equal(o.identity.Roles, t.identity.Roles)
	})
	if t.nameless {
		i.Name = remoteHost(r)
	}
	return i, g.metrics.login(nil)
}

// Login checks a name and a password that came with r, by a form, say. It counts
// as a log-in: the error may be [ErrWrong], a [*LockedError] or [ErrBusy].
func (g *Gate) Login(r *http.Request, name, password string) (Identity, error) {
	s := g.state.Load()
	if s == nil {
		return Identity{}, ErrWrong // nobody has to log in, nobody can
	}
	i, err := g.login(r.Context(), s, s.from(r), name, password)
	i.refused = g.metrics.refuse
	return i, err
}

func (g *Gate) login(ctx context.Context, s *state, from netip.Prefix, name, password string) (Identity, error) {
	u := s.users[name]
	hash, names := s.dummy, g.strangers
	if u != nil && u.hash != "" {
		hash, names = u.hash, g.names
	}
	key := name[:min(len(name), 128)]
	// Somebody who doesn't know the password must not lock out the one who does, and
	// came from elsewhere before.
	friend := g.isFriend(name, from)
	now := time.Now()
	wait := g.addresses.locked(from.String(), now)
	if !friend {
		wait = max(wait, names.locked(key, now))
	}
	if wait > 0 {
		return Identity{}, g.metrics.login(&LockedError{wait})
	}
	admit := func() error {
		now := time.Now() // it may have waited
		if wait := g.addresses.take(from.String(), now); wait > 0 {
			return &LockedError{wait}
		}
		if friend {
			return nil
		}
		if wait := names.take(key, now); wait > 0 {
			g.addresses.give(from.String())
			return &LockedError{wait}
		}
		return nil
	}
	admitted := false
	ok, err := g.passwords.check(ctx, from.String(), name, hash, password, func() error {
		err := admit()
		admitted = err == nil
		return err
	})
	switch {
	case err != nil:
		return Identity{}, g.metrics.login(err)
	case !ok:
		return Identity{}, g.metrics.login(ErrWrong)
	}
	if admitted {
		g.addresses.give(from.String())
		names.forget(key)
		g.befriend(name, from)
	}
	return g.as(s, u, ViaPassword), g.metrics.login(nil)
}

// as is a user who came in some way, as long as nothing about them changes.
func (g *Gate) as(s *state, u *user, via string) Identity {
	i := u.identity
	i.Via = via
	i.still = g.stays(s, func(now *state) bool {
		o := now.users[i.Name]
		return o != nil && o.hash == u.hash && slices.Equal(o.identity.Roles, i.Roles)
	})
	return i
}

// stays says whether what was found in one state is so in that in force.
func (g *Gate) stays(then *state, still func(now *state) bool) func() bool {
	return func() bool {
		now := g.state.Load()
		return now != nil && reflect.DeepEqual(now.config.Roles, then.config.Roles) && still(now)
	}
}

const mostFriends = 8

func (g *Gate) isFriend(name string, from netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.friends[name], from)
}

func (g *Gate) befriend(name string, from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := slices.DeleteFunc(g.friends[name], func(p netip.Prefix) bool { return p == from })
	g.friends[name] = append(all[max(0, len(all)-mostFriends+1):], from)
}

// User is somebody of the configuration by name, who proved it in some other way.
// It is false when there is nobody of that name (any more).
func (g *Gate) User(name, via string) (Identity, bool) {
	s := g.state.Load()
	if s == nil || s.users[name] == nil {
		return Identity{}, false
	}
	i := g.as(s, s.users[name], via)
	i.refused = g.metrics.refuse
	return i, true
}

// WithRoles is somebody whom another authority knows and gave roles of ours. Those
// that there are no more are left out.
func (g *Gate) WithRoles(name, via string, roles []string) Identity {
	s := g.state.Load()
	if s == nil {
		s = &state{config: &Config{}}
	}
	i := s.identity(name, via, roles)
	i.refused = g.metrics.refuse
	i.still = g.stays(s, func(now *state) bool { return slices.Equal(now.identity(name, via, roles).Roles, i.Roles) })
	return i
}

// Stamp stands for a user's password and roles: when it changes, what was begun
// with the older ones should end. It is worth nothing to anybody else.
func (g *Gate) Stamp(name string) string {
	s := g.state.Load()
	if s == nil || s.users[name] == nil {
		return ""
	}
	u := s.users[name]
	id := g.passwords.sum(name, u.hash, strings.Join(u.identity.Roles, "\n"))
	return base64.RawStdEncoding.EncodeToString(id[:])
}

// HasPasswords says whether anybody could log in by a password.
func (g *Gate) HasPasswords() bool {
	s := g.state.Load()
	return s != nil && s.dummy != ""
}

// certified are the names in a certificate that the web server has checked: the
// common name, then the alternative ones.
func certified(r *http.Request) []string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	c := r.TLS.PeerCertificates[0]
	all := []string{c.Subject.CommonName}
	all = append(append(all, c.DNSNames...), c.EmailAddresses...)
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// remoteHost names who sent a request and gave no name.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return cmp.Or(strings.TrimSpace(r.RemoteAddr), "unknown") // a unix socket has no port
	}
	return host
}
