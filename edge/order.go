package edge

import (
	"errors"
	"time"
)

// A Change is what is wanted of one member, or of one switch.
type Change struct {
	Member Member
	To     Admin
	Mark   string // of a switch, instead of To: the device's own word that it is to get
	Share  int    // configured weight that it is to get beside To, on devices that have one to set; 0 leaves it
}

// An Order is one write to one pool. Only a device that writes pools whole takes
// more than one change in it.
type Order struct {
	Changes []Change
	Version string            // of the pool, from the snapshot that was decided on; empty: not compared
	Save    func(Image) error // called with the object as read, before the last look at it; an error stops the write; may be nil

	// Last is asked right before the first byte of what is written, after all looks:
	// an error stops it, and nothing was sent. It may be nil.
	Last func() error
}

// An Image is an object as a device gave it, byte for byte.
type Image struct {
	Device string
	Pool   string
	Object string // what the device calls it: an id
	Bytes  []byte
}

// A Receipt is what a write did, as far as the device's client saw it. It is no
// proof: look at the device.
type Receipt struct {
	Written       bool          // something was sent; false when all was as wanted already
	Before, After []byte        // the object, where the device has whole ones; After is what was read after the write
	Gap           time.Duration // between the last look at the object and the write's first byte, where nothing could lock it
}

// ErrChanged says that somebody changed the pool since the decision. Nothing was sent.
var ErrChanged = errors.New("changed meanwhile, nothing was sent")

// A NoAnswerError says that a device couldn't be reached for a write, or didn't answer
// it in time or in full. Look at the device to see whether it obeyed.
type NoAnswerError struct{ Err error }

func (e *NoAnswerError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// ErrNotKept says that the device took a write, and shows something else.
var ErrNotKept = errors.New("taken and not kept")
