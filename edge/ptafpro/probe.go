package ptafpro

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
)

const (
	notAsked = "not asked to act"
	// noFor is how long a no is believed, and unsureFor how long no answer is: a
	// right may be given, and a probe is a write.
	noFor     = 10 * time.Minute
	unsureFor = time.Minute
)

// writable is what is known of writing backends. A yes stays until a write is refused.
type writable struct {
	yes   bool
	why   string    // not
	until time.Time // when it is asked again
}

// cantWrite says why a backend can't be written, as far as that is known.
func (c *Client) cantWrite() string {
	if !c.write {
		return notAsked
	}
	c.probing.Lock()
	defer c.probing.Unlock()
	if c.known.yes || time.Now().After(c.known.until) {
		return ""
	}
	return c.known.why
}

// forget makes the next reading ask again.
func (c *Client) forget() {
	c.probing.Lock()
	defer c.probing.Unlock()
	c.known = writable{}
}

// readOnly finds out whether backends can be written, and says why not.
func (c *Client) readOnly(ctx context.Context, r Reading) string {
	if !c.write {
		return notAsked
	}
	c.probing.Lock() // others wait for the answer: one probe is enough
	defer c.probing.Unlock()
	if c.known.yes {
		return ""
	}
	if time.Now().Before(c.known.until) {
		return c.known.why
	}
	id, why := candidate(r)
	if why != "" {
		return why
	}
	c.known = c.probe(ctx, id)
	return c.known.why
}

// candidate picks the backend that is probed: of a selected profile, one that
// shows "enabled", and the same one each time.
func candidate(r Reading) (id, why string) {
	var able []Backend
	for _, b := range r.Backends {
		inside := slices.ContainsFunc(r.Profiles, func(p Profile) bool { return slices.Contains(b.Profiles, p.ID) })
		if inside && b.Enabled != edge.Unknown {
			able = append(able, b)
		}
	}
	if len(able) == 0 {
		return "", "no backend of the selected traffic profiles shows whether it is enabled"
	}
	return slices.MinFunc(able, func(a, b Backend) int { return cmp.Compare(a.Name, b.Name) }).ID, ""
}

// probe writes to a backend what it has. That "enabled" can be written is a
// guess: no client does it, and only a write tells. The value is read right
// before; somebody who changes it in between is overwritten as by any write,
// which is why nobody is probed who isn't to be acted on.
func (c *Client) probe(ctx context.Context, id string) writable {
	unsure := func(err error) writable {
		return writable{why: "whether enabled can be written isn't known: " + oneLine(err.Error()), until: time.Now().Add(unsureFor)}
	}
	t := target{kind: KindBackend, id: id, field: "enabled", facts: factsOfBackend}
	before, err := c.look(ctx, t)
	if err != nil {
		return unsure(err)
	}
	t.wanted = before.fact(t.field)
	t.value = t.wanted == edge.Yes.String()
	if t.wanted == edge.Unknown.String() {
		return unsure(ErrAnswer)
	}
	if _, err = c.patch(ctx, t); refusedForGood(err) {
		why := "enabled of a backend can't be written: " + oneLine(err.Error())
		if errors.Is(err, ErrForbidden) {
			why += " (configuration.backends.update)" // the right's name. Source: facts A2.2
		}
		return writable{why: why, until: time.Now().Add(noFor)}
	} else if err != nil {
		return unsure(err)
	}
	after, err := c.look(ctx, t)
	if err == nil {
		err = kept(t, before, after)
	}
	if err != nil {
		return unsure(err)
	}
	return writable{yes: true}
}
