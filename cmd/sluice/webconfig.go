package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// errOpen says that anybody could give the remediator orders.
var errOpen = errors.New("nobody would have to authenticate: give --web.config.file with basic_auth_users or " +
	"client_auth_type: RequireAndVerifyClientCert (or, without a configuration file, AGENT_SECURITY_ENABLED=true and AGENT_AUTH_TOKEN), " +
	"listen on 127.0.0.1 only, or say --web.allow-unauthenticated")

// authenticates says whether the web configuration lets nobody in without a
// password or a certificate that was checked. RequireAnyClientCert doesn't
// count: it takes a certificate that anybody made.
func authenticates(webConfigFile string) (bool, error) {
	if webConfigFile == "" {
		return false, nil
	}
	if err := web.Validate(webConfigFile); err != nil {
		return false, fmt.Errorf("web configuration %s: %w", webConfigFile, err)
	}
	text, err := os.ReadFile(webConfigFile)
	if err != nil {
		return false, fmt.Errorf("web configuration: %w", err)
	}
	var c struct {
		TLS struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
		Users map[string]any `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return false, fmt.Errorf("web configuration %s: %w", webConfigFile, err)
	}
	return len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert", nil
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

// stillAuthenticated refuses everything once the web configuration lets anybody
// in. exporter-toolkit reads the file anew for each request, so that an edit
// could open a server that started closed.
func stillAuthenticated(webConfigFile string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ok, err := authenticates(webConfigFile); !ok || err != nil {
			text(w, http.StatusServiceUnavailable, "the web configuration no longer asks for authentication: mend it, or start again with --web.allow-unauthenticated")
			return
		}
		next.ServeHTTP(w, r)
	})
}
