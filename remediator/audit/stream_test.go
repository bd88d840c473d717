package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

var (
	s1 = edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	s2 = edge.Member{Device: "edge1", Pool: "shop", Name: "s2"}
	t0 = time.Date(2026, 1, 2, 15, 4, 5, 678000000, time.UTC)
)

// source is a journal in memory, as far as the stream asks one.
type source struct {
	entries []journal.Entry
	err     error
}

func (s *source) Entries(q journal.Query) (out []journal.Entry, err error) {
	for _, e := range s.entries {
		if e.Seq > q.After {
			out = append(out, e)
		}
	}
	if q.Limit > 0 {
		out = out[max(0, len(out)-q.Limit):]
	}
	return out, s.err
}

// add puts n entries more into the journal.
func (s *source) add(n int) {
	for range n {
		seq := uint64(len(s.entries) + 1)
		s.entries = append(s.entries, journal.Entry{
			Seq: seq, At: t0.Add(time.Duration(seq) * time.Second), Event: "step", Member: &s1, Result: "applied",
			Detail: fmt.Sprintf("<%d> \"quoted\" é \u2028 \n", seq), Evidence: json.RawMessage(`{ "answer": "no",` + "\n" + `"n": 1.50 }`),
		})
	}
}

func open(t *testing.T, path string, o Options) *Stream {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func wantSync(t *testing.T, s *Stream, src Source) {
	t.Helper()
	if err := s.Sync(src); err != nil {
		t.Fatal(err)
	}
}

// lines reads a whole stream, which must be good.
func lines(t *testing.T, path string) []Line {
	t.Helper()
	files, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []Line
	sum, err := Read(files, func(l Line) error { out = append(out, l); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if sum.Lines != len(out) {
		t.Errorf("%d lines, the summary says %d", len(out), sum.Lines)
	}
	return out
}

// wantJournal says that the lines are the journal's entries, each once, besides
// lines of the stream's own.
func wantJournal(t *testing.T, path string, src *source) {
	t.Helper()
	var got []uint64
	for _, l := range lines(t, path) {
		if !own(l.Event) {
			got = append(got, l.Seq)
		}
	}
	var want []uint64
	for _, e := range src.entries {
		want = append(want, e.Seq)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the stream is not the journal:\n%s", d)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestALineHoldsTheEntryAndNoImages(t *testing.T) { // I23
	path := filepath.Join(t.TempDir(), "new", "audit.jsonl")
	e := journal.Entry{
		Seq: 7, At: t0, Event: "intent", Member: &s1, Hold: "h3", From: journal.Guarded, To: journal.Intent,
		Policy: "drain", Admin: "drain", Result: "applied", Guard: "g", Reason: "r", Detail: "a\nb </script>", Config: "c0ffee",
		Actor: "operator", Remediation: "r1", Before: []byte("old object"), After: bytes.Repeat([]byte{0}, 1<<20),
		Evidence: json.RawMessage(`{"answer":"no"}`), Decision: json.RawMessage(`{"n":1.50}`),
	}
	s := open(t, path, Options{})
	wantSync(t, s, &source{entries: []journal.Entry{e}})

	text := read(t, path)
	want := `{"prev":"` + genesis + `","seq":7,"at":"2026-01-02T15:04:05.678Z","event":"intent",` +
		`"member":{"device":"edge1","pool":"shop","member":"s1"},"hold":"h3","from":"guarded","to":"intent","policy":"drain","admin":"drain",` +
		`"result":"applied","guard":"g","reason":"r","detail":"a\nb </script>","config":"c0ffee","actor":"operator","remediation":"r1",` +
		`"evidence":{"answer":"no"},"decision":{"n":1.50},` +
		`"before":{"bytes":10,"sha256":"` + hashOf([]byte("old object")) + `"},` +
		`"after":{"bytes":1048576,"sha256":"30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"}`
	want += `,"sum":"` + hashOf([]byte(want+"}\n")) + `"}` + "\n"
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
	l, err := ParseLine(text)
	if err != nil {
		t.Fatal(err)
	}
	e.Before, e.After = nil, nil
	if d := cmp.Diff(e, l.Entry); d != "" {
		t.Error(d)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestTheStreamGoesOnWhereItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	for range 3 {
		s := open(t, path, Options{})
		for range 3 {
			src.add(2)
			wantSync(t, s, src)
			wantSync(t, s, src)
			wantJournal(t, path, src)
		}
		if seq, hash := s.Last(); seq != uint64(len(src.entries)) || hash != lines(t, path)[seq-1].Hash {
			t.Errorf("the last line is %d %s", seq, hash)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		src.add(3) // the journal went on alone
	}
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	src.err = errors.New("closed")
	if err := s.Sync(src); !errors.Is(err, src.err) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.Sync(src); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestALineIsForwardedWhenItIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	src.add(3)
	var got []string
	s := open(t, path, Options{Forward: func(l Line) {
		if !bytes.Contains(read(t, path), []byte(l.Prev)) {
			t.Error("forwarded before it was written")
		}
		got = append(got, l.Hash)
	}})
	wantSync(t, s, src)
	wantSync(t, s, src)
	var want []string
	for _, l := range lines(t, path) {
		want = append(want, l.Hash)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Issue: the JSONL stream cut at every byte: at most its last line is lost.
func TestCutAtEveryByteAtMostTheLastLineIsLost(t *testing.T) { // I11
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	src := new(source)
	src.add(3)
	s := open(t, path, Options{})
	wantSync(t, s, src)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	src.add(1)
	for cut := range len(whole) + 1 {
		dir := filepath.Join(dir, fmt.Sprint(cut))
		path := filepath.Join(dir, "audit.jsonl")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, whole[:cut])
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		kept := bytes.LastIndexByte(whole[:cut], '\n') + 1
		if after := read(t, path); !bytes.HasPrefix(after, whole[:kept]) {
			t.Fatalf("cut at %d: whole lines have changed", cut)
		}
		aside, err := filepath.Glob(path + ".torn-*")
		if err != nil {
			t.Fatal(err)
		}
		notes := 0
		for _, l := range lines(t, path) {
			if l.Event == EventRepaired {
				notes++
			}
		}
		if torn := cut > kept; torn != (len(aside) == 1) || torn != (notes == 1) {
			t.Fatalf("cut at %d: %d files kept aside, %d notes", cut, len(aside), notes)
		}
		if len(aside) == 1 && !bytes.Equal(read(t, aside[0]), whole[kept:cut]) {
			t.Fatalf("cut at %d: what was torn off wasn't kept", cut)
		}
		wantSync(t, s, src)
		wantJournal(t, path, src)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("cut at %d", cut)
		}
	}
}

// A crash in the middle of the repair itself is one more torn end.
func TestARepairThatIsCutShortIsRepaired(t *testing.T) { // I11
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	src := new(source)
	src.add(2)
	s := open(t, path, Options{})
	wantSync(t, s, src)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	kept := bytes.IndexByte(whole, '\n') + 1
	write(t, path, whole[:len(whole)-1])
	s = open(t, path, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	note := read(t, path)[kept:]
	for n := range len(note) + 1 {
		path := filepath.Join(dir, fmt.Sprint(n))
		half := bytes.Clone(whole[:len(whole)-1])
		half = append(half[:kept], append(bytes.Clone(note[:n]), half[min(len(half), kept+n):]...)...)
		write(t, path, half)
		s := open(t, path, Options{})
		wantSync(t, s, src)
		wantJournal(t, path, src)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsWrongInTheMiddleIsLeftAndNamed(t *testing.T) { // I19: it isn't set right behind anybody's back
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	src.add(4)
	s := open(t, path, Options{})
	wantSync(t, s, src)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	ls := bytes.SplitAfter(whole, []byte("\n"))
	resum := func(line []byte, old, with string) []byte {
		text := bytes.Replace(line[:len(line)-sumLength-1], []byte(old), []byte(with), 1)
		return []byte(string(text) + openSum + hashOf([]byte(string(text)+closeLine)) + closeSum + "\n")
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, tt := range []struct {
		name string
		text []byte
		line int
		want string
	}{
		{"a word was changed", bytes.Replace(whole, []byte(`<2>`), []byte(`<9>`), 1), 2, "it was changed"},
		{"a word and the sum were changed", join(ls[0], resum(ls[1], "<2>", "<9>"), ls[2], ls[3]), 3, "a line was changed, taken out or put in"},
		{"a line is missing", join(ls[0], ls[2], ls[3]), 2, "a line was changed, taken out or put in"},
		{"two lines changed places", join(ls[0], ls[2], ls[1], ls[3]), 2, "a line was changed, taken out or put in"},
		{"a line stands there twice", join(ls[0], ls[1], ls[1]), 3, "a line was changed, taken out or put in"},
		{"a line of something else", join(ls[0], []byte("hello\n"), ls[1]), 2, `doesn't end in "sum"`},
		{"an empty line", join(ls[0], []byte("\n"), ls[1]), 2, `doesn't end in "sum"`},
		{"zeros, as a file system may leave them", join(ls[0], make([]byte, 4096), []byte("\n"), ls[1]), 2, `doesn't end in "sum"`},
		{"the first line lost its beginning", whole[10:], 1, "it was changed"},
		{"no seq", join(resum(ls[0], `"seq":1,`, "")), 1, `has no "seq"`},
		{"no event", join(resum(ls[0], `"event":"step",`, "")), 1, `has no "event"`},
		{"no prev", join(resum(ls[0], `"prev":"0`, `"prev":"`)), 1, `has no "prev"`},
		{"another type", join(resum(ls[0], `"seq":1,`, `"seq":"1",`)), 1, "isn't what Sluice writes"},
		{"not UTF-8", join(resum(ls[0], "é", "\xff")), 1, "UTF-8"},
		{"a seq that fell back", join(ls[0], ls[1], resum(ls[2], `"seq":3`, `"seq":2`)), 3, "its seq is 2, after 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			write(t, path, tt.text)
			_, err := Open(path, Options{})
			var broken *BrokenError
			if !errors.As(err, &broken) || !errors.Is(err, ErrBroken) || broken.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want line %d and %q", err, tt.line, tt.want)
			}
			if _, err2 := Read([]string{path}, nil); err2 == nil || err2.Error() != err.Error() {
				t.Errorf("verify says %v", err2)
			}
			if !bytes.Equal(read(t, path), tt.text) {
				t.Error("the file has changed")
			}
		})
	}
}

func TestAnotherJournalIsSaid(t *testing.T) { // its Seq counts from 1 again, so "what is newer" would be nothing
	for _, tt := range []struct {
		name    string
		change  func(*source)
		renewed bool
	}{
		{"the same", func(*source) {}, false},
		{"the same, all pruned but the last", func(s *source) { s.entries = s.entries[4:] }, false},
		{"the same, all pruned", func(s *source) { s.entries = nil }, false},
		{"a new one with fewer entries", func(s *source) { s.entries = s.entries[:2] }, true},
		{"a new one with as many", func(s *source) { s.entries[4].At = t0 }, true},
		{"a new one with more", func(s *source) { s.entries[4].At = t0; s.add(3) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			src := new(source)
			src.add(5)
			s := open(t, path, Options{})
			wantSync(t, s, src)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			tt.change(src)
			s = open(t, path, Options{})
			wantSync(t, s, src)
			wantSync(t, s, src)
			want := []uint64{1, 2, 3, 4, 5}
			if tt.renewed {
				want = append(want, 0)
				for _, e := range src.entries {
					want = append(want, e.Seq)
				}
			}
			var got []uint64
			for _, l := range lines(t, path) {
				got = append(got, l.Seq)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
