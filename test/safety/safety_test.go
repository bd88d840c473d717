package main

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var module = fstest.MapFS{
	"door/door.go": {Data: []byte(`// Package door opens and shuts (SAFETY.md I1).
package door

// Shut shuts (SAFETY.md I2,
// I3).
func Shut() {}

// A Lock locks.
type Lock struct {
	key int // the one that fits (I4)
}

// Turn has no id: AI5, I27 and I50 are none.
func (l *Lock) Turn() {} // but this is one: I6
`)},
	"door/door_test.go": {Data: []byte(`package door

import "testing"

// Shut is shut (I2).
func TestShut(t *testing.T) {
	t.Run("I3: twice", nil)
	// I4
}

func TestI6Turn(t *testing.T) {}
func TestI60(t *testing.T) {} // no id of ours

// I9: a helper is no test.
func helper() {}
`)},
	"test/rig/rig.go":           {Data: []byte("package rig // I7")},
	"door/testdata/x.go":        {Data: []byte("package x // I8")},
	"test/safety/safety.go":     {Data: []byte("package main // I8")},
	"test/mutate/edits_test.go": {Data: []byte("package main // I8")},
}

func TestWhoNamesWhat(t *testing.T) {
	h, err := scan(module)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for id := range 27 {
		var who []string
		for _, p := range h.code[id] {
			who = append(who, p.String())
		}
		for _, p := range h.tests[id] {
			who = append(who, p.String())
		}
		if who != nil {
			got[id] = strings.Join(who, " ")
		}
	}
	want := map[int]string{
		1: "door.",
		2: "door.Shut door.TestShut",
		3: "door.Shut door.TestShut",
		4: "door.Lock door.TestShut",
		6: "door.Lock.Turn door.TestI6Turn",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	h, err := scan(module)
	if err != nil {
		t.Fatal(err)
	}
	all := []invariant{{id: 1, name: "one"}, {id: 2, name: "two"}, {id: 3, name: "three", by: []string{"door.Gone"}}, {id: 4}, {id: 5, name: "five"}}
	wrong, waits := judge(all, map[int]string{5: "a bolt"}, h)
	var got []string
	for _, err := range wrong {
		got = append(got, err.Error())
	}
	want := []string{"no test names I1 (one)", "catalogue, I3 (three): it names door.Gone, and there is no such declaration"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"I5 (five): not yet: a bolt"}, waits); d != "" {
		t.Error(d)
	}
	text := string(table(all, map[int]string{5: "a bolt"}, h))
	for _, line := range []string{
		"| I1 | one |  | package `door` | none yet |\n",
		"| I2 | two |  | `door.Shut` (door.go) | `door.TestShut` |\n",
		"| I5 | five |  (Not yet whole: a bolt.) | none yet | none yet |\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func TestTheCatalogueIsWhole(t *testing.T) {
	var ids []int
	for _, i := range invariants {
		ids = append(ids, i.id)
		if i.name == "" || !strings.HasSuffix(i.statement, ".") || strings.Contains(i.name+i.statement, "|") {
			t.Errorf("I%d: %q, %q", i.id, i.name, i.statement)
		}
	}
	if !slices.IsSorted(ids) || len(ids) != 26 {
		t.Errorf("ids are %v", ids)
	}
}
