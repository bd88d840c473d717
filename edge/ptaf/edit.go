package ptaf

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// The list of backends is written whole, and it may hold fields that nobody here
// knows. So it is not decoded and encoded, which would lose the order of fields
// and the spelling of numbers: the value of "down" is replaced where it stands,
// and all other bytes are those that the device gave.

// A field is one of an object; from and to are where its value stands.
type field struct {
	name     string
	value    []byte
	from, to int
}

type object []field

// get is a field's value; nil when it is absent.
func (o object) get(name string) []byte {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// fields splits an object, which must be valid JSON. A name that comes twice is
// an error: who reads the first would not see what who reads the last does.
func fields(raw []byte) (object, error) {
	i := space(raw, 0)
	if i == len(raw) || raw[i] != '{' {
		return nil, fmt.Errorf("%w: no object: %q", ErrAnswer, errorText(raw))
	}
	var all object
	seen := map[string]bool{}
	for i = space(raw, i+1); raw[i] != '}'; i = space(raw, i) {
		if raw[i] == ',' {
			i = space(raw, i+1)
		}
		key := raw[i:end(raw, i)]
		name := text(key)
		if seen[name] {
			return nil, fmt.Errorf("%w: field %s twice in one object", ErrAnswer, quote(name))
		}
		seen[name] = true
		from := space(raw, space(raw, i+len(key))+1) // behind the colon
		i = end(raw, from)
		all = append(all, field{name, raw[from:i], from, i})
	}
	return all, nil
}

// elements are where the values of a list stand. raw must be valid JSON.
func elements(raw []byte) (spans [][2]int, err error) {
	i := space(raw, 0)
	if i == len(raw) || raw[i] != '[' {
		return nil, fmt.Errorf("%w: no list: %q", ErrAnswer, errorText(raw))
	}
	for i = space(raw, i+1); raw[i] != ']'; i = space(raw, i) {
		if raw[i] == ',' {
			i = space(raw, i+1)
		}
		from := i
		i = end(raw, from)
		spans = append(spans, [2]int{from, i})
	}
	return spans, nil
}

// space is the first place at or behind i that is no white space.
func space(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\n' || raw[i] == '\r') {
		i++
	}
	return i
}

// end is the place behind the value that begins at i, in valid JSON.
func end(raw []byte, i int) int {
	for depth := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			for i++; raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			for i < len(raw) && !slices.Contains([]byte(" \t\r\n,]}"), raw[i]) {
				i++
			}
			return i
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

// An entry is a backend and where its parts stand in the list.
type entry struct {
	Backend
	all  object
	down [2]int // where the value of "down" stands; both where it would be added
}

// parseList reads the list of backends, which must be valid JSON. Absent and
// null are an empty list.
func parseList(list []byte) ([]entry, error) {
	if absent(list) {
		return nil, nil
	}
	spans, err := elements(list)
	if err != nil {
		return nil, fmt.Errorf("backends: %w", err)
	}
	var out []entry
	count := map[string]int{}
	for i, s := range spans {
		all, err := fields(list[s[0]:s[1]])
		if err != nil {
			return nil, fmt.Errorf("backend %d: %w", i+1, err)
		}
		e := entry{all: all}
		if e.Backend, err = parseBackend(all); err != nil {
			return nil, fmt.Errorf("backend %d: %w", i+1, err)
		}
		if count[e.Name]++; count[e.Name] > 1 {
			e.Name += "#" + strconv.Itoa(count[e.Name])
		}
		last := s[0] + all[len(all)-1].to // there is one: the address
		e.down = [2]int{last, last}
		for _, f := range all {
			if f.name == "down" {
				e.down = [2]int{s[0] + f.from, s[0] + f.to}
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// edit returns the list with down as wanted for the backends that are named; all
// others, and those that are so already, keep their bytes. An entry without
// "down" gets one at its end, and keeps it when it is given back.
func edit(list []byte, down map[string]bool) ([]byte, error) {
	entries, err := parseList(list)
	if err != nil {
		return nil, err
	}
	for name := range down {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.Name == name }) {
			return nil, fmt.Errorf("backend %s: %w", quote(name), ErrNoBackend)
		}
	}
	var out []byte
	from := 0
	for _, e := range entries {
		want, named := down[e.Name]
		if !named || want == e.Down {
			continue
		}
		out = append(out, list[from:e.down[0]]...)
		if e.down[0] == e.down[1] {
			out = append(out, `,"down":`...)
		}
		// A real boolean, whatever was there. Source: the device gives out booleans.
		out = strconv.AppendBool(out, want)
		from = e.down[1]
	}
	return append(out, list[from:]...), nil
}

// Backends is the list of backends of an object as GET gives it, byte for byte.
func Backends(object []byte) (json.RawMessage, error) {
	if _, err := ParseUpstream(object); err != nil {
		return nil, err
	}
	all, err := fields(object)
	if err != nil {
		return nil, err
	}
	list := all.get("backends")
	if absent(list) {
		return nil, fmt.Errorf("%w: the object has no list of backends", ErrNoBackend)
	}
	return slices.Clone(list), nil
}

// with is an object with another list of backends, as it should be after a write.
func with(object, list []byte) ([]byte, error) {
	all, err := fields(object)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.name == "backends" {
			return slices.Concat(object[:f.from], list, object[f.to:]), nil
		}
	}
	last := all[len(all)-1].to // there is one: the id
	return slices.Concat(object[:last], []byte(`,"backends":`), list, object[last:]), nil
}
