package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
	"github.com/sluice-project/sluice/test/serve"
)

const (
	pool     = "shop-front"
	username = "sluice"
	password = "not-a-real-password"
)

// newDevice makes the simulator that the settings ask for.
func newDevice(o settings) (device, error) {
	if o.pro {
		return newPro(o)
	}
	members, err := backends(o.backends)
	if err != nil {
		return device{}, err
	}
	sim := ptaftest.New(ptaftest.Options{
		Username: username, Password: password,
		Upstreams: []ptaftest.Upstream{
			{Name: pool, Backends: members},
			{Name: "billing", Backends: []ptaftest.Backend{{Address: "198.51.100.5", Port: 8080}}},
		},
		Gateways: []ptaftest.Gateway{{ID: "64f0c0ffee0123456789ab01", Name: "waf1", Active: true}},
	})
	for _, name := range o.faults {
		f, err := ptaftest.ParseFault(name)
		if err != nil {
			return device{}, err
		}
		sim.Misbehave(f, -1)
	}
	return device{
		api: sim, front: sim.Front(pool), base: ptaftest.Base,
		credentials: [][2]string{{"user", username}, {"password", password}}, config: config,
	}, nil
}

// config is a device of sluice.yml. The password stands in it: it is no real one.
func config(url, pin string) string {
	lines := []string{
		"  - name: waf1",
		"    ptaf:",
		"      url: " + url,
		"      upstreams: [" + pool + "]",
		"      basic_auth: {username: " + username + ", password: " + password + "}",
	}
	if pin != "" {
		lines = append(lines, "      "+pin)
	}
	return strings.Join(lines, "\n") + "\n"
}

// backends reads host:port of each, or makes the sample: two that share
// traffic, one of them of twice the weight, and a backup.
func backends(addresses []string) ([]ptaftest.Backend, error) {
	if len(addresses) == 0 {
		return []ptaftest.Backend{
			{Address: "192.0.2.11", Port: 8080},
			{Address: "192.0.2.12", Port: 8080, Weight: 2},
			{Address: "192.0.2.13", Port: 8080, Backup: true},
		}, nil
	}
	var out []ptaftest.Backend
	for _, a := range addresses {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			return nil, fmt.Errorf("backend %q: want host:port", a)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("backend %q: want a port from 1 to 65535", a)
		}
		out = append(out, ptaftest.Backend{Address: host, Port: int(n)})
	}
	return out, nil
}

// certificate is for the host that the API listens on; for all addresses it is
// for this machine's own.
func certificate(address string) (tls.Certificate, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return tls.Certificate{}, err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	cert, _, err := serve.SelfSigned(host, "localhost")
	return cert, err
}
