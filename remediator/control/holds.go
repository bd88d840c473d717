package control

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

// Bounds on the list of steps.
const (
	defaultLimit = 100
	maxLimit     = 10_000
	pageBytes    = 4 << 20
)

// holds answers GET /api/v1/holds.
func (o Options) holds(*http.Request) (any, error) {
	hs, err := o.Journal.Holds()
	if err != nil {
		return nil, unavailable(err)
	}
	return struct {
		Holds []journal.Hold `json:"holds"`
		Count int            `json:"count"`
	}{notNil(hs), len(hs)}, nil
}

// release answers POST /api/v1/holds/{device}/{pool}/{member}/release. The body
// may be empty, or {"reason": "..."}. It works while frozen (SAFETY.md I19).
func (o Options) release(r *http.Request) (any, error) {
	m := edge.Member{Device: r.PathValue("device"), Pool: r.PathValue("pool"), Name: r.PathValue("member")}
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

// steps answers GET /api/v1/steps: the journal's entries, oldest first. Its
// parameters are limit (the newest so many; 100), since (RFC 3339, or a length of
// time before now), after (a seq), device, pool, member, hold, event and
// remediation. The objects around a write are left out unless images is 1.
//
// first, instead of limit, is for who wants all of them, page by page: the oldest
// so many, or fewer when they are large. The next page is after the last one's
// seq; a page without any is the end.
func (o Options) steps(r *http.Request) (any, error) {
	q, first, err := query(r.URL.RawQuery, time.Now())
	if err != nil {
		return nil, err
	}
	es, err := o.Journal.Entries(q)
	if err != nil {
		return nil, unavailable(err)
	}
	if r.URL.Query().Get("images") != "1" {
		for i := range es {
			es[i].Before, es[i].After = nil, nil
		}
	}
	if first > 0 {
		es = es[:page(es, first)]
	}
	return struct {
		Steps []journal.Entry `json:"steps"`
		Count int             `json:"count"`
	}{notNil(es), len(es)}, nil
}

// page is how many entries make one: at most first, and no more than make about
// pageBytes of JSON, but one at least.
func page(es []journal.Entry, first int) int {
	size := 0
	for i, e := range es {
		size += 500 + len(e.Detail) + len(e.Evidence) + len(e.Decision) + len(e.World) + (len(e.Before)+len(e.After))/3*4
		if i == first || i > 0 && size > pageBytes {
			return i
		}
	}
	return len(es)
}

// query reads the parameters; first is 0 when it isn't among them.
func query(raw string, now time.Time) (q journal.Query, first int, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, 0, problem(http.StatusBadRequest, "query can't be read")
	}
	if values.Has("limit") && values.Has("first") {
		return q, 0, problem(http.StatusBadRequest, "limit and first: give one of them")
	}
	q.Limit = defaultLimit
	for name, vs := range values {
		if len(vs) != 1 {
			return q, 0, problem(http.StatusBadRequest, "%s: give it once", cut(name))
		}
		v, bad := vs[0], ""
		switch name {
		case "limit":
			q.Limit, err = strconv.Atoi(v)
			if err != nil || q.Limit < 1 || q.Limit > maxLimit {
				bad = "a number from 1 to " + strconv.Itoa(maxLimit)
			}
		case "first":
			first, err = strconv.Atoi(v)
			if err != nil || first < 1 || first > maxLimit {
				bad = "a number from 1 to " + strconv.Itoa(maxLimit)
			}
			q.Limit = 0
		case "since":
			if q.Since, err = time.Parse(time.RFC3339, v); err != nil {
				d, err := model.ParseDuration(v)
				if err != nil {
					bad = "2026-01-02T15:04:05Z, or 30m, 2h, 1d before now"
				}
				q.Since = now.Add(-time.Duration(d))
			}
		case "after":
			if q.After, err = strconv.ParseUint(v, 10, 64); err != nil {
				bad = "the seq of a step"
			}
		case "device":
			q.Member.Device = v
		case "pool":
			q.Member.Pool = v
		case "member":
			q.Member.Name = v
		case "hold":
			q.Hold = v
		case "event":
			q.Event = v
		case "remediation":
			q.Remediation = v
		case "images":
			if v != "1" && v != "0" {
				bad = "1 or 0"
			}
		default:
			known := []string{"after", "device", "event", "first", "hold", "images", "limit", "member", "pool", "remediation", "since"}
			return q, 0, problem(http.StatusBadRequest, "%q: no such parameter: want one of %s", cut(name), strings.Join(known, ", "))
		}
		if bad != "" {
			return q, 0, problem(http.StatusBadRequest, "%s: %q: want %s", name, cut(v), bad)
		}
	}
	return q, first, nil
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
	return o.Engine.Explain(r.Context(), in.Labels)
}

// restore answers POST /api/v1/pools/{device}/{pool}/restore, which takes
// {"object": "the stored object, as text", "reason": "why"}.
func (o Options) restore(r *http.Request) (any, error) {
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
	return o.Engine.Restore(r.Context(), edge.Pool{Device: r.PathValue("device"), Name: r.PathValue("pool")}, []byte(in.Object), o.Actor(r), in.Reason)
}

// notNil makes an empty list [] in JSON and not null.
func notNil[T any](s []T) []T { return append([]T{}, s...) }
