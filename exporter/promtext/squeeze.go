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
// compressor spends its time on. So this costs a third of compress/gzip at its
// fastest, and is as short. Text that nobody knows to repeat itself is left to
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
	endOf    = 256 // the symbol that ends a block
)

// little is a text for which compress/flate isn't worth its beginning.
const little = 1 << 10

// symbol is a code of Huffman's with the extra bits that follow it, ready to be sent.
type symbol struct {
	bits uint32
	n    uint8
}

// The fixed codes of RFC 1951, 3.2.6: of bytes and the end of a block, and of
// the lengths of matches.
var literals, lengths = fixedCodes()

func fixedCodes() (literals [endOf + 1]symbol, lengths [longest + 1]symbol) {
	code := func(s int) symbol {
		switch {
		case s < 144:
			return symbol{uint32(bits.Reverse8(uint8(0x30 + s))), 8}
		case s < 256:
			return symbol{uint32(bits.Reverse16(uint16(0x190+s-144)) >> 7), 9}
		case s < 280:
			return symbol{uint32(bits.Reverse8(uint8(s-256)) >> 1), 7}
		default:
			return symbol{uint32(bits.Reverse8(uint8(0xC0 + s - 280))), 8}
		}
	}
	for s := range literals {
		literals[s] = code(s)
	}
	// Lengths come in groups of 1, 1, 2, 4, ... 32 to a symbol, four symbols of each
	// group, eight of the first; 258 has one of its own.
	length := 3
	for s := 257; s < 285; s++ {
		extra := max(0, (s-261)/4)
		for i := range 1 << extra {
			if length > longest {
				break
			}
			c := code(s)
			lengths[length] = symbol{c.bits | uint32(i)<<c.n, c.n + uint8(extra)}
			length++
		}
	}
	lengths[longest] = code(285)
	return literals, lengths
}

// distanceCode is the code of a distance, with its extra bits.
func distanceCode(d int) symbol {
	d--
	if d < 4 {
		return symbol{uint32(bits.Reverse8(uint8(d)) >> 3), 5}
	}
	extra := bits.Len(uint(d)) - 2
	s := 2*extra + d>>extra // 4 and 5 have one extra bit, 6 and 7 two, ...
	return symbol{uint32(bits.Reverse8(uint8(s))>>3) | uint32(d&(1<<extra-1))<<5, uint8(5 + extra)}
}

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
			s.distance, s.far = distance, distanceCode(distance)
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
		s.send(lengths[n])
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
		s.send(literals[c])
	}
}

// beginBlock begins a block of fixed codes, not the last one.
func (s *squeezer) beginBlock() {
	if !s.open {
		s.send(symbol{0b010, 3})
		s.open = true
	}
}

// endBlock ends the block of matches, if one is under way.
func (s *squeezer) endBlock() {
	if s.open {
		s.flushMatch()
		s.send(literals[endOf])
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
	if s.n >= 32 { // a code with its extra bits has at most 18
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
	s.send(symbol{0b011, 3}) // the last block, of fixed codes and empty
	s.send(literals[endOf])
	s.send(symbol{0, uint8((8 - s.n%8) % 8)})
	s.whole()
	s.out = binary.LittleEndian.AppendUint32(s.out, s.sum)
	s.out = binary.LittleEndian.AppendUint32(s.out, s.size)
	s.drain()
	return s.err
}
