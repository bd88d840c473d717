package ptaftest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"
)

// A Backend is one entry of an upstream's list. Zero values: port 80, weight 1,
// max_fails null. Extra has fields that the API may hold beside those that are
// known; it also overrides them ("weight": nil). A [json.RawMessage] in it is
// given out byte for byte.
type Backend struct {
	Address      string
	Port, Weight int
	MaxFails     *int
	Down, Backup bool
	Extra        map[string]any
}

// An Upstream is a pool with its backends. An empty ID is made up. Extra is as
// in [Backend]; keepalive (32) and read_timeout (60) are set there too.
type Upstream struct {
	ID, Name                       string
	Backends                       []Backend
	IPHash, LeastConn, Transparent bool
	Extra                          map[string]any
}

// A Gateway is a node of the WAF.
type Gateway struct {
	ID, Name string
	Active   bool
	Address  string // guess: in a field "address"; left out when empty
}

// An upstream is the state of one: its fields in the order of the answer, of
// which addresses and backends are filled in when it is given out.
type upstream struct {
	fields   object
	backends []object
	changes  int // times that it changed, for last_modified and for who caches it
}

func (u *upstream) id() string   { return text(u.fields, "id") }
func (u *upstream) name() string { return text(u.fields, "name") }

// modified is the time of the n-th change. The clock of the device is its own:
// it goes on by one second with each change, so that answers are the same in
// each run of a test. Source: last_modified exists; its format is a guess.
func modified(n int) json.RawMessage {
	return encode(time.Date(2024, 5, 14, 9, 21, 7, 0, time.UTC).Add(time.Duration(n) * time.Second).Format(time.RFC3339))
}

func (u *upstream) changed() {
	u.changes++
	u.fields.set("last_modified", modified(u.changes))
}

func newUpstream(in Upstream, n int) *upstream {
	if in.ID == "" {
		in.ID = fmt.Sprintf("64f0c0ffee0123%010x", 0x456789abcd+n)
	}
	u := &upstream{fields: upstreamFields(in)}
	if stamp, _ := u.fields.get("last_modified"); stamp == nil {
		u.fields.set("last_modified", modified(0))
	}
	for _, b := range in.Backends {
		u.backends = append(u.backends, backendFields(b))
	}
	return u
}

// upstreamFields has the order of the sample in facts A1.9.
func upstreamFields(in Upstream) object {
	o := object{
		{"id", encode(in.ID)},
		{"name", encode(in.Name)},
		{"last_modified", nil},
		{"addresses", nil},
		{"ip_hash", encode(in.IPHash)},
		{"least_conn", encode(in.LeastConn)},
		{"transparent", encode(in.Transparent)},
		{"keepalive", encode(32)},
		{"read_timeout", encode(60)},
		{"backends", nil},
	}
	return withExtra(o, in.Extra)
}

func backendFields(in Backend) object {
	if in.Port == 0 {
		in.Port = 80
	}
	if in.Weight == 0 {
		in.Weight = 1
	}
	return withExtra(object{
		{"address", encode(in.Address)},
		{"port", encode(in.Port)},
		{"weight", encode(in.Weight)},
		{"max_fails", encode(in.MaxFails)},
		{"down", encode(in.Down)},
		{"backup", encode(in.Backup)},
	}, in.Extra)
}

func withExtra(o object, extra map[string]any) object {
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		o.set(name, encode(extra[name]))
	}
	return o
}

// identities names each backend as administrators tell them apart: address:port,
// and #2, #3 for those that come again. Source: backends have no id in any sample.
func identities(backends []object) []string {
	seen := map[string]int{}
	names := make([]string, 0, len(backends))
	for _, b := range backends {
		name := net.JoinHostPort(text(b, "address"), strconv.Itoa(number(b, "port", 80)))
		if seen[name]++; seen[name] > 1 {
			name += "#" + strconv.Itoa(seen[name])
		}
		names = append(names, name)
	}
	return names
}

// export is the state as tests write it, for [Sim.Touch].
func (u *upstream) export() Upstream {
	out := Upstream{
		ID: u.id(), Name: u.name(),
		IPHash: is(u.fields, "ip_hash"), LeastConn: is(u.fields, "least_conn"), Transparent: is(u.fields, "transparent"),
		Extra: extra(u.fields, "id", "name", "last_modified", "addresses", "ip_hash", "least_conn", "transparent", "backends"),
	}
	for _, b := range u.backends {
		e := Backend{
			Address: text(b, "address"), Port: number(b, "port", 80), Weight: number(b, "weight", 1),
			Down: is(b, "down"), Backup: is(b, "backup"),
			Extra: extra(b, "address", "port", "weight", "max_fails", "down", "backup"),
		}
		if n := number(b, "max_fails", -1); n >= 0 {
			e.MaxFails = &n
		}
		out.Backends = append(out.Backends, e)
	}
	return out
}

func extra(o object, known ...string) map[string]any {
	out := map[string]any{}
	for _, f := range o {
		if !slices.Contains(known, f.name) {
			out[f.name] = f.value
		}
	}
	return out
}

// take replaces the state by what [Sim.Touch] made of it, with as much of the
// old order and bytes as still fits.
func (u *upstream) take(in Upstream) {
	old := map[string]object{}
	for i, name := range identities(u.backends) {
		old[name] = u.backends[i]
	}
	next := newUpstream(in, 0)
	names := identities(next.backends)
	for i, b := range next.backends {
		next.backends[i] = over(old[names[i]], b)
	}
	stamp, _ := u.fields.get("last_modified")
	next.fields.set("last_modified", stamp)
	u.fields, u.backends = over(u.fields, next.fields), next.backends
	u.changed()
}

// A view is how an answer shows an upstream.
type view struct {
	turn    int  // the list begins this many entries later
	strings bool // down as "True" and "False"
}

func (u *upstream) encode(v view) json.RawMessage {
	entries, addresses := []json.RawMessage{}, []json.RawMessage{}
	for i := range u.backends {
		b := slices.Clone(u.backends[(i+v.turn)%len(u.backends)])
		if raw, _ := b.get("down"); v.strings {
			if value, ok := truth(raw); ok {
				b.set("down", encode(map[bool]string{true: "True", false: "False"}[value]))
			}
		}
		entries = append(entries, b.encode())
		// Source: one entry per backend, in their order. Guess: without the port.
		address, _ := b.get("address")
		addresses = append(addresses, address)
	}
	o := slices.Clone(u.fields)
	o.set("addresses", encodeList(addresses))
	o.set("backends", encodeList(entries))
	return o.encode()
}

// short is an entry of the list of upstreams. Source: it has at least id and
// name; whether it has all is not known, so it has not.
func (u *upstream) short() json.RawMessage {
	id, _ := u.fields.get("id")
	name, _ := u.fields.get("name")
	addresses := []json.RawMessage{}
	for _, b := range u.backends {
		address, _ := b.get("address")
		addresses = append(addresses, address)
	}
	return object{{"id", id}, {"name", name}, {"addresses", encodeList(addresses)}}.encode()
}
