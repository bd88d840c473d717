package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/remediator/access"
)

// errOpen says that anybody could give the remediator orders.
var errOpen = errors.New("nobody would have to authenticate: give --web.config.file with basic_auth_users or " +
	"client_auth_type: RequireAndVerifyClientCert, or write a section access with users or tokens " +
	"(without a configuration file: AGENT_SECURITY_ENABLED=true and AGENT_AUTH_TOKEN), " +
	"listen on 127.0.0.1 only, or say --web.allow-unauthenticated")

// authenticates says what the web configuration lets nobody in without: a password,
// or a certificate that was checked. RequireAnyClientCert doesn't count: it takes a
// certificate that anybody made.
func authenticates(webConfigFile string) (access.Web, error) {
	if webConfigFile == "" {
		return access.Web{}, nil
	}
	if err := web.Validate(webConfigFile); err != nil {
		return access.Web{}, fmt.Errorf("web configuration %s: %w", webConfigFile, err)
	}
	text, err := os.ReadFile(webConfigFile)
	if err != nil {
		return access.Web{}, fmt.Errorf("web configuration: %w", err)
	}
	var c struct {
		TLS struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
		Users map[string]any `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return access.Web{}, fmt.Errorf("web configuration %s: %w", webConfigFile, err)
	}
	return access.Web{Users: len(c.Users) > 0, Certificates: c.TLS.ClientAuth == "RequireAndVerifyClientCert"}, nil
}

// local says whether only this machine can reach the listener.
func local(ln net.Listener) bool {
	switch a := ln.Addr().(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	default:
		return false
	}
}

// errNoLonger answers whoever comes once the web configuration lets anybody in.
var errNoLonger = errors.New("the web configuration no longer asks for authentication: mend it, or start again with --web.allow-unauthenticated")

// stillAuthenticates looks at the web configuration for each request, as
// exporter-toolkit does: an edit could open a server that started closed.
func stillAuthenticates(webConfigFile string, first access.Web) func() (access.Web, error) {
	if webConfigFile == "" {
		return nil
	}
	return func() (access.Web, error) {
		now, err := authenticates(webConfigFile)
		if first.Asks() && (!now.Asks() || err != nil) {
			return access.Web{}, errNoLonger
		}
		return now, err
	}
}
