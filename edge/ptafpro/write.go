package ptafpro

import (
	"context"
	"errors"

	"github.com/sluice-project/sluice/edge"
)

// A Write says under which conditions a write is made.
type Write struct {
	Version string                    // of the pool, from [Reading.Versions]; empty: not compared
	Save    func(object []byte) error // called with the object as read, before the last look at it; an error stops the write; may be nil
}

type writable struct{}

// SetEnabled takes a backend out (false) or gives it back.
func (c *Client) SetEnabled(context.Context, string, bool, Write) (edge.Receipt, error) {
	return edge.Receipt{}, errors.ErrUnsupported
}

// SetProtectionMode sets how an application is protected.
func (c *Client) SetProtectionMode(context.Context, string, string, Write) (edge.Receipt, error) {
	return edge.Receipt{}, errors.ErrUnsupported
}
