package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// torn returns a journal's bytes before and after one commit, and the pages that
// the commit wrote, without the two meta pages.
func torn(t *testing.T) (before, after []byte, was, is content, pages []int) {
	t.Helper()
	old, _, _ := worn(t)
	path := filepath.Join(t.TempDir(), "sluice.db")
	ok(t, os.WriteFile(path, old, 0o600))
	read := func() (file []byte, c content) {
		t.Helper()
		j, err := Open(path, time.Second)
		ok(t, err)
		c, err = contentOf(j)
		ok(t, err)
		ok(t, j.Close())
		file, err = os.ReadFile(path)
		ok(t, err)
		return file, c
	}
	before, was = read()
	j := openAt(t, path)
	h, err := j.Hold(was.Holds[3].Member)
	ok(t, err)
	h.Phase = Applied
	ok(t, j.Put(&h, Entry{Event: "step", Result: "applied", Detail: "read back"}))
	ok(t, j.Close())
	after, is = read()
	page := os.Getpagesize()
	for n := 2; n*page < len(after); n++ {
		if n*page >= len(before) || !bytes.Equal(before[n*page:(n+1)*page], after[n*page:(n+1)*page]) {
			pages = append(pages, n)
		}
	}
	if len(pages) < 3 {
		t.Fatalf("the commit wrote pages %v only", pages)
	}
	return before, after, was, is, pages
}

// mixed is the file before a commit with some of the commit's pages.
func mixed(before, after []byte, pages []int, on func(i int) bool) []byte {
	page := os.Getpagesize()
	out := make([]byte, max(len(before), len(after)))
	copy(out, before)
	for i, n := range pages {
		if on(i) {
			copy(out[n*page:(n+1)*page], after[n*page:])
		}
	}
	return out
}

// The power fails while a commit is written. Its pages reach the disk in any
// order, its meta page after all of them, for bbolt waits in between: as long as
// that isn't there, the journal says what it said before (I11).
func TestATornCommitIsAsIfItHadNotBegun(t *testing.T) {
	before, after, was, is, pages := torn(t)
	path := filepath.Join(t.TempDir(), "sluice.db")
	for set := range 1 << min(len(pages), 5) {
		survive(t, path, mixed(before, after, pages, func(i int) bool { return set>>i&1 == 1 }), was)
	}
	// Half a page, too: a disk writes sectors.
	for _, n := range pages {
		half := mixed(before, after, nil, nil)
		at := n * os.Getpagesize()
		copy(half[at:at+os.Getpagesize()/2], after[at:])
		survive(t, path, half, was)
	}
	// Then the meta page comes, and is torn itself.
	whole := mixed(before, after, pages, func(int) bool { return true })
	for _, meta := range []int{0, os.Getpagesize()} {
		for n := 0; n <= headerSize+metaSize; n += 5 {
			half := bytes.Clone(whole)
			copy(half[meta:meta+n], after[meta:])
			survive(t, path, half, was, is)
		}
	}
	survive(t, path, after, is)
}

// A disk that says it has written, and has not: the meta page counts on pages
// that aren't there. What was meant can't be had any more, and the file is
// refused. Only where an older page of the same table lies in the place of
// the lost one is the file sound in itself; then its entries and its holds tell
// different stories, and that is a problem that is told at the start.
func TestADiskThatLiesIsNotBelieved(t *testing.T) {
	before, after, was, is, pages := torn(t)
	path := filepath.Join(t.TempDir(), "sluice.db")
	for set := range 1 << min(len(pages), 6) {
		lost := mixed(after, before, pages, func(i int) bool {
			return set>>i&1 == 1 && (pages[i]+1)*os.Getpagesize() <= len(before)
		})
		ok(t, os.WriteFile(path, lost, 0o600))
		j, err := Open(path, time.Second)
		if err != nil {
			wantErr(t, err, ErrUnreadable)
			continue
		}
		got, err := contentOf(j)
		ok(t, err)
		sound := cmp.Equal(got, is) || cmp.Equal(got, was)
		if !sound && len(j.Problems()) == 0 {
			t.Errorf("pages %b of %v are lost: it opened with content that never was, and says nothing of it (-want +got):\n%s", set, pages, cmp.Diff(is, got))
		}
		ok(t, j.Close())
	}
}

// Every page in turn is overwritten with noise, or with another page of the same
// file, as a controller with a fault does.
func TestAPageThatIsNotItselfIsNotBelieved(t *testing.T) {
	file, last, before := worn(t)
	path := filepath.Join(t.TempDir(), "sluice.db")
	page := os.Getpagesize()
	random := rand.NewChaCha8([32]byte{1})
	for n := range len(file) / page {
		t.Run(fmt.Sprintf("page %d", n), func(t *testing.T) {
			noise := bytes.Clone(file)
			if _, err := random.Read(noise[n*page : (n+1)*page]); err != nil {
				t.Fatal(err)
			}
			survive(t, path, noise, last, before)
			other := bytes.Clone(file)
			m := (n + 3) % (len(file) / page)
			copy(other[n*page:(n+1)*page], file[m*page:(m+1)*page])
			survive(t, path, other, last, before)
		})
	}
}
