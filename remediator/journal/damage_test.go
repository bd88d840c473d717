package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/sluice-project/sluice/edge"
)

// content is all that a journal says, for comparison.
type content struct {
	Holds   []Hold
	Entries []Entry
	Hints   map[string]Hint
	Freeze  *Freeze
}

func contentOf(j *Journal) (c content, err error) {
	var errs [4]error
	c.Holds, errs[0] = j.Holds()
	c.Entries, errs[1] = j.Entries(Query{})
	c.Hints, errs[2] = j.Hints()
	c.Freeze, errs[3] = j.Freeze()
	return c, errors.Join(errs[:]...)
}

// worn returns the bytes of a journal that has been in use (branch pages, free
// pages, a long freelist), and what it said after its last write and after
// the one before.
func worn(t testing.TB) (file []byte, last, before content) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.db")
	j, err := Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		h := intent(edge.Member{Device: "edge1", Pool: "shop", Name: fmt.Sprintf("s%d", i)})
		check(j.Put(h, Entry{Detail: strings.Repeat("why ", 60)}))
		h.Phase = Applying
		check(j.Put(h, Entry{}))
	}
	check(j.Append(make100()...))
	check(j.Prune(time.Now()))
	check(j.Append(Entry{Event: "big", Detail: strings.Repeat("x", 9000)})) // overflow pages
	check(j.SetFreeze(Freeze{Reason: "test"}))
	check(j.SaveHints([]Hint{{Key: "a"}, {Key: "b"}}))
	before, err = contentOf(j)
	check(err)
	check(j.Append(Entry{Event: "last"}))
	last, err = contentOf(j)
	check(err)
	check(j.Close())
	file, err = os.ReadFile(path)
	check(err)
	return file, last, before
}

// survive opens damaged bytes. Either the journal says what it said after one of
// the last two writes, and can be written on; or it is refused and left as it is.
func survive(t *testing.T, path string, damaged []byte, allowed ...content) {
	t.Helper()
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(path, time.Second)
	if err != nil {
		wantErr(t, err, ErrUnreadable)
		now, rerr := os.ReadFile(path)
		if rerr != nil || !bytes.Equal(now, damaged) {
			t.Errorf("a file that was refused (%v) has changed", err)
		}
		return
	}
	defer j.Close()
	got, err := contentOf(j)
	if err != nil {
		t.Fatalf("it opened, and then: %v", err)
	}
	var diff string
	for _, want := range allowed {
		if diff = cmp.Diff(want, got); diff == "" {
			break
		}
	}
	if diff != "" {
		t.Fatalf("it opened with content that never was:\n%s", diff)
	}
	for range 3 {
		if err := j.Append(Entry{Event: "on", Detail: strings.Repeat("y", 3000)}); err != nil {
			t.Fatalf("it opened, but can't be written: %v", err)
		}
	}
	if es, err := j.Entries(Query{}); err != nil || len(es) != len(got.Entries)+3 {
		t.Fatalf("%d entries, %v; want %d: writing on overwrote some", len(es), err, len(got.Entries)+3)
	}
	if err := j.Prune(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(path, time.Second); err != nil {
		t.Fatalf("writing on broke it: %v", err)
	}
	ok(t, j.Close())
}

func TestACutFileIsWholeOrRefused(t *testing.T) { // I11, I19: the torn tail
	file, last, before := worn(t)
	path := filepath.Join(t.TempDir(), "sluice.db")
	page := os.Getpagesize()
	var at []int
	for n := 0; n < len(file); n += 1021 { // a prime: meets all places in a page in time
		at = append(at, n)
	}
	for n := 0; n <= len(file); n += page {
		at = append(at, max(0, n-1), n, min(n+1, len(file)))
	}
	for n := range 160 { // the meta page, byte by byte
		at = append(at, n)
	}
	for _, n := range at {
		survive(t, path, file[:n], last, before)
	}
	survive(t, path, file, last)
}

func FuzzADamagedFileIsWholeOrRefused(f *testing.F) { // I11, I19
	file, last, before := worn(f)
	page := uint32(os.Getpagesize())
	for _, at := range []uint32{0, 16, 40, 56, page, page + 16, 2 * page, 2*page + 8, 3*page + 10, 3*page + 20, 5*page + 12, 5*page + 2000} {
		f.Add(at, byte(0xff), uint8(1))
		f.Add(at, byte(1), uint8(200))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, with byte, n uint8) {
		damaged := bytes.Clone(file)
		for i := range uint32(n) {
			damaged[(at+i)%uint32(len(damaged))] ^= with
		}
		survive(t, filepath.Join(dir, fmt.Sprintf("%d", os.Getpid())), damaged, last, before)
	})
}

func TestEveryPageHeaderDamagedIsWholeOrRefused(t *testing.T) { // I11, I19
	file, last, before := worn(t)
	path := filepath.Join(t.TempDir(), "sluice.db")
	page := os.Getpagesize()
	for start := 0; start < len(file); start += page {
		for _, off := range []int{0, 8, 10, 12, 16, 20, 24, 28} {
			for _, with := range []uint32{1, 0xffff, 0xffffffff} {
				damaged := bytes.Clone(file)
				if start+off+4 > len(file) {
					continue
				}
				field := damaged[start+off : start+off+4]
				binary.NativeEndian.PutUint32(field, binary.NativeEndian.Uint32(field)^with)
				survive(t, path, damaged, last, before)
			}
		}
	}
}

func TestWhatIsNoJournalIsRefusedAndLeft(t *testing.T) { // I19
	other := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(other, 0o600, nil)
	ok(t, err)
	ok(t, db.Close())
	foreign, err := os.ReadFile(other)
	ok(t, err)
	for name, content := range map[string][]byte{
		"an empty file":          {},
		"a text":                 []byte("not a journal\n"),
		"a long text":            bytes.Repeat([]byte("not a journal\n"), 10_000),
		"zeros":                  make([]byte, 1<<16),
		"another program's file": foreign,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sluice.db")
			ok(t, os.WriteFile(path, content, 0o600))
			_, err := Open(path, time.Second)
			wantErr(t, err, ErrUnreadable)
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%q doesn't name the path", err)
			}
			got, err := os.ReadFile(path)
			ok(t, err)
			if !bytes.Equal(got, content) {
				t.Error("the file has changed")
			}
		})
	}
	t.Run("a directory", func(t *testing.T) {
		_, err := Open(t.TempDir(), time.Second)
		wantErr(t, err, ErrUnreadable)
	})
}

func TestAValueOfANewerVersionIsRefused(t *testing.T) {
	j := openNew(t)
	ok(t, j.update("forge", func(tx txn) error {
		return tx.put(bucketState, keyFreeze, []byte(`{"v":2,"crc32c":0,"data":{}}`))
	}))
	ok(t, j.Close())
	_, err := Open(j.Path(), time.Second)
	wantErr(t, err, ErrUnreadable)
	if !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%q doesn't say why", err)
	}
}

const writerEnv = "SLUICE_TEST_JOURNAL_WRITER"

// TestMain lets the test binary be the writer that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

func writeUntilKilled(path string) {
	j, err := Open(path, time.Second)
	for i := 0; err == nil; i++ {
		h := intent(edge.Member{Device: "edge1", Pool: "shop", Name: fmt.Sprintf("s%d", i)})
		if err = j.Put(h, Entry{}); err == nil {
			_, err = fmt.Println(h.ID)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) { // I11
	path := filepath.Join(t.TempDir(), "sluice.db")
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if acknowledged++; acknowledged == 20 {
			ok(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	j := openAt(t, path) // the kernel has let go of the lock
	hs, err := j.Holds()
	ok(t, err)
	if len(hs) < acknowledged || len(hs) > acknowledged+1 || acknowledged < 20 {
		t.Errorf("%d holds; %d were acknowledged", len(hs), acknowledged)
	}
	if p := j.Problems(); len(p) != 0 {
		t.Error(p)
	}
}
