package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// errReopened refuses a reload that would let anybody in from elsewhere.
var errReopened = errors.New("the section access is gone, and this server listens beyond this machine: start it anew without the section if that is meant")

// newGate makes what authenticates all requests to the remediator.
func newGate(c *access.Config, w routes, reg prometheus.Registerer) (*access.Gate, error) {
	return access.New(access.Options{
		Config: c, Prefix: w.route, Public: []string{"/-/healthy", "/-/ready", haproxyapi.Ping},
		Web: stillAuthenticates(w.webConfig, w.web), Deny: haproxyapi.Deny, Known: known, Registerer: reg,
	})
}

// beyond says whether others than this machine can reach one of the listeners.
func beyond(listeners []net.Listener) net.Listener {
	for _, ln := range listeners {
		if !local(ln) {
			return ln
		}
	}
	return nil
}

// A caller is whom the gate found a request to be from. The request log puts it
// into the context of each request, empty, as it stands in front of the gate.
type caller struct {
	name    string
	unasked bool // the path is for everybody: what they call themselves wasn't looked at
}

type callerKey struct{}

func withCaller(r *http.Request) (*http.Request, *caller) {
	c := new(caller)
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, c)), c
}

// known tells the request log.
func known(r *http.Request, i access.Identity) {
	c, ok := r.Context().Value(callerKey{}).(*caller)
	switch {
	case !ok:
	case i.Via == access.ViaNothing:
		c.unasked = true
	case i.Via != access.ViaOpen:
		c.name = i.Name
	}
}
