package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// damaged makes a file that is no journal and returns why Open refuses it.
func damaged(t *testing.T, content string) (path string, why error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sluice.db")
	ok(t, os.WriteFile(path, []byte(content), 0o600))
	_, why = Open(path, time.Second)
	wantErr(t, why, ErrUnreadable)
	return path, why
}

func TestWhatIsSetAsideIsKeptAndTheNewOneIsFrozen(t *testing.T) { // I19
	path, why := damaged(t, "torn")
	kept, err := SetAside(path, time.Second, why, Entry{Event: "found", Detail: "edge1/shop/app1"})
	ok(t, err)
	if text, err := os.ReadFile(kept); err != nil || string(text) != "torn" {
		t.Errorf("%s holds %q, %v", kept, text, err)
	}
	if all, err := Damaged(path); err != nil || len(all) != 1 || all[0] != kept {
		t.Errorf("damaged files: %q, %v; want %q", all, err, kept)
	}
	j := openAt(t, path)
	f, err := j.Freeze()
	ok(t, err)
	if f == nil || !f.Until.IsZero() || !strings.Contains(f.Reason, filepath.Base(kept)) || !strings.Contains(f.Reason, "page") {
		t.Errorf("freeze %+v: want one without end that names %s and why", f, kept)
	}
	es, err := j.Entries(Query{Event: "found"})
	ok(t, err)
	if len(es) != 1 {
		t.Errorf("%d entries", len(es))
	}
	rest, err := os.ReadDir(filepath.Dir(path))
	ok(t, err)
	if len(rest) != 2 {
		t.Errorf("left beside the two: %v", rest)
	}
}

func TestASecondOneInTheSameSecondReplacesNoFirst(t *testing.T) {
	path, why := damaged(t, "first")
	_, err := SetAside(path, time.Second, why)
	ok(t, err)
	ok(t, os.WriteFile(path, []byte("second"), 0o600))
	_, err = SetAside(path, time.Second, why)
	ok(t, err)
	all, err := Damaged(path)
	ok(t, err)
	var texts []byte
	for _, name := range all {
		text, err := os.ReadFile(name)
		ok(t, err)
		texts = append(texts, text...)
	}
	if len(all) != 2 || !bytes.Contains(texts, []byte("first")) || !bytes.Contains(texts, []byte("second")) {
		t.Errorf("kept are %q with %q", all, texts)
	}
}

// Of many at once one sets it aside, and nobody sets the new one aside.
func TestTwoThatStartAtOnceSetAsideOnce(t *testing.T) {
	path, why := damaged(t, "torn")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := SetAside(path, 5*time.Second, why); err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrLocked) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	kept, err := Damaged(path)
	ok(t, err)
	if len(kept) != 1 {
		t.Errorf("set aside: %q", kept)
	}
	f, err := openAt(t, path).Freeze()
	if f == nil || err != nil {
		t.Errorf("freeze %v, %v", f, err)
	}
}

// Whoever comes when it is done finds the first one's journal, not one to set aside.
func TestWhoComesLateSetsNothingAside(t *testing.T) {
	path, why := damaged(t, "torn")
	_, err := SetAside(path, time.Second, why)
	ok(t, err)
	if kept, err := SetAside(path, time.Second, why); !errors.Is(err, ErrConflict) {
		t.Errorf("set aside once more: %q, %v", kept, err)
	}
	if kept, err := Damaged(path); err != nil || len(kept) != 1 {
		t.Errorf("set aside: %q, %v", kept, err)
	}
}

func TestWhatCantBeLookedAtIsNotSetAside(t *testing.T) {
	t.Run("a directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		ok(t, os.Mkdir(path, 0o700))
		_, why := Open(path, time.Second)
		_, err := SetAside(path, time.Second, why)
		if err == nil || err.Error() != why.Error() {
			t.Errorf("%v, want %v", err, why)
		}
	})
	t.Run("a file that the system refused to open", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		openAt(t, path)
		why := fmt.Errorf("%w: %w", ErrUnreadable, &os.PathError{Op: "open", Path: path, Err: os.ErrPermission})
		_, err := SetAside(path, time.Second, why)
		wantErr(t, err, os.ErrPermission)
		if all, err := Damaged(path); err != nil || len(all) > 0 {
			t.Errorf("set aside: %q, %v", all, err)
		}
	})
	t.Run("a symbolic link", func(t *testing.T) {
		to, why := damaged(t, "elsewhere")
		path := filepath.Join(t.TempDir(), "sluice.db")
		ok(t, os.Symlink(to, path))
		if _, err := SetAside(path, time.Second, why); err == nil {
			t.Error("it was set aside")
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "elsewhere" {
			t.Errorf("%q, %v", text, err)
		}
	})
	t.Run("a journal that another process has", func(t *testing.T) {
		j := openNew(t)
		_, err := SetAside(j.Path(), 50*time.Millisecond, ErrUnreadable)
		wantErr(t, err, ErrLocked)
	})
}

// Damage of any kind: after SetAside there is a frozen journal, whatever was there.
func TestEveryFileThatIsRefusedCanBeSetAside(t *testing.T) {
	file, _, _ := worn(t)
	for name, content := range map[string][]byte{
		"an empty file": {}, "half of one": file[:len(file)/2], "its first page": file[:os.Getpagesize()],
		"zeros in the middle": append(append(bytes.Clone(file[:3*os.Getpagesize()]), make([]byte, 5*os.Getpagesize())...), file[8*os.Getpagesize():]...),
	} {
		t.Run(name, func(t *testing.T) {
			path, why := damaged(t, string(content))
			kept, err := SetAside(path, time.Second, why)
			ok(t, err)
			now, err := os.ReadFile(kept)
			ok(t, err)
			if !bytes.Equal(now, content) {
				t.Error("what is kept has changed")
			}
			if f, err := openAt(t, path).Freeze(); f == nil || err != nil {
				t.Errorf("freeze %v, %v", f, err)
			}
		})
	}
}
