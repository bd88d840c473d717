// Package ptaftest stands in for a PTAF 3.x in tests: its API v2 in memory,
// which can misbehave, and the proxy behind it that sends traffic to the
// backends. It is a reading of its own of what is known about the device and
// shares no code with the client, so that one mistake is not made twice. What
// nobody has seen is marked as a guess.
package ptaftest

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Base is the path below which the API lives. Source: all known clients.
const Base = "/api/waf/v2"

const maxBody = 8 << 20

// slow is how late [Slow] answers.
const slow = 500 * time.Millisecond

// Options say what the device is like.
type Options struct {
	Username, Password string // sluice and not-a-real-password when both are empty
	Upstreams          []Upstream
	Gateways           []Gateway // nil: the device doesn't tell, /gateways answers 404
}

// A Write is a PATCH that came, whatever became of it.
type Write struct {
	Upstream string // the id in its path
	Body     []byte
	Status   int // 0: it was never answered
	At       time.Time
}

// Sim is a PTAF 3.x in memory: an [http.Handler] below [Base].
type Sim struct {
	username, password string

	mu        sync.Mutex
	upstreams []*upstream
	gateways  []Gateway
	faults    map[Fault]int
	shape     int // errors given while ErrorShapes
	turn      int // GETs given while ReorderedBackends
	calls     int
	writes    []Write
}

// New makes one.
func New(o Options) *Sim {
	if o.Username == "" && o.Password == "" {
		o.Username, o.Password = "sluice", "not-a-real-password"
	}
	s := &Sim{
		username: o.Username, password: o.Password,
		gateways: slices.Clone(o.Gateways), faults: map[Fault]int{},
	}
	for i, u := range o.Upstreams {
		s.upstreams = append(s.upstreams, newUpstream(u, i))
	}
	return s
}

// Object returns an upstream, by its id or name, as GET gives it now without
// faults; nil if there is none.
func (s *Sim) Object(pool string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.find(pool); u != nil {
		return u.encode(view{})
	}
	return nil
}

// Edit does what an administrator does in the UI: it takes a backend
// ("address:port", "address:port#2") out or gives it back.
func (s *Sim) Edit(pool, backend string, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.must(pool)
	i := slices.Index(identities(u.backends), backend)
	if i < 0 {
		panic("ptaftest: no backend " + backend + " in " + pool)
	}
	b := slices.Clone(u.backends[i])
	b.set("down", encode(down))
	u.backends[i] = b
	u.changed()
}

// Touch makes any other edit.
func (s *Sim) Touch(pool string, f func(*Upstream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.must(pool)
	as := u.export()
	f(&as)
	u.take(as)
}

// Remove deletes an upstream, as somebody might in the UI.
func (s *Sim) Remove(pool string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.must(pool)
	s.upstreams = slices.DeleteFunc(s.upstreams, func(o *upstream) bool { return o == u })
}

// SetGateways changes what /gateways tells; nil makes it answer 404.
func (s *Sim) SetGateways(g []Gateway) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateways = slices.Clone(g)
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

func (s *Sim) find(nameOrID string) *upstream {
	for _, u := range s.upstreams {
		if u.id() == nameOrID {
			return u
		}
	}
	for _, u := range s.upstreams {
		if u.name() == nameOrID {
			return u
		}
	}
	return nil
}

func (s *Sim) must(nameOrID string) *upstream {
	if u := s.find(nameOrID); u != nil {
		return u
	}
	panic("ptaftest: no upstream " + nameOrID)
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
	if a.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="WAF"`)
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
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
	write := r.Method == http.MethodPatch
	if write {
		defer func() {
			id := strings.TrimPrefix(r.URL.Path, Base+"/upstreams/")
			s.writes = append(s.writes, Write{id, body, a.status, time.Now()})
		}()
	}
	if s.hit(Hang) {
		return answer{}, conduct{hang: true}
	}
	c.slow = s.hit(Slow)
	if !s.allowed(r) {
		return s.refuse(http.StatusUnauthorized, "authentication is required"), c
	}
	if a, ok := s.refused(write); ok {
		return a, c
	}
	a = s.route(r, body)
	if a.status == http.StatusOK {
		if s.hit(EmptyBody) || write && s.hit(EmptyWriteAnswer) {
			a.kind, a.body = "", nil
		}
		c.cut = s.hit(CutBody)
	}
	return a, c
}

// allowed checks the password. Source: HTTP Basic on every request, no session.
func (s *Sim) allowed(r *http.Request) bool {
	username, password, ok := r.BasicAuth()
	return ok &&
		subtle.ConstantTimeCompare([]byte(username), []byte(s.username)) == 1 &&
		subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) == 1
}

func (s *Sim) route(r *http.Request, body []byte) answer {
	path, ok := strings.CutPrefix(r.URL.Path, Base+"/")
	if !ok {
		return s.refuse(http.StatusNotFound, "no such page")
	}
	collection, id, one := strings.Cut(path, "/")
	get := r.Method == http.MethodGet
	switch {
	case collection == "upstreams" && !one && get:
		return s.list()
	case collection == "upstreams" && one && get:
		return s.get(id)
	case collection == "upstreams" && one && r.Method == http.MethodPatch:
		return s.patch(id, r.Header.Get("Content-Type"), body)
	case collection == "gateways" && s.gateways != nil && !one && get:
		return good(items(s.gateways, gatewayFields))
	case collection == "upstreams" || collection == "gateways" && s.gateways != nil:
		return s.refuse(http.StatusMethodNotAllowed, "method not allowed") // POST and DELETE exist; nobody here needs them
	}
	return s.refuse(http.StatusNotFound, "no such object")
}

func good(body json.RawMessage) answer {
	return answer{http.StatusOK, "application/json", body}
}

// items is the envelope of all lists. Source: upstreams, gateways and
// interface_aliases have it; none has pages.
func items[T any](in []T, encode func(T) json.RawMessage) json.RawMessage {
	out := []json.RawMessage{}
	for _, v := range in {
		out = append(out, encode(v))
	}
	return object{{"items", encodeList(out)}}.encode()
}

func (s *Sim) list() answer { return good(items(s.upstreams, (*upstream).short)) }

// gatewayFields is a guess but for id and active.
func gatewayFields(g Gateway) json.RawMessage {
	o := object{{"id", encode(g.ID)}, {"name", encode(g.Name)}, {"active", encode(g.Active)}}
	if g.Address != "" {
		o.set("address", encode(g.Address))
	}
	return o.encode()
}

// byID finds what a path names: by id only, never by name.
func (s *Sim) byID(id string) *upstream {
	i := slices.IndexFunc(s.upstreams, func(u *upstream) bool { return u.id() == id })
	if i < 0 {
		return nil
	}
	return s.upstreams[i]
}

func (s *Sim) view() view {
	v := view{strings: s.hit(StringBooleans)}
	if s.hit(ReorderedBackends) {
		s.turn++
		v.turn = s.turn
	}
	return v
}

func (s *Sim) get(id string) answer {
	u := s.byID(id)
	if u == nil {
		return s.refuse(http.StatusNotFound, "no such upstream")
	}
	a := good(u.encode(s.view()))
	if s.hit(EditBetweenGets) {
		u.flip("")
	}
	return a
}

// patch changes the fields that are named and no others; of backends the whole
// list. Source: facts A1.4.
func (s *Sim) patch(id, kind string, body []byte) answer {
	u := s.byID(id)
	if u == nil {
		return s.refuse(http.StatusNotFound, "no such upstream")
	}
	// Source: every known client says so. Guess: the device insists.
	if kind, _, err := mime.ParseMediaType(kind); err != nil || kind != "application/json" {
		return s.refuse(http.StatusUnsupportedMediaType, "want application/json")
	}
	// Source: the replaced script sent the bare list first and wrapped it with
	// its next change, so it was not taken.
	in, err := parseObject(body)
	if err != nil {
		return s.refuse(http.StatusBadRequest, "body: "+err.Error())
	}
	next, err := u.patched(in, s.hit(ReadOnlyField))
	if wrong := (*mistake)(nil); errors.As(err, &wrong) {
		return s.refuse(http.StatusUnprocessableEntity, wrong.Error())
	} else if err != nil {
		return s.refuse(http.StatusBadRequest, err.Error())
	}
	if s.hit(NotKept) {
		return good(next.encode(s.view()))
	}
	before := u.backends
	if s.hit(ConcurrentEdit) {
		u.another(before, next.backends)
		// What the write doesn't name stays as the other one left it; the list is overwritten.
		if next, err = u.patched(in, false); err != nil {
			return s.refuse(http.StatusInternalServerError, err.Error())
		}
	}
	*u = *next
	// Source: no known client reads this body. Guess: it is the object.
	a := good(u.encode(s.view()))
	if s.hit(EditAfterWrite) {
		u.another(before, u.backends)
	}
	return a
}

// patched is u with the fields of in. Nothing of u is changed.
func (u *upstream) patched(in object, strict bool) (*upstream, error) {
	next := &upstream{slices.Clone(u.fields), u.backends, u.changes}
	for _, f := range in {
		switch f.name {
		case "id", "addresses", "last_modified":
			// Source: a known client strips these before it writes. What the
			// device does with them is a guess: it ignores them, or refuses.
			if strict {
				return nil, errors.New(f.name + ": read-only")
			}
		case "backends":
			list, err := backendList(f.value)
			if err != nil {
				return nil, err
			}
			next.backends = list
		case "ip_hash", "least_conn", "transparent":
			value, ok := truth(f.value)
			if !ok {
				return nil, &mistake{f.name, "want a boolean"}
			}
			next.fields.set(f.name, encode(value))
		case "keepalive", "read_timeout":
			if n, err := strconv.Atoi(string(f.value)); err != nil || n < 0 {
				return nil, &mistake{f.name, "want a number"}
			}
			next.fields.set(f.name, f.value)
		case "name":
			if text(in, "name") == "" {
				return nil, &mistake{"name", "want a text"}
			}
			next.fields.set(f.name, f.value)
		default:
			next.fields.set(f.name, f.value) // guess: kept, as the UI's own fields would be
		}
	}
	next.changed()
	return next, nil
}

// backendList reads the whole new list. A backend that isn't in it is gone, and
// an empty list leaves none: not seen, but a client must act as if it were so.
func backendList(raw json.RawMessage) ([]object, error) {
	var entries []json.RawMessage
	if !bytes.HasPrefix(raw, []byte("[")) || json.Unmarshal(raw, &entries) != nil {
		return nil, &mistake{"backends", "want a list"}
	}
	var list []object
	for i, raw := range entries {
		entry, err := parseObject(raw)
		if err != nil {
			return nil, &mistake{"backends[" + strconv.Itoa(i) + "]", err.Error()}
		}
		if entry, err = tidy(entry); err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return list, nil
}
