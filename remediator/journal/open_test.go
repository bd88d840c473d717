package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	t.Run("makes the file and its directory for the owner alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "data", "deep", "sluice.db")
		j := openAt(t, path)
		if f, err := j.Freeze(); f != nil || err != nil { // a new, empty one is no freeze: I19
			t.Errorf("new journal: freeze %v, %v", f, err)
		}
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): os.ModeDir | 0o700} {
			fi, err := os.Stat(name)
			ok(t, err)
			if fi.Mode() != want {
				t.Errorf("%s has mode %v; want %v", name, fi.Mode(), want)
			}
		}
		rest, err := os.ReadDir(filepath.Dir(path))
		ok(t, err)
		if len(rest) != 1 {
			t.Errorf("left beside the journal: %v", rest)
		}
	})
	t.Run("names the path when another has it", func(t *testing.T) {
		j := openNew(t)
		start := time.Now()
		_, err := Open(j.Path(), 50*time.Millisecond)
		wantErr(t, err, ErrLocked)
		if !strings.Contains(err.Error(), j.Path()) {
			t.Errorf("%q doesn't name the path", err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("waited %s", d)
		}
		_, err = OpenReadOnly(j.Path(), 50*time.Millisecond)
		wantErr(t, err, ErrLocked)
	})
	t.Run("of many at once on a new path one gets it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		var wg sync.WaitGroup
		got := make(chan *Journal, 4)
		for range cap(got) {
			wg.Go(func() {
				j, err := Open(path, 50*time.Millisecond)
				if err != nil && !errors.Is(err, ErrLocked) {
					t.Error(err)
				}
				got <- j
			})
		}
		wg.Wait()
		close(got)
		n := 0
		for j := range got {
			if j != nil {
				n++
				ok(t, j.Close())
			}
		}
		if n != 1 {
			t.Errorf("%d opened it", n)
		}
	})
	t.Run("read-only finds all and changes nothing", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.Put(intent(s1), Entry{}))
		ok(t, j.Close())
		ro, err := OpenReadOnly(j.Path(), time.Second)
		ok(t, err)
		defer ro.Close()
		two, err := OpenReadOnly(j.Path(), time.Second) // readers don't shut each other out
		ok(t, err)
		ok(t, two.Close())
		hs, err := ro.Holds()
		ok(t, err)
		if len(hs) != 1 {
			t.Errorf("%d holds", len(hs))
		}
		if err := ro.SetFreeze(Freeze{Reason: "no"}); err == nil {
			t.Error("a freeze was written")
		}
	})
	t.Run("read-only makes no file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.db")
		_, err := OpenReadOnly(path, time.Second)
		wantErr(t, err, os.ErrNotExist)
		if _, err := os.Stat(path); err == nil {
			t.Error("there is a file now")
		}
	})
	t.Run("a closed journal answers with an error", func(t *testing.T) {
		j := openNew(t)
		ok(t, j.Close())
		if _, err := j.Freeze(); err == nil {
			t.Error("Freeze after Close")
		}
		if err := j.Append(Entry{Event: "late"}); err == nil {
			t.Error("Append after Close")
		}
	})
}
