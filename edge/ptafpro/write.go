package ptafpro

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
)

// A Write says under which conditions a write is made.
type Write struct {
	Version string                    // of the pool, from [Reading.Versions]; empty: not compared
	Save    func(object []byte) error // called with the object as read, before the last look at it; an error stops the write; may be nil
	Last    func() error              // asked between the last look and the write; an error stops it; may be nil
}

// SetEnabled takes a backend out (false) or gives it back, in all profiles that
// it stands in. It returns [ErrReadOnly], [edge.ErrChanged] or what Save returned
// when nothing was sent, and [edge.ErrNotKept] when the device shows something
// else afterwards. After any other error with Written the outcome is unknown.
func (c *Client) SetEnabled(ctx context.Context, backendID string, enabled bool, w Write) (edge.Receipt, error) {
	wanted := edge.No
	if enabled {
		wanted = edge.Yes
	}
	t := target{kind: KindBackend, id: backendID, field: "enabled", value: enabled, wanted: wanted.String(), facts: factsOfBackend}
	if why := c.cantWrite(); why != "" {
		return edge.Receipt{}, fmt.Errorf("%s: %w: %s", t, ErrReadOnly, why)
	}
	r, err := c.set(ctx, t, w)
	if r.Written && refusedForGood(err) {
		c.forget()
	}
	return r, err
}

// SetProtectionMode sets how an application is protected; errors are those of
// [Client.SetEnabled]. Source: an application's PATCH takes single fields; A2.2.
func (c *Client) SetProtectionMode(ctx context.Context, applicationID, mode string, w Write) (edge.Receipt, error) {
	t := target{kind: KindApplication, id: applicationID, field: "protection_mode", value: mode, wanted: mode, facts: factsOfApplication}
	switch {
	case !c.write:
		return edge.Receipt{}, fmt.Errorf("%s: %w: %s", t, ErrReadOnly, notAsked)
	case !modes.MatchString(mode):
		return edge.Receipt{}, fmt.Errorf("protection mode %.64q: want %s, %s or %s", mode, ActivePrevention, ActiveDetection, Passive)
	}
	return c.set(ctx, t, w)
}

// modes are all that could be one: what was read before must be writable again,
// also where a later version has more than three.
var modes = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

// A target is one field of one object, and what it is to get.
type target struct {
	kind, id, field string
	value           any    // as JSON
	wanted          string // as a fact
	facts           func(raw []byte) ([]fact, error)
}

func (t target) String() string {
	return fmt.Sprintf("set %s of %s %s to %v", t.field, t.kind, oneLine(t.id), t.value)
}

func factsOfBackend(raw []byte) ([]fact, error) {
	b, err := parseBackend(raw)
	return backendFacts(b), err
}

func factsOfApplication(raw []byte) ([]fact, error) {
	a, err := ParseApplication(raw)
	return applicationFacts(a), err
}

// A look is an object as it was read.
type look struct {
	raw   []byte
	facts []fact
	at    time.Time // when the answer was complete
}

func (l look) fact(name string) string {
	i := slices.IndexFunc(l.facts, func(f fact) bool { return f.name == name })
	if i < 0 {
		return ""
	}
	return l.facts[i].value
}

// differs names the facts that two looks don't share.
func (l look) differs(o look) (names []string) {
	for _, f := range l.facts {
		if o.fact(f.name) != f.value {
			names = append(names, f.name)
		}
	}
	return names
}

func (c *Client) look(ctx context.Context, t target) (look, error) {
	raw, err := c.byID(ctx, t.kind, t.id)
	l := look{raw: bytes.Clone(raw), at: time.Now()}
	if err != nil {
		return l, err
	}
	if l.facts, err = t.facts(raw); err != nil {
		return l, err
	}
	if l.fact("id") != t.id {
		return l, fmt.Errorf("the answer is another object: %w", ErrAnswer)
	}
	return l, nil
}

// set is the whole cycle of one write. There is no lock and no ETag in the API:
// what lies between the last look and the write is as little as can be, and is
// measured.
func (c *Client) set(ctx context.Context, t target, w Write) (r edge.Receipt, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", t, err)
		}
	}()
	first, err := c.look(ctx, t)
	if err != nil {
		return r, err
	}
	r.Before = first.raw
	switch first.fact(t.field) {
	case t.wanted:
		r.After = first.raw
		return r, nil
	case "", edge.Unknown.String(): // it has no such field: a write would be a shot in the dark
		return r, fmt.Errorf("the device doesn't show %s: %w", t.field, ErrReadOnly)
	}
	if w.Save != nil {
		if err := w.Save(first.raw); err != nil {
			return r, err
		}
	}
	if w.Version != "" {
		if err := c.unchanged(ctx, w.Version); err != nil {
			return r, err
		}
	}
	second, err := c.look(ctx, t)
	if err != nil {
		return r, err
	}
	if d := first.differs(second); len(d) > 0 {
		return r, fmt.Errorf("%s: %w", strings.Join(d, ", "), edge.ErrChanged)
	}
	if w.Last != nil {
		if err := w.Last(); err != nil {
			return r, err
		}
	}
	r.Gap = time.Since(second.at)
	if r.Written, err = c.patch(ctx, t); err != nil {
		return r, err
	}
	after, err := c.look(ctx, t)
	if err != nil {
		return r, fmt.Errorf("read back: %w", err)
	}
	r.After = after.raw
	return r, kept(t, second, after)
}

// patch sends the one field, once; only a call that was refused for its token,
// and so did nothing, is sent again. The body of the answer isn't looked at: it
// may be empty, and the device is read back anyway.
func (c *Client) patch(ctx context.Context, t target) (sent bool, err error) {
	where, err := path(t.kind, t.id)
	if err != nil {
		return false, err
	}
	_, sent, err = c.call(ctx, http.MethodPatch, where, map[string]any{t.field: t.value})
	return sent, err
}

// kept compares what was read after a write with what should be there.
func kept(t target, before, after look) error {
	if after.fact(t.field) != t.wanted {
		return fmt.Errorf("%s is %s: %w", t.field, oneLine(after.fact(t.field)), edge.ErrNotKept)
	}
	others := slices.DeleteFunc(before.differs(after), func(name string) bool { return name == t.field })
	if len(others) > 0 {
		return fmt.Errorf("it is as wanted, and %s changed with it: %w", strings.Join(others, ", "), edge.ErrNotKept)
	}
	return nil
}

// refusedForGood says that a write was refused, and will be the next time.
func refusedForGood(err error) bool {
	e := (*APIError)(nil)
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusNotImplemented:
		return true
	}
	return e.Status >= 400 && e.Status < 500
}
