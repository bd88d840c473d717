package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrBroken says that a stream is not what was written.
var ErrBroken = errors.New("broken audit stream")

// A BrokenError names the first line that is wrong.
type BrokenError struct {
	File string
	Line int // from 1
	Err  error
}

func (e *BrokenError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Is makes every BrokenError an [ErrBroken].
func (e *BrokenError) Is(target error) bool { return target == ErrBroken }

func (e *BrokenError) Unwrap() error { return e.Err }

// A Summary is what a whole stream says of itself.
type Summary struct {
	Lines int
	First time.Time // of the first line
	Last  time.Time // of the last line
	Hash  string    // of the last line; of no line at all: 64 zeros
	// Follows is the hash of the line before the first one, when there was one: the
	// files before have gone. Empty when the stream starts at its beginning.
	Follows string

	tail tail
}

// Read goes through files, which are one stream in the order given, and hands
// each line to each, if that isn't nil. The first thing that is wrong ends it
// with a [*BrokenError]; an error of each ends it as it is.
func Read(files []string, each func(Line) error) (Summary, error) {
	var s Summary
	s.tail.hash = genesis
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return s, fmt.Errorf("audit: %w", err)
		}
		rest, err := s.read(f, name, each)
		if err := errors.Join(err, f.Close()); err != nil {
			return s, err
		}
		if rest.bytes > 0 {
			return s, &BrokenError{name, rest.line, fmt.Errorf("%w: it was torn off, or is being written now", errNoNewline)}
		}
		if rest.line == 1 && i < len(files)-1 { // the last one may have been made a moment ago
			return s, &BrokenError{name, 1, errors.New("the file is empty")}
		}
	}
	s.Hash = s.tail.hash
	return s, nil
}

// What stands behind the last whole line of a file.
type rest struct {
	line  int   // its number
	at    int64 // where it begins
	bytes int
}

// read goes through one file, up to what is no whole line.
func (s *Summary) read(r io.Reader, name string, each func(Line) error) (rest, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	end := rest{line: 1}
	for ; ; end.line++ {
		text, err := readLine(b)
		if errors.Is(err, io.EOF) {
			end.bytes = len(text)
			return end, nil
		}
		if errors.Is(err, errLong) {
			return end, &BrokenError{name, end.line, err}
		}
		if err != nil {
			return end, fmt.Errorf("audit: read %s: %w", name, err)
		}
		l, err := ParseLine(text)
		if err == nil {
			err = s.add(l)
		}
		if err != nil {
			return end, &BrokenError{name, end.line, err}
		}
		end.at += int64(len(text))
		if each != nil {
			if err := each(l); err != nil {
				return end, err
			}
		}
	}
}

func (s *Summary) add(l Line) (err error) {
	if s.Lines == 0 && l.Prev != genesis {
		s.Follows, s.tail = l.Prev, tail{hash: l.Prev, seq: l.Seq}
		if !own(l.Event) {
			s.tail.seq--
		}
	}
	if s.tail, err = s.tail.follow(l); err != nil {
		return err
	}
	if s.Lines++; s.Lines == 1 {
		s.First = l.At
	}
	s.Last = l.At
	return nil
}

var errLong = fmt.Errorf("is longer than %d bytes: not a line of Sluice", mostLine)

// readLine returns a line with its newline, or what there is and io.EOF.
func readLine(b *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := b.ReadSlice('\n')
		if err == nil && long == nil {
			return part, nil // the common case copies nothing
		}
		long = append(long, part...)
		switch {
		case len(long) > mostLine:
			return nil, errLong
		case !errors.Is(err, bufio.ErrBufferFull):
			return long, err
		}
	}
}

// Files returns the stream that path is the newest file of: the ones that were
// full, oldest first, and path itself. Of several paths it gives each file once.
func Files(paths ...string) ([]string, error) {
	type file struct {
		base string
		n    int // 0 is the newest
	}
	var all []file
	for _, path := range paths {
		if base, n := numbered(path); n > 0 {
			all = append(all, file{base, n})
			continue
		}
		ns, err := full(path)
		if err != nil {
			return nil, err
		}
		for _, n := range ns {
			all = append(all, file{path, n})
		}
		if _, err := os.Stat(path); err == nil || len(ns) == 0 || !errors.Is(err, fs.ErrNotExist) {
			all = append(all, file{path, 0})
		}
	}
	slices.SortStableFunc(all, func(a, b file) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(uint(a.n-1), uint(b.n-1))) // 0 comes last
	})
	var out []string
	for _, f := range slices.Compact(all) {
		if f.n == 0 {
			out = append(out, f.base)
		} else {
			out = append(out, fullName(f.base, f.n))
		}
	}
	return out, nil
}

func fullName(path string, n int) string { return path + "." + strconv.Itoa(n) }

// numbered is the inverse of fullName; n is 0 for any other name.
func numbered(name string) (path string, n int) {
	ext := filepath.Ext(name)
	n, err := strconv.Atoi(strings.TrimPrefix(ext, "."))
	if path = strings.TrimSuffix(name, ext); err != nil || n < 1 || path == "" || fullName(path, n) != name {
		return name, 0
	}
	return path, n
}

// full returns the numbers of the files of a stream that were full, ascending.
func full(path string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var out []int
	for _, e := range entries {
		if base, n := numbered(e.Name()); n > 0 && base == filepath.Base(path) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// lastLine returns the last line of a file that was full, which ends in one.
func lastLine(name string) (Line, error) {
	f, err := os.Open(name)
	if err != nil {
		return Line{}, fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Line{}, fmt.Errorf("audit: %w", err)
	}
	for size := int64(1 << 16); ; size *= 2 {
		from := max(0, info.Size()-size)
		text := make([]byte, info.Size()-from)
		if _, err := f.ReadAt(text, from); err != nil {
			return Line{}, fmt.Errorf("audit: read %s: %w", name, err)
		}
		i := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n')
		if i < 0 && from > 0 && size < mostLine {
			continue
		}
		l, err := ParseLine(text[i+1:])
		if err != nil {
			return Line{}, fmt.Errorf("%w: %s: its last line %w", ErrBroken, name, err)
		}
		return l, nil
	}
}
