package promtext

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"sync"
)

// A squeezer makes gzip (RFC 1952) of a text of which it is told where it
// repeats itself. A line of a column is the line before with another digit or
// two, at a distance that is known when it is made; finding that out is what a
// compressor spends its time on. So this costs half of compress/gzip at its
// fastest, and is shorter. Text that nobody knows to repeat itself is left to
// compress/flate.
type squeezer struct {
	w    io.Writer
	out  []byte // whole bytes, not yet written
	acc  uint64 // bits that don't fill a byte yet, the first one lowest
	n    uint   // how many
	sum  uint32
	size uint32 // of the text, as RFC 1952 has it: modulo 2^32
	err  error

	open             bool   // a block of matches is under way
	length, distance int    // of the match under way; no length: none
	far              symbol // of distance
	fast             *flate.Writer
}

// A mark says that the text from at on repeats, but for a few bytes, what
// stands distance before; 0: nothing is known of it.
type mark struct{ at, distance int }

// window is how far back a match may lie. Source: RFC 1951, 3.2.5.
const window = 32 << 10

const (
	shortest = 4 // of a match that is worth its bits
	longest  = 258
)

// little is a text for which compress/flate isn't worth its beginning.
const little = 1 << 10

var squeezers = sync.Pool{New: func() any {
	fast, _ := flate.NewWriter(nil, flate.BestSpeed) // the only error is a wrong level
	return &squeezer{fast: fast, out: make([]byte, 0, 64<<10)}
}}

// newSqueezer begins a gzip stream; free gives its memory back.
func newSqueezer(w io.Writer) *squeezer {
	s, _ := squeezers.Get().(*squeezer)
	*s = squeezer{w: w, fast: s.fast, out: s.out[:0]}
	s.out = append(s.out, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255) // deflate, no time, fastest, unknown system
	return s
}

func (s *squeezer) free() {
	s.w = nil
	squeezers.Put(s)
}

// piece takes the next piece of the text. Marks are in order; what stands before
// the first one is unknown.
func (s *squeezer) piece(text []byte, marks []mark) error {
	s.sum = crc32.Update(s.sum, crc32.IEEETable, text)
	s.size += uint32(len(text)) // modulo 2^32
	at, distance := 0, 0
	for i := 0; i <= len(marks); i++ {
		end := len(text)
		if i < len(marks) {
			end = marks[i].at
		}
		if distance > 0 && distance <= window {
			s.known(text, at, end, distance)
		} else {
			s.unknown(text[at:end])
		}
		if i < len(marks) {
			at, distance = end, marks[i].distance
		}
	}
	return s.err
}

// known sends text[at:end] as matches distance before, and single bytes where it differs.
func (s *squeezer) known(text []byte, at, end, distance int) {
	s.beginBlock()
	for at < end {
		n := equal(text[at:end], text[at-distance:])
		if n < shortest {
			n = max(n, 1)
			s.flushMatch()
			s.single(text[at : at+n])
			at += n
			continue
		}
		if s.distance != distance {
			s.flushMatch()
			s.distance, s.far = distance, canned.distance(distance)
		}
		s.length += n
		at += n
	}
}

// flushMatch sends the match under way.
func (s *squeezer) flushMatch() {
	if s.length == 0 {
		return
	}
	for s.length > 0 {
		n := min(s.length, longest)
		if rest := s.length - n; rest > 0 && rest < 3 {
			n -= 3 // no match is shorter
		}
		s.send(canned.lengths[n])
		s.send(s.far)
		s.length -= n
	}
}

// equal is how many bytes a and b have in common from their beginnings; b is at least as long.
func equal(a, b []byte) int {
	n := 0
	for len(a)-n >= 32 { // of a long match this is the whole work
		x, y := a[n:n+32:n+32], b[n:n+32:n+32]
		if (word(x, 0)^word(y, 0))|(word(x, 8)^word(y, 8))|(word(x, 16)^word(y, 16))|(word(x, 24)^word(y, 24)) != 0 {
			break
		}
		n += 32
	}
	for len(a)-n >= 8 {
		if x := word(a, n) ^ word(b, n); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

func word(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// single sends bytes that no match covers.
func (s *squeezer) single(text []byte) {
	s.beginBlock()
	for _, c := range text {
		s.send(canned.literals[c])
	}
}

// beginBlock begins a block of our codes.
func (s *squeezer) beginBlock() {
	if !s.open {
		for _, c := range canned.begin {
			s.send(c)
		}
		s.open = true
	}
}

// endBlock ends the block of matches, if one is under way.
func (s *squeezer) endBlock() {
	if s.open {
		s.flushMatch()
		s.send(canned.literals[endOf])
		s.open = false
	}
}

// unknown sends text by compress/flate, whose blocks begin and end at whole bytes.
func (s *squeezer) unknown(text []byte) {
	if len(text) < little {
		s.flushMatch()
		s.single(text)
		return
	}
	s.endBlock()
	s.align()
	var block bytes.Buffer
	s.fast.Reset(&block)      // it may look back no further than its own text
	_, _ = s.fast.Write(text) // a buffer takes all
	_ = s.fast.Flush()
	s.out = append(s.out, block.Bytes()...)
	s.drain()
}

// align ends a byte, by a stored block of no bytes.
func (s *squeezer) align() {
	if s.n == 0 {
		return
	}
	s.send(symbol{0b000, 3})
	s.send(symbol{0, uint8((8 - s.n%8) % 8)})
	s.whole()
	s.out = append(s.out, 0, 0, 0xff, 0xff)
}

// send appends bits.
func (s *squeezer) send(c symbol) {
	s.acc |= uint64(c.bits) << s.n
	s.n += uint(c.n)
	if s.n >= 32 { // a code with its extra bits has at most 28
		s.out = binary.LittleEndian.AppendUint32(s.out, uint32(s.acc))
		s.acc >>= 32
		s.n -= 32
		if len(s.out) >= 60<<10 {
			s.drain()
		}
	}
}

// whole moves all whole bytes out.
func (s *squeezer) whole() {
	for ; s.n >= 8; s.n -= 8 {
		s.out = append(s.out, byte(s.acc))
		s.acc >>= 8
	}
}

func (s *squeezer) drain() {
	if s.err == nil && len(s.out) > 0 {
		_, s.err = s.w.Write(s.out)
	}
	s.out = s.out[:0]
}

// close ends the stream.
func (s *squeezer) close() error {
	s.endBlock()
	s.send(symbol{0b011, 3}) // the last block, of fixed codes and empty: its end is seven zeros
	s.send(symbol{0, 7})
	s.send(symbol{0, uint8((8 - s.n%8) % 8)})
	s.whole()
	s.out = binary.LittleEndian.AppendUint32(s.out, s.sum)
	s.out = binary.LittleEndian.AppendUint32(s.out, s.size)
	s.drain()
	return s.err
}
