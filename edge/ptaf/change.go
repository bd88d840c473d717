package ptaf

import (
	"context"
	"encoding/json"

	"github.com/sluice-project/sluice/edge"
)

type Write struct {
	Version string
	Save    func(object []byte) error
}

type Object struct {
	ID, Name string
	Raw      []byte
	Upstream Upstream
}

func (c *Client) Get(ctx context.Context, upstream string) (Object, error) { return Object{}, ErrNoUpstream }

func (c *Client) Change(ctx context.Context, upstream string, down map[string]bool, o Write) (edge.Receipt, error) {
	return edge.Receipt{}, ErrNoUpstream
}

func (c *Client) Replace(ctx context.Context, upstream string, backends json.RawMessage, o Write) (edge.Receipt, error) {
	return edge.Receipt{}, ErrNoUpstream
}
