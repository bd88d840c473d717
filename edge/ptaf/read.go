package ptaf

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Gateway is a node of the WAF as /gateways lists it.
type Gateway struct {
	ID, Name string
	Active   edge.Answer
}

// A Node is one of the URLs, as it was found.
type Node struct {
	URL     string
	Up      bool              // it gave its list of upstreams
	Active  edge.Answer       // by /gateways
	Err     string            // why it isn't up, or what else was wrong; one line
	Digests map[string]string // upstream name to [Upstream.Version], of those that it gave
}

// A Reading is what one look at the device found.
type Reading struct {
	At        time.Time // when all answers were there
	Node      string    // URL of the node that Upstreams and Gateways are from
	Nodes     []Node    // in the order of Options.URLs
	Diverging []string  // names of upstreams that nodes show differently, sorted
	Upstreams []Upstream
	Refused   map[string]string // upstreams that are left out: name to why

	Gateways      []Gateway
	GatewaysKnown bool   // false: the device doesn't tell
	ReadOnly      string // why nothing can be written; empty when it can
}

func (c *Client) Read(ctx context.Context) (Reading, error) { return Reading{}, ErrAnswer }
