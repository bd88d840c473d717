package control

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// claimed answers GET /api/v1/claimed: the members that people have claimed.
func (o Options) claimed(r *http.Request) (any, error) {
	if err := permitSomewhere(r, access.View); err != nil {
		return nil, err
	}
	b, err := o.Journal.Barriers()
	if err != nil {
		return nil, unavailable(err)
	}
	all := slices.DeleteFunc(append([]journal.Claimed{}, b.Claimed...), func(c journal.Claimed) bool {
		return !access.From(r.Context()).May(access.View, c.Member.In())
	})
	return map[string]any{"claimed": all, "count": len(all)}, nil
}

// claim answers POST /api/v1/members/{device}/{pool}/{member}/claim, which takes
// {"reason": "..."} and, like a freeze, "until" or "for". The member is the person's
// from the moment of the answer on: automation takes no step on it, neither out nor
// back, and a hold of ours on it is theirs as it stands. It replaces a claim that is
// there.
func (o Options) claim(r *http.Request) (any, error) {
	var in struct {
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
		For    string    `json:"for"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	m := pathMember(r)
	if err := permit(r, access.Order, m.In()); err != nil {
		return nil, err
	}
	reason, err := oneLine(in.Reason)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := journal.Claimed{Member: m, Reason: reason, Actor: o.somebody(r), At: now}
	if c.Until, err = end(in.Until, in.For, now); err != nil {
		return nil, err
	}
	if err := o.Engine.Claim(r.Context(), c); err != nil {
		return nil, err
	}
	return c, nil
}

// unclaim answers POST /api/v1/members/{device}/{pool}/{member}/release, which may
// have an empty body or {"reason": "..."}: automation may have the member again, and
// begins anew. What the person left out stays out: it isn't ours to give back.
func (o Options) unclaim(r *http.Request) (any, error) {
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
	m := pathMember(r)
	if err := permit(r, access.Order, m.In()); err != nil {
		return nil, err
	}
	if err := o.Engine.Unclaim(r.Context(), m, o.somebody(r), reason); err != nil {
		return nil, err
	}
	return map[string]string{"device": m.Device, "pool": m.Pool, "member": m.Name, "status": "released"}, nil
}

// somebody is who sent a request, for what must be somebody's: a socket may have no
// name for the other side.
func (o Options) somebody(r *http.Request) string { return cmp.Or(o.Actor(r), "somebody") }

func pathMember(r *http.Request) edge.Member {
	return edge.Member{Device: r.PathValue("device"), Pool: r.PathValue("pool"), Name: r.PathValue("member")}
}
