package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Where the guards stand, and which tests are to notice when one is taken out.
const guardDir = "remediator/guard"

var guardTests = []string{"./remediator/guard", "./remediator"}

// A mutant is the source with one safety taken out.
type mutant struct {
	kind string // guard, reason, edit
	what string // what is taken out
	ids  string // the invariants that it serves, where the list says so
	file string // relative to the module
	text []byte // of the whole file, mutated
	pkgs []string
}

func (m mutant) name() string {
	if m.ids == "" {
		return m.kind + " " + m.what
	}
	return m.kind + " " + m.what + " (" + m.ids + ")"
}

// A source is one parsed file of the guards' package.
type source struct {
	name string
	text []byte
	tree *ast.File
	set  *token.FileSet
}

func (s *source) offset(p token.Pos) int { return s.set.Position(p).Offset }

func (s *source) part(n ast.Node) string { return string(s.text[s.offset(n.Pos()):s.offset(n.End())]) }

// with is the text with what lies between two places replaced.
func (s *source) with(from, to token.Pos, by string) []byte {
	return slices.Concat(s.text[:s.offset(from)], []byte(by), s.text[s.offset(to):])
}

// A row is one line of a table of guards.
type row struct {
	table, name string
	check       ast.Expr
	reasons     []string
	in          *source
}

// ofGuards makes a mutant of each row and of each branch that gives a reason.
func ofGuards(root string) ([]mutant, error) {
	sources, err := parse(root, guardDir)
	if err != nil {
		return nil, err
	}
	rows, yes, err := tables(sources)
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, r := range rows {
		out = append(out, mutant{
			kind: "guard", what: r.table + "/" + r.name, file: r.in.name, pkgs: guardTests,
			text: r.in.with(r.check.Pos(), r.check.End(), yes),
		})
	}
	known, found := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		for _, reason := range r.reasons {
			known[reason] = true
		}
	}
	for _, s := range sources {
		for _, reason := range refusals(s) {
			known[reason] = true
		}
	}
	for _, s := range sources {
		for _, b := range branches(s, known) {
			found[b.reason] = true
			out = append(out, mutant{kind: "reason", what: b.in + "/" + b.reason, file: s.name, text: b.text, pkgs: guardTests})
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(known)) {
		if !found[reason] {
			return nil, fmt.Errorf("%s: no branch gives the reason %q: teach test/mutate its form", guardDir, reason)
		}
	}
	return numbered(out), nil
}

// refusals are the reasons that stand beside the tables, as Reason of a literal.
func refusals(s *source) (out []string) {
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok && s.part(kv.Key) == "Reason" && text(kv.Value) != "" {
			out = append(out, text(kv.Value))
		}
		return true
	})
	return out
}

// numbered tells mutants of the same name apart.
func numbered(all []mutant) []mutant {
	seen := map[string]int{}
	for i := range all {
		name := all[i].name()
		if seen[name]++; seen[name] > 1 {
			all[i].what += "#" + strconv.Itoa(seen[name])
		}
	}
	return all
}

func parse(root, dir string) (out []*source, err error) {
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		s := &source{name: path.Join(dir, filepath.Base(name)), set: token.NewFileSet()}
		if s.text, err = os.ReadFile(name); err != nil {
			return nil, err
		}
		if s.tree, err = parser.ParseFile(s.set, s.name, s.text, parser.SkipObjectResolution); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// tables finds every package variable of type []row, and the text of a check
// that always says yes.
func tables(sources []*source) (rows []row, yes string, err error) {
	for _, s := range sources {
		for _, d := range s.tree.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if f, ok := spec.Type.(*ast.FuncType); ok && spec.Name.Name == "check" {
						yes = always(s, f)
					}
				case *ast.ValueSpec:
					for i, v := range spec.Values {
						some, err := rowsOf(s, spec.Names[i].Name, v)
						if err != nil {
							return nil, "", err
						}
						rows = append(rows, some...)
					}
				}
			}
		}
	}
	if len(rows) == 0 || yes == "" {
		return nil, "", fmt.Errorf("%s: no table of type []row, or no type check", guardDir)
	}
	return rows, yes, nil
}

// always is a check of the given type whose results are all zero.
func always(s *source, f *ast.FuncType) string {
	var zeros []string
	for _, r := range f.Results.List {
		for range max(1, len(r.Names)) {
			zeros = append(zeros, "*new("+s.part(r.Type)+")")
		}
	}
	return s.part(f) + " { return " + strings.Join(zeros, ", ") + " }"
}

func rowsOf(s *source, table string, v ast.Expr) (out []row, err error) {
	list, ok := v.(*ast.CompositeLit)
	if !ok {
		return nil, nil
	}
	if t, ok := list.Type.(*ast.ArrayType); !ok || s.part(t.Elt) != "row" {
		return nil, nil
	}
	for _, e := range list.Elts {
		r := row{table: table, in: s}
		lit, ok := e.(*ast.CompositeLit)
		if !ok {
			return nil, fmt.Errorf("%s: %s: a row that is no literal", s.name, table)
		}
		for i, field := range lit.Elts {
			key := ""
			if i < 3 {
				key = []string{"name", "check", "reasons"}[i]
			}
			if kv, ok := field.(*ast.KeyValueExpr); ok {
				key, field = s.part(kv.Key), kv.Value
			}
			switch key {
			case "name":
				r.name = text(field)
			case "check":
				r.check = field
			case "reasons":
				ast.Inspect(field, func(n ast.Node) bool {
					if lit, ok := n.(*ast.BasicLit); ok {
						r.reasons = append(r.reasons, text(lit))
					}
					return true
				})
			}
		}
		if r.name == "" || r.check == nil {
			return nil, fmt.Errorf("%s: %s: a row without name or check", s.name, table)
		}
		out = append(out, r)
	}
	return out, nil
}

// text is the value of a string literal; empty for anything else.
func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// A branch gives one reason; text is the file without it.
type branch struct {
	in, reason string
	text       []byte
}

// branches finds each place that gives a known reason: in a return, in an
// assignment or as an argument. Its innermost case or if is never taken in the
// mutant; where it stands in none, the reason is empty instead.
func branches(s *source, known map[string]bool) (out []branch) {
	for _, d := range s.tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		var way []ast.Node
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if n == nil {
				way = way[:len(way)-1]
				return true
			}
			way = append(way, n)
			lit, ok := n.(*ast.BasicLit)
			if !ok || !known[text(lit)] || !gives(way) {
				return true
			}
			out = append(out, branch{f.Name.Name, text(lit), skip(s, way, lit)})
			return true
		})
	}
	return out
}

// gives says that the literal at the end of the way is a result: not the name of
// something, a comparison, or a list.
func gives(way []ast.Node) bool {
	switch n := way[len(way)-2].(type) {
	case *ast.ReturnStmt, *ast.AssignStmt:
		return true
	case *ast.CallExpr:
		return n.Fun != way[len(way)-1] && len(n.Args) > 1 && n.Args[0] != way[len(way)-1] // the first is the guard's name
	}
	return false
}

// skip is the file with the innermost branch around the literal switched off.
func skip(s *source, way []ast.Node, lit *ast.BasicLit) []byte {
	for i := len(way) - 1; i > 0; i-- {
		switch n := way[i].(type) {
		case *ast.IfStmt:
			if i+1 < len(way) && way[i+1] != n.Body {
				continue // in its else, or in its condition
			}
			return s.with(n.Cond.Pos(), n.Cond.End(), "false && ("+s.part(n.Cond)+")")
		case *ast.CaseClause:
			if tagless(way[:i]) && len(n.List) > 0 {
				first, last := n.List[0], n.List[len(n.List)-1]
				var conds []string
				for _, c := range n.List {
					conds = append(conds, "("+s.part(c)+")")
				}
				return s.with(first.Pos(), last.End(), "false && ("+strings.Join(conds, " || ")+")")
			}
			return s.with(lit.Pos(), lit.End(), `""`)
		case *ast.FuncLit:
			return s.with(lit.Pos(), lit.End(), `""`)
		}
	}
	return s.with(lit.Pos(), lit.End(), `""`)
}

func tagless(way []ast.Node) bool {
	for i := len(way) - 1; i >= 0; i-- {
		if sw, ok := way[i].(*ast.SwitchStmt); ok {
			return sw.Tag == nil
		}
	}
	return false
}
