package ptafpro

import (
	"encoding/json"

	"github.com/sluice-project/sluice/edge"
)

// A Backend is one upstream server of the tenant. It may stand in several
// traffic profiles and is one object for all of them.
type Backend struct {
	ID       string
	Name     string // "address:port", or "address:port#2" for a twin
	Address  string
	Port     int
	Protocol string      // "HTTP", "HTTPS"; in the device's letters
	Enabled  edge.Answer // Unknown when the device doesn't say
	Profiles []string    // ids of the traffic profiles that it stands in, ordered

	linked []string // the device's own list of profiles
	raw    json.RawMessage
}

// A Profile is a traffic profile: what is listened on, and the backends behind it.
type Profile struct {
	ID, Name   string
	Balancer   string // INTERNAL_BALANCER, STATIC_BALANCER or EXTERNAL_BALANCER
	ListenPort int    // 0 when the device doesn't say
	Protocol   string
	Backends   []Entry

	raw json.RawMessage
}

// An Entry is a backend's place in a profile.
type Entry struct {
	ID       string
	Weight   *int // nil when the device doesn't say: it counts as 1
	MaxFails *int // nil when the device doesn't say
}

// An Application is what the device protects.
type Application struct {
	ID, Name       string
	ProtectionMode string   // see the constants
	Hosts          []string // names it answers to
	Profiles       []string // ids of the traffic profiles that it listens on

	raw json.RawMessage
}

// Modes of protection. Source: facts A2.2.
const (
	ActivePrevention = "ACTIVE_PREVENTION" // blocks
	ActiveDetection  = "ACTIVE_DETECTION"  // tells only
	Passive          = "PASSIVE"           // neither
)

// Raw is the object as the device gave it.
func (b Backend) Raw() []byte { return b.raw }

// Raw is the object as the device gave it.
func (p Profile) Raw() []byte { return p.raw }

// Raw is the object as the device gave it.
func (a Application) Raw() []byte { return a.raw }
