package promtext

import (
	"fmt"
	"io"
	"sync"
)

// buffered is how much text is written at once: little enough to stay in a
// processor's cache until it is sent.
const buffered = 128 << 10

// An output collects text and hands it on in large pieces, while the next one is
// made: what is made and what is sent (or compressed) have a processor each.
type output struct {
	buf  []byte // of size buffered at least; the first n bytes are used
	n    int
	full chan []byte
	free chan []byte
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

func (o *output) add(b []byte) {
	for len(b) > 0 {
		n := min(len(b), buffered)
		to, at := o.room(n)
		copy(to[at:at+n], b)
		b = b[n:]
	}
}

// hand gives away what was collected.
func (o *output) hand() {
	if o.n > 0 {
		o.full <- o.buf[:o.n]
		o.buf = <-o.free
	}
	o.n = 0
}

var buffers = sync.Pool{New: func() any { return new([buffered]byte) }}

// writeAll writes a text, one half of it made while the other is sent.
func writeAll(w io.Writer, t *text) error {
	const pieces = 3
	o := &output{full: make(chan []byte, pieces), free: make(chan []byte, pieces)}
	for range pieces {
		b, _ := buffers.Get().(*[buffered]byte)
		defer buffers.Put(b)
		o.free <- b[:]
	}
	o.buf = <-o.free
	go func() {
		defer close(o.full)
		t.write(o)
		if o.n > 0 {
			o.full <- o.buf[:o.n]
		}
	}()
	var failed error
	for b := range o.full {
		if failed == nil { // else the rest is made for nobody, which is soon done
			if _, err := w.Write(b); err != nil {
				failed = fmt.Errorf("write metrics: %w", err)
			}
		}
		o.free <- b[:cap(b)]
	}
	return failed
}
