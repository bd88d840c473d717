package main

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/edge/ptafpro/ptafprotest"
)

const (
	tenant      = "shop"
	profile     = "public-443"
	other       = "public-8443"
	application = "shop"
	token       = "not-a-real-token"
)

// newPro makes a PTAF PRO. Its objects are in a tenant that isn't the default
// one, and all its backends are in both traffic profiles.
func newPro(o settings) (device, error) {
	if o.front != "" {
		return device{}, errors.New("--front.listen-address: the simulated PTAF PRO has no proxy, only its API: leave it out, or leave out --pro")
	}
	list, entries, err := proBackends(o.backends)
	if err != nil {
		return device{}, err
	}
	sim := ptafprotest.New(ptafprotest.Options{
		Username: username, Password: password, Token: token, TokenTenant: tenant,
		Tenants: []ptafprotest.Tenant{
			{ID: ptafprotest.DefaultTenant, Name: "default", Default: true},
			{ID: "0f5b2a4e-0000-4000-8000-00000000e001", Name: tenant},
		},
		Backends: list,
		Profiles: []ptafprotest.Profile{
			{Name: profile, ListenPort: 443, Backends: entries, Tenant: tenant},
			{Name: other, ListenPort: 8443, Backends: entries, Tenant: tenant},
		},
		Applications: []ptafprotest.Application{{Name: application, Hosts: []string{"shop.example.com"}, Profiles: []string{profile}, Tenant: tenant}},
	})
	for _, name := range o.faults {
		f, err := ptafprotest.ParseFault(name)
		if err != nil {
			return device{}, err
		}
		sim.Misbehave(f, -1)
	}
	return device{
		api: sim, base: ptafprotest.Base,
		credentials: [][2]string{{"user", username}, {"password", password}, {"token", token}}, config: proConfig,
	}, nil
}

// proConfig is a device of sluice.yml.
func proConfig(url, pin string) string {
	lines := []string{
		"  - name: waf2",
		"    ptafpro:",
		"      url: " + url,
		"      tenant: " + tenant,
		"      profiles: [" + profile + ", " + other + "]",
		"      login: {username: " + username + ", password: " + password + "}",
	}
	if pin != "" {
		lines = append(lines, "      "+pin)
	}
	return strings.Join(lines, "\n") + "\n"
}

// proBackends are those that were asked for, or the sample: two that share
// traffic, one of them of twice the weight, and one that is switched off.
func proBackends(addresses []string) (list []ptafprotest.Backend, entries []ptafprotest.Entry, err error) {
	members, err := backends(addresses)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range members {
		e := ptafprotest.Entry{Backend: net.JoinHostPort(m.Address, strconv.Itoa(m.Port))}
		if m.Weight != 0 {
			e.Weight = &m.Weight
		}
		list = append(list, ptafprotest.Backend{Address: m.Address, Port: m.Port, Disabled: m.Backup, Tenant: tenant})
		entries = append(entries, e)
	}
	return list, entries, nil
}
