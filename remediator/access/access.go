// Package access decides who a request is from and what they may do: users with
// passwords, tokens, what the web server checked already, and the roles of each.
// It authenticates once, in front of everything; handlers then ask the identity
// whether it may do what they are about to do, on the pool that it is about.
package access

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/edge"
)

// A Verb is one kind of thing that a person or a program does here.
type Verb string

// All that there is to be allowed.
const (
	View    Verb = "view"    // look at anything: devices, members, holds, steps, metrics
	Order   Verb = "order"   // a member's state and weight, claim and hand back, release of a hold
	Approve Verb = "approve" // answer for a step that waits for a person's word
	Freeze  Verb = "freeze"  // freeze and thaw, maintenance windows
	Restore Verb = "restore" // put a stored object of a pool back
	Reload  Verb = "reload"  // read the configuration again
	Webhook Verb = "webhook" // send alerts
)

// verbs are in the order in which people are told of them.
var verbs = []Verb{View, Order, Approve, Freeze, Restore, Reload, Webhook}

// The roles that everybody has from the start.
const (
	Viewer   = "viewer"
	Operator = "operator"
	Admin    = "admin"
	Hook     = "webhook"
)

// builtin are these roles' verbs.
var builtin = map[string][]Verb{
	Viewer:   {View},
	Operator: {View, Order, Approve, Freeze},
	Admin:    verbs,
	Hook:     {Webhook},
}

// leastRole is the weakest one of them that has the verb.
func leastRole(v Verb) string {
	switch v {
	case View:
		return Viewer
	case Order, Approve, Freeze:
		return Operator
	case Webhook:
		return Hook
	}
	return Admin
}

// How somebody authenticated.
const (
	ViaToken       = "token"
	ViaPassword    = "password"
	ViaSession     = "session"
	ViaCertificate = "certificate"
	ViaWeb         = "web"     // by exporter-toolkit's basic authentication
	ViaOpen        = "open"    // nobody has to authenticate
	ViaNothing     = "nothing" // a path that asks nobody, such as /-/healthy
)

// An Identity is whom a request is from. The zero value may nothing.
type Identity struct {
	Name  string // the actor in the journal; empty where nobody named themselves
	Via   string
	Roles []string // by name

	grants  []grant
	refused func(Verb) // counts; may be nil
	still   func() bool
}

// Still says whether the same request would be let in now, with the same roles. It is
// for answers that last: a token that was taken away should not be good for hours.
func (i Identity) Still() bool { return i.still == nil || i.still() }

// A grant is what one role allows.
type grant struct {
	verbs   []Verb
	devices []*regexp.Regexp // anchored; none: all
	pools   []*regexp.Regexp
}

// on says whether the grant is for p. What is about all pools, or about all
// devices, is only for a grant without limits there.
func (g grant) on(p edge.Pool) bool {
	return within(g.devices, p.Device) && within(g.pools, p.Name)
}

func within(limits []*regexp.Regexp, name string) bool {
	if len(limits) == 0 || name == "" {
		return len(limits) == 0
	}
	return slices.ContainsFunc(limits, func(r *regexp.Regexp) bool { return r.MatchString(name) })
}

// May says whether this identity may do v to a pool and its members. An empty
// name in p means all of them: the zero pool is the whole of what Sluice looks at.
func (i Identity) May(v Verb, p edge.Pool) bool {
	return slices.ContainsFunc(i.grants, func(g grant) bool { return slices.Contains(g.verbs, v) && g.on(p) })
}

// MaySomewhere says whether there can be a pool on which it may do v, for lists
// and pages.
func (i Identity) MaySomewhere(v Verb) bool {
	return slices.ContainsFunc(i.grants, func(g grant) bool { return slices.Contains(g.verbs, v) })
}

// MayOnDevice says whether it may do v to something of the device, for lists of devices.
func (i Identity) MayOnDevice(v Verb, device string) bool {
	return slices.ContainsFunc(i.grants, func(g grant) bool { return slices.Contains(g.verbs, v) && within(g.devices, device) })
}

// Check is nil when it may, and else a [*ForbiddenError], which is counted as a
// refusal: ask it only before doing something, not for a list.
func (i Identity) Check(v Verb, p edge.Pool) error { return i.check(v, p, i.May(v, p)) }

// CheckSomewhere is [Identity.Check] for what is cut to what the caller may see.
func (i Identity) CheckSomewhere(v Verb) error { return i.check(v, edge.Pool{}, i.MaySomewhere(v)) }

func (i Identity) check(v Verb, p edge.Pool, may bool) error {
	if may {
		return nil
	}
	if i.refused != nil {
		i.refused(v)
	}
	return &ForbiddenError{Name: i.Name, Verb: v, Pool: p, Limited: i.MaySomewhere(v)}
}

// A ForbiddenError says that somebody whom we know may not do something.
type ForbiddenError struct {
	Name    string
	Verb    Verb
	Pool    edge.Pool // empty names: all of them
	Limited bool      // they may, elsewhere
}

func (e *ForbiddenError) Error() string {
	on := ""
	switch {
	case e.Pool.Device != "" && e.Pool.Name != "":
		on = " on " + e.Pool.String()
	case e.Pool.Device != "":
		on = " on all of " + e.Pool.Device
	case e.Limited:
		on = " on everything"
	}
	who := e.Name
	if who == "" {
		who = "whoever doesn't authenticate"
	}
	missing := "the role " + leastRole(e.Verb) + " is missing"
	if e.Limited {
		missing = "the roles that have it are limited to other devices or pools"
	}
	return fmt.Sprintf("%s may not %s%s: %s", who, strings.ReplaceAll(string(e.Verb), "webhook", "send alerts"), on, missing)
}

type key struct{}

// With returns a context that carries the identity.
func With(ctx context.Context, i Identity) context.Context {
	return context.WithValue(ctx, key{}, i)
}

// From returns whom a request is from. Where no [Gate] stands in front, nobody
// has to authenticate: that is the open identity, without a name.
func From(ctx context.Context) Identity {
	if i, ok := ctx.Value(key{}).(Identity); ok {
		return i
	}
	return Open("")
}

// Open is the identity of whom nobody asked: it may do everything.
func Open(name string) Identity {
	return Identity{Name: name, Via: ViaOpen, Roles: []string{Admin}, grants: []grant{{verbs: verbs}}}
}
