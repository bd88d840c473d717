package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A node is a JSON value that keeps the order in which it is written.
type node struct {
	text   json.RawMessage // as it is written
	keys   []string        // of an object, in order
	fields map[string]*node
	list   []*node
	root   *node // where references begin
}

func parse(text []byte) (*node, error) {
	n := &node{}
	n.root = n
	err := n.read(text)
	return n, err
}

func (n *node) read(text json.RawMessage) error {
	n.text = text
	switch text[0] {
	case '{':
		n.fields = map[string]*node{}
		d := json.NewDecoder(bytes.NewReader(text))
		if _, err := d.Token(); err != nil {
			return err
		}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			sub, err := n.decode(d)
			if err != nil {
				return err
			}
			name, _ := key.(string) // the decoder takes nothing else for a key
			n.keys, n.fields[name] = append(n.keys, name), sub
		}
	case '[':
		d := json.NewDecoder(bytes.NewReader(text))
		if _, err := d.Token(); err != nil {
			return err
		}
		for d.More() {
			sub, err := n.decode(d)
			if err != nil {
				return err
			}
			n.list = append(n.list, sub)
		}
	}
	return nil
}

func (n *node) decode(d *json.Decoder) (*node, error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	sub := &node{root: n.root}
	err := sub.read(raw)
	return sub, err
}

// at follows keys, and references on the way; nil when there is nothing.
func (n *node) at(keys ...string) *node {
	n = n.resolved()
	for _, k := range keys {
		if n == nil {
			return nil
		}
		n = n.fields[k].resolved()
	}
	return n
}

func (n *node) resolved() *node {
	if ref := n.ref(); ref != "" {
		return n.root.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return n
}

// ref is what a reference says; empty when it is none.
func (n *node) ref() string {
	if n == nil || n.fields["$ref"] == nil {
		return ""
	}
	return n.fields["$ref"].string()
}

// string is a text, or another value as it is written; empty of nothing.
func (n *node) string() string {
	if n == nil {
		return ""
	}
	var s string
	if json.Unmarshal(n.text, &s) == nil {
		return s
	}
	return string(n.text)
}

// names are the strings of a list.
func (n *node) names() []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, one := range n.list {
		out = append(out, one.string())
	}
	return out
}

func (n *node) has(name string) bool { return slices.Contains(n.names(), name) }

// pretty writes a value on as few lines as are not too long.
func (n *node) pretty(width, indent int) string {
	line := n.line()
	if len(line)+indent <= width || len(n.keys)+len(n.list) == 0 {
		return line
	}
	pad := strings.Repeat(" ", indent+2)
	var out []string
	for _, k := range n.keys {
		out = append(out, pad+quote(k)+": "+n.fields[k].pretty(width, indent+2))
	}
	for _, sub := range n.list {
		out = append(out, pad+sub.pretty(width, indent+2))
	}
	open, end := "{", "}"
	if n.list != nil {
		open, end = "[", "]"
	}
	return open + "\n" + strings.Join(out, ",\n") + "\n" + pad[2:] + end
}

// line writes a value on one line.
func (n *node) line() string {
	var out []string
	for _, k := range n.keys {
		out = append(out, quote(k)+": "+n.fields[k].line())
	}
	for _, sub := range n.list {
		out = append(out, sub.line())
	}
	switch {
	case n.fields != nil:
		return "{" + strings.Join(out, ", ") + "}"
	case n.text[0] == '[':
		return "[" + strings.Join(out, ", ") + "]"
	}
	return string(n.text)
}

func quote(s string) string { return `"` + s + `"` } // names of fields have nothing to escape
