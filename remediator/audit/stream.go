// Package audit writes what the journal records a second time, as text that
// other programs can read and keep: one JSON object a line, each line chained to
// the one before by its hash. When the journal is lost, the stream says what is
// ours (see [Ours]).
//
// The stream is filled from the journal and remembers in its own last line how
// far it has come; so a crash between the two loses nothing. A file is only ever
// appended to. What a crash or a full disk tore off in the middle of a line is
// cut off at the next start and kept aside; anything else that is wrong with a
// file is [ErrBroken], and the file is left as it is.
package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-project/sluice/remediator/journal"
)

// A Source is the journal, as the stream needs it.
type Source interface {
	Entries(q journal.Query) ([]journal.Entry, error)
}

// Options of [Open].
type Options struct {
	// MaxSize is how many bytes a file may have before the next one is begun; 0 is
	// no limit.
	MaxSize int64
	// Forward is given each line after it is durable. It must not wait. Nil:
	// nobody is.
	Forward func(Line)
}

// ErrLocked says that another process writes the file.
var ErrLocked = errors.New("in use by another process")

// ErrClosed says that the stream was closed.
var ErrClosed = errors.New("audit stream is closed")

// A Stream is the newest file of an audit stream, open for writing. Its methods
// may be called from any goroutine.
type Stream struct {
	path string
	o    Options

	mu   sync.Mutex
	f    *os.File // nil after Close
	size int64    // bytes that are whole lines; what lies behind was never promised
	torn bool     // a write failed: the file may be longer than size
	// between says that the full file has its number, and no new one is begun yet.
	between bool
	known   bool // the journal was found to be the one of the last line
	tail    tail
	late    []Line // written, but not yet durable and so not yet forwarded
}

// Open opens the stream whose newest file is path, and makes the file (0600) and
// its directory (0700) if there is none. The whole newest file is checked; the
// ones before it are not, except for the end of the last. [ErrBroken] says that
// they can't be trusted and were not changed.
func Open(path string, o Options) (_ *Stream, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	s := &Stream{path: path, o: o}
	sum, err := s.before()
	if err != nil {
		return nil, err
	}
	if err := s.begin(0); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.f.Close())
		}
	}()
	end, err := sum.read(bufio.NewReader(s.f), path, nil)
	if err != nil {
		return nil, err
	}
	s.size, s.tail = end.at, sum.tail
	if end.bytes > 0 {
		if err := s.repair(end); err != nil {
			return nil, fmt.Errorf("audit: repair %s: %w", path, err)
		}
	}
	return s, nil
}

// before is what stands before the first line of the newest file.
func (s *Stream) before() (Summary, error) {
	sum := Summary{tail: tail{hash: genesis}}
	ns, err := full(s.path)
	if err != nil || len(ns) == 0 {
		return sum, err
	}
	l, err := lastLine(fullName(s.path, ns[len(ns)-1]))
	if err != nil {
		return sum, err
	}
	sum.Lines, sum.tail = 1, tailOf(l) // not 0 lines: the next one has one before it
	return sum, nil
}

// begin opens the newest file, with flags besides, and locks it.
func (s *Stream) begin(flags int) error {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|flags, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := lock(f); err != nil {
		return errors.Join(fmt.Errorf("audit %s: %w", s.path, err), f.Close())
	}
	if err := syncDir(filepath.Dir(s.path)); err != nil {
		return errors.Join(fmt.Errorf("audit: %w", err), f.Close())
	}
	s.f = f
	return nil
}

// repair keeps what was torn off in a file of its own, and puts a line about it
// in its place. A crash on the way leaves a torn end again, and never less kept.
func (s *Stream) repair(end rest) error {
	torn := make([]byte, end.bytes)
	if _, err := s.f.ReadAt(torn, end.at); err != nil {
		return err
	}
	now := time.Now()
	aside, err := keepAside(s.path+".torn-"+now.UTC().Format("20060102T150405Z"), torn)
	if err != nil {
		return err
	}
	e := journal.Entry{
		Seq: s.tail.seq, At: now, Event: EventRepaired,
		Detail: fmt.Sprintf("%d bytes behind the last whole line were cut off, and kept as %s", len(torn), filepath.Base(aside)),
	}
	if err := s.append([]journal.Entry{e}); err != nil {
		return err
	}
	return s.durable()
}

// keepAside writes a file under a name that nobody has, and returns that.
func keepAside(name string, text []byte) (string, error) {
	for n := 1; ; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s-%d", name, n)
		}
		f, err := os.OpenFile(try, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) && n < 1000 {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(text)
		if err = errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(name))); err != nil {
			return "", errors.Join(err, os.Remove(try)) // half of it is no use, and the whole is still where it was
		}
		return try, nil
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Last returns the Seq of the journal that the stream has come to, and the hash
// of its last line, which is what the next one is chained to.
func (s *Stream) Last() (seq uint64, hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail.seq, s.tail.hash
}

// Close lets go of the file.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	if err != nil {
		return fmt.Errorf("audit: close %s: %w", s.path, err)
	}
	return nil
}

// Sync appends what the journal has and the stream lacks, and is durable when it
// returns. After an error it can be called again, and goes on where it was.
func (s *Stream) Sync(src Source) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return ErrClosed
	}
	if err := s.same(src); err != nil {
		return err
	}
	es, err := src.Entries(journal.Query{After: s.tail.seq})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := s.write(es); err != nil {
		return fmt.Errorf("audit: write %s: %w", s.path, err)
	}
	return nil
}

// same finds out, once, whether the journal is the one that the last line came
// from. If not, it says so in the stream, which then starts at the journal's
// first entry: a journal that was lost counts from 1 again.
func (s *Stream) same(src Source) error {
	if s.known || s.tail.seq == 0 {
		s.known = true
		return nil
	}
	newest, err := src.Entries(journal.Query{Limit: 1})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if len(newest) == 0 {
		return nil // all pruned, or all lost: the next entry tells
	}
	other := newest[0].Seq < s.tail.seq
	if !other && !s.tail.at.IsZero() {
		es, err := src.Entries(journal.Query{After: s.tail.seq - 1})
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		// An entry that was pruned can't be compared; then the count is all there is.
		other = len(es) > 0 && es[0].Seq == s.tail.seq && !es[0].At.Equal(s.tail.at)
	}
	if other {
		e := journal.Entry{At: time.Now(), Event: EventNewJournal, Detail: fmt.Sprintf("the journal doesn't have entry %d as it stands above: from here on it is another one", s.tail.seq)}
		if err := s.write([]journal.Entry{e}); err != nil {
			return fmt.Errorf("audit: write %s: %w", s.path, err)
		}
	}
	s.known = true
	return nil
}

// mostAtOnce bounds what is built in memory before it is written, in bytes.
const mostAtOnce = 1 << 20

// write appends entries, begins new files where they are due, and makes all
// durable.
func (s *Stream) write(es []journal.Entry) error {
	if err := s.intact(); err != nil {
		return err
	}
	for len(es) > 0 {
		if s.o.MaxSize > 0 && s.size >= s.o.MaxSize {
			if err := s.rotate(); err != nil {
				return err
			}
		}
		n, size := 0, 0
		for ; n < len(es) && size < mostAtOnce && (s.o.MaxSize <= 0 || s.size+int64(size) < s.o.MaxSize); n++ {
			size += roughly(es[n])
		}
		if err := s.append(es[:n]); err != nil {
			if s.torn && s.f.Truncate(s.size) == nil { // or else intact does it next time
				s.torn = false
			}
			return err
		}
		es = es[n:]
	}
	return s.durable()
}

// roughly is a little less than what the line of e will have in bytes.
func roughly(e journal.Entry) int {
	return 250 + len(e.Detail) + len(e.Reason) + len(e.Evidence) + len(e.Decision) + len(e.World)
}

var (
	errGrown = errors.New("somebody else has written to the file")
	errMoved = errors.New("the file was moved or replaced: max_size begins new files, nothing else may")
)

// intact makes sure that the file is what we left. It cuts off what a write of
// ours that failed may have left behind.
func (s *Stream) intact() error {
	if s.between {
		return s.next()
	}
	here, err := s.f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case err != nil || !os.SameFile(here, named):
		return errMoved
	case here.Size() == s.size:
		s.torn = false
	case !s.torn:
		return fmt.Errorf("%w: it has %d bytes, not %d", errGrown, here.Size(), s.size)
	default:
		if err := s.f.Truncate(s.size); err != nil {
			return err
		}
		s.torn = false
	}
	return nil
}

// append writes lines behind the last whole one, and cuts off what lies behind.
func (s *Stream) append(es []journal.Entry) error {
	var text []byte
	var lines []Line
	t := s.tail
	for _, e := range es {
		line, err := encode(t.hash, e)
		if err != nil {
			return err
		}
		l, err := ParseLine(line) // what couldn't be read again is never written
		if err == nil {
			t, err = t.follow(l)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Seq, err)
		}
		text, lines = append(text, line...), append(lines, l)
	}
	s.torn = true
	_, err := s.f.WriteAt(text, s.size)
	if err == nil {
		err = s.f.Truncate(s.size + int64(len(text)))
	}
	if err != nil {
		return err
	}
	s.torn = false
	s.size += int64(len(text))
	s.tail = t
	s.late = append(s.late, lines...)
	return nil
}

// durable waits for the disk, and then passes on what was written.
func (s *Stream) durable() error {
	if len(s.late) == 0 {
		return nil
	}
	if err := s.f.Sync(); err != nil {
		return err
	}
	if s.o.Forward != nil {
		for _, l := range s.late {
			s.o.Forward(l)
		}
	}
	s.late = nil
	return nil
}

// rotate gives the full file the next number, and begins a new one.
func (s *Stream) rotate() error {
	if err := s.durable(); err != nil {
		return err
	}
	ns, err := full(s.path)
	if err != nil {
		return err
	}
	next := 1
	if len(ns) > 0 {
		next = ns[len(ns)-1] + 1
	}
	if err := os.Rename(s.path, fullName(s.path, next)); err != nil {
		return err
	}
	s.between = true
	return s.next()
}

// next begins the file that a rotation lacks still.
func (s *Stream) next() error {
	old := s.f
	if err := s.begin(os.O_EXCL); err != nil {
		return err
	}
	s.size, s.between = 0, false
	return old.Close()
}
