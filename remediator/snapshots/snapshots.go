// Package snapshots keeps the objects of devices as they were before each write,
// byte for byte, as files that a person can read, compare and hand back to
// "sluice ptaf restore". The newest of each pool stay; older ones go.
package snapshots

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Keep is how many files of one pool stay.
const Keep = 100

// A Store is one folder: DIR/DEVICE/POOL/TIME.json.
type Store struct {
	dir string

	mu   sync.Mutex
	last time.Time // of the newest file, so that two writes never share a name
}

// New returns the store in dir, which is made with the first file.
func New(dir string) *Store { return &Store{dir: dir} }

// Save writes one object. When it returns nil, the file is on disk.
func (s *Store) Save(i edge.Image) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := time.Now().UTC().Truncate(time.Microsecond)
	if !at.After(s.last) {
		at = s.last.Add(time.Microsecond)
	}
	s.last = at
	dir := filepath.Join(s.dir, fileName(i.Device), fileName(i.Pool))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("snapshot of %s/%s: %w", i.Device, i.Pool, err)
	}
	if err := write(filepath.Join(dir, at.Format("20060102T150405.000000Z")+".json"), i.Bytes); err != nil {
		return fmt.Errorf("snapshot of %s/%s: %w", i.Device, i.Pool, err)
	}
	return rotate(dir)
}

// write makes a file appear under its name only when it is whole and on disk.
func write(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// rotate removes the oldest files beyond Keep. Files of other names are nobody's
// business here.
func rotate(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("rotate snapshots: %w", err)
	}
	var ours []string
	for _, e := range entries {
		if name := e.Name(); len(name) == len("20060102T150405.000000Z.json") && strings.HasSuffix(name, "Z.json") {
			ours = append(ours, name)
		}
	}
	slices.Sort(ours)
	for len(ours) > Keep {
		if err := os.Remove(filepath.Join(dir, ours[0])); err != nil {
			return fmt.Errorf("rotate snapshots: %w", err)
		}
		ours = ours[1:]
	}
	return nil
}

// fileName makes a name that a device gave fit for a file: letters, digits, "_",
// "-" and inner dots stay, any other byte becomes %XX. A long name is cut, and
// keeps apart from others by a sum of the whole.
func fileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	const most = 120
	if b.Len() <= most {
		return b.String()
	}
	sum := fnv.New64a()
	sum.Write([]byte(name)) // never fails
	return fmt.Sprintf("%s-%016x", b.String()[:most], sum.Sum64())
}
