package ptafpro

import (
	"context"
	"errors"
	"time"
)

// A Reading is one look at a tenant.
type Reading struct {
	At     time.Time // when the last answer was complete
	Tenant string    // id; as configured where a static token decides

	Backends     []Backend     // that stand in the selected profiles
	Profiles     []Profile     // those selected
	Applications []Application // that listen on selected profiles

	// Versions names what the next write to each profile, by its name, would be built on.
	Versions map[string]string
	// Refused has what can't be served, by name, and why.
	Refused map[string]string
	// ReadOnly says why no backend can be taken out or given back; empty when one can.
	ReadOnly string

	names map[string]string // of all profiles of the tenant, by id
}

// Kinds of object for [Client.Get].
const (
	KindBackend     = "backend"
	KindApplication = "application"
	KindProfile     = "profile"
)

// An Object is one object, byte for byte.
type Object struct {
	Kind, ID, Name string
	Raw            []byte
}

// Read looks at the tenant.
func (c *Client) Read(context.Context) (Reading, error) {
	return Reading{}, errors.ErrUnsupported
}

// Get reads one object by its name or id.
func (c *Client) Get(_ context.Context, _, _ string) (Object, error) {
	return Object{}, errors.ErrUnsupported
}
