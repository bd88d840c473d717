// Package haproxyapi is the REST API over HAProxy's socket, a drop-in for the
// one that Sluice replaces: the same paths, envelope and codes. It reads HAProxys
// through a small interface and hands each order of a person to the engine, which
// guards, records and reads back as it does for an alert.
//
// Every answer is {"success": true, "status_code": 200, "data": {...}}, with a
// "message" when something was done, or {"success": false, "status_code": 4xx,
// "error": "one line"}, in English or Russian as the caller wants.
package haproxyapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/apidoc"
)

// Where the API stands. Whoever mounts [Handler] gives it all of these.
const (
	Root     = "/api/v1/haproxy"
	OldRoot  = "/api/v1/control/haproxy" // the older form of an action, which the replaced API still took
	Document = apidoc.Path
	Ping     = "/ping" // what the replaced API had in place of /-/healthy
)

// Patterns are what a [http.ServeMux] hands to [Handler].
func Patterns() []string {
	return []string{Root, Root + "/", OldRoot, OldRoot + "/", Document, Ping}
}

// An Engine looks at HAProxys and changes them.
type Engine interface {
	// Instances are the configured HAProxys in the order of the configuration. It asks none of them.
	Instances() []Instance
	// Read asks one instance for everything. Its errors are those of this package;
	// any other is answered with 500.
	Read(ctx context.Context, instance string) (Reading, error)
	// Act carries out a person's order, through guards and journal, and returns when
	// HAProxy was read back. Its errors are those of this package; any other is
	// answered with 500.
	Act(ctx context.Context, o Order) (Result, error)
}

// An Instance is one configured HAProxy.
type Instance struct {
	Name    string
	Address string // of its socket, as the configuration has it
}

// A Reading is what one HAProxy said at one moment: the servers of each backend,
// in HAProxy's own order.
type Reading struct {
	Backends map[string][]Server
}

// A Server is one line of "show stat". What the replaced API had is text, as
// HAProxy wrote it; empty where HAProxy left the field empty.
type Server struct {
	Name          string `json:"name"`
	Status        string `json:"status"`
	Weight        string `json:"weight"`
	CheckStatus   string `json:"check_status"`
	CheckDuration string `json:"check_duration"` // in milliseconds
	LastChange    string `json:"last_chg"`       // in seconds, since the status changed
	Downtime      string `json:"downtime"`       // in seconds, altogether
	Address       string `json:"addr"`
	Cookie        string `json:"cookie"`

	// What the replaced API lacked: without it nobody sees when a drain has ended.
	Admin    edge.Admin `json:"admin"`    // the strongest restriction in force, whoever set it
	Sessions int        `json:"sessions"` // established now: scur
	Queue    int        `json:"queue"`    // waiting for this server now: qcur
	Limit    int        `json:"limit"`    // sessions at most: slim; 0 without one
}

// An Order is what a person wants of one server.
type Order struct {
	Instance, Backend, Server string

	To       edge.Admin
	Override []string // guards that are to be passed over
	Reason   string   // one line; never empty with Override
	Actor    string   // who wants it, for the journal
}

// A Result says what came of an order that was carried out.
type Result struct {
	Changed bool // false: the server was as wanted already
}

// mostOrders bounds how many orders wait for one instance: each holds a
// connection of ours until the engine has had its turn with a HAProxy that hangs.
const mostOrders = 64

// Options of [Handler].
type Options struct {
	Engine Engine
	// Actor names who sent a request, for the journal. Nil: the name of the
	// request's [access.Identity], or else the remote host.
	Actor func(*http.Request) string
}

type api struct {
	engine Engine
	actor  func(*http.Request) string
	reads  reads

	mu      sync.Mutex
	waiting map[string]int // orders by instance
}

// Handler answers all [Patterns]. Orders that a browser sends for another site's
// page are refused.
func Handler(o Options) http.Handler {
	a := &api{engine: o.Engine, actor: o.Actor, waiting: map[string]int{}}
	if a.actor == nil {
		a.actor = actor
	}
	a.reads.read = o.Engine.Read
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(OtherSite))
	return guard.Handler(a)
}

// OtherSite answers what a browser sends for another site's page.
func OtherSite(w http.ResponseWriter, r *http.Request) {
	reply(w, r, nil, problem(http.StatusForbidden, crossOrigin))
}

// UncleanPath answers an order whose path has empty or dot segments.
func UncleanPath(w http.ResponseWriter, r *http.Request) {
	reply(w, r, nil, problem(http.StatusNotFound, uncleanPath))
}

// ServeHTTP is [http.Handler]'s.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.EscapedPath() {
	case Ping:
		a.only(w, r, http.MethodGet, func() { write(w, http.StatusOK, map[string]string{"status": "ok"}) })
		return
	case Document:
		a.only(w, r, http.MethodGet, func() { writeBytes(w, http.StatusOK, apidoc.Document()) })
		return
	}
	to, err := parseRoute(r.URL.EscapedPath())
	if err != nil {
		reply(w, r, nil, err)
		return
	}
	a.only(w, r, to.method(), func() {
		data, err := a.answer(w, r, to)
		reply(w, r, data, err)
	})
}

// only answers 405 to other methods than the one that a path has. HEAD is GET.
func (a *api) only(w http.ResponseWriter, r *http.Request, method string, next func()) {
	if r.Method == method || r.Method == http.MethodHead && method == http.MethodGet {
		next()
		return
	}
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	w.Header().Set("Allow", allow)
	reply(w, r, nil, problem(http.StatusMethodNotAllowed, badMethod, cut(r.Method), allow))
}

func (a *api) answer(w http.ResponseWriter, r *http.Request, to route) (any, error) {
	who := access.From(r.Context())
	if err := who.CheckSomewhere(access.View); err != nil {
		return nil, err
	}
	if to.kind == instancesRoute {
		return a.instances(r.Context(), who), nil
	}
	var in body
	if to.kind == actionRoute {
		var err error
		if in, err = readBody(w, r); err != nil {
			return nil, err
		}
	}
	instance, err := a.instance(to)
	if err != nil {
		return nil, err
	}
	switch p := (edge.Pool{Device: instance, Name: to.backend}); to.kind {
	case actionRoute:
		if err := who.Check(access.Order, p); err != nil {
			return nil, err
		}
		return a.act(r, instance, to, in)
	case serversRoute:
		if err := who.Check(access.View, p); err != nil {
			return nil, err
		}
	case backendsRoute: // whether it answers is for those alone who see something of it
		if !who.MayOnDevice(access.View, instance) {
			return nil, who.Check(access.View, edge.Pool{Device: instance})
		}
	}
	reading, err := a.reads.of(r.Context(), instance)
	if err != nil {
		return nil, err
	}
	if to.kind == backendsRoute {
		names := []string{}
		for name := range reading.Backends {
			if who.May(access.View, edge.Pool{Device: instance, Name: name}) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return struct {
			Instance string   `json:"instance"`
			Backends []string `json:"backends"`
			Count    int      `json:"count"`
		}{instance, names, len(names)}, nil
	}
	servers, ok := reading.Backends[to.backend]
	if !ok {
		return nil, &NotFoundError{"backend", to.backend}
	}
	return struct {
		Instance string   `json:"instance"`
		Backend  string   `json:"backend"`
		Servers  []Server `json:"servers"`
		Count    int      `json:"count"`
	}{instance, to.backend, append([]Server{}, servers...), len(servers)}, nil
}

// instance resolves whom a request means: without a name that is "default", or
// else the first one. The answer then carries its real name.
func (a *api) instance(to route) (string, error) {
	all := a.engine.Instances()
	if to.instance != nil {
		for _, i := range all {
			if i.Name == *to.instance {
				return i.Name, nil
			}
		}
		return "", &NotFoundError{"instance", *to.instance}
	}
	if len(all) == 0 {
		return "", problem(http.StatusNotFound, noInstance)
	}
	for _, i := range all {
		if i.Name == "default" {
			return i.Name, nil
		}
	}
	return all[0].Name, nil
}

type availability struct {
	Name       string `json:"name"`
	SocketPath string `json:"socket_path"`
	Available  bool   `json:"available"`
}

// instances asks each HAProxy now, all at the same time, of which the caller may
// see something.
func (a *api) instances(ctx context.Context, who access.Identity) any {
	all := slices.DeleteFunc(slices.Clone(a.engine.Instances()), func(i Instance) bool { return !who.MayOnDevice(access.View, i.Name) })
	list := make([]availability, len(all))
	var asked sync.WaitGroup
	for i, one := range all {
		asked.Go(func() {
			_, err := a.reads.of(ctx, one.Name)
			list[i] = availability{one.Name, one.Address, err == nil}
		})
	}
	asked.Wait()
	return struct {
		Instances []availability `json:"instances"`
		Count     int            `json:"count"`
	}{list, len(list)}
}

// done is the data of an order that was carried out.
type done struct {
	Instance string `json:"instance"`
	Backend  string `json:"backend"`
	Server   string `json:"server"`
	Action   string `json:"action"`
	Status   string `json:"status"`
	Changed  bool   `json:"changed"`
}

func (a *api) act(r *http.Request, instance string, to route, in body) (any, error) {
	free, err := a.place(instance)
	if err != nil {
		return nil, err
	}
	defer free()
	// A name that HAProxy doesn't list is never part of an order (SAFETY.md I21).
	reading, err := a.reads.of(r.Context(), instance)
	if err != nil {
		return nil, err
	}
	servers, ok := reading.Backends[to.backend]
	if !ok {
		return nil, &NotFoundError{"backend", to.backend}
	}
	if !slices.ContainsFunc(servers, func(s Server) bool { return s.Name == to.server }) {
		return nil, &NotFoundError{"server", to.backend + "/" + to.server}
	}
	result, err := a.engine.Act(r.Context(), Order{
		Instance: instance, Backend: to.backend, Server: to.server, To: in.action, Override: in.override, Reason: in.reason, Actor: a.actor(r),
	})
	if err != nil {
		return nil, err
	}
	return done{instance, to.backend, to.server, in.action.String(), "completed", result.Changed}, nil
}

// place takes one of the places that orders on an instance have.
func (a *api) place(instance string) (free func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting[instance] >= mostOrders {
		return nil, problem(http.StatusServiceUnavailable, busy, instance, mostOrders)
	}
	a.waiting[instance]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.waiting[instance]--; a.waiting[instance] == 0 {
			delete(a.waiting, instance)
		}
	}, nil
}

type envelope struct {
	Success    bool   `json:"success"`
	StatusCode int    `json:"status_code"`
	Message    string `json:"message,omitempty"`
	Data       any    `json:"data,omitempty"`
	Error      string `json:"error,omitempty"`
	Guard      string `json:"guard,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Override   bool   `json:"override,omitempty"` // the guard may be passed over by name
}

func reply(w http.ResponseWriter, r *http.Request, data any, err error) {
	lang := spoken(r.Header.Get("Accept-Language"))
	w.Header().Set("Content-Language", string(lang))
	w.Header().Add("Vary", "Accept-Language")
	e := envelope{Success: true, StatusCode: http.StatusOK, Data: data}
	if d, ok := data.(done); ok {
		e.Message = lang.say(changed, d.Server, d.Action)
		if !d.Changed {
			e.Message = lang.say(unchanged, d.Server, d.Action)
		}
	}
	if err != nil {
		p := problemOf(err)
		e = envelope{StatusCode: p.code, Error: lang.say(p.text, p.args...)}
		if g := (*GuardError)(nil); errors.As(err, &g) {
			e.Guard, e.Reason, e.Override = g.Guard, g.Reason, g.Soft
		}
		if p.code == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
	}
	write(w, e.StatusCode, e)
}

func write(w http.ResponseWriter, code int, v any) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // it is JSON for scripts, and says so in its type
	if err := e.Encode(v); err != nil {
		panic(err) // texts, numbers and lists of ours can be written
	}
	writeBytes(w, code, out.Bytes())
}

func writeBytes(w http.ResponseWriter, code int, b []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(b) // a caller that is gone needs no answer
}

func actor(r *http.Request) string {
	if i := access.From(r.Context()); i.Name != "" {
		return i.Name
	}
	if user, _, ok := r.BasicAuth(); ok && user != "" {
		return user
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return cmp.Or(strings.TrimSpace(r.RemoteAddr), "unknown") // a unix socket has no port
	}
	return host
}
