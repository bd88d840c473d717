package ptafpro_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptafpro"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

const (
	password = "not-a-real-password"
	shopID   = "0f5b2a4e-0000-4000-8000-00000000e001"

	one   = "192.0.2.21:8443" // stands in both profiles
	two   = "192.0.2.22:8443"
	three = "192.0.2.23:8443" // is out
)

func ptr(n int) *int { return &n }

// world has two profiles that share a backend, and two applications.
func world() ptafprotest.Options {
	return ptafprotest.Options{
		Backends: []ptafprotest.Backend{
			{Address: "192.0.2.21", Port: 8443, Protocol: "HTTPS"},
			{Address: "192.0.2.22", Port: 8443, Protocol: "HTTPS"},
			{Address: "192.0.2.23", Port: 8443, Protocol: "HTTPS", Disabled: true},
			{Address: "2001:db8::9", Port: 80},
		},
		Profiles: []ptafprotest.Profile{
			{Name: "public-443", Backends: []ptafprotest.Entry{{Backend: one, Weight: ptr(3), MaxFails: ptr(1)}, {Backend: two}, {Backend: three}}},
			{Name: "partners", ListenPort: 8443, Balancer: "EXTERNAL_BALANCER", Backends: []ptafprotest.Entry{{Backend: one}}},
			{Name: "empty", Balancer: "INTERNAL_BALANCER"},
		},
		Applications: []ptafprotest.Application{
			{Name: "shop", Hosts: []string{"shop.example.com"}, Profiles: []string{"public-443", "partners"}},
			{Name: "blog", Hosts: []string{"blog.example.com"}, Profiles: []string{"public-443"}, ProtectionMode: "ACTIVE_DETECTION"},
		},
	}
}

// wire calls a simulator without a network, for tests that own time.
type wire struct{ sim *ptafprotest.Sim }

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	w.sim.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// always gives the same secret, as a configuration without files does.
func always(secret string) func() (string, error) {
	return func() (string, error) { return secret, nil }
}

// dial makes a client without a network; change may be nil.
func dial(t *testing.T, sim *ptafprotest.Sim, change func(*ptafpro.Options)) *ptafpro.Client {
	t.Helper()
	o := ptafpro.Options{
		URL: "http://192.0.2.20" + ptafprotest.Base, Username: "sluice", Password: always(password),
		HTTP: &http.Client{Transport: wire{sim}}, Write: true,
	}
	if change != nil {
		change(&o)
	}
	c, err := ptafpro.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, c *ptafpro.Client) ptafpro.Reading {
	t.Helper()
	r, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func member(pool, name string) edge.Member { return edge.Member{Device: "waf", Pool: pool, Name: name} }

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if err != nil && (strings.ContainsAny(err.Error(), "\n\r\t") || len(err.Error()) > 600) {
		t.Errorf("not one short line: %q", err)
	}
}

// wantSecret looks for secrets where they must not be.
func wantSecret(t *testing.T, sim *ptafprotest.Sim, text string) {
	t.Helper()
	for _, s := range append(sim.Tokens(), password, "not-a-real-token") {
		if strings.Contains(text, s) {
			t.Errorf("%q in %q", s, text)
		}
	}
}

func backendID(t *testing.T, r ptafpro.Reading, pool, name string) string {
	t.Helper()
	id, ok := r.Backend(member(pool, name))
	if !ok {
		t.Fatalf("no backend behind %s/%s", pool, name)
	}
	return id
}
