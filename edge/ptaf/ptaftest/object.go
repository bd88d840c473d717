package ptaftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// An object is a JSON object whose fields keep their order and their values
// their bytes: whoever sends back what it read must find it as it was.
type object []field

type field struct {
	name  string
	value json.RawMessage
}

func (o object) get(name string) (json.RawMessage, bool) {
	for _, f := range o {
		if f.name == name {
			return f.value, true
		}
	}
	return nil, false
}

// set changes a field where it stands, or adds it at the end.
func (o *object) set(name string, value json.RawMessage) {
	for i := range *o {
		if (*o)[i].name == name {
			(*o)[i].value = value
			return
		}
	}
	*o = append(*o, field{name, value})
}

func (o object) encode() json.RawMessage {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, encode(f.name)...), ':')
		b = append(b, f.value...)
	}
	return append(b, '}')
}

// encode writes a value as JSON, without Go's own escapes of <, > and &. What
// is JSON already stays as it is.
func encode(v any) json.RawMessage {
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("ptaftest: a field that is no JSON: " + err.Error()) // by whoever wrote the test
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func encodeList(items []json.RawMessage) json.RawMessage {
	return slices.Concat([]byte{'['}, bytes.Join(byteSlices(items), []byte{','}), []byte{']'})
}

func byteSlices(in []json.RawMessage) [][]byte {
	out := make([][]byte, 0, len(in))
	for _, b := range in {
		out = append(out, b)
	}
	return out
}

var errNoObject = errors.New("not a JSON object")

// parseObject reads one object, without anything after it.
func parseObject(raw []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	o := object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, errNoObject
		}
		name, ok := t.(string)
		if !ok {
			return nil, errNoObject
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errNoObject
		}
		if _, twice := o.get(name); twice {
			return nil, fmt.Errorf("field %q twice", name) // guess: a device may as well take the last
		}
		o = append(o, field{name, value})
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoObject
	}
	return o, nil
}

// truth reads a boolean as leniently as the device does. Source: the replaced
// script writes down as "True" and "False", is told 200, and reads it back as
// a boolean on its next run.
func truth(raw json.RawMessage) (value, ok bool) {
	switch string(raw) {
	case `true`, `"True"`:
		return true, true
	case `false`, `"False"`:
		return false, true
	}
	return false, false
}

// number reads a whole number; null and what is none give def.
func number(o object, name string, def int) int {
	raw, _ := o.get(name)
	if n, err := strconv.Atoi(string(raw)); err == nil {
		return n
	}
	return def
}

func text(o object, name string) string {
	raw, _ := o.get(name)
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return ""
	}
	return s
}

func is(o object, name string) bool {
	raw, _ := o.get(name)
	value, _ := truth(raw)
	return value
}

// A mistake is what a PATCH is refused for: the field and why.
type mistake struct{ field, why string }

func (m *mistake) Error() string { return m.field + ": " + m.why }

// tidy makes a backend of what came in a PATCH: known fields have the right
// type, those that are absent their defaults, and all others stay as they came.
// Source of types and defaults: facts A1.3; that they are checked is a guess.
func tidy(entry object) (object, error) {
	entry = slices.Clone(entry)
	if text(entry, "address") == "" {
		return nil, &mistake{"address", "want the IP address or name of the backend"}
	}
	for _, n := range []struct {
		name     string
		def      string
		min, max int
		null     bool
	}{
		{"port", "80", 1, 65535, false},
		{"weight", "1", 1, 65535, true},
		{"max_fails", "null", 0, 65535, true},
	} {
		raw, ok := entry.get(n.name)
		if !ok {
			entry.set(n.name, json.RawMessage(n.def))
			continue
		}
		if n.null && string(raw) == "null" {
			continue
		}
		if i, err := strconv.Atoi(string(raw)); err != nil || i < n.min || i > n.max {
			return nil, &mistake{n.name, fmt.Sprintf("want a number from %d to %d", n.min, n.max)}
		}
	}
	for _, name := range []string{"down", "backup"} {
		raw, ok := entry.get(name)
		if !ok {
			raw = json.RawMessage("false")
		}
		value, ok := truth(raw)
		if !ok {
			return nil, &mistake{name, "want a boolean"}
		}
		entry.set(name, encode(value))
	}
	return entry, nil
}

// over puts the fields of fresh over those of old: the order of old, and its
// bytes wherever the value is the same.
func over(old, fresh object) object {
	out := object{}
	for _, f := range old {
		if value, ok := fresh.get(f.name); ok {
			if sameJSON(f.value, value) {
				value = f.value
			}
			out = append(out, field{f.name, value})
		}
	}
	for _, f := range fresh {
		if _, ok := old.get(f.name); !ok {
			out = append(out, f)
		}
	}
	return out
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a) != nil || json.Compact(&y, b) != nil {
		return false
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}
