package promtext

import (
	"fmt"
	"io"
	"sync"
)

// buffered is how much text is written at once: little enough to stay in a
// processor's cache until it is sent.
const buffered = 256 << 10

// An output collects text and hands it on in large pieces.
type output struct {
	buf   []byte // of size buffered at least; the first n bytes are used
	n     int
	marks []mark
	take  func(piece) error // may not keep it
	err   error             // the first one; what comes after it is made for nobody
}

// A piece is a part of a text, with what is known of how it repeats itself.
type piece struct {
	text  []byte
	marks []mark
}

// room returns the buffer and where in it the next n bytes go, which count as used.
// The buffer may be another one than before; at is 0 then.
func (o *output) room(n int) (b []byte, at int) {
	if len(o.buf)-o.n < n {
		o.hand()
		if len(o.buf) < n { // a label of a hostile device
			o.buf = make([]byte, n)
		}
	}
	at = o.n
	o.n += n
	return o.buf, at
}

// repeats says that what is put at a place repeats what stands distance before
// it, but for a few bytes; 0: that nothing is known of it.
func (o *output) repeats(at, distance int) {
	if n := len(o.marks); n == 0 && distance > 0 || n > 0 && o.marks[n-1].distance != distance {
		o.marks = append(o.marks, mark{at, distance})
	}
}

func (o *output) add(b []byte) {
	for len(b) > 0 {
		n := min(len(b), buffered)
		to, at := o.room(n)
		o.repeats(at, 0)
		copy(to[at:at+n], b)
		b = b[n:]
	}
}

// hand gives away what was collected.
func (o *output) hand() {
	if o.n > 0 && o.err == nil {
		if err := o.take(piece{o.buf[:o.n], o.marks}); err != nil {
			o.err = fmt.Errorf("write metrics: %w", err)
		}
	}
	o.n, o.marks = 0, o.marks[:0]
}

var buffers = sync.Pool{New: func() any { return new([buffered]byte) }}

// writeAll makes a text, piece by piece.
func writeAll(t *text, take func(piece) error) error {
	b, _ := buffers.Get().(*[buffered]byte)
	defer buffers.Put(b)
	o := &output{buf: b[:], take: take}
	t.write(o)
	o.hand()
	return o.err
}

// writeTo hands pieces to w as they are.
func writeTo(w io.Writer) func(piece) error {
	return func(p piece) error {
		_, err := w.Write(p.text)
		return err
	}
}
