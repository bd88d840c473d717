package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, version 2: all numbers are in the machine's own
// byte order. Source: bbolt 1.5, internal/common (Page, Meta, InBucket).
//
//	page     id u64, flags u16, count u16, overflow u32, then its elements
//	meta     magic, version, pageSize, flags u32; root bucket; freelist, pgid (end of use), txid, checksum u64
//	bucket   root page u64 (0: the page itself follows), sequence u64
//	branch   pos u32, ksize u32, child page u64     (pos counts from the element itself)
//	leaf     flags u32, pos u32, ksize u32, vsize u32
const (
	magic        = 0xED0CDAED
	layout       = 2
	headerSize   = 16
	elementSize  = 16
	metaSum      = 56 // where the checksum stands, and how much it covers
	metaSize     = 64
	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	noFreelist   = ^uint64(0)
	manyFree     = 0xFFFF // count of a freelist whose true count is its first element
	maxDepth     = 32     // of pages; a true file has three or four
	minPage      = 1 << 10
	maxPage      = 1 << 24
)

var native = binary.NativeEndian

// verify walks the whole file by plain reads and says what bbolt, which trusts
// the file and maps it into memory, would panic or fault on: a page that is
// cut off, stands in two places, or points outside itself. Writing into a file
// with a wrong freelist would destroy what is good, so that is looked at too.
//
// The values' own contents are left to their checksums.
func verify(f io.ReaderAt) error {
	v := &verifier{f: f, used: map[uint64]bool{0: true, 1: true}}
	if err := v.run(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return nil
}

type verifier struct {
	f        io.ReaderAt
	pageSize uint64
	end      uint64 // first page number beyond use
	used     map[uint64]bool
}

type meta struct {
	pageSize                  uint32
	root, freelist, end, txid uint64
}

func (v *verifier) run() error {
	m, err := readMeta(v.f)
	if err != nil {
		return err
	}
	v.pageSize, v.end = uint64(m.pageSize), m.end
	// The last byte in use tells whether the file was cut: bbolt lets a file grow
	// before it writes a meta page that counts on the growth.
	if m.end > 1<<40 || !v.readable(m.end*v.pageSize-1) {
		return fmt.Errorf("the file is cut off: %d pages of %d bytes were in use", m.end, m.pageSize)
	}
	if _, err := v.tree(m.root, nil, nil, 0); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return v.freelist(m.freelist)
}

func (v *verifier) readable(offset uint64) bool {
	n, err := v.f.ReadAt(make([]byte, 1), int64(offset))
	return n == 1 && (err == nil || errors.Is(err, io.EOF))
}

// readMeta returns the younger of the two meta pages that is whole: a write that
// was torn leaves the older one, and with it the state before that write.
func readMeta(f io.ReaderAt) (meta, error) {
	first, ok := metaAt(f, 0)
	size := uint64(first.pageSize)
	for p := uint64(minPage); !ok && p <= maxPage; p <<= 1 {
		if m, whole := metaAt(f, p); whole && uint64(m.pageSize) == p {
			return m, nil // the first is torn
		}
	}
	if !ok {
		return meta{}, errors.New("it begins with no whole page of a bbolt file")
	}
	if second, ok := metaAt(f, size); ok && second.pageSize == first.pageSize && second.txid > first.txid {
		return second, nil
	}
	return first, nil
}

func metaAt(f io.ReaderAt, page uint64) (meta, bool) {
	b := make([]byte, metaSize)
	if _, err := f.ReadAt(b, int64(page)+headerSize); err != nil {
		return meta{}, false
	}
	h := fnv.New64a()
	h.Write(b[:metaSum])
	m := meta{
		pageSize: native.Uint32(b[8:]),
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		end:      native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
	}
	whole := native.Uint32(b) == magic && native.Uint32(b[4:]) == layout && native.Uint64(b[metaSum:]) == h.Sum64() &&
		m.pageSize >= minPage && m.pageSize <= maxPage && m.pageSize&(m.pageSize-1) == 0
	return m, whole
}

// page reads page id with its overflow, which must not be in use elsewhere.
func (v *verifier) page(id uint64, flags ...uint16) (b []byte, flag uint16, err error) {
	bad := func(format string, args ...any) ([]byte, uint16, error) {
		return nil, 0, fmt.Errorf("page %d: %s", id, fmt.Sprintf(format, args...))
	}
	if id < 2 || id >= v.end {
		return bad("there is none")
	}
	head := make([]byte, headerSize)
	if _, err := v.f.ReadAt(head, int64(id*v.pageSize)); err != nil {
		return bad("%v", err)
	}
	flag = native.Uint16(head[8:])
	overflow := uint64(native.Uint32(head[12:]))
	switch {
	case native.Uint64(head) != id:
		return bad("says that it is page %d", native.Uint64(head))
	case id+overflow >= v.end:
		return bad("reaches beyond the file")
	}
	for i := id; i <= id+overflow; i++ {
		if v.used[i] {
			return bad("is used twice")
		}
		v.used[i] = true
	}
	for _, want := range flags {
		if flag == want {
			b = make([]byte, (overflow+1)*v.pageSize)
			if _, err := v.f.ReadAt(b, int64(id*v.pageSize)); err != nil {
				return bad("%v", err)
			}
			return b, flag, nil
		}
	}
	return bad("is of kind %#x, which doesn't belong there", flag)
}

// tree walks a tree of pages whose keys must lie in [low, high), nil meaning no
// bound, and returns how deep it is.
func (v *verifier) tree(id uint64, low, high []byte, depth int) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("page %d: too deep", id)
	}
	b, flag, err := v.page(id, flagBranch, flagLeaf)
	if err != nil {
		return 0, err
	}
	if flag == flagLeaf {
		if depth > 0 && native.Uint16(b[10:]) == 0 {
			return 0, fmt.Errorf("page %d: is empty", id)
		}
		return 1, v.wrap(id, v.leaf(b, low, high, depth))
	}
	keys, children, err := branch(b)
	if err != nil {
		return 0, v.wrap(id, err)
	}
	if err := ordered(keys, low, high); err != nil {
		return 0, v.wrap(id, err)
	}
	deep := 0
	for i, child := range children {
		next := high
		if i+1 < len(keys) {
			next = keys[i+1]
		}
		d, err := v.tree(child, keys[i], next, depth+1)
		if err != nil {
			return 0, err
		}
		if deep != 0 && d != deep {
			return 0, fmt.Errorf("page %d: its branches differ in depth", id)
		}
		deep = d
	}
	return deep + 1, nil
}

func (v *verifier) wrap(id uint64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("page %d: %w", id, err)
}

func branch(b []byte) (keys [][]byte, children []uint64, err error) {
	n := int(native.Uint16(b[10:]))
	if n == 0 {
		return nil, nil, errors.New("is empty")
	}
	next := headerSize + n*elementSize
	for i := range n {
		at := headerSize + i*elementSize
		if at+elementSize > len(b) {
			return nil, nil, errPointsOut
		}
		key, err := span(b, &next, at, native.Uint32(b[at:]), native.Uint32(b[at+4:]))
		if err != nil {
			return nil, nil, err
		}
		keys, children = append(keys, key), append(children, native.Uint64(b[at+8:]))
	}
	return keys, children, nil
}

// leaf checks one leaf page, and the buckets that stand in it.
func (v *verifier) leaf(b []byte, low, high []byte, depth int) error {
	n := int(native.Uint16(b[10:]))
	var keys [][]byte
	next := headerSize + n*elementSize
	for i := range n {
		at := headerSize + i*elementSize
		if at+elementSize > len(b) {
			return errPointsOut
		}
		flags, pos := native.Uint32(b[at:]), native.Uint32(b[at+4:])
		ksize, vsize := native.Uint32(b[at+8:]), native.Uint32(b[at+12:])
		both, err := span(b, &next, at, pos, ksize, vsize)
		if err != nil {
			return err
		}
		keys = append(keys, both[:ksize])
		switch value := both[ksize:]; flags {
		case 0:
		case 1:
			if err := v.bucket(value, depth); err != nil {
				return err
			}
		default:
			return fmt.Errorf("element %d has flags %#x", i, flags)
		}
	}
	return ordered(keys, low, high)
}

func (v *verifier) bucket(value []byte, depth int) error {
	if len(value) < headerSize {
		return errPointsOut
	}
	if root := native.Uint64(value); root != 0 {
		_, err := v.tree(root, nil, nil, 0)
		return err
	}
	inline := value[headerSize:]
	switch {
	case len(inline) < headerSize:
		return errPointsOut
	case native.Uint16(inline[8:]) != flagLeaf:
		return errors.New("holds a bucket that is no leaf")
	case depth > maxDepth:
		return errors.New("holds buckets too deep")
	}
	return v.leaf(inline, nil, nil, depth+1)
}

// freelist checks that the pages which the next writes will take are free.
func (v *verifier) freelist(id uint64) error {
	b, _, err := v.page(id, flagFreelist)
	if err != nil {
		return err
	}
	list := b[headerSize:]
	n := uint64(native.Uint16(b[10:]))
	if n == manyFree {
		n, list = native.Uint64(list), list[8:]
	}
	if n > uint64(len(list)/8) {
		return v.wrap(id, errPointsOut)
	}
	last := uint64(1)
	for i := range n {
		free := native.Uint64(list[i*8:])
		switch {
		case free <= last:
			return fmt.Errorf("page %d: the list of free pages is not in order", id)
		case free >= v.end:
			return fmt.Errorf("page %d: lists page %d as free, and there is none", id, free)
		case v.used[free]:
			return fmt.Errorf("page %d: lists page %d as free, and it is in use", id, free)
		}
		last = free
	}
	return nil
}

var errPointsOut = errors.New("points outside itself, or not where it should")

// span returns the bytes that the element at b[at:] points to: sizes in a row,
// pos behind the element's own start. bbolt writes them without gaps, and next is
// where they must begin: so a count that lost its last elements is found out.
func span(b []byte, next *int, at int, pos uint32, sizes ...uint32) ([]byte, error) {
	from := uint64(at) + uint64(pos)
	to := from
	for _, s := range sizes {
		to += uint64(s)
	}
	if from != uint64(*next) || to > uint64(len(b)) {
		return nil, errPointsOut
	}
	*next = int(to)
	return b[from:to], nil
}

func ordered(keys [][]byte, low, high []byte) error {
	for i, k := range keys {
		switch {
		case i > 0 && bytes.Compare(keys[i-1], k) >= 0,
			low != nil && bytes.Compare(k, low) < 0,
			high != nil && bytes.Compare(k, high) >= 0:
			return fmt.Errorf("key %d is out of order", i)
		}
	}
	return nil
}
