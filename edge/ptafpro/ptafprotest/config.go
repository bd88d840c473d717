package ptafprotest

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
)

// An entity is the state of one object: its fields in the order of the answer,
// without those that are made up from others.
type entity struct {
	kind   string
	tenant string
	fields object
	extra  bool // it has been given the fields of ExtraFields
}

func (e *entity) id() string { return text(e.fields, "id") }

// name is how people tell it from others: backends have no names.
func (e *entity) name() string {
	if e.kind != "backend" {
		return text(e.fields, "name")
	}
	port, _ := e.fields.get("port")
	return net.JoinHostPort(text(e.fields, "address"), string(port))
}

func find(list []*entity, nameOrID string) *entity {
	for _, e := range list {
		if e.id() == nameOrID {
			return e
		}
	}
	for _, e := range list {
		if e.name() == nameOrID {
			return e
		}
	}
	return nil
}

// or is the first of two that isn't the zero value.
func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}

func withExtra(o object, extra map[string]any) object {
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		o.set(name, encode(extra[name]))
	}
	return o
}

// newBackend has the fields of the sample in facts A2.6; traffic_profiles is put
// in when it is given out. The letters of protocol are a guess.
func (s *Sim) newBackend(in Backend, n int) *entity {
	o := object{
		{"id", encode(or(in.ID, uuid("0", n)))},
		{"address", encode(in.Address)},
		{"port", encode(or(in.Port, 80))},
		{"protocol", encode(or(in.Protocol, "HTTP"))},
	}
	if !s.o.NoEnabled {
		o.set("enabled", encode(!in.Disabled)) // Source: one client reads it so
	}
	return &entity{kind: "backend", tenant: s.tenantID(in.Tenant), fields: withExtra(o, in.Extra)}
}

func (s *Sim) newProfile(in Profile, n int) *entity {
	entries := []json.RawMessage{}
	for _, e := range in.Backends {
		b := find(s.backends, e.Backend)
		if b == nil {
			panic("ptafprotest: no backend " + e.Backend + " for profile " + in.Name)
		}
		o := object{{"id", encode(b.id())}}
		if e.Weight != nil { // guess: weight and max_fails stand here
			o.set("weight", encode(e.Weight))
		}
		if e.MaxFails != nil {
			o.set("max_fails", encode(e.MaxFails))
		}
		entries = append(entries, o.encode())
	}
	kind := or(in.Balancer, "STATIC_BALANCER")
	balancer := object{{"type", encode(kind)}, {"listen_port", encode(or(in.ListenPort, 443))}}
	switch kind {
	case "STATIC_BALANCER":
		balancer.set("vips", encode([]string{uuid("b", n)}))
	case "INTERNAL_BALANCER":
		balancer.set("vip_id", encode(uuid("b", n)))
	}
	balancer.set("protocol_options", object{{"type", encode(or(in.Protocol, "HTTPS"))}}.encode())
	o := object{
		{"id", encode(or(in.ID, uuid("a", n)))},
		{"name", encode(in.Name)},
		{"balancer", balancer.encode()},
		{"backends", encode(entries)},
	}
	return &entity{kind: "profile", tenant: s.tenantID(in.Tenant), fields: withExtra(o, in.Extra)}
}

func (s *Sim) newApplication(in Application, n int) *entity {
	profiles := []string{}
	for _, name := range in.Profiles {
		p := find(s.profiles, name)
		if p == nil {
			panic("ptafprotest: no profile " + name + " for application " + in.Name)
		}
		profiles = append(profiles, p.id())
	}
	o := object{
		{"id", encode(or(in.ID, uuid("c", n)))},
		{"name", encode(in.Name)},
		{"hosts", encode(append([]string{}, in.Hosts...))},
		{"locations", encode([]string{"/"})},
		{"policy_id", encode(uuid("d", n))},
		{"protection_mode", encode(or(in.ProtectionMode, "ACTIVE_PREVENTION"))},
		{"traffic_profiles", encode(profiles)},
		{"enable_websockets", encode(false)},
	}
	return &entity{kind: "application", tenant: s.tenantID(in.Tenant), fields: withExtra(o, in.Extra)}
}

// whole is an object as it is given out.
func (s *Sim) whole(e *entity) object {
	o := slices.Clone(e.fields)
	if e.kind != "backend" {
		return o
	}
	if _, set := o.get("traffic_profiles"); set {
		return o // by Extra
	}
	in := []string{}
	for _, p := range s.profiles {
		var entries []struct{ ID string }
		raw, _ := p.fields.get("backends")
		if json.Unmarshal(raw, &entries) == nil && slices.ContainsFunc(entries, func(v struct{ ID string }) bool { return v.ID == e.id() }) {
			in = append(in, p.id())
		}
	}
	o.set("traffic_profiles", encode(in))
	return o
}

// A view is how objects are given out in one answer.
type view struct {
	strings bool // booleans as "True" and "False"
	turn    int  // by how many places lists of backends are turned
}

func (s *Sim) view(q query) view {
	v := view{strings: s.hit(q, StringBooleans)}
	if s.hit(q, ReorderedBackends) {
		s.turn++
		v.turn = s.turn
	}
	return v
}

func (v view) of(o object) object {
	if on, ok := o.get("enabled"); ok && v.strings {
		o.set("enabled", encode(map[bool]string{true: "True", false: "False"}[string(on) == "true"]))
	}
	var entries []json.RawMessage
	if raw, ok := o.get("backends"); ok && v.turn > 0 && json.Unmarshal(raw, &entries) == nil {
		o.set("backends", encode(turned(entries, v.turn)))
	}
	return o
}

// turned is a list that begins so many places later.
func turned[T any](list []T, by int) []T {
	if len(list) == 0 {
		return list
	}
	by %= len(list)
	return append(slices.Clone(list[by:]), list[:by]...)
}

func (s *Sim) entities(collection string) []*entity {
	switch collection {
	case "backends":
		return s.backends
	case "traffic_profiles":
		return s.profiles
	case "applications":
		return s.applications
	}
	return nil
}

func (s *Sim) collection(q query, p *pass, collection string) answer {
	if !slices.Contains([]string{"backends", "traffic_profiles", "applications"}, collection) {
		return s.refuse(http.StatusNotFound, "reference_not_exist")
	}
	more, thin := s.hit(q, ExtraFields), s.hit(q, ThinLists)
	v := s.view(q)
	out := []object{}
	for _, e := range turned(s.entities(collection), v.turn) {
		if e.tenant != p.tenant {
			continue
		}
		if more {
			e.extend()
		}
		o := v.of(s.whole(e))
		if thin && e.kind != "backend" { // Source: list entries may lack balancer and backends
			o = o.only("id", "name")
		}
		out = append(out, o)
	}
	return s.list(q, out)
}

// list has one of the two envelopes. Source: both were met; no pages.
func (s *Sim) list(q query, objects []object) answer {
	raw := []json.RawMessage{}
	for _, o := range objects {
		raw = append(raw, o.encode())
	}
	if s.hit(q, BareLists) {
		return good(string(encode(raw)))
	}
	return good(string(object{{"items", encode(raw)}}.encode()))
}

// object reads or writes one object, by its id only. That backends can be read
// and written so is a guess: the rights for it exist.
func (s *Sim) object(q query, p *pass, collection, id string) answer {
	list := s.entities(collection)
	i := slices.IndexFunc(list, func(e *entity) bool { return e.id() == id && e.tenant == p.tenant })
	if i < 0 {
		return s.refuse(http.StatusNotFound, "reference_not_exist")
	}
	e := list[i]
	switch {
	case q.write:
		return s.patch(q, e)
	case e.kind == "backend" && s.hit(q, ListsOnly):
		return s.refuse(http.StatusNotFound, "reference_not_exist")
	}
	if s.hit(q, ExtraFields) {
		e.extend()
	}
	a := good(string(s.view(q).of(s.whole(e)).encode()))
	if s.hit(q, EditBetweenGets) {
		e.turn()
	}
	return a
}

// patch changes the fields that are named and no others. Source: so it is with
// applications; of backends it is a guess.
func (s *Sim) patch(q query, e *entity) answer {
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return s.refuse(http.StatusUnsupportedMediaType, "want application/json") // guess
	}
	in, err := parseObject(q.body)
	if err != nil {
		return s.refuse(http.StatusBadRequest, "body: "+err.Error())
	}
	next := &entity{e.kind, e.tenant, slices.Clone(e.fields), e.extra}
	for _, f := range in {
		if why := s.check(e, f); why != "" {
			// Source: semantic errors come with 422 and a word for each field.
			return answer{http.StatusUnprocessableEntity, "application/json", encode(map[string]any{
				"message": "Validation error", "errors": map[string]any{f.name: why},
			})}
		}
		next.fields.set(f.name, f.value)
	}
	switch {
	case s.hit(q, NotKept):
		return good(string(s.whole(next).encode()))
	case s.hit(q, ConcurrentEdit):
		next.touch()
	}
	e.fields = next.fields
	return good(string(s.whole(e).encode()))
}

// check is a guess, apart from the names.
func (s *Sim) check(e *entity, f field) (why string) {
	switch e.kind + "." + f.name {
	case "backend.enabled":
		if s.o.ReadOnlyEnabled || s.o.NoEnabled {
			return "unknown_field"
		}
		if v := string(f.value); v != "true" && v != "false" {
			return "must_be_boolean"
		}
	case "backend.port":
		if n, err := strconv.Atoi(string(f.value)); err != nil || n < 1 || n > 65535 {
			return "must_be_port"
		}
	case "application.protection_mode":
		if !slices.Contains([]string{"ACTIVE_PREVENTION", "ACTIVE_DETECTION", "PASSIVE"}, text(object{f}, f.name)) {
			return "not_in_enum"
		}
	case "backend.address", "backend.protocol", "application.hosts", "application.name", "application.traffic_profiles":
	default:
		return "unknown_field"
	}
	return ""
}

// turn is an edit of the field that steps are about.
func (e *entity) turn() {
	switch e.kind {
	case "backend":
		on, _ := e.fields.get("enabled")
		e.fields.set("enabled", encode(string(on) != "true"))
	case "application":
		mode := "ACTIVE_DETECTION"
		if text(e.fields, "protection_mode") == mode {
			mode = "PASSIVE"
		}
		e.fields.set("protection_mode", encode(mode))
	}
}

// touch is an edit of another field.
func (e *entity) touch() {
	switch e.kind {
	case "backend":
		raw, _ := e.fields.get("port")
		port, _ := strconv.Atoi(string(raw)) // it was a number when it was taken
		e.fields.set("port", encode(port%65535+1))
	case "application":
		e.fields.set("hosts", encode([]string{fmt.Sprintf("moved-%s.example.com", text(e.fields, "name"))}))
	}
}

// extend adds fields that a later version may have, with values that decoding
// and encoding would show.
func (e *entity) extend() {
	if e.extra {
		return
	}
	e.extra = true
	e.fields = append(slices.Clone(e.fields),
		field{"x_note", json.RawMessage(`"rack \u0031 <&> \/"`)},
		field{"ENABLED", json.RawMessage(`"of another letter case"`)},
		field{"x_tags", json.RawMessage(`{"z":null, "a":[ 12345678901234567890, 1.50 ]}`)})
}
