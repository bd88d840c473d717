package control

import (
	"net/http"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
)

// An Order is a person's step on one member.
type Order struct {
	Member   edge.Member
	To       edge.Admin
	Weight   int      // above 0: the weight that it is to get, and To doesn't count
	Percent  int      // above 0, instead of Weight: of the weight of the device's own configuration
	Override []string // names of guards whose no they take upon themselves
	Reason   string
	Actor    string
}

// mostOverrides bounds a list: there are fewer guards.
const mostOverrides = 20

// orderBody is what the four actions take; the body may be empty but for a weight.
type orderBody struct {
	Reason   string   `json:"reason"`
	Override []string `json:"override"`
	Weight   *int     `json:"weight"`
	Percent  *int     `json:"percent"`
}

// order answers POST /api/v1/members/{device}/{pool}/{member}/drain, maint and
// ready. The body may be empty, or
// {"reason": "...", "override": ["min_serving"]}; an override wants a reason.
// 409 says that a guard refused; its name is the error's first word.
func (o Options) order(to edge.Admin) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		in, out, err := o.read(r)
		if err != nil {
			return nil, err
		}
		if in.Weight != nil || in.Percent != nil {
			return nil, problem(http.StatusBadRequest, "weight and percent are for .../weight: leave them out")
		}
		out.To = to
		return o.Engine.Order(r.Context(), out)
	}
}

// weigh answers POST /api/v1/members/{device}/{pool}/{member}/weight, which takes
// {"weight": 50}, the weight itself, from 1 on, or {"percent": 25}, of the weight of
// the device's own configuration whatever is set now, beside what the others take.
// 400 is also for a device that has no weights to set, or tells of no configured one.
func (o Options) weigh(r *http.Request) (any, error) {
	in, out, err := o.read(r)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Weight != nil && in.Percent != nil:
		return nil, problem(http.StatusBadRequest, "weight and percent: give one of them")
	case in.Weight != nil && *in.Weight > 0:
		out.Weight = *in.Weight
	case in.Percent != nil && *in.Percent > 0:
		out.Percent = *in.Percent
	default:
		return nil, problem(http.StatusBadRequest, `want {"weight": 50} or {"percent": 25}: a number from 1 on; to take a member out, drain it`)
	}
	return o.Engine.Order(r.Context(), out)
}

func (o Options) read(r *http.Request) (in orderBody, out Order, err error) {
	out = Order{
		Member: edge.Member{Device: r.PathValue("device"), Pool: r.PathValue("pool"), Name: r.PathValue("member")},
		Reason: "by hand", Actor: o.Actor(r),
	}
	if err := may(r, access.Order, out.Member.In()); err != nil {
		return in, out, err
	}
	if r.ContentLength != 0 {
		if err := read(r, &in); err != nil {
			return in, out, err
		}
	}
	if in.Reason != "" || len(in.Override) > 0 {
		if out.Reason, err = oneLine(in.Reason); err != nil {
			return in, out, err
		}
	}
	if len(in.Override) > mostOverrides {
		return in, out, problem(http.StatusBadRequest, "override: there are not so many guards")
	}
	out.Override = in.Override
	return in, out, nil
}
