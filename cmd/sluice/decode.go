package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/edge"
)

// A lineMistake is a mistake with the line it stands on, counted from 1.
type lineMistake struct {
	line int
	edge.Mistake

	meant string // path of the value that was likely meant, and will be missed
}

// decode reads YAML strictly into the struct that into points to. The library
// stops at the first value whose own decoder refuses it, gives that one no line
// and prints what it found; so the tree is first held against the type, all
// mistakes are gathered with their lines and without secrets, and the wrong
// parts are left out. What is then decoded is good enough for the sections'
// own Validate to find the rest in the same run.
func decode(text []byte, into any) (*yaml.Node, []lineMistake) {
	root, wrong := parse(text)
	if wrong != nil {
		return nil, []lineMistake{*wrong}
	}
	c := checker{seen: make(map[visit]bool)}
	if !c.value(root, reflect.TypeOf(into).Elem(), "") {
		return root, c.found
	}
	if err := root.Decode(into); err != nil {
		c.found = append(c.found, *syntaxMistake(text, err))
	}
	return root, c.found
}

// parse returns the one document of the file, a mapping.
func parse(text []byte) (*yaml.Node, *lineMistake) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &lineMistake{line: 1, Mistake: edge.Mistake{Text: "the file is empty: write devices, modules and probes into it"}}
	case err != nil:
		return nil, syntaxMistake(text, err)
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return nil, &lineMistake{line: second.Line, Mistake: edge.Mistake{Text: `a second document starts here: keep all in one, without "---"`}}
	case !errors.Is(err, io.EOF):
		return nil, syntaxMistake(text, err)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, &lineMistake{line: root.Line, Mistake: edge.Mistake{Text: "want sections such as devices, modules and probes here, not " + kindOf(root)}}
	}
	return root, nil
}

// A visit keeps the checker from walking in circles, and from walking a part
// that many aliases share more than once.
type visit struct {
	node *yaml.Node
	typ  reflect.Type
}

type checker struct {
	seen  map[visit]bool
	found []lineMistake
}

func (c *checker) add(n *yaml.Node, path, format string, args ...any) {
	c.found = append(c.found, lineMistake{line: n.Line, Mistake: edge.Mistake{Path: path, Text: fmt.Sprintf(format, args...)}})
}

// value holds the tree under n against t. False means that n must be left out
// of what is decoded; why has been noted.
func (c *checker) value(n *yaml.Node, t reflect.Type, path string) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if isNull(n) {
		return true // as if left out
	}
	if c.seen[visit{n, t}] {
		return true
	}
	c.seen[visit{n, t}] = true

	custom := decodesItself(t)
	if custom && (n.Kind != yaml.MappingNode || t.Kind() != reflect.Struct) {
		return c.leaf(n, t, path)
	}
	before := len(c.found)
	switch t.Kind() {
	case reflect.Struct:
		if !c.want(n, yaml.MappingNode, path, "keys and values") {
			return false
		}
		c.structure(n, t, path)
		switch {
		case !custom:
			return true
		case len(c.found) == before:
			return c.leaf(n, t, path) // what its own decoder checks besides the keys
		default:
			return n.Decode(reflect.New(t).Interface()) == nil // does it do without the wrong parts?
		}
	case reflect.Map:
		if !c.want(n, yaml.MappingNode, path, "names and values") {
			return false
		}
		c.pairs(n, path, func(*yaml.Node) (reflect.Type, bool) { return t.Elem(), true })
		return true
	case reflect.Slice, reflect.Array:
		if !c.want(n, yaml.SequenceNode, path, "a list: put - before each entry, or [ ] around all") {
			return false
		}
		for i, entry := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if isNull(entry) {
				c.add(entry, at, "is empty: write what belongs here, or leave out the entry")
			} else if c.value(entry, t.Elem(), at) {
				continue
			}
			n.Content[i] = empty(t.Elem(), entry.Line)
		}
		return true
	case reflect.Interface:
		return true
	default:
		return c.leaf(n, t, path)
	}
}

// empty takes the place of a wrong entry of a list, so that the numbers in the
// paths of other mistakes stay right.
func empty(t reflect.Type, line int) *yaml.Node {
	var n yaml.Node
	if t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer || n.Encode(reflect.Zero(t).Interface()) != nil {
		n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	n.Line = line
	return &n
}

func (c *checker) want(n *yaml.Node, kind yaml.Kind, path, what string) bool {
	if n.Kind == kind {
		return true
	}
	c.add(n, path, "want %s, not %s", what, kindOf(n))
	return false
}

// structure checks the keys of a mapping against the fields of t.
func (c *checker) structure(n *yaml.Node, t reflect.Type, path string) {
	known := fieldsOf(t)
	c.pairs(n, path, func(key *yaml.Node) (reflect.Type, bool) {
		if ft, ok := known.types[key.Value]; ok {
			return ft, true
		}
		if known.rest != nil {
			return known.rest, true
		}
		near, ok := nearest(key.Value, known.names())
		c.add(key, join(path, key.Value), "unknown field: %s", instead(near, ok, known.names()))
		if ok {
			c.found[len(c.found)-1].meant = join(path, near)
		}
		return nil, false
	})
}

// pairs checks each value of a mapping by the type that typeOf gives for its
// key, and leaves the wrong ones out.
func (c *checker) pairs(n *yaml.Node, path string, typeOf func(key *yaml.Node) (reflect.Type, bool)) {
	first := make(map[string]int)
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			c.merged(val, path, typeOf)
			kept = append(kept, key, val)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			c.add(key, path, "want a name here, not %s", kindOf(key))
			continue
		}
		if line, twice := first[key.Value]; twice {
			c.add(key, join(path, key.Value), "stands here a second time, first on line %d: keep one", line)
			continue
		}
		first[key.Value] = key.Line
		if t, ok := typeOf(key); ok && c.value(val, t, join(path, key.Value)) {
			kept = append(kept, key, val)
		}
	}
	n.Content = kept
}

// merged checks what "<<" brings in: one mapping or a list of them.
func (c *checker) merged(n *yaml.Node, path string, typeOf func(*yaml.Node) (reflect.Type, bool)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		if v := (visit{n, nil}); !c.seen[v] {
			c.seen[v] = true
			c.pairs(n, path, typeOf)
		}
	case yaml.SequenceNode:
		for _, part := range n.Content {
			c.merged(part, path, typeOf)
		}
	default:
		c.add(n, path, `"<<" wants keys and values to bring in, not %s`, kindOf(n))
	}
}

var (
	durationType = reflect.TypeFor[model.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// leaf decodes one value by itself, to learn whether it is right.
func (c *checker) leaf(n *yaml.Node, t reflect.Type, path string) bool {
	err := n.Decode(reflect.New(t).Interface())
	if err == nil {
		return true
	}
	// The library's texts quote the value, and Go's errors of URLs do too. Only
	// values that can't be secrets are said again.
	switch {
	case t == durationType:
		c.add(n, path, "%s is not a duration: write one like 500ms, 30s, 1h30m or 90d", quoted(n))
	case t == timeType:
		c.add(n, path, "%s is not a time: write one like 2026-12-31T23:59:59Z", quoted(n))
	case n.Kind != yaml.ScalarNode && t.Kind() != reflect.Struct:
		c.add(n, path, "want one value, not %s", kindOf(n))
	case isURL(t):
		c.add(n, path, "not a URL: write one like http://127.0.0.1:9093")
	case decodesItself(t):
		c.add(n, path, "%s", oneLine(err))
	case t.Kind() == reflect.Bool:
		c.add(n, path, "%s is neither true nor false: write one of them", quoted(n))
	case isWhole(t.Kind()):
		c.add(n, path, "%s is not a whole number: write one like 3", quoted(n))
	case t.Kind() == reflect.Float64 || t.Kind() == reflect.Float32:
		c.add(n, path, "%s is not a number: write one like 0.5", quoted(n))
	default:
		c.add(n, path, "want %s, not %s", t.Kind(), kindOf(n))
	}
	return false
}

// oneLine is the text of an error of a type that decodes itself, without the
// library's frame around it.
func oneLine(err error) string {
	if te := (*yaml.TypeError)(nil); errors.As(err, &te) && len(te.Errors) > 0 {
		return "want another kind of value"
	}
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}

// quoted is a short value as it stands in the file.
func quoted(n *yaml.Node) string {
	const most = 40
	if n.Kind != yaml.ScalarNode {
		return kindOf(n)
	}
	if v := []rune(n.Value); len(v) > most {
		return strconv.Quote(string(v[:most])) + "..."
	}
	return strconv.Quote(n.Value)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case isNull(n):
		return "nothing"
	default:
		return "a single value"
	}
}

func isWhole(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uint64 }

func isURL(t reflect.Type) bool { return t.Kind() == reflect.Struct && t.Name() == "URL" }

// decodesItself says whether the library asks the type how to decode it.
func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[yaml.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[interface{ UnmarshalYAML(func(any) error) error }]()) ||
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// fields are the keys that a struct takes, by the rules of the library: the
// tag's name, else the field's in lower case; inlined structs give theirs, an
// inlined map takes the rest.
type fields struct {
	types map[string]reflect.Type
	rest  reflect.Type // of the values under any other key; nil when there may be none
}

func (f fields) names() []string {
	var out []string
	for name := range f.types {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func fieldsOf(t reflect.Type) fields {
	out := fields{types: make(map[string]reflect.Type)}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if slices.Contains(strings.Split(options, ","), "inline") {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Map {
				out.rest = inner.Elem()
				continue
			}
			for k, v := range fieldsOf(inner).types {
				out.types[k] = v
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		out.types[name] = f.Type
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
