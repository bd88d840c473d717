package ptaf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/edge"
)

// A Node is one of the URLs, as it was found.
type Node struct {
	URL     string
	Up      bool              // it gave upstreams
	Active  edge.Answer       // by /gateways
	Err     string            // why it isn't up; one line
	Digests map[string]string // upstream name to [Upstream.Version], of those that it gave
}

// A Reading is what one look at the device found.
type Reading struct {
	At        time.Time // when all answers were there
	Node      string    // URL of the node that Upstreams, Refused and Gateways are from
	Nodes     []Node    // in the order of Options.URLs
	Diverging []string  // names of upstreams that nodes show differently, in order
	Upstreams []Upstream
	Refused   map[string]string // upstreams that are left out: name (or id, or what was configured) to why

	Gateways      []Gateway
	GatewaysKnown bool   // false: the device doesn't tell
	ReadOnly      string // why nothing can be written; empty when it can
}

// A look is what one node gave.
type look struct {
	word      word
	upstreams []Upstream
	refused   map[string]string
	err       error
}

// Read looks at all nodes: their lists, each upstream by itself, and /gateways.
// One upstream that can't be read is refused, and the others are there. An error
// means that no node could be read; Nodes tells of each even then.
func (c *Client) Read(ctx context.Context) (Reading, error) {
	looks := make([]look, len(c.nodes))
	var wait sync.WaitGroup
	for i, n := range c.nodes {
		wait.Go(func() { looks[i] = c.look(ctx, n) })
	}
	wait.Wait()
	r := Reading{At: time.Now()}
	var words []word
	for i, l := range looks {
		node := Node{URL: c.nodes[i].url, Up: l.err == nil, Digests: map[string]string{}}
		if l.err != nil {
			node.Err = l.err.Error()
		}
		for _, u := range l.upstreams {
			node.Digests[u.Name] = u.Version()
		}
		r.Nodes = append(r.Nodes, node)
		words = append(words, l.word)
	}
	from := slices.IndexFunc(looks, func(l look) bool { return l.err == nil })
	if from < 0 {
		return r, c.all(looks)
	}
	active, to, why := judge(c.nodes, words)
	for i, a := range active {
		r.Nodes[i].Active = a
	}
	switch {
	case to < 0:
		r.ReadOnly = why
	case !r.Nodes[to].Up:
		r.ReadOnly = "the active node could not be read: " + r.Nodes[to].Err
	default:
		from = to
	}
	l := looks[from]
	r.Node, r.Upstreams, r.Refused, r.GatewaysKnown = c.nodes[from].url, l.upstreams, l.refused, l.word.known
	for _, g := range l.word.gateways {
		r.Gateways = append(r.Gateways, g.Gateway)
	}
	r.Diverging = diverging(looks)
	return r, nil
}

// all is the error of a reading without a node that could be read, in one line.
func (c *Client) all(looks []look) (err error) {
	for i, l := range looks {
		one := l.err
		if len(looks) > 1 {
			one = fmt.Errorf("node %s: %w", c.nodes[i].url, l.err)
		}
		if err == nil {
			err = one
		} else {
			err = fmt.Errorf("%w; %w", err, one)
		}
	}
	return err
}

// diverging finds upstreams that are not the same on all nodes that could be
// read. What a node has and couldn't be understood is not known to differ.
func diverging(looks []look) (out []string) {
	first := map[string]string{}
	differ := map[string]bool{}
	names := map[string]bool{}
	for _, l := range looks {
		for _, u := range l.upstreams {
			names[u.Name] = true
		}
	}
	for name := range names {
		for _, l := range looks {
			if why, refused := l.refused[name]; l.err != nil || refused && why != missing {
				continue
			}
			version := "absent"
			if i := slices.IndexFunc(l.upstreams, func(u Upstream) bool { return u.Name == name }); i >= 0 {
				version = l.upstreams[i].Version()
			}
			if other, ok := first[name]; ok && other != version {
				differ[name] = true
			}
			first[name] = version
		}
	}
	return slices.Sorted(maps.Keys(differ))
}

// look reads one node. Source: an entry of the list has at least id and name,
// and the only client that lists fetches each by its id; so do we.
func (c *Client) look(ctx context.Context, n *node) look {
	l := look{refused: map[string]string{}}
	var g errgroup.Group
	g.SetLimit(maxAtOnce)
	g.Go(func() error {
		l.word, _ = c.word(ctx, n) // optional
		return nil
	})
	list, err := c.list(ctx, n)
	var chosen []listed
	if err == nil {
		chosen = choose(list, c.upstreams, l.refused)
	}
	found := make([]Object, len(chosen))
	errs := make([]error, len(chosen))
	for i, e := range chosen {
		g.Go(func() error {
			found[i], errs[i] = c.object(ctx, n, e.ID)
			return nil
		})
	}
	_ = g.Wait() // none fails
	if err != nil {
		l.err = err
		return l
	}
	for i, e := range chosen {
		switch {
		case errs[i] == nil && found[i].Name != e.Name:
			l.refused[e.Name] = "it was renamed while it was read"
		case errs[i] == nil:
			l.upstreams = append(l.upstreams, found[i].Upstream)
		case errors.Is(errs[i], ErrCredentials) || ctx.Err() != nil:
			l.err = errs[i]
		default:
			l.refused[e.Name] = errs[i].Error()
		}
	}
	n.learn(l.upstreams)
	if len(l.upstreams) == 0 && len(chosen) > 0 && l.err == nil && !slices.ContainsFunc(errs, func(err error) bool {
		return err == nil || errors.Is(err, ErrAnswer) || errors.Is(err, ErrNotFound)
	}) {
		l.err = errs[0] // the list comes and nothing else does: the device is ill, not its upstreams
	}
	return l
}

// A listed is an entry of the list of upstreams.
type listed struct{ ID, Name string }

func (c *Client) list(ctx context.Context, n *node) ([]listed, error) {
	raw, err := c.get(ctx, n, "/upstreams")
	if err != nil {
		return nil, err
	}
	list, err := parseUpstreams(raw)
	if err != nil {
		return nil, &callError{"GET", "/upstreams", err}
	}
	return list, nil
}

// parseUpstreams reads the list. An entry is as it is: whether it has an id and a
// name is for choose to say.
func parseUpstreams(raw []byte) ([]listed, error) {
	entries, err := items(raw)
	if err != nil {
		return nil, err
	}
	var out []listed
	for _, e := range entries {
		all, err := fields(e)
		if err != nil {
			return nil, err
		}
		out = append(out, listed{text(all.get("id")), text(all.get("name"))})
	}
	return out, nil
}

// missing is why an upstream that the configuration names is refused.
var missing = ErrNoUpstream.Error() + ": check the name in the configuration"

// choose picks what is wanted, by names or ids, from a list, and notes in refused
// what can't be had. A pool is known by its name alone, so two of one name are
// none (DESIGN.md: a name that occurs twice is refused).
func choose(list []listed, wanted []string, refused map[string]string) (out []listed) {
	times := map[string]int{}
	for _, e := range list {
		times[e.Name]++
	}
	done := map[string]bool{}
	for i, e := range list {
		if len(wanted) > 0 && !slices.Contains(wanted, e.ID) && !slices.Contains(wanted, e.Name) {
			continue
		}
		done[e.ID], done[e.Name] = true, true
		switch err := checkName(e.Name); {
		case err != nil && e.ID != "":
			refused[line(e.ID)] = err.Error()
		case err != nil:
			refused[fmt.Sprintf("entry %d", i+1)] = err.Error()
		case times[e.Name] > 1:
			refused[e.Name] = ErrAmbiguous.Error()
		case !isID.MatchString(e.ID):
			refused[e.Name] = fmt.Sprintf("%v: its id is %s", ErrAnswer, quote(e.ID))
		default:
			out = append(out, e)
		}
	}
	for _, name := range wanted {
		if !done[name] {
			refused[name] = missing
		}
	}
	return out
}
