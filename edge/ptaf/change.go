package ptaf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// Write says under which conditions a write may be made.
type Write struct {
	// Version is that of the upstream as it was decided on ([Upstream.Version]).
	// Empty: not compared.
	Version string
	// Save is given the object as it was read first, before the second look at
	// it; its error stops the write. It may be nil.
	Save func(object []byte) error
	// Last is asked between the second look and the PATCH; its error stops the
	// write. It should be quick: where it isn't, the object is looked at again. It
	// may be nil.
	Last func() error
}

// hurry is how long Last may take without another look at the object.
const hurry = 10 * time.Millisecond

// Change takes the backends that are true in down out of rotation and gives the
// false ones back, in one write. Other backends, and all that a backend has
// beside "down", keep their bytes.
//
// The API has no lock and no version, so a write is four calls: GET, GET again
// after Save, PATCH of the whole list, and GET to see what became of it. Where no
// reading has told the id, the list is asked before. Somebody
// else's edit before the second GET is [edge.ErrChanged] and nothing is sent.
// An edit between the second GET and the PATCH is lost when it is of the list of
// backends, and nobody can tell: afterwards all is as it was written. That is
// how long [edge.Receipt] says in Gap, about a millisecond on a near network. An
// edit of other fields in that time, and any edit before the last GET, is
// [edge.ErrNotKept]. A PATCH is sent once.
//
// It returns [ErrNoUpstream], [ErrAmbiguous], [ErrNoBackend], [ErrReadOnly] or
// [edge.ErrChanged] when nothing was sent. After any other error look at Written:
// while it is true the outcome is not known.
func (c *Client) Change(ctx context.Context, upstream string, down map[string]bool, o Write) (edge.Receipt, error) {
	r, err := c.write(ctx, upstream, o, func(list []byte) ([]byte, error) { return edit(list, down) })
	if err != nil {
		err = fmt.Errorf("change upstream %s: %w", quote(upstream), err)
	}
	return r, err
}

// Replace writes a whole list of backends, such as [Backends] finds in a stored
// object, in the same way as [Client.Change]. It refuses an empty list: that
// would take away all backends.
func (c *Client) Replace(ctx context.Context, upstream string, backends json.RawMessage, o Write) (edge.Receipt, error) {
	r, err := c.replace(ctx, upstream, slices.Clone(backends), o)
	if err != nil {
		err = fmt.Errorf("replace backends of upstream %s: %w", quote(upstream), err)
	}
	return r, err
}

func (c *Client) replace(ctx context.Context, upstream string, backends []byte, o Write) (edge.Receipt, error) {
	if !json.Valid(backends) {
		return edge.Receipt{}, fmt.Errorf("the list to write: %w", notJSON(backends))
	}
	entries, err := parseList(backends)
	if err != nil {
		return edge.Receipt{}, fmt.Errorf("the list to write: %w", err)
	}
	if len(entries) == 0 {
		return edge.Receipt{}, fmt.Errorf("the list to write is empty: %w", ErrNoBackend)
	}
	return c.write(ctx, upstream, o, func([]byte) ([]byte, error) { return backends, nil })
}

// A plan is an object as it should be after a write, and the list to send.
type plan struct {
	list []byte
	want Upstream
}

// planned applies next to an object.
func planned(o Object, next func(list []byte) ([]byte, error)) (p plan, err error) {
	list, err := Backends(o.Raw)
	if err != nil {
		return p, err
	}
	if p.list, err = next(list); err != nil {
		return p, err
	}
	raw, err := with(o.Raw, p.list)
	if err != nil {
		return p, err
	}
	p.want, err = ParseUpstream(raw)
	return p, err
}

// write is the whole cycle.
func (c *Client) write(ctx context.Context, upstream string, o Write, next func(list []byte) ([]byte, error)) (r edge.Receipt, err error) {
	select { // two writes of one client must not be in each other's gap
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return r, context.Cause(ctx)
	}
	n, err := c.active(ctx)
	if err != nil {
		return r, err
	}
	a, err := c.first(ctx, n, upstream)
	if err != nil {
		return r, err
	}
	r.Before = a.Raw
	p, err := planned(a, next)
	if err != nil {
		return r, err
	}
	if p.want.Version() == a.Upstream.Version() {
		r.After = a.Raw
		return r, nil
	}
	if o.Version != "" && o.Version != a.Upstream.Version() {
		return r, fmt.Errorf("%w: it is not as it was decided on", edge.ErrChanged)
	}
	if o.Save != nil {
		if err := o.Save(slices.Clone(a.Raw)); err != nil {
			return r, fmt.Errorf("nothing was sent: %w", err)
		}
	}
	b, err := c.again(ctx, n, a)
	if err != nil {
		return r, err
	}
	if o.Last != nil {
		asked := time.Now()
		if err := o.Last(); err != nil {
			return r, fmt.Errorf("nothing was sent: %w", err)
		}
		if time.Since(asked) > hurry {
			if b, err = c.again(ctx, n, a); err != nil {
				return r, err
			}
		}
	}
	if p, err = planned(b, next); err != nil { // from b: its order may be another
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, context.Cause(ctx)
	}
	if r.Gap, err = c.patch(ctx, n, a.ID, p.list, b.at); err != nil {
		r.Written = !refused(err)
		return r, err
	}
	r.Written = true
	after, err := c.object(ctx, n, a.ID)
	if err != nil {
		return r, fmt.Errorf("written, but not read back: %w", err)
	}
	r.After = after.Raw
	if after.Upstream.Version() != p.want.Version() {
		return r, fmt.Errorf("%w: %s", edge.ErrNotKept, differences(p.want, after.Upstream))
	}
	return r, nil
}

// again looks at an object once more, which must be as it was.
func (c *Client) again(ctx context.Context, n *node, a Object) (Object, error) {
	b, err := c.object(ctx, n, a.ID)
	if err == nil && b.Upstream.Version() != a.Upstream.Version() {
		err = fmt.Errorf("%w: %s", edge.ErrChanged, differences(a.Upstream, b.Upstream))
	}
	return b, err
}

// patch sends the list, once. The object with the list alone changes the list
// alone: source, the replaced script (a bare list was not taken). It takes effect
// by itself: no client calls anything after it. The answer is not used by any
// client; guess: it is the object, or empty.
func (c *Client) patch(ctx context.Context, n *node, id string, list []byte, seen time.Time) (gap time.Duration, err error) {
	// The first byte goes out when there is a connection: mostly the one that was
	// just read from, but a new one takes its time.
	var start atomic.Int64
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { start.Store(int64(time.Since(seen))) },
	})
	path := "/upstreams/" + id
	body := slices.Concat([]byte(`{"backends":`), list, []byte(`}`))
	gap = time.Since(seen)
	answer, err := c.call(traced, n, http.MethodPatch, path, body)
	gap = max(gap, time.Duration(start.Load()))
	// A page with status 200 comes from something in between, such as a log-in form.
	if err == nil && space(answer, 0) < len(answer) && !json.Valid(answer) {
		err = &callError{http.MethodPatch, path, notJSON(answer)}
	}
	return gap, err
}

// refused says whether a write that failed changed nothing, for certain: it was
// answered with no, or there was nobody to send it to.
func refused(err error) bool {
	var status *APIError
	if errors.As(err, &status) {
		return status.Status < http.StatusInternalServerError && status.Status != http.StatusRequestTimeout
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
