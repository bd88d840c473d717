// Package device starts one of each kind of device that Sluice knows, real or
// simulated, all with the same pool of three members, for a test that makes the
// same assertions of each of them. What passes it on the fake and on the real
// thing alike may be trusted in tests of what builds on it.
package device

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

// Names that are the same on all of them.
const (
	Name = "dev1"
	Pool = "shop"
)

// hosts of the three members: addresses for documentation.
var hosts = []string{"192.0.2.11", "192.0.2.12", "192.0.2.13"}

const port = 8080

// A Device is one of them, running until the test's end.
type Device struct {
	*fleet.Device
	Members []edge.Member // three, in the order of their names

	// Person does what a person would, beside Sluice: takes a member out (Maint)
	// or makes it ready.
	Person func(m edge.Member, to edge.Admin)
	// Writes counts what was written by anybody but the person; nil where the
	// device keeps no such count.
	Writes func() int
}

// Kinds are all of them, by name.
var Kinds = map[string]func(testing.TB) *Device{
	"HAProxy, the real one": realHAProxy,
	"HAProxy, a fake 2.0":   fakeHAProxy(haproxytest.Version{Major: 2, Minor: 0}),
	"HAProxy, a fake 2.6":   fakeHAProxy(haproxytest.Version{Major: 2, Minor: 6}),
	"HAProxy, a fake 3.4":   fakeHAProxy(haproxytest.Version{Major: 3, Minor: 4}),
	"PTAF 3.x, simulated":   ptaf,
	"PTAF PRO, simulated":   ptafPro,
}

const timeout = model.Duration(2 * time.Second)

func start(tb testing.TB, c fleet.Config, names []string) *Device {
	tb.Helper()
	c.Name = Name
	fl, err := fleet.New(fleet.Configs{c}, fleet.Options{Write: true})
	if err != nil {
		tb.Fatal(err)
	}
	d, ok := fl.Device(Name)
	if !ok {
		tb.Fatalf("no device %s", Name)
	}
	out := &Device{Device: d}
	for _, n := range names {
		out.Members = append(out.Members, edge.Member{Device: Name, Pool: Pool, Name: n})
	}
	return out
}

var servers = []string{"s1", "s2", "s3"}

func realHAProxy(tb testing.TB) *Device {
	tb.Helper()
	text := "backend " + Pool + "\n"
	for i, n := range servers {
		text += fmt.Sprintf(" server %s %s:%d weight 10\n", n, hosts[i], port)
	}
	return onSocket(tb, haproxytest.StartReal(tb, text).Socket)
}

func fakeHAProxy(v haproxytest.Version) func(testing.TB) *Device {
	return func(tb testing.TB) *Device {
		tb.Helper()
		var list []haproxytest.Server
		for i, n := range servers {
			list = append(list, haproxytest.Server{Backend: Pool, Name: n, Address: fmt.Sprintf("%s:%d", hosts[i], port), Op: 2, Weight: 10})
		}
		f := haproxytest.NewFake(v, list...)
		dir, err := os.MkdirTemp("", "sl") // a socket's path has 107 bytes at most
		if err != nil {
			tb.Fatal(err)
		}
		ln, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil {
			tb.Fatal(err)
		}
		go f.Serve(ln)
		tb.Cleanup(func() {
			ln.Close() // takes the socket's file with it
			if err := os.RemoveAll(dir); err != nil {
				tb.Error(err)
			}
		})
		return onSocket(tb, ln.Addr().String())
	}
}

func onSocket(tb testing.TB, socket string) *Device {
	tb.Helper()
	d := start(tb, fleet.Config{HAProxy: &fleet.HAProxy{Address: socket, Timeout: timeout}}, servers)
	person, err := haproxy.New(haproxy.Options{Address: socket, Timeout: time.Duration(timeout)})
	if err != nil {
		tb.Fatal(err)
	}
	d.Person = func(m edge.Member, to edge.Admin) {
		if err := person.SetAdmin(tb.Context(), m.Pool, m.Name, to); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

func addresses() (out []string) {
	for _, h := range hosts {
		out = append(out, fmt.Sprintf("%s:%d", h, port))
	}
	return out
}

func ptaf(tb testing.TB) *Device {
	tb.Helper()
	u := ptaftest.Upstream{ID: "64f0c0ffee0123456789abcd", Name: Pool, Extra: map[string]any{"new_in_3_7": true}}
	for _, h := range hosts {
		u.Backends = append(u.Backends, ptaftest.Backend{Address: h, Port: port, Weight: 10, Extra: map[string]any{"note": "kept"}})
	}
	sim := ptaftest.New(ptaftest.Options{Upstreams: []ptaftest.Upstream{u}})
	c := &fleet.PTAF{URL: sim.Start(tb), Timeout: timeout}
	c.Client = promconfig.DefaultHTTPClientConfig
	c.Client.BasicAuth = &promconfig.BasicAuth{Username: "sluice", Password: "not-a-real-password"}
	d := start(tb, fleet.Config{PTAF: c}, addresses())
	d.Person = func(m edge.Member, to edge.Admin) { sim.Edit(Pool, m.Name, to != edge.Ready) }
	d.Writes = func() int { return len(sim.Writes()) }
	return d
}

func ptafPro(tb testing.TB) *Device {
	tb.Helper()
	o := ptafprotest.Options{}
	p := ptafprotest.Profile{Name: Pool}
	for i, h := range hosts {
		id := fmt.Sprintf("0f5b2a4e-0000-4000-8000-00000000000%d", i+1)
		o.Backends = append(o.Backends, ptafprotest.Backend{ID: id, Address: h, Port: port, Protocol: "HTTPS"})
		weight := 10
		p.Backends = append(p.Backends, ptafprotest.Entry{Backend: id, Weight: &weight})
	}
	o.Profiles = []ptafprotest.Profile{p}
	sim := ptafprotest.New(o)
	c := &fleet.PTAFPro{URL: sim.Start(tb), Timeout: timeout, Login: &fleet.Login{Username: "sluice", Password: "not-a-real-password"}}
	c.Client = promconfig.DefaultHTTPClientConfig
	d := start(tb, fleet.Config{PTAFPro: c}, addresses())
	d.Person = func(m edge.Member, to edge.Admin) { sim.Edit(m.Name, to == edge.Ready) }
	return d
}
