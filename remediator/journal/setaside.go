package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// SetAside puts a new journal in the place of a file that [Open] refused as
// [ErrUnreadable], with the reason why, and returns the name under which the old
// one is kept: PATH.damaged-TIME, byte for byte.
//
// The new journal is frozen and has the entries in it before it takes the name:
// whenever a crash comes, what stands under the name is the damaged file or
// a frozen journal, never an empty one that knows of no freeze (SAFETY.md I19).
//
// A file that could not even be looked at (permissions, too many open files) may
// be in the best of health: it is left where it is, and the answer is the reason.
func SetAside(path string, lockTimeout time.Duration, why error, entries ...Entry) (kept string, err error) {
	if pathError, errno := (*fs.PathError)(nil), syscall.Errno(0); errors.As(why, &pathError) || errors.As(why, &errno) {
		return "", why
	}
	kept, err = setAside(path, lockTimeout, why, entries)
	if err != nil {
		return "", fmt.Errorf("set journal %s aside: %w", path, err)
	}
	return kept, nil
}

func setAside(path string, lockTimeout time.Duration, why error, entries []Entry) (string, error) {
	if lockTimeout <= 0 {
		lockTimeout = time.Second
	}
	// Of two that were started at once, the second finds the first one's journal: what
	// was refused is looked at once more, and has to be what is locked then.
	refused, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if err := stillRefused(path, lockTimeout); err != nil {
		return "", err
	}
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer old.Close() // and with it the lock goes
	if err := lock(old, true, time.Now().Add(lockTimeout)); err != nil {
		return "", err
	}
	locked, err := old.Stat()
	if err != nil {
		return "", err
	}
	named, err := os.Lstat(path)
	switch {
	case err != nil:
		return "", err
	case !named.Mode().IsRegular():
		return "", errors.New("it is no regular file")
	case !os.SameFile(locked, named), !os.SameFile(locked, refused):
		return "", ErrConflict
	}

	dir, base := filepath.Dir(path), filepath.Base(path)
	fresh, err := os.MkdirTemp(dir, "."+base+".new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	kept, err := linkAside(path, time.Now())
	if err != nil {
		return "", err
	}
	next := filepath.Join(fresh, base)
	err = frozen(next, fmt.Sprintf("the journal was unreadable and is kept as %s: %v", filepath.Base(kept), why), entries)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(kept)) // path still is the same file
	}
	return kept, syncDir(dir)
}

// stillRefused returns nil when the file can't be trusted, [ErrConflict] when by now
// it can, and [ErrLocked] when somebody has it.
func stillRefused(path string, lockTimeout time.Duration) error {
	j, err := OpenReadOnly(path, lockTimeout)
	switch {
	case err == nil:
		return errors.Join(ErrConflict, j.Close())
	case errors.Is(err, ErrLocked):
		return err
	}
	return nil
}

// linkAside gives the file a second name, and never takes one that is in use.
func linkAside(path string, now time.Time) (string, error) {
	name := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	kept := name
	for n := 2; ; n++ {
		err := os.Link(path, kept)
		if !errors.Is(err, fs.ErrExist) || n > 100 {
			return kept, err
		}
		kept = fmt.Sprintf("%s-%d", name, n)
	}
}

// frozen makes a new journal that is frozen.
func frozen(path, reason string, entries []Entry) error {
	j, err := Open(path, time.Second)
	if err != nil {
		return err
	}
	err = j.SetFreeze(Freeze{Reason: reason, Actor: "sluice"})
	if err == nil && len(entries) > 0 {
		err = j.Append(entries...)
	}
	return errors.Join(err, j.Close())
}

// Damaged returns the files that [SetAside] kept of the journal at path.
func Damaged(path string) ([]string, error) { return filepath.Glob(escape(path) + ".damaged-*") }

// escape takes their meaning from the characters that have one in a glob.
func escape(path string) string {
	var out []byte
	for _, c := range []byte(path) {
		switch c {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}
