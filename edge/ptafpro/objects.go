package ptafpro

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// A Backend is one upstream server of the tenant. It may stand in several
// traffic profiles and is one object for all of them.
type Backend struct {
	ID       string
	Name     string // "address:port", or "address:port#2" for a twin
	Address  string
	Port     int
	Protocol string      // "HTTP", "HTTPS"; in the device's letters
	Enabled  edge.Answer // Unknown when the device doesn't say
	Profiles []string    // ids of the traffic profiles that it stands in, ordered

	linked []string // the device's own list of profiles
	raw    json.RawMessage
}

// A Profile is a traffic profile: what is listened on, and the backends behind it.
type Profile struct {
	ID, Name   string
	Balancer   string // INTERNAL_BALANCER, STATIC_BALANCER or EXTERNAL_BALANCER
	ListenPort int    // 0 when the device doesn't say
	Protocol   string
	Backends   []Entry

	whole bool // it says which backends it has, and its balancer
	raw   json.RawMessage
}

// An Entry is a backend's place in a profile.
type Entry struct {
	ID       string
	Weight   *int // nil when the device doesn't say: it counts as 1
	MaxFails *int // nil when the device doesn't say
}

// An Application is what the device protects.
type Application struct {
	ID, Name       string
	ProtectionMode string   // see the constants
	Hosts          []string // names it answers to
	Profiles       []string // ids of the traffic profiles that it listens on

	whole bool // it says its mode and its profiles
	raw   json.RawMessage
}

// Modes of protection. Source: facts A2.2.
const (
	ActivePrevention = "ACTIVE_PREVENTION" // blocks
	ActiveDetection  = "ACTIVE_DETECTION"  // tells only
	Passive          = "PASSIVE"           // neither
)

// Raw is the object as the device gave it.
func (b Backend) Raw() []byte { return b.raw }

// Raw is the object as the device gave it.
func (p Profile) Raw() []byte { return p.raw }

// Raw is the object as the device gave it.
func (a Application) Raw() []byte { return a.raw }

// errUnusable says that an object is named and can't be used.
var errUnusable = errors.New("can't be used")

// ParseBackends reads a list of backends, in the order of their ids. Those that
// can't be used are left out and named in refused, with why.
func ParseBackends(raw []byte) (backends []Backend, refused map[string]string, err error) {
	list, err := items(raw)
	if err != nil {
		return nil, nil, err
	}
	refused = map[string]string{}
	for _, raw := range list {
		b, err := parseBackend(raw)
		switch {
		case errors.Is(err, errUnusable):
			refused["backend "+oneLine(b.ID)] = err.Error()
		case err != nil:
			return nil, nil, err
		default:
			backends = append(backends, b)
		}
	}
	// By id, not by place: of two with one address and port (and another
	// protocol) the device may list either first, and #2 must stay the same one.
	slices.SortStableFunc(backends, func(a, b Backend) int { return cmp.Compare(a.ID, b.ID) })
	seen := map[string]int{}
	for i := range backends {
		b := &backends[i]
		if i > 0 && b.ID == backends[i-1].ID {
			return nil, nil, fmt.Errorf("backend %s is listed twice: %w", oneLine(b.ID), ErrAnswer)
		}
		if seen[b.Name]++; seen[b.Name] > 1 {
			b.Name += "#" + strconv.Itoa(seen[b.Name])
		}
	}
	return backends, refused, nil
}

func parseBackend(raw json.RawMessage) (Backend, error) {
	f, err := fields(raw)
	if err != nil {
		return Backend{}, err
	}
	b := Backend{
		ID: f.text("id"), Address: f.text("address"), Protocol: f.text("protocol"),
		Enabled: edge.Answer(f.answer("enabled")), linked: f.ids("traffic_profiles"), raw: raw,
	}
	port := f.number("port")
	switch {
	case b.ID == "":
		return b, fmt.Errorf("a backend without id: %w", ErrAnswer)
	case b.Address == "" || oneLine(b.Address) != b.Address:
		return b, fmt.Errorf("its address %w", errUnusable)
	case port == nil || *port < 1 || *port > 65535:
		return b, fmt.Errorf("its port %w", errUnusable)
	}
	b.Port = *port
	b.Name = net.JoinHostPort(b.Address, strconv.Itoa(b.Port))
	b.Profiles = b.linked
	return b, nil
}

// ParseProfile reads one traffic profile.
func ParseProfile(raw []byte) (Profile, error) {
	f, err := fields(raw)
	if err != nil {
		return Profile{}, err
	}
	p := Profile{ID: f.text("id"), Name: f.text("name"), raw: raw, whole: f.has("balancer") && f.has("backends")}
	if p.ID == "" || p.Name == "" {
		return Profile{}, fmt.Errorf("a traffic profile without id or name: %w", ErrAnswer)
	}
	if b, err := fields(f["balancer"]); err == nil {
		p.Balancer = b.text("type")
		if n := b.number("listen_port"); n != nil && *n > 0 {
			p.ListenPort = *n
		}
		if o, err := fields(b["protocol_options"]); err == nil {
			p.Protocol = o.text("type")
		}
	}
	var entries []json.RawMessage
	if f.has("backends") {
		if err := json.Unmarshal(f["backends"], &entries); err != nil {
			return Profile{}, fmt.Errorf("backends of traffic profile %s: %w", oneLine(p.Name), ErrAnswer)
		}
	}
	for _, raw := range entries {
		e := Entry{}
		if o, err := fields(raw); err == nil {
			// guess: weight and max_fails stand here, by these names
			e = Entry{o.text("id"), o.number("weight"), o.number("max_fails")}
		} else if json.Unmarshal(raw, &e.ID) != nil {
			e.ID = ""
		}
		if e.ID == "" {
			return Profile{}, fmt.Errorf("backends of traffic profile %s: one without id: %w", oneLine(p.Name), ErrAnswer)
		}
		p.Backends = append(p.Backends, e)
	}
	return p, nil
}

// ParseApplication reads one application.
func ParseApplication(raw []byte) (Application, error) {
	f, err := fields(raw)
	if err != nil {
		return Application{}, err
	}
	a := Application{
		ID: f.text("id"), Name: f.text("name"), ProtectionMode: f.text("protection_mode"),
		Hosts: f.ids("hosts"), Profiles: f.ids("traffic_profiles"), raw: raw,
		whole: f.has("protection_mode") && f.has("traffic_profiles"),
	}
	if a.ID == "" || a.Name == "" {
		return Application{}, fmt.Errorf("an application without id or name: %w", ErrAnswer)
	}
	return a, nil
}

// items opens a list: {"items": [...]} or bare. Source: facts A2.4; no pages seen.
func items(raw []byte) ([]json.RawMessage, error) {
	var list []json.RawMessage
	switch raw = bytes.TrimSpace(raw); {
	case bytes.HasPrefix(raw, []byte("[")):
		if json.Unmarshal(raw, &list) != nil {
			return nil, notJSON(raw)
		}
		return list, nil
	case !bytes.HasPrefix(raw, []byte("{")):
		return nil, notJSON(raw)
	}
	f, err := fields(raw)
	if err != nil {
		return nil, err
	}
	if inner, ok := f["items"]; !ok || json.Unmarshal(inner, &list) != nil || list == nil {
		return nil, fmt.Errorf("no list of items in it: %w", ErrAnswer) // null is none: empty is not all
	}
	return list, nil
}

// A record has the fields of a JSON object by their exact names: the decoder's
// own way takes "ENABLED" for "enabled".
type record map[string]json.RawMessage

func fields(raw []byte) (record, error) {
	var f record
	if json.Unmarshal(raw, &f) != nil || f == nil {
		return nil, notJSON(raw)
	}
	return f, nil
}

// notJSON is what is said of an answer that can't be read, with its first words.
func notJSON(raw []byte) error {
	const first = 80
	text := errorText(raw)
	if r := []rune(text); len(r) > first {
		text = string(r[:first]) + " ..."
	}
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return fmt.Errorf("an empty answer: %w", ErrAnswer)
	case json.Valid(raw):
		return fmt.Errorf("JSON of another shape: %w", ErrAnswer) // it may hold anything: no words of it
	}
	return fmt.Errorf("%q: %w: check the URL", text, ErrAnswer)
}

func (f record) has(name string) bool {
	raw, ok := f[name]
	return ok && string(raw) != "null"
}

func (f record) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// number reads a whole number, which may come as a text; nil when there is none.
func (f record) number(name string) *int {
	s := strings.Trim(string(f[name]), `"`)
	n, err := strconv.Atoi(s)
	if err != nil {
		return nil
	}
	return &n
}

type answer edge.Answer

func (a answer) yes() bool { return edge.Answer(a) == edge.Yes }

// answer reads a boolean, which may come as a text or as 0 and 1.
func (f record) answer(name string) answer {
	switch strings.ToLower(strings.Trim(string(f[name]), `"`)) {
	case "true", "1":
		return answer(edge.Yes)
	case "false", "0":
		return answer(edge.No)
	}
	return answer(edge.Unknown)
}

// ids reads a list of texts, or of objects with an id; others are left out.
func (f record) ids(name string) (out []string) {
	var list []json.RawMessage
	if json.Unmarshal(f[name], &list) != nil {
		return nil
	}
	for _, raw := range list {
		var s string
		if o, err := fields(raw); err == nil {
			s = o.text("id")
		} else if json.Unmarshal(raw, &s) != nil {
			continue
		}
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
