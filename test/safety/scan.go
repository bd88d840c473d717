package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A place is a declaration that names an invariant.
type place struct {
	dir, name, file string
}

func (p place) String() string { return p.dir + "." + p.name }

func (p place) compare(o place) int {
	return strings.Compare(p.dir+"\x00"+p.name+"\x00"+p.file, o.dir+"\x00"+o.name+"\x00"+o.file)
}

// A harvest is what the sources say: by id, who keeps it and who tests it.
type harvest struct {
	code  map[int][]place
	tests map[int][]place
	all   map[string]place // every declaration outside tests, as DIR.Name
}

// ids are I1 to I26 as words of their own.
var ids = regexp.MustCompile(`\bI([1-9]|1[0-9]|2[0-6])\b`)

// named is the id in the name of a test, such as TestI7WhatAPersonDidIsRead.
var named = regexp.MustCompile(`^(?:Test|Fuzz)(I[1-9][0-9]?)(?:[^0-9a-z]|$)`)

func idsIn(text string) (out []int) {
	for _, m := range ids.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err == nil && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// scan reads all Go files of a module.
func scan(module fs.FS) (harvest, error) {
	h := harvest{code: map[int][]place{}, tests: map[int][]place{}, all: map[string]place{}}
	err := fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "bin" || name == "tools" || name == "test/safety" || name == "test/mutate"):
			return fs.SkipDir // the last two are about the ids, and keep none
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		return h.file(name, text)
	})
	for _, m := range []map[int][]place{h.code, h.tests} {
		for id := range m {
			slices.SortFunc(m[id], place.compare)
			m[id] = slices.Compact(m[id])
		}
	}
	return h, err
}

// file takes in one file.
func (h harvest) file(name string, text []byte) error {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	at := place{dir: path.Dir(name), file: name}
	test := strings.HasSuffix(name, "_test.go")
	if !test && strings.HasPrefix(name, "test/") {
		return nil // the tests' own parts keep nothing
	}
	spans := declarations(f)
	line := func(p token.Pos) int { return files.Position(p).Line }
	if !test {
		for _, s := range spans {
			h.all[at.dir+"."+s.name] = place{at.dir, s.name, name}
		}
	}
	for _, g := range f.Comments {
		for _, c := range g.List {
			if s := owner(spans, g, c, line); s != nil {
				h.note(test, place{at.dir, s.name, name}, c.Text)
			} else if !test {
				h.note(test, place{at.dir, "", name}, c.Text) // of the package
			}
		}
	}
	if !test {
		return nil
	}
	for _, s := range spans {
		if m := named.FindStringSubmatch(s.name); m != nil {
			h.note(true, place{at.dir, s.name, name}, m[1])
		}
		ast.Inspect(s.node, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				h.note(true, place{at.dir, s.name, name}, lit.Value)
			}
			return true
		})
	}
	return nil
}

func (h harvest) note(test bool, p place, text string) {
	into := h.code
	if test {
		if !strings.HasPrefix(p.name, "Test") && !strings.HasPrefix(p.name, "Fuzz") {
			return
		}
		into = h.tests
	}
	for _, id := range idsIn(text) {
		into[id] = append(into[id], p)
	}
}

// A span is one declaration, its doc comment included.
type span struct {
	name     string
	node     ast.Node
	from, to token.Pos
}

func declarations(f *ast.File) (out []span) {
	add := func(name string, n ast.Node, doc *ast.CommentGroup) {
		s := span{name, n, n.Pos(), n.End()}
		if doc != nil {
			s.from = doc.Pos()
		}
		out = append(out, s)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			add(receiver(d)+d.Name.Name, d, d.Doc)
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			for _, s := range d.Specs {
				doc := d.Doc
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Doc != nil {
						doc = s.Doc
					}
					add(s.Name.Name, s, doc)
				case *ast.ValueSpec:
					if s.Doc != nil {
						doc = s.Doc
					}
					add(s.Names[0].Name, s, doc)
				}
			}
		}
	}
	return out
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	if n, ok := t.(*ast.Ident); ok {
		return n.Name + "."
	}
	return ""
}

// owner is the declaration that a comment stands in, before, or behind on a line
// of it; nil when it is the package's.
func owner(spans []span, g *ast.CommentGroup, c *ast.Comment, line func(token.Pos) int) *span {
	for i := range spans {
		s := &spans[i]
		inside := s.from <= c.Pos() && c.End() <= s.to
		behind := c.Pos() > s.to && line(c.Pos()) == line(s.to)
		before := g.End() < s.from && line(g.End())+1 == line(s.from)
		if inside || behind || before {
			return s
		}
	}
	return nil
}

// kept are the places that keep an invariant: those that say so, and those that
// the catalogue names. missing are names of the catalogue that nothing has.
func (h harvest) kept(i invariant) (out []place, missing []string) {
	out = slices.Clone(h.code[i.id])
	for _, name := range i.by {
		p, ok := h.all[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, place.compare)
	return slices.Compact(out), missing
}
