package ptafprotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
		panic("ptafprotest: a field that is no JSON: " + err.Error()) // by whoever wrote the test
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
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

// only keeps the named fields.
func (o object) only(names ...string) object {
	return slices.DeleteFunc(slices.Clone(o), func(f field) bool { return !slices.Contains(names, f.name) })
}

func text(o object, name string) string {
	raw, _ := o.get(name)
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
