// Package ptafprotest stands in for a PTAF PRO in tests: its API v4 in memory,
// with log-in, tenants and rotating tokens, which can misbehave. It is a reading
// of its own of what is known about the device and shares no code with the
// client, so that one mistake is not made twice. What nobody has seen is marked
// as a guess.
package ptafprotest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Base is the path below which the API lives. Source: all known clients.
const Base = "/api/ptaf/v4"

// DefaultTenant is the id of the default tenant. Source: facts A2.1.
const DefaultTenant = "00000000-0000-0000-0000-000000000000"

const maxBody = 8 << 20

// slow is how late [Slow] answers.
const slow = 500 * time.Millisecond

// A Tenant is a part of the device with its own objects.
type Tenant struct {
	ID, Name string
	Default  bool
}

// A Backend is one upstream server. An empty ID is made up; Port 0 is 80,
// Protocol "HTTP". Extra has fields that the API may hold beside those that are
// known; it also overrides them.
type Backend struct {
	ID, Address string
	Port        int
	Protocol    string
	Disabled    bool
	Tenant      string // id or name; empty: the default one
	Extra       map[string]any
}

// An Entry is a backend's place in a profile. Weight and MaxFails are left out when nil.
type Entry struct {
	Backend          string // id or "address:port"
	Weight, MaxFails *int
}

// A Profile is a traffic profile. An empty ID is made up; Balancer is
// "STATIC_BALANCER", ListenPort 443 and Protocol "HTTPS" when left out.
type Profile struct {
	ID, Name   string
	Balancer   string
	ListenPort int
	Protocol   string
	Backends   []Entry
	Tenant     string
	Extra      map[string]any
}

// An Application is what is protected; it begins in ACTIVE_PREVENTION.
type Application struct {
	ID, Name       string
	ProtectionMode string
	Hosts          []string
	Profiles       []string // ids or names
	Tenant         string
	Extra          map[string]any
}

// Options say what the device is like.
type Options struct {
	Username, Password string   // sluice and not-a-real-password when both are empty
	Token              string   // a static API token that is accepted too; empty: none
	TokenTenant        string   // whose it is; empty: the default one
	Tenants            []Tenant // none: one, "default", with the all-zero UUID
	Backends           []Backend
	Profiles           []Profile
	Applications       []Application

	ReadOnlyEnabled bool          // a write of enabled is refused with 422
	NoEnabled       bool          // backends don't show enabled
	Lifetime        time.Duration // of access tokens; zero: five minutes
	Instance        string        // the cookie af_instance must have this value; empty: it isn't asked for
}

// A Write is a PATCH that came, whatever became of it.
type Write struct {
	Kind   string // "backend" or "application"
	ID     string // in its path
	Body   []byte
	Status int // 0: it was never answered
	At     time.Time
}

// Sim is a PTAF PRO in memory: an [http.Handler] below [Base].
type Sim struct {
	o Options

	mu           sync.Mutex
	tenants      []Tenant
	backends     []*entity
	profiles     []*entity
	applications []*entity
	sessions     map[string]*login // by each refresh token that was ever given out
	access       map[string]*pass  // by access token
	tokens       int               // given out
	faults       map[trouble]int
	shape        int // errors given while ErrorShapes
	turn         int // GETs given while ReorderedBackends
	calls        int
	logins       int
	renewals     int
	writes       []Write
}

// New makes one.
func New(o Options) *Sim {
	if o.Username == "" && o.Password == "" {
		o.Username, o.Password = "sluice", "not-a-real-password"
	}
	if o.Lifetime == 0 {
		o.Lifetime = 5 * time.Minute // guess
	}
	s := &Sim{o: o, tenants: slices.Clone(o.Tenants), sessions: map[string]*login{}, access: map[string]*pass{}, faults: map[trouble]int{}}
	if len(s.tenants) == 0 {
		s.tenants = []Tenant{{ID: DefaultTenant, Name: "default", Default: true}}
	}
	for i, b := range o.Backends {
		s.backends = append(s.backends, s.newBackend(b, i))
	}
	for i, p := range o.Profiles {
		s.profiles = append(s.profiles, s.newProfile(p, i))
	}
	for i, a := range o.Applications {
		s.applications = append(s.applications, s.newApplication(a, i))
	}
	return s
}

// Object returns a "backend" (by id or address:port), "application" or
// "profile" (by id or name) as GET gives it now without faults; nil if there is none.
func (s *Sim) Object(kind, nameOrID string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := find(s.kind(kind), nameOrID); e != nil {
		return s.whole(e).encode()
	}
	return nil
}

// Edit does what an administrator does in the UI: it switches a backend, by id or address:port.
func (s *Sim) Edit(backend string, enabled bool) { s.Set("backend", backend, "enabled", enabled) }

// SetMode does what an administrator does in the UI with an application, by id or name.
func (s *Sim) SetMode(application, mode string) {
	s.Set("application", application, "protection_mode", mode)
}

// Set makes any other edit: it sets one field of an object.
func (s *Sim) Set(kind, nameOrID, field string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.must(kind, nameOrID).fields.set(field, encode(value))
}

// Remove deletes an object, as somebody might in the UI.
func (s *Sim) Remove(kind, nameOrID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.must(kind, nameOrID)
	keep := func(list []*entity) []*entity {
		return slices.DeleteFunc(list, func(e *entity) bool { return e == gone })
	}
	s.backends, s.profiles, s.applications = keep(s.backends), keep(s.profiles), keep(s.applications)
}

// Reverse turns the order of all lists round: no source says that it is kept.
func (s *Sim) Reverse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Reverse(s.backends)
	slices.Reverse(s.profiles)
	slices.Reverse(s.applications)
}

// AllowEnabled says from now on whether a write of enabled is taken.
func (s *Sim) AllowEnabled(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.o.ReadOnlyEnabled = !yes
}

// Writes returns every PATCH that came, in order.
func (s *Sim) Writes() []Write {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// Calls returns how many requests came, of any kind.
func (s *Sim) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *Sim) must(kind, nameOrID string) *entity {
	if e := find(s.kind(kind), nameOrID); e != nil {
		return e
	}
	panic("ptafprotest: no " + kind + " " + nameOrID)
}

func (s *Sim) kind(kind string) []*entity {
	switch kind {
	case "backend":
		return s.backends
	case "profile":
		return s.profiles
	case "application":
		return s.applications
	}
	panic("ptafprotest: no kind of object " + kind)
}

// An answer is what goes back, if it does.
type answer struct {
	status int
	kind   string // Content-Type
	body   []byte
}

// conduct is how an answer goes back.
type conduct struct{ slow, hang, cut bool }

// ServeHTTP answers one call.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "read body", http.StatusRequestEntityTooLarge)
		return
	}
	a, c := s.answer(r, body)
	if c.hang {
		<-r.Context().Done()
		return
	}
	if c.slow {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
			return
		}
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if c.cut {
		a.body = a.body[:len(a.body)/2] // net/http closes the connection when less comes than was said
	}
	_, _ = w.Write(a.body) // a client that is gone needs no answer
}

func (s *Sim) answer(r *http.Request, body []byte) (a answer, c conduct) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	q := query{r, body, strings.HasPrefix(r.URL.Path, Base+"/auth/"), r.Method == http.MethodPatch}
	if q.write {
		at := len(s.writes)
		s.writes = append(s.writes, written(q))
		defer func() { s.writes[at].Status = a.status }()
	}
	if s.hit(q, Hang) {
		return answer{}, conduct{hang: true}
	}
	c.slow = s.hit(q, Slow)
	if a, ok := s.refused(q); ok {
		return a, c
	}
	if a = s.route(q); a.status < 300 {
		switch {
		case s.hit(q, EmptyBody):
			a = answer{status: http.StatusOK}
		case q.write && s.hit(q, EmptyWriteAnswer):
			a = answer{status: http.StatusNoContent} // Source: seen of applications
		}
		c.cut = len(a.body) > 0 && s.hit(q, CutBody)
	}
	return a, c
}

// A query is one call.
type query struct {
	*http.Request
	body        []byte
	auth, write bool
}

func written(q query) Write {
	w := Write{Body: q.body, At: time.Now()}
	collection, id, _ := strings.Cut(strings.TrimPrefix(q.URL.Path, Base+"/config/"), "/")
	w.Kind, w.ID = strings.TrimSuffix(collection, "s"), id
	return w
}

func (s *Sim) route(q query) answer {
	path, ok := strings.CutPrefix(q.URL.Path, Base+"/")
	if !ok {
		return s.refuse(http.StatusNotFound, "reference_not_exist")
	}
	if cookie, err := q.Cookie("af_instance"); s.o.Instance != "" && (err != nil || cookie.Value != s.o.Instance) {
		// Source: the cloud edition wants it. Guess: this is what it says without.
		return s.refuse(http.StatusForbidden, "Forbidden: no instance")
	}
	if path == "auth/refresh_tokens" || path == "auth/access_tokens" {
		return s.tokenCall(q, path)
	}
	p := s.passOf(q)
	if p == nil {
		return s.refuse(http.StatusUnauthorized, "InvalidToken")
	}
	switch collection, id, one := strings.Cut(strings.TrimPrefix(path, "config/"), "/"); {
	case path == "auth/account/tenants" && q.Method == http.MethodGet:
		return s.list(q, s.tenantFields())
	case q.auth:
		return s.end(q, path)
	case path == "about/versions" && q.Method == http.MethodGet:
		return good(`{"data": {"ptaf_deploy": "4.3.0.12165", "infra": "4.3.0.100", "ptaf_rule_set": "4.3.0.77"}}`)
	case path == "config/"+collection && !one && q.Method == http.MethodGet:
		return s.collection(q, p, collection)
	case one && (q.Method == http.MethodGet || q.write):
		return s.object(q, p, collection, id)
	case slices.Contains([]string{"backends", "traffic_profiles", "applications"}, collection):
		return s.refuse(http.StatusMethodNotAllowed, "method not allowed")
	}
	return s.refuse(http.StatusNotFound, "reference_not_exist")
}

func good(body string) answer { return answer{http.StatusOK, "application/json", []byte(body)} }

// uuid makes ids that are told apart at a glance: kind is their last part's first digit.
func uuid(kind string, n int) string {
	return fmt.Sprintf("0f5b2a4e-0000-4000-8000-0000000%s%04x", kind, n+1)
}
