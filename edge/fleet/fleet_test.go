package fleet_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/fleet"
	"github.com/sluice-project/sluice/edge/haproxy"
	"github.com/sluice-project/sluice/edge/haproxy/haproxytest"
)

func haproxyAt(name, address string) fleet.Config {
	return fleet.Config{Name: name, HAProxy: &fleet.HAProxy{Address: address}}
}

func TestMistakesHaveTheirPlace(t *testing.T) {
	with := func(f func(*fleet.HAProxy)) fleet.Configs {
		c := haproxyAt("edge1", "/run/h.sock")
		f(c.HAProxy)
		return fleet.Configs{c}
	}
	for _, c := range []struct {
		name    string
		configs fleet.Configs
		paths   []string
	}{
		{"nothing wrong", fleet.Configs{haproxyAt("edge1", "/run/h.sock"), haproxyAt("edge2", "ipv4@192.0.2.1:9999")}, nil},
		{"no name", fleet.Configs{haproxyAt("", "/run/h.sock")}, []string{"[0].name"}},
		{"an odd name", fleet.Configs{haproxyAt("edge/1", "/run/h.sock")}, []string{"[0].name"}},
		{"a name used twice", fleet.Configs{haproxyAt("a", "/x"), haproxyAt("a", "/y")}, []string{"[1].name"}},
		{"no kind", fleet.Configs{{Name: "a"}}, []string{"[0]"}},
		{"no address", fleet.Configs{haproxyAt("a", "")}, []string{"[0].haproxy.address"}},
		{"a time below zero", with(func(h *fleet.HAProxy) { h.Timeout = -1 }), []string{"[0].haproxy.timeout"}},
		{"a time beyond a minute", with(func(h *fleet.HAProxy) { h.Timeout = model.Duration(time.Hour) }), []string{"[0].haproxy.timeout"}},
		{"TLS on a unix socket", with(func(h *fleet.HAProxy) { h.TLSConfig = &promconfig.TLSConfig{} }), []string{"[0].haproxy.tls_config"}},
		{"metrics", with(func(h *fleet.HAProxy) {
			h.Metrics = fleet.HAProxyMetrics{Profile: "exporter", Scope: fleet.Scopes, Names: []string{"haproxy_server_status", "-haproxy_up"}, Proxies: "shop|web", ExceptProxies: `\Qa.b\E`}
		}), nil},
		{"metrics with mistakes", with(func(h *fleet.HAProxy) {
			h.Metrics = fleet.HAProxyMetrics{Profile: "all", Scope: []string{"server", "servers"}, Names: []string{"a b"}, Proxies: "shop(", ExceptProxies: "a)(b"}
		}), []string{
			"[0].haproxy.metrics.profile", "[0].haproxy.metrics.scope[1]", "[0].haproxy.metrics.names[0]",
			"[0].haproxy.metrics.proxies", "[0].haproxy.metrics.except_proxies",
		}},
		{"a regular expression that takes in what is put behind it", with(func(h *fleet.HAProxy) { h.Metrics.Proxies = `\Qshop` }), []string{"[0].haproxy.metrics.proxies"}},
		{"all of it in one run", fleet.Configs{{Name: "a"}, haproxyAt("", "x")}, []string{"[0]", "[1].name", "[1].haproxy.address"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var paths []string
			for _, m := range c.configs.Validate() {
				paths = append(paths, m.Path)
			}
			if d := cmp.Diff(c.paths, paths); d != "" {
				t.Error(d)
			}
			if _, err := fleet.New(c.configs, fleet.Options{}); (err == nil) != (c.paths == nil) {
				t.Errorf("New says %v", err)
			}
		})
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	for _, dir := range []string{".", "/etc/sluice"} {
		c := fleet.Configs{haproxyAt("a", "unix@h.sock"), haproxyAt("b", "/run/h.sock"), haproxyAt("c", "192.0.2.1:99")}
		c.SetDirectory(dir)
		_, path, err := haproxy.ParseAddress(c[0].HAProxy.Address)
		if err != nil || path != filepath.Join(dir, "h.sock") {
			t.Errorf("in %s: %q, %v", dir, path, err)
		}
		if _, path, err := haproxy.ParseAddress(c[1].HAProxy.Address); err != nil || path != "/run/h.sock" {
			t.Errorf("an absolute path became %q, %v", path, err)
		}
		if c[2].HAProxy.Address != "192.0.2.1:99" {
			t.Errorf("a host became %q", c[2].HAProxy.Address)
		}
	}
}

// I21
func TestADeviceIsLookedAtAndSetByItsOwnMembersOnly(t *testing.T) {
	f := haproxytest.NewFake(haproxytest.Version{Major: 2, Minor: 6}, haproxytest.Server{Backend: "shop", Name: "s1", Address: "192.0.2.1:80", Op: 2})
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go f.Serve(ln)
	var calls []fleet.Call
	fl, err := fleet.New(fleet.Configs{haproxyAt("edge2", "/nowhere"), haproxyAt("edge1", socket)}, fleet.Options{Trace: func(c fleet.Call) { calls = append(calls, c) }})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"edge1", "edge2"}, fl.Names()); d != "" {
		t.Error(d)
	}
	d, ok := fl.Device("edge1")
	if _, other := fl.Device("edge3"); !ok || other || d.Kind() != "haproxy" || d.HAProxy() == nil {
		t.Fatalf("%v %v", ok, other)
	}
	m := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	if _, err := d.Set(t.Context(), set(m)); err != nil {
		t.Fatal(err)
	}
	snap, err := d.Look(t.Context())
	if err != nil || snap.States[m].Admin != edge.Drain {
		t.Errorf("%+v, %v", snap, err)
	}
	m.Device = "edge2"
	if _, err := d.Set(t.Context(), set(m)); !errors.Is(err, fleet.ErrDevice) {
		t.Errorf("another device's member: %v", err)
	}
	dead, _ := fl.Device("edge2")
	if _, err := dead.Look(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "device edge2: ") {
		t.Errorf("a dead device: %v", err)
	}
	if len(calls) != 4 || calls[0].Device != "edge1" || !calls[1].Write || calls[3].Err == nil {
		t.Errorf("%+v", calls)
	}
}

func set(m edge.Member) edge.Order {
	return edge.Order{Changes: []edge.Change{{Member: m, To: edge.Drain}}}
}
