package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestTheChainGoesOnOverFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	src := new(source)
	for range 5 { // each time from the start
		s := open(t, path, Options{MaxSize: 1000})
		for range 4 {
			src.add(2)
			wantSync(t, s, src)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantJournal(t, path, src)
	if n := len(names(t, dir)); n < 11 {
		t.Errorf("only %d files: %v", n, names(t, dir))
	}
	for _, name := range names(t, dir) {
		if text := read(t, filepath.Join(dir, name)); len(text) > 1600 || bytes.Count(text, []byte("\n")) < 1 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	files, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(files[0], ".1") || !strings.HasSuffix(files[10], ".11") || files[len(files)-1] != path {
		t.Errorf("the order is %v", files)
	}
	if again, err := Files(append([]string{path}, files...)...); err != nil || !cmp.Equal(files, again) {
		t.Errorf("%v, %v: each file once", again, err)
	}

	// Old files may go; one in the middle may not, nor may two change places.
	sum, err := Read(files[2:], nil)
	if err != nil || sum.Follows == "" {
		t.Errorf("without the first two: %+v, %v", sum, err)
	}
	_, err = Read(append(files[:3:3], files[4:]...), nil)
	var broken *BrokenError
	if !errors.As(err, &broken) || broken.File != files[4] || broken.Line != 1 {
		t.Errorf("without the fourth: %v", err)
	}

	// The newest file gone with its lines: what it had comes again.
	remove(t, path)
	s := open(t, path, Options{})
	wantSync(t, s, src)
	wantJournal(t, path, src)
}

func TestACrashWhileANewFileIsBegunLosesNothing(t *testing.T) { // I11
	for name, newest := range map[string]func(t *testing.T, path string){
		"before it is there":   func(t *testing.T, path string) { remove(t, path) },
		"when it is empty":     func(t *testing.T, path string) { write(t, path, nil) },
		"in its first line":    func(t *testing.T, path string) { write(t, path, read(t, path)[:100]) },
		"after its first line": func(t *testing.T, path string) {},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			src := new(source)
			s := open(t, path, Options{MaxSize: 10})
			src.add(3)
			wantSync(t, s, src)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			newest(t, path)
			src.add(1)
			s = open(t, path, Options{MaxSize: 10})
			wantSync(t, s, src)
			wantJournal(t, path, src)
		})
	}
}

func TestAnEndOfAFullFileThatIsNoneIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	src.add(2)
	s := open(t, path, Options{MaxSize: 10})
	wantSync(t, s, src)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text := read(t, path+".1")
	write(t, path+".1", text[:len(text)-1])
	if _, err := Open(path, Options{}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "audit.jsonl.1: its last line ends without a newline") {
		t.Errorf("got %v", err)
	}
}

func TestOneWriterAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	s := open(t, path, Options{})
	src.add(1)
	wantSync(t, s, src)
	if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one: %v", err)
	}

	// Who doesn't ask is found out before the next line is written.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(f, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	src.add(1)
	if err := s.Sync(src); !errors.Is(err, errGrown) {
		t.Errorf("the file has grown: %v", err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(src); !errors.Is(err, errMoved) {
		t.Errorf("the file was moved: %v", err)
	}
	write(t, path, read(t, path+".old"))
	if err := s.Sync(src); !errors.Is(err, errMoved) {
		t.Errorf("another file is in its place: %v", err)
	}
}

// A full disk is an error that passes; what was written of a line is cut off.
func TestAWriteThatFailedIsTakenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	src := new(source)
	src.add(2)
	s := open(t, path, Options{})
	wantSync(t, s, src)

	good := s.f
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	src.add(2)
	s.f = readOnly
	if err := s.Sync(src); err == nil {
		t.Fatal("written to a file that is open for reading")
	}
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
	s.f = good
	if _, err := good.WriteAt([]byte(`{"prev":"half a line`), s.size); err != nil {
		t.Fatal(err)
	}
	wantSync(t, s, src)
	wantJournal(t, path, src)
}

func TestARotationThatStoppedHalfwayGoesOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	src := new(source)
	src.add(1)
	s := open(t, path, Options{MaxSize: 10})
	wantSync(t, s, src)
	// Somebody's folder has the name that the new file needs, once the old one has moved.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	s.between = true
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	src.add(1)
	if err := s.Sync(src); err == nil {
		t.Fatal("written into a folder")
	}
	remove(t, path)
	wantSync(t, s, src)
	wantJournal(t, path, src)
}
