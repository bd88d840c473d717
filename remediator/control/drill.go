package control

import (
	"context"
	"net/http"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
)

// A Drill is a person's try of the way from an alert to a step on one member.
type Drill struct {
	Member edge.Member
	Policy string            // empty: the first one that selects the member
	Labels map[string]string // that the alert is to have besides, such as routes ask for
	Actor  string
}

// Drills announces drills, so that their alerts are no claims, and says what was
// seen of them. The answers go out as JSON.
type Drills interface {
	// Announce begins one. It makes no alert.
	Announce(d Drill) (any, error)
	// Drills are those on members that the caller may see.
	Drills(may func(edge.Member) bool) (any, error)
	// Drill says how far one has come. It reads the claims, and once the member's
	// device, for whoever waits for it.
	Drill(ctx context.Context, id string) (any, error)
	// DrillOn says on which member it is.
	DrillOn(id string) (edge.Member, error)
	// EndDrill ends one, and records what was seen of it.
	EndDrill(id, actor string) (any, error)
}

// noDrills answers where nobody makes drills.
type noDrills struct{}

var errNoDrills = problem(http.StatusServiceUnavailable, "no drills can be made here")

func (noDrills) Announce(Drill) (any, error)                { return nil, errNoDrills }
func (noDrills) Drills(func(edge.Member) bool) (any, error) { return nil, errNoDrills }
func (noDrills) Drill(context.Context, string) (any, error) { return nil, errNoDrills }
func (noDrills) DrillOn(string) (edge.Member, error)        { return edge.Member{}, errNoDrills }
func (noDrills) EndDrill(string, string) (any, error)       { return nil, errNoDrills }

// drills answers GET /api/v1/drills.
func (o Options) drills(r *http.Request) (any, error) {
	who := access.From(r.Context())
	if err := forbidden(who.CheckSomewhere(access.View)); err != nil {
		return nil, err
	}
	all, err := o.Drills.Drills(func(m edge.Member) bool { return who.May(access.View, m.In()) })
	if err != nil {
		return nil, err
	}
	return map[string]any{"drills": all}, nil
}

// announce answers POST /api/v1/drills, which takes
// {"device": "edge1", "pool": "shop", "member": "app1"}, and if need be "policy" and
// further "labels". The answer has the labels of the alert that is to be made.
func (o Options) announce(r *http.Request) (any, error) {
	var in struct {
		edge.Member
		Policy string            `json:"policy"`
		Labels map[string]string `json:"labels"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	for name, v := range map[string]string{"device": in.Device, "pool": in.Pool, "member": in.Name} {
		if v == "" {
			return nil, problem(http.StatusBadRequest, "%s is missing: a drill is on one member", name)
		}
	}
	if err := may(r, access.Order, in.Member.In()); err != nil {
		return nil, err
	}
	d, err := o.Drills.Announce(Drill{Member: in.Member, Policy: in.Policy, Labels: in.Labels, Actor: o.Actor(r)})
	return drillAnswer{d}, err
}

// drill answers GET /api/v1/drills/{id}.
func (o Options) drill(r *http.Request) (any, error) {
	if err := o.mayDrill(r, access.View); err != nil {
		return nil, err
	}
	d, err := o.Drills.Drill(r.Context(), r.PathValue("id"))
	return drillAnswer{d}, err
}

// endDrill answers DELETE /api/v1/drills/{id}. To end what has ended is no mistake.
func (o Options) endDrill(r *http.Request) (any, error) {
	if err := o.mayDrill(r, access.Order); err != nil {
		return nil, err
	}
	d, err := o.Drills.EndDrill(r.PathValue("id"), o.Actor(r))
	return drillAnswer{d}, err
}

// mayDrill asks for one thing on the member of a drill. Who may do it nowhere isn't
// told which drills there are.
func (o Options) mayDrill(r *http.Request, v access.Verb) error {
	if err := access.From(r.Context()).CheckSomewhere(v); err != nil {
		return err
	}
	m, err := o.Drills.DrillOn(r.PathValue("id"))
	if err != nil {
		return err
	}
	return may(r, v, m.In())
}

type drillAnswer struct {
	Drill any `json:"drill"`
}

// forbidden is the answer to what the caller's roles don't allow.
func forbidden(err error) error {
	if err == nil {
		return nil
	}
	return problem(http.StatusForbidden, "%v", err)
}
