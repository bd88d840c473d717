package control

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// holds answers GET /api/v1/holds: what sluice holds now. Its filters are device,
// pool, member and policy, each by the whole word, and since and until (RFC 3339, or
// a length of time before now), which are of the hold's intent. It is ordered by
// member, or with order, newest or oldest, by when it was made. limit is the length
// of a page (10000), next what cursor is to be for the one that follows.
//
//	{"holds": [{"id": "h3", "rev": 4, "member": {"device": "edge1", "pool": "shop", "member": "s1"},
//	  "policy": "drain", "to": "drain", "phase": "holding", "preimage": {... as in members},
//	  "left": {...}, "process": "", "intent": "2026-01-02T15:04:05Z", "since": "2026-01-02T15:04:05Z",
//	  "lease_until": "2026-01-02T16:04:05Z", "max_until": "2026-01-03T15:04:05Z",
//	  "reason": "the probe says: connection refused"}], "count": 1, "next": ""}
//
// See [journal.Hold] for all that a hold may have.
func (o Options) holds(r *http.Request) (any, error) {
	sees, err := viewer(r)
	if err != nil {
		return nil, err
	}
	l, err := list(r, time.Now(), maxLimit, "device", "pool", "member", "policy", "since", "until", "order")
	if err != nil {
		return nil, err
	}
	wanted, err := l.holds(sees)
	if err != nil {
		return nil, err
	}
	hs, err := o.Journal.Holds()
	if err != nil {
		return nil, unavailable(err)
	}
	hs = slices.DeleteFunc(hs, func(h journal.Hold) bool { return !wanted(h) })
	key, less := func(h journal.Hold) string { return memberKey(h.Member) }, ascending
	switch l.order {
	case "oldest":
		key = numberKey
	case "newest":
		key, less = numberKey, func(a, b string) bool { return b < a }
	}
	if l.order != "" {
		slices.SortFunc(hs, func(a, b journal.Hold) int {
			if less(key(a), key(b)) {
				return -1
			}
			return 1 // no two have one number
		})
	}
	page, next := paged(l, hs, key, less)
	return struct {
		Holds []journal.Hold `json:"holds"`
		Count int            `json:"count"`
		Next  string         `json:"next"`
	}{notNil(page), len(page), next}, nil
}

// holds reads the filters of holds. One that moved members of other pools along is
// of those, too.
func (l *listing) holds(sees func(edge.Pool) bool) (func(journal.Hold) bool, error) {
	since, until, err := l.span()
	if err != nil {
		return nil, err
	}
	get := l.values.Get
	matches := func(want, have string) bool { return want == "" || want == have }
	is := func(m edge.Member) bool {
		return matches(get("device"), m.Device) && matches(get("pool"), m.Pool) && matches(get("member"), m.Name) && sees(m.In())
	}
	return func(h journal.Hold) bool {
		return (is(h.Member) || slices.ContainsFunc(h.Along, is)) && matches(get("policy"), h.Policy) &&
			!h.Intent.Before(since) && (until.IsZero() || h.Intent.Before(until))
	}, nil
}

// numberKey orders holds by when they were made: "h17" comes before "h101".
func numberKey(h journal.Hold) string { return fmt.Sprintf("%20s", strings.TrimPrefix(h.ID, "h")) }

// release answers POST /api/v1/holds/{device}/{pool}/{member}/release. The body
// may be empty, or {"reason": "..."}. It works while frozen (SAFETY.md I19).
func (o Options) release(r *http.Request) (any, error) {
	m := edge.Member{Device: r.PathValue("device"), Pool: r.PathValue("pool"), Name: r.PathValue("member")}
	if err := may(r, access.Order, m.In()); err != nil {
		return nil, err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if r.ContentLength != 0 {
		if err := read(r, &in); err != nil {
			return nil, err
		}
	}
	reason := "by hand"
	if in.Reason != "" {
		var err error
		if reason, err = oneLine(in.Reason); err != nil {
			return nil, err
		}
	}
	err := o.Engine.Release(r.Context(), m, o.Actor(r), reason)
	switch {
	case errors.Is(err, journal.ErrNoHold):
		return nil, problem(http.StatusNotFound, "no hold on %q", cut(m.String()))
	case err != nil:
		return nil, err
	}
	o.Engine.Wake()
	return struct {
		edge.Member
		Status string `json:"status"`
	}{m, "requested"}, nil
}

// explain answers POST /api/v1/explain, which takes {"labels": {"name": "value"}}.
func (o Options) explain(r *http.Request) (any, error) {
	var in struct {
		Labels map[string]string `json:"labels"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if len(in.Labels) == 0 {
		return nil, problem(http.StatusBadRequest, `labels: want those of an alert, such as {"remediation": "drain", "device": "edge1", "pool": "shop", "member": "s1"}`)
	}
	// What it tells is of the pool that the labels name; without one, of any.
	if err := may(r, access.View, edge.Pool{Device: in.Labels[edge.LabelDevice], Name: in.Labels[edge.LabelPool]}); err != nil {
		return nil, err
	}
	// The configuration's claims may read other labels, an address, say, and find
	// members of any pool by them.
	for name := range in.Labels {
		if !slices.Contains([]string{edge.LabelRemediation, edge.LabelDevice, edge.LabelPool, edge.LabelMember}, name) {
			if err := may(r, access.View, edge.Pool{}); err != nil {
				return nil, err
			}
		}
	}
	return o.Engine.Explain(r.Context(), in.Labels)
}

// restore answers POST /api/v1/pools/{device}/{pool}/restore, which takes
// {"object": "the stored object, as text", "reason": "why"}.
func (o Options) restore(r *http.Request) (any, error) {
	p := edge.Pool{Device: r.PathValue("device"), Name: r.PathValue("pool")}
	if err := may(r, access.Restore, p); err != nil {
		return nil, err
	}
	var in struct {
		Object string `json:"object"`
		Reason string `json:"reason"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.Object == "" || in.Reason == "" {
		return nil, problem(http.StatusBadRequest, `want {"object": "the stored object, as text", "reason": "why"}`)
	}
	return o.Engine.Restore(r.Context(), p, []byte(in.Object), o.Actor(r), in.Reason)
}

// notNil makes an empty list [] in JSON and not null.
func notNil[T any](s []T) []T { return append([]T{}, s...) }
