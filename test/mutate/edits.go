package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// An edit takes out a safety that is no guard: each text that was, which stands in
// the folder exactly once, becomes the one that is. All of an edit's texts are in one file.
type edit struct {
	ids, what, dir string
	texts          []change
	also           []string // packages whose tests may notice too, after the folder's own
}

type change struct{ was, is string }

func one(was, is string) []change { return []change{{was, is}} }

// ofEdits makes a mutant of each edit. The error names all that have lost their place.
func ofEdits(root string, all []edit) (out []mutant, err error) {
	for _, e := range all {
		m, one := e.mutant(root)
		if one != nil {
			err = errors.Join(err, fmt.Errorf("edit %q: %w", e.what, one))
		}
		out = append(out, m)
	}
	return numbered(out), err
}

func (e edit) mutant(root string) (mutant, error) {
	m := mutant{kind: "edit", what: e.what, ids: e.ids, pkgs: append([]string{"./" + e.dir}, e.also...)}
	text, original := "", ""
	for _, c := range e.texts {
		file, whole, err := find(root, e.dir, c.was)
		switch {
		case err != nil:
			return m, err
		case m.file == "":
			m.file, text, original = file, whole, whole
		case m.file != file:
			return m, fmt.Errorf("its texts are in %s and %s", m.file, file)
		}
		text = strings.Replace(text, c.was, c.is, 1)
	}
	if text == original {
		return m, errors.New("it changes nothing")
	}
	m.text = []byte(text)
	return m, nil
}

// find returns the one file of a folder that holds a text, once.
func find(root, dir, was string) (file, text string, err error) {
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return "", "", err
	}
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		if c := strings.Count(string(b), was); c > 0 {
			n += c
			file, text = path.Join(dir, filepath.Base(name)), string(b)
		}
	}
	if n != 1 {
		return "", "", fmt.Errorf("stands in %s %d times, want once:\n%s", dir, n, was)
	}
	return file, text, nil
}
