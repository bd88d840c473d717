package ptaf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// silence is how long /gateways isn't asked for again when it wasn't there.
const silence = 10 * time.Minute

// A Gateway is a node of the WAF as /gateways lists it.
type Gateway struct {
	ID, Name string
	Active   edge.Answer
}

// A word is what one node says of all.
type word struct {
	gateways []gateway
	known    bool
}

type gateway struct {
	Gateway
	texts []string // all strings in the entry
}

// word asks a node for /gateways. It is optional: the right to view it may be
// missing, and other versions may not have it. Source: one client of a cluster's
// set-up reads and writes it; nothing says that every user may.
func (c *Client) word(ctx context.Context, n *node) (word, error) {
	n.mu.Lock()
	silent := time.Now().Before(n.silent)
	n.mu.Unlock()
	if silent {
		return word{}, nil
	}
	raw, err := c.get(ctx, n, "/gateways")
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrForbidden) {
		n.mu.Lock()
		n.silent = time.Now().Add(silence)
		n.mu.Unlock()
		return word{}, nil
	}
	if err != nil {
		return word{}, err
	}
	all, err := parseGateways(raw)
	if err != nil {
		return word{}, &callError{"GET", "/gateways", err}
	}
	return word{all, true}, nil
}

func parseGateways(raw []byte) ([]gateway, error) {
	list, err := items(raw)
	if err != nil {
		return nil, err
	}
	var out []gateway
	for _, e := range list {
		all, err := fields(e)
		if err != nil {
			return nil, err
		}
		g := gateway{Gateway: Gateway{ID: line(text(all.get("id"))), Name: line(text(all.get("name")))}}
		if active, ok := truth(all.get("active")); ok && !absent(all.get("active")) {
			g.Active = answer(active)
		}
		var v any
		if err := json.Unmarshal(e, &v); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		g.texts = texts(v, nil)
		out = append(out, g)
	}
	return out, nil
}

// items is the content of a list. Source: upstreams, gateways and interface
// aliases come as {"items": [...]}. Guess: a bare list is one too, as PTAF PRO
// has both.
func items(raw []byte) ([][]byte, error) {
	if !json.Valid(raw) {
		return nil, notJSON(raw)
	}
	list := raw
	if raw[space(raw, 0)] != '[' {
		all, err := fields(raw)
		if err != nil {
			return nil, err
		}
		if list = all.get("items"); list == nil {
			return nil, fmt.Errorf("%w: no items: %q", ErrAnswer, errorText(raw))
		}
	}
	spans, err := elements(list)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, 0, len(spans))
	for _, s := range spans {
		out = append(out, list[s[0]:s[1]])
	}
	return out, nil
}

func answer(yes bool) edge.Answer {
	if yes {
		return edge.Yes
	}
	return edge.No
}

func texts(v any, to []string) []string {
	switch v := v.(type) {
	case string:
		to = append(to, v)
	case []any:
		for _, e := range v {
			to = texts(e, to)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			to = texts(v[k], to)
		}
	}
	return to
}

// of is what a word says of a node: whether it is active.
func (w word) of(n *node) edge.Answer {
	said := edge.Unknown
	for _, g := range w.gateways {
		if n.gateway != "" && g.Name != n.gateway && g.ID != n.gateway {
			continue
		}
		// Guess: one of the texts of an entry is the address that we use.
		if n.gateway == "" && !slices.ContainsFunc(g.texts, func(s string) bool { return strings.EqualFold(s, n.host) }) {
			continue
		}
		if g.Active == edge.Unknown || said != edge.Unknown && said != g.Active {
			return edge.Unknown
		}
		said = g.Active
	}
	return said
}

// judge says which nodes are active, and which one is to be written to: -1, and
// why, when none is. Nodes of a cluster may show different backends (the replaced
// script's author warns of it), so that the wrong one must not be written to.
// Guess: "active" of a gateway means that this node carries the traffic, and a
// write to it reaches the others. A node without a cluster isn't asked; only its
// own word that it is inactive stops writes.
func judge(nodes []*node, words []word) (active []edge.Answer, to int, why string) {
	var yes, asked int
	var split bool
	for i, n := range nodes {
		said := edge.Unknown
		for _, w := range words {
			a := w.of(n)
			if a != edge.Unknown && said != edge.Unknown && a != said {
				split, said = true, edge.Unknown
				break
			}
			said = max(said, a)
		}
		if said == edge.Yes {
			yes, to = yes+1, i
		}
		if words[i].known {
			asked++
		}
		active = append(active, said)
	}
	switch {
	case len(nodes) == 1 && active[0] == edge.No:
		return active, -1, "by /gateways this node is not active"
	case len(nodes) == 1:
		return active, 0, ""
	case asked == 0:
		return active, -1, "no node tells which one is active: /gateways could not be read"
	case split:
		return active, -1, "the nodes disagree on which one is active"
	case yes == 0:
		return active, -1, "by /gateways no node is active, or its name or address there is not known: see gateways"
	case yes > 1:
		return active, -1, fmt.Sprintf("by /gateways %d nodes are active", yes)
	}
	return active, to, ""
}
