package ptaf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Object is an upstream as the device gave it.
type Object struct {
	ID, Name string
	Raw      []byte // byte for byte
	Upstream Upstream

	at time.Time // when it was there
}

// object reads one upstream by its id.
func (c *Client) object(ctx context.Context, n *node, id string) (Object, error) {
	path := "/upstreams/" + id // isID holds: nothing to escape
	raw, err := c.get(ctx, n, path)
	o := Object{ID: id, Raw: raw, at: time.Now()}
	if err != nil {
		return o, err
	}
	if o.Upstream, err = ParseUpstream(raw); err == nil && o.Upstream.ID != id {
		err = fmt.Errorf("%w: it is of the upstream %s", ErrAnswer, o.Upstream.ID)
	}
	if err != nil {
		return o, &callError{"GET", path, err}
	}
	o.Name = o.Upstream.Name
	return o, nil
}

// Get reads one upstream, by its name or id, from the active node; from the first
// that answers where it isn't known which that is. It returns [ErrNoUpstream] or
// [ErrAmbiguous] when the list says so.
func (c *Client) Get(ctx context.Context, upstream string) (Object, error) {
	o, err := c.getFrom(ctx, upstream)
	if err != nil {
		return Object{}, fmt.Errorf("get upstream %s: %w", quote(upstream), err)
	}
	return o, nil
}

func (c *Client) getFrom(ctx context.Context, upstream string) (Object, error) {
	nodes := c.nodes
	if n, err := c.active(ctx); err == nil {
		nodes = []*node{n}
	}
	var looks []look
	for _, n := range nodes {
		id, err := c.find(ctx, n, upstream)
		if err == nil {
			return c.object(ctx, n, id)
		}
		if errors.Is(err, ErrNoUpstream) || errors.Is(err, ErrAmbiguous) || len(nodes) == 1 {
			return Object{}, err
		}
		looks = append(looks, look{err: err})
	}
	return Object{}, c.all(looks)
}

// find is the id of an upstream by its name or id. An id comes before a name.
func (c *Client) find(ctx context.Context, n *node, upstream string) (id string, err error) {
	list, err := c.list(ctx, n)
	if err != nil {
		return "", err
	}
	return pick(list, upstream)
}

func pick(list []listed, upstream string) (id string, err error) {
	var found, names []string
	for _, e := range list {
		names = append(names, e.Name)
		if e.ID == upstream {
			found = []string{e.ID}
			break
		}
		if e.Name == upstream {
			found = append(found, e.ID)
		}
	}
	switch {
	case len(found) == 0 || upstream == "":
		slices.Sort(names)
		return "", fmt.Errorf("%w: there are %s", ErrNoUpstream, cmp.Or(line(strings.Join(names, ", ")), "none"))
	case len(found) > 1:
		return "", ErrAmbiguous
	case !isID.MatchString(found[0]):
		return "", fmt.Errorf("%w: its id is %s", ErrAnswer, quote(found[0]))
	}
	return found[0], nil
}

// first is the first look of a write: at the object of the id that the last reading
// gave for the name. When the object isn't there or has another name by now, and
// when nothing was read, the list is asked: it is a call more, and time counts.
func (c *Client) first(ctx context.Context, n *node, upstream string) (Object, error) {
	if id := n.id(upstream); id != "" {
		o, err := c.object(ctx, n, id)
		if err == nil && o.Name == upstream || err != nil && !errors.Is(err, ErrNotFound) {
			return o, err
		}
	}
	id, err := c.find(ctx, n, upstream)
	if err != nil {
		return Object{}, err
	}
	return c.object(ctx, n, id)
}

// learn notes the ids of what was read. Names are those of one upstream each: see [choose].
func (n *node) learn(upstreams []Upstream) {
	ids := make(map[string]string, len(upstreams))
	for _, u := range upstreams {
		ids[u.Name] = u.ID
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids = ids
}

func (n *node) id(upstream string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ids[upstream]
}

// active finds the node to write to. One alone isn't asked: see [judge].
func (c *Client) active(ctx context.Context) (*node, error) {
	if len(c.nodes) == 1 {
		return c.nodes[0], nil
	}
	words := make([]word, len(c.nodes))
	var wait sync.WaitGroup
	for i, n := range c.nodes {
		wait.Go(func() { words[i], _ = c.word(ctx, n) }) // who doesn't tell isn't the active one
	}
	wait.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	_, to, why := judge(c.nodes, words)
	if to < 0 {
		return nil, fmt.Errorf("%w: %s", ErrReadOnly, why)
	}
	return c.nodes[to], nil
}
