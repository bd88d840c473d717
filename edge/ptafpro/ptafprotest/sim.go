// Package ptafprotest stands in for a PTAF PRO in tests: its API v4 in memory,
// with log-in, tenants and rotating tokens, which can misbehave. It is a reading
// of its own of what is known about the device and shares no code with the
// client, so that one mistake is not made twice. What nobody has seen is marked
// as a guess.
package ptafprotest

import (
	"net/http"
	"testing"
	"time"
)

// Base is the path below which the API lives. Source: all known clients.
const Base = "/api/ptaf/v4"

// A Tenant is a part of the device with its own objects.
type Tenant struct {
	ID, Name string
	Default  bool
}

// A Backend is one upstream server. An empty ID is made up; Port 0 is 80,
// Protocol "HTTP". Extra has fields that the API may hold beside those that are
// known; it also overrides them.
type Backend struct {
	ID, Address string
	Port        int
	Protocol    string
	Disabled    bool
	Tenant      string // id or name; empty: the default one
	Extra       map[string]any
}

// An Entry is a backend's place in a profile. Weight and MaxFails are left out when nil.
type Entry struct {
	Backend          string // id or "address:port"
	Weight, MaxFails *int
}

// A Profile is a traffic profile. An empty ID is made up; Balancer is
// "STATIC_BALANCER", ListenPort 443 and Protocol "HTTPS" when left out.
type Profile struct {
	ID, Name   string
	Balancer   string
	ListenPort int
	Protocol   string
	Backends   []Entry
	Tenant     string
	Extra      map[string]any
}

// An Application is what is protected; it begins in ACTIVE_PREVENTION.
type Application struct {
	ID, Name       string
	ProtectionMode string
	Hosts          []string
	Profiles       []string // ids or names
	Tenant         string
	Extra          map[string]any
}

// Options say what the device is like.
type Options struct {
	Username, Password string   // sluice and not-a-real-password when both are empty
	Token              string   // a static API token that is accepted too; empty: none
	TokenTenant        string   // whose it is; empty: the default one
	Tenants            []Tenant // none: one, "default", with the all-zero UUID
	Backends           []Backend
	Profiles           []Profile
	Applications       []Application

	ReadOnlyEnabled bool          // a write of enabled is refused with 422
	NoEnabled       bool          // backends don't show enabled
	Lifetime        time.Duration // of access tokens; zero: five minutes
	Instance        string        // the cookie af_instance must have this value; empty: it isn't asked for
}

// A Write is a PATCH that came, whatever became of it.
type Write struct {
	Kind   string // "backend" or "application"
	ID     string // in its path
	Body   []byte
	Status int // 0: it was never answered
	At     time.Time
}

// Sim is a PTAF PRO in memory: an [http.Handler] below [Base].
type Sim struct{}

// New makes one.
func New(Options) *Sim { return &Sim{} }

// ServeHTTP answers one call.
func (s *Sim) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Start serves the API on a free port until the test's end, and returns its base URL.
func (s *Sim) Start(testing.TB) string { return "" }

// StartTLS does the same with a certificate that signed itself.
func (s *Sim) StartTLS(testing.TB) (url string, certPEM []byte) { return "", nil }

// Object returns a "backend" (by id or address:port), "application" or
// "profile" (by id or name) as GET gives it now without faults; nil if there is none.
func (s *Sim) Object(string, string) []byte { return nil }

// Edit does what an administrator does in the UI: it switches a backend, by id or address:port.
func (s *Sim) Edit(string, bool) {}

// SetMode does what an administrator does in the UI with an application, by id or name.
func (s *Sim) SetMode(string, string) {}

// Writes returns every PATCH that came, in order.
func (s *Sim) Writes() []Write { return nil }

// Calls returns how many requests came, of any kind.
func (s *Sim) Calls() int { return 0 }

// Logins returns how many log-ins were tried.
func (s *Sim) Logins() int { return 0 }

// Renewals returns how many times a refresh token was spent or reused.
func (s *Sim) Renewals() int { return 0 }

// Sessions returns how many log-ins haven't been logged out.
func (s *Sim) Sessions() int { return 0 }

// Expire makes all access tokens expire now, whatever they say of themselves.
func (s *Sim) Expire() {}

// Revoke ends all sessions, as a restart of the device may.
func (s *Sim) Revoke() {}
