// Package apidoc is the OpenAPI 3.1 document of everything that the remediator
// answers over HTTP. Each part of the API has a file of its own, written by hand;
// the document is all of them together. Tests hold the handlers' routes and their
// answers against it, and docs/api.md is made from it.
package apidoc

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Path is where the document is served.
const Path = "/api/v1/openapi.json"

// parts are the files, in the order in which the document has them. The first one
// says what the API is, and has what the others share.
var parts = []string{"shared.json", "haproxy.json", "members.json", "steps.json", "barriers.json", "drills.json", "access.json", "program.json"}

//go:embed *.json
var files embed.FS

// Document is the whole, as JSON.
var Document = sync.OnceValue(func() []byte {
	var texts [][]byte
	for _, name := range parts {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		texts = append(texts, text)
	}
	doc, err := merge(texts)
	if err != nil {
		panic(err) // a test reads it, too
	}
	return doc
})

// merge puts the paths, components and tags of all parts into the first one. What
// stands in two of them is a mistake: one would hide the other.
func merge(texts [][]byte) ([]byte, error) {
	var all object
	for i, text := range texts {
		var part object
		if err := json.Unmarshal(text, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", parts[i], err)
		}
		if i == 0 {
			all = part
			continue
		}
		for _, m := range part {
			have := all.at(m.name)
			if have == nil {
				return nil, fmt.Errorf("%s: %q: only %s has such", parts[i], m.name, parts[0])
			}
			if err := have.add(m); err != nil {
				return nil, fmt.Errorf("%s: %w", parts[i], err)
			}
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", " "); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

// An object is a JSON object that keeps the order of its members: people read it.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

func (o object) at(name string) *member {
	if i := slices.IndexFunc(o, func(m member) bool { return m.name == name }); i >= 0 {
		return &o[i]
	}
	return nil
}

// add appends to a list, and to an object, and to the objects in "components".
func (m *member) add(more member) error {
	if m.value[0] == '[' {
		var list, others []json.RawMessage
		if err := errors.Join(json.Unmarshal(m.value, &list), json.Unmarshal(more.value, &others)); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		var err error
		m.value, err = json.Marshal(append(list, others...))
		return err
	}
	var o, others object
	if err := errors.Join(json.Unmarshal(m.value, &o), json.Unmarshal(more.value, &others)); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	for _, other := range others {
		have := o.at(other.name)
		switch {
		case have == nil:
			o = append(o, other)
		case m.name != "components":
			return fmt.Errorf("%s %s stands there twice", m.name, other.name)
		default:
			if err := have.add(other); err != nil {
				return err
			}
		}
	}
	var err error
	m.value, err = json.Marshal(o)
	return err
}

// UnmarshalJSON is [json.Unmarshaler]'s.
func (o *object) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("want an object and not %.20q", text)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the decoder takes nothing else for a key
		if o.at(name) != nil {
			return fmt.Errorf("%q stands there twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		*o = append(*o, member{name, value})
	}
	return nil
}

// MarshalJSON is [json.Marshaler]'s.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(m.value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
